"""Pseudo action and background snippets from the background score and the points (docs/method.md, section 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pseudo_labels(background: NDArray, points: NDArray, lengths: Sequence[int] | None = None, *,
                  act_thresh: float = .1, bkg_thresh: float = .95,
                  certain: NDArray | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Label the snippets whose class is nearly certain from the points and the background score.

    The snippets between two points (or between a point and the start or end of the video) form a *gap*. Its background
    is one stretch lo .. hi; the points on both sides grow into the gap while the background score stays low. Every gap
    keeps at least one background snippet, so growths from both sides never meet.

    Args:
        background: background score b of one video, or of several concatenated videos, [N].
        points: 0/1, [N, C].
        lengths: number of snippets of each video, adding up to N; omit for a single video.
        act_thresh: background score up to which a point grows.
        bkg_thresh: background score from which a snippet is background.
        certain: snippets in segments that a person accepted, 0/1, [N, C]: they are action of that class, and nothing
            grows beyond the segment's ends.

    Returns:
        Pseudo action [N, C] and pseudo background [N], both 0/1; all zeros for videos without points.
    """
    accepted = np.zeros(len(points), bool) if certain is None else certain.any(axis=1)
    if accepted.any():
        points = np.maximum(points, certain)
    total = len(background)
    lengths = np.array([total] if lengths is None else lengths)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    video = np.repeat(np.arange(len(lengths)), lengths)
    snippet = np.arange(total)
    is_point = points.any(axis=1)
    has_point = np.zeros(len(lengths), bool)
    has_point[video[is_point]] = True
    in_gap = ~is_point & has_point[video]
    action, is_background = np.zeros_like(points, np.float32), np.zeros(total, np.float32)
    action[is_point] = points[is_point]
    if not in_gap.any():
        return action, is_background

    opens = in_gap & (np.append(False, is_point[:-1]) | np.isin(snippet, starts))
    first = np.flatnonzero(opens)                                               # [G] of G gaps
    gap = (np.cumsum(opens) - 1)[in_gap]
    last = first + np.bincount(gap) - 1
    where, score = snippet[in_gap], background[in_gap]
    begin = np.searchsorted(where, first)                                       # start of each gap in `score`
    best = np.maximum.reduceat(score, begin)
    high = score >= bkg_thresh
    peak = np.minimum.reduceat(np.where(score == best[gap], where, total), begin)
    lo = np.minimum.reduceat(np.where(high, where, total), begin)
    hi = np.maximum.reduceat(np.where(high, where, -1), begin)
    none = hi < 0
    lo, hi = np.where(none, peak, lo), np.where(none, peak, hi)
    after_start, before_end = np.isin(first, starts), np.isin(last, ends - 1)
    lo, hi = np.where(after_start, first, lo), np.where(before_end, last, hi)
    stretch = (where >= lo[gap]) & (where <= hi[gap])
    is_background[where[stretch]] = 1

    stops = np.where((score <= act_thresh) & ~stretch, -1, where)               # snippets that growth cannot pass
    from_left = (np.maximum.accumulate(stops) < first[gap]) & ~after_start[gap] & ~accepted[first[gap] - 1]
    stops = np.where(stops < 0, total, stops)
    from_right = (np.minimum.accumulate(stops[::-1])[::-1] > last[gap]) & ~before_end[gap] \
        & ~accepted[np.minimum(last[gap] + 1, total - 1)]
    action[where[from_left]] = points[first[gap[from_left]] - 1]
    action[where[from_right]] = points[last[gap[from_right]] + 1]
    return action, is_background
