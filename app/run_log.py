"""Incremental reading of a stage's events into curves."""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_left
from typing import Any

from hrpro.data.run import Run
from hrpro.files import open_regular


class StageLog:
    """What a stage's events have reported so far (hrpro.training.events).

    Attributes:
        steps, losses: the steps, and {name: value at each step}.
        tests: test events of the training, in order.
        mode: "train", "test" or "infer"; "" before the start.
        total, unit: length of the training, and its unit.
        now: the last step or progress event.
        notes: sentences about the data.
        ended: the last finish, cancelled or error event.
        seconds: duration of all parts of the training and of the test after it.
        heard: Unix seconds of the last event.
    """

    def __init__(self, run: Run, stage: int):
        self.run, self.stage = run, stage
        self._clear()

    def _clear(self) -> None:
        self._identity, self._offset = b"", 0
        self.steps: list[float] = []
        self.losses: dict[str, list[float]] = {}
        self.tests: list[dict[str, Any]] = []
        self.mode, self.device, self.total, self.unit, self.heard = "", "", 0, "step", 0.
        self.seconds, self._trained, self._began = 0., 0., 0.
        self.now: dict[str, Any] = {}
        self.ended: dict[str, Any] = {}
        self.notes: list[str] = []

    def read(self) -> StageLog:
        """Read what was written since the last call; a new training replaces the curves."""
        path = self.run.stage(self.stage).events_file
        identity = b""
        if path.exists():
            with contextlib.suppress(OSError), open_regular(path) as file:              # `events` reports it
                identity = file.read(80)                # includes the first event's time
        if identity[:len(self._identity)] != self._identity:
            self._clear()
        self._identity = identity
        faults: list[str] = []
        events, self._offset = self.run.events(self.stage, self._offset, faults)
        for event in events:
            self._take(event)
        self.notes += faults[:3]                        # the wrong kind of file has thousands
        return self

    @property
    def fraction(self) -> float:
        """Progress of the current phase, 0 to 1."""
        if self.ended.get("event") == "finish":
            return 1.
        done, total = self.now.get("done", 0), self.now.get("total", 0)
        if self.mode == "train":
            done, total = self.steps[-1] if self.steps else 0, self.total
        return min(1., done / total) if total else 0.

    @property
    def position(self) -> str:
        """Position of the training, such as "step 120 of 400"."""
        return f"{self.unit} {self.steps[-1] if self.steps else 0:.4g} of {self.total}"

    def _take(self, event: dict[str, Any]) -> None:
        before, self.heard = self.heard, event["time"]
        match event["event"]:
            case "start":
                if self.mode == "train":
                    self._trained += before - self._began
                self._began = self.heard
                self.mode, self.device = event["mode"], event["device"]
                self.now, self.ended, self.notes = {}, {}, []
                if self.mode == "train":
                    self.total, self.unit = event["total"], event["unit"]
            case "step":
                self.now = event
                keep = bisect_left(self.steps, event["step"])           # a resumed run repeats some steps
                del self.steps[keep:]
                self.steps.append(event["step"])
                for name in {**self.losses, **event["loss"]}:
                    values = self.losses.setdefault(name, [])
                    values[keep:] = [math.nan] * (keep - len(values)) + [event["loss"].get(name, math.nan)]
            case "test" if self.mode == "train":
                self.tests = [test for test in self.tests if test["step"] < event["step"]] + [event]
            case "progress":
                self.now = event
            case "note":
                self.notes.append(event["message"])
            case "finish" | "cancelled" | "error":
                self.ended = event
        self.seconds = self._trained + self.heard - self._began
