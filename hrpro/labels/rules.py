"""Rules for label operations: their kinds, the tables that each kind may change, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import datetime
from typing import Any

from hrpro.files import is_name
from hrpro.schema import short_repr

Operation = dict[str, Any]

# The tables that each kind may change; undo and redo change those of their target.
KINDS = {"add": {"points"}, "move": {"points", "segments"}, "relabel": {"points", "segments"},
         "delete": {"points", "segments"}, "flag": {"points"}, "import": {"points", "segments"},
         "accept": {"segments"}, "refuse": {"segments"},
         "class": {"classes"}, "rename": {"classes", "points", "segments"}, "merge": {"classes", "points", "segments"},
         "mark": {"videos"}}
TABLES = ("points", "segments", "classes", "videos")
_MARKS = {"start": "segments", "end": "segments", "done": "videos", "frame": "points", "time": "points",
          "label": "points"}
_POINT = {"video", "label", "time", "frame"}
_SEGMENT = {"video", "label", "start", "end", "point", "model"}

EDGE = 1e-6                                             # seconds; point files round the times of points and segments


class Refusal(Exception):
    """An operation that the current labels do not allow; the message is for the person who made it."""


def table_of(value: dict) -> str:
    """The table that a value of `before` or `after` belongs to."""
    return next((table for key, table in _MARKS.items() if key in value), "classes")


def request_fault(operation: Any) -> str:
    """What is malformed in an operation from a client; empty if all parts are there and of the right types."""
    if not isinstance(operation, dict):
        return "is not an object"
    if not isinstance(operation.get("id"), str) or not 1 <= len(operation["id"]) <= 100:
        return "has no id of 1 to 100 characters"
    if not isinstance(operation.get("video"), str):
        return "has no video"
    if not _is_kind(operation.get("kind")) or operation["kind"] == "import":
        return f"has the unknown kind {short_repr(operation.get('kind'), 40)}"
    if not isinstance(operation.get("of"), str | None):
        return "is not about an operation"
    if operation["kind"] in ("undo", "redo"):
        return ""
    return _changes_fault(operation) or ("" if operation["before"] or operation["after"] else "changes nothing")


def logged_fault(operation: Any, seen: Container[str]) -> str:
    """What is malformed in an operation from a log; empty if nothing is. seen: ids of the operations before it."""
    if not isinstance(operation, dict):
        return "is not an object"
    key, who, video = operation.get("id"), operation.get("who"), operation.get("video")
    if not isinstance(key, str) or not 1 <= len(key) <= 100:
        return "has no id of 1 to 100 characters"
    most = 300 if operation.get("kind") == "import" else 200             # an import's author is a file
    if not isinstance(who, str) or not 0 < len(who.strip()) <= len(who) <= most:
        return "does not say who made it"
    if not isinstance(video, str | None):
        return "has no video"
    if not _is_kind(operation.get("kind")):
        return f"has the unknown kind {short_repr(operation.get('kind'), 40)}"
    if operation.get("of") is not None and (not isinstance(operation["of"], str) or operation["of"] not in seen):
        return "is about an operation that is not before it"
    try:
        datetime.fromisoformat(operation["time"]).astimezone()
    except (KeyError, OverflowError, TypeError, ValueError):
        return "has no time"
    if fault := _changes_fault(operation):
        return fault
    before, after = operation["before"], operation["after"]
    if any(table_of(before[key]) != table_of(after[key]) for key in before.keys() & after.keys()):
        return "turns a label into something else"
    if operation["kind"] in ("class", "rename", "merge"):
        strange = [key for key, value in after.items() if table_of(value) == "classes" and not is_name(key)]
        if strange:
            return f"has the class {short_repr(strange[0], 40)}, which cannot name one"
    return ""


def _is_kind(kind: Any) -> bool:
    return isinstance(kind, str) and (kind in KINDS or kind in ("undo", "redo"))


def _changes_fault(operation: Operation) -> str:
    """What is malformed in `before` and `after`."""
    for side in ("before", "after"):
        values = operation.get(side)
        if not isinstance(values, dict) or not all(isinstance(value, dict) for value in values.values()):
            return f"has no `{side}` object, or it holds something other than objects"
        for key, value in values.items():
            if not 0 < len(key) <= 500:
                return f"changes {short_repr(key, 40)}, not a key of 1 to 500 characters"
            if fault := _VALUE_FAULTS[table_of(value)](value):
                return f"has a wrong value in `{side}`: {fault}"
    return ""


def _point_fault(point: dict) -> str:
    time, frame, doubt = point.get("time"), point.get("frame"), point.get("doubt", "?")
    if point.keys() - {"doubt"} != _POINT or not _is_number(time) or type(frame) is not int \
            or not 0 <= frame < 1 << 53 or not _has_place(point):
        return f"A point needs {', '.join(sorted(_POINT))}"
    if not isinstance(doubt, str) or not 0 < len(doubt.strip()) <= 500:
        return "A doubtful point has a note of 1 to 500 characters"
    return ""


def _segment_fault(segment: dict) -> str:
    if segment.keys() - {"refused"} != _SEGMENT or not _is_number(segment["start"]) or not _is_number(segment["end"]) \
            or not all(isinstance(segment[key], str) and len(segment[key]) <= 500 for key in ("point", "model")) \
            or segment.get("refused", True) is not True or not _has_place(segment):
        return f"A segment needs {', '.join(sorted(_SEGMENT))}"
    return ""


def _style_fault(style: dict) -> str:
    colour, place, key = style.get("colour", "#000000"), style.get("place", 0), style.get("key", "0")
    if style.keys() - {"colour", "place", "key"} or not isinstance(colour, str) or not isinstance(key, str) \
            or not re.fullmatch("#[0-9a-f]{6}", colour) or not _is_number(place) or not re.fullmatch("[0-9]", key):
        return "A class has a colour (#rrggbb), a place (a number) and a key (a digit)"
    return ""


def _mark_fault(mark: dict) -> str:
    return "" if mark == {"done": True} else "A video is marked with {\"done\": true}"


_VALUE_FAULTS = {"points": _point_fault, "segments": _segment_fault, "classes": _style_fault, "videos": _mark_fault}


def check_point(point: dict, video: str, classes: set[str], duration: float) -> None:
    """Refuse a point with another video or an unknown class, or outside the video (duration in seconds)."""
    _check_place(point, video, classes)
    if not 0 <= point["time"] <= duration + 1:
        raise Refusal(f"{point['time']:g} s lies outside the video ({duration:g} s).")


def check_segment(segment: dict, video: str, classes: set[str], duration: float) -> None:
    """Refuse a segment with another video or an unknown class, or outside the video (duration in seconds).

    In a segment, "point" is the id of the point it was drawn for, "model" is the run that proposed it, and "refused"
    means that it is not an action. `fits` checks whether it is around its point.
    """
    start, end = segment["start"], segment["end"]
    _check_place(segment, video, classes)
    if not -1 <= start < end <= duration + 1:
        raise Refusal(f"{start:g} to {end:g} s is not part of the video ({duration:g} s).")


def fits(segment: dict | None, point: dict | None) -> bool:
    """Whether a segment is of a point's class and around it."""
    return bool(segment and point) and segment["label"] == point["label"] \
        and segment["start"] - EDGE <= point["time"] <= segment["end"] + EDGE


def check_class(name: str) -> None:
    """Refuse an invalid class name."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise Refusal(f"{name[:40]!r} cannot be a class. Use 1 to 200 characters on one line.")


def _check_place(label: dict, video: str, classes: set[str]) -> None:
    if label["video"] != video:
        raise Refusal("A label cannot move to another video.")
    if label["label"] not in classes:
        raise Refusal(f"There is no class {label['label'][:60]!r}. Add it first.")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -1e9 < value < 1e9             # NaN fails too


def _has_place(label: dict) -> bool:
    return isinstance(label["video"], str) and isinstance(label["label"], str)
