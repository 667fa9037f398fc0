"""How far two people's points agree: matched one to one within a tolerance, and F1 as a function of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrpro.data.points import Points

TOLERANCES = np.arange(1, 11) / 2                       # seconds


@dataclass(frozen=True, eq=False)
class Comparison:
    """What became of the rows of two sets of points; each row stands in one place only.

    agreed: pairs of one class, [2, A]; differing: pairs of two classes, [2, D]; only_here, only_there: rows alone.
    """

    agreed: NDArray[np.intp]
    differing: NDArray[np.intp]
    only_here: NDArray[np.intp]
    only_there: NDArray[np.intp]


def match(here: Points, there: Points, tolerance: float, *, any_class: bool = False) -> NDArray[np.intp]:
    """Pairs of points of one video and class at most `tolerance` seconds apart: their rows, [2, M], by those here.

    A point is in one pair at most, and no other choice gives more pairs. On a line a sweep by time finds them. Where
    the first points of both sides are too far apart, the earlier one is too far from all the others as well. Else they
    can be paired: had each another partner, those two, both later, would be near enough to each other.

    Raises:
        ValueError: the points do not share their classes and videos, or the tolerance is negative or not finite.
    """
    if not 0 <= tolerance < np.inf:
        raise ValueError("tolerance must be seconds, 0 or more")
    mine, other = _by_time(here, there, any_class)
    pairs = _sweep(mine[1:], other[1:], tolerance)
    rows = np.stack([mine[0][pairs[0]], other[0][pairs[1]]])
    return rows[:, np.argsort(rows[0])]


def compare(here: Points, there: Points, tolerance: float) -> Comparison:
    """Match within the classes, and then what is left over across them; see `match`."""
    agreed = match(here, there, tolerance)
    left = [np.setdiff1d(np.arange(len(points)), rows) for points, rows in zip((here, there), agreed, strict=True)]
    across = match(here[left[0]], there[left[1]], tolerance, any_class=True)
    differing = np.stack([rows[chosen] for rows, chosen in zip(left, across, strict=True)])
    return Comparison(agreed, differing, *(np.setdiff1d(rows, paired)
                                           for rows, paired in zip(left, differing, strict=True)))


def f1_curve(here: Points, there: Points, tolerances: Sequence[float] | NDArray = TOLERANCES) -> NDArray[np.float64]:
    """F1 = 2 M / (N here + N there) for M matched within each of K tolerances (seconds), [K]; nan without points."""
    mine, other = _by_time(here, there, False)
    matched = np.array([len(_sweep(mine[1:], other[1:], tolerance)[0]) for tolerance in tolerances], np.float64)
    total = len(here) + len(there)
    return 2 * matched / total if total else np.full(len(matched), np.nan)


def _by_time(here: Points, there: Points, any_class: bool) -> list[tuple[NDArray[np.intp], list[int], list[float]]]:
    """Of each side: its rows by group and time, and the groups and seconds of those. A group is a video (and class)."""
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
    """Positions of the pairs. A billionth is granted, so that 12.3 and 13.3 are a second apart."""
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
