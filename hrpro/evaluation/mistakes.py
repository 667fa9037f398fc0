"""Where average precision is lost: wrong detections, missed actions, and the videos that cost most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import AveragePrecision


@dataclass(frozen=True, eq=False)
class VideoMistakes:
    """What each of V videos costs at one tIoU threshold; `videos` names them.

    lost: mAP that the video keeps from 1, [V]; adds up to 1 - mAP. missed: actions not found, [V].
    false_alarms: wrong detections among the best n of their class, n being its number of actions, [V].
    """

    videos: tuple[str, ...]
    lost: NDArray[np.float64]
    missed: NDArray[np.intp]
    false_alarms: NDArray[np.intp]


def video_mistakes(precision: AveragePrecision, k: int) -> VideoMistakes:
    """What each video costs at threshold k.

    A class's AP is the sum, over its found actions, of the precision envelope at the detection that found it, divided
    by its number of actions: what an action falls short of 1 there is lost in the action's video.
    """
    truth, predictions = precision.ground_truth, precision.predictions
    size = len(truth.videos)
    lost, false_alarms = np.zeros(size), np.zeros(size, np.intp)
    for label in precision.classes:
        index = truth.classes.index(label)
        mine = np.flatnonzero(predictions.label == index)
        hit = precision.matched[mine, k] >= 0
        envelope = np.maximum.accumulate(precision.curve(label, k)[1][::-1])[::-1]
        actions = truth.video[truth.label == index]
        lost += np.bincount(actions, minlength=size) / len(actions)
        lost -= np.bincount(predictions.video[mine[hit]], envelope[hit], size) / len(actions)
        best = slice(len(actions))
        false_alarms += np.bincount(predictions.video[mine[best][~hit[best]]], minlength=size)
    missed = np.bincount(truth.video[precision.misses(k)], minlength=size)
    return VideoMistakes(truth.videos, lost / len(precision.classes), missed, false_alarms)


def false_positives(precision: AveragePrecision, k: int, label: str | None = None) -> Segments:
    """Detections that find nothing at threshold k, by falling score; of one class if named."""
    return _of_class(precision.predictions[precision.matched[:, k] < 0], label)


def misses(precision: AveragePrecision, k: int, label: str | None = None) -> Segments:
    """Annotated actions that nothing finds at threshold k, longest first; of one class if named."""
    missed = _of_class(precision.ground_truth[precision.misses(k)], label)
    return missed[np.argsort(-missed.length, kind="stable")]


def _of_class(segments: Segments, label: str | None) -> Segments:
    return segments if label is None else segments[segments.label == segments.classes.index(label)]


def best_tiou(segments: Segments, others: Segments) -> NDArray[np.float64]:
    """Highest tIoU of each segment with any of `others` of its class and video, [N]; 0 where there is none.

    Raises:
        ValueError: the two do not share their classes and videos.
    """
    if (segments.classes, segments.videos) != (others.classes, others.videos):
        raise ValueError("segments must share their classes and videos")
    keys = [rows.video * len(rows.classes) + rows.label for rows in (segments, others)]
    order = np.argsort(keys[1], kind="stable")
    first, last = (np.searchsorted(keys[1][order], keys[0], side) for side in ("left", "right"))
    count = last - first
    row = np.repeat(np.arange(len(segments)), count)
    other = order[np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)]
    shared = np.minimum(segments.end[row], others.end[other]) - np.maximum(segments.start[row], others.start[other])
    union = segments.length[row] + others.length[other] - shared
    best = np.zeros(len(segments))
    np.maximum.at(best, row, np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0))
    return best
