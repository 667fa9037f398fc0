"""One-to-one matching of two people's points: as many pairs as possible, and F1 as a function of the tolerance."""

import functools
import time

import numpy as np
import pytest

from hrpro.config import config_of
from hrpro.data.dataset import open_dataset
from hrpro.data.points import Points
from hrpro.labels.agreement import TOLERANCES, compare, f1_curve, match

CLASSES, VIDEOS = ("jump", "run"), ("v1", "v2")


def points(*rows: tuple[float, str, str]) -> Points:
    seconds, label, video = zip(*rows, strict=True) if rows else ((), (), ())
    return Points(seconds, list(map(CLASSES.index, label)), list(map(VIDEOS.index, video)), CLASSES, VIDEOS)


def of_v1(*seconds: float) -> Points:
    return points(*((second, "jump", "v1") for second in seconds))


def scattered(rng, most: int, span: float = 6) -> Points:
    count = rng.integers(most + 1)
    return Points(rng.integers(int(span * 4) + 1, size=count) / 4, rng.integers(2, size=count),
                  rng.integers(2, size=count), CLASSES, VIDEOS)


def most_pairs(here: Points, there: Points, tolerance: float, any_class: bool) -> int:
    """The maximum number of pairs, by brute force."""
    near = [[other for other in range(len(there))
             if here.video[one] == there.video[other] and (any_class or here.label[one] == there.label[other])
             and abs(here.seconds[one] - there.seconds[other]) <= tolerance] for one in range(len(here))]

    @functools.cache
    def best(one: int, taken: frozenset) -> int:
        if one == len(near):
            return 0
        return max([best(one + 1, taken), *(1 + best(one + 1, taken | {other}) for other in near[one]
                                            if other not in taken)])

    return best(0, frozenset())


@pytest.mark.parametrize("any_class", [False, True])
def test_sweep_finds_the_maximum_number_of_pairs(any_class):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(400):
        here, there = scattered(rng, 8), scattered(rng, 8)
        tolerance = rng.choice([0, .25, .5, 1, 2, 5])
        one, other = match(here, there, tolerance, any_class=any_class)
        assert len(one) == most_pairs(here, there, tolerance, any_class)
        assert len(set(one.tolist())) == len(set(other.tolist())) == len(one)
        assert (here.video[one] == there.video[other]).all()
        assert (np.abs(here.seconds[one] - there.seconds[other]) <= tolerance).all()
        assert any_class or (here.label[one] == there.label[other]).all()
        seen.add(len(one))
    assert len(seen) > 4


def test_more_pairs_win_over_the_nearest_point():
    # here    10    10.9          10.9 is nearest to 10.8, but then 10 would be unmatched
    # there      10.8    11.5
    assert match(of_v1(10, 10.9), of_v1(10.8, 11.5), 1).tolist() == [[0, 1], [0, 1]]


def test_tolerance_is_inclusive_despite_rounding_errors():
    assert match(of_v1(12.3), of_v1(13.3), 1).shape == (2, 1)
    assert match(of_v1(.1), of_v1(.3), .2).shape == (2, 1)
    assert match(of_v1(12.3), of_v1(13.31), 1).shape == (2, 0)
    assert match(of_v1(5), of_v1(5), 0).shape == (2, 1)


def test_each_point_appears_once_in_a_comparison():
    here = points((1, "jump", "v1"), (5, "run", "v1"), (9, "jump", "v1"), (1, "jump", "v2"))
    there = points((20, "run", "v2"), (5.4, "jump", "v1"), (1.2, "jump", "v1"), (1, "run", "v1"))
    found = compare(here, there, .5)
    assert found.agreed.tolist() == [[0], [2]]
    assert found.differing.tolist() == [[1], [1]]
    assert found.only_here.tolist() == [2, 3] and found.only_there.tolist() == [0, 3]
    rng = np.random.default_rng(1)
    for _ in range(100):
        here, there = scattered(rng, 12), scattered(rng, 12)
        found = compare(here, there, .5)
        for side, count, alone in ((0, len(here), found.only_here), (1, len(there), found.only_there)):
            assert sorted([*found.agreed[side], *found.differing[side], *alone]) == list(range(count))


def test_merged_points_leave_nothing_new_to_merge():
    """After adding the points that only the other side has, none of its other points becomes unmatched."""
    rng = np.random.default_rng(2)
    for _ in range(300):
        here, there = scattered(rng, 15), scattered(rng, 15)
        before = compare(here, there, .75)
        new = there[before.only_there]
        grown = Points(*(np.concatenate([getattr(here, name), getattr(new, name)])
                         for name in ("seconds", "label", "video")), CLASSES, VIDEOS)
        after = compare(grown, there, .75)
        assert set(after.only_there.tolist()) <= set(before.only_there.tolist())


def test_f1_curve_counts_pairs_at_each_tolerance():
    here, there = of_v1(10, 20, 30), of_v1(10.4, 21, 34.9, 50)
    assert TOLERANCES.tolist() == [.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]
    assert f1_curve(here, there) == pytest.approx(np.array([1, *[2] * 8, 3]) * 2 / 7)
    assert f1_curve(here, there, [0, .4]) == pytest.approx([0, 2 / 7])
    assert f1_curve(here, here) == pytest.approx(1) and f1_curve(here, of_v1()).tolist() == [0] * 10
    assert np.isnan(f1_curve(of_v1(), of_v1())).all()


def test_incomparable_points_and_invalid_tolerances_are_refused():
    with pytest.raises(ValueError, match="share"):
        match(of_v1(1), Points([1], [0], [0], ("jump",), VIDEOS), 1)
    for tolerance in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="tolerance"):
            match(of_v1(1), of_v1(1), tolerance)


def test_comparing_two_sets_of_10000_points_takes_under_a_second():
    rng = np.random.default_rng(3)
    here, there = (Points(rng.uniform(0, 7200, 10_000), rng.integers(2, size=10_000), rng.integers(2, size=10_000),
                          CLASSES, VIDEOS) for _ in range(2))
    begin = time.process_time()
    curve = f1_curve(here, there)
    assert time.process_time() - begin < .7
    assert (np.diff(curve) > 0).all() and curve[-1] > .5


def test_agreement_of_two_human_annotators_of_thumos(shared):
    root = shared / "datasets" / "THUMOS14"
    dataset = open_dataset(config_of(root), features=False)
    folder = root / "point_labels" / "human"
    one, two = (Points.read(folder / f"annotator_{number}.txt", dataset.classes, dataset.fps)[0] for number in (1, 2))
    assert (len(one), len(two)) == (2980, 2919)
    assert f1_curve(one, two).round(3).tolist() == [.419, .56, .641, .699, .751, .801, .834, .858, .883, .903]
    found = compare(one, two, 1)
    assert found.agreed.shape[1] == 1652 and found.differing.shape[1] == 25
    assert (len(found.only_here), len(found.only_there)) == (1303, 1242)
