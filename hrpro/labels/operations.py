"""The operation log of a data set's labels: append-only, replayed into the current labels, shared by writers.

`labels/operations.jsonl` is the source of truth. Each line is one operation:

    {"id", "seq", "time", "who", "video", "kind", "of", "before", "after"}

id: unique, chosen by the client; seq: line number from 1; time: ISO 8601, UTC; who: a person's name, or the file that
was imported; video: the video the person was working in (each person has one undo stack per video); of: the operation
that an undo or redo reverses or repeats. `before` and `after` hold what the operation changes, {key: value}: a key only
in `after` is added, a key only in `before` is removed. Keys and values depend on the kind:

    add, move, relabel, delete, import, flag   point id -> {"video", "label", "time" s, "frame", "doubt"?: a note}
    accept, refuse (move, relabel, delete)     segment id -> {"video", "label", "start", "end", "point", "model",
                                               "refused"?: true}
    class                                      class name -> {"colour"?, "place"?, "key"?}
    rename, merge                              the classes, and every point and segment of the removed one in all videos
    mark                                       video -> {"done": true}
    undo, redo                                 those of the operation named in `of`

A segment stays with its point: an operation that deletes the point, or moves it out of the segment, removes the segment
too, and one that relabels the point relabels it. Segments of older logs that came apart from their points are ignored.
One operation may therefore change many points, and replaying a prefix of the log gives any earlier state. `classes.txt`
and `point_labels/points.csv`, which training reads, are projections of it. `rules` defines which values are valid.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson

from hrpro.config import config_of
from hrpro.data.dataset import DataSet, open_dataset
from hrpro.data.points import Points
from hrpro.errors import InputError
from hrpro.files import inside, locked_folder, open_regular, real_path, write_atomic, write_if_changed
from hrpro.labels.rules import (
    KINDS,
    TABLES,
    Operation,
    Refusal,
    check_class,
    check_point,
    check_segment,
    fits,
    logged_fault,
    request_fault,
    table_of,
)
from hrpro.timebase import seconds_to_frame

SETTLED = 2                                             # seconds after which a cut-off line is no longer being written


@dataclass(frozen=True)
class Acknowledgement:
    """The result of an operation.

    Attributes:
        seq: its number in the log; None if it was refused.
        refused: why it was refused.
        note: what it left undone.
        malformed: whether it has missing or invalid parts and can never be applied.
    """

    id: str
    seq: int | None = None
    refused: str | None = None
    note: str | None = None
    malformed: bool = False


class LabelStore:
    """The labels of one data set according to its operation log; safe to use from many threads and processes.

    A data set without a log has the points of its point file; the first operation imports them into the log. Get stores
    from `label_store`, so that each process replays a log once and then reads only what was appended.
    """

    def __init__(self, root: Path):
        """Read the data set and replay its log; see `refresh` for errors."""
        self.root = Path(root)
        self.log = log_file(self.root)
        self.notices: list[str] = []
        self._mutex = threading.RLock()
        self._dataset_stamp = None
        self._reset()
        self.refresh()

    @classmethod
    def replay(cls, log: Path, until: int | None = None) -> LabelStore:
        """Replay a log without writing anything.

        Only `dataset`, `classes` and `table` need the data set around the log. A cut-off last line is skipped.

        Args:
            log: the log file.
            until: number of operations to replay; None for all.

        Raises:
            InputError: the log cannot be read, has a broken line before its end, or has fewer operations.
        """
        store = cls.__new__(cls)
        store.root, store.log, store.notices = log.parent.parent, log, []
        store._mutex, store._dataset_stamp = threading.RLock(), None
        store._reset()
        try:
            with open_regular(log) as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                cut = store._read_tail(file, until)
        except OSError as error:
            raise InputError(f"{log}: cannot be read ({error.strerror}). Give a readable log.") from None
        if until is not None and store.seq < until:
            raise InputError(f"{log}: has no operation {until}, only {store.seq}. Give a number of 0 to {store.seq}.")
        if cut and until is None:
            store.notices.append(f"{log}: the last line is cut off, probably by a power failure, and is ignored.")
        return store

    @property
    def seq(self) -> int:
        """Number of the last operation read."""
        with self._mutex:
            return len(self._operations)

    def id_of(self, seq: int) -> str:
        """The id of operation number `seq`; empty if there is none."""
        with self._mutex:
            return self._operations[seq - 1]["id"] if 0 < seq <= len(self._operations) else ""

    @property
    def dataset(self) -> DataSet:
        """The data set without its features; read again when gt_full.json or classes.txt changes."""
        with self._mutex:
            stamp = _stamp(self.root / "gt_full.json"), _stamp(self.root / "classes.txt")
            if self._dataset_stamp != stamp:
                self._dataset = open_dataset(config_of(self.root), features=False)
                self._dataset_stamp = stamp
            return self._dataset

    @property
    def classes(self) -> list[str]:
        """Class names in display order: by the place that people gave them, otherwise as in `class_order`."""
        with self._mutex:
            styles = self._tables["classes"]
            places = {name: styles.get(name, {}).get("place", place) for place, name in enumerate(self.class_order)}
            return sorted(places, key=places.get)

    @property
    def class_order(self) -> list[str]:
        """Class names in training order: the data set's, renamed in place, then those added in the app."""
        with self._mutex:
            current, names = self._tables["classes"], []
            for name in self.dataset.classes:
                while name in self._successor:
                    name = self._successor[name]
                if name in current or name not in self._ever:
                    names.append(name)
            return list(dict.fromkeys([*names, *current]))

    @property
    def styles(self) -> dict[str, dict[str, Any]]:
        """Class styles set by people: {name: {"colour"?, "place"?, "key"?}}."""
        with self._mutex:
            return {name: style for name, style in self._tables["classes"].items() if style}

    def refresh(self) -> None:
        """Read the operations that other processes appended.

        Raises:
            InputError: the log cannot be read or has a broken line before its end, or the data set cannot be read.
        """
        with self._mutex:
            try:
                known, cut = _stamp(self.log), False
                if known is None or known[1] == 0:
                    if self._operations or self._shown != self._import_stamp():
                        self._reset()
                        self._show_import()
                elif known != self._seen:
                    with open_regular(log_file(self.root)) as file:
                        fcntl.flock(file, fcntl.LOCK_SH)
                        cut = self._read_tail(file)
            except OSError as error:
                raise InputError(f"{self.log}: cannot be read ({error.strerror}). Make it a readable file.") from None
            if cut:
                with contextlib.suppress(InputError), self._locked():
                    pass
                self._seen = None

    def points(self, video: str | None = None) -> list[dict[str, Any]]:
        """The points of one video or of all, each {"id", "video", "label", "time", "frame", "who", "doubt"?}.

        "who" is the person who placed the point, or the file it was imported from.
        """
        return self._of_video("points", video)

    def authors(self, operations: Iterable[Operation]) -> dict[str, str]:
        """{id: author} of the points and segments that these operations set or change."""
        with self._mutex:
            return {key: self._author[table_of(value), key] for operation in operations
                    for key, value in operation["after"].items() if table_of(value) in ("points", "segments")}

    def table(self, rows: Iterable[dict[str, Any]]) -> Points:
        """Rows of `points` as in the point file: those in videos of the data set, sorted by video and time."""
        fps = self.dataset.fps
        rows = [row for row in rows if row["video"] in fps]
        return _table(rows, self._accepted(), list(dict.fromkeys([*self.class_order, *(row["label"] for row in rows)])),
                      fps)

    def _accepted(self) -> dict[str, tuple[float, float]]:
        """{point id: (start, end) in seconds} of the segments that people accepted for points."""
        return {segment["point"]: (segment["start"], segment["end"])
                for segment in self.segments() if not segment.get("refused")}

    def segments(self, video: str | None = None) -> list[dict[str, Any]]:
        """Accepted and refused segments of one video or of all, each {"id", "video", "label", "start", "end", …}.

        Each point has at most one, of its class and around it; others, which older logs may have, are left out. "who"
        is the person who accepted or refused it last.
        """
        with self._mutex:
            rows, points, chosen = self._of_video("segments", video), self._tables["points"], {}
            for row in sorted(rows, key=lambda row: "refused" not in row):
                if not row["point"] or fits(row, points.get(row["point"])):
                    chosen[row["point"] or (row["id"],)] = row["id"]
            kept = set(chosen.values())
            return [row for row in rows if row["id"] in kept]

    def _of_video(self, table: str, video: str | None) -> list[dict[str, Any]]:
        with self._mutex:
            return [{"id": key, **value, "who": self._author[table, key]}
                    for key, value in self._tables[table].items() if video is None or value["video"] == video]

    def counts(self, column: str = "video") -> Counter[str]:
        """Number of points per video or, with column="label", per class; only those that have any."""
        with self._mutex:
            return Counter(point[column] for point in self._tables["points"].values())

    def done(self) -> set[str]:
        """The videos marked as completely labelled."""
        with self._mutex:
            return {video for video, mark in self._tables["videos"].items() if mark.get("done")}

    def operations(self, since: int = 0, video: str | None = None) -> list[Operation]:
        """The operations after number `since`, in order.

        Args:
            video: leave out changes in other videos, and operations that have no others.
        """
        with self._mutex:
            operations = self._operations[since:]
        if video is None:
            return operations
        seen = (operation | {side: {key: value for key, value in operation[side].items()
                                    if value.get("video", video) == video} for side in ("before", "after")}
                for operation in operations)
        return [operation for operation in seen if operation["before"] or operation["after"]]

    def undo(self, video: str, who: str) -> Acknowledgement:
        """Undo the person's last operation in this video that is not undone yet; later changes of others are kept."""
        return self.apply([{"id": uuid.uuid4().hex, "video": video, "kind": "undo"}], who)[0]

    def redo(self, video: str, who: str) -> Acknowledgement:
        """Redo the person's last undone operation in this video."""
        return self.apply([{"id": uuid.uuid4().hex, "video": video, "kind": "redo"}], who)[0]

    def apply(self, operations: Sequence[Operation], who: str) -> list[Acknowledgement]:
        """Append operations to the log and flush it to disk; operations whose id is in the log are not applied again.

        An operation needs "id", "video", "kind" and, unless it is an undo or redo, "before" and "after". An undo or
        redo may name its target in "of", so that nothing else is undone if the target was refused. An operation is
        refused if `before` differs from the current labels, so that nobody's change is overwritten silently. Malformed
        operations are refused with `malformed` set. The other operations of the batch are still applied.

        Raises:
            InputError: `who` is not a valid name, the point file cannot be imported, or the log could not be written;
                then the log is unchanged and no operation of the batch is acknowledged.
        """
        if not who.strip() or len(who) > 200:
            raise InputError(f"{who[:40]!r} cannot be a person's name. Give one of 1 to 200 characters.")
        with self._mutex:
            try:
                with self._locked() as file:
                    first = len(self._operations)
                    if not first:
                        self._reset()
                        self._show_import()
                        if self._imported:
                            self._check_import(self._imported)
                            self._take(self._imported)
                    acknowledgements = [self._accept(operation, who) for operation in operations]
                    self._append(file, self._operations[first:])
                    return acknowledgements
            except BaseException as error:
                self._reset()
                self.refresh()
                if isinstance(error, OSError):
                    raise InputError(f"{self.log}: could not be written ({error.strerror or error}). Free some space "
                                     "or make the folder writable.") from error
                raise

    def project(self) -> Path | None:
        """Write classes.txt and point_labels/points.csv from the log, by rename.

        Files that are up to date are not written, so that training works on a read-only data set. Points in videos that
        the data set no longer has are left out of the CSV but stay in the log.

        Returns:
            The CSV's path; None without operations.

        Raises:
            InputError: a file could not be written.
        """
        path = inside(self.root, "point_labels", "points.csv")
        self.refresh()
        if not self._operations:
            return None
        with locked_folder(path.parent):                # otherwise an older state could replace a newer one
            with self._mutex:
                self.refresh()
                if self._projected == self.seq and path.exists():
                    return path
                seq, listed, fps = self.seq, self.dataset.classes, self.dataset.fps
                points = self.table({"id": key, **point} for key, point in self._tables["points"].items())
            # Readers must always find the CSV's classes in classes.txt: add new ones first, remove old ones last.
            if set(points.classes) - set(listed):
                self._list_classes([*points.classes, *(name for name in listed if name not in points.classes)])
            write_if_changed(path, points.to_csv(fps))
            if set(listed) - set(points.classes):
                self._list_classes(points.classes)
            with self._mutex:
                self._projected = seq
        return path

    def _list_classes(self, names: Sequence[str]) -> None:
        write_atomic(inside(self.root, "classes.txt"), "".join(f"{name}\n" for name in names))

    def _reset(self) -> None:
        self._seen, self._offset, self._last, self._projected = None, 0, b"", -1
        self._operations: list[Operation] = []
        self._imported: Operation | None = None
        self._shown: tuple | None = None
        self._tables: dict[str, dict[str, dict]] = {name: {} for name in TABLES}
        self._author: dict[tuple[str, str], str] = {}
        self._changed_by: dict[tuple[str, str], str] = {}
        self._seq_of: dict[str, int] = {}
        self._done: dict[tuple, list[str]] = {}
        self._undone: dict[tuple, list[str]] = {}
        self._undo_of: dict[str, Operation] = {}
        self._ever: set[str] = set()
        self._successor: dict[str, str] = {}

    def _import_stamp(self) -> tuple:
        return _stamp(self.root / "gt_full.json"), _stamp(self.dataset.points_file)

    def _show_import(self) -> None:
        """Before there is a log, show the points of the point file as the operation that will import them."""
        self._dataset_stamp = None
        points, self._shown = self.dataset.points, self._import_stamp()
        if not len(points):
            return
        rates = np.array([self.dataset.fps[video] for video in points.videos])[points.video]
        frames = seconds_to_frame(points.seconds, rates)
        name = self.dataset.points_file.name
        columns = (column.tolist() for column in (points.video, points.label, points.seconds, frames))
        after = {f"{name}-{row}": {"video": points.videos[video], "label": points.classes[label], "time": seconds,
                                   "frame": frame}
                 for row, (video, label, seconds, frame) in enumerate(zip(*columns, strict=True))}
        for row in np.flatnonzero(points.accepted).tolist():
            point, (start, end) = after[f"{name}-{row}"], points.segment[row].tolist()
            after[f"{name}-{row}-segment"] = {"video": point["video"], "label": point["label"], "start": start,
                                              "end": end, "point": f"{name}-{row}", "model": name}
        self._imported = {"id": uuid.uuid4().hex, "time": _now(), "who": name, "video": None, "kind": "import",
                          "before": {}, "after": after}
        self._change(self._imported)

    def _check_import(self, operation: Operation) -> None:
        """InputError if no reader of the log would accept this import."""
        if fault := logged_fault(operation, self._seq_of):
            raise InputError(f"{self.dataset.points_file}: cannot be imported into the log of labels: the import "
                             f"{fault}. Correct or remove the file.")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        """Open the log for appending under an exclusive lock, with all other writers' operations read."""
        while True:
            try:
                log_file(self.root).parent.mkdir(exist_ok=True)
                file = open_regular(real_path(self.log), append=True)
            except OSError as error:
                raise InputError(f"{self.log}: cannot be written ({error.strerror}); the labels are kept in the "
                                 "browser. Make the file and its folder writable.") from error
            with file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not self._in_place(file):            # replaced while waiting for the lock
                    continue
                if self._read_tail(file):
                    self._set_aside(file)
                yield file
                return

    def _in_place(self, file: IO[bytes]) -> bool:
        """Whether an open file is still the log; another file may have replaced it."""
        here = _stamp(self.log)
        return here is not None and here[0] == _stamp(file.fileno())[0]

    def _read_tail(self, file: IO[bytes], until: int | None = None) -> bool:
        """Read the lines after the last known one; returns whether the last line is cut off. The caller holds a lock.

        If the last known line is not where it was, this is another log, which is read from the start.
        """
        file.seek(self._offset - len(self._last))
        if not self._last or file.read(len(self._last)) != self._last:
            self._reset()
            file.seek(0)
        self._seen = _stamp(file.fileno())
        lines = file.read().split(b"\n")[:-1]
        operations = [_parse(line) for line in lines]
        while operations and operations[-1] is None:
            operations.pop()
        for line, operation in zip(lines[:until], operations, strict=False):
            fault = "is not an operation" if operation is None else logged_fault(operation, self._seq_of)
            try:
                if not fault:
                    self._take(operation)
            except (KeyError, IndexError):
                fault = f"has nothing to {operation['kind']}"
            if fault:
                number = self.seq + 1
                self._reset()
                raise InputError(f"{self.log}: line {number} {fault}. Put back a copy of the log, or move that line "
                                 "into another file.")
            self._last = line + b"\n"
            self._offset += len(self._last)
        return self._offset < self._seen[1]

    def _set_aside(self, file: IO[bytes]) -> None:
        """Move what follows the last complete operation into a side file and report it, once the log stops changing."""
        if 0 <= time.time() - self._seen[2] / 1e9 < SETTLED:
            raise InputError(f"{self.log}: its last line is incomplete, as when a copy is being restored; the labels "
                             f"are kept in the browser. Try again when it has not changed for {SETTLED} s.")
        file.seek(self._offset)
        side = inside(self.root, "labels", f"{self.log.name}.cut")
        try:
            with open_regular(side, append=True) as target:
                target.write(file.read() + b"\n")
                target.flush()
                os.fsync(target.fileno())
            os.ftruncate(file.fileno(), self._offset)
        except OSError as error:
            raise InputError(f"{self.log}: its last line is cut off and could not be moved to {side.name} "
                             f"({error.strerror}). Free some space or make the folder writable.") from error
        self.notices.append(f"{self.log}: the last line was cut off, as by a power cut, and was moved to {side.name}; "
                            f"the {self.seq} operations before it stand.")

    def _append(self, file: IO[bytes], operations: list[Operation]) -> None:
        """Append operations to the log and sync it to disk, or restore it and raise OSError."""
        if not operations:
            return
        data = b"".join(orjson.dumps(operation) + b"\n" for operation in operations)
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view):]
            os.fsync(file.fileno())
            if self._offset == 0:
                _sync_folder(self.log.parent)
                _sync_folder(self.root)
            if not self._in_place(file):
                raise OSError(errno.ESTALE, "another log was put in its place")
        except OSError:
            os.ftruncate(file.fileno(), self._offset)
            raise
        self._seen = _stamp(file.fileno())
        self._offset, self._last = self._offset + len(data), data[data.rfind(b"\n", 0, -1) + 1:]

    def _accept(self, operation: Operation, who: str) -> Acknowledgement:
        """Check one operation against the current labels and apply or refuse it."""
        if fault := request_fault(operation):
            key = operation.get("id") if isinstance(operation, dict) else None
            return Acknowledgement(key if isinstance(key, str) else "", refused=f"The operation {fault}.",
                                   malformed=True)
        key = operation["id"]
        if key in self._seq_of:
            return Acknowledgement(key, self._seq_of[key])
        note = None
        try:
            if operation["video"] not in self.dataset.fps:
                raise Refusal(f"The data set has no video {operation['video']!r}.")
            stamped = {"id": key, "time": _now(), "who": who, "video": operation["video"], "kind": operation["kind"]}
            if operation["kind"] in ("undo", "redo"):
                if operation.get("of") and operation["of"] not in self._seq_of:
                    raise Refusal(f"The operation to {operation['kind']} was refused; nothing else was changed.")
                about, note = self._reverse(operation["kind"], (operation["video"], who))
                stamped |= about
            else:
                stamped |= {"before": dict(operation["before"]), "after": dict(operation["after"])}
                self._check_change(stamped)
                if operation["kind"] in ("rename", "merge"):
                    self._carry_labels(stamped)
                else:
                    self._carry_segments(stamped)
                    for reason in self._stray_segments(stamped).values():
                        raise Refusal(reason)
        except Refusal as refusal:
            return Acknowledgement(key, refused=str(refusal))
        self._take(stamped)
        return Acknowledgement(key, self.seq, note=note)

    def _reverse(self, kind: str, owner: tuple[str, str]) -> tuple[Operation, str | None]:
        """What an undo or redo changes: the operation's keys that are still as it (or its undo) left them."""
        stack = (self._done if kind == "undo" else self._undone).get(owner)
        if not stack:
            raise Refusal(f"There is nothing to {kind}.")
        target = self._operations[self._seq_of[stack[-1]] - 1]
        now, then = target["after"], target["before"]
        if kind == "redo":                              # also of the segments that the undo changed with their points
            undone = self._undo_of[stack[-1]]
            now, then = then | undone["after"], now | undone["before"]
        everything = {**now, **then}
        keys = {key for key, value in everything.items() if self._tables[table_of(value)].get(key) == now.get(key)}
        change = {"of": stack[-1], "before": {key: value for key, value in now.items() if key in keys},
                  "after": {key: value for key, value in then.items() if key in keys}}
        self._carry_segments(change)
        before, after = change["before"], change["after"]
        for key in self._stray_segments(change):
            before.pop(key, None)
            del after[key]
        going = {key for key in before.keys() - after.keys() if table_of(before[key]) == "classes"}
        if going:
            for key in going & self._labels_used(but=before.keys() | after.keys()):
                del before[key]
        left = len(everything.keys() - before.keys() - after.keys())
        note = f"{left} of its changes stayed: changed by someone since, or a class in use." if left else None
        return change, note

    def _labels_used(self, but: Set[str] = frozenset()) -> set[str]:
        """Classes of all points and segments except those with the keys `but`."""
        return {value["label"] for table in ("points", "segments")
                for key, value in self._tables[table].items() if key not in but}

    def _now(self, table: str, key: str) -> dict | None:
        """The current value of a key; classes from the data set's files exist without a style."""
        implied = table == "classes" and key not in self._ever and key in self.dataset.classes
        return self._tables[table].get(key, {} if implied else None)

    def _check_change(self, operation: Operation) -> None:
        before, after, kind, video = (operation[part] for part in ("before", "after", "kind", "video"))
        for key, value in {**before, **after}.items():
            now, whom = self._now(table_of(value), key), self._changed_by.get((table_of(value), key), "Someone")
            if table_of(value) not in KINDS[kind] or table_of(before.get(key, value)) != table_of(value):
                raise Refusal(f"{kind!r} cannot change {table_of(value)}.")
            if now is not None and key not in before and table_of(value) == "classes":
                raise Refusal(f"There is a class {key!r} already.")
            if now != before.get(key):
                raise Refusal(f"{whom} deleted this meanwhile." if now is None else
                              f"{whom} changed this meanwhile; it is shown as it is now.")
        if "classes" in KINDS[kind]:
            self._check_classes(kind, before, after)
        elif kind == "mark":
            if set(after) | set(before) != {video}:
                raise Refusal("Only the video itself can be marked.")
        else:
            classes, duration = set(self.classes), self.dataset.duration[video]
            for value in after.values():
                (check_point if table_of(value) == "points" else check_segment)(value, video, classes, duration)

    def _check_classes(self, kind: str, before: dict[str, dict], after: dict[str, dict]) -> None:
        for name in after:
            check_class(name)
        going, coming = before.keys() - after.keys(), after.keys() - before.keys()
        if kind == "rename" and not len(before) == len(after) == len(going) == 1:
            raise Refusal("Rename one class to a name that does not exist yet.")
        if kind == "merge" and not (len(before) == 2 and len(after) == len(going) == 1 and not coming):
            raise Refusal("Merge one class into another that exists.")
        truth = self.dataset.ground_truth
        if annotated := going & {truth.classes[label] for label in set(truth.label.tolist())}:
            raise Refusal(f"The annotations in gt_full.json use the class {min(annotated)!r}. Change them there.")
        if kind == "class" and going & self._labels_used():
            raise Refusal("The class has points. Delete, relabel or merge them first.")

    def _carry_labels(self, operation: Operation) -> None:
        """Extend the operation by moving every point and segment of the removed class to the remaining one."""
        gone, = operation["before"].keys() - operation["after"].keys()
        stays, = operation["after"]
        for table in ("points", "segments"):
            mine = {key: value for key, value in self._tables[table].items() if value["label"] == gone}
            if mine.keys() & {gone, stays}:
                raise Refusal("A class cannot have the name of a label's id. Choose another name.")
            operation["before"] = operation["before"] | mine
            operation["after"] = operation["after"] | {key: value | {"label": stays} for key, value in mine.items()}

    def _carry_segments(self, operation: Operation) -> None:
        """Extend the operation so that segments are relabelled with their points, and removed with them or outside."""
        before, after = operation["before"], operation["after"]
        changed = {key: value for key, value in before.items() if table_of(value) == "points"
                   and (key not in after or any(value[part] != after[key][part] for part in ("label", "time")))}
        for key, segment in self._tables["segments"].items() if changed else ():
            old = changed.get(segment["point"])
            if old is None or any(table_of(side[key]) != "segments" for side in (before, after) if key in side):
                continue
            point, value = after.get(segment["point"]), after.get(key, None if key in before else segment)
            if point and value and value["label"] == old["label"]:
                value = value | {"label": point["label"]}
            if value != segment or not fits(value, point):
                before[key] = segment
            if value and fits(value, point):
                if key in before:
                    after[key] = value
            else:
                after.pop(key, None)

    def _stray_segments(self, operation: Operation) -> dict[str, str]:
        """{id: why it is not allowed} of the segments that an operation would set apart from their points.

        Those that older logs set apart already are not included.
        """
        before, after = operation["before"], operation["after"]
        points, segments = self._tables["points"], self._tables["segments"]
        coming = {key: value for key, value in after.items() if table_of(value) == "segments" and value["point"]}
        about = {value["point"] for value in coming.values()}
        points = {key: points[key] for key in (about & points.keys()) - before.keys()} | \
            {key: after[key] for key in about & after.keys() if table_of(after[key]) == "points"}
        taken = {value["point"]: key for key, value in segments.items()
                 if value["point"] in about and key not in before and fits(value, points.get(value["point"]))}
        strays = {}
        for key, value in coming.items():
            now, name = segments.get(key), value["point"]
            if now and not fits(now, self._tables["points"].get(now["point"])):
                continue
            if name not in points:
                whom = self._changed_by.get(("points", name), "Someone")
                strays[key] = f"{whom} deleted the point of this segment meanwhile."
            elif not fits(value, points[name]):
                strays[key] = "A segment must contain its point and have its class. Look where the point is now."
            elif (other := taken.setdefault(name, key)) != key and not now:
                whom = self._author.get(("segments", other), "Someone")
                strays[key] = f"{whom} decided on the segment of this point meanwhile; it is shown as it is now."
        return strays

    def _take(self, operation: Operation) -> None:
        """Number an accepted operation and apply it to the labels."""
        kind, owner = operation["kind"], (operation["video"], operation["who"])
        if kind in ("undo", "redo"):
            source, target = (self._done, self._undone) if kind == "undo" else (self._undone, self._done)
            target.setdefault(owner, []).append(source[owner].pop())
            if kind == "undo":
                self._undo_of[target[owner][-1]] = operation
        elif operation["video"] is not None:
            self._done.setdefault(owner, []).append(operation["id"])
            self._undone.pop(owner, None)
        self._change(operation)
        operation["seq"] = self.seq + 1
        self._operations.append(operation)
        self._seq_of[operation["id"]] = self.seq

    def _change(self, operation: Operation) -> None:
        """Change the tables, and record who placed each label and who changed it last.

        A label restored by an undo or redo keeps its author. A segment belongs to the person who accepted or
        refused it last.
        """
        for key, value in operation["before"].items():
            if key not in operation["after"]:
                self._tables[table_of(value)].pop(key, None)
        for key, value in operation["after"].items():
            table = table_of(value)
            self._tables[table][key] = value
            if (table, key) not in self._author or operation["kind"] in ("accept", "refuse") \
                    or (key not in operation["before"] and operation["kind"] not in ("undo", "redo")):
                self._author[table, key] = operation["who"]
        for side in ("before", "after"):
            for key, value in operation[side].items():
                self._changed_by[table_of(value), key] = operation["who"]
            self._ever.update(key for key, value in operation[side].items() if table_of(value) == "classes")
        going, coming = ([key for key, value in operation[side].items()
                          if key not in operation[other] and table_of(value) == "classes"]
                         for side, other in (("before", "after"), ("after", "before")))
        for name in coming:
            self._successor.pop(name, None)
        if len(going) == len(coming) == 1:
            self._successor[going[0]] = coming[0]


def log_file(root: Path) -> Path:
    """Path of a data set's operation log; InputError if it leads out of the data set."""
    return inside(root, "labels", "operations.jsonl")


@functools.cache
def _store(root: Path) -> LabelStore:
    return LabelStore(root)


def label_store(root: Path) -> LabelStore:
    """The process-wide store of a data set's folder."""
    return _store(real_path(root))


def project_points(root: Path) -> Path | None:
    """Bring point_labels/points.csv and classes.txt up to date with the log.

    Training calls this before it reads points. The app calls it after each acknowledged batch, once the response is
    sent: 10,000 points take 0.2 s, too long to wait for at each key press.

    Returns:
        The CSV's path; None without a log.

    Raises:
        InputError: the log or the data set is invalid, or a file could not be written.
    """
    if not log_file(root).exists():
        return None
    return label_store(root).project()


def _parse(line: bytes) -> Operation | None:
    """The operation on a line of the log; None if the line is broken."""
    try:
        operation = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    sides = [operation.get(side) for side in ("before", "after")] if isinstance(operation, dict) else [None]
    sound = all(isinstance(side, dict) and all(isinstance(value, dict) for value in side.values()) for side in sides)
    return operation if sound else None


def _table(rows: Sequence[dict], accepted: dict[str, tuple[float, float]], classes: Sequence[str],
           fps: dict[str, float]) -> Points:
    """Points sorted by video and time. accepted: see `LabelStore._accepted`."""
    label_index = {name: index for index, name in enumerate(classes)}
    video_index = {name: index for index, name in enumerate(fps)}
    video = np.array([video_index[point["video"]] for point in rows], np.intp)
    seconds = np.array([point["time"] for point in rows], np.float64)
    none = (np.nan, np.nan)
    points = Points(seconds, [label_index[point["label"]] for point in rows], video, tuple(classes), tuple(fps),
                    [accepted.get(point["id"], none) for point in rows])
    return points[np.lexsort((seconds, video))]


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that a new file's name is on disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _stamp(file: Path | int) -> tuple[tuple[int, int], int, int] | None:
    """((device, inode), size, modification time) of a path or an open file; None if there is no file."""
    try:
        status = os.stat(file)                                                    # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
