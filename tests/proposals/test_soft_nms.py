import numpy as np
import pytest

from hrpro.data.segments import Segments
from hrpro.proposals import soft_nms as module
from hrpro.proposals.soft_nms import drop_ambiguous, soft_nms

CLASSES = tuple(f"class {index}" for index in range(4))


def make(rows, videos=("v",), video=0):
    start, end, score = np.asarray(rows, float).T
    return Segments.make(start, end, np.zeros(len(start), int), CLASSES, videos, score, video)


def random_segments(seed, groups, largest):
    """Groups of different sizes, shuffled; some segments are empty, some scores zero or negative."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rng.integers(0, largest + 1, groups))
    rng.shuffle(group)
    start = rng.uniform(0, 60, len(group))
    length = rng.exponential(6, len(group)) * (rng.random(len(group)) > .05)
    score = rng.normal(.3, .4, len(group)) * (rng.random(len(group)) > .02)
    return Segments(start, start + length, group % 4, score, group // 4, CLASSES,
                    tuple(f"v{index}" for index in range(groups // 4 + 1)))


def plain_soft_nms(segments, sigma, added):
    """Reference implementation, group by group and segment by segment."""
    score = segments.score.copy()
    for key in set(zip(segments.video, segments.label, strict=True)):
        left = list(np.flatnonzero((segments.video == key[0]) & (segments.label == key[1])))
        while left:
            best = max(left, key=lambda row: score[row])
            left.remove(best)
            for row in left:
                shared = min(segments.end[best], segments.end[row]) - max(segments.start[best], segments.start[row])
                shared = max(0, shared + added)
                union = segments.length[best] + segments.length[row] + 2 * added - shared
                score[row] *= np.exp(-(shared / union) ** 2 / sigma) if union > 0 else 1
    return score


@pytest.mark.parametrize("case", range(8))
def test_soft_nms_matches_the_published_program(reference, case):
    golden = np.load(reference / "soft_nms.npz")
    rows, expected = golden[f"{case}_in"], golden[f"{case}_out"]
    segments = Segments.make(rows[:, 0], rows[:, 1], rows[:, 2].astype(int), ("only",), ("v",), rows[:, 3])
    found = soft_nms(segments, .3, one_second_added=True)
    found = np.column_stack([found.start, found.end, found.label, found.score])
    np.testing.assert_allclose(found[np.lexsort(found[:, :2].T)], expected[np.lexsort(expected[:, :2].T)], atol=1e-9)


@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_soft_nms_matches_a_plain_loop(monkeypatch, seed, added):
    segments = random_segments(seed, groups=12, largest=60)
    monkeypatch.setattr(module, "_BATCH", 150)  # several batches, with groups of different sizes in one batch
    found = soft_nms(segments, .3, one_second_added=added)
    np.testing.assert_allclose(found.score, plain_soft_nms(segments, .3, added), rtol=1e-9, atol=1e-12)
    assert np.array_equal(found.start, segments.start) and np.array_equal(found.label, segments.label)


def test_torch_and_numpy_give_the_same_scores():
    segments = random_segments(7, groups=20, largest=80)
    expected = soft_nms(segments, one_second_added=False).score
    np.testing.assert_allclose(soft_nms(segments, one_second_added=False, device="cpu").score, expected, rtol=1e-12)


def test_decay_of_three_segments_matches_hand_computed_scores():
    """0123456789     IoU(a, b) = 2 / 6, IoU(a, c) = 0, IoU(b, c) = 1 / 6
    aaaa               1.0   first
      bbbb              .8   decays below c when a is selected, and again when c is
         ccc            .7   second, unchanged
    """
    found = soft_nms(make([[0, 4, 1.], [2, 6, .8], [5, 8, .7]]), .5, one_second_added=False)
    np.testing.assert_allclose(found.score, [1, .8 * np.exp(-(2 / 6) ** 2 / .5) * np.exp(-(1 / 6) ** 2 / .5), .7])


def test_copies_of_one_segment_decay_in_order_despite_underflow():
    found = soft_nms(make([[0, 4, 1.]] * 400 + [[0, 4, -1.]]), .3, one_second_added=False)
    np.testing.assert_allclose(np.sort(found.score)[:-4:-1], [1, np.exp(-1 / .3), np.exp(-2 / .3)])
    assert (found.score[:-1] >= 0).all() and found.score[-1] <= 0


def test_empty_input_gives_empty_output():
    assert len(soft_nms(Segments.empty(CLASSES, ("v",)), one_second_added=True)) == 0


@pytest.mark.parametrize(("segment", "kept_exactly", "kept_in_whole_seconds"), [
    ([9.0, 10.2], True, True),     # the ambiguous [10.2, 12.4), or [10, 12) in whole seconds, begins where this ends
    ([9.0, 10.3], False, True),    # truncated to [9, 10)
    ([10.9, 11.1], False, False),  # truncated to [10, 11)
    ([11.2, 11.9], False, True),   # truncated to [11, 11), which is empty
    ([12.1, 13.5], False, True),   # truncated to [12, 13)
    ([12.4, 14.0], True, True),
])
def test_detections_that_overlap_ambiguous_segments_are_dropped(segment, kept_exactly, kept_in_whole_seconds):
    ambiguous = make([[10.2, 12.4, 1], [40, 41, 1]], videos=("w", "v"), video=1)
    segments = make([[*segment, .5]], videos=("v", "w"))
    assert len(drop_ambiguous(segments, ambiguous, whole_seconds=False)) == kept_exactly
    assert len(drop_ambiguous(segments, ambiguous, whole_seconds=True)) == kept_in_whole_seconds
    elsewhere = make([[*segment, .5]], videos=("v", "w"), video=1)
    assert len(drop_ambiguous(elsewhere, ambiguous, whole_seconds=False)) == 1


@pytest.mark.parametrize("seed", range(3))
def test_whole_seconds_match_the_published_rule(seed):
    rng = np.random.default_rng(seed)
    start, begin = rng.uniform(0, 30, 80).round(1), rng.choice([5.5, 6.5, 11.2, 20.8], 4)
    segments = make(np.column_stack([start, start + rng.exponential(2, 80), np.ones(80)]))
    ambiguous = make(np.column_stack([begin, begin + rng.choice([.4, 1.5, 3], 4), np.ones(4)]))

    def published(row):
        mine = set(range(int(segments.start[row]), int(segments.end[row])))
        return not any(mine & set(range(round(a), round(b)))
                       for a, b in zip(ambiguous.start.tolist(), ambiguous.end.tolist(), strict=True))

    kept = drop_ambiguous(segments, ambiguous, whole_seconds=True)
    assert kept.start.tolist() == [segments.start[row] for row in range(80) if published(row)]
