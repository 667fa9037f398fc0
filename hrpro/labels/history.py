"""What the operation log says about the past: who set a point, who changed it last, and each operation in words."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from hrpro.labels.operations import LabelStore
from hrpro.labels.rules import Operation, table_of

# A point as `LabelStore.points` gives it, but with "who" set it; "set" and "last": the operations that set it and that
# changed it last (None where the points come from a file); "key": the same in every copy of the data set.
Row = dict[str, Any]
ROW_ONLY = ("id", "who", "set", "last", "key")          # what the log does not hold of a point


def is_point(value: Mapping[str, Any]) -> bool:
    """Whether a value of `before` or `after` is a point."""
    return table_of(value) == "points"


def local_time(time: str) -> str:
    """A time of the log (ISO) as the clock here showed it."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def concerns(operation: Operation, video: str) -> bool:
    """Whether an operation was made in a video or changes labels of it."""
    return operation["video"] == video or any(
        value.get("video") == video for side in ("before", "after") for value in operation[side].values())


def standing_points(store: LabelStore, operations: Sequence[Operation]) -> list[Row]:
    """The points that stand, by video and time, with who set them.

    An undo or redo that brings a point back gives it to nobody else.
    """
    by: dict[str, tuple[Operation, Operation]] = {}
    for operation in operations:
        for key in {**operation["before"], **operation["after"]}:
            anew = key not in operation["before"] and operation["kind"] not in ("undo", "redo")
            by[key] = operation if anew or key not in by else by[key][0], operation
    rows = [row_of(point, *by.get(point["id"], (None, None))) for point in store.points()]
    return sorted(rows, key=lambda row: (row["video"], row["time"]))


def keys_ever(operations: Iterable[Operation]) -> set[str]:
    """The key of every point that the log ever set."""
    return {row_of({"id": key, **value}, operation)["key"] for operation in operations
            for key, value in operation["after"].items() if is_point(value) and key not in operation["before"]}


def row_of(point: Mapping[str, Any], first: Operation | None = None, last: Operation | None = None) -> Row:
    """The row of a point with its id, and, where no operation set it, "who".

    An imported point's id only numbers the lines of a file, which may be another in each copy; it is known by what its
    line said.
    """
    who, key = first["who"] if first else point["who"], point["id"]
    if first is None or first["kind"] == "import":
        line = (first["after"] if first else {}).get(key, point)
        key = derived_id(who, line["video"], line["label"], line["time"])
    return {**point, "who": who, "set": first, "last": last, "key": key}


def derived_id(*parts: Any) -> str:
    """The same id for the same parts, always."""
    return uuid.uuid5(uuid.NAMESPACE_OID, orjson.dumps(parts).decode()).hex


def class_successors(operations: Iterable[Operation]) -> dict[str, str]:
    """{class that was renamed or merged: the class that its labels belong to now}."""
    successors: dict[str, str] = {}
    for operation in operations:
        going, coming, after = class_changes(operation)
        for name in coming:
            successors.pop(name, None)
        if len(going) == len(after) == 1:
            successors = {name: after[0] if to == going[0] else to for name, to in successors.items()}
            successors[going[0]] = after[0]
    return successors


def class_changes(operation: Operation) -> tuple[list[str], list[str], list[str]]:
    """The classes that go, those that come, and all that stand after an operation on classes."""
    before, after = ([key for key, value in operation[side].items() if table_of(value) == "classes"]
                     for side in ("before", "after"))
    return [name for name in before if name not in after], [name for name in after if name not in before], after


def describe(operation: Operation, seq_of: Mapping[str, int]) -> str:
    """What an operation changed, in words. seq_of: numbers of the operations by id."""
    before, after = operation["before"], operation["after"]
    changes = [(before.get(key), after.get(key)) for key in {**before, **after}]
    labels = [pair for pair in changes if "label" in (pair[0] or pair[1] or {})]
    said = [*_describe_classes(operation),
            *_describe_labels([pair for pair in labels if is_point(pair[0] or pair[1])], "point"),
            *_describe_labels([pair for pair in labels if not is_point(pair[0] or pair[1])], "segment"),
            *("marked done" if new else "marked not done" for old, new in changes if "done" in (old or new or {}))]
    text = ", ".join(said) or "changed nothing"
    return f"{operation['kind']} of #{seq_of[operation['of']]}: {text}" if operation.get("of") else text


def _describe_classes(operation: Operation) -> Iterable[str]:
    going, coming, after = class_changes(operation)
    if len(going) == len(after) == 1:
        yield f"{'renamed' if coming else 'merged'} class {going[0]} {'to' if coming else 'into'} {after[0]}"
        return
    for verb, names in (("added", coming), ("removed", going),
                        ("changed", [name for name in after if name not in coming and not going])):
        if names:
            yield f"{verb} class{'es' * (len(names) > 1)} {', '.join(names)}"


def _describe_labels(changes: Sequence[tuple[dict | None, dict | None]], noun: str) -> Iterable[str]:
    for verb, chosen in (("set", [new for old, new in changes if old is None]),
                         ("removed", [old for old, new in changes if new is None])):
        if len(chosen) == 1:
            yield f"{verb} {place(chosen[0])}"
        elif chosen:
            yield f"{verb} {_many(chosen, noun)}"
    changed = [(old, new) for old, new in changes if old is not None and new is not None]
    if len(changed) == 1:
        (old, new), = changed
        parts = [old["label"] != new["label"] and f"to {new['label']}", _when(old) != _when(new) and f"to {_when(new)}",
                 old.get("doubt") != new.get("doubt") and f"({new.get('doubt', 'no longer in doubt')})"]
        yield " ".join(["changed", place(old), *filter(None, parts)])
    elif changed:
        to = {new["label"] for old, new in changed if old["label"] != new["label"]}
        yield f"changed {_many([old for old, _ in changed], noun)}" + (f" to {to.pop()}" if len(to) == 1 else "")


def _many(labels: Sequence[dict], noun: str) -> str:
    """`3 points of Run in 2 videos`."""
    classes, videos = {label["label"] for label in labels}, {label["video"] for label in labels}
    return f"{len(labels)} {noun}s" + (f" of {classes.pop()}" if len(classes) == 1 else "") \
        + (f" in {len(videos)} videos" if len(videos) > 1 else "")


def place(label: Mapping[str, Any]) -> str:
    """`Run at 12.30 s`, `Run 12.30 to 14.00 s`."""
    return f"{label['label']} {'at ' * is_point(label)}{_when(label)}"


def _when(label: Mapping[str, Any]) -> str:
    return f"{label['time']:.2f} s" if is_point(label) else f"{label['start']:.2f} to {label['end']:.2f} s"
