"""A stage's log and its curves, from real event files."""

import json

import numpy as np
import pytest

from app.figures.training import MAX_POINTS, loss_figure, map_figure, thin
from app.run_log import StageLog
from hrpro.data.run import Run
from hrpro.training.events import EventLog


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "set" / "run")


def begin(log, mode="train", total=100, resumed_from=None):
    log.emit("start", stage=1, mode=mode, device="cpu", total=total, unit="step", seed=0, dataset="set", n_train=2,
             n_test=1, left_out=[], resumed_from=resumed_from)


def step(log, at, loss):
    log.step(at, at, {"total": loss, "action": loss / 2}, rate=8., eta=100. - at)


def report(value):
    return {"mAP": {"0.1": value, "0.2": value}, "average": {"0.1:0.5": value, "0.3:0.7": value / 2, "0.1:0.7": value}}


def test_log_is_read_incrementally(run):
    stage = StageLog(run, 1)
    assert stage.read().mode == "" and stage.fraction == 0
    with EventLog(run.stage(1), resume=False) as log:
        begin(log)
        step(log, 10, 2.)
        assert stage.read().steps == [10] and stage.fraction == .1 and stage.position == "step 10 of 100"
        step(log, 20, 1.)
        log.emit("progress", what="test", done=3, total=4)
        stage.read()
        assert stage.steps == [10, 20] and stage.losses == {"total": [2., 1.], "action": [1., .5]}
        assert stage.fraction == .2 and stage.now["done"] == 3
        log.test(20, report(.25), .9, True)
        log.emit("finish", seconds=3., last=None, best=None)
    stage.read()
    assert [test["step"] for test in stage.tests] == [20] and stage.fraction == 1


def test_duration_includes_all_parts_of_a_training_and_its_last_test(run):
    path = run.stage(1).events_file
    path.parent.mkdir(parents=True)
    start = {"device": "cpu", "total": 9, "unit": "step"}
    events = [(100, "start", start | {"mode": "train"}), (130, "note", {"message": "killed after this"}),
              (500, "start", start | {"mode": "train"}), (510, "cancelled", {}),
              (700, "start", start | {"mode": "train"}), (705, "finish", {}),
              (800, "start", start | {"mode": "test"}), (802, "finish", {}),
              (900, "start", start | {"mode": "test"}), (903, "finish", {})]
    path.write_text("".join(json.dumps({"time": time, "event": event, **more}) + "\n" for time, event, more in events))
    assert StageLog(run, 1).read().seconds == 30 + 10 + 5 + 3


def test_incomplete_line_is_read_once_it_is_complete(run):
    with EventLog(run.stage(1), resume=False) as log:
        begin(log)
    path = run.stage(1).events_file
    line = json.dumps({"time": 1., "event": "step", "step": 5, "loss": {"total": 1.}, "rate": 1., "eta": 1.}) + "\n"
    stage = StageLog(run, 1)
    for part in (line[:30], line[30:]):
        assert stage.read().steps == []
        with open(path, "a") as file:
            file.write(part)
    assert stage.read().steps == [5]


def test_resumed_run_replaces_repeated_steps(run):
    stage = StageLog(run, 1)
    for resumed, steps in ((None, (10, 20, 30)), (20, (21, 31))):
        with EventLog(run.stage(1), resume=bool(resumed)) as log:
            begin(log, resumed_from=resumed)
            for at in steps:
                step(log, at, float(at))
                log.test(at, report(at / 100), None, False)
    stage.read()
    assert stage.steps == [10, 20, 21, 31] and stage.losses["total"] == [10., 20., 21., 31.]
    assert [test["step"] for test in stage.tests] == [10, 20, 21, 31]


def test_new_training_replaces_the_curves(run):
    stage = StageLog(run, 1)
    for loss in (1., 7.):
        with EventLog(run.stage(1), resume=False) as log:
            begin(log)
            step(log, 10, loss)
        assert stage.read().losses["total"] == [loss]


def test_final_test_adds_nothing_to_the_curve(run):
    with EventLog(run.stage(1), resume=False) as log:
        begin(log)
        log.test(20, report(.25), None, True)
    with EventLog(run.stage(1), resume=True) as log:
        begin(log, mode="test", total=0)
        log.test(20, report(.25), None, False)
    stage = StageLog(run, 1).read()
    assert len(stage.tests) == 1 and stage.tests[0]["best"] and (stage.mode, stage.total) == ("test", 100)


def test_figures_show_every_loss_and_average(run):
    with EventLog(run.stage(1), resume=False) as log:
        begin(log)
        for at in (10, 20, 30):
            step(log, at, 1 / at)
            log.test(at, report(at / 100 if at < 30 else .1), None, at < 30)
    stage = StageLog(run, 1).read()
    losses = loss_figure(stage, {"action": .5})
    assert [trace.name for trace in losses.data] == ["total", "0.5 × action"]
    assert list(losses.data[1].y) == [1 / 40, 1 / 80, 1 / 120]
    assert list(losses.data[0].y) == [1 / 10, 1 / 20, 1 / 30] and losses.data[0].line.width > losses.data[1].line.width
    means = map_figure(stage)
    assert {trace.name: list(trace.y) for trace in means.data} == {
        "AVG 0.1:0.7": [.1, .2, .1], "AVG 0.3:0.7": [.05, .1, .05], "AVG 0.1:0.5": [.1, .2, .1], "best on test": [.2]}
    assert list(means.data[-1].x) == [20]
    colours = [trace.line.color for trace in losses.data]
    assert len(set(colours)) == 2 and losses.layout.uirevision == means.layout.uirevision


def test_loss_terms_of_a_real_training_add_up_to_the_total(trained_world):
    run = Run(trained_world / "ckpt" / "small" / "first")
    first = ["total", "video (not in the total)", "0.5 × action", "background", "contrast"]
    for stage, names in ((1, first), (2, ["total", "boundary", "completeness"])):
        log = StageLog(run, stage).read()
        total, *parts = loss_figure(log, run.config(stage).loss_weights(stage)).data
        assert [total.name, *(part.name for part in parts)] == names
        shown = [part for part in parts if part.visible is True]
        assert len(total.y) and len(shown) == len(names) - (2 if stage == 1 else 1)
        np.testing.assert_allclose(sum(np.asarray(part.y) for part in shown), total.y, rtol=1e-4)
        assert all((np.asarray(part.y) <= np.asarray(total.y) + 1e-6).all() for part in shown)
        unknown = loss_figure(log, {}).data             # the run's settings are lost
        assert all(part.visible == "legendonly" and part.name.endswith("(unweighted)") for part in unknown[1:])


def test_empty_figures_say_why(run):
    stage = StageLog(run, 1)
    said = [figure.layout.annotations[0].text for figure in (loss_figure(stage, {}), map_figure(stage))]
    assert loss_figure(stage, {}).layout.yaxis.range == map_figure(stage).layout.yaxis.range == (0, 1)
    assert said == ["No step yet", "No test yet"]


def test_thresholds_without_a_usual_average_are_drawn_separately(run):
    with EventLog(run.stage(1), resume=False) as log:
        begin(log)
        log.test(10, {"mAP": {"0.25": .5, "0.6": .1}, "average": {}}, None, True)
    figure = map_figure(StageLog(run, 1).read())
    assert {trace.name: list(trace.y) for trace in figure.data} == {"mAP@0.6": [.1], "mAP@0.25": [.5],
                                                                   "best on test": [pytest.approx(.3)]}


@pytest.mark.parametrize("length", [0, 1, MAX_POINTS, MAX_POINTS + 1, 54_321])
def test_thinning_keeps_the_shape_and_the_last_point(length):
    x = np.arange(length, dtype=float)
    shown, y = thin(x, 3 * x)
    assert len(shown) == min(length, MAX_POINTS) and np.allclose(y, 3 * shown)
    if length:
        assert shown[-1] == length - 1 and shown[0] <= length / MAX_POINTS and (np.diff(shown) > 0).all()
