"""Where average precision is lost: the cost and the kind of each false positive and miss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments, tiou
from hrpro.evaluation.average_precision import AveragePrecision

LEAST_OVERLAP = .1                                      # tIoU below which two segments are unrelated
PAIRS = 1 << 21                                         # pairs of segments compared at a time
# Kinds of false positives (terms of Alwassel et al., ECCV 2018) and of misses.
KINDS = {"double detection": "Its action is already found by a detection with a higher score.",
         "wrong label": "Overlaps an action of another class well enough.",
         "localization": "Overlaps an action of its class, but not well enough.",
         "confusion": "Overlaps an action of another class, but not well enough either.",
         "background": "There is no action."}
MISS_KINDS = {"low score": "A detection finds it, but its score is below the chosen one.",
              "shared detection": "Its detection finds another action.",
              "wrong label": "Detected as another class.",
              "localization": "Detected, but the overlap is too small.",
              "confusion": "Only a detection of another class overlaps it, and not well enough.",
              "not detected": "No detection overlaps it."}


@dataclass(frozen=True, eq=False)
class VideoMistakes:
    """Mistakes per video at one tIoU threshold.

    Attributes:
        videos: names of the V videos.
        cost: mAP lost to the video's false positives and misses, [V]; adds up to 1 - mAP.
        misses: number of misses at the chosen score, [V].
        false_positives: number of false positives at the chosen score, [V].
    """

    videos: tuple[str, ...]
    cost: NDArray[np.float64]
    misses: NDArray[np.intp]
    false_positives: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Explained:
    """Kinds of N mistakes.

    Attributes:
        kind: keys of KINDS (of MISS_KINDS for misses), [N].
        other: row of the ground truth (for a miss, of the predictions) that decided the kind, -1 for none, [N].
        tiou: overlap with it, 0 for none, [N].
    """

    kind: NDArray[np.str_]
    other: NDArray[np.intp]
    tiou: NDArray[np.float64]


def detection_costs(precision: AveragePrecision, k: int) -> NDArray[np.float64]:
    """mAP lost to each prediction that is a false positive at threshold k, [N]; 0 for the others.

    A class's AP is the mean, over its n actions, of the interpolated precision of the detection that finds each: the
    highest precision at its rank or later, say at rank r. It falls short of 1 by the share of false positives among
    the first r detections, so each of them costs 1 / r for this action and 1 / (n r) of the AP. Together with
    `miss_costs`, this adds up to exactly 1 - mAP.
    """
    cost = np.zeros(len(precision.predictions))
    for rows, actions in _by_class(precision):
        hit = precision.matched[rows, k] >= 0
        ranks = np.arange(1, len(rows) + 1)
        backwards = (np.cumsum(hit) / ranks)[::-1]
        highest = np.maximum.accumulate(backwards)
        rank = len(rows) - np.maximum.accumulate(np.where(backwards == highest, ranks - 1, 0))[::-1]
        taken = np.bincount(rank[hit], 1 / rank[hit], len(rows) + 1)[1:]       # per rank that sets the precision
        cost[rows] = np.where(hit, 0, np.cumsum(taken[::-1])[::-1]) / (len(actions) * len(precision.classes))
    return cost


def miss_costs(precision: AveragePrecision, k: int) -> NDArray[np.float64]:
    """mAP lost to each annotated action that is not found at threshold k, [G]; 0 for the others."""
    cost = np.zeros(len(precision.ground_truth))
    for _, actions in _by_class(precision):
        cost[actions] = 1 / (len(actions) * len(precision.classes))
    found = precision.matched[:, k]
    cost[found[found >= 0]] = 0
    return cost


def video_mistakes(precision: AveragePrecision, k: int, least: float = -np.inf) -> VideoMistakes:
    """Summarise the mistakes of each video at threshold k.

    Args:
        precision: the evaluation.
        k: index of the tIoU threshold.
        least: only detections with at least this score are counted; like the mAP, the cost always covers all of them.
    """
    truth, predictions = precision.ground_truth, precision.predictions
    size = len(truth.videos)
    cost = np.bincount(predictions.video, detection_costs(precision, k), size) \
        + np.bincount(truth.video, miss_costs(precision, k), size)
    wrong = np.flatnonzero(precision.matched[:precision.kept(least), k] < 0)
    return VideoMistakes(truth.videos, cost, np.bincount(truth.video[precision.misses(k, least)], minlength=size),
                         np.bincount(predictions.video[wrong], minlength=size))


def false_positives(precision: AveragePrecision, k: int, label: str | None = None,
                    least: float = -np.inf) -> NDArray[np.intp]:
    """Rows of `predictions` that are false positives at threshold k, by descending score.

    Args:
        precision: the evaluation.
        k: index of the tIoU threshold.
        label: only this class.
        least: only detections with at least this score.
    """
    rows = np.flatnonzero(precision.matched[:precision.kept(least), k] < 0)
    return rows[_of_class(precision.predictions[rows], label)]


def misses(precision: AveragePrecision, k: int, label: str | None = None, least: float = -np.inf) -> NDArray[np.intp]:
    """Rows of `ground_truth` that no prediction finds at threshold k, longest first.

    Args:
        precision: the evaluation.
        k: index of the tIoU threshold.
        label: only this class.
        least: only detections with at least this score count.
    """
    rows = precision.misses(k, least)
    rows = rows[_of_class(precision.ground_truth[rows], label)]
    return rows[np.argsort(-precision.ground_truth.length[rows], kind="stable")]


def explain_false_positives(precision: AveragePrecision, k: int, rows: NDArray[np.intp]) -> Explained:
    """Find the kind of each false positive at threshold k.

    The action of the detection's own class that it overlaps most decides if their tIoU reaches the threshold; otherwise
    the action of any class that the detection overlaps most.

    Args:
        precision: the evaluation.
        k: index of the tIoU threshold.
        rows: rows of `predictions`, [N].
    """
    return Explained(*_overlapped(precision.predictions[rows], precision.ground_truth, precision.tiou[k],
                                  "double detection", "background"))


def explain_misses(precision: AveragePrecision, k: int, rows: NDArray[np.intp], least: float = -np.inf) -> Explained:
    """Find the reason why each annotated action is missed at threshold k.

    The detection that decides is chosen like the action in `explain_false_positives`, except that a detection with a
    score below `least` that finds the action takes precedence.

    Args:
        precision: the evaluation.
        k: index of the tIoU threshold.
        rows: rows of `ground_truth`, [N].
        least: only detections with at least this score count.
    """
    kept = precision.kept(least)
    kind, other, overlap = _overlapped(precision.ground_truth[rows], precision.predictions[:kept], precision.tiou[k],
                                       "shared detection", "not detected")
    finder = np.full(len(precision.ground_truth), -1)
    later = kept + np.flatnonzero(precision.matched[kept:, k] >= 0)
    finder[precision.matched[later, k]] = later
    low = np.flatnonzero(finder[rows] >= 0)
    kind[low], other[low] = "low score", finder[rows[low]]
    mine, found = precision.ground_truth[rows[low]], precision.predictions[other[low]]
    overlap[low] = tiou(mine.start, mine.end, found.start, found.end)
    return Explained(kind, other, overlap)


def best_overlap(segments: Segments, others: Segments, *,
                 same_class: bool) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the other segment in the same video that overlaps each segment most; ties go to the first.

    Args:
        segments: N segments.
        others: segments to compare with.
        same_class: only consider others of the segment's class.

    Returns:
        Row of `others`, -1 for none, [N], and their tIoU, [N].

    Raises:
        ValueError: the two do not share their classes and videos.
    """
    if (segments.classes, segments.videos) != (others.classes, others.videos):
        raise ValueError("segments must share their classes and videos")
    row_of, best = np.full(len(segments), -1), np.zeros(len(segments))
    for row, other in _pairs(segments, others, same_class):
        overlap = tiou(segments.start[row], segments.end[row], others.start[other], others.end[other])
        np.maximum.at(best, row, overlap)
        at = np.flatnonzero((overlap == best[row]) & (overlap > 0))
        row, first = np.unique(row[at], return_index=True)
        row_of[row] = other[at[first]]
    return row_of, best


def _overlapped(segments: Segments, others: Segments, threshold: float, same: str,
                none: str) -> tuple[NDArray[np.str_], NDArray[np.intp], NDArray[np.float64]]:
    """Kind of each segment, row of the other segment that decides it, and their tIoU.

    `same` is the kind if a segment of the same class reaches the threshold, `none` if no segment overlaps enough.
    """
    own, own_overlap = best_overlap(segments, others, same_class=True)
    other, overlap = best_overlap(segments, others, same_class=False)
    reached = own_overlap >= threshold
    mine = reached | (own_overlap == overlap)
    other, overlap = np.where(mine, own, other), np.where(mine, own_overlap, overlap)
    least = min(LEAST_OVERLAP, threshold)
    kind = np.select([reached, overlap >= threshold, (overlap >= least) & mine, overlap >= least],
                     [same, "wrong label", "localization", "confusion"], none)
    return kind.astype("U32"), other, overlap


def _pairs(segments: Segments, others: Segments,
           same_class: bool) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield blocks of (row of segments, row of others) in the same video, and of the same class if `same_class`; all
    pairs of a row are in one block."""
    keys = [rows.video * len(rows.classes) + rows.label if same_class else rows.video for rows in (segments, others)]
    order = np.argsort(keys[1], kind="stable")
    first, last = (np.searchsorted(keys[1][order], keys[0], side) for side in ("left", "right"))
    count = last - first
    block = np.cumsum(count) // PAIRS
    for rows in np.split(np.arange(len(segments)), np.flatnonzero(np.diff(block)) + 1):
        counts = count[rows]
        at = np.arange(counts.sum()) + np.repeat(first[rows] - np.cumsum(counts) + counts, counts)
        yield np.repeat(rows, counts), order[at]


def _by_class(precision: AveragePrecision) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield (rows of `predictions` by descending score, rows of `ground_truth`) of each class with ground truth."""
    index = np.unique(precision.ground_truth.label)
    rows = []
    for label in (precision.predictions.label, precision.ground_truth.label):
        order = np.argsort(label, kind="stable")
        first, last = (np.searchsorted(label[order], index, side) for side in ("left", "right"))
        rows.append([order[begin:end] for begin, end in zip(first, last, strict=True)])
    return zip(*rows, strict=True)


def _of_class(segments: Segments, label: str | None) -> NDArray[np.bool_]:
    if label is None:
        return np.ones(len(segments), bool)
    return segments.label == segments.classes.index(label)
