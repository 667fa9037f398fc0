"""The required structure of a run's text files, which `hrpro.data.run` checks when it reads them."""

from __future__ import annotations

import math
from typing import Any

from hrpro.schema import Number, mismatch

_COUNT, _FRACTION = Number(0), Number(0, 1 + 1e-6)      # sums of floats may slightly exceed 1
_FRACTIONS = {str: _FRACTION}

# {event: its parts} besides "time" and "event"; hrpro/training/events.py describes them.
EVENTS: dict[str, Any] = {
    "start": {"mode": str, "device": str, "total": _COUNT, "unit": str},
    "step": {"step": _COUNT, "loss": {str: Number()}, "rate": _COUNT, "eta": _COUNT},
    "progress": {"what": str, "done": _COUNT, "total": _COUNT},
    "test": {"step": _COUNT, "mAP": (None, _FRACTIONS), "average": (None, _FRACTIONS), "accuracy": (None, _FRACTION),
             "best": bool},
    "note": {"message": str},
    "finish": {"seconds?": _COUNT},
    "cancelled": {"step?": _COUNT},
    "error": {"message": str},
}
_REPORT = {"step": _COUNT, "mAP?": _FRACTIONS, "average?": _FRACTIONS, "per_class?": {str: [_FRACTION]}}
_REPORTS = {"last?": _REPORT, "best?": _REPORT}


def event_fault(event: Any) -> str:
    """How a line of events.jsonl differs from an event; empty if it is valid. Unknown events only need a time."""
    return mismatch(event, {"time": Number(0, 1e11), "event": str}) or mismatch(event, EVENTS.get(event["event"], {}))


def reports_fault(reports: Any) -> str:
    """How the contents of metrics.json differ from {checkpoint: report}; empty if they are valid."""
    if fault := mismatch(reports, _REPORTS):
        return fault
    for name in reports.keys() & {"last", "best"}:
        report = reports[name]
        measured, classes = report.get("mAP", {}), report.get("per_class", {})
        if bool(measured) != bool(report.get("average")):
            return f"{name} must have both mAP and average, or neither"
        if not all(map(_is_threshold, measured)):
            return f"{name}.mAP must have tIoU thresholds as keys"
        if classes and not measured:
            return f"{name}.per_class must come with mAP"
        if any(len(values) != len(measured) for values in classes.values()):
            return f"{name}.per_class must have a value for each threshold of mAP"
    return ""


def _is_threshold(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
