"""Reliability ranking of a training video's proposals: reliable ones from its points, negatives from its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrpro.data.points import Points
from hrpro.data.segments import Segments


def reliable_proposals(proposals: Segments, points: Points) -> list[int | None]:
    """Row of each point's reliable proposal, or None (RP of section 4), for one video.

    points: by time. The best-scoring proposal of the point's class that contains it and reaches neither neighbouring
    point, else the best that contains it; the first of equals. Only scores above 0 count, as published.
    """
    if proposals.classes != points.classes:
        raise ValueError("proposals and points must share their classes")
    if len(proposals) == 0:
        return [None] * len(points)
    before, after = np.append(-np.inf, points.seconds[:-1]), np.append(points.seconds[1:], np.inf)
    seconds, before, after = points.seconds[:, None], before[:, None], after[:, None]
    fits = ((proposals.label == points.label[:, None]) & (proposals.start <= seconds) & (proposals.end >= seconds)
            & (proposals.score > 0))
    alone = fits & (proposals.start > before) & (proposals.end < after)
    fits = np.where(alone.any(axis=1, keepdims=True), alone, fits)
    best = np.where(fits, proposals.score, -np.inf).argmax(axis=1)
    return [row if found else None for row, found in zip(best.tolist(), fits.any(axis=1), strict=True)]


def negative_proposals(background_runs: ArrayLike, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """`count` random segments inside runs of pseudo-background snippets (NP of section 4): start, end, score [K, 3].

    background_runs: first snippet and the one after the last [R, 2]. Drawn as the published program draws, but without
    its rejection, which never ends when every run has two snippets: draw a run, a start in [first, last) and an end in
    [start, last), all whole and uniform, and begin again unless start < end; a run of one snippet is taken whole. Where
    that leaves nothing, the two-snippet runs give their first snippet. Score: -(share of the run). Times in snippets.
    No run gives no segment.
    """
    runs = np.asarray(background_runs, np.intp).reshape(-1, 2)
    count = max(count, 0) if len(runs) else 0
    last = runs[:, 1] - 1
    span = last - runs[:, 0]
    # A start with r snippets to the run's last is kept with chance 1 - 1/r: the sum over r = 1 .. n is n - H(n).
    r = np.arange(1, max(2, span.max(initial=0)) + 1)
    kept = np.cumsum(1 - 1 / r)
    chance = np.where(span == 0, 1., kept[span - 1] / np.maximum(span, 1))
    if chance.sum() == 0:
        chance[:] = 1
    run = rng.choice(len(runs), count, p=chance / chance.sum()) if count else np.zeros(0, np.intp)
    first, last, span = runs[run, 0], last[run], span[run]
    to_last = 1 + np.searchsorted(kept, rng.random(count) * kept[span - 1], side="right")
    length = 1 + np.floor(rng.random(count) * (to_last - 1)).astype(int)
    short = span < 2
    start, length = np.where(short, first, last - to_last), np.where(short, 1, length)
    return np.column_stack([start, start + length, -length / np.maximum(span, 1)])
