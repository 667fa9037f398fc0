"""Evaluation figures against small results computed by hand."""

import numpy as np
import pytest

from app.colours import contrast
from app.figures.evaluation import SCALE, class_order, corners, map_figure, per_class_figure, precision_recall_figure
from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision

REPORT = {"mAP": {"0.1": .5, "0.5": .25}, "average": {}, "per_class": {"jump": [.6, .3], "run": [.4, .2]}}
ACTIONS = {"jump": 3, "run": 8, "swim": 9}


def test_map_figure_has_a_line_per_result_and_describes_its_ends():
    figure, words = map_figure({"a": REPORT, "b <i>": REPORT})
    assert [line.name for line in figure.data] == ["a", "b &lt;i&gt;"]
    assert (list(figure.data[0].x), list(figure.data[0].y)) == ([.1, .5], [.5, .25])
    assert len({(line.line.color, line.line.dash) for line in figure.data}) == 2
    assert figure.layout.xaxis.title.text == "tIoU threshold" and figure.layout.yaxis.title.text == "mAP"
    assert "a: from 50.0% at tIoU 0.1 to 25.0% at 0.5; b <i>: " in words


@pytest.mark.parametrize(("by", "expected"), [("AP", ["jump", "run"]), ("actions", ["run", "jump"]),
                                              ("name", ["jump", "run"]), ("difference", ["run", "jump"])])
def test_class_order(by, expected):
    other = {"jump": [.6, .3], "run": [.1, .1]}
    assert class_order(REPORT["per_class"], ACTIONS, by, other) == expected


def test_class_missing_from_the_other_result_counts_as_zero():
    assert class_order(REPORT["per_class"], ACTIONS, "difference", {"run": [.4, .2]}) == ["jump", "run"]


def test_heat_map_has_a_row_per_class_from_the_top():
    figure, words = per_class_figure("AP", [.1, .5], REPORT["per_class"], ["swim", "run", "jump"], ACTIONS)
    heat, = figure.data
    assert list(heat.y) == ["run", "jump"] and list(heat.x) == ["0.1", "0.5"]
    np.testing.assert_allclose(heat.z, [[.4, .2], [.6, .3]])
    assert figure.layout.yaxis.autorange == "reversed"
    assert heat.customdata.tolist() == [[8, 8], [3, 3]]
    assert "2 classes at 2 tIoU thresholds" in words and "jump with 45.0%" in words and "run with 30.0%" in words


def test_class_names_are_shown_literally():
    figure, _ = per_class_figure("AP", [.1], {'"a" <b> & \'c\'': [.5]}, ['"a" <b> & \'c\''], {})
    assert list(figure.data[0].y) == ['"a" &lt;b&gt; &amp; \'c\'']                  # all that Plotly interprets


def test_numbers_are_readable_on_every_cell():
    stops = [[int(stop[at:at + 2], 16) for at in (1, 3, 5)] for stop in SCALE]
    for share in np.linspace(0, 1, 21):
        cell = [round(np.interp(share, np.linspace(0, 1, len(SCALE)), channel)) for channel in zip(*stops, strict=True)]
        assert contrast("#ffffff", "#" + bytes(cell).hex()) >= 4.5


def test_heat_map_of_many_classes_grows_and_hides_its_numbers():
    many = {f"class {index}": [.5, .5] for index in range(200)}
    figure, _ = per_class_figure("AP", [.1, .5], many, list(many), {})
    assert figure.layout.height > 200 * 15
    assert figure.data[0].texttemplate is None
    assert per_class_figure("AP", [.1, .5], {}, [], {}).words == "No class was measured."


def measured():
    """Four jumps; detections by score: found, wrong, wrong, found, wrong."""
    def segments(start, score=None):
        return Segments.make(start, np.add(start, 1), np.zeros(len(start), int), ("jump", "run"), ("v",), score)

    return average_precision(segments([0, 10, 20, 30]), segments([0, 5, 6, 10, 7], [.9, .8, .7, .6, .5]), [.3, .5])


def area(line):
    """Area under a line with vertical and horizontal steps only."""
    return float(np.sum(np.diff(line.x) * np.asarray(line.y)[:-1]))


def test_area_under_the_precision_recall_steps_is_the_ap():
    """Precision as measured 1, 1/2, 1/3, 2/4, 2/5; interpolated 1 up to recall 1/4, then 1/2 up to 1/2."""
    figure, words = precision_recall_figure(measured(), "jump", [1])
    faint, line = figure.data
    np.testing.assert_allclose(line.x, [0, .25, .25, .5, .5])
    np.testing.assert_allclose(line.y, [1, 1, .5, .5, 0])
    np.testing.assert_allclose(line.customdata, [.9, .9, .6, .6, .6])
    assert line.name == "tIoU 0.5, AP 37.5%" and area(line) == .375
    np.testing.assert_allclose(faint.x, [.25, .25, .5, .5])
    np.testing.assert_allclose(faint.y, [1, 1 / 3, .5, .4])
    assert faint.opacity < .5 and not faint.showlegend and faint.legendgroup == line.legendgroup
    assert words == "Interpolated precision against recall of jump. tIoU 0.5: AP 37.5%, recall up to 50.0%."
    assert [figure.layout.xaxis.title.text, figure.layout.yaxis.title.text] == ["recall", "precision"]


@pytest.mark.parametrize("seed", range(5))
def test_area_matches_the_ap_in_the_legend(seed):
    rng = np.random.default_rng(seed)

    def some(count):
        start, label = rng.uniform(0, 30, count), rng.integers(0, 2, count)
        return Segments.make(start, start + rng.uniform(2, 8, count), label, ("jump", "run"), ("v",),
                             rng.integers(0, 20, count) / 20)

    precision = average_precision(some(12), some(60), [.1, .3, .5])
    for row, label in enumerate(precision.classes):
        lines = precision_recall_figure(precision, label, [0, 1, 2]).figure.data[1::2]
        np.testing.assert_allclose([area(line) for line in lines], precision.per_class[row], atol=1e-12)


def test_precision_recall_of_an_undetected_class():
    truth = Segments.make([0], [1], [0], ("jump", "run"), ("v",))
    figure, words = precision_recall_figure(average_precision(truth, truth[:0], [.5]), "jump", [0])
    assert len(figure.data[0].x) == len(figure.data[1].x) == 0
    assert "never detected" in words


def test_corners_keep_the_shape_of_the_curve():
    rng = np.random.default_rng(0)
    hits = np.zeros(100_000)
    hits[rng.choice(100_000, 50, replace=False)] = 1
    recall = np.cumsum(hits) / 50
    kept = corners(recall)
    assert len(kept) <= 2 * 50 + 2
    assert set(np.flatnonzero(hits)) <= set(kept)
    precision = np.cumsum(hits) / np.arange(1, 100_001)
    drawn = np.interp(np.arange(100_000), kept, precision[kept])
    assert precision[kept].max() == precision.max() and (drawn - precision > -1e-9).all()   # it is convex in between
