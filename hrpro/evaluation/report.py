"""Average precision of result files, and its report for the terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hrpro.data.segments import Segments
from hrpro.data.truth import Truth
from hrpro.errors import InputError, number_of, preview, raise_if
from hrpro.evaluation.average_precision import AveragePrecision, average_precision
from hrpro.files import read_json
from hrpro.names import nearest

NAMED = 3                                               # unknown names with a suggestion in a message
SUBSETS = 8                                             # subsets listed in a message


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Average precision of a result file, and notes on how to read it, one sentence each."""

    precision: AveragePrecision
    notes: list[str]


@dataclass(frozen=True, eq=False)
class _Annotations:
    """One subset of a ground-truth file; `subset_of` is {video: subset} for all videos of the file."""

    truth: Truth
    duration: dict[str, float]
    subset_of: dict[str, str]


def evaluate_files(gt_path: Path, pred_path: Path, subset: str, tiou: Sequence[float],
                   ignore_videos: Collection[str] = (), *, strict: bool = False) -> Evaluation:
    """Evaluate a result file against one subset of a ground-truth file, both in ActivityNet's format.

    Predictions for other videos or for classes that the subset does not have are left out and counted. Predictions
    without length, or that end before they start, are false positives.

    Args:
        gt_path: ground-truth file.
        pred_path: result file.
        subset: subset of the ground truth to evaluate on.
        tiou: thresholds.
        ignore_videos: videos to leave out.
        strict: count annotated segments without length, as actions that nothing can find.

    Raises:
        InputError: all faults of both files; or no prediction belongs to a video and a class of the ground truth.
    """
    faults, read = [], []
    for reader in (lambda: _read_annotations(gt_path, subset, ignore_videos, strict),
                   lambda: Segments.from_activitynet(pred_path, body="results")):
        try:
            read.append(reader())
        except InputError as error:
            faults += error.faults
    raise_if(faults)
    annotations, predictions = read
    ignored = np.array([video in ignore_videos for video in predictions.videos], bool)[predictions.video]
    precision = average_precision(annotations.truth.counted, predictions[~ignored], tiou)
    if len(predictions) and not len(precision.predictions):
        why = unmatched(precision, annotations.subset_of) or ["All its videos are left out by --ignore-video."]
        if precision.unknown_videos and precision.unknown_videos.keys() <= annotations.subset_of.keys():
            why.append("Give that subset as --subset.")
        raise InputError(f"{pred_path}: no prediction belongs to a video and a class of the subset {subset!r} of "
                         f"{gt_path}. {' '.join(why)}")
    return Evaluation(precision, [*_not_ignored(ignore_videos, annotations.subset_of, predictions.videos, gt_path),
                                  *filter(None, [annotations.truth.left_out()]),
                                  *annotations.truth.notes(annotations.duration),
                                  *notes(precision, annotations.subset_of, annotations.duration)])


def _not_ignored(names: Collection[str], videos: Mapping[str, str], predicted: Sequence[str],
                 path: Path) -> list[str]:
    """Note on ignored videos that are in neither file, if any."""
    unknown = sorted({*names} - videos.keys() - {*predicted})
    if not unknown:
        return []
    likely = nearest(unknown[:1], videos).get(unknown[0])
    return [f"--ignore-video: {preview(unknown)} not in {path}." + (f" Did you mean {likely!r}?" if likely else "")]


def _read_annotations(path: Path, subset: str, ignore_videos: Collection[str], strict: bool) -> _Annotations:
    document = read_json(path)
    database = document.get("database") if isinstance(document, dict) else None
    if database is None and isinstance(document, dict) and "results" in document:
        raise InputError(f"{path}: holds detections (`results`), not ground truth (`database`). If the two files are "
                         "swapped, exchange --gt and --pred.")
    if not isinstance(database, dict) or not all(isinstance(info, dict) for info in database.values()):
        raise InputError(f"{path}: has no `database` of videos. Give a ground-truth file in ActivityNet's JSON format.")
    subset_of = {video: str(info["subset"]) for video, info in database.items() if "subset" in info}
    found = Counter(subset_of.values())
    if subset not in found:
        likely = nearest([subset], found).get(subset)
        names = ", ".join(f"{name} ({count} videos)" for name, count in sorted(found.items())[:SUBSETS])
        raise InputError(f"{path}: has no video of the subset {subset!r}. "
                         + (f"Did you mean {likely!r}? " if likely else "") + f"Choose one of: {names or 'none found'}"
                         + (" …" if len(found) > SUBSETS else "") + ".")
    videos = [video for video, of in subset_of.items() if of == subset and video not in ignore_videos]
    truth = Truth(path, Segments.from_activitynet(path, videos=videos, body="database"), strict)
    if fault := truth.fault(set(videos)):
        raise InputError(fault)
    if len(truth.counted) == 0:
        length = "with a length " if len(truth.annotated) else ""
        raise InputError(f"{path}: has no annotated segment {length}in the subset {subset!r}, so there is nothing to "
                         "measure against. Annotate some, or ignore fewer videos.")
    seconds = {video: database[video].get("duration") for video in videos}
    return _Annotations(truth, {video: value for video, value in seconds.items()
                                if isinstance(value, (int, float)) and 0 < value < math.inf}, subset_of)


def parse_tiou(text: str) -> list[float]:
    """Parse thresholds written as `first:last:step` (both ends included) or `value,value,…`.

    Raises:
        InputError: any other format, or thresholds outside (0, 1] or out of order.
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
        raise InputError(f"--tiou {text}: is not a list of rising thresholds within (0, 1]. "
                         "Write first:last:step, such as 0.1:0.7:0.1, or values such as 0.3,0.5,0.7.")
    return values


def notes(precision: AveragePrecision, subset_of: Mapping[str, str] | None = None,
          duration: Mapping[str, float] | None = None) -> list[str]:
    """Write notes about the predictions, one sentence each.

    Args:
        precision: the evaluation.
        subset_of: {video: subset} of the ground-truth file, to tell videos of other subsets from unknown ones.
        duration: {video: seconds}, to find predictions that start after their video's end.
    """
    found, truth = precision.predictions, precision.ground_truth
    said = unmatched(precision, subset_of or {})
    limit = np.array([(duration or {}).get(video, np.inf) for video in found.videos])[found.video]
    for wrong, one, many in (
            (found.length < 0, "ends before the start and counts as a false positive.",
             "end before the start and count as false positives."),
            (found.length == 0, "ends where it starts and counts as a false positive.",
             "end where they start and count as false positives."),
            ((found.start >= limit) & (found.length > 0), "starts after the end of its video. Is the time in seconds?",
             "start after the end of their video. Are the times in seconds?")):
        if count := int(np.count_nonzero(wrong)):
            said.append(f"{number_of(count, 'prediction')} {one if count == 1 else many}")
    silent = np.bincount(found.video, minlength=len(truth.videos)) == 0
    if len(found) == 0:
        said.append("There are no predictions, so every action is a miss.")
    elif silent.any():
        names = [truth.videos[index] for index in np.flatnonzero(silent)]
        said.append(f"{len(names):,} of {number_of(len(truth.videos), 'video')} without any prediction: "
                    f"{preview(names)}"
                    ". All their actions are misses.")
    return said


def unmatched(precision: AveragePrecision, subset_of: Mapping[str, str]) -> list[str]:
    """Report predictions left out because of their video or class, with likely intended names, one sentence each."""
    videos, classes, said = precision.unknown_videos, precision.unknown_classes, []
    if other := [video for video in videos if video in subset_of]:
        places = Counter(subset_of[video] for video in other)
        said.append(f"{_left_out(videos, other)}: {number_of(len(other), 'video')} of another subset "
                    f"({', '.join(f'{name}: {count:,}' for name, count in places.most_common(SUBSETS))}).")
    if strange := [video for video in videos if video not in subset_of]:
        said.append(f"{_left_out(videos, strange)}: {number_of(len(strange), 'video')} not in the ground truth. "
                    + _likely(strange, precision.ground_truth.videos, "in the subset", "videos"))
    if classes:
        said.append(f"{_left_out(classes, classes)}: {number_of(len(classes), 'class', 'classes')} without ground "
                    "truth. "
                    + _likely(list(classes), precision.classes, "a class of the subset", "classes"))
    return said


def _likely(names: list[str], known: Sequence[str], place: str, what: str) -> str:
    """Suggest likely intended names for the first unknown names."""
    meant = nearest(names[:NAMED], known)
    said = [f"{name!r} is not {place}; the ground truth has {other!r}." for name, other in meant.items()]
    if rest := [name for name in names if name not in meant]:
        said.append(f"Not {place}: {preview(rest)}." + ("" if meant else f" The ground truth has {preview(known)}."))
    return " ".join([*said, f"Rename the {what} in one of the files." if meant else ""]).strip()


def _left_out(counts: Mapping[str, int], names: Iterable[str]) -> str:
    return f"{number_of(sum(counts[name] for name in names), 'prediction')} left out"


def table(precision: AveragePrecision) -> str:
    """Format per-class AP, mAP and averages in percent, then the counts at the score with the best F1."""
    report = precision.to_json()
    best = list(report["best_f1"].values())
    rows = [*report["per_class"].items(), ("mAP", list(report["mAP"].values()))]
    counted = [("best F1", [f"{100 * counts['f1']:.1f}" for counts in best]),
               ("at scores from", ["-" if counts["score"] is None else f"{counts['score']:.3g}" for counts in best]),
               *((name.replace("_", " "), [str(counts[name]) for counts in best])
                 for name in ("found", "false_positives", "misses"))]
    width = max(len(name) for name, _ in [*rows, *counted])
    lines = [f"{'AP in % at tIoU':{width}}" + "".join(f"{name:>7}" for name in report["mAP"])]
    lines += [f"{name:{width}}" + "".join(f"{100 * value:7.1f}" for value in values) for name, values in rows]
    lines += [f"{'average ' + name:{width}}{100 * value:7.1f}" for name, value in report["average"].items()]
    lines += [f"{name:{width}}" + "".join(f" {text:>6}" for text in texts) for name, texts in counted]
    lines.append(f"{report['n_ground_truth']} ground-truth segments, {report['n_predictions']} predictions, "
                 f"{report['n_videos']} videos")
    return "\n".join(lines)
