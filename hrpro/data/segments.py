"""Segments of videos with a label and a score: ground truth, proposals and detections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrpro.errors import InputError, condensed, preview, raise_if
from hrpro.files import is_name, read_json, uncollected, write_json
from hrpro.schema import LARGEST


@dataclass(frozen=True, eq=False)
class Segments:
    """N segments as columns of equal length.

    The order of segments and their lengths are not checked, since evaluation has its own rules for them.

    Attributes:
        start, end: seconds, float64 [N]; end exclusive.
        label: indices into `classes`, intp [N].
        score: float64 [N]; 1 for ground truth.
        video: indices into `videos`, intp [N].

    Raises:
        ValueError: unequal lengths, indices outside their vocabulary, or values that are not finite.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    label: NDArray[np.intp]
    score: NDArray[np.float64]
    video: NDArray[np.intp]
    classes: tuple[str, ...] = field(repr=False)
    videos: tuple[str, ...] = field(repr=False)

    def __post_init__(self):
        set_ = object.__setattr__
        for name, kind in (("start", np.float64), ("end", np.float64), ("label", np.intp), ("score", np.float64),
                           ("video", np.intp)):
            set_(self, name, np.atleast_1d(np.asarray(getattr(self, name), kind)))
        set_(self, "classes", tuple(self.classes))
        set_(self, "videos", tuple(self.videos))
        if {column.shape for column in self._columns()} != {(len(self.start),)}:
            raise ValueError("start, end, label, score and video must have one length")
        for name, vocabulary in (("label", self.classes), ("video", self.videos)):
            column = getattr(self, name)
            if len(column) and not 0 <= column.min() <= column.max() < len(vocabulary):
                raise ValueError(f"{name} holds an index outside 0 .. {len(vocabulary) - 1}")
        if not all(np.isfinite(column).all() for column in (self.start, self.end, self.score)):
            raise ValueError("start, end and score must be finite")

    def _columns(self) -> tuple[NDArray, ...]:
        return self.start, self.end, self.label, self.score, self.video

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: Any) -> Segments:
        """Rows by slice, boolean mask or index array."""
        return Segments(*(column[index] for column in self._columns()), self.classes, self.videos)

    @property
    def length(self) -> NDArray[np.float64]:
        return self.end - self.start

    @classmethod
    def empty(cls, classes: Sequence[str] = (), videos: Sequence[str] = ()) -> Segments:
        return cls([], [], [], [], [], tuple(classes), tuple(videos))

    @classmethod
    def make(cls, start: ArrayLike, end: ArrayLike, label: ArrayLike, classes: Sequence[str], videos: Sequence[str],
             score: ArrayLike | None = None, video: ArrayLike = 0) -> Segments:
        """From columns; `score` defaults to 1, and a single `video` index is used for all rows."""
        start = np.atleast_1d(np.asarray(start, np.float64))
        score = np.ones(len(start)) if score is None else score
        return cls(start, end, label, score, np.broadcast_to(video, start.shape), tuple(classes), tuple(videos))

    @classmethod
    def concatenate(cls, parts: Sequence[Segments]) -> Segments:
        """The rows of all parts in order; all parts must have the same `classes` and `videos`."""
        if any((part.classes, part.videos) != (parts[0].classes, parts[0].videos) for part in parts):
            raise ValueError("parts must share their classes and videos")
        columns = zip(*(part._columns() for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns), parts[0].classes, parts[0].videos)

    def of_video(self, video: str) -> Segments:
        """The segments of one video in their order; empty if the video is unknown."""
        if video not in self.videos:
            return self[:0]
        return self[self.video == self.videos.index(video)]

    def by_video(self) -> Iterator[tuple[str, Segments]]:
        """(video, its segments) for every video of `videos`, including those without segments."""
        order = np.argsort(self.video, kind="stable")
        bounds = np.searchsorted(self.video[order], np.arange(len(self.videos) + 1))
        for index, video in enumerate(self.videos):
            yield video, self[order[bounds[index]:bounds[index + 1]]]

    @classmethod
    def from_activitynet(cls, path: Path, classes: Sequence[str] | None = None,
                         videos: Sequence[str] | None = None, *, body: str = "") -> Segments:
        """Read detections (`results`) or ground truth (`database`) from an ActivityNet JSON file.

        Args:
            path: the file.
            classes: vocabulary, in which labels outside it are faults; by default, the file's labels, sorted.
            videos: the videos to keep; by default, all in the file.
            body: "results" or "database" if only that is accepted; detections (`results`) need a score.

        Raises:
            InputError: all faults of the file, with video and position.
        """
        document = read_json(path)
        known = [body] if body else ["results", "database"]
        kind = next((name for name in known if isinstance(document, dict) and name in document), None)
        body = document[kind] if kind else None
        if kind is None and isinstance(document, dict) and "database" in document:
            raise InputError(f"{path}: holds ground truth (`database`), not detections (`results`). If the two files "
                             "are swapped, exchange --gt and --pred.")
        if not isinstance(body, dict):
            raise InputError(f"{path}: has no {' or '.join(f'`{name}`' for name in known)} object. "
                             "Give a file in ActivityNet's JSON format.")
        names = tuple(body) if videos is None else tuple(videos)
        lists, faults = [], []
        for name in names:
            entries = body.get(name, [])
            if isinstance(entries, dict):
                entries = entries.get("annotations", [])
            if not isinstance(entries, list):
                faults.append((f"video {name!r}", "holds no list of segments", "Write [] where there are none."))
                entries = []
            lists.append(entries)
        default = None if kind == "results" else 1.
        columns = _sound_columns([entry for entries in lists for entry in entries], default)
        if columns is None:                             # entry by entry, to name each fault
            parsed = [[_parse_entry(entry, default) for entry in entries] for entries in lists]
            faults += [(f"segment {position} of video {name!r}", *row)
                       for name, rows in zip(names, parsed, strict=True)
                       for position, row in enumerate(rows) if len(row) == 2]
            lists = [[row for row in rows if len(row) == 4] for rows in parsed]
            columns = tuple(zip(*(row for rows in lists for row in rows), strict=True)) or ((), (), (), ())
        start, end, label, score = columns
        used = sorted(set(label))
        labels = used if classes is None else list(classes)
        lookup = {name: index for index, name in enumerate(labels)}
        known = ", ".join(labels[:8]) + (" …" if len(labels) > 8 else "")
        messages = condensed(path, faults)
        if strange := [name for name in used if name not in lookup]:
            what = f"unknown class {strange[0]!r}" if len(strange) == 1 else \
                f"{len(strange)} unknown classes: {preview(strange)}"
            messages.append(f"{path}: {what}. Correct it; known are {known}.")
        raise_if(messages)
        video = np.repeat(np.arange(len(names)), [len(entries) for entries in lists])
        return cls(start, end, [lookup[name] for name in label], score, video, tuple(labels), names)

    def to_activitynet(self) -> dict[str, Any]:
        """The result file: {"version", "results": {video: [{"label", "score", "segment"}]}, …}."""
        results: dict[str, list] = {name: [] for name in self.videos}
        rows = zip(self.video.tolist(), self.label.tolist(), self.score.tolist(), self.start.tolist(),
                   self.end.tolist(), strict=True)
        with uncollected():
            for video, label, score, start, end in rows:
                results[self.videos[video]].append(
                    {"label": self.classes[label], "score": score, "segment": [start, end]})
        return {"version": "VERSION 1.3", "results": results, "external_data": {}}

    def save(self, path: Path) -> None:
        """Write the ActivityNet result file."""
        write_json(path, self.to_activitynet())


def tiou(start: NDArray, end: NDArray, begin: NDArray, stop: NDArray) -> NDArray[np.float64]:
    """tIoU of [start, end) and [begin, stop), broadcast; 0 if they do not overlap or one has no length."""
    shared = np.minimum(end, stop) - np.maximum(start, begin)
    union = (end - start) + (stop - begin) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _sound_columns(entries: list[Any], default: float | None) -> tuple[NDArray, NDArray, list[str], NDArray] | None:
    """start, end, label and score of annotations or detections, vectorised; None unless all are clearly valid."""
    try:
        label = [entry["label"] for entry in entries]
        segments, scores = [entry["segment"] for entry in entries], [entry.get("score", default) for entry in entries]
        times, score = np.array(segments, np.float64), np.array(scores, np.float64)
        kinds = set(map(type, itertools.chain(scores, *segments)))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    sound = kinds <= {int, float} and times.shape == (len(entries), 2) and score.ndim == 1 \
        and set(map(type, label)) == {str} and all(map(is_name, set(label))) \
        and (np.abs(times) <= LARGEST).all() and (np.abs(score) <= LARGEST).all()
    return (times[:, 0], times[:, 1], label, score) if sound else None


def _parse_entry(entry: Any, default: float | None) -> tuple[float, float, str, float] | tuple[str, str]:
    """(start, end, label, score) of one annotation or detection, or (fault, remedy)."""
    if not isinstance(entry, dict) or entry.get("label") is None:
        return "has no `label`", "Add it or remove the segment."
    if not isinstance(label := entry["label"], str) or not is_name(label):
        return (f"has the `label` {str(label)[:40]!r}, which cannot name a class",
                "Write text on one line without outer spaces.")
    segment = entry.get("segment")
    try:
        if not isinstance(segment, list):               # the characters of "12" would pass as two numbers
            raise TypeError
        start, end = map(_number, segment)
    except (TypeError, ValueError):
        return f"has no [start, end] in seconds (found {str(segment)[:60]!r})", "Write two numbers."
    try:
        score = _number(entry.get("score", default))
    except (TypeError, ValueError):
        return f"has no numeric `score` (found {str(entry.get('score'))[:40]!r})", "Write one."
    if not all(map(math.isfinite, (start, end, score))):  # numpy is slow for three numbers
        return "holds a value that is not finite", "Write finite seconds and scores."
    if max(abs(start), abs(end), abs(score)) > LARGEST:
        return f"holds a value beyond {LARGEST:g} in size", f"Write seconds and scores up to {LARGEST:g}."
    return start, end, label, score


def _number(value: Any) -> float:
    """A number from a JSON file, which may be in quotes; `true` is refused."""
    if isinstance(value, bool):
        raise TypeError
    return float(value)
