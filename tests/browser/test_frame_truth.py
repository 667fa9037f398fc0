"""The browser shows the frame that the label names: a thousand seeks in all kinds of files, read from the picture."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlencode

import av
import numpy as np
import pytest
from browsing import STAGE, make_data_set
from numbered_video import (
    BITS,
    cut,
    damage,
    draw_corners,
    join,
    mux,
    pack,
    read_corners,
    read_number,
    write_video,
)
from test_annotate import Desk

from hrpro.labels.operations import LabelStore
from hrpro.video.decode import frames_at, iter_frames
from hrpro.video.proxy import make_proxy

pytestmark = pytest.mark.browser

COUNT, SEEKS = 250, 100
EVEN = range(0, 40 * COUNT, 40)
# Seeks to each frame and returns the wrong ones as [frame, frame shown, number in the picture, label's frame, seconds].
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
    # Packets are so small that each frame has its own timestamp, as frames of realistic size do.
    "MPEG-2.mpg": rate(25, 1, codec="mpeg2video", options={"bf": "2"}, sound="mp2",
                       container_options={"packetsize": "64"}),
    "MPEG-4.avi": rate(25, 1, codec="mpeg4", options={"bf": "1"}, sound="mp2"),
}


@pytest.fixture(scope="module")
def truth(app) -> dict[str, tuple[list[int], np.ndarray, float]]:
    """The data set `Truth`. Per video: the frames' numbers, their times and the tolerance in seconds.

    They are taken from what was written, not from probing.
    """
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
        within = 5.1e-4 if path.suffix == ".mkv" else 1e-6         # Matroska stores milliseconds
        known[path.stem] = list(range(first, first + COUNT)), times, within
    return known


def test_a_thousand_seeks_show_the_frame_that_the_label_names(page, app, truth):
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


B_FRAMES = {"bf": "2", "b-adapt": "0", "sc_threshold": "0"}


def joined(path: Path) -> list[int]:
    half = COUNT // 2
    join(path, *(write_video(path.with_name(f"{first}.ts"), range(0, 40 * half, 40), options=B_FRAMES,
                             numbers=range(first, first + half)) for first in (0, half)))
    return list(range(COUNT))


def thumbnail(path: Path) -> list[int]:
    mux(path, write_video(path.with_name("thumbnail.mov"), [0], "mjpeg", numbers=[777], pixels="yuvj420p"),
        write_video(path.with_name("film.mp4"), EVEN, options=B_FRAMES))
    return list(range(COUNT))


def two_films(path: Path) -> list[int]:
    mux(path, *(write_video(path.with_name(f"{first}.mp4"), EVEN, numbers=range(first, first + COUNT))
                for first in (0, 500)))
    return list(range(COUNT))


def mirrored(path: Path) -> list[int]:
    write_video(path, EVEN, matrix=(-1, 0, 0, 1), options=B_FRAMES)
    return [int(f"{number:0{BITS}b}"[::-1], 2) for number in range(COUNT)]


def no_key_frame_first(path: Path) -> list[int]:
    """The first remaining key frame is frame 25."""
    mux(path, write_video(path.with_name("whole.mp4"), EVEN, options={**B_FRAMES, "g": "25", "keyint_min": "25"}),
        skip=10)
    with av.open(str(path.with_name("whole.mp4"))) as whole:
        stamps = sorted([packet.pts for packet in whole.demux(video=0) if packet.size][10:])
        return [max(25, int(stamp * whole.streams.video[0].time_base * 25)) for stamp in stamps]


def packed(path: Path) -> list[int]:
    pack(write_video(path.with_name("plain.avi"), range(COUNT), "mpeg4", unit=Fraction(1, 25), options={"bf": "1"}),
         path)
    return list(range(COUNT))


def slow(path: Path) -> list[int]:
    write_video(path, range(COUNT), unit=Fraction(15), rate=Fraction(1, 15), options={"bf": "0"})
    return list(range(COUNT))


def damaged(path: Path) -> list[int]:
    """One coded picture is lost; frames that depend on it show artefacts, the same in all of our readers."""
    damage(write_video(path, EVEN, options=B_FRAMES), 41)
    make_proxy(path, path.parents[1] / "cache")
    return [read_number(picture) for picture in iter_frames(path, 25)]


ODD: dict[str, tuple[Callable[[Path], list[int]], bool]] = {       # function that makes it, whether a copy is played
    "joined.ts": (joined, True), "thumbnail.mp4": (thumbnail, True), "two films.mp4": (two_films, True),
    "mirrored.mp4": (mirrored, False), "late.mkv": (no_key_frame_first, True),
    "packed.avi": (packed, True), "slow.mkv": (slow, False), "damaged.mp4": (damaged, True)}


@pytest.mark.parametrize("name", ODD)
def test_seeks_in_unusual_files_show_the_frame_that_the_label_names(page, app, name):
    make, copied = ODD[name]
    folder = make_data_set(app.data, f"odd {name}", {"v": {"duration": 30., "fps": 25.}}, ["dive"])
    path = folder / "videos" / f"v{Path(name).suffix}"
    (folder / "made").mkdir()
    numbers = make(folder / "made" / name) if make is not damaged else make(path)
    if make is not damaged:
        (folder / "made" / name).rename(path)
    page.add_init_script(STAGE)
    page.goto(f"{app.url}/annotate?{urlencode({'dataset': folder.name})}")
    page.wait_for_function("() => window.stage()?.clock?.frames?.times && window.stage().clock.ready "
                           "&& window.stage().clock.shown !== null", timeout=120_000)
    if make is damaged:
        page.evaluate("(frame) => window.stage().clock.seekFrame(frame)",
                      next(frame for frame, number in enumerate(numbers) if number != frame))
        page.wait_for_function("() => window.stage().video.src.includes('?copy=') && window.stage().clock.ready")
    times = page.evaluate("() => [...window.stage().clock.frames.times]")
    assert len(times) == len(numbers)
    rng = np.random.default_rng(2)
    for finished in (False, True) if copied else (True,):       # while the copy is being made, and in the copy
        if copied and finished:
            page.wait_for_function("() => window.stage().video.src.includes('?copy=') && window.stage().clock.ready")
        frames = [*rng.integers(0, len(numbers), SEEKS // 2).tolist(), 0, len(numbers) - 1]
        assert page.evaluate(SEEK, {"frames": frames, "numbers": numbers, "times": times, "within": 1e-9}) == []
    assert ("?copy=" in page.evaluate("() => window.stage().video.src")) is copied


CORNERS = """() => {
  const { video } = window.stage();
  const { videoWidth: width, videoHeight: height } = video;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(video, 0, 0);
  return [[height, width, 4], [...context.getImageData(0, 0, width, height).data]];
}"""


def test_player_rotates_and_mirrors_like_filmstrips_and_features(page, app):
    ways = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1), (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0),
            (0, -1, -1, 0)]
    folder = make_data_set(app.data, "Ways", {f"way {number}": {"duration": 1., "fps": 25.} for number in range(8)},
                           ["dive"])
    for number, way in enumerate(ways):
        write_video(folder / "videos" / f"way {number}.mp4", range(0, 1000, 40), matrix=way, draw=draw_corners)
    for number in range(8):
        Desk(page, app, "Ways", video=f"way {number}")
        shape, values = page.evaluate(CORNERS)
        ours = next(frames_at(folder / "videos" / f"way {number}.mp4", [0]))
        assert ours.shape[:2] == tuple(shape[:2])
        assert read_corners(ours) == read_corners(np.array(values, np.uint8).reshape(shape)[..., :3])
