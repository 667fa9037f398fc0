"""The video file behind the desk: unplayable, misread, replaced or deleted while it is open."""

import fcntl
import json
import os
import time
from fractions import Fraction
from pathlib import Path

import pytest
from browsing import make_data_set
from numbered_video import cut, write_video
from test_annotate import PICTURE, Desk

from hrpro.video.proxy import proxy_path

pytestmark = pytest.mark.browser

AVI = {"stamps": range(200), "codec": "mpeg4", "unit": Fraction(1, 25), "options": {"bf": "2"}}


@pytest.fixture
def folder(app, request) -> Path:
    """A data set with one video, `v`, without a file."""
    return make_data_set(app.data, request.node.name, {"v": {"duration": 8., "fps": 25.}}, ["dive", "run"])


# Makes Chromium report the time that was sought, not the frame's own time, when paused, as Firefox does.
ECHO = """const call = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (told) {
  return call.call(this, (now, frame) => told(now, { presentationTime: frame.presentationTime,
    mediaTime: this.paused ? Math.max(this.currentTime, frame.mediaTime) : frame.mediaTime }));
};"""


class EarlyDesk(Desk):
    """The desk, whether or not the video plays."""

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.wait_for_function("() => window.stage()?.scene && window.stage().clock.frames.times")


def wait_until_it_plays(page) -> None:
    page.wait_for_function("() => window.stage().clock.ready && window.stage().clock.shown !== null")


def check_frames(page, *frames: int, first: int = 0) -> None:
    for frame in frames:
        page.evaluate("(frame) => window.stage().clock.seekFrame(frame)", frame)
        page.wait_for_function("(frame) => window.stage().clock.shown === frame", arg=frame)
        assert page.evaluate(PICTURE) == frame + first


def test_file_that_no_browser_can_play_is_copied_and_played_without_a_reload(page, app, folder):
    video = write_video(folder / "videos" / "v.avi", **AVI)
    proxies = folder / "cache" / "proxies"
    proxies.mkdir(parents=True)
    with open(proxies / ".lock", "wb") as lock:             # another video is being copied
        fcntl.flock(lock, fcntl.LOCK_EX)
        desk = EarlyDesk(page, app, folder.name)
        page.evaluate("() => { window.loaded = true; }")
        page.get_by_role("alert").get_by_text("Waiting to make a copy that browsers can play").wait_for()
        desk.click("dive", 3.21)
        assert desk.saved(1) == [("dive", 80)]
        state = proxy_path(video, folder / "cache").with_suffix(".json")
        state.write_text(json.dumps({"done": .37, "left": 12}))
        page.get_by_role("alert").get_by_text("Making a copy that browsers can play: 37%, 12 s left").wait_for()
        state.unlink()
    wait_until_it_plays(page)
    assert page.evaluate("() => window.loaded && window.stage().clock.time") == 3.2
    assert not page.locator(".fault").is_visible()
    check_frames(page, 80, 3, 199, 0, 101)
    desk.key("2")
    assert desk.saved(2) == [("dive", 80), ("run", 101)]


def test_file_that_this_browser_cannot_play_is_copied(page, app, folder):
    """H.264 in a transport stream named .mp4: nothing in the video stream shows that it cannot be played."""
    write_video(folder / "videos" / "v.ts", range(0, 8000, 40), options={"bf": "2"}).rename(folder / "videos" / "v.mp4")
    EarlyDesk(page, app, folder.name)
    wait_until_it_plays(page)
    assert "?copy=" in page.evaluate("() => window.stage().video.src")
    check_frames(page, 100, 7, 199)


def test_file_whose_frames_the_browser_misplaces_is_copied(page, app, folder):
    """A wrong frame rate in the Matroska header misleads Chromium: frames before key frames cannot be reached."""
    write_video(folder / "videos" / "v.mkv", range(0, 250 * 1001, 1001), unit=Fraction(1, 60_000), options={"bf": "2"})
    EarlyDesk(page, app, folder.name)
    wait_until_it_plays(page)
    page.evaluate("() => window.stage().clock.seekFrame(107)")
    page.wait_for_function("() => window.stage().video.src.includes('?copy=')")
    check_frames(page, 107, 215, 11)


def test_clock_is_measured_if_the_browser_does_not_report_frames(page, app, folder):
    """The browser's clock at the first frame differs from the start that the server reports."""
    write_video(folder / "videos" / "v.mp4", range(720, 8720, 40))
    page.add_init_script(ECHO)
    page.route("**/frames/**", _shifted)
    Desk(page, app, folder.name)
    page.wait_for_function("() => window.stage().clock.measured && window.stage().clock.frames.start === .72")
    check_frames(page, 100, 7, 199, 0)
    assert page.locator(".badge.frame").inner_text() == "frame 0 ✓"
    assert "?copy=" not in page.evaluate("() => window.stage().video.src")


def _shifted(route) -> None:
    """Change the start in the server's response to one that differs from this browser's clock."""
    answer = route.fetch()
    about = {**json.loads(answer.headers["x-video"]), "start": 1.2}
    route.fulfill(response=answer, headers={**answer.headers, "x-video": json.dumps(about)})


def test_copy_is_played_if_the_browser_does_not_report_frames_and_may_misread_the_file(page, app, folder):
    whole = write_video(folder / "whole.mp4", range(0, 11200, 40), options={"bf": "3", "b-adapt": "0"})
    video = cut(whole, folder / "videos" / "v.mp4", 1.2)
    proxies = folder / "cache" / "proxies"
    proxies.mkdir(parents=True)
    page.add_init_script(ECHO)
    with open(proxies / ".lock", "wb") as lock:             # another video is being copied
        fcntl.flock(lock, fcntl.LOCK_EX)
        EarlyDesk(page, app, folder.name)
        page.get_by_role("alert").get_by_text("Waiting to make a copy that browsers can play").wait_for()
        page.locator(".badge.frame").get_by_text("about frame 0").wait_for()
    page.wait_for_function("() => window.stage().video.src.includes('?copy=')")
    wait_until_it_plays(page)
    check_frames(page, 100, 7, 199, 0, first=30)
    assert page.locator(".badge.frame").inner_text() == "frame 0 ✓"
    assert proxy_path(video, folder / "cache").exists()


def test_failure_to_make_a_copy_is_reported(page, app, folder):
    write_video(folder / "videos" / "v.avi", **AVI)
    (folder / "cache").write_text("in the way")
    desk = EarlyDesk(page, app, folder.name)
    page.get_by_role("alert").get_by_text("so no copy of a video can be made").wait_for()
    desk.click("dive", 3.21)
    assert desk.saved(1) == [("dive", 80)]


def test_replaced_file_is_noticed_and_its_frame_times_are_reread(page, app, folder):
    path = write_video(folder / "videos" / "v.mp4", range(0, 8000, 40))
    desk = Desk(page, app, folder.name)
    desk.click("dive", 2)
    assert desk.saved(1) == [("dive", 50)]
    other = write_video(folder / "other.mp4", range(0, 8000, 80), numbers=range(500, 600))
    began = time.monotonic()
    other.replace(path)
    page.get_by_role("alert").get_by_text("This video's file was replaced.").wait_for()
    assert time.monotonic() - began < 5
    wait_until_it_plays(page)
    assert page.evaluate("() => [window.stage().clock.frames.count, window.stage().clock.time]") == [100, 2]
    assert desk.painted == [("dive", 50)]
    check_frames(page, 25, 99, first=500)
    desk.click("run", 4.01)
    assert desk.saved(2) == [("dive", 50), ("run", 50)]


def test_deleted_file_is_reported_and_labelling_continues(page, app, folder):
    uneven = [40 * index + 17 * (index % 3) for index in range(200)]
    path = write_video(folder / "videos" / "v.mp4", uneven)
    desk = Desk(page, app, folder.name)
    desk.click("dive", 2)
    path.rename(folder / "aside.mp4")
    page.get_by_role("alert").get_by_text("there is no file of video 'v'").wait_for(timeout=5000)
    desk.click("run", 4.01)
    desk.key(".", "2")
    assert desk.saved(3) == [("dive", 49), ("run", 99), ("run", 100)]
    (folder / "aside.mp4").rename(path)
    wait_until_it_plays(page)
    assert not page.locator(".fault").is_visible() and page.evaluate("() => window.stage().clock.asked") == 100
    check_frames(page, 100, 4)


def test_file_that_breaks_while_open_is_reported(page, app, folder):
    path = write_video(folder / "videos" / "v.mp4", range(0, 8000, 40))
    desk = Desk(page, app, folder.name)
    content = path.read_bytes()
    path.write_bytes(b"not a video")
    page.get_by_role("alert").get_by_text("cannot be read as a video").wait_for(timeout=5000)
    desk.click("dive", 4)
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    wait_until_it_plays(page)
    assert desk.saved(1) == [("dive", 100)]
