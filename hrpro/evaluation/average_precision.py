"""Interpolated average precision of detections, as in ActivityNet's evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments
from hrpro.data.segments import tiou as segment_tiou

# tIoU ranges of the averages that papers report, ends included, in steps of 0.1.
_REPORTED = ((.1, .5), (.3, .7), (.1, .7))


@dataclass(frozen=True)
class Counts:
    """Counts for the detections with a score of at least `score` at one tIoU threshold, over all classes."""

    score: float
    found: int
    false_positives: int
    misses: int

    @property
    def precision(self) -> float:
        return self.found / max(1, self.found + self.false_positives)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.found + self.misses)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.found / max(1, 2 * self.found + self.false_positives + self.misses)


@dataclass(frozen=True, eq=False)
class AveragePrecision:
    """Average precision of detections at K tIoU thresholds; fractions, not percent.

    Attributes:
        tiou: the thresholds, [K].
        classes: the C classes that have ground truth.
        per_class: AP, [C, K].
        ground_truth: annotated actions.
        predictions: the N detections that count, sorted by descending score.
        matched: row of `ground_truth` that each prediction found, -1 for a false positive, [N, K].
        unknown_videos: predictions left out because their video is not evaluated, {video: count}.
        unknown_classes: predictions left out because their class has no ground truth, {class: count}.
    """

    tiou: NDArray[np.float64]
    classes: tuple[str, ...]
    per_class: NDArray[np.float64]
    ground_truth: Segments = field(repr=False)
    predictions: Segments = field(repr=False)
    matched: NDArray[np.intp] = field(repr=False)
    unknown_videos: Mapping[str, int]
    unknown_classes: Mapping[str, int]

    @property
    def mAP(self) -> NDArray[np.float64]:
        """Mean AP over classes, [K]."""
        return self.per_class.mean(axis=0)

    def average(self, low: float, high: float) -> float:
        """Mean mAP over the thresholds from `low` to `high`, both included."""
        return float(self.mAP[(self.tiou > low - 1e-9) & (self.tiou < high + 1e-9)].mean())

    def curve(self, label: str, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Recall, precision and score after each prediction of a class, by descending score, at threshold k."""
        mine = self.predictions.label == self.ground_truth.classes.index(label)
        hits = np.cumsum(self.matched[mine, k] >= 0)
        total = np.count_nonzero(self.ground_truth.label == self.ground_truth.classes.index(label))
        return hits / total, hits / np.arange(1, len(hits) + 1), self.predictions.score[mine]

    def envelope(self, label: str, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Interpolated precision of a class at threshold k, one step per action found; the area under it is the AP.

        Returns:
            Recall at the end of each step, its precision, and the score of the detection that found the action, each
            [H]: precision h applies between recall h - 1 and recall h.
        """
        recall, precision, score = self.curve(label, k)
        hits = np.flatnonzero(np.diff(recall, prepend=0) > 0)
        return recall[hits], np.maximum.accumulate(precision[::-1])[::-1][hits], score[hits]

    def kept(self, least: float) -> int:
        """Number of predictions with a score of at least `least`; they are the first rows of `predictions`."""
        return int(np.searchsorted(-self.predictions.score, -least, side="right"))

    def misses(self, k: int, least: float = -np.inf) -> NDArray[np.intp]:
        """Rows of `ground_truth` that no prediction with a score of at least `least` found at threshold k."""
        return np.setdiff1d(np.arange(len(self.ground_truth)), self.matched[:self.kept(least), k])

    def counts(self, k: int, least: float) -> Counts:
        """Counts for the predictions with a score of at least `least` at threshold k."""
        kept = self.kept(least)
        found = int(np.count_nonzero(self.matched[:kept, k] >= 0))
        return Counts(least, found, kept - found, len(self.ground_truth) - found)

    def best_f1(self, k: int) -> Counts:
        """Counts at the score with the best F1 at threshold k; the highest score if tied, infinite without scores."""
        score = self.predictions.score
        last = np.flatnonzero(np.append(np.diff(score) != 0, True)[:len(score)])   # never split equal scores
        if not len(last):
            return self.counts(k, np.inf)
        f1 = 2 * np.cumsum(self.matched[:, k] >= 0)[last] / (last + 1 + len(self.ground_truth))
        return self.counts(k, float(score[last[f1.argmax()]]))

    def to_json(self) -> dict[str, Any]:
        """Build the report that `evaluate --json` prints.

        Averages are the usual ranges that the thresholds cover, and the range of all thresholds.
        """
        names = [f"{threshold:g}" for threshold in self.tiou]
        tenths = {round(threshold * 10, 6) for threshold in self.tiou.tolist()}
        ranges = [(low, high) for low, high in _REPORTED if {*range(round(low * 10), round(high * 10) + 1)} <= tenths]
        if len(self.tiou) > 1:
            ranges.append((self.tiou[0], self.tiou[-1]))
        return {"mAP": dict(zip(names, self.mAP.tolist(), strict=True)),
                "average": {f"{low:g}:{high:g}": self.average(low, high) for low, high in ranges},
                "per_class": dict(zip(self.classes, self.per_class.tolist(), strict=True)),
                "best_f1": {name: _report(self.best_f1(k)) for k, name in enumerate(names)},
                "n_ground_truth": len(self.ground_truth), "n_predictions": len(self.predictions),
                "n_videos": len(self.ground_truth.videos)}


def _report(counts: Counts) -> dict[str, float | int | None]:
    return {"score": counts.score if np.isfinite(counts.score) else None, "f1": counts.f1,
            "precision": counts.precision, "recall": counts.recall, "found": counts.found,
            "false_positives": counts.false_positives, "misses": counts.misses}


def average_precision(ground_truth: Segments, predictions: Segments, tiou: Sequence[float]) -> AveragePrecision:
    """Compute the average precision of `predictions` at each threshold (docs/method.md, section 6).

    By descending score, each prediction takes the unmatched ground truth of its class and video with the highest tIoU
    that reaches the threshold, or is a false positive. Ties go to the first in order, for predictions and ground truth
    alike. Classes and videos are compared by name.

    Args:
        ground_truth: annotated actions; all its `videos` are evaluated, even those without a segment. Classes without
            a segment do not count.
        predictions: detections.
        tiou: ascending thresholds within (0, 1].

    Raises:
        ValueError: there is no ground truth, or a threshold is out of range or out of order.
    """
    thresholds = np.atleast_1d(np.asarray(tiou, np.float64))
    if not (len(thresholds) and 0 < thresholds[0] <= thresholds[-1] <= 1 and (np.diff(thresholds) > 0).all()):
        raise ValueError("tIoU thresholds must rise within (0, 1]")
    present = np.unique(ground_truth.label)
    if len(present) == 0:
        raise ValueError("there is no ground truth to measure against")
    label = _renamed(predictions.classes, ground_truth.classes)[predictions.label]
    video = _renamed(predictions.videos, ground_truth.videos)[predictions.video]
    known_label, known_video = np.isin(label, present), video >= 0
    rows = np.flatnonzero(known_label & known_video)
    rows = rows[np.argsort(-predictions.score[rows], kind="stable")]
    counted = Segments(predictions.start[rows], predictions.end[rows], label[rows], predictions.score[rows],
                       video[rows], ground_truth.classes, ground_truth.videos)
    matched = _match(ground_truth, counted, thresholds)
    per_class = np.zeros((len(present), len(thresholds)))
    for row, index in enumerate(present):
        hit = matched[counted.label == index] >= 0
        precision = np.cumsum(hit, axis=0) / np.arange(1, len(hit) + 1)[:, None]
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        per_class[row] = (envelope * hit).sum(axis=0) / np.count_nonzero(ground_truth.label == index)
    classes = tuple(ground_truth.classes[index] for index in present)
    return AveragePrecision(thresholds, classes, per_class, ground_truth, counted, matched,
                            _counts(predictions.videos, predictions.video[~known_video]),
                            _counts(predictions.classes, predictions.label[known_video & ~known_label]))


def _counts(names: tuple[str, ...], rows: NDArray[np.intp]) -> dict[str, int]:
    """{name: number of times its index occurs in `rows`}, in the order of the names, without zeros."""
    count = np.bincount(rows, minlength=len(names))
    return {names[index]: int(count[index]) for index in np.flatnonzero(count)}


def _renamed(names: tuple[str, ...], vocabulary: tuple[str, ...]) -> NDArray[np.intp]:
    """Index of each name in the vocabulary, -1 for unknown names."""
    lookup = {name: index for index, name in enumerate(vocabulary)}
    return np.array([lookup.get(name, -1) for name in names], np.intp)


def _match(ground_truth: Segments, predictions: Segments, tiou: NDArray[np.float64]) -> NDArray[np.intp]:
    """Row of ground truth that each prediction takes at each threshold [N, K], -1 for none.

    Predictions are sorted by descending score, so a row's number is its rank. All predictions ask for their best match
    at once; the first in rank among those asking for the same one holds it, and the others ask for their next best,
    until nobody is refused. The result equals that of a greedy loop over predictions, but takes only a few rounds over
    arrays.
    """
    matched = np.full((len(predictions), len(tiou)), -1)
    found = list(_candidates(ground_truth, predictions, tiou[0]))
    if not found:
        return matched
    rank, wanted, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((wanted, -iou, rank))
    rank, wanted, iou = rank[order], wanted[order], np.append(iou[order], 0)
    ends = np.append(rank[1:] != rank[:-1], True)  # last candidate of its prediction
    first = np.flatnonzero(np.append(True, ends[:-1]))
    asked, k = np.nonzero(iou[first, None] >= tiou)
    asked = first[asked]
    holder = np.full(len(ground_truth) * len(tiou), len(predictions))
    while True:
        slot = wanted[asked] * len(tiou) + k
        np.minimum.at(holder, slot, rank[asked])
        refused = holder[slot] != rank[asked]
        if not refused.any():
            break
        again = refused & ~ends[asked] & (iou[asked + 1] >= tiou[k])
        asked, k = np.append(asked[~refused], asked[again] + 1), np.append(k[~refused], k[again])
    matched[rank[asked], k] = wanted[asked]
    return matched


def _candidates(ground_truth: Segments, predictions: Segments,
                threshold: float) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]]:
    """Yield (prediction, ground truth, tIoU) of all pairs that reach the threshold, per video and class."""
    keys = [segments.video * len(ground_truth.classes) + segments.label for segments in (ground_truth, predictions)]
    groups = np.unique(keys[0])
    orders = [np.argsort(key, kind="stable") for key in keys]
    bounds = [(np.searchsorted(key[order], groups), np.searchsorted(key[order], groups, side="right"))
              for key, order in zip(keys, orders, strict=True)]
    for truth_from, truth_to, from_, to in np.column_stack(sum(bounds, ())).tolist():
        truth, mine = orders[0][truth_from:truth_to], orders[1][from_:to]
        start, end = predictions.start[mine, None], predictions.end[mine, None]
        begin, stop = ground_truth.start[truth], ground_truth.end[truth]
        iou = segment_tiou(start, end, begin, stop)
        row, column = np.nonzero(iou >= threshold)
        yield mine[row], truth[column], iou[row, column]
