"""Reliability ranking of a training video: reliable proposals from its points, negatives from its background."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrpro.data.points import Points
from hrpro.data.segments import Segments


def reliable_proposals(proposals: Segments, points: Points) -> list[int | None]:
    """Find the reliable proposal (RP, docs/method.md, section 4) of each point of one video.

    It is the highest-scoring proposal of the point's class that contains the point and reaches neither neighbouring
    point; failing that, the highest-scoring one that contains it. Ties go to the first proposal. As published, only
    scores above 0 count.

    Args:
        proposals: proposals of the video.
        points: points of the video, sorted by time.

    Returns:
        For each point, the row of its proposal or None.

    Raises:
        ValueError: proposals and points do not share their classes.
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
    """Draw random segments inside runs of pseudo-background snippets (NP, docs/method.md, section 4).

    The distribution is that of the published program: draw a run, a start in [first, last) and an end in [start, last),
    all uniform integers, and repeat unless start < end; a run of one snippet is taken whole. The published rejection
    sampling never ends if every run has two snippets; here the distribution is sampled directly, and if no other run
    exists, two-snippet runs give their first snippet.

    Args:
        background_runs: first snippet and the one after the last, [R, 2].
        count: number of segments to draw.
        rng: random generator.

    Returns:
        Start and end in snippets, and score = -(share of the run), [count, 3]; no rows if there are no runs.
    """
    runs = np.asarray(background_runs, np.intp).reshape(-1, 2)
    count = max(count, 0) if len(runs) else 0
    last = runs[:, 1] - 1
    span = last - runs[:, 0]
    # A start r snippets before the last is accepted with probability 1 - 1/r; the sum over r = 1 .. n is n - H(n).
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
