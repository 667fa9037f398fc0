"""The real app with its own data folder, and helpers to drive it in a real browser."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlencode

import httpx

from hrpro.labels.operations import LabelStore

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ["HighJump", "Run up", "прыжок"]

# Init script for pages: sets the person's name, and finds the timeline's state wherever the component has put it.
STAGE = """localStorage.setItem("hrpro.name", localStorage.getItem("hrpro.name") ?? "Ann");
window.stage = () => {
  const find = (root) => {
    const canvas = root.querySelector("canvas");
    if (canvas?.stage) return canvas;
    for (const element of root.querySelectorAll("*")) {
      const found = element.shadowRoot && find(element.shadowRoot);
      if (found) return found;
    }
    return null;
  };
  return find(document)?.stage;
}"""


def free_port() -> int:
    """A port outside the range of outgoing connections, so that a server restarted after a kill finds it free."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class App:
    """The app as started by `streamlit run`, with optional flags; `data` and `ckpt` are its folders."""

    def __init__(self, folder: Path, *flags: str):
        self.data, self.ckpt, self.log = folder / "dataset", folder / "ckpt", folder / "server.log"
        self.data.mkdir(parents=True)
        self.port = free_port()
        base = next((flag.partition("=")[2] for flag in flags if flag.startswith("--server.baseUrlPath=")), "")
        self.url = f"http://127.0.0.1:{self.port}/{base}".rstrip("/")
        self.flags, self.process = flags, None

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.headless=true",
                   "--server.address=127.0.0.1", f"--server.port={self.port}", "--server.fileWatcherType=none",
                   "--browser.gatherUsageStats=false", *self.flags]
        environment = {**os.environ, "HRPRO_DATA": str(self.data), "HRPRO_CKPT": str(self.ckpt)}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/_stcore/health").status_code == 200:
                    return
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(.1)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(20)


def chromium(playwright) -> str:
    """Path of Chromium, whether or not it is installed."""
    return shutil.which("chromium") or playwright.chromium.executable_path


def make_data_set(root: Path, name: str, videos: dict[str, dict], classes: Iterable[str] = ()) -> Path:
    """Write a data set's text files. videos: {id: {"duration", "fps", "annotations"?}}, all in both splits."""
    folder = root / name
    (folder / "videos").mkdir(parents=True)
    database = {video: {"subset": "train", "annotations": [], **info} for video, info in videos.items()}
    (folder / "gt_full.json").write_text(json.dumps({"version": "1", "database": database}))
    (folder / "classes.txt").write_text("".join(f"{label}\n" for label in classes))
    for split in ("train", "test"):
        (folder / f"split_{split}.txt").write_text("".join(f"{video}\n" for video in videos))
    return folder


class Desk:
    """A browser tab with the annotation desk."""

    def __init__(self, page, app: App, dataset: str, **query):
        self.page, self.store_root = page, app.data / dataset
        page.add_init_script(STAGE)
        self.address = f"{app.url}/annotate?{urlencode({'dataset': dataset} | query)}"
        self.open()

    def open(self) -> None:
        self.page.goto(self.address)
        self.canvas = self.page.locator(".desk canvas")
        self.canvas.wait_for()
        self.page.wait_for_function("() => window.stage()?.scene && window.stage().clock.frames.times")
        self.page.wait_for_function("() => window.stage().clock.ready && window.stage().clock.shown !== null")

    def spot(self, label: str, seconds: float) -> tuple[float, float]:
        """Page coordinates of a moment in a class's lane, as soon as the lane is painted."""
        return tuple(self.page.wait_for_function("""([label, seconds]) => {
          const { canvas, scene, axis } = window.stage();
          const box = canvas.getBoundingClientRect();
          const row = scene.rows.find((row) => row.lane.label === label);
          return row && [box.left + axis.x(seconds), box.top + row.y + row.height / 2];
        }""", arg=[label, seconds]).json_value())

    def click(self, label: str, seconds: float, **more) -> None:
        self.page.mouse.click(*self.spot(label, seconds), **more)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        self.page.mouse.move(*end)
        self.page.mouse.up()

    def key(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    @property
    def painted(self) -> list[tuple[str, int]]:
        """(class, frame) of the points on the timeline."""
        return [tuple(row) for row in self.page.evaluate(
            "() => window.stage().lanes.flatMap((lane) => lane.points.map((point) => [lane.label, point.frame]))")]

    @property
    def stored(self) -> list[tuple[str, int]]:
        """(class, frame) of the points in the log, as another process reads them."""
        store = LabelStore(self.store_root)
        order = {label: index for index, label in enumerate(store.classes)}
        rows = [(row["label"], row["frame"]) for video in store.dataset.fps for row in store.points(video)]
        return sorted(rows, key=lambda row: (order[row[0]], row[1]))

    @property
    def badge(self) -> str:
        return self.page.locator(".badge.save").inner_text()

    @property
    def frame(self) -> int:
        return self.page.evaluate("() => window.stage().clock.shown")

    def saved(self, count: int | None = None) -> list[tuple[str, int]]:
        """Wait until everything is acknowledged and `count` points are stored and painted; returns the stored ones."""
        self.page.locator(".badge.save.saved").wait_for()
        deadline = time.monotonic() + 5
        while count is not None and len(self.stored) != count and time.monotonic() < deadline:
            time.sleep(.05)
        stored = self.stored
        assert count in (None, len(stored)), stored
        self.page.wait_for_function("(count) => window.stage().lanes.flatMap((lane) => lane.points).length === count",
                                    arg=len(stored))
        assert self.painted == stored
        return stored
