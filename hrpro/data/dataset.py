"""Read a data set's folder: annotations, splits, points and features, and the faults in them."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hrpro.config import Config, config_of
from hrpro.data.features import FeatureError, FeatureSet, open_features, read_timebase
from hrpro.data.foreign import elsewhere, explain_lengths, fits
from hrpro.data.points import Points
from hrpro.data.segments import Segments
from hrpro.data.truth import Truth
from hrpro.errors import InputError, as_message, condensed, naming, number_of, preview, raise_if
from hrpro.files import inside, is_file_name, is_name, looking_like, read_json, read_text
from hrpro.names import nearest
from hrpro.timebase import Timebase

SPLITS = ("train", "test")
DATUM_REMEDY = "See dataset/README.md for the layout and where to get the data."


Level = Literal["error", "to do", "left out", "note"]


@dataclass(frozen=True)
class Finding:
    """One fact about a data set that its owner should know.

    Attributes:
        level: "error", something is broken and no run can start; "to do", a setup step is missing and no run can start
            yet; "left out", runs skip it; "note", worth knowing.
        message: a sentence for the owner.
        step: what resolves a "to do", e.g. "label points".
    """

    level: Level
    message: str
    step: str = ""

    @property
    def blocks(self) -> bool:
        """Whether this keeps runs from starting."""
        return self.level in ("error", "to do")

    def __post_init__(self):
        object.__setattr__(self, "message", as_message(self.message))


@dataclass
class DataSet:
    """One data set, ready to train on.

    Attributes:
        classes: C names in display order.
        duration, fps: {video: seconds}, {video: frames per second}.
        splits: {"train", "test"} -> usable videos.
        truth: the annotated segments.
        points: the points of all videos.
        ambiguous: segments whose overlapping detections are dropped (THUMOS14).
        features: {"train", "test"} -> FeatureSet.
        findings: what was left out and why.
        unusable: videos in gt_full.json without a valid name or duration.
        listed: {"train", "test"} -> all videos in the split files.
    """

    root: Path
    classes: tuple[str, ...]
    duration: dict[str, float]
    fps: dict[str, float]
    splits: dict[str, list[str]]
    truth: Truth
    points: Points
    points_file: Path
    ambiguous: Segments
    features: dict[str, FeatureSet] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    unusable: frozenset[str] = frozenset()
    listed: dict[str, list[str]] = field(init=False)

    def __post_init__(self):
        self.listed = {split: list(videos) for split, videos in self.splits.items()}

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def ground_truth(self) -> Segments:
        """The annotated segments that count, from all videos."""
        return self.truth.counted

    @property
    def split_of(self) -> dict[str, str]:
        """{video: "train", "test", "train/test" (listed in both) or "" (in neither)}."""
        names = {split: set(videos) for split, videos in self.listed.items()}
        return {video: "/".join(split for split in SPLITS if video in names[split]) for video in self.duration}

    def find(self, level: Level, message: str, step: str = "") -> None:
        self.findings.append(Finding(level, message, step))

    def raise_errors(self) -> None:
        """Raise InputError with all findings that keep a run from starting, if there are any."""
        faults = [finding.message for finding in self.findings if finding.blocks]
        if faults:
            raise InputError(faults)

    def test_truth(self, blocked: Sequence[str] = ()) -> Segments:
        """Ground truth of the test split without the blocked videos, which detections are evaluated against.

        Its `videos` are exactly the evaluated ones, including those without segments. Videos with missing features are
        kept: their actions count as missed.

        Raises:
            InputError: a segment of these videos ends before it starts.
        """
        videos = tuple(video for video in self.listed["test"] if video not in set(blocked))
        if fault := self.truth.fault(set(videos)):
            raise InputError(fault)
        row = {video: index for index, video in enumerate(self.ground_truth.videos)}
        position = np.full(len(row), -1)
        position[[row[video] for video in videos]] = np.arange(len(videos))
        mine = self.ground_truth[position[self.ground_truth.video] >= 0]
        return Segments(mine.start, mine.end, mine.label, mine.score, position[mine.video], self.classes, videos)

    def video_label(self, video: str) -> np.ndarray:
        """Classes of a video, [C] float32 of 0/1: from its annotations, or from its points if it has none."""
        label = np.zeros(len(self.classes), np.float32)
        segments = self.ground_truth.of_video(video)
        label[segments.label if len(segments) else self.points.of_video(video).label] = 1
        return label


def open_dataset(config: Config, *, features: bool = True, points_file: Path | None = None,
                 classes_file: Path | None = None) -> DataSet:
    """Read the data set that the settings name.

    Args:
        config: the settings.
        features: also open and check the feature files.
        points_file: point labels to read instead of those in the settings.
        classes_file: class names to read instead of classes.txt, if the file exists.

    Raises:
        InputError: essential files are missing or broken; all are reported together. Lesser faults become `findings`;
            `DataSet.raise_errors` turns those that keep a run from starting into one InputError.
    """
    dataset, broken = examine(config, features=features, points_file=points_file, classes_file=classes_file)
    raise_if(broken)
    return dataset


def examine(config: Config, *, features: bool = True, points_file: Path | None = None,
            classes_file: Path | None = None) -> tuple[DataSet, list[str]]:
    """Read as much of a data set as possible; for the arguments, see `open_dataset`.

    Returns:
        The data set, and the faults of files that cannot be read at all.

    Raises:
        InputError: there is no such folder.
    """
    root = config.data_root
    if not root.is_dir():
        raise InputError(f"{root}: no such data set. {DATUM_REMEDY}")
    broken: list[str] = []

    def attempt(default: Any, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except InputError as error:
            broken.extend(error.faults)
            return default

    findings: list[Finding] = []
    database = attempt(None, lambda: _read_database(inside(root, "gt_full.json")))
    duration, fps = _read_rates(root / "gt_full.json", database or {}, config.frames_per_sec, findings)
    videos = tuple(duration)
    if not (classes_file and classes_file.exists()):
        classes_file = attempt(None, inside, root, "classes.txt")
    listed = attempt([], _read_classes, classes_file, findings) if classes_file and classes_file.exists() else []
    classes = _classes(listed, database or {})
    annotated = Segments.empty(classes, videos)
    if database:
        annotated = attempt(annotated, partial(Segments.from_activitynet, body="database"), root / "gt_full.json",
                            classes, videos)
    truth = Truth(root / "gt_full.json", annotated)
    points, points_file = Points.empty(classes, videos), points_file or attempt(None, find_points, root, config.points)
    if points_file:
        points = attempt(points, read_points, points_file, classes, fps, duration, findings, database)
    ambiguous = attempt(Segments.empty(("ambiguous",), videos),
                        lambda: _read_ambiguous(inside(root, "Ambiguous_test.txt"), videos))
    splits = {split: attempt([], _read_split, root, split, database, duration, findings)
              for split in SPLITS}
    findings += _check_ground_truth(truth, duration, set(splits["test"]).difference(config.blocked_videos))
    dataset = DataSet(root, classes, duration, fps, splits, truth, points, points_file or root / "point_labels",
                      ambiguous, {}, findings, frozenset(database or {}) - set(videos))
    if both := set(splits["train"]) & set(splits["test"]):
        dataset.find("note", f"{root}: {number_of(len(both), 'video')} in both splits: {preview(sorted(both))}; scores "
                     "on these do not measure generalisation. Take them out of one.")
    if features:
        attempt(None, _open_features, dataset, config)
    if not broken:
        _check_points(dataset)
    return dataset, broken


def find_points(root: Path, setting: str) -> Path:
    """The point file for the setting `points`; `auto` prefers points.csv, which the app writes."""
    folder = inside(root, "point_labels")
    if setting != "auto":
        if not Path(os.path.normpath(folder / setting)).is_relative_to(folder):
            raise InputError(f"points={setting}: leaves {folder}. Name a file under it.")
        return inside(root, "point_labels", setting)
    labelled = inside(root, "point_labels", "points.csv")
    return labelled if labelled.exists() else inside(root, "point_labels", "point_gaussian.csv")


def _read_database(path: Path) -> dict[str, dict[str, Any]]:
    document = read_json(path, DATUM_REMEDY)
    database = document.get("database") if isinstance(document, dict) else None
    if not isinstance(database, dict):
        raise InputError(f"{path}: has no `database` of videos. {DATUM_REMEDY}")
    raise_if(condensed(path, [(f"video {video!r}", "does not hold an object", 'Write {"duration", "fps", …}.')
                              for video, info in database.items() if not isinstance(info, dict)]))
    return database


def _read_rates(path: Path, database: dict, default_fps: float,
                findings: list[Finding]) -> tuple[dict[str, float], dict[str, float]]:
    """{video: duration} and {video: fps} of the videos that have a duration.

    A missing fps is taken from the video file, otherwise from `default_fps`.
    """
    named = [video for video in database if is_file_name(video)]
    duration = {video: seconds for video in named if (seconds := _positive(database[video].get("duration"), 1e9))}
    given = {video: _positive(database[video].get("fps"), 1e6, above=1e-3) for video in duration}
    without = [video for video, rate in given.items() if not rate]
    found = _file_rates(path.parent / "videos", set(without)) if without else {}

    def find(level: Level, videos: list[str], does: str, do: str, more: str) -> None:
        if videos:
            findings.append(Finding(level, f"{path}: {naming(videos, does, do)}{more}"))

    find("left out", [video[:80] for video in database if not is_file_name(video)],
         "cannot be a file name", "cannot be file names",
         " (no slashes, line breaks or outer spaces, 200 bytes at most). Rename the video.")
    find("left out", [video for video in named if video not in duration],
         "has no positive duration", "have no positive duration", ". Write it as a number of seconds.")
    find("note", [video for video in without if video in found], "has no usable fps", "have no usable fps",
         "; the rate of the video file is used. Add fps.")
    find("note", [video for video in without if video not in found], "has no usable fps", "have no usable fps",
         f"; {default_fps:g} is used. Only point files and labelling need it; add fps if it is another.")
    return duration, {video: rate or found.get(video, default_fps) for video, rate in given.items()}


def _positive(value: Any, below: float, above: float = 0) -> float | None:
    """The value as a number if it lies between the limits (it may be in quotes), otherwise None."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    return number if above < number < below else None


def _file_rates(folder: Path, videos: set[str]) -> dict[str, float]:
    """{video: average frame rate} of the videos that have a readable file."""
    from hrpro.video.probe import average_rate  # libav is slow to import and rarely needed here

    rates = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.stem in videos and path.stem not in rates:
            with contextlib.suppress(InputError):
                rates[path.stem] = average_rate(inside(folder.parent, "videos", path.name))
    return rates


def _read_classes(path: Path, findings: list[Finding]) -> list[str]:
    """The names in a class file; invalid ones are kept, so that they can be renamed in the app, but reported."""
    names = read_text(path, DATUM_REMEDY).split("\n")
    faults = [(f"line {number}", f"has {name.strip()[:80]!r}, which cannot name a class",
               "Rename it in the app, or here and in the point files, to text without control characters.")
              for number, name in enumerate(names, 1) if name.strip() and not is_name(name.strip())]
    findings += [Finding("error", fault) for fault in condensed(path, faults)]
    return [name.strip() for name in names if name.strip()]


def _classes(listed: list[str], database: dict) -> tuple[str, ...]:
    """Class names: classes.txt in its order, then the annotations' other labels, sorted."""
    listed = list(dict.fromkeys(listed))
    annotated = {entry["label"] for info in database.values() for entry in _annotations(info)
                 if isinstance(entry, dict) and isinstance(entry.get("label"), str) and is_name(entry["label"])}
    return (*listed, *sorted(annotated - set(listed)))


def _annotations(info: dict) -> list:
    entries = info.get("annotations")
    return entries if isinstance(entries, list) else []


def _check_ground_truth(truth: Truth, duration: dict[str, float], measured: set[str]) -> list[Finding]:
    """Faults of the annotated segments. measured: evaluated videos, in which a reversed segment is an error."""
    found = (("error", truth.fault(measured)), ("left out", truth.fault(duration.keys() - measured)),
             ("left out", truth.left_out()), *(("note", note) for note in truth.notes(duration)))
    return [Finding(level, message) for level, message in found if message]


def read_points(path: Path, classes: tuple[str, ...], fps: dict[str, float], duration: dict[str, float],
                findings: list[Finding], known: Container[str] | None = None) -> Points:
    """Read the points that lie inside their videos, and report the others in `findings`.

    An accepted segment must contain its point and lie inside the video; otherwise its point is kept without it.

    Args:
        path: the point file.
        classes: C class names.
        fps, duration: {video: frames per second}, {video: seconds} of the usable videos.
        findings: list to append to.
        known: videos that are not reported as unknown even if they are not usable; None reports no unknown videos.

    Raises:
        InputError: all faults of the file, with their lines.
    """
    if not path.exists():
        findings.append(Finding("to do", f"{path}: no point labels yet. Label some in the app, or put the file there.",
                                "label points"))
        return Points.empty(classes, tuple(fps))
    points, elsewhere, faults = Points.read(path, classes, fps)
    if strange := [place for place in elsewhere if known and place[1] not in known]:
        line, video = strange[0]
        findings.append(Finding("left out" if len(points) or faults else "error",
                                f"{path}: line {line} names the unknown video {video!r}. Add it to gt_full.json or "
                                f"remove the line. ({number_of(len(strange), 'point')} left out.)"))
    limit = np.array([duration[video] for video in fps])[points.video] if len(points) else np.zeros(0)
    outside = (points.seconds < 0) | (points.seconds > limit + 1)
    if (away := points[outside]) and len(away):
        videos = [away.videos[row] for row in dict.fromkeys(away.video.tolist())]
        what = "a point lies" if len(away) == 1 else f"{len(away):,} points lie"
        findings.append(Finding("left out", f"{path}: {what} outside the video, in {preview(videos)}; the first at "
                                f"{away.seconds[0]:.2f} s of {duration[videos[0]]:g} s. Move or remove each."))
    raise_if(faults)
    if late := int(((points.seconds > limit) & ~outside).sum()):
        findings.append(Finding("note", f"{path}: {number_of(late, 'point')} up to a second past the end of the "
                                "video, counted for its last snippet. Check the duration and fps."))
    points, limit = points[~outside], limit[~outside]
    start, end = points.segment.T
    astray = (start < -1) | (start > points.seconds) | (end < points.seconds) | (end > limit + 1)
    if len(away := points[astray]):
        what = "an accepted segment lies" if len(away) == 1 else f"{len(away):,} accepted segments lie"
        videos = [away.videos[row] for row in dict.fromkeys(away.video.tolist())]
        findings.append(Finding("left out", f"{path}: {what} outside the video or not around the point, in "
                                f"{preview(videos)}; the first from {away.segment[0, 0]:g} to {away.segment[0, 1]:g} "
                                f"s with its point at {away.seconds[0]:.2f} s of {duration[videos[0]]:g} s. Correct it "
                                "in the app, or its start_frame and stop_frame."))
    return replace(points, segment=np.where(astray[:, None], np.nan, points.segment))


def _read_ambiguous(path: Path, videos: tuple[str, ...]) -> Segments:
    if not path.exists():
        return Segments.empty(("ambiguous",), videos)
    index = {video: position for position, video in enumerate(videos)}
    rows, faults = [], []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        cells = line.split()
        if not cells or cells[0] not in index:
            continue
        try:
            start, end = float(cells[1]), float(cells[2])
            if not (math.isfinite(start + end) and start < end):
                raise ValueError
            rows.append((start, end, index[cells[0]]))
        except (ValueError, IndexError):
            faults.append((f"line {number}", "is not `video start end` in seconds, rising", "Correct it."))
    raise_if(condensed(path, faults))
    start, end, video = zip(*rows, strict=True) if rows else ((), (), ())
    return Segments.make(start, end, np.zeros(len(rows), int), ("ambiguous",), videos, video=np.array(video, int))


def read_names(path: Path) -> list[str]:
    """The non-blank lines of a split file; InputError if it cannot be read."""
    return [line.strip() for line in read_text(path, DATUM_REMEDY).split("\n") if line.strip()]


def split_file(root: Path, split: str) -> Path:
    """The file that lists a split's videos; InputError if it leads out of the data set."""
    return inside(root, f"split_{split}.txt")


def _read_split(root: Path, split: str, database: dict | None, usable: Container[str],
                findings: list[Finding]) -> list[str]:
    """Videos of a split without duplicates; only usable ones, unless there are no annotations to compare with."""
    names = read_names(path := split_file(root, split))
    known = names if database is None else database
    unknown = [video for video in dict.fromkeys(names) if video not in known]
    twins = looking_like(unknown, known)
    if repeated := [video for video, count in Counter(names).items() if count > 1]:
        what = naming(repeated, "is listed more than once", "are listed more than once")
        findings.append(Finding("note", f"{path}: {what}. Each counts once; remove the other lines."))
    if twins:
        what = naming(sorted(twins), "looks like a name in gt_full.json but is written with other characters",
                      "look like names in gt_full.json but are written with other characters")
        findings.append(Finding("left out", f"{path}: {what}; an accent may be a character of its own. Copy it from "
                                "there."))
    if strange := [video for video in unknown if video not in twins]:
        what = naming(strange, "is not in gt_full.json", "are not in gt_full.json")
        meant = nearest(strange[:20], known)
        likely = next((f" ({video!r} is probably {name!r})" for video, name in meant.items()), "")
        findings.append(Finding("left out", f"{path}: {what}{likely}. Add it there with its duration, or correct or "
                                "remove the line."))
    videos = [video for video in dict.fromkeys(names) if database is None or video in usable]
    if not videos:
        lack = "without a duration" if names and names[0] in (database or {}) else "not"
        why = f" (the first, {names[0]!r}, is {lack} in gt_full.json)" if names else ""
        findings.append(Finding("error", f"{path}: has no usable video{why}. List one video id per line."))
    return videos


def timebase_of(root: Path) -> Timebase:
    """The timebase of the features of the data set in `root`.

    Raises:
        InputError: its settings or its timebase.yaml are invalid.
    """
    return read_timebase(root / "features", config_of(root).timebase)


def _open_features(dataset: DataSet, config: Config) -> None:
    """Open the features of both splits, and drop videos without valid ones from their split."""
    folder = inside(dataset.root, "features")
    timebase = read_timebase(folder, config.timebase)
    expected = {video: timebase.count(seconds) for video, seconds in dataset.duration.items()}
    faults: dict[str, dict[str, FeatureError]] = {}
    for split in SPLITS:
        opened = open_features(inside(dataset.root, "features", split), timebase, config.feature_dim,
                               dataset.splits[split], expected)
        dataset.features[split], faults[split] = opened
    if not any(dataset.features[split].lengths for split in SPLITS) \
            and all(error.kind == "missing" for split in SPLITS for error in faults[split].values()):
        places = " and ".join(str(folder / split) for split in SPLITS)
        hint = elsewhere(folder, places, [video for split in SPLITS for video in dataset.splits[split]])
        if hint:
            dataset.find("error", f"{folder}: holds no <split>/<video>.npy of the splits' videos, but {hint}")
        else:
            dataset.find("to do", f"{folder}: no features yet. Extract them (`python -m hrpro extract "
                         f"{shlex.quote(str(dataset.root))}`, or in the app), or put <split>/<video>.npy there.",
                         "extract features")
    else:
        for split in SPLITS:
            _find_feature_faults(dataset, folder, split, faults[split])
            _find_odd_lengths(dataset, folder, split, expected)
    for split in SPLITS:
        dataset.splits[split] = [video for video in dataset.splits[split] if video not in faults[split]]


def _find_feature_faults(dataset: DataSet, folder: Path, split: str, faults: dict[str, FeatureError]) -> None:
    """Report files with the same fault in one finding; an error if no video of the split has usable features."""
    level = "left out" if dataset.features[split].lengths else "error"
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for video, error in faults.items():
        alike[error.kind, error.remedy].append(video)
    for (kind, remedy), videos in alike.items():
        first = faults[videos[0]]
        hint = elsewhere(folder, str(folder / split), videos) if kind == "missing" else ""
        if hint or (kind == "missing" and len(videos) > 1):
            what = naming(videos, "has no features", "have no features")
            message = f"{folder / split}: {what}{f', but {hint}' if hint else f'. {remedy}'}"
        elif kind == "linked":
            what = naming(videos, first.what, "are links that lead out of the data set", noun="file")
            message = f"{folder / split}: {what}. {remedy}"
        elif len(videos) > 1:
            message = (f"{folder / split}: {len(videos):,} files have the same fault: {preview(videos)}. "
                       f"{videos[0]}.npy {first.what}. {remedy}")
        else:
            message = str(first)
        dataset.find(level, message + f" (No video of the {split} split has usable features.)" * (level == "error"))


def _find_odd_lengths(dataset: DataSet, folder: Path, split: str, expected: dict[str, int]) -> None:
    """Report features whose number of snippets does not fit the length of the video."""
    features = dataset.features[split]
    odd = {video: length for video, length in features.lengths.items()
           if video in expected and not fits(length, expected[video])}
    if not odd:
        return
    timebase, (video, length) = features.timebase, next(iter(odd.items()))
    what = (f"{length} snippets, but {dataset.duration[video]:g} s at {timebase.fps:g} fps and {timebase.stride} "
            f"frames per snippet give {expected[video]}")
    keys = ("fps", "stride") if (folder / "timebase.yaml").exists() else ("frames_per_sec", "segment_frames_num")
    remedy = f"Check {keys[0]}, {keys[1]} and the duration."
    if len(odd) > max(1, len(features.lengths) / 2):    # otherwise a few files or durations are wrong, not the rate
        remedy = explain_lengths(odd, dataset.duration, dataset.fps, timebase, keys) or remedy
    dataset.find("note", f"{folder / split / video}.npy: {what}. {remedy}" if len(odd) == 1 else
                 f"{folder / split}: {len(odd):,} files have another length than their videos: {preview(list(odd))}. "
                 f"{video}.npy has {what}. {remedy}")


def _check_points(dataset: DataSet) -> None:
    """Report classes and videos without points, points that share a snippet, and points of unannotated classes."""
    train = dataset.splits["train"]
    if not dataset.classes:
        dataset.find("to do", f"{dataset.root}: no action classes yet. Add some in the app, or list them in "
                     "classes.txt.", "add action classes")
    points, where = dataset.points, dataset.points_file
    index = {video: row for row, video in enumerate(points.videos)}
    mine = np.isin(points.video, [index[video] for video in train])
    if not mine.any():
        if train and where.exists():
            dataset.find("to do", f"{where}: has no point in a training video. Label some first.", "label points")
        return
    used = np.unique(points.label[mine])
    if unlearnt := [dataset.classes[label] for label in sorted(set(range(len(dataset.classes))) - set(used.tolist()))]:
        what = naming(unlearnt, "has no point in a training video; it is never learnt",
                      "have no point in a training video and are never learnt", noun="class")
        dataset.find("note", f"{where}: {what}. Label one in each.")
    if accepted := int((points.accepted & mine).sum()):
        what = "1 point has an accepted segment" if accepted == 1 else f"{accepted:,} points have an accepted segment"
        dataset.find("note", f"{where}: in training videos, {what}, which training takes as certain.")
    count = np.bincount(points.video, minlength=len(index))
    if bare := [video for video in train if not count[index[video]]]:
        dataset.find("note", f"{where}: {number_of(len(bare), 'training video')} without a point: {preview(bare)}. "
                     "Only the video label of such a video is used. Label them, or take them out of split_train.txt.")
    truth = set(zip(dataset.ground_truth.video.tolist(), dataset.ground_truth.label.tolist(), strict=True))
    shown = {video for video, _ in truth}
    stray = [video for video, label in zip(points.video[mine].tolist(), points.label[mine].tolist(), strict=True)
             if video in shown and (video, label) not in truth]
    if stray:
        dataset.find("note", f"{where}: {number_of(len(stray), 'point')} of a class that the video's annotations do "
                     f"not have, in {preview([points.videos[row] for row in sorted(set(stray))])}. No prototype is "
                     "learnt from these. Annotate the action, or correct the points.")
    if features := dataset.features.get("train"):
        kept = points[mine]
        lengths = np.array([features.lengths.get(video, 1) for video in points.videos])
        rows = features.timebase.rows(kept.seconds, lengths[kept.video])
        (video, _), times = np.unique([kept.video, rows], axis=1, return_counts=True)
        crowded = int((times - 1).sum())
        if full := [points.videos[row] for row in np.unique(video) if 1 < (video == row).sum() == lengths[row]]:
            dataset.find("note", f"{where}: {number_of(len(full), 'training video')} with a point in every snippet: "
                         f"{preview(full)}. No background is learnt from these. Check their points and the features' "
                         "rate.")
        if crowded:
            names = [points.videos[row] for row in np.unique(video[times > 1])]
            dataset.find("note", f"{where}: {number_of(crowded, 'point')} in the same snippet as another, counted "
                         f"together, in {preview(names)}. Move one of each if they mark two actions.")
