"""Creating projects and extracting features on the Projects page."""

import json
import sys
from pathlib import Path

import pytest
from browsing import CLASSES, make_data_set
from numbered_video import write_video

from hrpro.data.validate import validate
from hrpro.jobs.background import start
from hrpro.labels.operations import LabelStore

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def card(page, name):
    return page.locator(f".st-key-card-{name}")


def fill(page, label, text):
    page.get_by_label(label, exact=True).fill(text)
    page.keyboard.press("Tab")


def open_form(page, app):
    page.goto(app.url)
    form = page.locator("details", has_text="New project from videos")
    form.wait_for(timeout=60_000)
    if form.get_attribute("open") is None:
        form.get_by_text("New project from videos").click()
    page.get_by_label("Name", exact=True).wait_for()


def test_real_clips_become_a_project_and_get_features(app, page, shared):
    open_form(page, app)
    fill(page, "Name", "clips")
    fill(page, "Folder of videos on this machine", str(shared / "videos"))
    fill(page, "Action classes (one per line)", "pour\nstir")
    page.get_by_text(f"python -m hrpro create clips {shared / 'videos'}").wait_for()
    page.get_by_role("button", name="Create project").click()
    card(page, "clips").get_by_text("Next: extract features", exact=True).wait_for(timeout=60_000)
    page.get_by_text('Project "clips" created. Next: extract features.').wait_for()
    card(page, "clips").get_by_text("3 videos, all video files found").wait_for()
    page.get_by_role("button", name="Extract features").click()
    card(page, "clips").get_by_text("extract clips: ").first.wait_for(timeout=60_000)
    page.reload()                                       # the job does not depend on this tab
    card(page, "clips").get_by_text("Next: label points", exact=True).wait_for(timeout=240_000)
    counts = validate(app.data / "clips").counts
    assert counts["splits"]["train"]["features"] == counts["splits"]["test"]["features"] == 3
    assert page.get_by_role("button", name="Extract features").count() == 0
    card(page, "clips").get_by_role("link", name="Train").click()
    page.get_by_text("no point labels yet").wait_for(timeout=60_000)
    assert "dataset=clips" in page.url


def test_uploaded_videos_become_a_project_and_faults_are_reported(app, page, tmp_path):
    good = write_video(tmp_path / "good.mp4", range(0, 2000, 40))
    (tmp_path / "bad.mp4").write_bytes(good.read_bytes()[:1500])
    open_form(page, app)
    fill(page, "Name", "../outside")
    page.locator("input[type=file]").set_input_files([good, tmp_path / "bad.mp4"])
    page.get_by_role("button", name="Create project (2 videos)").click(timeout=60_000)
    page.get_by_text("'../outside' cannot name a project").wait_for(timeout=60_000)
    fill(page, "Name", "uploads")
    page.get_by_text("python -m hrpro create uploads").wait_for()
    page.get_by_role("button", name="Create project").click()
    page.get_by_text("bad.mp4: cannot be read as a video").wait_for(timeout=60_000)
    card(page, "uploads").get_by_text("1 video, all video files found").wait_for(timeout=60_000)
    assert [path.name for path in (app.data / "uploads" / "videos").iterdir()] == ["good.mp4"]


def test_uploaded_videos_with_the_same_name_do_not_overwrite_each_other(app, page, tmp_path):
    content = write_video(tmp_path / "good.mp4", range(0, 2000, 40)).read_bytes()
    open_form(page, app)
    fill(page, "Name", "alike")
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "video/mp4", "buffer": content} for name in ("a_2.mp4", "a.mp4", "a.mp4")])
    page.get_by_role("button", name="Create project (3 videos)").click(timeout=60_000)
    card(page, "alike").get_by_text("3 videos, all video files found").wait_for(timeout=60_000)


def test_form_keeps_its_input_while_projects_change(app, page, tmp_path):
    """A data set appears, changes and has a job running, and the demo appears, while somebody fills in the form."""
    other = make_data_set(app.data, "other", {"v1": {"duration": 4.0, "fps": 25.0}}, ["jump"])
    video = write_video(tmp_path / "mine.mp4", range(0, 2000, 40))
    open_form(page, app)
    card(page, "other").get_by_text("Checks: ").click()
    page.locator("input[type=file]").set_input_files([video])
    page.get_by_role("button", name="Create project (1 video)").wait_for()
    name = page.get_by_label("Name", exact=True)
    name.press_sequentially("half a na")                # not sent yet: the field has the focus

    def untouched():
        assert name.input_value() == "half a na" and name.evaluate("(field) => document.activeElement === field")
        assert page.get_by_text("mine.mp4", exact=True).is_visible()
        assert card(page, "other").get_by_text("python -m hrpro validate").is_visible()

    (other / "classes.txt").write_text("jump\nrun\n")
    card(page, "other").get_by_text("2 classes").wait_for()
    untouched()
    make_data_set(app.data, "another", {"v1": {"duration": 4.0, "fps": 25.0}}, ["jump"])
    card(page, "another").get_by_text("1 video, no video files").wait_for()
    untouched()
    code = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(.1)"
    start(app.ckpt, [sys.executable, "-c", code], "extract other", other)
    card(page, "other").get_by_text("extract other: starting").wait_for()
    untouched()
    (tmp_path / "go").touch()
    card(page, "other").get_by_text("Running", exact=True).wait_for(state="detached")
    untouched()
    page.get_by_role("button", name="Make the demo").wait_for()
    make_data_set(app.data, "demo", {"v1": {"duration": 4.0, "fps": 25.0}}, ["jump"])
    card(page, "demo").wait_for()
    page.get_by_role("button", name="Make the demo").wait_for(state="detached")
    untouched()
    name.press_sequentially("me")
    page.get_by_role("button", name="Create project (1 video)").click()
    page.get_by_text('Project "half a name" created. Next: extract features.').wait_for()
    card(page, "half-a-name").get_by_text("1 video, all video files found").wait_for()
    page.locator("details:not([open])", has_text="New project from videos").get_by_text("New project").click()
    assert name.input_value() == "" and page.get_by_text("mine.mp4", exact=True).count() == 0


def test_accepted_segments_can_be_downloaded_from_the_card(app, page, clip):
    store = LabelStore(app.data / clip)
    point = {"video": "even", "label": CLASSES[0], "time": 2.0, "frame": 50}
    segment = {"video": "even", "label": CLASSES[0], "start": 1.0, "end": 2.5, "point": "p", "model": "first"}
    acknowledged = store.apply([
        {"id": "a", "video": "even", "kind": "add", "before": {}, "after": {"p": point}},
        {"id": "b", "video": "even", "kind": "accept", "before": {}, "after": {"s": segment}}], "Ann")
    assert not any(each.refused for each in acknowledged)
    page.goto(app.url)
    card(page, clip).get_by_role("button", name="Export labels").click()
    with page.expect_download() as started:
        page.get_by_role("button", name="Accepted segments (JSON)").click()
    exported = json.loads(Path(started.value.path()).read_text())
    assert exported["database"]["even"]["annotations"] == [{"label": CLASSES[0], "segment": [1.0, 2.5]}]
