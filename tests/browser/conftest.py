"""The real app on a data folder of its own, driven by a real browser."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests" / "video"))

# For a page: who labels, and what is painted on the timeline, wherever the component has put it.
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


class App:
    """The app as `streamlit run` starts it, with more flags if given; data and ckpt are its folders."""

    def __init__(self, folder: Path, *flags: str):
        self.data, self.ckpt, self.log = folder / "dataset", folder / "ckpt", folder / "server.log"
        self.data.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
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


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("app"))
    app.start()
    try:
        yield app
    finally:
        app.end()
    assert "Traceback" not in app.log.read_text(), app.log.read_text()[-3000:]


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, else Playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium: install Debian's chromium, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser):
    """A person's browser: tabs of it share what they remember. Errors of its pages fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    errors = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert not errors


@pytest.fixture
def page(context):
    return context.new_page()


def make_data_set(root: Path, name: str, videos: dict[str, dict], classes: Iterable[str] = ()) -> Path:
    """A data set's text files: videos as {id: {"duration", "fps", "annotations"?}}, every one in both splits."""
    folder = root / name
    (folder / "videos").mkdir(parents=True)
    database = {video: {"subset": "train", "annotations": [], **info} for video, info in videos.items()}
    (folder / "gt_full.json").write_text(json.dumps({"version": "1", "database": database}))
    (folder / "classes.txt").write_text("".join(f"{label}\n" for label in classes))
    for split in ("train", "test"):
        (folder / f"split_{split}.txt").write_text("".join(f"{video}\n" for video in videos))
    return folder
