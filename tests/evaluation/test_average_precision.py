import json

import numpy as np
import pytest

from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision

TIOU = np.arange(1, 8) / 10
BLOCKED = {"video_test_0000270", "video_test_0001292", "video_test_0001496"}


def segments(rows, classes="ab", videos="uvw"):
    """Rows are (video, label, start, end) and, for predictions, score."""
    video, label, start, end, *score = zip(*rows, strict=True) if rows else [()] * 4
    return Segments.make(start, end, [classes.index(name) for name in label], classes, videos, *score,
                         video=[videos.index(name) for name in video])


def plain_average_precision(ground_truth, predictions, threshold):
    """Reference implementation: AP of each class with ground truth, prediction by prediction."""
    found = {}
    for label in {ground_truth.classes[index] for index in ground_truth.label}:
        truth = [(ground_truth.videos[ground_truth.video[row]], ground_truth.start[row], ground_truth.end[row])
                 for row in range(len(ground_truth)) if ground_truth.classes[ground_truth.label[row]] == label]
        rows = [row for row in range(len(predictions)) if predictions.classes[predictions.label[row]] == label
                and predictions.videos[predictions.video[row]] in ground_truth.videos]
        taken, hits = set(), []
        for row in sorted(rows, key=lambda row: -predictions.score[row]):
            start, end, best, best_iou = predictions.start[row], predictions.end[row], None, threshold
            for index, (video, begin, stop) in enumerate(truth):
                shared = min(end, stop) - max(start, begin)
                if index in taken or video != predictions.videos[predictions.video[row]] or shared <= 0:
                    continue
                iou = shared / ((end - start) + (stop - begin) - shared)
                if iou > best_iou or (iou == best_iou and best is None):
                    best, best_iou = index, iou
            hits.append(best is not None)
            taken.add(best)
        precision = [sum(hits[:count]) / count for count in range(1, len(hits) + 1)]
        found[label] = sum(max(precision[row:]) for row, hit in enumerate(hits) if hit) / len(truth)
    return found


@pytest.fixture(scope="module")
def thumos(shared):
    path = shared / "datasets" / "THUMOS14" / "gt_full.json"
    database = json.loads(path.read_text())["database"]
    videos = [video for video, info in database.items() if info["subset"] == "Test" and video not in BLOCKED]
    return Segments.from_activitynet(path, videos=videos)


def test_average_precision_matches_the_published_program(thumos, reference):
    predictions = Segments.from_activitynet(reference / "evaluate_predictions.json")
    expected = json.loads((reference / "evaluate_expected.json").read_text())
    found = average_precision(thumos, predictions, TIOU).to_json()
    for part in ("mAP", "average", "per_class"):
        assert found[part].keys() == expected[part].keys()
        for name, value in expected[part].items():
            np.testing.assert_allclose(found[part][name], value, rtol=0, atol=1e-14)
    assert found["n_ground_truth"] == expected["n_ground_truth"]
    assert found["n_predictions"] == expected["n_predictions"]
    assert found["n_videos"] == 210


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_matches_a_plain_loop(seed):
    """Crowded segments, so that several predictions compete for several ground truths, with tied scores and tIoU."""
    rng = np.random.default_rng(seed)

    def crowd(count, classes, videos):
        start, length = rng.integers(0, 30, count), rng.integers(0, 12, count)
        return Segments(start, start + length, rng.integers(0, len(classes), count), rng.integers(0, 40, count) / 40,
                        rng.integers(0, len(videos), count), classes, videos)

    ground_truth, predictions = crowd(40, "abc", "uvw"), crowd(500, "dcba", "wxuv")
    found = average_precision(ground_truth, predictions, TIOU)
    for k, threshold in enumerate(TIOU):
        expected = plain_average_precision(ground_truth, predictions, threshold)
        assert set(found.classes) == expected.keys()
        for row, label in enumerate(found.classes):
            assert found.per_class[row, k] == pytest.approx(expected[label], abs=1e-12)


def test_precision_envelope_of_four_predictions():
    """Two actions, by descending score:      hit   miss  hit   miss
                                  precision   1     1/2   2/3   2/4     AP = (1 + 2/3) / 2
    """
    ground_truth = segments([("u", "a", 0, 10), ("v", "a", 0, 10)])
    predictions = segments([("v", "a", 1, 10, .3), ("u", "a", 0, 9, .9), ("u", "a", 0, 10, .5), ("v", "a", 50, 60, .1)])
    found = average_precision(ground_truth, predictions, [.5, .95])
    np.testing.assert_allclose(found.per_class, [[(1 + 2 / 3) / 2, 1 / 2 / 2]])
    assert found.matched[:, 0].tolist() == [0, -1, 1, -1]  # .9, .5, .3, .1: .5 comes after u's action was found
    assert found.matched[:, 1].tolist() == [-1, 0, -1, -1]
    assert found.misses(0).tolist() == [] and found.misses(1).tolist() == [1]
    recall, precision, score = found.curve("a", 0)
    np.testing.assert_allclose(recall, [.5, .5, 1, 1])
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3, 1 / 2])
    np.testing.assert_allclose(score, [.9, .5, .3, .1])


def test_prediction_takes_its_second_best_if_the_best_is_taken():
    """ground truth   g0 [0, 10)   g1 [6, 16)
    in score order    p0 [4, 14): g1 (.67) before g0 (.43)     p1 [5, 15): g1 (.82) is taken, so g0 (.33) or nothing
                      p2 [0, 10): best is g0, which p1 holds at .3 but not at .5
    """
    ground_truth = segments([("u", "a", 0, 10), ("u", "a", 6, 16)])
    predictions = segments([("u", "a", 4, 14, .9), ("u", "a", 5, 15, .8), ("u", "a", 0, 10, .7)])
    found = average_precision(ground_truth, predictions, [.3, .5])
    assert found.matched.tolist() == [[1, 1], [0, -1], [-1, 0]]


def test_only_classes_and_videos_of_the_ground_truth_count():
    """Classes with ground truth count even without predictions. Predictions count if their class and video are
    evaluated; the others are counted separately. Predictions in a video without their class are false positives."""
    ground_truth = segments([("u", "a", 0, 10), ("u", "b", 0, 10)], classes="abc", videos="uv")
    predictions = segments([("v", "a", 0, 10, .9), ("u", "a", 0, 10, .8), ("u", "c", 0, 10, .8), ("u", "d", 0, 9, .8),
                            ("w", "a", 0, 10, 1.)], classes="dcba", videos="wvu")
    found = average_precision(ground_truth, predictions, [.5])
    assert found.classes == ("a", "b")
    np.testing.assert_allclose(found.per_class, [[.5], [0]])
    np.testing.assert_allclose(found.mAP, [.25])
    assert (len(found.predictions), found.unknown_classes, found.unknown_videos) == (2, {"d": 1, "c": 1}, {"w": 1})


@pytest.mark.parametrize("rows", [
    [("u", "a", 5, 5, .9)],      # empty, even where the ground truth is empty too
    [("u", "a", 9, 1, .9)],      # reversed
    [("u", "a", 20, 30, .9)],
    [],
])
def test_predictions_that_find_nothing_score_zero(rows):
    ground_truth = segments([("u", "a", 0, 10), ("u", "a", 5, 5)])
    found = average_precision(ground_truth, segments(rows), [.1])
    assert found.mAP.tolist() == [0] and (found.matched == -1).all()


def test_tiou_equal_to_the_threshold_counts():
    ground_truth, predictions = segments([("u", "a", 0, 10)]), segments([("u", "a", 0, 5, 1.)])
    assert average_precision(ground_truth, predictions, [.5, .51]).mAP.tolist() == [1, 0]


@pytest.mark.parametrize(("tiou", "averages"), [
    (np.arange(1, 8) / 10, ["0.1:0.5", "0.3:0.7", "0.1:0.7"]),
    (np.linspace(.5, .95, 10), ["0.5:0.95"]),
    (np.arange(1, 10) / 10, ["0.1:0.5", "0.3:0.7", "0.1:0.7", "0.1:0.9"]),
    ([.1, .3, .5], ["0.1:0.5"]),
    ([.5], []),
])
def test_averages_cover_the_ranges_that_the_thresholds_allow(tiou, averages):
    ground_truth, predictions = segments([("u", "a", 0, 10)]), segments([("u", "a", 0, 4, 1.)])
    found = average_precision(ground_truth, predictions, tiou)
    report = found.to_json()
    assert list(report["average"]) == averages
    for name, value in report["average"].items():
        low, high = map(float, name.split(":"))
        inside = [threshold <= .4 for threshold in tiou if low - 1e-9 < threshold < high + 1e-9]
        assert value == pytest.approx(np.mean(inside))


@pytest.mark.parametrize("tiou", [[], [0, .5], [.5, 1.1], [.5, .3], [np.nan]])
def test_invalid_thresholds_are_refused(tiou):
    with pytest.raises(ValueError, match="thresholds"):
        average_precision(segments([("u", "a", 0, 10)]), segments([]), tiou)


def test_missing_ground_truth_is_refused():
    with pytest.raises(ValueError, match="no ground truth"):
        average_precision(segments([]), segments([("u", "a", 0, 4, 1.)]), [.5])
