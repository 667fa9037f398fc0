"""Progress of a run: one JSON line per event, and TensorBoard scalars.

Every event has "time" (unix seconds) and "event", one of
    start     stage, mode, device, total, unit ("step" or "epoch"), seed, dataset, n_train, n_test, left_out,
              resumed_from
    step      step (fractional if the unit is "epoch"), loss {name: value}, rate (videos per second), eta (seconds);
              loss holds the total, and its parts before weighting (`Config.loss_weights`)
    progress  what, done, total
    test      step, mAP {tIoU: value}, average {range: value}, accuracy, best
    note      message
    finish    seconds, last and best: reports in the format of `evaluate --json`, with their step
    cancelled step
    error     message
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any

from hrpro.data.run import StageFolder
from hrpro.errors import Cancelled, InputError, system_remedy
from hrpro.files import open_regular

STEP_INTERVAL = .5                                      # seconds between step events


class EventLog:
    """Context manager that appends events to a stage's log and prints them to the terminal."""

    def __init__(self, folder: StageFolder, *, resume: bool):
        self._path = folder.events_file
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if not resume:
                for old in self._path.parent.glob("events.*"):
                    old.unlink()
            self._file = open_regular(self._path, append=True)          # closed on exit
            self._file.seek(-min(1, self._file.tell()), os.SEEK_END)
            if self._file.read() not in (b"", b"\n"):   # a crash cut off the last line: start a new one
                self._file.write(b"\n")
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror}). {system_remedy(error)}") from None
        from torch.utils.tensorboard import SummaryWriter
        self._scalars = SummaryWriter(str(self._path.parent), filename_suffix=f".{folder.root.name}")
        self._next_step_event = 0.

    def __enter__(self) -> EventLog:
        self._hook, threading.excepthook = threading.excepthook, self._say_once
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if isinstance(error, Exception) and not isinstance(error, Cancelled):
            with contextlib.suppress(InputError):
                self.emit("error", message=str(error))
        with contextlib.suppress(OSError):              # the disk is full, which has been reported
            self._scalars.close()
        self._file.close()
        threading.excepthook = self._hook

    def _say_once(self, arguments: threading.ExceptHookArgs) -> None:
        """Ignore OSError from TensorBoard's thread: the next write to it raises and reports the full disk."""
        if not issubclass(arguments.exc_type, OSError):
            self._hook(arguments)

    def emit(self, event: str, **fields: Any) -> None:
        """Write an event, immediately visible to other processes, and print it to the terminal.

        Raises:
            InputError: the disk is full; no partial line is left.
        """
        line = json.dumps({"time": time.time(), "event": event, **fields}).encode() + b"\n"
        try:
            written = self._file.write(line)
            if written < len(line):
                self._file.write(line[written:])
        except OSError as error:
            self._file.truncate(self._path.read_bytes().rfind(b"\n") + 1)
            raise InputError(f"{self._path}: could not be written ({error.strerror}). Free some space, then go on with "
                             "--resume.") from error
        if line := _line(event, fields):
            print(line, file=sys.stderr, flush=True)

    def step_due(self) -> bool:
        """Whether enough time has passed for the next step event."""
        return time.monotonic() >= self._next_step_event

    def step(self, step: int, position: float, loss: dict[str, float], rate: float, eta: float) -> None:
        """Record the losses of an optimiser step.

        Args:
            step: optimiser step.
            position: the same step in the unit of the start event's total.
            loss: the total, and its parts before weighting.
            rate: videos per second.
            eta: seconds left.
        """
        self._next_step_event = time.monotonic() + STEP_INTERVAL
        self.emit("step", step=position, loss=loss, rate=rate, eta=eta)
        for name, value in loss.items():
            self._scalars.add_scalar(f"loss/{name}", value, step)

    def test(self, step: int, report: dict[str, Any] | None, accuracy: float | None, best: bool) -> None:
        """Record an evaluation on the test split.

        Args:
            step: step or epoch of the tested checkpoint.
            report: report in the format of `evaluate --json`; None without ground truth.
            accuracy: share of videos whose classes were predicted correctly.
            best: whether this is the best score so far.
        """
        report = report or {"mAP": None, "average": None}
        self.emit("test", step=step, mAP=report["mAP"], average=report["average"], accuracy=accuracy, best=best)
        for tiou, value in (report["mAP"] or {}).items():
            self._scalars.add_scalar(f"acc/mAP@{tiou}", value, step)
        for span, value in (report["average"] or {}).items():
            self._scalars.add_scalar(f"acc/AVG({span})", value, step)
        if accuracy is not None:
            self._scalars.add_scalar("acc/video", accuracy, step)
        self._scalars.flush()


def _line(event: str, fields: dict[str, Any]) -> str:
    """Format an event for the terminal; empty if it is not printed."""
    match event:
        case "start":
            return (f"stage {fields['stage']} {fields['mode']}: {fields['dataset']}, {fields['n_train']} train and "
                    f"{fields['n_test']} test videos, on {fields['device']}")
        case "step":
            parts = "  ".join(f"{name} {value:.4f}" for name, value in fields["loss"].items() if name != "total")
            losses = f"total {fields['loss']['total']:.4f}  (unweighted: {parts})"
            return f"{fields['step']:>6.4g}  {losses}  {fields['rate']:.1f} videos/s, {fields['eta']:.0f} s left"
        case "test" if fields["mAP"]:
            averages = "  ".join(f"AVG({span}) {value:.4f}" for span, value in fields["average"].items())
            return f"{fields['step']:>6}  test: {averages}{'  best so far' if fields['best'] else ''}"
        case "test":
            return f"{fields['step']:>6}  test: no ground truth to measure against"
        case "note":
            return fields["message"]
        case "cancelled":
            return f"cancelled at {fields['step']}; --resume continues from there"
        case "finish":
            return f"done in {fields['seconds']:.0f} s"
    return ""
