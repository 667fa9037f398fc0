"""Check a data set in full and report its contents, faults and remedies: `python -m hrpro validate DATASET_DIR`."""

from __future__ import annotations

import argparse
import contextlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from hrpro.config import Config, config_of
from hrpro.data.dataset import SPLITS, DataSet, Finding, examine, read_names, read_points, split_file
from hrpro.data.folder import video_files
from hrpro.errors import InputError, naming, number_of, preview, system_remedy
from hrpro.files import leads_out, links_outside, looking_like
from hrpro.labels.operations import LabelStore, log_file

LEVELS = ("error", "to do", "left out", "note")
FIX = "fix the errors"
STEPS = ("extract features", "add action classes", "label points")


@dataclass(frozen=True)
class Report:
    """The contents and faults of a data set.

    Attributes:
        counts: videos (annotated or listed), video_files, classes, segments, points, and for each split: videos (listed
            in its file), features (valid ones), segments, points.
        findings: errors first.
        broken: some files cannot be read, so the counts may be too low.
    """

    root: Path
    counts: dict[str, Any]
    findings: list[Finding]
    broken: bool

    @classmethod
    def unreadable(cls, root: Path, faults: Sequence[str]) -> Report:
        """The report on a data set that cannot be checked at all."""
        none = {"videos": 0, "features": 0, "segments": 0, "points": 0}
        counts = {"videos": 0, "video_files": 0, "classes": 0, "segments": 0, "points": 0,
                  "splits": {split: none for split in SPLITS}}
        return cls(root, counts, [Finding("error", fault) for fault in faults], True)

    @property
    def ready(self) -> bool:
        """Whether a run can start."""
        return not any(finding.blocks for finding in self.findings)

    @property
    def next_step(self) -> str:
        """What the owner of the data set should do next: `FIX`, one of `STEPS`, or "train"."""
        if any(finding.level == "error" for finding in self.findings):
            return FIX
        return min((finding.step for finding in self.findings if finding.step), key=STEPS.index, default="train")

    def to_dict(self) -> dict[str, Any]:
        return {"dataset": str(self.root), "ready": self.ready, "next_step": self.next_step, "counts": self.counts,
                "findings": [asdict(finding) for finding in self.findings]}

    def __str__(self) -> str:
        counts = self.counts
        lines = [str(self.root), "  {videos} videos ({video_files} with a file), {classes} classes, {segments} "
                 "segments, {points} points".format(**counts)]
        lines += [f"  {split:5} {of['videos']} videos, {of['features']} with features, {of['segments']} segments, "
                  f"{of['points']} points" for split, of in counts["splits"].items()]
        lines += [f"{finding.level:8}  {finding.message}" for finding in self.findings]
        return "\n".join([*lines, "Ready to train." if self.ready else
                          f"Not ready to train. Next: {self.next_step}."])


def validate(root: Path) -> Report:
    """Check a data set's folder and report the faults of all files together.

    Raises:
        InputError: there is no such folder, or it cannot be read.
    """
    try:
        return _validate(Path(root))
    except OSError as error:
        raise InputError(f"{error.filename or root}: cannot be read ({error.strerror}). "
                         f"{system_remedy(error)}") from error


def _validate(root: Path) -> Report:
    faults: list[str] = []
    try:
        config = config_of(root)
    except InputError as error:
        faults += error.faults
        config = Config(dataset=root.name, data_path=str(root))
    settings_read = not faults
    dataset, broken = examine(config, features=settings_read)
    faults += broken
    try:
        if (log := log_file(root)).exists():
            LabelStore.replay(log)
    except InputError as error:
        faults += error.faults
    findings = [Finding("error", fault) for fault in faults] + dataset.findings
    if not settings_read:
        findings.append(Finding("note", f"{root / 'features'}: not checked until the settings are fixed."))
    listed = {split: _names(root, split) for split in SPLITS}
    files = _video_files(root)
    findings += _check_links(dataset)
    if not broken:
        findings += _check_videos(dataset, listed, files)
    findings += _check_spare_features(root, listed) + _check_point_files(dataset)
    return Report(root, _count(dataset, listed, files), sorted(findings, key=lambda each: LEVELS.index(each.level)),
                  bool(faults))


def signature(root: Path) -> tuple[int, int]:
    """A value that changes whenever a file of the data set does: (number of files, hash of names, sizes and times).

    Linked folders are not walked: those that may be read lead to other folders of the data set.
    """
    stamps = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name != "cache" and not name.startswith(".")]
        for name in (*files, *folders):
            with contextlib.suppress(OSError):          # a temporary file that was renamed meanwhile
                entry = Path(folder, name).lstat()
                if not stat.S_ISDIR(entry.st_mode):
                    stamps.append((folder, name, entry.st_size, entry.st_mtime_ns))
    return len(stamps), hash(frozenset(stamps))


def _names(root: Path, split: str) -> set[str]:
    try:
        return set(read_names(split_file(root, split)))
    except InputError:                                  # already reported by `examine`
        return set()


def _video_files(root: Path) -> Counter[str]:
    """Number of files in videos/ per video name."""
    try:
        return Counter(path.stem for path in video_files(root))
    except InputError:                                  # reported by `_check_links`
        return Counter()


def _check_links(dataset: DataSet) -> list[Finding]:
    """Report symbolic links that lead out of the data set, one finding per top-level file or folder.

    Links of files that `examine` reads, and of the log, are reported already.
    """
    root, by_part = dataset.root, {}
    known = {"features", "config.yaml", "gt_full.json", "classes.txt", "Ambiguous_test.txt",
             *(f"split_{split}.txt" for split in SPLITS)}
    if dataset.points_file.name == "point_labels":      # no point file was found
        known.add("point_labels")
    for path in links_outside(root):
        part, *rest = path.relative_to(root).parts
        if part not in known and path not in (root / "labels", root / "labels" / "operations.jsonl"):
            by_part.setdefault(part, []).append("/".join(rest) or part)
    return [Finding("note", f"{root / part}: {number_of(len(links), 'symbolic link')} out of the data set, not "
                            f"followed: {preview(links)}. Put the files themselves there, or hard links.")
            for part, links in by_part.items()]


def _count(dataset: DataSet, listed: dict[str, set[str]], files: Counter[str]) -> dict[str, Any]:
    videos = set(dataset.duration) | listed["train"] | listed["test"]

    def of(split: str) -> dict[str, int]:
        features = dataset.features.get(split)
        return {"videos": len(listed[split]), "features": len(features.lengths) if features else 0,
                "segments": _within(dataset.ground_truth, listed[split]),
                "points": _within(dataset.points, listed[split])}

    return {"videos": len(videos), "video_files": len(videos & files.keys()), "classes": len(dataset.classes),
            "segments": len(dataset.ground_truth), "points": len(dataset.points),
            "splits": {split: of(split) for split in SPLITS}}


def _within(rows: Any, videos: set[str]) -> int:
    """Number of segments or points in these videos."""
    return int(np.isin(rows.video, [index for index, video in enumerate(rows.videos) if video in videos]).sum())


def _check_videos(dataset: DataSet, listed: dict[str, set[str]], files: Counter[str]) -> list[Finding]:
    """Report annotated videos in no split, videos without a file, and files without a video."""
    root, known, faults = dataset.root, dataset.duration.keys(), []
    idle = sorted(known - listed["train"] - listed["test"])
    if idle and all(listed.values()):
        what = naming(idle, "is in no split and is not used", "are in no split and are not used")
        faults.append(f"{root / 'gt_full.json'}: {what}. List each in split_train.txt or split_test.txt.")
    twins = looking_like(files.keys() - known, known)
    if twins:
        what = naming(sorted(twins), "looks like a name in gt_full.json but is written with other characters",
                      "look like names in gt_full.json but are written with other characters", noun="file")
        faults.append(f"{root / 'videos'}: {what}; macOS writes an accent as a character of its own. Rename it.")
    if not files:
        faults.append(f"{root / 'videos'}: holds no video files; nothing can be watched or labelled, training does "
                      "without. Put <video>.mp4 there.")
    elif missing := sorted(known - files.keys() - looking_like(known, twins)):
        what = naming(missing, "has no file and cannot be watched", "have no file and cannot be watched")
        faults.append(f"{root / 'videos'}: {what}. Put <video>.mp4 there.")
    if spare := sorted(files.keys() - known - dataset.unusable - twins):
        what = naming(spare, "belongs to no video of gt_full.json", "belong to no video of gt_full.json", noun="file")
        faults.append(f"{root / 'videos'}: {what}. Add the video there (its duration and fps suffice), or remove the "
                      "file.")
    if double := sorted(video for video, count in files.items() if count > 1):
        what = naming(double, "has several files, of which the first is shown",
                      "have several files, of which the first is shown")
        faults.append(f"{root / 'videos'}: {what}. Keep one of each.")
    return [Finding("note", fault) for fault in faults]


def _check_spare_features(root: Path, listed: dict[str, set[str]]) -> list[Finding]:
    findings = []
    places = {split: ({split}, f"split_{split}.txt") for split in SPLITS} | {"": (set(SPLITS), "the splits")}
    for name, (splits, source) in places.items():
        folder, known = root / "features" / name, set().union(*(listed[split] for split in splits))
        if known and (spare := sorted({path.stem for path in folder.glob("*.npy")} - known)):
            what = naming(spare, f"belongs to no video of {source}", f"belong to no video of {source}", noun="file")
            findings.append(Finding("note", f"{folder}: {what}. List the video there, or remove the file."))
    return findings


def _check_point_files(dataset: DataSet) -> list[Finding]:
    """Report faults of the point files that are not used."""
    folder = dataset.root / "point_labels"
    messages, known = [], dataset.unusable | dataset.duration.keys()
    for path in sorted([*folder.glob("*.csv"), *folder.glob("human/*.txt")]):
        if path != dataset.points_file and not leads_out(path, dataset.root):           # those are reported already
            found: list[Finding] = []
            try:
                read_points(path, dataset.classes, dataset.fps, dataset.duration, found, known)
            except InputError as error:
                messages += error.faults
            messages += [finding.message for finding in found]
    return [Finding("left out", message) for message in messages]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, metavar="DATASET_DIR", help="folder of the data set")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the report; returns 2 if no run can start, else 0."""
    report = validate(args.root)
    print(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2).decode() if args.json else report)
    return 0 if report.ready else 2
