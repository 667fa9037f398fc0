"""Point labels: a moment inside an action, with its class."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrpro.errors import InputError, condensed
from hrpro.files import is_name, read_text, write_atomic
from hrpro.schema import LARGEST
from hrpro.timebase import Timebase, frame_number, frame_to_seconds

CSV_COLUMNS = ("class", "class_index", "start_frame", "stop_frame", "video_id", "point")
# Value of the optional column `segment` for points whose segment was accepted by a person. Only then start_frame and
# stop_frame are read: in the published files they hold the annotated action, which training with points must not see.
ACCEPTED = "accepted"


@dataclass(frozen=True, eq=False)
class Points:
    """N point labels as columns of equal length.

    Attributes:
        seconds: float64 [N].
        label: indices into `classes`, intp [N].
        video: indices into `videos`, intp [N].
        segment: start and end in seconds of each point's accepted segment, float64 [N, 2]; NaN if there is none.

    Raises:
        ValueError: unequal lengths, indices outside their vocabulary, or times that are not finite.
    """

    seconds: NDArray[np.float64]
    label: NDArray[np.intp]
    video: NDArray[np.intp]
    classes: tuple[str, ...] = field(repr=False)
    videos: tuple[str, ...] = field(repr=False)
    segment: NDArray[np.float64] = field(default=None, repr=False)

    def __post_init__(self):
        set_ = object.__setattr__
        for name, kind in (("seconds", np.float64), ("label", np.intp), ("video", np.intp)):
            set_(self, name, np.atleast_1d(np.asarray(getattr(self, name), kind)))
        set_(self, "classes", tuple(self.classes))
        set_(self, "videos", tuple(self.videos))
        segment = np.full((len(self.seconds), 2), np.nan) if self.segment is None else self.segment
        set_(self, "segment", np.asarray(segment, np.float64).reshape(-1, 2))
        if not len(self.seconds) == len(self.label) == len(self.video) == len(self.segment):
            raise ValueError("seconds, label, video and segment must have one length")
        for name, vocabulary in (("label", self.classes), ("video", self.videos)):
            column = getattr(self, name)
            if len(column) and not 0 <= column.min() <= column.max() < len(vocabulary):
                raise ValueError(f"{name} holds an index outside 0 .. {len(vocabulary) - 1}")
        if not np.isfinite(self.seconds).all():
            raise ValueError("seconds must be finite")

    def __len__(self) -> int:
        return len(self.seconds)

    def __getitem__(self, index: Any) -> Points:
        """Rows by slice, boolean mask or index array."""
        return Points(self.seconds[index], self.label[index], self.video[index], self.classes, self.videos,
                      self.segment[index])

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Whether each point has an accepted segment, [N]."""
        return np.isfinite(self.segment).all(axis=1)

    def of_video(self, video: str) -> Points:
        """The points of one video, sorted by time; empty if the video is unknown."""
        if video not in self.videos:
            return self[:0]
        mine = np.flatnonzero(self.video == self.videos.index(video))
        return self[mine[np.argsort(self.seconds[mine], kind="stable")]]

    def matrix(self, video: str, timebase: Timebase, length: int, rows: int | None = None) -> NDArray[np.float32]:
        """Point labels of one video, [T, C] of 0/1 (docs/method.md, section 1: rows are clamped to T - 1).

        Args:
            video: its name.
            timebase: the features' timebase.
            length: number of snippets T.
            rows: number of snippets after sampling (`hrpro.data.features.sample_rows`); the result is [rows, C].
        """
        mine, rows = self.of_video(video), rows or length
        labels = np.zeros((rows, len(self.classes)), np.float32)
        labels[((timebase.rows(mine.seconds, length) + 1) * rows - 1) // length, mine.label] = 1
        return labels

    def certain(self, video: str, timebase: Timebase, length: int,
                sampled: NDArray[np.intp] | None = None) -> NDArray[np.float32]:
        """Snippets of one video whose centre lies in an accepted segment of each class, [T, C] of 0/1.

        Args:
            video: its name.
            timebase: the features' timebase.
            length: number of snippets T.
            sampled: rows of the sampled snippets (`hrpro.data.features.sample_rows`); the result is [len(sampled), C].
        """
        mine = self.of_video(video)
        mine = mine[mine.accepted]
        labels = np.zeros((length, len(self.classes)), np.float32)
        bounds = np.clip(np.ceil(timebase.snippets(mine.segment) - .5), 0, length).astype(np.intp)
        for (first, stop), label in zip(bounds.tolist(), mine.label.tolist(), strict=True):
            labels[first:stop, label] = 1
        return labels if sampled is None else labels[sampled]

    @classmethod
    def empty(cls, classes: Sequence[str] = (), videos: Sequence[str] = ()) -> Points:
        return cls([], [], [], tuple(classes), tuple(videos))

    @classmethod
    def read(cls, path: Path, classes: Sequence[str],
             videos: Mapping[str, float]) -> tuple[Points, list[tuple[int, str]], list[str]]:
        """Read point labels from a CSV (frames; docs/method.md, section 1) or a text file (`video,seconds,class`).

        Byte order marks, CRLF and blank lines are accepted.

        Args:
            path: the file.
            classes: vocabulary.
            videos: {video: its own frame rate}.

        Returns:
            The valid points, (line, video) of points in other videos, and the faults of the remaining lines.

        Raises:
            InputError: the file cannot be read, or its columns are not those of a point file.
        """
        text = read_text(path, "Put the point labels there, or label some in the app.")
        reader, rows, line = csv.reader(io.StringIO(text, newline=""), strict=True), [], 1
        try:
            for row in reader:
                if any(map(str.strip, row)):
                    rows.append((line, row))
                line = reader.line_num + 1
        except csv.Error as error:
            raise InputError(f"{path}: line {line} is not CSV ({error}). Correct it; a quotation mark may be missing."
                             ) from None
        header = [cell.strip() for cell in rows[0][1]] if rows else []
        if len(header) == 1 and (sign := next((sign for sign in ";\t| " if header[0].count(sign) > 1), None)):
            raise InputError(f"{path}: line 1 is separated by {sign!r}. Save the file with commas.")
        if len(set(map(str.lower, header)) & set(CSV_COLUMNS)) > 1:
            if twice := sorted({name for name in header if header.count(name) > 1}):
                raise InputError(f"{path}: line 1 lists twice: {', '.join(twice)}. Keep one of each.")
            missing = {"class", "video_id", "point"} - set(header)
            if missing:
                raise InputError(f"{path}: line 1 is missing {', '.join(sorted(missing))}. "
                                 f"Expected are {','.join(CSV_COLUMNS)}.")
            columns, in_frames, rows = [header.index(name) for name in ("video_id", "point", "class")], True, rows[1:]
            edges = [header.index(name) for name in ("segment", "start_frame", "stop_frame") if name in header]
        else:
            if rows and Path(path).suffix == ".csv":
                raise InputError(f"{path}: line 1 has no column names. Expected are {','.join(CSV_COLUMNS)}.")
            columns, in_frames, edges = [0, 1, 2], False, []
            header = ["video", "seconds", "class"]
            if rows and [cell.strip().lower() for cell in rows[0][1]] == header:
                rows = rows[1:]
        lookup = {label: index for index, label in enumerate(classes)}
        index_of = {video: index for index, video in enumerate(videos)}
        found, segments, elsewhere, faults, strange = [], [], [], [], {}
        for number, row in rows:
            if not max(columns) < len(row) <= len(header):
                faults.append((f"line {number}", f"has {len(row)} columns, {len(header)} are needed",
                               "Complete or remove the line."))
                continue
            row += [""] * (len(header) - len(row))      # hand-added lines may lack the last, optional cells
            video, moment, label = (row[column].strip() for column in columns)
            if video not in index_of:
                elsewhere.append((number, video))
                continue
            try:
                value = _parse_time(moment)
            except ValueError:
                faults.append((f"line {number}", f"has {moment[:40]!r} instead of a time",
                               f"Write {'a frame number' if in_frames else 'seconds'}."))
                continue
            if label not in lookup:
                strange.setdefault(label, []).append(number)
                continue
            segment = (np.nan, np.nan)
            if len(edges) == 3 and row[edges[0]].strip() == ACCEPTED:
                try:
                    segment = frame_to_seconds([_parse_time(row[column]) for column in edges[1:]],
                                               videos[video]).tolist()
                    if not segment[0] < segment[1]:
                        raise ValueError
                except ValueError:
                    faults.append((f"line {number}", "has an accepted segment that does not end after it begins",
                                   "Write frame numbers in start_frame and stop_frame, or empty the column segment."))
                    continue
            seconds = float(frame_to_seconds(value, videos[video])) if in_frames else value
            found.append((seconds, lookup[label], index_of[video]))
            segments.append(segment)
        faults += [(f"line {lines[0]}", f"has the unknown class {label[:200]!r}"
                    f"{f', as {len(lines) - 1:,} more lines' if lines[1:] else ''}",
                    "Correct it, or add it to classes.txt." if is_name(label) else
                    "Name a class of classes.txt.") for label, lines in strange.items()]
        seconds, label, video = zip(*found, strict=True) if found else ((), (), ())
        points = cls(seconds, label, video, tuple(classes), tuple(videos), segments)
        return points, elsewhere, condensed(path, faults)

    def to_csv(self, fps: Mapping[str, float]) -> str:
        """The HR-Pro point CSV: frame numbers at each video's own rate, fractional between frames.

        Reading it back gives the same times; see `hrpro.timebase.frame_number`. Points with an accepted segment have
        its frames in start_frame and stop_frame and `accepted` in the last column, `segment`.

        Args:
            fps: {video: its own frame rate}.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        accepted = self.accepted
        writer.writerow((*CSV_COLUMNS, *["segment"] * bool(accepted.any())))
        rates = np.array([fps[self.videos[video]] for video in self.video.tolist()]).reshape(-1, 1)
        numbers = frame_number(np.column_stack([self.seconds, self.segment]), rates).tolist()
        for (frame, *edges), label, video, has_segment in zip(numbers, self.label.tolist(), self.video.tolist(),
                                                              accepted.tolist(), strict=True):
            start, stop = map(_number, edges) if has_segment else ("", "")
            row = self.classes[label], label, start, stop, self.videos[video], _number(frame)
            writer.writerow((*row, ACCEPTED) if has_segment else (*row, *[""] * bool(accepted.any())))
        return out.getvalue()

    def save(self, path: Path, fps: Mapping[str, float]) -> None:
        """Write the HR-Pro point CSV, by rename."""
        write_atomic(path, self.to_csv(fps))


def _parse_time(text: str) -> float:
    """Seconds or a frame number; ValueError if it is not a number, not finite, or too large to make sense."""
    value = float(text)
    if not -LARGEST <= value <= LARGEST or "_" in text:
        raise ValueError(text)
    return value


def _number(frame: float) -> int | float:
    return int(frame) if frame.is_integer() else round(frame, 9)
