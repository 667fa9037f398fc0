"""A stage's events read as they come, kept as curves."""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_left
from typing import Any

from hrpro.data.run import Run
from hrpro.files import open_regular


class StageLog:
    """What a stage has told so far (hrpro.training.events).

    steps, losses: where on the way, and {name: value at each}; tests: test events of the training, in order;
    mode: "train", "test" or "infer", "" before the start; total, unit: how far training goes, in what; now: the last
    step or progress event; notes: sentences; ended: the finish, cancelled or error event that came last; seconds: what
    training took, all its parts together, and the test after it; heard: Unix seconds of the last event.
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
        """Take in what was written since the last time; a training begun afresh starts the curves afresh."""
        path = self.run.stage(self.stage).events_file
        identity = b""
        if path.exists():
            with contextlib.suppress(OSError), open_regular(path) as file:              # `events` says why
                identity = file.read(80)                # the first event's time is in it
        if identity[:len(self._identity)] != self._identity:
            self._clear()
        self._identity = identity
        faults: list[str] = []
        events, self._offset = self.run.events(self.stage, self._offset, faults)
        for event in events:
            self._take(event)
        self.notes += faults[:3]                        # a file of another kind has thousands
        return self

    @property
    def fraction(self) -> float:
        """How much of what it is at now is done, 0 to 1."""
        if self.ended.get("event") == "finish":
            return 1.
        done, total = self.now.get("done", 0), self.now.get("total", 0)
        if self.mode == "train":
            done, total = self.steps[-1] if self.steps else 0, self.total
        return min(1., done / total) if total else 0.

    @property
    def position(self) -> str:
        """Where training stands: "step 120 of 400"."""
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
                keep = bisect_left(self.steps, event["step"])           # a resumed run goes over some steps again
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
