"""Projects made, and given features, from the Projects page."""

import pytest
from numbered_video import write_video

from hrpro.data.validate import validate

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
    fill(page, "Kinds of action, one a line", "pour\nstir")
    page.get_by_text(f"python -m hrpro create clips {shared / 'videos'}").wait_for()
    page.get_by_role("button", name="Make the project").click()
    card(page, "clips").get_by_text("Needs points and features").wait_for(timeout=60_000)
    page.get_by_text("clips is made; see its card.").wait_for()
    card(page, "clips").get_by_text("3 videos, 3 with a file").wait_for()
    page.get_by_role("button", name="Extract features").click()
    card(page, "clips").get_by_text("extract clips: ").first.wait_for(timeout=60_000)
    page.reload()                                       # the job does not hang on this tab
    card(page, "clips").get_by_text("Needs points", exact=True).wait_for(timeout=240_000)
    counts = validate(app.data / "clips").counts
    assert counts["splits"]["train"]["features"] == counts["splits"]["test"]["features"] == 3
    assert page.get_by_role("button", name="Extract features").count() == 0
    card(page, "clips").get_by_role("link", name="Train").click()
    page.get_by_text("no point labels yet").wait_for(timeout=60_000)
    assert "dataset=clips" in page.url


def test_uploaded_videos_become_a_project_and_faults_are_said(app, page, tmp_path):
    good = write_video(tmp_path / "good.mp4", range(0, 2000, 40))
    (tmp_path / "bad.mp4").write_bytes(good.read_bytes()[:1500])
    open_form(page, app)
    fill(page, "Name", "../outside")
    page.locator("input[type=file]").set_input_files([good, tmp_path / "bad.mp4"])
    page.get_by_role("button", name="Make the project of 2 uploads").click(timeout=60_000)
    page.get_by_text("'../outside' cannot name a project").wait_for(timeout=60_000)
    fill(page, "Name", "uploads")
    page.get_by_text("python -m hrpro create uploads").wait_for()
    page.get_by_role("button", name="Make the project").click()
    page.get_by_text("bad.mp4: cannot be read as a video").wait_for(timeout=60_000)
    card(page, "uploads").get_by_text("1 video, 1 with a file").wait_for(timeout=60_000)
    assert [path.name for path in (app.data / "uploads" / "videos").iterdir()] == ["good.mp4"]


def test_of_uploaded_videos_of_one_name_none_takes_anothers_place(app, page, tmp_path):
    content = write_video(tmp_path / "good.mp4", range(0, 2000, 40)).read_bytes()
    open_form(page, app)
    fill(page, "Name", "alike")
    page.locator("input[type=file]").set_input_files(
        [{"name": name, "mimeType": "video/mp4", "buffer": content} for name in ("a_2.mp4", "a.mp4", "a.mp4")])
    page.get_by_role("button", name="Make the project of 3 uploads").click(timeout=60_000)
    card(page, "alike").get_by_text("3 videos, 3 with a file").wait_for(timeout=60_000)
