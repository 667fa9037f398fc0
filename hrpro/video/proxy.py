"""Copies of videos that browsers cannot play: where they lie, who makes them, and how they stand.

A copy is `<cache>/proxies/<file name>.<version>.mp4`; the `.json` beside it tells how far it is while it is made, and
why there is none where that failed. Who makes one holds the folder's lock: one copy at a time, whoever asks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from hrpro.errors import Cancelled, InputError
from hrpro.files import inside, read_json, replacing_by_name, write_json
from hrpro.video.probe import probe, version_of

_SOURCE = Path(__file__).resolve().parents[2]


def proxy_path(video: Path, cache_dir: Path) -> Path:
    """Where the copy of the video file as it is now is, made or not.

    Raises:
        InputError: there is no such video, or the place leads out of the data set around the cache.
    """
    cache = Path(cache_dir)
    return inside(cache.parent, cache.name, "proxies", f"{Path(video).name}.{version_of(video)}.mp4")


def make_proxy(source: Path, cache_dir: Path, progress: Callable[[float], object] = lambda fraction: None,
               lock: int | None = None, note: Callable[[str], object] = lambda sentence: None) -> Path:
    """The video's copy, see `hrpro.video.transcode`; made unless it is there.

    Args:
        source: The video.
        cache_dir: The data set's cache.
        progress: Gets the fraction done.
        lock: The folder's lock as an open file, where the caller holds it already; else this waits until no other
            process makes a copy in this cache.
        note: Gets a sentence about frames that cannot be decoded, if there are any.

    Raises:
        InputError: see `probe`; no frame can be decoded; the copy cannot be written; the video was replaced meanwhile.
            Nothing half written is left.
    """
    from hrpro.video.decode import missing_note
    from hrpro.video.transcode import transcode  # encoders load only in the process that uses them

    folder = proxy_path(source, cache_dir).parent
    with _lock_of(folder) if lock is None else os.fdopen(lock, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        target = proxy_path(source, cache_dir)          # as the file is now: the wait may have been long
        state = target.with_suffix(".json")
        if target.exists():
            return target
        for left in target.parent.glob(".*.mp4.*"):     # by a process that was killed
            left.unlink(missing_ok=True)
        try:
            with replacing_by_name(target) as temporary:
                info = probe(source)
                missing = transcode(info, temporary, _Told(state, progress))
                if proxy_path(source, cache_dir) != target:
                    raise InputError(f"{source}: was replaced while it was copied. Copy it again.")
        except BaseException as error:
            with contextlib.suppress(InputError):       # the disk is full: then the error itself must do
                write_json(state, {"fault": _fault(source, error)})
            raise
        if missing:
            note(missing_note(info, missing))
        made = re.compile(re.escape(source.name) + r"\.[0-9a-f]+-[0-9a-f]+\.(mp4|json)")
        for path in target.parent.iterdir():
            if path != target and made.fullmatch(path.name):
                path.unlink()
    return target


class _Told:
    """Tells and writes down how far a copy is, twice a second."""

    def __init__(self, state: Path, progress: Callable[[float], object]):
        self.state, self.progress = state, progress
        self.began = self.told = time.monotonic()

    def __call__(self, fraction: float) -> None:
        now = time.monotonic()
        if now - self.told > .5:
            self.told, spent = now, now - self.began
            self.progress(fraction)
            left = round(spent * (1 - fraction) / fraction) if spent > 1 else None
            write_json(self.state, {"done": round(fraction, 3), "left": left})


def order_proxy(video: Path, cache_dir: Path, *, again: bool = False) -> dict[str, object]:
    """How the video's copy stands, for somebody who waits for it; begun in the background if nobody is at work.

    {"ready", "done": the fraction, None while another video has its turn, "left": seconds or None, "fault": why there
    will be none, or ""}. again: begin anew where it failed. InputError if there is no such video.
    """
    target = proxy_path(video, cache_dir)
    answer = {"ready": target.exists(), "done": None, "left": None, "fault": ""}
    if answer["ready"]:
        return answer
    try:
        return answer | _order(video, target, again)
    except InputError as error:                         # the cache cannot be written
        return answer | {"fault": str(error)}


def _order(video: Path, target: Path, again: bool) -> dict[str, object]:
    state = target.with_suffix(".json")
    with _lock_of(target.parent) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(state)
        if target.exists():
            return {"ready": True}
        if state.exists() and not again:
            return {"fault": _read(state).get("fault") or _fault(video)}
        write_json(state, {"done": 0, "left": None})
        _start(video, lock.fileno())
    return {"done": 0}


def _lock_of(folder: Path) -> IO[bytes]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return open(inside(folder.parent.parent, folder.parent.name, folder.name, ".lock"), "ab")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}), so no copy of a video can be made. Make it "
                         "writable.") from None


def _start(video: Path, lock: int) -> None:
    """Make a copy in a process of its own, which inherits the lock: with its end the lock is free, however it ends."""
    path = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "hrpro", "proxy", str(video.resolve().parents[1]), video.name, "--lock", str(lock)],
        pass_fds=[lock], start_new_session=True, env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)            # the app stays quick meanwhile
    threading.Thread(target=process.wait, daemon=True).start()      # so that its end leaves no zombie


def _read(state: Path) -> dict[str, object]:
    try:
        return read_json(state)
    except InputError:                                  # not begun, or done this moment
        return {}


def _fault(video: Path, error: BaseException | None = None) -> str:
    if isinstance(error, InputError):
        return str(error)
    what = "was cancelled" if isinstance(error, Cancelled | KeyboardInterrupt) else \
        f"failed ({type(error).__name__}: {error})" if error else \
        "ended without an error message; memory may have run out"
    return f"{video.name}: making a copy that browsers can play {what}. Open the video again to try again."
