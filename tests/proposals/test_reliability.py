import json
import random

import numpy as np
import pytest

from hrpro.data.points import Points
from hrpro.data.segments import Segments
from hrpro.proposals.reliability import negative_proposals, reliable_proposals


def test_reliable_proposals_match_the_published_program(reference):
    cases = json.loads((reference / "point_matching.json").read_text())
    matched = 0
    for case in cases:
        classes = sorted(set(case["proposals"]) | {label for _, label in case["points"]})
        rows = [(*row, classes.index(label)) for label, found in case["proposals"].items() for row in found]
        start, end, score, label = zip(*rows, strict=True)
        proposals = Segments.make(start, end, label, classes, ["v"], score)
        points = Points([seconds for seconds, _ in case["points"]],
                        [classes.index(label) for _, label in case["points"]], [0] * len(case["points"]), classes, "v")
        found = {}
        for (_, label), row in zip(case["points"], reliable_proposals(proposals, points), strict=True):
            found.setdefault(label, []).append(None if row is None else list(rows[row][:3]))
        assert found == case["reliable"]
        matched += sum(row is not None for rows in found.values() for row in rows)
    assert matched >= 12


def match(proposals, points):
    start, end, score, label = np.array(proposals, float).reshape(-1, 4).T
    seconds, point_label = np.array(points, float).reshape(-1, 2).T
    return reliable_proposals(Segments.make(start, end, label.astype(int), "ab", "v", score),
                              Points(seconds, point_label.astype(int), [0] * len(seconds), "ab", "v"))


@pytest.mark.parametrize(("proposals", "points", "expected"), [
    # the better proposal reaches the other class's point at 5, so the other one is chosen if it contains the point
    ([[0, 6, .9, 0], [1, 3, .4, 0]], [[2, 0], [5, 1]], [1, None]),
    ([[0, 6, .9, 0], [3, 4, .4, 0]], [[2, 0], [5, 1]], [0, None]),
    ([[0, 5, .9, 0], [1, 3, .4, 0]], [[2, 0], [5, 1]], [1, None]),   # ending at a neighbour counts as reaching it
    ([[2, 4, .3, 0], [0, 2, .4, 0]], [[2, 0]], [1]),                 # both ends are part of a proposal
    ([[0, 4, .4, 0], [1, 3, .4, 0]], [[2, 0]], [0]),                 # the first of a tie
    ([[0, 4, -.1, 0], [0, 4, 0, 0]], [[2, 0]], [None]),              # a score of 0 or less never counts
    ([[0, 9, .4, 1]], [[2, 0], [3, 0]], [None, None]),
    ([], [[2, 0]], [None]),
    ([[0, 9, .4, 1]], [], []),
])
def test_reliable_proposal_of_each_point(proposals, points, expected):
    assert match(proposals, points) == expected


def published_negatives(runs, count, rng):
    found = []
    while len(found) < count:
        first, stop = runs[rng.randint(0, len(runs) - 1)]
        last = stop - 1
        if first == last:
            found.append((first, first + 1))
            continue
        start = int(rng.uniform(first, last))
        end = int(rng.uniform(start, last))
        if start < end:
            found.append((start, end))
    return found


def test_negatives_are_drawn_as_published():
    runs, count = [[3, 4], [6, 8], [10, 13], [20, 26]], 40_000
    found = negative_proposals(runs, count, np.random.default_rng(0))
    segments, counts = np.unique(found[:, :2], axis=0, return_counts=True)
    found = dict(zip(map(tuple, segments.astype(int).tolist()), counts / count, strict=True))
    segments, counts = np.unique(published_negatives(runs, count, random.Random(0)), axis=0, return_counts=True)
    expected = dict(zip(map(tuple, segments.tolist()), counts / count, strict=True))
    assert found.keys() == expected.keys()
    for segment, share in expected.items():
        assert abs(found[segment] - share) < 5 * np.sqrt(share / count)


def test_negatives_score_their_share_of_the_run_and_depend_on_the_seed():
    found = negative_proposals([[10, 21]], 50, np.random.default_rng(3))
    np.testing.assert_allclose(found[:, 2], -(found[:, 1] - found[:, 0]) / 10)
    assert (found[:, 0] >= 10).all() and (found[:, 1] < 21).all() and (found[:, 1] > found[:, 0]).all()
    assert np.array_equal(found, negative_proposals([[10, 21]], 50, np.random.default_rng(3)))


@pytest.mark.parametrize(("runs", "count", "expected"), [
    ([], 10, np.zeros((0, 3))),
    ([[4, 9]], 0, np.zeros((0, 3))),
    ([[4, 6], [8, 10]], 0, np.zeros((0, 3))),
    ([[4, 6]], 2, [[4, 5, -1], [4, 5, -1]]),          # the published program never ends here
    ([[4, 6], [7, 8]], 2, [[7, 8, -1], [7, 8, -1]]),
])
def test_negative_sampling_ends_for_every_input(runs, count, expected):
    np.testing.assert_array_equal(negative_proposals(runs, count, np.random.default_rng(0)), expected)
