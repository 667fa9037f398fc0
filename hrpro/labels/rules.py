"""What an operation on labels may hold: the kinds of operations, the tables that they change, and what is refused."""

from __future__ import annotations

import math
import re
from typing import Any

from hrpro.errors import InputError

Operation = dict[str, Any]

# The tables that each kind may change; undo and redo change those of the operation that they are about.
KINDS = {"add": {"points"}, "move": {"points", "segments"}, "relabel": {"points", "segments"},
         "delete": {"points", "segments"}, "flag": {"points"}, "import": {"points"},
         "accept": {"segments"}, "refuse": {"segments"},
         "class": {"classes"}, "rename": {"classes", "points", "segments"}, "merge": {"classes", "points", "segments"},
         "mark": {"videos"}}
TABLES = ("points", "segments", "classes", "videos")
_MARKS = {"start": "segments", "end": "segments", "done": "videos", "frame": "points", "time": "points",
          "label": "points"}
_POINT = {"video", "label", "time", "frame"}
_SEGMENT = {"video", "label", "start", "end", "point", "model"}


class Refusal(Exception):
    """An operation that the labels of this moment do not allow; its text is for the person who made it."""


def table_of(value: dict) -> str:
    """Which table a value of `before` or `after` is of."""
    return next((table for key, table in _MARKS.items() if key in value), "classes")


def check_shape(operation: Any, position: int) -> None:
    """InputError unless an operation from outside has the parts it needs, of the right types."""
    fault = None
    if not isinstance(operation, dict):
        fault = "is no object"
    elif not isinstance(operation.get("id"), str) or not 1 <= len(operation["id"]) <= 100:
        fault = "has no id of 1 to 100 characters"
    elif not isinstance(operation.get("video"), str):
        fault = "names no video"
    elif operation.get("kind") not in (*KINDS, "undo", "redo") or operation["kind"] == "import":
        fault = f"has the unknown kind {str(operation.get('kind'))[:40]!r}"
    elif not isinstance(operation.get("of", ""), str):
        fault = "is about no operation"
    elif operation["kind"] not in ("undo", "redo"):
        for side in ("before", "after"):
            values = operation.get(side)
            if not isinstance(values, dict) or not all(isinstance(value, dict) for value in values.values()):
                fault = f"has no object of objects `{side}`"
        if not fault and not operation["before"] and not operation["after"]:
            fault = "changes nothing"
    if fault:
        raise InputError(f"operation {position} {fault}. Send id, video, kind, before and after.")


def check_point(point: dict, video: str, classes: set[str], duration: float) -> None:
    """Refuse a point without shape, of another video or class, or outside the video."""
    time, frame, doubt = point.get("time"), point.get("frame"), point.get("doubt", "?")
    if set(point) - {"doubt"} != _POINT or not _is_number(time) or not isinstance(frame, int) \
            or isinstance(frame, bool) or frame < 0:
        raise Refusal(f"A point needs {', '.join(sorted(_POINT))}.")
    if not isinstance(doubt, str) or not 0 < len(doubt.strip()) <= 500:
        raise Refusal("A doubtful point has a note of 1 to 500 characters.")
    _check_place(point, video, classes)
    if not 0 <= time <= duration + 1:
        raise Refusal(f"{time:g} s lies outside the video ({duration:g} s).")


def check_segment(segment: dict, video: str, classes: set[str], duration: float) -> None:
    """Refuse a segment without shape, of another video or class, or outside the video.

    point: the id of the point that it was drawn for; model: the run that proposed it; refused: it is not one.
    """
    start, end = segment.get("start"), segment.get("end")
    if set(segment) - {"refused"} != _SEGMENT or not _is_number(start) or not _is_number(end) \
            or not all(isinstance(segment[key], str) and len(segment[key]) <= 200 for key in ("point", "model")) \
            or segment.get("refused", True) is not True:
        raise Refusal(f"A segment needs {', '.join(sorted(_SEGMENT))}.")
    _check_place(segment, video, classes)
    if not -1 <= start < end <= duration + 1:
        raise Refusal(f"{start:g} to {end:g} s is no part of the video ({duration:g} s).")


def check_class(name: str, style: dict) -> None:
    """Refuse what cannot name a class, and a style of other than colour, place among the classes, and digit key."""
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise Refusal(f"{name[:40]!r} cannot be a class. Use 1 to 200 characters on one line.")
    colour, place, key = style.get("colour", "#000000"), style.get("place", 0), style.get("key", "0")
    if style.keys() - {"colour", "place", "key"} or not isinstance(colour, str) or not isinstance(key, str) \
            or not re.fullmatch("#[0-9a-f]{6}", colour) or not _is_number(place) or not re.fullmatch("[0-9]", key):
        raise Refusal("A class has a colour (#rrggbb), a place (a number) and a key (a digit).")


def _check_place(label: dict, video: str, classes: set[str]) -> None:
    if label["video"] != video:
        raise Refusal("A label cannot move to another video.")
    if label["label"] not in classes:
        raise Refusal(f"There is no class {str(label['label'])[:60]!r}. Add it first.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
