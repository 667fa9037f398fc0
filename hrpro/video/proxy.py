"""Copies of videos that browsers cannot play: their paths, the processes that make them, and their state.

A copy is `<cache>/proxies/<file name>.<version>.mp4`. The `.json` file beside it holds the progress while the copy is
being made, or the reason if that failed. The process that makes a copy holds the folder's lock, so copies are made one
at a time.
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

from hrpro.errors import Cancelled, InputError, system_remedy
from hrpro.files import inside, open_regular, read_json, real_path, remove_leftovers, replacing_by_name, write_json
from hrpro.schema import Number, mismatch
from hrpro.video.probe import probe, version_of

_VERSION = "[0-9a-f]+--?[0-9a-f]+"                      # as `version_of` writes it
_STATE = {"done?": Number(0, 1), "left?": (None, Number(0)), "fault?": str}
MOST_FAULT = 2000                                       # characters; it is sent in a header
_SOURCE = Path(__file__).resolve().parents[2]


def proxy_path(video: Path, cache_dir: Path) -> Path:
    """Return the path of the copy of a video file's current version, whether or not it exists.

    Raises:
        InputError: The video does not exist, or the path leads out of the data set that contains the cache.
    """
    cache = Path(cache_dir)
    return inside(cache.parent, cache.name, "proxies", f"{Path(video).name}.{version_of(video)}.mp4")


def make_proxy(source: Path, cache_dir: Path, progress: Callable[[float], object] = lambda fraction: None,
               lock: int | None = None, note: Callable[[str], object] = lambda sentence: None) -> Path:
    """Make a video's copy with `hrpro.video.transcode` unless it exists.

    Args:
        source: The video.
        cache_dir: The data set's cache.
        progress: Called with the fraction done.
        lock: File descriptor of the folder's lock, if the caller already holds it. Otherwise wait until no other
            process is making a copy in this cache.
        note: Called with a sentence about undecodable frames, if there are any.

    Returns:
        The path of the copy.

    Raises:
        InputError: See `probe`; or no frame can be decoded, the copy cannot be written, or the video was replaced in
            the meantime. No partial copy is left behind.
    """
    from hrpro.video.decode import missing_note
    from hrpro.video.transcode import transcode  # loads the encoders only in the process that uses them

    folder = proxy_path(source, cache_dir).parent
    with _lock_of(folder) if lock is None else os.fdopen(lock, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        target = proxy_path(source, cache_dir)          # again: the video may have changed during the wait
        state = target.with_suffix(".json")
        if target.exists():
            return target
        remove_leftovers(folder, rf".+\.{_VERSION}\.(mp4|json)")
        try:
            with replacing_by_name(target) as temporary:
                info = probe(source)
                missing = transcode(info, temporary, _Told(state, progress))
                if proxy_path(source, cache_dir) != target:
                    raise InputError(f"{source}: was replaced while it was copied. Copy it again.")
        except BaseException as error:
            with contextlib.suppress(InputError):       # on a full disk, only the error itself is reported
                write_json(state, {"fault": _fault(source, error)})
            raise
        if missing:
            note(missing_note(info, missing))
        made = re.compile(rf"{re.escape(source.name)}\.{_VERSION}\.(mp4|json)")
        for path in target.parent.iterdir():
            if path != target and made.fullmatch(path.name):
                path.unlink()
    return target


class _Told:
    """Reports and records the progress of a copy, twice a second."""

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
    """Return the state of a video's copy; start making it in the background if no process is making one.

    Args:
        video: The video.
        cache_dir: The data set's cache.
        again: Retry if an earlier attempt failed.

    Returns:
        "ready"; "done", the fraction, None while another video is being copied; "left", in seconds or None; "fault",
        why there will be no copy, or "".

    Raises:
        InputError: The video does not exist.
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
        return open_regular(inside(folder.parent.parent, folder.parent.name, folder.name, ".lock"), append=True)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be written ({error.strerror}), so no copy of a video can "
                         f"be made. {system_remedy(error)}") from None


def _start(video: Path, lock: int) -> None:
    """Make a copy in a separate process, which inherits the lock: the lock is released however the process ends."""
    path = os.pathsep.join(filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "hrpro", "proxy", str(real_path(video).parents[1]), video.name, "--lock", str(lock)],
        pass_fds=[lock], start_new_session=True, env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, 10)            # keeps the app responsive
    threading.Thread(target=process.wait, daemon=True).start()      # reaps the process: no zombie


def _read(state: Path) -> dict[str, object]:
    try:
        told = read_json(state)
    except InputError:                                  # not started yet, or just finished
        return {}
    if mismatch(told, _STATE):
        return {}
    return {key: value[:MOST_FAULT] if key == "fault" else value for key, value in told.items() if f"{key}?" in _STATE}


def _fault(video: Path, error: BaseException | None = None) -> str:
    if isinstance(error, InputError):
        return str(error)
    what = "was cancelled" if isinstance(error, Cancelled | KeyboardInterrupt) else \
        f"failed ({type(error).__name__}: {error})" if error else \
        "ended without an error message; memory may have run out"
    return f"{video.name}: making a copy that browsers can play {what}. Open the video again to try again."
