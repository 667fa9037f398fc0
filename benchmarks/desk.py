"""Responsiveness of the annotation desk in a real browser with a 2-hour video, 200 classes and 10,000 points."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import av
import httpx
import numpy as np
import psutil
from playwright.sync_api import Page, sync_playwright

from hrpro.labels.operations import LabelStore
from tests.browsing import STAGE, App, chromium, make_data_set

FPS, MINUTES, CLASSES, POINTS, STAMPS = 25, 120, 200, 10_000, 40
VIDEO = "two hours"

# Page script that measures the milliseconds from the component's start until the timeline shows its points, those from
# a digit's keydown until the timeline shows the point, and frames per second. A frame counts as painted when the first
# task after it starts.
WATCH = STAGE + """
const endOfFrame = () => new Promise((resolve) => requestAnimationFrame(() => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => resolve(performance.now());
  port2.postMessage(0);
}));
const painted = () => (window.stage()?.scene?.lanes ?? []).reduce((sum, lane) => sum + lane.points.length, 0);
window.waits = [];
window.firstPaint = (async () => {
  for (;;) {
    const now = await endOfFrame();
    const mounted = performance.getEntriesByType("resource").find(({ name }) => name.endsWith("/timeline/main.js"));
    if (painted()) return now - mounted.startTime;
  }
})();
addEventListener("keydown", async (event) => {
  if (!/^Digit/.test(event.code)) return;
  const before = painted();
  let now = await endOfFrame();
  while (painted() === before) now = await endOfFrame();
  window.waits.push(now - event.timeStamp);
}, true);
window.countPaints = async (seconds) => {
  const [scenes, until] = [new Set(), performance.now() + seconds * 1000];
  while (performance.now() < until) {
    await endOfFrame();
    scenes.add(window.stage().scene);
  }
  return scenes.size / seconds;
};
"""


def write_two_hours(path: Path) -> None:
    """Encode a minute of moving noise once and write its packets 120 times."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (180 + 64, 320 + 64), np.uint8).repeat(4, 0).repeat(4, 1)
    minute = path.with_suffix(".minute.mp4")
    with av.open(str(minute), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": "250", "crf": "30"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(60 * FPS):
            down, right = int(30 + 30 * np.sin(number / 40)), int(30 + 30 * np.cos(number / 25))
            picture = np.repeat(noise[down:down + 180, right:right + 320, None], 3, 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(minute)) as source, av.open(str(path), "w", options={"movflags": "faststart"}) as target:
        stream = source.streams.video[0]
        copy, shift = target.add_stream_from_template(stream), int(60 / stream.time_base)
        for turn in range(MINUTES):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.size:
                    packet.pts, packet.dts, packet.stream = packet.pts + turn * shift, packet.dts + turn * shift, copy
                    target.mux(packet)
    minute.unlink()


def make_project(root: Path) -> LabelStore:
    """Make a data set with one long video that already has labels."""
    names = [f"action {index}" for index in range(CLASSES)]
    folder = make_data_set(root, "Long", {VIDEO: {"duration": MINUTES * 60.0, "fps": float(FPS)}}, names)
    write_two_hours(folder / "videos" / f"{VIDEO}.mp4")
    rng = np.random.default_rng(1)
    frames, labels = rng.integers(0, MINUTES * 60 * FPS, POINTS), rng.integers(0, CLASSES, POINTS)
    frames[(labels < 10) & (frames // (60 * FPS) == 10)] += 60 * FPS        # keep the minute to be stamped free
    store = LabelStore(folder)
    store.apply([{"id": f"o{index}", "video": VIDEO, "kind": "add", "before": {}, "after": {
        f"p{index}": {"video": VIDEO, "label": names[label], "time": frame / FPS, "frame": frame}}}
        for index, (frame, label) in enumerate(zip(frames.tolist(), labels.tolist(), strict=True))], "Ann")
    store.project()
    return store


def spread(values: list[float]) -> str:
    return f"median {np.median(values):.0f} ms, 95th percentile {np.percentile(values, 95):.0f} ms"


def first_paint(page: Page, address: str) -> float:
    page.goto(address)
    return page.evaluate("() => window.firstPaint") / 1000


def play(page: Page, seconds: float) -> None:
    """Play at double speed, starting at `seconds`."""
    page.wait_for_function("() => window.stage().clock.ready && window.stage().clock.frames.times", timeout=60_000)
    page.evaluate("""(seconds) => {
      const { clock, canvas } = window.stage();
      clock.seek(seconds);
      clock.rate = 2;
      clock.play();
      canvas.focus();
    }""", seconds)
    page.wait_for_function("(seconds) => window.stage().clock.time > seconds + 2 && window.stage().clock.playing",
                           arg=seconds)


def key_to_paint(page: Page) -> list[float]:
    """Milliseconds from each of 40 keydowns, not in sync with the screen, to the end of the frame showing its point."""
    rng = np.random.default_rng(2)
    page.evaluate("() => { window.waits = []; }")
    for index in range(STAMPS):
        page.keyboard.press(str(index % 10))
        page.wait_for_timeout(float(rng.uniform(100, 200)))
    page.wait_for_function("(count) => window.waits.length === count", arg=STAMPS)
    return page.evaluate("() => window.waits")


def quick_stamps(page: Page, store: LabelStore, count: int = 20, seconds: float = 2) -> tuple[int, float]:
    """Stamp `count` points in `seconds`; return how many are logged when the desk shows them saved, and the wait."""
    store.refresh()
    before, began = len(store.points(VIDEO)), time.perf_counter()
    for index in range(count):
        page.keyboard.press(str(index % 10))
        page.wait_for_timeout(max(0., (index + 1) * seconds / count - (time.perf_counter() - began)) * 1000)
    stamped = time.perf_counter()
    page.locator(".badge.save.saved").wait_for()
    waited = time.perf_counter() - stamped
    store.refresh()
    return len(store.points(VIDEO)) - before, waited


def paints_per_second(page: Page, seconds: int = 3) -> tuple[float, float]:
    """Frames per second during continuous wheel input: zooming in to a few seconds, then panning."""
    box = page.locator(".desk canvas").bounding_box()
    place = {"x": box["x"] + box["width"] * .6, "y": box["y"] + box["height"] * .6, "gestureSourceType": "mouse"}
    session, rates = page.context.new_cdp_session(page), []
    for turn in ({"yDistance": 500 * seconds}, {"xDistance": 500 * seconds}):
        page.evaluate("(seconds) => { window.counted = window.countPaints(seconds); }", seconds)
        session.send("Input.synthesizeScrollGesture", {**place, **turn, "speed": 500})
        rates.append(page.evaluate("() => window.counted"))
    return tuple(rates)


def stream_and_seek(page: Page, url: str, seeks: int = 30) -> int:
    """Read the whole file over HTTP, then let the browser seek at random; return the bytes read."""
    read = 0
    with httpx.stream("GET", url) as response:
        for part in response.iter_bytes():
            read += len(part)
    for seconds in np.random.default_rng(3).uniform(0, MINUTES * 60, seeks).tolist():
        page.evaluate("(seconds) => window.stage().clock.seek(seconds)", seconds)
        page.wait_for_function("() => window.stage().clock.asked === window.stage().clock.shown")
    return read


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder))
        store = make_project(app.data)
        file = app.data / "Long" / "videos" / f"{VIDEO}.mp4"
        print(f"{os.cpu_count()} processors, no GPU asked for; {VIDEO} of {file.stat().st_size >> 20} MiB, "
              f"{CLASSES} classes, {POINTS} points")
        app.start()
        browser = playwright.chromium.launch(executable_path=chromium(playwright), args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            page.add_init_script(WATCH)
            address = f"{app.url}/annotate?{urlencode({'dataset': 'Long', 'video': VIDEO})}"
            cold, warm = first_paint(page, address), first_paint(page, address)
            print(f"first paint with its points: {cold:.2f} s, opened again {warm:.2f} s (limit 1 s)")
            play(page, 600)
            print(f"key to paint, playing at x2: {spread(key_to_paint(page))} (limit 50 ms)")
            kept, waited = quick_stamps(page, store)
            print(f"20 points stamped in 2 s while playing: {kept} in the log {waited:.2f} s after the last (limit 20)")
            page.keyboard.press("k")
            zoom, pan = paints_per_second(page)
            print(f"zoom {zoom:.0f}, pan {pan:.0f} frames per second (limit 30)")
            memory = psutil.Process(app.process.pid).memory_info
            before = memory().rss
            read = stream_and_seek(page, f"{app.url}/videos/Long/{VIDEO}")
            print(f"server's memory: {before >> 20} MiB, after {read >> 20} MiB streamed and 30 seeks "
                  f"{(memory().rss - before) / 2**20:+.0f} MiB (limit +50)")
        finally:
            browser.close()
            app.end()


if __name__ == "__main__":
    sys.exit(main())
