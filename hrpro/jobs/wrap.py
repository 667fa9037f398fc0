"""Run a job's command and record how it ended: `python -m hrpro.jobs.wrap RECORD.json GRACE COMMAND …`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from hrpro.errors import InputError
from hrpro.files import write_json


def main(record: Path, grace: int, command: list[str]) -> None:
    """Run the command and write how it ended to a file, since the process that started the job may be gone by then.

    Args:
        record: The job's record; the end goes to the `.end` file beside it.
        grace: Seconds from the first SIGTERM or SIGINT to the kill.
        command: The command to run.
    """
    os.nice(5)                                          # keeps the app responsive while a job uses every core
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def end(code: int) -> None:
        try:
            write_json(record.with_suffix(".end"), {"exit_code": code, "time": time.time()})
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)

    def give_up(*_: object) -> None:
        end(-signal.SIGKILL)
        os.killpg(0, signal.SIGKILL)

    # The whole group receives the signal; the wrapper survives it to wait for the command. The handlers are installed
    # only after the command has started: until then the default action ends wrapper and command together.
    signal.signal(signal.SIGALRM, give_up)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _begin_grace(grace))
    code = process.wait()
    signal.alarm(0)
    _kill_group()
    end(code)


def _begin_grace(seconds: int) -> None:
    """Schedule SIGALRM after the grace time; later requests do not postpone it."""
    if not signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, .01))


def _kill_group() -> None:
    """Kill what the command left running in its process group, such as the workers of a killed command."""
    until, mine = time.monotonic() + 10, os.getpgrp()
    while time.monotonic() < until:                     # repeat: a process may start another in the meantime
        left = 0
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if process.pid != os.getpid() and os.getpgid(process.pid) == mine \
                        and process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    left += 1
        if not left:
            return
        time.sleep(.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
