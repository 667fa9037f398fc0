"""The Explore page, run with Streamlit's AppTest on a trained run."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import streamlit as st
from driving import open_page

from app.explore import video_table
from app.mistakes import Mistakes
from app.paths import data_set
from app.results import load_dataset, result
from app.state import moment
from hrpro.data.run import Run
from hrpro.data.segments import Segments


def shown(test):
    """The data passed to the timeline."""
    element, = test.get("bidi_component")
    return json.loads(element.proto.mixed.json or element.proto.json)


def field(test, label):
    return next(each for each in (*test.multiselect, *test.selectbox, *test.slider, *test.number_input,
                                  *test.text_input, *test.button_group) if each.label == label)


def test_link_opens_its_moment(world):
    data = shown(open_page("explore", dataset="small", run="first", video="train_1", t="12.5"))
    assert (data["video"]["id"], data["seek"], data["video"]["file"]) == ("train_1", 12.5, False)
    assert {"truth 0", "cas 0", "PP 0", "RP 0", "background"} <= {lane["id"] for lane in data["lanes"]}


def test_class_in_the_link_comes_first(world):
    about = {"dataset": "small", "run": "first", "video": "test_1", "t": "3"}
    usual = field(open_page("explore", **about), "Classes").value
    for name in load_dataset(world / "dataset" / "small").classes:
        test = open_page("explore", **about, **{"class": name})
        chosen = field(test, "Classes").value
        assert shown(test)["lanes"][0]["label"] == name and set(chosen) >= set(usual)
    assert field(open_page("explore", **about, **{"class": "no such"}), "Classes").value == usual


@pytest.mark.parametrize(("label", "least", "order"), [(None, -np.inf, "score"), ("wave", -np.inf, "score"),
                                                       (None, .123456789, "cost")])
@pytest.mark.parametrize("kind", ["wrong", "missed"])
def test_link_opens_a_mistake_with_a_button_to_the_next(world, kind, label, least, order):
    run = Run(world / "ckpt" / "small" / "first")
    if kind == "missed":                                # the run finds everything: keep few detections
        Segments.from_activitynet(run.stage(2).final_result)[:5].save(run.stage(2).final_result)
    precision = result(load_dataset(world / "dataset" / "small"), run, 2).precision
    chosen = Mistakes(kind, 2, .7, label, least, order)
    rows = chosen.rows(precision)
    listed = chosen.pool(precision)[rows]
    assert len(listed) > 1 and (label is None or {listed.classes[row] for row in listed.label} == {label})
    test = open_page("explore", dataset="small", run="first", **chosen.address(precision, rows, 0))
    for row in range(2):
        explained = chosen.explain(precision, rows[row:row + 1])
        assert any(text.value.startswith(f"**{explained.kind[0].capitalize()}.**") for text in test.markdown)
        if kind == "wrong" and explained.other[0] >= 0:
            overlapped = precision.ground_truth.classes[precision.ground_truth.label[explained.other[0]]]
            assert shown(test)["lanes"][1]["label"] == overlapped
        lane = shown(test)["lanes"][0]
        assert shown(test)["mistake"] == f"{kind}-2-0.7-{row + 1}"
        assert lane["id"] == "mistake" and shown(test)["video"]["id"] == listed.videos[listed.video[row]]
        assert lane["layers"][0]["items"][0][:2] == [round(listed.start[row], 4), round(listed.end[row], 4)]
        assert any(f"{row + 1} of {len(listed):,}** at tIoU 0.7" in text.value for text in test.markdown)
        assert kind == "missed" or field(test, "Detections scored at least").value <= listed.score[row]
        assert test.button(key="mistake -1").disabled == (row == 0)
        test.button(key="mistake 1").click().run()


@pytest.mark.parametrize("named", ["", "wrong", "wrong-2-0.5-0", "wrong-2-0.5-999999", "wrong-2-0.55-1", "none-2-0.5-1",
                                   "wrong-3-0.5-1", "wrong-2-nan-1", "wrong-2-0.5-1-1", "wrong-two-0.5-1"])
def test_invalid_mistake_in_the_link_shows_the_video_only(world, named):
    test = open_page("explore", dataset="small", run="first", video="train_1", mistake=named, of="no such")
    assert shown(test)["video"]["id"] == "train_1" and shown(test)["lanes"][0]["id"] != "mistake"
    assert not test.exception


def test_mistake_is_left_with_its_run_but_not_the_moment(world):
    run = Run(world / "ckpt" / "small" / "first")
    shutil.copytree(run.root, run.root.parent / "second")
    precision = result(load_dataset(world / "dataset" / "small"), run, 2).precision
    chosen = Mistakes("wrong", 2, .5, None, .1)
    link = chosen.address(precision, chosen.rows(precision), 2)
    test = open_page("explore", dataset="small", run="first", **link)
    assert shown(test)["lanes"][0]["id"] == "mistake"
    field(test, "Run").set_value("second").run()
    assert shown(test)["lanes"][0]["id"] != "mistake" and not shown(test)["mistake"]
    assert not {"mistake", "least"} & set(test.query_params)
    assert shown(test)["seek"] == float(link["t"]) and shown(test)["video"]["id"] == link["video"]


@pytest.mark.parametrize(("text", "seconds"), [("12.5", 12.5), (None, 0), ("", 0), ("soon", 0), ("-3", 0), ("nan", 0),
                                               ("inf", 0)])
def test_invalid_times_in_links_count_as_zero(text, seconds, monkeypatch):
    monkeypatch.setattr(st, "query_params", {} if text is None else {"t": text})
    assert moment() == seconds


def test_costliest_video_comes_first(world):
    test = open_page("explore")
    table = test.dataframe[0].value
    assert table["mAP cost"].iloc[0] == table["mAP cost"].max()
    assert shown(test)["video"]["id"] == table["video"].iloc[0]
    assert "9 of 9 videos. Mistakes of first, stage 2 on the test split at tIoU 0.5; false " \
        "positives and misses at scores from " in test.caption[0].value


def test_buttons_step_through_the_list(world):
    test = open_page("explore")
    videos = test.dataframe[0].value["video"].tolist()
    assert test.button(key="video -1").disabled
    for video in videos[1:3]:
        test.button(key="video 1").click().run()
        assert shown(test)["video"]["id"] == test.query_params["video"] == video
    test.button(key="video -1").click().run()
    assert shown(test)["video"]["id"] == videos[1]
    test = open_page("explore", video=videos[-1])
    assert test.button(key="video 1").disabled


def test_buttons_go_on_from_a_video_that_the_filter_hides(world):
    test = open_page("explore")
    field(test, "Order").set_value("video").run()
    field(test, "Split").set_value("test").run()
    videos = test.dataframe[0].value["video"].tolist()
    assert videos == ["test_0", "test_1", "test_2"]
    test.query_params["video"] = "test_1"
    field(test, "Name contains").set_value("_2").run()
    assert shown(test)["video"]["id"] == "test_1" and test.button(key="video -1").disabled
    test.button(key="video 1").click().run()
    assert shown(test)["video"]["id"] == "test_2"
    test.query_params["video"] = "test_1"
    field(test, "Name contains").set_value("_0").run()
    assert test.button(key="video 1").disabled
    test.button(key="video -1").click().run()
    assert shown(test)["video"]["id"] == "test_0"
    field(test, "Name contains").set_value("").run()
    field(test, "Order").set_value("mAP cost").run()
    field(test, "Shows the class").set_value("run").run()
    dataset = load_dataset(world / "dataset" / "small")
    rows = [part.video[part.label == dataset.classes.index("run")] for part in (dataset.ground_truth, dataset.points)]
    assert set(test.dataframe[0].value["video"]) == {list(dataset.duration)[row] for part in rows for row in part} \
        & {"test_0", "test_1", "test_2"}


def test_video_costs_add_up_to_the_missing_map(world):
    dataset, run = load_dataset(world / "dataset" / "small"), Run(world / "ckpt" / "small" / "first")
    measured = result(dataset, run, 2)
    table = video_table(dataset, measured)
    assert table["mAP cost"].sum() == pytest.approx(1 - measured.precision.mAP[4])
    assert table.set_index("video")["split"]["train_0"] == "train"
    assert table["mAP cost"].isna().sum() == 6
    assert "mAP cost" not in video_table(dataset, None)


def test_list_is_filtered(world):
    test = open_page("explore")
    field(test, "Split").set_value("train").run()
    assert set(test.dataframe[0].value["split"]) == {"train"}
    field(test, "Name contains").set_value("_3").run()
    assert test.dataframe[0].value["video"].tolist() == ["train_3"]
    field(test, "Name contains").set_value("none such").run()
    assert test.dataframe[0].value.empty and not test.exception
    assert "0 of 9 videos" in test.caption[0].value


def test_lanes_follow_their_controls(world):
    test = open_page("explore", video="test_1")
    every = shown(test)["lanes"]
    field(test, "Classes").set_value([1]).run()
    assert {lane["colour"] for lane in shown(test)["lanes"]} < {lane["colour"] for lane in every}
    count = {lane["id"]: len(lane["layers"][0]["items"]) for lane in shown(test)["lanes"] if lane["id"] == "PP 1"}
    field(test, "Best proposals").set_value(3).run()
    kept = next(lane for lane in shown(test)["lanes"] if lane["id"] == "PP 1")
    assert len(kept["layers"][0]["items"]) == 3 < count["PP 1"]
    slider = field(test, "Detections scored at least")
    slider.set_value(slider.max).run()
    assert all(not lane["layers"][0]["items"] for lane in shown(test)["lanes"] if lane["id"] == "stage 1 1")
    field(test, "Show").set_value(["cas"]).run()
    assert [lane["id"] for lane in shown(test)["lanes"]] == ["cas 1"]


@pytest.mark.parametrize(("highest", "lowest"), [(0, 0), (0, -2.005), (-.5, -.75), (1e15, -1e15), (5e-324, 0), (1, 1)])
def test_any_scores_are_shown(world, highest, lowest):
    run = Run(world / "ckpt" / "small" / "first")
    for stage in (1, 2):
        found = Segments.from_activitynet(run.stage(stage).final_result)
        here, score = found.video == found.videos.index("test_1"), np.full(len(found), float(lowest))
        score[here] = np.linspace(lowest, highest, sum(here))
        replace(found, score=score).save(run.stage(stage).final_result)
    test = open_page("explore", run="first", video="test_1")
    slider = field(test, "Detections scored at least")
    assert slider.min <= min(lowest, 0) and slider.max >= highest and slider.min <= slider.value <= slider.max
    slider.set_value(slider.min).run()
    field(test, "Classes").set_value([0, 1, 2]).run()
    assert sum(len(lane["layers"][0]["items"]) for lane in shown(test)["lanes"] if "stage 2" in lane["id"]) == sum(here)
    open_page("evaluate", run="first")


def test_run_without_detections_has_no_score_of_the_best_f1(world):
    run = Run(world / "ckpt" / "small" / "first")
    Segments.from_activitynet(run.stage(2).final_result)[:0].save(run.stage(2).final_result)
    caption = open_page("explore").caption[0].value
    assert caption.endswith("at tIoU 0.5; there are no detections, so every action is a miss.")


def test_video_is_shown_without_run_and_ground_truth(world):
    shutil.rmtree(world / "ckpt")
    path = world / "dataset" / "small" / "gt_full.json"
    document = json.loads(path.read_text())
    for info in document["database"].values():
        info["annotations"] = []
    path.write_text(json.dumps(document))
    (world / "dataset" / "small" / "classes.txt").write_text("jump\nrun\nwave\n")
    test = open_page("explore", video="train_1")
    assert {lane["id"] for lane in shown(test)["lanes"]} == {"truth 0", "truth 1", "truth 2"}
    said = test.markdown[0].value
    assert "no run yet" in said and "no annotated action" in said
    assert "mAP cost" not in test.dataframe[0].value


def test_unknown_video_in_the_link_is_reported(world):
    test = open_page("explore", video="*gone*")
    assert "no video '\\*gone\\*'; another one is shown" in test.warning[0].value
    assert test.query_params["video"] == shown(test)["video"]["id"]
    shutil.copytree(world / "dataset" / "small", world / "dataset" / "other")
    split = world / "dataset" / "other" / "gt_full.json"
    split.write_text(split.read_text().replace("test_", "else_"))
    for name in ("test", "train"):
        (world / "dataset" / "other" / f"split_{name}.txt").write_text("else_1\n")
    test.run()
    field(test, "Data set").set_value("other").run()    # chosen in the box, not by a link: no warning
    assert not test.warning and not test.exception
    assert shown(test)["dataset"] == "other"


def test_video_linked_from_outside_is_refused_but_a_linked_data_set_opens(world, tmp_path):
    small = world / "dataset" / "small"
    (small / "videos").mkdir()
    (tmp_path / "film.mp4").touch()
    (small / "videos" / "test_0.mp4").symlink_to(tmp_path / "film.mp4")
    small.rename(tmp_path / "small")
    small.symlink_to(tmp_path / "small")
    test = open_page("explore", video="test_0")
    assert "not symbolic links" in test.warning[0].value and not shown(test)["video"]["file"]
    assert data_set("small").is_dir()


def test_broken_data_set_is_reported(world):
    (world / "dataset" / "small" / "gt_full.json").write_text("{")
    test = open_page("explore")
    assert "is not JSON" in test.error[0].value and not test.get("bidi_component")


def test_page_without_data_sets_explains_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HRPRO_DATA", str(tmp_path))
    test = open_page("explore")
    assert "no data set yet" in test.info[0].value
