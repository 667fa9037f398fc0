"""The history in an operation log: who set each point, who changed it last, and a description of each operation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from hrpro.labels.operations import LabelStore
from hrpro.labels.rules import Operation, table_of

# A point as returned by `LabelStore.points`, plus "set" and "last", the operations that set it and changed it last
# (None if the points come from a file), and "key", which is the same in every copy of the data set.
Row = dict[str, Any]
ROW_ONLY = ("id", "who", "set", "last", "key")          # keys that the log does not store in a point


def is_point(value: Mapping[str, Any]) -> bool:
    """Whether a value of `before` or `after` is a point."""
    return table_of(value) == "points"


def local_time(time: str) -> str:
    """A time from the log (ISO 8601) in the local time zone."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def concerns(operation: Operation, video: str) -> bool:
    """Whether an operation was made in a video or changes its labels."""
    return operation["video"] == video or any(
        value.get("video") == video for side in ("before", "after") for value in operation[side].values())


def standing_points(store: LabelStore, operations: Sequence[Operation]) -> list[Row]:
    """The current points with their authors, sorted by video and time.

    A point restored by an undo or redo keeps its author.
    """
    by: dict[str, tuple[Operation, Operation]] = {}
    for operation in operations:
        for key in {**operation["before"], **operation["after"]}:
            anew = key not in operation["before"] and operation["kind"] not in ("undo", "redo")
            by[key] = operation if anew or key not in by else by[key][0], operation
    rows = [row_of(point, *by.get(point["id"], (None, None))) for point in store.points()]
    return sorted(rows, key=lambda row: (row["video"], row["time"]))


def keys_ever(operations: Iterable[Operation]) -> set[str]:
    """The keys of all points that the log has ever set."""
    return {row_of({"id": key, **value}, operation)["key"] for operation in operations
            for key, value in operation["after"].items() if is_point(value) and key not in operation["before"]}


def row_of(point: Mapping[str, Any], first: Operation | None = None, last: Operation | None = None) -> Row:
    """The row of a point.

    The id of an imported point is only a line number in a file that may differ between copies of the data set, so its
    key is derived from the contents of the line.

    Args:
        point: a point with its "id", and with "who" if no operation set it.
        first, last: the operations that set it and changed it last, if any.
    """
    who, key = first["who"] if first else point["who"], point["id"]
    if first is None or first["kind"] == "import":
        line = (first["after"] if first else {}).get(key, point)
        key = derived_id(who, line["video"], line["label"], line["time"])
    return {**point, "who": who, "set": first, "last": last, "key": key}


def derived_id(*parts: Any) -> str:
    """An id that depends only on `parts`."""
    return uuid.uuid5(uuid.NAMESPACE_OID, orjson.dumps(parts).decode()).hex


def class_successors(operations: Iterable[Operation]) -> dict[str, str]:
    """{renamed or merged class: class that its labels belong to now}."""
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
    """The classes that an operation removes, those it adds, and all classes in its `after`."""
    before, after = ([key for key, value in operation[side].items() if table_of(value) == "classes"]
                     for side in ("before", "after"))
    return [name for name in before if name not in after], [name for name in after if name not in before], after


def describe(operation: Operation, seq_of: Mapping[str, int]) -> str:
    """Describe what an operation changed. seq_of: {id: number} of the operations."""
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
