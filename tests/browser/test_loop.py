"""The whole workflow on the demo: make it, label, train both stages, explore, evaluate, and watch a mistake."""

import re

import pytest
from test_annotate import Desk
from test_explore import Viewer
from test_train import badge, button, start

from hrpro.data.run import find_runs
from hrpro.data.segments import Segments
from hrpro.files import read_json
from hrpro.labels.operations import LabelStore

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def forgotten_action(root):
    """An action of the training split without a point: video, class, middle in seconds."""
    store, truth = LabelStore(root), Segments.from_activitynet(root / "gt_full.json")
    for video in store.dataset.splits["train"]:
        points = store.points(video)
        for index, label in enumerate((mine := truth.of_video(video)).label):
            begin, end, name = mine.start[index], mine.end[index], truth.classes[label]
            if not any(point["label"] == name and begin <= point["time"] < end for point in points):
                return video, name, (begin + end) / 2
    raise AssertionError("the demo has a point in every action")


def test_workflow_from_an_empty_app_to_watching_a_mistake(app, page):
    page.goto(app.url)
    page.get_by_role("button", name="Make the demo").click(timeout=60_000)
    card = page.locator(".st-key-card-demo")
    card.get_by_text("Ready", exact=True).wait_for(timeout=300_000)
    card.get_by_text("18 videos, all video files found").wait_for()
    root = app.data / "demo"

    card.get_by_role("link", name="Annotate").click()
    page.wait_for_url("**/annotate*dataset=demo*")
    video, name, middle = forgotten_action(root)
    before = len(LabelStore(root).points(video))
    desk = Desk(page, app, "demo", video=video, t=f"{middle:.2f}")
    page.wait_for_function("(middle) => Math.abs(window.stage().clock.time - middle) < .1", arg=middle)
    desk.click(name, middle)
    page.locator(".badge.save.saved").wait_for()
    points = LabelStore(root).points(video)
    assert len(points) == before + 1
    assert any(point["label"] == name and abs(point["time"] - middle) < .2 for point in points)

    page.get_by_role("link", name="Train").click()
    button(page, "Start training").wait_for(timeout=60_000)
    assert "dataset=demo" in page.url
    start(page, "mine")
    page.get_by_text(re.compile(r"step \d+ of \d+")).wait_for(timeout=60_000)
    badge(page, "Finished", 400)
    run, = find_runs(app.ckpt, "demo")
    assert f"{name}," in run.stage(1).points_file.read_text()
    assert len(run.stage(1).points_file.read_text().split()) == 1 + LabelStore(root).counts().total()
    worth = {stage: read_json(run.stage(stage).metrics_file)["last"]["average"]["0.1:0.7"] for stage in (1, 2)}
    assert min(worth.values()) > .6, worth              # chance level is below .1

    page.get_by_role("link", name="Explore").last.click()
    viewer = Viewer(page, app).ready()
    page.wait_for_url("**/explore*run=mine*")
    viewer.until("stage.clock.ready && stage.clock.shown !== null")
    labels = viewer.stage("stage.lanes.map((lane) => lane.label)")
    assert {"CAS", "stage 1", "stage 2"} <= {label.split(" · ")[0] for label in labels}
    page.mouse.click(*viewer.spot(labels[0], 9.))
    viewer.until("Math.abs(stage.clock.time - 9) < .1 && stage.clock.shown === stage.clock.asked")

    page.get_by_role("link", name="Evaluate").click()
    page.get_by_role("tab", name="Mistakes").click(timeout=60_000)
    page.wait_for_url("**tab=Mistakes*")
    page.get_by_text(re.compile(r"False positives: \d")).wait_for()
    viewer.click_row(0, 30)
    page.wait_for_url("**/explore*t=*")
    viewer.ready()
    moment = float(re.search(r"[?&]t=([\d.]+)", page.url)[1])
    viewer.until(f"Math.abs(stage.clock.time - {moment}) < .1")
