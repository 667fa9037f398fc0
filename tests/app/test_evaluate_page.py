"""The Evaluate page, run with Streamlit's AppTest on a trained run."""

import argparse
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import open_page

from app.evaluate import all_reports, command, listed, map_table
from app.evaluate import test_command as saving
from app.mistakes import Mistakes
from app.paths import ROOT
from app.results import load_dataset, result
from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.evaluation import command as evaluate_command
from hrpro.evaluation.average_precision import average_precision
from hrpro.evaluation.mistakes import false_positives
from hrpro.evaluation.report import evaluate_files, parse_tiou
from hrpro.files import read_json, write_json
from hrpro.training import command as training_command


@pytest.fixture
def run(world):
    return Run(world / "ckpt" / "small" / "first")


@pytest.fixture
def data(world):
    return world / "dataset" / "small"


def said(test):
    return "\n".join(markdown.value for markdown in test.markdown)


def field(test, label):
    return next(each for each in (*test.selectbox, *test.button_group) if each.label == label)


def figure(test, title):
    found = (json.loads(chart.proto.spec) for chart in test.get("plotly_chart"))
    return next(spec for spec in found if spec["layout"]["title"]["text"].startswith(title))


def test_table_lists_both_checkpoints_by_name(world, run):
    test = open_page("evaluate")
    table = test.dataframe[0].value.set_index("mAP in %")
    metrics = read_json(run.stage(2).metrics_file)
    for name, title in (("last", "last (epoch 2)"), ("best", "best on test (epoch 1)")):
        row = table.loc[f"first, stage 2, {title}"]
        assert row["@0.5"] == pytest.approx(100 * metrics[name]["mAP"]["0.5"])
        assert row["AVG 0.1:0.7"] == pytest.approx(100 * metrics[name]["average"]["0.1:0.7"])
    assert "**test** split of small: 3 videos with 9 annotated actions of 3 classes" in said(test)
    assert "so it is optimistic; *last* is unbiased" in said(test)
    assert all(chart.proto.alt for chart in test.get("plotly_chart"))


def test_last_and_best_share_a_row_if_they_are_the_same(run, data):
    measured = result(load_dataset(data), run, 1)
    assert [name.partition(", stage 1, ")[2] for name in all_reports([measured])] == ["last and best on test (step 6)"]


def test_command_prints_the_same_figures(run, data):
    for stage in (1, 2):
        measured = result(load_dataset(data), run, stage)
        words = shlex.split(command(load_dataset(data), measured))
        assert words[:4] == ["python", "-m", "hrpro", "evaluate"]
        out = subprocess.run([sys.executable, *words[1:], "--json"], capture_output=True, text=True, check=True,
                             cwd=ROOT).stdout
        assert json.loads(out) == measured.precision.to_json()


def test_command_includes_blocked_videos_thresholds_and_subset(run, data):
    path = run.stage(2).config_file
    write_json(path, read_json(path) | {"blocked_videos": ["test_1"], "tiou_thresholds": [.25, .5]})
    document = read_json(data / "gt_full.json")
    document["database"]["spare"] = {"subset": "Test", "duration": 9, "fps": 30, "annotations": []}
    write_json(data / "gt_full.json", document)
    measured = result(load_dataset(data), run, 2)
    line = command(load_dataset(data), measured)
    assert line.endswith("--subset Test --tiou 0.25,0.5 --ignore-video test_1 spare")
    assert measured.checkpoint == ""                    # other settings, other figures
    assert "saved detections" in list(all_reports([measured]))[-1]
    assert "figures of neither checkpoint" in said(open_page("evaluate"))
    document["database"]["test_0"]["subset"] = "Other"
    write_json(data / "gt_full.json", document)
    assert command(load_dataset(data), result(load_dataset(data), run, 2)) is None
    assert any("no one command" in caption.value for caption in open_page("evaluate").caption)


def test_command_accepts_names_that_begin_with_a_dash(run, data, monkeypatch):
    """As ActivityNet's videos do."""
    monkeypatch.chdir(data.parents[1])
    data, ckpt = data.parent.rename("-dataset").absolute() / "small", run.root.parents[1].rename("-ckpt").absolute()
    monkeypatch.setenv("HRPRO_CKPT", str(ckpt))
    run = Run(ckpt / "small" / "first")
    document = read_json(data / "gt_full.json")
    for info in document["database"].values():
        info["subset"] = "-Test"
    document["database"] |= {name: {"subset": "-Test", "duration": 9, "fps": 30, "annotations": []}
                             for name in ("-abc", "-1", "--x", "- y")}
    write_json(data / "gt_full.json", document)
    measured = result(load_dataset(data), run, 2)
    words = shlex.split(command(load_dataset(data), measured))
    parser = argparse.ArgumentParser()
    evaluate_command.add_arguments(parser)
    args = parser.parse_args(words[4:])
    assert (args.gt, args.subset) == (Path("-dataset/small/gt_full.json"), "-Test")
    assert {"-abc", "-1", "--x", "- y"} <= set(args.ignore_video)
    found = evaluate_files(args.gt, args.pred, args.subset, parse_tiou(args.tiou), args.ignore_video)
    assert found.precision.to_json() == measured.precision.to_json()
    words = shlex.split(saving(load_dataset(data), measured, "best"))
    parser = argparse.ArgumentParser()
    training_command.add_arguments(parser)
    args = parser.parse_args(words[2:])
    assert (args.cfg, args.ckpt_path) == ("./-dataset/small/config.yaml", "./-ckpt")


def test_command_saves_the_other_checkpoint(run, data):
    line = next(code.value for code in open_page("evaluate").code if "checkpoint=best" in code.value)
    subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True, capture_output=True, cwd=ROOT)
    assert result(load_dataset(data), run, 2).checkpoint == "best"


def test_other_saved_checkpoint_or_thresholds_are_the_new_defaults(run, data):
    test = open_page("evaluate")
    tiou = next(box for box in test.selectbox if box.key.startswith("list tIoU"))
    assert field(test, "Checkpoint").value == "last" and tiou.format_func(tiou.value) == "0.5"
    line = next(code.value for code in test.code if "checkpoint=best" in code.value)
    subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True, capture_output=True, cwd=ROOT)
    test.run()
    assert field(test, "Checkpoint").value == "best"
    path = run.stage(2).config_file
    write_json(path, read_json(path) | {"tiou_thresholds": [.35, .4, .45, .5, .55, .6, .65]})
    test.run()
    tiou = next(box for box in test.selectbox if box.key.startswith("list tIoU"))
    assert tiou.format_func(tiou.value) == "0.5"


def test_heat_map_follows_order_and_checkpoint(world, run):
    test = open_page("evaluate")
    report = read_json(run.stage(2).metrics_file)["last"]["per_class"]
    assert figure(test, "AP by class")["data"][0]["y"] == sorted(report, key=lambda name: -np.mean(report[name]))
    field(test, "Order").set_value("name").run()
    assert figure(test, "AP by class")["data"][0]["y"] == sorted(report)
    field(test, "Checkpoint").set_value("best").run()
    best = read_json(run.stage(2).metrics_file)["best"]["per_class"]
    drawn = figure(test, "AP by class")["data"][0]["z"]
    values = np.frombuffer(base64.b64decode(drawn["bdata"]), drawn["dtype"]).reshape(len(best), -1)
    np.testing.assert_allclose(values, [best[name] for name in sorted(best)])


def test_two_results_are_shown_side_by_side(world):
    test = open_page("evaluate")
    field(test, "Compare with").set_value("first, stage 1").run()
    assert len(test.dataframe[0].value) == 3
    assert figure(test, "AP by class, first, stage 2") and figure(test, "AP by class, first, stage 1")
    field(test, "Order").set_value("difference").run()
    assert not test.exception


def test_curves_follow_class_and_thresholds(world):
    test = open_page("evaluate")
    test.selectbox(key="curve class small").set_value("wave").run()
    thresholds = next(group for group in test.button_group if group.label == "tIoU")
    thresholds.set_value([0]).run()
    lines = figure(test, "Precision and recall of wave")["data"]
    assert [line["name"].split(",")[0] for line in lines] == ["tIoU 0.1", "tIoU 0.1"]
    next(group for group in test.button_group if group.label == "tIoU").set_value([]).run()
    assert any("at least one" in caption.value for caption in test.caption)


def test_list_options_are_read_from_and_written_to_the_url(world):
    test = open_page("evaluate", tab="Mistakes", stage="1", tiou="0.3", of="wave")
    assert field(test, "Stage").value == 1
    at, of = (next(box for box in test.selectbox if box.key.startswith(f"list {name}")) for name in ("tIoU", "class"))
    assert (at.format_func(at.value), of.value) == ("0.3", "wave") and not test.exception
    at.set_value(0).run()
    next(box for box in test.selectbox if box.key.startswith("list class")).set_value(None).run()
    field(test, "Stage").set_value(2).run()
    assert {name: test.query_params.get(name) for name in ("stage", "tiou", "of")} == {
        "stage": "2", "tiou": "0.1", "of": None}
    other = open_page("evaluate", tab="nonsense", stage="7", tiou="x", of="nobody")
    assert field(other, "Stage").value == 2 and not other.exception


def test_lists_of_mistakes_match_a_naive_loop(run, data):
    precision = result(load_dataset(data), run, 2).precision
    chosen = Mistakes("wrong", 2, .5, "wave")
    rows = chosen.rows(precision)
    assert len(rows) == np.sum((precision.matched[:, 4] < 0) & (precision.predictions.label == 2))
    table = listed(chosen, precision, rows[:10])
    assert len(table) == 10 and set(table["class"]) == {"wave"}
    assert (np.diff(table["score"]) <= 0).all()
    truth = precision.ground_truth
    for row in table.itertuples(index=False):
        overlaps = [(0., None)]
        for start, end, label, video in zip(truth.start, truth.end, truth.label, truth.video, strict=True):
            if truth.videos[video] == row.video:
                shared = max(0, min(end, row.end) - max(start, row.start))
                overlaps.append((shared / (end - start + row.length - shared), truth.classes[label]))
        own = max(overlap for overlap, label in overlaps if label in ("wave", None))
        best, label = max(overlaps, key=lambda each: each[0])
        assert row.tIoU == pytest.approx(own if own >= .5 else best)
        assert row.overlaps == ("wave" if own >= .5 or own == best > 0 else label if best else "")
        assert row.kind == ("double detection" if own >= .5 else "wrong label" if best >= .5 else "background"
                            if best < .1 else "localization" if own == best else "confusion")
    few = average_precision(truth, precision.predictions[:3], precision.tiou)
    chosen = Mistakes("missed", 2, .7)
    rows = chosen.rows(few)
    assert len(rows) >= 6 and (np.diff(truth.length[rows]) <= 0).all()
    table = listed(chosen, few, rows)
    assert "score" not in table and (table["tIoU"] < .7).all()
    costs = listed(replace(chosen, order="cost"), few, replace(chosen, order="cost").rows(few))["mAP cost"]
    assert (np.diff(costs) <= 0).all()
    wrong = Mistakes("wrong", 2, .7)
    assert costs.sum() + 100 * wrong.costs(few).sum() == pytest.approx(100 * (1 - few.mAP[6]))


def test_mistakes_are_counted_from_the_score_of_the_best_f1(world, run, data):
    test = open_page("evaluate")
    precision = result(load_dataset(data), run, 2).precision
    best = precision.best_f1(4)
    assert [subheader.value for subheader in test.subheader] == \
        [f"False positives: {best.false_positives:,}", f"Misses: {best.misses:,}"]
    assert f"**{best.found:,} found, {best.false_positives:,} false positives, {best.misses:,} misses**" in said(test)
    test.run()                                          # a rerun before the browser has drawn the first run
    assert test.slider[0].proto.set_value and field(test, "tIoU").proto.set_value
    slider, = test.slider
    assert slider.value == best.score
    slider.set_value(slider.min).run()
    every = precision.counts(4, -np.inf)
    assert [subheader.value for subheader in test.subheader] == \
        [f"False positives: {every.false_positives:,}", f"Misses: {every.misses:,}"]
    test.selectbox(key="list class small").set_value("jump").run()
    assert set(test.dataframe[1].value["class"]) == {"jump"}
    jump = len(false_positives(precision, 4, "jump"))
    assert test.subheader[0].value == f"False positives: {jump:,}"
    assert f"{np.sum(precision.predictions.label == 0) - jump:,} found" in said(test)
    field(test, "Sort by").set_value("score").run()
    assert not test.exception


def test_mistakes_with_zero_and_one_detection(world, run, data):
    found = Segments.from_activitynet(run.stage(2).final_result)
    for count, text in ((0, "(there are none): **0 found, 0 false positives, 9 misses**"),
                        (1, "**0 found, 1 false positive, 9 misses**")):
        found[:count].save(run.stage(2).final_result)
        test = open_page("evaluate")
        assert not test.slider and text in said(test)


def test_results_are_cached_until_files_change(run, data):
    first = result(load_dataset(data), run, 2)
    assert result(load_dataset(data), run, 2) is first
    found = Segments.from_activitynet(run.stage(2).final_result)
    found[:5].save(run.stage(2).final_result)
    again = result(load_dataset(data), run, 2)
    assert len(again.precision.predictions) == 5
    (data / "split_test.txt").write_text("test_0\n")
    assert len(result(load_dataset(data), run, 2).precision.ground_truth.videos) == 1


@pytest.mark.slow
def test_180000_detections_are_evaluated_within_seconds(run, data):
    rng = np.random.default_rng(0)
    truth = load_dataset(data).test_truth()
    row = rng.integers(0, len(truth), 180_000)
    start = truth.start[row] + rng.normal(0, 2, len(row))
    Segments(start, start + rng.uniform(1, 9, len(row)), truth.label[row], rng.random(len(row)), truth.video[row],
             truth.classes, truth.videos).save(run.stage(2).final_result)
    began = time.process_time()
    measured = result(load_dataset(data), run, 2)
    assert len(measured.precision.predictions) == 180_000
    assert time.process_time() - began < 3              # under 1 s on a quiet machine
    began = time.process_time()
    result(load_dataset(data), run, 2)
    assert time.process_time() - began < .05


def test_videos_in_both_splits_are_reported(data, run):
    (data / "split_train.txt").write_text((data / "split_train.txt").read_text() + "test_0\n")
    assert "**1 of these videos are in the training split too" in said(open_page("evaluate"))


def test_missing_ground_truth_is_explained(data):
    document = read_json(data / "gt_full.json")
    for info in document["database"].values():
        info["annotations"] = []
    write_json(data / "gt_full.json", document)
    (data / "classes.txt").write_text("jump\nrun\nwave\n")
    assert "no video of the test split has an annotated action" in open_page("evaluate").info[0].value


def test_missing_run_or_detections_are_explained(world, run):
    shutil.rmtree(run.stage(2).root)
    assert "stage 1" in said(open_page("evaluate"))
    run.stage(1).final_result.unlink()
    assert "no detections yet" in open_page("evaluate").info[0].value
    shutil.rmtree(world / "ckpt")
    assert "No run of this data set yet" in open_page("evaluate").info[0].value


def test_newest_finished_run_is_opened(world, run):
    """first has finished, second was cancelled after a test, third has no detections yet."""
    for name, event in (("second", {"event": "cancelled", "step": 1}), ("third", {"event": "step", "step": 1})):
        other = Run(shutil.copytree(run.root, run.root.parent / name))
        with open(other.stage(2).events_file, "a") as file:
            file.write(json.dumps({"time": time.time(), "loss": {}, "rate": 1, "eta": 1, **event}) + "\n")
    for stage in (1, 2):
        other.stage(stage).final_result.unlink()
    now = time.time()
    for age, name in enumerate(("third", "second", "first")):
        for stage in (1, 2):
            os.utime(run.root.parent / name / f"stage{stage}", (now - age, now - age))
    for page in ("evaluate", "explore"):
        test = open_page(page)
        assert field(test, "Run").value == "first"
        assert any(caption.value == "first is the newest finished run. third is newer, but has not finished."
                   for caption in test.caption)
    assert field(open_page("train"), "Run").value == "third"
    test = open_page("train")                           # opened by the page, not chosen by the user
    test.query_params.clear()
    assert field(test.switch_page("pages/evaluate.py").run(), "Run").value == "first"
    field(test, "Run").set_value("second").run()
    assert not any("newest finished" in caption.value for caption in test.caption)
    for page in ("explore", "evaluate"):
        test.query_params.clear()
        assert field(test.switch_page(f"pages/{page}.py").run(), "Run").value == "second"
    assert field(open_page("evaluate", run="third"), "Run").value == "third"


def copied(run, dataset, name, event="finish", age=0):
    """A copy of a run that ended with `event`, `age` seconds ago."""
    other = Run(shutil.copytree(run.root, run.root.parents[1] / dataset / name))
    with open(other.stage(2).events_file, "a") as file:
        ends = {"cancelled": {"step": 1}, "finish": {"seconds": 1., "last": None, "best": None}}
        file.write(json.dumps({"time": time.time(), "event": event, **ends[event]}) + "\n")
    for stage in (1, 2):
        os.utime(other.stage(stage).root, (time.time() - age,) * 2)
    return other


@pytest.mark.parametrize("page", ["evaluate", "explore"])
def test_run_is_guessed_anew_for_another_data_set(world, run, data, page):
    shutil.copytree(data, data.parent / "other")
    copied(run, "other", "first", "cancelled", age=9)
    copied(run, "other", "second")
    test = open_page(page, dataset="small")
    assert field(test, "Run").value == "first"
    field(test, "Data set").set_value("other").run()
    assert (field(test, "Run").value, test.query_params["run"]) == ("second", "second")
    assert not any("newest finished" in caption.value for caption in test.caption)
    field(test, "Run").set_value("first").run()
    field(test, "Data set").set_value("small").run()
    field(test, "Data set").set_value("other").run()    # remembered for its data set
    assert (field(test, "Run").value, test.query_params["run"]) == ("first", "first")


def test_run_chosen_for_another_data_set_is_not_opened_by_a_link(world, run, data):
    shutil.copytree(data, data.parent / "other")
    copied(run, "other", "first", "cancelled", age=9)
    copied(run, "other", "second")
    test = open_page("train", dataset="small", run="first")
    test.query_params.clear()
    test.query_params["dataset"] = "other"              # as the cards on Projects do
    assert field(test.switch_page("pages/evaluate.py").run(), "Run").value == "second"


def test_guess_follows_a_run_that_finishes_but_a_link_to_the_same_run_stays(world, run):
    copied(run, "small", "older", age=9)
    for stage in (1, 2):
        os.utime(run.stage(stage).root, (1, 1))
    test = open_page("evaluate", stage="2")
    assert field(test, "Run").value == "older"
    slider, = test.slider
    slider.set_value(slider.min).run()
    copied(run, "small", "newer", "cancelled")
    test.run()
    assert field(test, "Run").value == "older"
    assert test.caption[0].value == \
        "older is the newest finished run. newer is newer, but was cancelled."
    copied(run, "small", "newest")
    test.run()
    assert field(test, "Run").value == test.query_params["run"] == "newest" and "least" not in test.query_params
    assert not any("newest finished" in caption.value for caption in test.caption)
    copied(run, "small", "latest", age=-9)
    test.query_params.clear()
    test.query_params |= {"dataset": "small", "run": "newest"}
    test.switch_page("pages/explore.py").run()
    assert field(test, "Run").value == "newest"
    test.run()
    assert field(test, "Run").value == "newest"


def test_score_threshold_starts_at_the_best_f1_of_another_run_or_stage(world, run, data):
    found = Segments.from_activitynet(run.stage(2).final_result)
    other = copied(run, "small", "second")
    replace(found, score=found.score / 2).save(other.stage(2).final_result)
    best = {(each.name, stage): result(load_dataset(data), each, stage).precision.best_f1(4).score
            for each in (run, other) for stage in (1, 2)}
    test = open_page("evaluate", run="first", stage="2")
    for label, value, shown in (("Run", "second", ("second", 2)), ("Stage", 1, ("second", 1))):
        least = best["second", 1] * .9
        test.query_params["least"] = repr(float(least))                    # as "Back to the list" does
        test.run()
        assert test.slider[0].value == least
        field(test, label).set_value(value).run()
        assert test.slider[0].value == best[shown] and "least" not in test.query_params


def test_broken_result_file_is_reported(run):
    run.stage(2).final_result.write_text('{"results": {')
    assert "final_result_test.json" in open_page("evaluate").error[0].value.replace("\\", "")


def test_map_table_is_in_percent():
    report = {"mAP": {"0.5": .25}, "average": {"0.1:0.7": .5}, "step": 1}
    table = map_table({"a": report, "b": {"mAP": {"0.3": .1}, "average": {}}})
    assert table.columns.tolist() == ["mAP in %", "@0.5", "AVG 0.1:0.7", "@0.3"]
    assert table["@0.5"].tolist()[0] == 25
