"""Jobs: detached commands that outlive the process that started them and that any process can find again.

A job is four files in `<ckpt_root>/jobs/`: `<id>.json`, its record; `<id>.log`, its output; `<id>.cancel`, which exists
once a stop was requested; `<id>.end`, how it ended, written by `hrpro.jobs.wrap`. Each is written once, by one process.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from hrpro.errors import InputError, system_remedy
from hrpro.files import is_file_name, is_name, open_regular, read_json, real_path, write_atomic, write_json
from hrpro.schema import Number, mismatch, short_repr

GRACE = 30
STATE_WORDS = {"running": "running", "stopping": "stopping", "finished": "finished", "cancelled": "cancelled",
               "failed": "failed", "died": "stopped unexpectedly"}
REMOVE = "Delete this file; what the job made is kept."
MARK = "HRPRO_JOB"                                      # environment variable that identifies a job's processes
_SOURCE = Path(__file__).resolve().parents[2]
_TIME = Number(0, 2**37)                                # Unix seconds; much later ones cannot be converted to dates
_RECORD = {"id": str, "label": str, "command": [str], "target": str, "pid": Number(1, 2**31 - 1, whole=True),
           "started": _TIME}
_END = {"exit_code": Number(-64, 255, whole=True), "time": _TIME}


@dataclass(frozen=True)
class Job:
    """One background command.

    Attributes:
        id: Name of its files.
        label: One line for people.
        command: The command and its arguments.
        target: The folder it writes to; no second job may write there at the same time.
        pid: Process ID of its wrapper, which leads the process group.
        started: Unix seconds.
        folder: The folder with its files.
    """

    id: str
    label: str
    command: list[str]
    target: str
    pid: int
    started: float
    folder: Path

    @property
    def arguments(self) -> list[str]:
        """Arguments of `python -m hrpro`; empty if the command is another one."""
        return self.command[3:] if self.command[1:3] == ["-m", "hrpro"] else []

    @property
    def log(self) -> Path:
        return self.folder / f"{self.id}.log"


@dataclass(frozen=True)
class Status:
    """State of a job.

    Attributes:
        state: "failed" means that the command reported why, "died" that it was killed without an error message.
        message: The command's last line if it failed, the cause as far as known if it died.
        exit_code: None while it runs and if unknown; a negative signal number if it was killed.
        ended: Unix seconds; None while it runs and if unknown.
        stopping: Asked to stop but still running.
    """

    state: Literal["running", "finished", "failed", "cancelled", "died"]
    message: str = ""
    exit_code: int | None = None
    ended: float | None = None
    stopping: bool = False

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def word(self) -> str:
        """The state in words, a value of STATE_WORDS."""
        return STATE_WORDS["stopping" if self.running and self.stopping else self.state]


def hrpro_command(*arguments: str) -> list[str]:
    """Command line of `python -m hrpro …` with the current interpreter."""
    return [sys.executable, "-m", "hrpro", *arguments]


def start(ckpt_root: Path, command: Sequence[str], label: str, target: Path, grace: int = GRACE) -> Job:
    """Run a command detached from this process: in its own session, without input, with its output in a log.

    Args:
        ckpt_root: Checkpoint folder; the job's files go to `jobs/` in it.
        command: The command and its arguments.
        label: One line that describes the job.
        target: The folder that the command writes to.
        grace: Seconds from a cancel to the kill.

    Raises:
        InputError: A job on the same `target` is still running, or the job cannot be recorded; nothing runs then.
    """
    folder = real_path(ckpt_root) / "jobs"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    values = {"id": name, "label": label, "command": list(command), "target": str(real_path(target)), "pid": 1,
              "started": time.time()}
    if fault := _fault(values, name):
        raise InputError(f"{label[:80]!r} cannot be started as a job: {fault}. Rename the folder.")
    record = folder / f"{name}.json"
    environment = os.environ | {MARK: name, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(
        filter(None, (str(_SOURCE), os.environ.get("PYTHONPATH"))))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            refuse_second(ckpt_root, target)
            with open(record.with_suffix(".log"), "xb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "hrpro.jobs.wrap", str(record), str(grace), *command],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=environment)
            threading.Thread(target=process.wait, daemon=True).start()  # reaps the process: no zombie
            values |= {"pid": process.pid, "started": time.time()}
            try:
                write_json(record, values)
            except InputError:
                os.killpg(process.pid, signal.SIGKILL)
                raise
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror}, so no job can be started. "
                         f"{system_remedy(error)}") from error
    return Job(**values, folder=folder)


def refuse_second(ckpt_root: Path, target: Path) -> None:
    """Raise InputError if a job other than this process's own is working on a folder."""
    other = running_on(ckpt_root, target)
    if other and other.id != os.environ.get(MARK):
        raise InputError(f"{target}: job {other.id} ({other.label}) is already running on it. Wait until it ends, "
                         f"cancel it (`python -m hrpro jobs --cancel {other.id}`), or give the new run another name "
                         "(task_info).")


def jobs(ckpt_root: Path) -> list[Job]:
    """Return the jobs under a checkpoint folder, newest first, skipping broken records; see `read_jobs`."""
    return read_jobs(ckpt_root)[0]


def read_jobs(ckpt_root: Path) -> tuple[list[Job], dict[str, str]]:
    """Return the jobs under a checkpoint folder, newest first, and broken records as {id: fault and remedy}."""
    found, broken = [], {}
    folder = real_path(ckpt_root) / "jobs"
    names: list[str] = []
    with contextlib.suppress(OSError):                  # no folder yet; `start` reports one that cannot be used
        names = sorted(os.listdir(folder))              # noqa: PTH208
    for name in filter(lambda name: name.endswith(".json"), names):
        try:
            found.append(_read_job(f"{folder}{os.sep}{name}"))
        except InputError as error:
            broken[name.removesuffix(".json")] = str(error)
    return sorted(found, key=lambda job: -job.started), broken


def find_job(ckpt_root: Path, name: str) -> Job:
    """Return a job by its id; InputError if there is none or its record is broken."""
    record = real_path(ckpt_root) / "jobs" / f"{name}.json"
    if not is_file_name(name) or not record.exists():
        raise InputError(f"{Path(ckpt_root) / 'jobs'}: no job {name[:80]!r}. `python -m hrpro jobs` lists them.")
    return _read_job(str(record))


def _read_job(record: str) -> Job:
    try:
        stamp = os.stat(record)                         # noqa: PTH116  hundreds per call: a Path would double the time
    except OSError as error:
        raise InputError(f"{record}: cannot be read ({error.strerror}). {REMOVE}") from None
    return _parse_record(record, (stamp.st_ino, stamp.st_mtime_ns, stamp.st_size))


@functools.lru_cache(maxsize=4096)
def _parse_record(path: str, stamp: tuple[int, int, int]) -> Job:
    """Parse and check a record; `stamp` identifies the file's version, for the cache."""
    record = Path(path)
    values = read_json(record, REMOVE, REMOVE)
    if fault := _fault(values, record.stem):
        raise InputError(f"{record}: {fault}. {REMOVE}")
    return Job(**{key: values[key] for key in _RECORD}, folder=record.parent)


def _fault(values: Any, name: str) -> str:
    """What is wrong with the values of the record `name`.json; empty if nothing is."""
    if fault := mismatch(values, _RECORD):
        return fault
    sound = {"id": (values["id"] == name and is_file_name(name), f"{name!r}, as the file is named"),
             "label": (_is_text(values["label"]) and is_name(values["label"]), "one line of text"),
             "command": (bool(values["command"]) and all(map(_is_text, values["command"])), "words of a command"),
             "target": (_is_text(values["target"]) and Path(values["target"]).is_absolute(), "an absolute path")}
    return next((f"{key} must be {kind}, not {short_repr(values[key])}" for key, (holds, kind) in sound.items()
                 if not holds), "")


def _is_text(text: str) -> bool:
    """Whether a text can be encoded as UTF-8 and passed on a command line."""
    return "\0" not in text and text == text.encode(errors="replace").decode()


def running_on(ckpt_root: Path, target: Path) -> Job | None:
    """Return the job that is working on a folder, if any."""
    resolved = str(real_path(target))
    return next((job for job in jobs(ckpt_root) if job.target == resolved and status(job).running), None)


def status(job: Job) -> Status:
    """Return a job's state; any process can ask, even if the one that started the job is gone."""
    asked = (job.folder / f"{job.id}.cancel").exists()
    end_file = job.folder / f"{job.id}.end"
    if not end_file.exists():
        if _alive(job):
            return Status("running", stopping=asked)
        if not end_file.exists():                       # otherwise it ended between the two checks
            if asked:
                return Status("cancelled")
            if (said := last_line(job)).startswith("error: "):          # on a full disk the wrapper cannot record it
                return Status("failed", said.removeprefix("error: "))
            return Status("died", "Killed without an error message; memory may have run out.")
    try:
        code, ended = _read_end(end_file)
    except InputError as error:
        return Status("died", str(error))
    if code == 0:
        return Status("finished", exit_code=code, ended=ended)
    if asked or code == 130:
        return Status("cancelled", exit_code=code, ended=ended)
    if code < 0:
        return Status("died", f"Killed by {_signal_name(-code)}"
                      + ("; memory may have run out." if code == -signal.SIGKILL else "."), code, ended)
    return Status("failed", last_line(job).removeprefix("error: "), code, ended)


def _read_end(path: Path) -> tuple[int, float]:
    """Exit code (negative: a signal) and time (Unix seconds) of a job's end; InputError if the file is broken."""
    end = read_json(path)
    if fault := mismatch(end, _END):
        raise InputError(f"{path}: does not say how the job ended ({fault}). See the job's log.")
    return end["exit_code"], end["time"]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:                                  # real-time signals have no name
        return f"signal {number}"


def cancel(job: Job) -> None:
    """Ask a job to stop, without waiting; its wrapper kills it when the grace time after the first request is over."""
    write_atomic(job.folder / f"{job.id}.cancel", "")
    with contextlib.suppress(ProcessLookupError):
        if _leads(job):
            os.killpg(job.pid, signal.SIGTERM)
        else:
            for orphan in _members(job):                # no wrapper is left to enforce the grace time
                os.kill(orphan, signal.SIGKILL)


def tail(job: Job, lines: int = 40) -> list[str]:
    """Return the last lines of a job's log, at most 64 KiB; for lines rewritten in place (progress), the last state."""
    if job.log.is_symlink() or not job.log.is_file():   # a real log is never a link
        return []
    with open(job.log, "rb") as file:
        file.seek(max(0, job.log.stat().st_size - (1 << 16)))
        text = file.read().decode("utf-8", "replace")
    shown = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return [line for line in shown if line][-lines:]


def last_line(job: Job) -> str:
    return (tail(job, 1) or [""])[0]


def progress(job: Job) -> tuple[float | None, str]:
    """Read a job's progress from its last line: `done/total`, followed by text.

    Returns:
        The fraction done, None if the line has none, and the text.
    """
    text = last_line(job)
    counts = re.search(r"(\d{1,15}) ?/ ?(\d{1,15})", text)
    if not counts or not int(counts[2]):
        return None, text
    return min(1.0, int(counts[1]) / int(counts[2])), text[counts.end():].strip() or text


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open_regular(folder / ".lock", append=True) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _leads(job: Job) -> bool:
    """Whether the wrapper is running. Its command line names the record, so a reused pid is not mistaken for it."""
    try:
        return str(job.folder / f"{job.id}.json") in psutil.Process(job.pid).cmdline()
    except psutil.Error:                                # gone, or a zombie
        return False


def _alive(job: Job) -> bool:
    """Whether the wrapper is running, or a command that lost its wrapper."""
    return _leads(job) or any(_members(job))


def _members(job: Job) -> Iterator[int]:
    """Yield the running processes of a job's group, excluding others that have reused its number since."""
    try:
        os.killpg(job.pid, 0)                           # only a check: most jobs have ended, and listing all is slow
    except ProcessLookupError:
        return
    except OSError:                                     # another user's process
        pass
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getpgid(pid) == job.pid and psutil.Process(pid).environ().get(MARK) == job.id:
                yield pid
