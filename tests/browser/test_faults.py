"""Faults around the annotation desk: no label is lost or duplicated, and the desk reports the problem.

The real app is killed by real signals, the browser is real, and writes to disk really fail.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from browsing import CLASSES, STAGE, App, Desk, make_data_set
from numbered_video import write_video

from hrpro.labels.operations import LabelStore

pytestmark = pytest.mark.browser

# Page script that records the ids of all points ever painted and of all operations that the server acknowledged.
WITNESS = """
window.seen = new Set();
window.acknowledged = new Set();
const ask = window.fetch;
window.fetch = async (...request) => {
  const response = await ask(...request);
  if (request[1]?.method === "POST" && response.ok) {
    const { acks } = await response.clone().json();
    for (const { id, seq } of acks) if (seq) window.acknowledged.add(id);
  }
  return response;
};
const look = () => {
  for (const lane of window.stage?.()?.scene?.lanes ?? []) for (const { id } of lane.points) window.seen.add(id);
  requestAnimationFrame(look);
};
look();
"""


def log_of(desk: Desk) -> Path:
    return desk.store_root / "labels" / "operations.jsonl"


def operations(desk: Desk) -> list[dict]:
    """Operations in the log, complete lines only."""
    return [json.loads(line) for line in log_of(desk).read_bytes().split(b"\n")[:-1]]


def stamp(desk: Desk, *keys: str, times: int) -> None:
    """Repeat `times` times: go one frame forward, then press each of the keys."""
    desk.key(*[".", *keys] * times)


@pytest.mark.slow
def test_fifty_server_kills_while_labelling_lose_nothing(page, tmp_path):
    """The app, started by `streamlit run`, is killed with SIGKILL and restarted 50 times, while keys are pressed all
    the time in one open page. Every other kill comes at a random moment, the others right after a line was written, so
    that some operations are not acknowledged and are sent again. If the server did not recognise those, a repeated undo
    would undo another label."""
    app, rng, kills = App(tmp_path), random.Random(0), iter(range(50))
    folder = make_data_set(app.data, "Killed", {"even": {"duration": 60.0, "fps": 25.0}}, CLASSES)
    write_video(folder / "videos" / "even.mp4", range(0, 60_000, 40), numbers=[0] * 1500)
    app.start()

    def kill_and_start() -> None:
        for number in kills:
            time.sleep(rng.uniform(.05, .8))
            size, deadline = log_of(desk).stat().st_size, time.monotonic() + 5 * (number % 2)
            while log_of(desk).stat().st_size == size and time.monotonic() < deadline:
                time.sleep(.0002)
            app.end(signal.SIGKILL)
            app.start()

    killer, frames = threading.Thread(target=kill_and_start), 1
    try:
        page.add_init_script(WITNESS)
        desk = Desk(page, app, "Killed")
        stamp(desk, "1", times=1)
        desk.saved(1)
        killer.start()
        while killer.is_alive():
            acknowledged = page.evaluate("() => [...window.acknowledged]")
            assert set(acknowledged) <= {operation["id"] for operation in operations(desk)}
            stamp(desk, "1", "2", "Control+z", times=1)
            frames += 1
            page.wait_for_timeout(rng.uniform(0, 300))
        assert desk.saved(frames) == [("HighJump", frame) for frame in range(1, frames + 1)]
    finally:
        list(kills)
        killer.join()
        app.end()
    logged = operations(desk)
    ids = {operation["id"] for operation in logged}
    assert len(logged) == len(ids) == 3 * frames - 2 > 200
    assert set(page.evaluate("() => [...window.acknowledged]")) <= ids
    assert set(page.evaluate("() => [...window.seen]")) <= {key for operation in logged for key in operation["after"]}
    assert [operation["seq"] for operation in logged] == list(range(1, len(logged) + 1))


class Wire:
    """TCP relay between browser and server that can hold back all data (silence) or drop all connections (cut)."""

    def __init__(self, port: int):
        self.port, self.loop, self.ends = port, asyncio.new_event_loop(), set()
        self.passes = asyncio.Event()
        self.passes.set()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.do(self._lay())
        self.url = f"http://127.0.0.1:{self.here}"

    def do(self, what) -> None:
        asyncio.run_coroutine_threadsafe(what, self.loop).result(10)

    def silence(self) -> None:
        self.loop.call_soon_threadsafe(self.passes.clear)

    def cut(self) -> None:
        self.do(self._cut())

    def mend(self) -> None:
        self.do(self._lay(self.here))

    async def _lay(self, port: int = 0) -> None:
        self.server = await asyncio.start_server(self._join, "127.0.0.1", port)
        self.here = self.server.sockets[0].getsockname()[1]
        self.passes.set()

    async def _cut(self) -> None:
        self.server.close()
        for end in self.ends:
            end.transport.abort()

    async def _join(self, reader, writer) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        self.ends |= {writer, far_writer}
        with contextlib.suppress(OSError):
            await asyncio.gather(self._carry(reader, far_writer), self._carry(far_reader, writer))
        self.ends -= {writer, far_writer}

    async def _carry(self, reader, writer) -> None:
        while data := await reader.read(1 << 16):
            await self.passes.wait()
            writer.write(data)
            await writer.drain()
        writer.close()


def test_labels_are_queued_during_a_network_outage_and_arrive_in_order(page, app, clip):
    wire = Wire(app.port)
    desk = Desk(page, SimpleNamespace(url=wire.url, data=app.data), clip)
    stamp(desk, "1", times=1)
    desk.saved(1)
    wire.silence()
    stamp(desk, "2", times=8)
    page.wait_for_timeout(5000)
    assert desk.badge == "saving 8 …"
    wire.cut()
    stamp(desk, "3", times=7)
    page.wait_for_timeout(5000)
    desk.click("HighJump", 4)                           # no "connection lost" dialog blocks the mouse
    page.locator(".badge.save.waiting").get_by_text("16 not saved yet: no connection").wait_for()
    assert len(desk.painted) == 17 and len(desk.stored) == 1
    wire.mend()
    desk.saved(17)
    wire.cut()
    points = [point for operation in operations(desk) for point in operation["after"].values()]
    assert [(point["label"], point["frame"]) for point in points] == list(zip(
        ["HighJump"] + ["Run up"] * 8 + ["прыжок"] * 7 + ["HighJump"], [*range(1, 17), 100], strict=True))


def test_unsaved_labels_survive_a_closed_tab(desk, context, app, clip):
    desk.click("HighJump", 1)
    desk.saved(1)
    context.set_offline(True)
    desk.click("HighJump", 2)
    desk.page.locator(".badge.save.waiting").wait_for()
    desk.page.close()
    context.set_offline(False)
    again = Desk(context.new_page(), app, clip)
    assert again.saved(2) == [("HighJump", 25), ("HighJump", 50)]


def test_invalid_queue_entries_are_set_aside_and_block_no_label(desk):
    """Invalid entries, as another version or an extension might leave them among the unsaved labels."""
    poison = ['{"id": "x"}', "nonsense", json.dumps({"id": "y", "video": "even", "kind": "fly", "before": {},
                                                     "after": {}})]
    desk.page.evaluate("""([poison, dataset]) => poison.forEach((text, number) =>
      localStorage.setItem(`hrpro.queue.${dataset}.1a2b.00000000${number}`, text))""", [poison, desk.store_root.name])
    desk.open()
    desk.click("HighJump", 1)
    desk.key("2")
    desk.saved(2)
    badge = desk.page.get_by_role("button", name="Operations that the server could not take")
    assert badge.inner_text() == "3 set aside"
    badge.click()
    dialog = desk.page.get_by_role("dialog", name="Set aside")
    text = dialog.get_by_role("textbox").input_value()
    assert all(part in text for part in ('{"id": "x"}', "nonsense", "unknown kind 'fly'"))
    dialog.get_by_role("button", name="Close").click()
    desk.open()
    assert badge.inner_text() == "3 set aside"
    badge.click()
    dialog.get_by_role("button", name="Delete them from this browser").click()
    badge.wait_for(state="hidden")
    desk.open()
    assert badge.is_hidden() and len(desk.saved(2)) == 2


def test_full_disk_is_reported_and_the_label_is_queued(desk, app):
    """The disk runs full in the middle of writing the label's line."""
    desk.click("HighJump", 1)
    desk.saved(1)
    server, whole = psutil.Process(app.process.pid), log_of(desk).read_bytes()
    free = server.rlimit(psutil.RLIMIT_FSIZE)
    server.rlimit(psutil.RLIMIT_FSIZE, (len(whole) + 20, free[1]))
    desk.click("HighJump", 2)
    desk.page.locator(".badge.save.waiting").wait_for()
    assert "1 not saved yet:" in desk.badge and "operations.jsonl" in desk.badge
    assert log_of(desk).read_bytes() == whole
    server.rlimit(psutil.RLIMIT_FSIZE, free)
    assert desk.saved(2) == [("HighJump", 25), ("HighJump", 50)]


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Make a file unwritable even for root, who can write any file that is not marked immutable."""
    path.chmod(0o444)
    marked = not os.access(path, os.W_OK) or subprocess.run(["chattr", "+i", path], capture_output=True).returncode == 0
    try:
        if not marked:
            pytest.skip("this file system has no immutable files, and root can write all others")
        yield
    finally:
        subprocess.run(["chattr", "-i", path], capture_output=True)
        path.chmod(0o644)


def test_unwritable_log_is_reported_and_the_label_is_queued(desk):
    desk.click("HighJump", 1)
    desk.saved(1)
    with read_only(log_of(desk)):
        desk.click("HighJump", 2)
        desk.page.locator(".badge.save.waiting").wait_for()
        assert "1 not saved yet:" in desk.badge and "operations.jsonl: cannot be written" in desk.badge
        assert len(operations(desk)) == 1
        desk.page.reload()
        desk.page.locator(".badge.save.waiting").wait_for()
        assert len(desk.painted) == 2
    assert desk.saved(2) == [("HighJump", 25), ("HighJump", 50)]


def test_unreadable_log_is_reported_and_the_label_is_queued(desk):
    desk.click("HighJump", 1)
    desk.saved(1)
    aside = log_of(desk).rename(log_of(desk).with_suffix(".aside"))
    log_of(desk).mkdir()
    desk.click("HighJump", 2)
    desk.page.locator(".badge.save.waiting").wait_for()
    assert "1 not saved yet:" in desk.badge and "operations.jsonl: cannot be read" in desk.badge
    log_of(desk).rmdir()
    aside.rename(log_of(desk))
    assert desk.saved(2) == [("HighJump", 25), ("HighJump", 50)]


def test_two_tabs_labelling_at_once_lose_nothing(desk, context, app, clip):
    other = Desk(context.new_page(), app, clip)
    for _ in range(40):
        stamp(desk, "1", times=1)
        stamp(other, "1", "3", times=1)
    other.page.locator(".badge.save.saved").wait_for()
    stored = desk.saved(120)
    assert other.saved(120) == stored
    assert sorted(stored) == sorted([*[("HighJump", frame) for frame in range(1, 41)] * 2,
                                     *(("прыжок", frame) for frame in range(1, 41))])
    assert len({operation["id"] for operation in operations(desk)}) == len(operations(desk)) == 120


def test_truncated_log_line_is_set_aside_and_labelling_continues(desk):
    stamp(desk, "1", times=3)
    desk.saved(3)
    with open(log_of(desk), "ab") as log:
        log.write(b'{"id":"half","time":"2026-')
    stamp(desk, "2", times=1)
    assert desk.saved(4)[-1] == ("Run up", 4)
    assert len(operations(desk)) == 4 and log_of(desk).read_bytes().endswith(b"\n")
    assert log_of(desk).with_name("operations.jsonl.cut").read_bytes() == b'{"id":"half","time":"2026-\n'
    desk.page.reload()
    desk.page.get_by_role("alert").get_by_text("the last line was cut off").wait_for()


@pytest.mark.parametrize("busy", [False, True])
def test_desk_shows_the_log_as_it_is_after_it_was_truncated(desk, busy):
    """busy: the next label is added before the desk notices."""
    stamp(desk, "1", times=3)
    desk.saved(3)
    desk.page.wait_for_function("() => window.stage().lanes.flatMap((lane) => lane.points).every(({ who }) => who)")
    os.truncate(log_of(desk), log_of(desk).stat().st_size - 30)
    if busy:
        stamp(desk, "2", times=1)
    expected = [("HighJump", 1), ("HighJump", 2), *[("Run up", 4)] * busy]
    desk.page.wait_for_function("(expected) => JSON.stringify(window.stage().lanes.flatMap((lane) => "
                                "lane.points.map((point) => [lane.label, point.frame]))) === JSON.stringify(expected)",
                                arg=expected)
    assert desk.saved(len(expected)) == expected


def test_error_replaces_the_desk_if_the_data_set_is_invalid(page, app):
    folder = make_data_set(app.data, "Broken", {"v1": {"duration": 10., "fps": 25.}}, CLASSES)
    annotations = folder / "gt_full.json"
    annotations.write_bytes(annotations.read_bytes()[:-20])
    page.goto(f"{app.url}/annotate?dataset=Broken")
    page.locator(".desk").get_by_role("alert").get_by_text(f"{annotations}: ").wait_for()
    page.get_by_role("link", name="Go to Projects").click()
    page.get_by_role("heading", name="Projects").wait_for()


def test_restoring_an_older_log_also_restores_its_marks(desk):
    stamp(desk, "1", times=1)
    desk.saved(1)
    before = log_of(desk).read_bytes()
    marked = {"id": "done", "video": "even", "kind": "mark", "before": {}, "after": {"even": {"done": True}}}
    LabelStore(desk.store_root).apply([marked], "Bob")
    desk.page.locator("label.done input:checked").wait_for()
    log_of(desk).with_suffix(".copy").write_bytes(before)
    log_of(desk).with_suffix(".copy").replace(log_of(desk))
    desk.page.locator("label.done input:not(:checked)").wait_for()
    assert desk.saved(1) == [("HighJump", 1)]


def test_labels_are_saved_in_a_browser_without_storage(page, app, clip):
    page.add_init_script("""for (const kind of ["localStorage", "sessionStorage"]) Object.defineProperty(window, kind,
        { get() { throw new DOMException("The request was denied.", "SecurityError"); } });""")
    page.add_init_script(STAGE[STAGE.index("window.stage ="):])
    page.goto(f"{app.url}/annotate?dataset={clip}")
    page.get_by_role("button", name="Start").click()
    page.wait_for_function("() => window.stage()?.clock.ready && window.stage().clock.shown !== null")
    page.keyboard.press("1")
    page.locator(".badge.save.saved").get_by_text("saved").wait_for()
    assert len(LabelStore(app.data / clip).points()) == 1
