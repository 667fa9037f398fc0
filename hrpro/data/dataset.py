"""A data set's folder: annotations, splits, points and features read together, with what is wrong in it."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hrpro.config import Config
from hrpro.data.features import FeatureSet, open_features, read_timebase
from hrpro.data.points import Points
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.files import read_json, read_text

SPLITS = ("train", "test")
DATUM_REMEDY = "See dataset/README.md for the layout and where to get the data."


@dataclass(frozen=True)
class Finding:
    """One thing to know of a data set. error: nothing can run; left out: runs go on without it; note: worth knowing."""

    level: Literal["error", "left out", "note"]
    message: str


@dataclass
class DataSet:
    """One data set, ready to train on.

    classes: names in display order, C of them; duration, fps: {video: seconds, frames per second};
    splits: {"train", "test"} -> videos; ground_truth: every annotated segment; points: of all videos;
    ambiguous: segments that neither count nor cost (THUMOS14); features: {"train", "test"} -> FeatureSet.
    `splits` holds only videos that can be used; `findings` says what was left out and why.
    """

    root: Path
    classes: tuple[str, ...]
    duration: dict[str, float]
    fps: dict[str, float]
    splits: dict[str, list[str]]
    ground_truth: Segments
    points: Points
    points_file: Path
    ambiguous: Segments
    features: dict[str, FeatureSet] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.root.name

    def find(self, level: Literal["error", "left out", "note"], message: str) -> None:
        self.findings.append(Finding(level, message))

    def raise_errors(self) -> None:
        """InputError with every finding that keeps a run from starting."""
        faults = [finding.message for finding in self.findings if finding.level == "error"]
        if faults:
            raise InputError(faults)

    def video_label(self, video: str) -> np.ndarray:
        """Classes of a video, [C] float32 of 0/1: from its annotations, or from its points where it has none."""
        label = np.zeros(len(self.classes), np.float32)
        segments = self.ground_truth.of_video(video)
        label[segments.label if len(segments) else self.points.of_video(video).label] = 1
        return label


def open_dataset(config: Config, *, features: bool = True) -> DataSet:
    """Read the data set that the settings name.

    features: also open and check the feature files.

    Raises:
        InputError: a file that everything hangs on is missing or broken. Lesser faults become `findings`;
            `DataSet.raise_errors` turns those that keep a run from starting into one InputError.
    """
    root = config.data_root
    if not root.is_dir():
        raise InputError(f"{root}: no such data set. {DATUM_REMEDY}")
    database = _read_database(root / "gt_full.json")
    findings: list[Finding] = []
    duration, fps = _read_rates(root / "gt_full.json", database, findings)
    classes = _read_classes(root, database)
    videos = tuple(duration)
    ground_truth = _read_ground_truth(root / "gt_full.json", database, duration, classes, videos, findings)
    points_file = find_points(root, config.points)
    points = _read_points(points_file, classes, fps, duration, findings)
    dataset = DataSet(root, classes, duration, fps, {}, ground_truth, points, points_file,
                      _read_ambiguous(root / "Ambiguous_test.txt", videos), {}, findings)
    for split in SPLITS:
        dataset.splits[split] = _read_split(root / f"split_{split}.txt", duration, findings)
    if both := set(dataset.splits["train"]) & set(dataset.splits["test"]):
        dataset.find("note", f"{root}: {len(both)} videos are in both splits; figures on them say nothing "
                     "of new videos.")
    if features:
        _open_features(dataset, config)
    _check_points(dataset)
    return dataset


def find_points(root: Path, setting: str) -> Path:
    """The point file that the setting `points` names; `auto` prefers points.csv, labelled in the app."""
    folder = root / "point_labels"
    if setting != "auto":
        path = folder / setting
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"points={setting}: leaves {folder}. Name a file under it.")
        return path
    labelled = folder / "points.csv"
    return labelled if labelled.exists() else folder / "point_gaussian.csv"


def _read_database(path: Path) -> dict[str, dict[str, Any]]:
    document = read_json(path, DATUM_REMEDY)
    database = document.get("database") if isinstance(document, dict) else None
    if not isinstance(database, dict) or not all(isinstance(info, dict) for info in database.values()):
        raise InputError(f"{path}: has no `database` of videos. {DATUM_REMEDY}")
    return database


def _read_rates(path: Path, database: dict, findings: list[Finding]) -> tuple[dict[str, float], dict[str, float]]:
    """{video: duration} and {video: fps} of the videos that give both."""
    duration, fps = {}, {}
    for video, info in database.items():
        if re.search(r"[/\\\0]", video) or video in ("", ".", ".."):
            findings.append(Finding("left out", f"{path}: {video!r} cannot be a file name. Rename the video."))
            continue
        try:
            seconds, rate = float(info["duration"]), float(info["fps"])
            if not (0 < seconds < math.inf and 0 < rate < math.inf):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            findings.append(Finding("left out", f"{path}: video {video!r} lacks a positive duration and fps. "
                                    "Add both."))
            continue
        duration[video], fps[video] = seconds, rate
    return duration, fps


def _read_classes(root: Path, database: dict) -> tuple[str, ...]:
    """Class names: classes.txt in its order, then any label of the annotations that it lacks, sorted."""
    listed = []
    if (root / "classes.txt").exists():
        listed = list(dict.fromkeys(filter(None, map(str.strip, read_text(root / "classes.txt").split("\n")))))
    annotated = {entry["label"] for info in database.values() for entry in _annotations(info)
                 if isinstance(entry, dict) and isinstance(entry.get("label"), str)}
    return (*listed, *sorted(annotated - set(listed)))


def _annotations(info: dict) -> list:
    entries = info.get("annotations")
    return entries if isinstance(entries, list) else []


def _read_ground_truth(path: Path, database: dict, duration: dict[str, float], classes: tuple[str, ...],
                       videos: tuple[str, ...], findings: list[Finding]) -> Segments:
    everything = Segments.from_activitynet(path, classes, videos)
    seconds = np.array([duration[video] for video in videos])
    late = everything.end > seconds[everything.video] + .5 if len(everything) else np.zeros(0, bool)
    reversed_ = everything.length <= 0
    for row in np.flatnonzero(reversed_):
        findings.append(Finding("left out", f"{path}: video {videos[everything.video[row]]!r} has a segment "
                                f"[{everything.start[row]:g}, {everything.end[row]:g}] that ends before it begins. "
                                "Swap or remove it."))
    for video in dict.fromkeys(videos[index] for index in everything.video[late & ~reversed_].tolist()):
        findings.append(Finding("note", f"{path}: video {video!r} has segments beyond its end "
                                f"({duration[video]:g} s). Correct the segment or the duration."))
    return everything[~reversed_]


def _read_points(path: Path, classes: tuple[str, ...], fps: dict[str, float], duration: dict[str, float],
                 findings: list[Finding]) -> Points:
    if not path.exists():
        findings.append(Finding("error", f"{path}: no such file. Put the point labels there, or label in the app."))
        return Points([], [], [], classes, tuple(fps))
    points = Points.read(path, classes, fps)
    limit = np.array([duration[video] for video in fps])[points.video] if len(points) else np.zeros(0)
    outside = (points.seconds < 0) | (points.seconds > limit + 1)
    for row in np.flatnonzero(outside):
        video = points.videos[points.video[row]]
        findings.append(Finding("left out", f"{path}: a point of {video!r} at {points.seconds[row]:.2f} s lies outside "
                                f"the video ({duration[video]:g} s). Move or remove it."))
    return points[~outside]


def _read_ambiguous(path: Path, videos: tuple[str, ...]) -> Segments:
    if not path.exists():
        return Segments.empty(("ambiguous",), videos)
    index = {video: position for position, video in enumerate(videos)}
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        cells = line.split()
        try:
            if cells and cells[0] in index:
                rows.append((float(cells[1]), float(cells[2]), index[cells[0]]))
        except (ValueError, IndexError):
            raise InputError(f"{path}: line {number} is not `video start end` in seconds. Correct it.") from None
    start, end, video = zip(*rows, strict=True) if rows else ((), (), ())
    return Segments.make(start, end, np.zeros(len(rows), int), ("ambiguous",), videos, video=np.array(video, int))


def _read_split(path: Path, duration: dict[str, float], findings: list[Finding]) -> list[str]:
    names = [line.strip() for line in read_text(path, DATUM_REMEDY).split("\n") if line.strip()]
    for video, count in Counter(names).items():
        if count > 1:
            findings.append(Finding("note", f"{path}: {video!r} stands {count} times; it is used once."))
        if video not in duration:
            findings.append(Finding("left out", f"{path}: {video!r} is not in gt_full.json. Add it there (duration and "
                                    "fps suffice) or remove the line."))
    videos = [video for video in dict.fromkeys(names) if video in duration]
    if not videos:
        findings.append(Finding("error", f"{path}: names no usable video. List one video id a line."))
    return videos


def _open_features(dataset: DataSet, config: Config) -> None:
    """Open both splits' features; videos without sound ones leave their split."""
    folder = dataset.root / "features"
    timebase = read_timebase(folder, config.timebase)
    for split in SPLITS:
        videos = dataset.splits[split]
        dataset.features[split], faults = open_features(folder / split, timebase, config.feature_dim, videos)
        if videos and len(faults) == len(videos):
            first = next(iter(faults.values()))
            dataset.find("error", f"{folder / split}: none of the {split} split's {len(videos)} videos has usable "
                         f"features; the first: {first}")
        else:
            for fault in faults.values():
                dataset.find("left out", fault)
        dataset.splits[split] = [video for video in videos if video not in faults]
        for video in dataset.splits[split]:
            length, expected = dataset.features[split].lengths[video], timebase.count(dataset.duration[video])
            if abs(length - expected) > max(3, .1 * expected):
                dataset.find("note", f"{folder / split / video}.npy: {length} snippets, but "
                             f"{dataset.duration[video]:g} s at {timebase.fps:g} fps and {timebase.stride} frames a "
                             f"snippet make {expected}. Check frames_per_sec, segment_frames_num and the duration.")


def _check_points(dataset: DataSet) -> None:
    """Classes and videos without points, points that share a snippet, classes named but never shown."""
    train = dataset.splits["train"]
    if not dataset.classes:
        dataset.find("error", f"{dataset.root}: has no class. Annotate segments, or list classes in classes.txt.")
    mine = np.isin(dataset.points.video, [dataset.points.videos.index(video) for video in train])
    if train and not mine.any() and dataset.points_file.exists():
        dataset.find("error", f"{dataset.points_file}: has no point in a training video. Label some first.")
        return
    used = np.unique(dataset.points.label[mine])
    for label in sorted(set(range(len(dataset.classes))) - set(used.tolist())):
        dataset.find("note", f"{dataset.points_file}: class {dataset.classes[label]!r} has no point in a training "
                     "video; its prototype stays zero and it is never learnt.")
    bare = [video for video in train if not len(dataset.points.of_video(video))]
    if bare:
        dataset.find("note", f"{dataset.points_file}: {len(bare)} training videos have no point and teach nothing but "
                     f"their video label: {', '.join(bare[:5])}{' …' if len(bare) > 5 else ''}.")
    if features := dataset.features.get("train"):
        shared = 0
        for video in train:
            rows = features.timebase.rows(dataset.points.of_video(video).seconds, features.lengths[video])
            shared += len(rows) - len(np.unique(rows))
        if shared:
            dataset.find("note", f"{dataset.points_file}: {shared} points share a snippet with another; they count "
                         "together.")
