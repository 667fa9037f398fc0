"""Mistakes against hand-made segments, and against the definition of AP on random ones."""

import numpy as np
import pytest

from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision
from hrpro.evaluation.mistakes import best_tiou, video_mistakes

CLASSES, VIDEOS = ("jump", "run"), ("a", "b", "c")


def segments(*rows):
    """Rows (start, end, label, score, video)."""
    start, end, label, score, video = zip(*rows, strict=True)
    return Segments(start, end, label, score, video, CLASSES, VIDEOS)


def test_each_video_pays_for_its_own_mistakes():
    #   a: |jump 0-10|      found first            b: |jump 0-10| found third, after a false alarm in c
    #   b: |run 20-30|      never found            c: nothing there, one detection
    truth = segments((0, 10, 0, 1, 0), (0, 10, 0, 1, 1), (20, 30, 1, 1, 1))
    found = segments((0, 10, 0, .9, 0), (5, 9, 0, .8, 2), (0, 9, 0, .7, 1))
    mistakes = video_mistakes(average_precision(truth, found, [.5]), 0)
    assert mistakes.videos == VIDEOS
    assert mistakes.missed.tolist() == [0, 1, 0]
    assert mistakes.false_alarms.tolist() == [0, 0, 1]
    # jump: precision is 1 at a's action, 2/3 at b's; run: nothing. Means over two actions, one action, two classes.
    np.testing.assert_allclose(mistakes.lost, [0, (1 / 3 / 2 + 1) / 2, 0])


def random_segments(rng, count):
    start = rng.uniform(0, 50, count)
    return Segments(start, start + rng.uniform(1, 10, count), rng.integers(0, 2, count), rng.random(count),
                    rng.integers(0, 3, count), CLASSES, VIDEOS)


@pytest.mark.parametrize("seed", range(5))
def test_losses_add_up_to_what_map_lacks(seed):
    rng = np.random.default_rng(seed)
    precision = average_precision(random_segments(rng, 20), random_segments(rng, 200), [.1, .3, .5])
    for k in range(3):
        mistakes = video_mistakes(precision, k)
        assert mistakes.lost.sum() == pytest.approx(1 - precision.mAP[k])
        assert mistakes.missed.sum() == len(precision.misses(k))
        assert (mistakes.lost >= -1e-12).all()


def test_best_tiou_looks_at_its_class_and_video_only():
    mine = segments((0, 10, 0, 1, 0), (0, 10, 1, 1, 0), (0, 10, 0, 1, 1), (90, 95, 0, 1, 0))
    others = segments((5, 10, 0, 1, 0), (0, 8, 0, 1, 0), (0, 10, 0, 1, 2), (2, 12, 1, 1, 0))
    np.testing.assert_allclose(best_tiou(mine, others), [.8, 8 / 12, 0, 0])
    assert best_tiou(mine, others[:0]).tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="share"):
        best_tiou(mine, Segments.empty(CLASSES, ("a",)))


@pytest.mark.parametrize("seed", range(3))
def test_best_tiou_equals_a_loop(seed):
    rng = np.random.default_rng(seed)
    mine, others = random_segments(rng, 30), random_segments(rng, 40)
    expected = []
    for row in range(len(mine)):
        overlaps = [0.]
        for other in range(len(others)):
            if (mine.label[row], mine.video[row]) == (others.label[other], others.video[other]):
                shared = min(mine.end[row], others.end[other]) - max(mine.start[row], others.start[other])
                overlaps.append(max(0, shared) / (mine.length[row] + others.length[other] - max(0, shared)))
        expected.append(max(overlaps))
    np.testing.assert_allclose(best_tiou(mine, others), expected)
