"""What the browser presents is what the label says: a thousand seeks in files of every kind, read off the picture."""

import time
from fractions import Fraction

import numpy as np
import pytest
from browsing import make_data_set
from numbered_video import BITS, cut, write_video
from test_annotate import Desk

from hrpro.labels.operations import LabelStore

pytestmark = pytest.mark.browser

COUNT, SEEKS = 250, 100
EVEN = range(0, 40 * COUNT, 40)
# Goes to each frame and returns what was not as it should be, as [frame, shown, number in the picture, label's].
SEEK = """async ({ frames, numbers, times, within }) => {
  const { clock, video } = window.stage();
  const context = new OffscreenCanvas(%d * 16, 1).getContext("2d", { willReadFrequently: true });
  const { width } = context.canvas;
  const wrong = [];
  for (const frame of frames) {
    clock.seekFrame(frame);
    const until = performance.now() + 3000;
    while ((clock.shown !== frame || video.seeking) && performance.now() < until) {
      await new Promise(requestAnimationFrame);
    }
    context.drawImage(video, 0, 0, width, 1);
    const row = context.getImageData(0, 0, width, 1).data;
    let number = 0;
    for (let bit = 0; bit < width / 16; bit += 1) if (row[(bit * 16 + 8) * 4] > 128) number += 2 ** bit;
    const seconds = clock.frames.time(clock.frame);
    if (clock.shown !== frame || clock.frame !== frame || number !== numbers[frame]
        || Math.abs(seconds - times[frame]) > within) wrong.push([frame, clock.shown, number, clock.frame, seconds]);
  }
  return wrong;
}""" % BITS  # noqa: UP031 - the script is full of braces


def rate(numerator: int, denominator: int = 1001, **more) -> dict:
    return {"stamps": range(0, COUNT * denominator, denominator), "unit": Fraction(1, numerator),
            "rate": Fraction(numerator, denominator), **more}


FILES = {
    "cut.mp4": {"stamps": range(0, 40 * (COUNT + 30), 40), "options": {"bf": "3", "b-adapt": "0"}},
    "late.mp4": {"stamps": range(720, 720 + 40 * COUNT, 40), "options": {"bf": "2"}},
    "sound leads.mp4": {"stamps": range(480, 480 + 40 * COUNT, 40), "options": {"bf": "2"}, "sound": "aac"},
    "B frames.mov": {"stamps": EVEN, "options": {"bf": "3", "b-adapt": "0"}, "sound": "aac"},
    "uneven.mp4": {"stamps": np.cumsum(np.random.default_rng(0).integers(20, 90, COUNT)).tolist(),
                   "options": {"bf": "3", "b-adapt": "0"}},
    "23.976.mp4": rate(24000), "29.97.mp4": rate(30000), "59.94.mkv": rate(60000, options={"bf": "2"}),
    # Packets so small that each frame has its own stamp, as frames of real size have.
    "MPEG-2.mpg": rate(25, 1, codec="mpeg2video", options={"bf": "2"}, sound="mp2",
                       container_options={"packetsize": "64"}),
    "MPEG-4.avi": rate(25, 1, codec="mpeg4", options={"bf": "1"}, sound="mp2"),
}


@pytest.fixture(scope="module")
def truth(app) -> dict[str, tuple[list[int], np.ndarray, float]]:
    """The data set `Truth`: of each video the frames' numbers and times, from what was written, not from probing."""
    folder = make_data_set(app.data, "Truth", {name.rpartition(".")[0]: {"duration": 30., "fps": 25.}
                                               for name in FILES}, ["dive"])
    known = {}
    for name, settings in FILES.items():
        path = folder / "videos" / name
        first = 0
        if name == "cut.mp4":
            first = 30
            cut(write_video(path.with_name("whole.mp4"), **settings), path, 1.2)
            path.with_name("whole.mp4").unlink()
        else:
            write_video(path, **settings)
        stamps = np.array(settings["stamps"])[first:]
        times = (stamps - stamps[0]) * float(settings.get("unit", Fraction(1, 1000)))
        within = 5.1e-4 if path.suffix == ".mkv" else 1e-6         # Matroska keeps milliseconds
        known[path.stem] = list(range(first, first + COUNT)), times, within
    return known


def test_a_thousand_seeks_show_the_frame_that_the_label_says(page, app, truth):
    desk = Desk(page, app, "Truth", video="23.976")
    began, rng = time.monotonic(), np.random.default_rng(1)
    wrong = {}
    for video, (numbers, times, within) in truth.items():
        page.get_by_role("button", name=f"{video}, ").click()
        page.wait_for_function("""(video) => window.stage().current.id === video && window.stage().clock.ready
            && window.stage().clock.frames.times && window.stage().clock.shown !== null""", arg=video, timeout=30_000)
        frames = rng.integers(0, COUNT, SEEKS).tolist()
        wrong[video] = page.evaluate(SEEK, {"frames": frames, "numbers": numbers, "times": times.tolist(),
                                            "within": within})
        desk.key("1")
        desk.page.locator(".badge.save.saved").wait_for()
        point, = LabelStore(app.data / "Truth").points(video)
        assert (point["frame"], point["time"]) == (frames[-1], pytest.approx(times[frames[-1]], abs=within))
    print(f"{len(truth) * SEEKS} seeks in {time.monotonic() - began:.0f} s")
    assert wrong == {video: [] for video in truth}
