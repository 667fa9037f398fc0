"""Proposals from snippet scores: threshold, cut into runs, score by outer-inner contrast (OIC)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.timebase import Timebase


def snippet_proposals(P: NDArray, background: NDArray, video_score: NDArray, timebase: Timebase, *, class_thresh: float,
                      act_thresh_cas: Sequence[float], act_thresh_agnostic: Sequence[float], upsample: int = 2,
                      margin: float = .25, gamma: float = 0., classes: Sequence[str], video: str,
                      videos: Sequence[str], snippets: float | None = None) -> Segments:
    """Generate all raw proposals of one video (docs/method.md, section 3), by class, then threshold, then time.

    Args:
        P: fused class scores, [T, C].
        background: background score b, [T].
        video_score: [C].
        timebase: converts snippets to seconds.
        class_thresh: video score below which a class has no proposals; the best class is always kept.
        act_thresh_cas: thresholds on P.
        act_thresh_agnostic: thresholds on 1 - b.
        upsample: factor by which the curves are upsampled.
        margin: length of the outer margins of the OIC score, relative to the proposal's length.
        gamma: weight of the video score in a proposal's score.
        classes: names of the C classes.
        video: name of this video.
        videos: names of all videos of the split.
        snippets: number of snippets of the video, if P was sampled to a different T.

    Raises:
        InputError: the scores are not finite.
    """
    P, background, video_score = np.asarray(P), np.asarray(background), np.asarray(video_score)
    length = len(P)
    if not all(np.isfinite(scores).all() for scores in (P, background, video_score)):
        raise InputError(f"{video}: the model's scores are not finite. Check the video's features for NaN, or lower "
                         "the learning rate.")
    if length == 0 or len(video_score) == 0:
        return Segments.empty(classes, videos)
    chosen = np.flatnonzero(video_score >= class_thresh)
    if len(chosen) == 0:
        chosen = video_score.argmax(keepdims=True)

    P = np.ascontiguousarray(_upsampled(P[:, chosen], upsample).T)                        # [c, N]
    action = _upsampled(1 - background, upsample)                                         # [N]
    above = (P[:, None] >= _column(act_thresh_cas)) & (P[:, None] > 0)                    # [c, K, N]
    active = (action >= _column(act_thresh_agnostic)) & (action > 0)                      # [A, N]
    runs = np.concatenate([above, np.broadcast_to(active, (len(P), *active.shape))], axis=1)
    # Values that the margins read: thresholds on P hide what they cut away, those on the background score do not.
    visible = np.concatenate([np.where(above, P[:, None], 0.),
                              np.broadcast_to(P[:, None], (len(P), *active.shape))], axis=1)
    total = np.zeros((*visible.shape[:2], visible.shape[2] + 1))
    np.cumsum(visible, axis=2, out=total[..., 1:])

    edges = np.diff(np.pad(runs, ((0, 0), (0, 0), (1, 1))).view(np.int8), axis=2)
    curve, threshold, first = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[2]
    reach = margin * (end - first)
    left = np.maximum(0, first - reach).astype(int)
    right = np.minimum(P.shape[1] - 1, end - 1 + reach).astype(int) + 1

    def sums(begin: NDArray, stop: NDArray) -> NDArray:
        return total[curve, threshold, stop] - total[curve, threshold, begin]

    inner = sums(first, end)
    outer = (sums(left, right) - inner) / np.maximum(1, (right - left) - (end - first))
    score = inner / (end - first) - outer + gamma * video_score[chosen][curve]
    scale = (length if snippets is None else snippets) / P.shape[1]
    return Segments.make(timebase.seconds(first * scale), timebase.seconds(end * scale), chosen[curve], classes, videos,
                         score, tuple(videos).index(video))


def _column(thresholds: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(thresholds, np.float64).reshape(-1, 1)


def _upsampled(curve: NDArray, factor: int) -> NDArray[np.float64]:
    """Upsample rows by linear interpolation; positions past the last row are extrapolated."""
    if len(curve) == 1:
        return np.repeat(curve, factor, axis=0).astype(np.float64)
    position = np.arange(len(curve) * factor) / factor
    below = np.clip(np.ceil(position).astype(int), 1, len(curve) - 1) - 1
    fraction = (position - below).reshape(-1, *[1] * (curve.ndim - 1))
    return np.diff(curve, axis=0)[below] * fraction + curve[below]
