"""Mistake analysis on hand-made segments, and against the definition of AP on random ones."""

import time

import numpy as np
import pytest

from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision
from hrpro.evaluation.mistakes import (
    KINDS,
    MISS_KINDS,
    best_overlap,
    detection_costs,
    explain_false_positives,
    explain_misses,
    false_positives,
    miss_costs,
    misses,
    video_mistakes,
)

CLASSES, VIDEOS = ("jump", "run"), ("a", "b", "c")


def segments(*rows):
    """Rows are (start, end, label, score, video)."""
    start, end, label, score, video = zip(*rows, strict=True)
    return Segments(start, end, label, score, video, CLASSES, VIDEOS)


def test_cost_is_charged_to_the_video_with_the_false_positive():
    #   a: |jump 0-10|      found first            b: |jump 0-10| found third, after a false positive in c
    #   b: |run 20-30|      never found            c: no action, one detection
    truth = segments((0, 10, 0, 1, 0), (0, 10, 0, 1, 1), (20, 30, 1, 1, 1))
    found = segments((0, 10, 0, .9, 0), (5, 9, 0, .8, 2), (0, 9, 0, .7, 1))
    precision = average_precision(truth, found, [.5])
    mistakes = video_mistakes(precision, 0)
    assert mistakes.videos == VIDEOS
    assert mistakes.misses.tolist() == [0, 1, 0]
    assert mistakes.false_positives.tolist() == [0, 0, 1]
    # jump: precision is 1 at a's action and 2/3 at b's, so the false positive costs 1/3 of one of two actions. run: b's
    # miss costs the whole AP. The mAP is the mean over two classes.
    np.testing.assert_allclose(mistakes.cost, [0, 1 / 2, 1 / 3 / 2 / 2])
    np.testing.assert_allclose(detection_costs(precision, 0), [0, 1 / 3 / 2 / 2, 0])
    np.testing.assert_allclose(miss_costs(precision, 0), [0, 0, 1 / 2])


def test_false_positives_before_the_rank_that_sets_the_precision_share_the_cost():
    """Four actions of one class, one of them never found. By descending score:

    rank              1    2    3    4    5    6    7
                     hit   FP   FP  hit  hit   FP   FP
    precision         1   1/2  1/3  2/4  3/5  3/6  3/7
    interpolated      1    .    .   3/5  3/5   .    .     set by rank 5 for the hits at 4 and 5
    Each of the two hits falls short by 2/5, which the two false positives before rank 5 share: 1/5 each. Those at 6
    and 7 cost nothing.
    """
    truth = segments(*((10 * at, 10 * at + 5, 0, 1, 0) for at in range(4)))
    hits, order = iter(range(3)), "h--hh--"
    found = segments(*((10 * next(hits), 0, 0, 0, 0) if kind == "h" else (500, 0, 0, 0, at % 2 + 1)
                       for at, kind in enumerate(order)))
    found = Segments(found.start, found.start + 5, found.label, np.linspace(.9, .3, 7), found.video, CLASSES, VIDEOS)
    precision = average_precision(truth, found, [.5])
    assert (precision.matched[:, 0] >= 0).tolist() == [kind == "h" for kind in order]
    share = 2 * (1 / 5) / 4                             # of two hits, in a mean over four actions
    np.testing.assert_allclose(detection_costs(precision, 0), [0, share, share, 0, 0, 0, 0])
    np.testing.assert_allclose(miss_costs(precision, 0), [0, 0, 0, 1 / 4])
    assert precision.mAP[0] == pytest.approx((1 + 3 / 5 + 3 / 5) / 4)
    np.testing.assert_allclose(video_mistakes(precision, 0).cost, [1 / 4, share, share])


def random_segments(rng, count, spread=50):
    start = rng.uniform(0, spread, count)
    return Segments(start, start + rng.uniform(1, 10, count), rng.integers(0, 2, count),
                    rng.integers(0, 40, count) / 40, rng.integers(0, 3, count), CLASSES, VIDEOS)


@pytest.mark.parametrize("seed", range(20))
def test_costs_add_up_to_one_minus_map(seed):
    rng = np.random.default_rng(seed)
    spread = rng.choice([15, 50, 200])
    precision = average_precision(random_segments(rng, 20, spread), random_segments(rng, rng.integers(0, 300), spread),
                                  np.arange(1, 10) / 10)
    for k in range(9):
        wrong, missed = detection_costs(precision, k), miss_costs(precision, k)
        assert wrong.sum() + missed.sum() == pytest.approx(1 - precision.mAP[k], abs=1e-12)
        assert wrong.min(initial=0) >= 0 and not wrong[precision.matched[:, k] >= 0].any()
        assert set(np.flatnonzero(missed)) == set(precision.misses(k))
        mistakes = video_mistakes(precision, k)
        assert mistakes.cost.sum() == pytest.approx(1 - precision.mAP[k], abs=1e-12)
        for index in range(3):
            mine = precision.predictions.video == index
            assert mistakes.cost[index] == pytest.approx(wrong[mine].sum()
                                                         + missed[precision.ground_truth.video == index].sum())


@pytest.mark.parametrize("seed", range(3))
def test_costs_match_a_loop_over_the_definition(seed):
    rng = np.random.default_rng(seed)
    precision = average_precision(random_segments(rng, 12), random_segments(rng, 60), [.3])
    expected = np.zeros(60)
    for index in range(2):
        rows = [row for row in range(60) if precision.predictions.label[row] == index]
        hit = [precision.matched[row, 0] >= 0 for row in rows]
        height = [sum(hit[:rank]) / rank for rank in range(1, len(rows) + 1)]
        for at in np.flatnonzero(hit):
            rank = max(range(at, len(rows)), key=lambda later: (height[later], -later)) + 1
            for before in range(rank):
                if not hit[before]:
                    expected[rows[before]] += 1 / rank / (precision.ground_truth.label == index).sum() / 2
    np.testing.assert_allclose(detection_costs(precision, 0), expected, atol=1e-15)


def test_video_without_mistakes_costs_nothing_even_if_its_action_ranks_low():
    """a's only detection is a hit with a low score; b's false positives rank before it."""
    truth = segments((0, 10, 0, 1, 0))
    found = segments((0, 10, 0, .1, 0), (0, 10, 0, .8, 1), (20, 30, 0, .7, 1))
    mistakes = video_mistakes(average_precision(truth, found, [.5]), 0)
    np.testing.assert_allclose(mistakes.cost, [0, 2 / 3, 0])
    assert mistakes.misses.tolist() == [0, 0, 0] and mistakes.false_positives.tolist() == [0, 2, 0]


def test_only_detections_above_the_score_are_counted():
    """Scores .9 hit, .8 FP, .8 hit, .3 FP, .2 hit; four actions. F1 = 2 TP / (detections + actions)."""
    truth = segments(*((10 * at, 10 * at + 5, 0, 1, 0) for at in range(4)))
    found = segments((0, 5, 0, .9, 0), (500, 505, 0, .8, 1), (10, 15, 0, .8, 0), (500, 505, 0, .3, 1),
                     (20, 25, 0, .2, 0))
    precision = average_precision(truth, found, [.5])
    table = {least: (counts.found, counts.false_positives, counts.misses, round(counts.f1, 6))
             for least in (1, .9, .85, .8, .3, .2, 0) if (counts := precision.counts(0, least))}
    assert table == {1: (0, 0, 4, 0), .9: (1, 0, 3, .4), .85: (1, 0, 3, .4), .8: (2, 1, 2, round(4 / 7, 6)),
                     .3: (2, 2, 2, .5), .2: (3, 2, 1, round(6 / 9, 6)), 0: (3, 2, 1, round(6 / 9, 6))}
    best = precision.best_f1(0)
    assert (best.score, best.found, best.false_positives, best.misses) == (.2, 3, 2, 1)
    assert (best.precision, best.recall) == (3 / 5, 3 / 4)
    assert false_positives(precision, 0, least=.8).tolist() == [1]
    assert false_positives(precision, 0, "run", least=.8).tolist() == []
    assert misses(precision, 0, least=.8).tolist() == [2, 3]
    assert video_mistakes(precision, 0, .8).misses.tolist() == [2, 0, 0]
    assert video_mistakes(precision, 0, .8).false_positives.tolist() == [0, 1, 0]
    assert video_mistakes(precision, 0, .8).cost.tolist() == video_mistakes(precision, 0).cost.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_best_f1_is_the_highest_over_all_scores(seed):
    rng = np.random.default_rng(seed)
    precision = average_precision(random_segments(rng, 20), random_segments(rng, 80), [.1, .3])
    for k in range(2):
        every = [precision.counts(k, score) for score in np.unique(precision.predictions.score)]
        assert precision.best_f1(k).f1 == max(counts.f1 for counts in every)
        assert precision.best_f1(k) == max(every, key=lambda counts: (counts.f1, counts.score))
        for counts in every:
            assert counts.found + counts.misses == 20


def test_every_action_is_missed_without_detections():
    truth = segments((0, 10, 0, 1, 0))
    precision = average_precision(truth, truth[:0], [.5])
    best = precision.best_f1(0)
    assert (best.score, best.found, best.false_positives, best.misses, best.f1) == (np.inf, 0, 0, 1, 0)
    assert precision.to_json()["best_f1"]["0.5"]["score"] is None
    assert video_mistakes(precision, 0).cost.tolist() == [1, 0, 0]
    assert explain_misses(precision, 0, misses(precision, 0)).kind.tolist() == ["not detected"]


def test_kind_of_each_false_positive():
    #   a: |jump 0 ------ 10|        |run 20 ------ 30|        b, c: nothing
    truth = segments((0, 10, 0, 1, 0), (20, 30, 1, 1, 0))
    found = segments((0, 10, 0, .9, 0),                 # finds the jump
                     (1, 10, 0, .8, 0),                 # finds it again
                     (21, 30, 0, .7, 0),                # the run, labelled jump
                     (0, 4, 0, .6, 0),                  # the start of the jump
                     (20, 24, 0, .5, 0),                # the start of the run, labelled jump
                     (9.5, 19.5, 0, .4, 0),             # background, although it touches the jump
                     (0, 10, 0, .3, 1))                 # no action in this video
    precision = average_precision(truth, found, [.5])
    rows = false_positives(precision, 0)
    assert rows.tolist() == [1, 2, 3, 4, 5, 6]
    explained = explain_false_positives(precision, 0, rows)
    assert explained.kind.tolist() == ["double detection", "wrong label", "localization", "confusion", "background",
                                       "background"]
    assert explained.other.tolist() == [0, 1, 0, 1, 0, -1]
    np.testing.assert_allclose(explained.tiou, [.9, .9, .4, .4, .5 / 19.5, 0])
    assert set(explained.kind) == set(KINDS)


def test_own_class_decides_if_it_reaches_the_threshold():
    #   a: |jump 0 ------ 10|     otherwise the larger overlap decides
    #      |run 0 -- 6|
    truth = segments((0, 10, 0, 1, 0), (0, 6, 1, 1, 0))
    found = segments((0, 10, 0, .9, 0), (0, 6, 0, .8, 0))                      # the second: .6 with jump, 1 with run
    for threshold, kind, other in ((.5, "double detection", 0), (.7, "wrong label", 1)):
        explained = explain_false_positives(average_precision(truth, found, [threshold]), 0, np.array([1]))
        assert (explained.kind.tolist(), explained.other.tolist()) == ([kind], [other])
    tied = explain_false_positives(average_precision(segments((0, 4, 0, 1, 0), (0, 4, 1, 1, 0)),
                                                     segments((0, 10, 0, .9, 0)), [.5]), 0, np.array([0]))
    assert (tied.kind.tolist(), tied.other.tolist()) == (["localization"], [0])


def test_low_threshold_has_no_localization_errors():
    precision = average_precision(segments((0, 10, 0, 1, 0)), segments((8.5, 20, 0, .9, 0)), [.05, .1])
    assert precision.matched[:, 0].tolist() == [0]
    assert explain_false_positives(precision, 1, np.array([0])).kind.tolist() == ["background"]


def test_kind_of_each_miss():
    #   a: |jump 0 - 10|  |run 20 - 30|  |jump 40 - 50|  |jump 60 - 70|  |jump 80 - 90|     b: |jump 0 - 10|
    #                                    |jump 44 - 54|                                     c: |jump 0 - 10|
    truth = segments((0, 10, 0, 1, 0), (20, 30, 1, 1, 0), (40, 50, 0, 1, 0), (44, 54, 0, 1, 0), (60, 70, 0, 1, 0),
                     (80, 90, 0, 1, 0), (0, 10, 0, 1, 1), (0, 10, 0, 1, 2))
    found = segments((0, 10, 0, .1, 0),                 # finds the first jump, with a low score
                     (20, 29, 0, .9, 0),                # the run, labelled jump
                     (41, 51, 0, .8, 0),                # one detection for two jumps
                     (60, 64, 0, .7, 0),                # the start of a jump
                     (80, 84, 1, .6, 0))                # the start of another, labelled run
    precision = average_precision(truth, found, [.5])
    rows = misses(precision, 0, least=.5)
    explained = explain_misses(precision, 0, rows, .5)
    by_row = dict(zip(rows.tolist(), zip(explained.kind.tolist(), explained.other.tolist(), strict=True), strict=True))
    assert by_row == {0: ("low score", 4), 1: ("wrong label", 0), 3: ("shared detection", 1), 4: ("localization", 2),
                      5: ("confusion", 3), 6: ("not detected", -1), 7: ("not detected", -1)}
    assert set(explained.kind) == set(MISS_KINDS)
    assert explained.tiou[rows.tolist().index(0)] == 1
    assert 0 not in misses(precision, 0)                # it is found if all scores count


def test_best_overlap_is_in_the_same_video():
    mine = segments((0, 10, 0, 1, 0), (0, 10, 1, 1, 0), (0, 10, 0, 1, 1), (90, 95, 0, 1, 0))
    others = segments((5, 10, 0, 1, 0), (0, 8, 0, 1, 0), (0, 10, 0, 1, 2), (2, 12, 1, 1, 0), (0, 8, 0, 1, 0))
    row, overlap = best_overlap(mine, others, same_class=True)
    assert row.tolist() == [1, 3, -1, -1]
    np.testing.assert_allclose(overlap, [.8, 8 / 12, 0, 0])
    row, overlap = best_overlap(mine, others, same_class=False)
    assert row.tolist() == [1, 1, -1, -1]
    np.testing.assert_allclose(overlap, [.8, .8, 0, 0])
    row, overlap = best_overlap(mine, others[:0], same_class=False)
    assert row.tolist() == [-1] * 4 and overlap.tolist() == [0] * 4
    with pytest.raises(ValueError, match="share"):
        best_overlap(mine, Segments.empty(CLASSES, ("a",)), same_class=True)


@pytest.mark.parametrize("same_class", [True, False])
@pytest.mark.parametrize("pairs", [7, 1 << 20])
def test_best_overlap_matches_a_loop(same_class, pairs, monkeypatch):
    monkeypatch.setattr("hrpro.evaluation.mistakes.PAIRS", pairs)
    rng = np.random.default_rng(1)
    mine, others = random_segments(rng, 30), random_segments(rng, 40)
    expected = []
    for row in range(len(mine)):
        overlaps = [0.]
        for other in range(len(others)):
            if mine.video[row] == others.video[other] and (not same_class or mine.label[row] == others.label[other]):
                shared = min(mine.end[row], others.end[other]) - max(mine.start[row], others.start[other])
                overlaps.append(max(0, shared) / (mine.length[row] + others.length[other] - max(0, shared)))
        expected.append(max(overlaps))
    np.testing.assert_allclose(best_overlap(mine, others, same_class=same_class)[1], expected)


@pytest.mark.slow
def test_180000_detections_are_explained_within_seconds():
    rng = np.random.default_rng(0)
    classes, videos = [f"class {index}" for index in range(20)], [f"v{index}" for index in range(210)]

    def some(count):
        start = rng.uniform(0, 200, count)
        return Segments(start, start + rng.uniform(1, 10, count), rng.integers(0, 20, count), rng.random(count),
                        rng.integers(0, 210, count), classes, videos)

    precision = average_precision(some(3300), some(180_000), [.5])
    began = time.process_time()
    mistakes = video_mistakes(precision, 0, precision.best_f1(0).score)
    spent = time.process_time() - began
    assert mistakes.cost.sum() == pytest.approx(1 - precision.mAP[0])
    assert spent < .5                                   # .05 s on a quiet machine
    began = time.process_time()
    explained = explain_false_positives(precision, 0, false_positives(precision, 0))
    assert len(explained.kind) > 170_000
    assert time.process_time() - began < 5              # .6 s on a quiet machine
