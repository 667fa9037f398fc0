"""Average precision of result files, and how it is shown in a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from hrpro.data.segments import Segments
from hrpro.errors import InputError, raise_if
from hrpro.evaluation.average_precision import AveragePrecision, average_precision
from hrpro.files import read_json


def evaluate_files(gt_path: Path, pred_path: Path, subset: str, tiou: Sequence[float],
                   ignore_videos: Collection[str] = ()) -> AveragePrecision:
    """Average precision of a result file against one subset of a ground-truth file, both in ActivityNet's format.

    Predictions for other videos, and of classes that the subset lacks, are left out and counted; such as end before
    they begin are false positives.

    Raises:
        InputError: every fault of both files.
    """
    faults, read = [], []
    for reader in (lambda: _read_ground_truth(gt_path, subset, ignore_videos),
                   lambda: Segments.from_activitynet(pred_path, body="results")):
        try:
            read.append(reader())
        except InputError as error:
            faults += error.faults
    raise_if(faults)
    ground_truth, predictions = read
    wanted = np.array([video not in ignore_videos for video in predictions.videos], bool)
    return average_precision(ground_truth, predictions[wanted[predictions.video]], tiou)


def _read_ground_truth(path: Path, subset: str, ignore_videos: Collection[str]) -> Segments:
    document = read_json(path)
    database = document.get("database") if isinstance(document, dict) else None
    if not isinstance(database, dict) or not all(isinstance(info, dict) for info in database.values()):
        raise InputError(f"{path}: has no `database` of videos. Give a ground-truth file in ActivityNet's JSON format.")
    found = Counter(str(info["subset"]) for info in database.values() if "subset" in info)
    if subset not in found:
        names = ", ".join(f"{name} ({count} videos)" for name, count in sorted(found.items()))
        raise InputError(f"{path}: has no video of the subset {subset!r}. Choose one of: {names or 'none found'}.")
    videos = [video for video, info in database.items()
              if str(info.get("subset")) == subset and video not in ignore_videos]
    segments = Segments.from_activitynet(path, videos=videos, body="database")
    raise_if([f"{path}: video {segments.videos[segments.video[row]]!r} has the segment [{segments.start[row]:g}, "
              f"{segments.end[row]:g}], which does not end after it begins. Swap its ends or remove it."
              for row in np.flatnonzero(segments.length <= 0)])
    if len(segments) == 0:
        raise InputError(f"{path}: has no annotated segment in the subset {subset!r}; there is nothing to measure "
                         "against. Annotate some, or ignore fewer videos.")
    return segments


def parse_tiou(text: str) -> list[float]:
    """Thresholds from `first:last:step` (both counted) or `value,value,…`.

    Raises:
        InputError: anything else, or thresholds outside (0, 1] or out of order.
    """
    try:
        if ":" in text:
            first, last, step = map(float, text.split(":"))
            count = math.floor((last - first) / step + 1e-6) + 1
            values = [round(first + index * step, 9) for index in range(min(count, 1001))]
        else:
            values = list(map(float, text.split(",")))
    except (ValueError, ZeroDivisionError, OverflowError):
        values = []
    pairs = zip([0., *values], values, strict=False)
    if not values or len(values) > 1000 or not all(low < high <= 1 for low, high in pairs):
        raise InputError(f"--tiou {text}: is no list of thresholds that rise within (0, 1]. "
                         "Write first:last:step, such as 0.1:0.7:0.1, or values such as 0.3,0.5,0.7.")
    return values


def notes(precision: AveragePrecision) -> list[str]:
    """What a reader of the figures should know of the predictions, a sentence each."""
    reversed_ = int(np.count_nonzero(precision.predictions.length < 0))
    counts = ((precision.unknown_label, "left out: no ground truth has their class"),
              (precision.unknown_video, "left out: their video is not in the subset"),
              (reversed_, "end before they begin and count as false positives"))
    return [f"{count} predictions {what}." for count, what in counts if count]


def table(precision: AveragePrecision) -> str:
    """Per-class AP, mAP and averages in percent, as text."""
    report = precision.to_json()
    rows = [*report["per_class"].items(), ("mAP", list(report["mAP"].values()))]
    width = max(len(name) for name, _ in [*rows, ("AP in % at tIoU", [])])
    lines = [f"{'AP in % at tIoU':{width}}" + "".join(f"{name:>7}" for name in report["mAP"])]
    lines += [f"{name:{width}}" + "".join(f"{100 * value:7.1f}" for value in values) for name, values in rows]
    lines += [f"{'average ' + name:{width}}{100 * value:7.1f}" for name, value in report["average"].items()]
    lines.append(f"{report['n_ground_truth']} ground-truth segments, {report['n_predictions']} predictions, "
                 f"{report['n_videos']} videos")
    return "\n".join(lines)
