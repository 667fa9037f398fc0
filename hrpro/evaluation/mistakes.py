"""Where average precision is lost: false positives and misses, what each costs, and what it really is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments, tiou
from hrpro.evaluation.average_precision import AveragePrecision

LEAST_OVERLAP = .1                                      # tIoU below which two segments are unrelated
PAIRS = 1 << 21                                         # segments compared at a time
# What a false positive really is (terms of Alwassel and others, ECCV 2018) and what a miss is.
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
    """What each of V videos costs at one tIoU threshold; `videos` names them.

    cost: mAP that the video's false positives and misses take, [V]; adds up to 1 - mAP. misses, false_positives: how
    many there are at the chosen score, [V].
    """

    videos: tuple[str, ...]
    cost: NDArray[np.float64]
    misses: NDArray[np.intp]
    false_positives: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Explained:
    """What N mistakes really are.

    kind: keys of KINDS (of MISS_KINDS for misses), [N]; other: row of the ground truth (for a miss, of the predictions)
    that says so, -1 for none, [N]; tiou: overlap with it, 0 for none, [N].
    """

    kind: NDArray[np.str_]
    other: NDArray[np.intp]
    tiou: NDArray[np.float64]


def detection_costs(precision: AveragePrecision, k: int) -> NDArray[np.float64]:
    """mAP that each prediction takes by being a false positive at threshold k, [N]; 0 for the others.

    A class's AP is the mean, over its n actions, of the interpolated precision of the detection that finds each: the
    highest precision at its rank or later, say at rank r. It falls short of 1 by the share of false positives among
    the first r detections, so each of those takes 1 / r from this action, 1 / (n r) from the AP. Together with
    `miss_costs` that is exactly what the mAP lacks to 1.
    """
    cost = np.zeros(len(precision.predictions))
    for rows, actions in _by_class(precision):
        hit = precision.matched[rows, k] >= 0
        ranks = np.arange(1, len(rows) + 1)
        backwards = (np.cumsum(hit) / ranks)[::-1]
        highest = np.maximum.accumulate(backwards)
        rank = len(rows) - np.maximum.accumulate(np.where(backwards == highest, ranks - 1, 0))[::-1]
        taken = np.bincount(rank[hit], 1 / rank[hit], len(rows) + 1)[1:]       # by the rank that sets the precision
        cost[rows] = np.where(hit, 0, np.cumsum(taken[::-1])[::-1]) / (len(actions) * len(precision.classes))
    return cost


def miss_costs(precision: AveragePrecision, k: int) -> NDArray[np.float64]:
    """mAP that each annotated action takes by not being found at threshold k, [G]; 0 for those that are found."""
    cost = np.zeros(len(precision.ground_truth))
    for _, actions in _by_class(precision):
        cost[actions] = 1 / (len(actions) * len(precision.classes))
    found = precision.matched[:, k]
    cost[found[found >= 0]] = 0
    return cost


def video_mistakes(precision: AveragePrecision, k: int, least: float = -np.inf) -> VideoMistakes:
    """What each video costs at threshold k; only detections with a score of at least `least` are counted.

    The cost is that of all detections, since the mAP is.
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
    """Rows of `predictions` that find nothing at threshold k and have a score of at least `least`, best score first.

    label: of this class only.
    """
    rows = np.flatnonzero(precision.matched[:precision.kept(least), k] < 0)
    return rows[_of_class(precision.predictions[rows], label)]


def misses(precision: AveragePrecision, k: int, label: str | None = None, least: float = -np.inf) -> NDArray[np.intp]:
    """Rows of `ground_truth` that no prediction with a score of at least `least` finds at threshold k, longest first.

    label: of this class only.
    """
    rows = precision.misses(k, least)
    rows = rows[_of_class(precision.ground_truth[rows], label)]
    return rows[np.argsort(-precision.ground_truth.length[rows], kind="stable")]


def explain_false_positives(precision: AveragePrecision, k: int, rows: NDArray[np.intp]) -> Explained:
    """What false positives at threshold k really are; rows: of `predictions`, [N].

    An action of the detection's own class decides if the two overlap by the threshold or more; else the action of any
    class that the detection overlaps most.
    """
    return Explained(*_overlapped(precision.predictions[rows], precision.ground_truth, precision.tiou[k],
                                  "double detection", "background"))


def explain_misses(precision: AveragePrecision, k: int, rows: NDArray[np.intp], least: float = -np.inf) -> Explained:
    """Why annotated actions are missed at threshold k; rows: of `ground_truth`, [N].

    least: only detections with at least this score count. The detection that decides is chosen as the action is in
    `explain_false_positives`, but one with a lower score that finds the action comes first.
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
    """For each segment the row of `others` in its video that overlaps it most, -1 for none, and their tIoU, each [N].

    same_class: only others of the segment's class. The first of equals is taken.

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
    """Kind, row of the other that decides, and their tIoU.

    same: the kind where a segment of the same class reaches the threshold; none: where no segment overlaps enough.
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
    """(row of segments, row of others) of one video, and of one class if so asked; all pairs of a row in one block."""
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
    """(its rows of `predictions` by falling score, its rows of `ground_truth`) of each class measured."""
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
