"""Agreement between two people's points: one-to-one matching within a tolerance, and F1 as a function of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrpro.data.points import Points

TOLERANCES = np.arange(1, 11) / 2                       # seconds


@dataclass(frozen=True, eq=False)
class Comparison:
    """How the rows of two sets of points match; each row is listed exactly once.

    Attributes:
        agreed: pairs of rows with the same class, [2, A].
        differing: pairs of rows with different classes, [2, D].
        only_here, only_there: unmatched rows.
    """

    agreed: NDArray[np.intp]
    differing: NDArray[np.intp]
    only_here: NDArray[np.intp]
    only_there: NDArray[np.intp]


def match(here: Points, there: Points, tolerance: float, *, any_class: bool = False) -> NDArray[np.intp]:
    """Pair the points of two sides one to one, as many as possible.

    A sweep over time is optimal. If the first points of the two sides are too far apart, the earlier one is too far
    from all others as well. Otherwise they can be paired: if each had another partner, those two partners, both later,
    would be close enough to each other.

    Args:
        tolerance: largest distance of a pair, in seconds.
        any_class: pair points of the same video whatever their class; by default, only those of the same class.

    Returns:
        Rows of the pairs, [2, M], sorted by row in `here`.

    Raises:
        ValueError: the sides have different classes or videos, or the tolerance is negative or not finite.
    """
    if not 0 <= tolerance < np.inf:
        raise ValueError("tolerance must be seconds, 0 or more")
    mine, other = _by_time(here, there, any_class)
    pairs = _sweep(mine[1:], other[1:], tolerance)
    rows = np.stack([mine[0][pairs[0]], other[0][pairs[1]]])
    return rows[:, np.argsort(rows[0])]


def compare(here: Points, there: Points, tolerance: float) -> Comparison:
    """Match within each class, then match the rest across classes; see `match`."""
    agreed = match(here, there, tolerance)
    left = [np.setdiff1d(np.arange(len(points)), rows) for points, rows in zip((here, there), agreed, strict=True)]
    across = match(here[left[0]], there[left[1]], tolerance, any_class=True)
    differing = np.stack([rows[chosen] for rows, chosen in zip(left, across, strict=True)])
    return Comparison(agreed, differing, *(np.setdiff1d(rows, paired)
                                           for rows, paired in zip(left, differing, strict=True)))


def f1_curve(here: Points, there: Points, tolerances: Sequence[float] | NDArray = TOLERANCES) -> NDArray[np.float64]:
    """F1 as a function of the tolerance: 2 M / (N here + N there) for M matched pairs.

    Args:
        tolerances: K tolerances in seconds.

    Returns:
        F1 at each tolerance, [K]; NaN without points.
    """
    mine, other = _by_time(here, there, False)
    matched = np.array([len(_sweep(mine[1:], other[1:], tolerance)[0]) for tolerance in tolerances], np.float64)
    total = len(here) + len(there)
    return 2 * matched / total if total else np.full(len(matched), np.nan)


def _by_time(here: Points, there: Points, any_class: bool) -> list[tuple[NDArray[np.intp], list[int], list[float]]]:
    """For each side: rows sorted by group and time, and their groups and seconds. A group is a video (and class)."""
    if (here.classes, here.videos) != (there.classes, there.videos):
        raise ValueError("both sides must share their classes and videos")
    sides = []
    for points in (here, there):
        group = points.video if any_class else points.video * len(points.classes) + points.label
        rows = np.lexsort((points.seconds, group))
        sides.append((rows, group[rows].tolist(), points.seconds[rows].tolist()))
    return sides


def _sweep(mine: tuple[list[int], list[float]], other: tuple[list[int], list[float]],
           tolerance: float) -> tuple[list[int], list[int]]:
    """Positions of the pairs. 1e-9 absorbs floating-point error, so that 12.3 and 13.3 are one second apart."""
    (my_group, my_time), (their_group, their_time) = mine, other
    slack = tolerance + 1e-9
    first, second, i, j = [], [], 0, 0
    while i < len(my_time) and j < len(their_time):
        apart = my_time[i] - their_time[j] if my_group[i] == their_group[j] else \
            (my_group[i] - their_group[j]) * float("inf")
        if apart < -slack:
            i += 1
        elif apart > slack:
            j += 1
        else:
            first.append(i)
            second.append(j)
            i, j = i + 1, j + 1
    return first, second
