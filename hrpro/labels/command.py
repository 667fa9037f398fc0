"""`python -m hrpro labels`: the history and authors of a data set's labels, agreement, merging and export."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from hrpro.data.points import Points
from hrpro.data.run import Run
from hrpro.errors import InputError, number_of, preview, printable
from hrpro.files import read_bytes, real_path, write_output
from hrpro.labels.agreement import TOLERANCES, compare, f1_curve
from hrpro.labels.history import (
    ROW_ONLY,
    Row,
    class_changes,
    class_successors,
    concerns,
    derived_id,
    describe,
    keys_ever,
    local_time,
    place,
    row_of,
    standing_points,
)
from hrpro.labels.operations import LabelStore, Operation, label_store, log_file
from hrpro.labels.segments import accepted_segments, segments_to_csv, segments_to_json
from hrpro.labels.suggestions import next_labels
from hrpro.timebase import seconds_to_frame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, does: str, act: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=does, description=does)
        sub.add_argument("root", type=Path, metavar="DATASET_DIR", help="folder of the data set")
        sub.set_defaults(act=act)
        return sub

    log = command("log", "list operations, one per line", _log)
    log.add_argument("--since", type=_count, default=0, metavar="N", help="only the operations after number N")
    blame = command("blame", "who placed each point and who changed it last", _blame)
    merge = command("merge", "compare the points with another copy's and add those that only the copy has", _merge)
    merge.add_argument("other", type=Path, nargs="?", metavar="OTHER",
                       help="another data set's folder, an operations.jsonl, or a point file")
    merge.add_argument("--people", nargs=2, metavar=("ANN", "BOB"),
                       help="compare the points of two people in this log instead")
    merge.add_argument("--tolerance", type=_seconds, default=1.0, metavar="S",
                       help="seconds that two points of one action may be apart (default %(default)s)")
    merge.add_argument("--write", action="store_true", help="bring in the points that only OTHER has")
    export = command("export-csv", "the points as HR-Pro point CSV", _export)
    segments = command("export-segments", "the segments that people accepted: ground truth that evaluate reads, or CSV",
                       _export_segments)
    segments.add_argument("--csv", action="store_true", help="write CSV, in seconds; also where FILE ends in .csv")
    for sub in (export, segments):
        sub.add_argument("--at", type=_count, metavar="N", help="as they were after operation N")
        sub.add_argument("-o", "--out", type=Path, metavar="FILE", help="write there, not to standard output")
    following = command("next", "what a run thinks most worth labelling or checking next, the best first", _next)
    following.add_argument("run", type=Path, metavar="RUN_DIR", help="folder of the run, such as ckpt/demo/HR-Pro")
    following.add_argument("--all", action="store_true",
                           help="also in videos outside the training split, where points are not used for training")
    following.add_argument("-n", type=_count, default=20, metavar="N", help="how many (default %(default)s)")
    for sub in (log, blame):
        sub.add_argument("--video", metavar="V", help="only what concerns this video")
    for sub, does in ((log, "only what this person did"), (export, "only the points that this person set"),
                      (segments, "only the segments that this person accepted")):
        sub.add_argument("--who", metavar="W", help=does)
    for sub in (log, blame, merge, following):
        sub.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Run the subcommand; InputError if the data set, the log or another file is invalid."""
    if isinstance(sys.stdout, io.TextIOWrapper):        # not in a notebook
        sys.stdout.reconfigure(encoding="utf-8")
    args.act(args)
    return 0


def _log(args: argparse.Namespace) -> None:
    store = _open(args.root)
    operations = store.operations()
    _check_names(store, operations, args)
    chosen = [operation for operation in operations[args.since:]
              if args.who in (None, operation["who"]) and (args.video is None or concerns(operation, args.video))]
    if args.json:
        lines = read_bytes(store.log).split(b"\n") if chosen else []
        print("".join(f"{lines[operation['seq'] - 1].decode()}\n" for operation in chosen), end="")
        return
    if not operations:
        _note(f"{store.log}: holds no operation yet.")
    seq_of = {operation["id"]: operation["seq"] for operation in operations}
    _print_columns((f"#{operation['seq']}", local_time(operation["time"]), operation["who"], operation["kind"],
                    operation["video"] or "-", describe(operation, seq_of)) for operation in chosen)


def _blame(args: argparse.Namespace) -> None:
    store = _open(args.root)
    operations = store.operations()
    _check_names(store, operations, args)
    rows = [row for row in standing_points(store, operations) if args.video in (None, row["video"])]
    told = [{"video": row["video"], "time": row["time"], "label": row["label"], "id": row["id"], "set_by": row["who"],
             "set_at": row["set"] and row["set"]["time"], "changed_by": row["last"] and row["last"]["who"],
             "changed_at": row["last"] and row["last"]["time"], "seq": row["last"] and row["last"]["seq"]}
            for row in rows]
    if args.json:
        _print_json(told)
    else:
        _print_columns((row["video"], f"{row['time']:.2f} s", row["label"], row["set_by"],
                        local_time(row["set_at"]) if row["set_at"] else "-",
                        *((row["changed_by"], f"#{row['seq']}") if row["seq"] else ("-", "-"))) for row in told)


def _merge(args: argparse.Namespace) -> None:
    if (args.other is None) == (args.people is None):
        raise InputError("labels merge: what to compare with is not clear. Give either OTHER or --people.")
    if args.people and args.write:
        raise InputError("labels merge: both people's points are in this log already. Leave out --write.")
    store = _open(args.root, write=args.write)
    operations = store.operations()
    rows = standing_points(store, operations)
    if args.people:
        for who in args.people:
            _check_who(store, operations, rows, who)
        names, other = args.people, None
        sides = [[row for row in rows if row["who"] == who] for who in args.people]
    else:
        successors = class_successors(operations)
        names, (other, there) = ("here", "there"), _read_other(args.other, store, [*store.classes, *successors])
        sides = [rows, [row | {"label": successors.get(row["label"], row["label"])} for row in there]]
    places = [args.root, args.root if args.people else args.other]
    sides = [_inside(side, store, source) for side, source in zip(sides, places, strict=True)]
    report = _compare(*sides, store, args.tolerance)
    if args.write:
        report["brought"] = _bring(store, operations, other, report["only_there"])
    if args.json:
        about = [{"name": name, "place": printable(str(source)), "points": len(rows)}
                 for name, source, rows in zip(names, places, sides, strict=True)]
        _print_json({"tolerance": args.tolerance, "here": about[0], "there": about[1], **_told(report)})
    else:
        _print_report(report, names, places, sides, args.tolerance)


def _export(args: argparse.Namespace) -> None:
    if args.out:
        _check_target(args.out, args.root)
    store = _open(args.root, args.at)
    rows = standing_points(store, operations := store.operations())
    if args.who is not None:
        _check_who(store, operations, rows, args.who)
        rows = [row for row in rows if row["who"] == args.who]
    text = store.table(rows).to_csv(store.dataset.fps)
    if gone := sum(row["video"] not in store.dataset.fps for row in rows):
        _note(f"{args.root}: {number_of(gone, 'point')} in videos that the data set no longer has left out.")
    _write(args.out, text)


def _export_segments(args: argparse.Namespace) -> None:
    if args.out:
        _check_target(args.out, args.root)
    store = _open(args.root, args.at)
    if args.who is not None:
        _check_who(store, store.operations(), store.points(), args.who)
    rows = accepted_segments(store, args.who)
    if not rows:
        _note(f"{store.log}: no segment is accepted. Accept some on the Annotate page (Enter, with a model chosen).")
    if args.csv or (args.out and args.out.suffix.lower() == ".csv"):
        text = segments_to_csv(rows)
    else:
        text = orjson.dumps(segments_to_json(store, rows), option=orjson.OPT_INDENT_2).decode() + "\n"
    _write(args.out, text)


def _write(path: Path | None, text: str) -> None:
    """Write to a file, or to standard output if there is no path."""
    if path and path != Path("/dev/stdout"):            # opened by name, it would be truncated if it is a file
        write_output(path, text)
    else:
        print(text, end="")


def _next(args: argparse.Namespace) -> None:
    if not args.run.is_dir():
        raise InputError(f"{args.run}: no such run. Give its folder, as ckpt/<data set>/<name>.")
    moments = next_labels(_open(args.root), Run(args.run), all_videos=args.all)[:args.n]
    if args.json:
        _print_json([asdict(moment) for moment in moments])
    else:
        _print_columns((moment.video, f"{moment.time:.2f} s", moment.label, moment.why) for moment in moments)


def _open(root: Path, until: int | None = None, *, write: bool = False) -> LabelStore:
    """The labels of a data set; without operations, those of its point file. The log is only touched if `write`.

    Raises:
        InputError: the log or the data set is invalid, or there is no operation `until`.
    """
    log = log_file(root)
    if until is not None and not log.exists():
        raise InputError(f"{log}: there is no log of operations yet. Leave out --at.")
    store = LabelStore.replay(log, until) if log.exists() and not write else None
    if store is None or (not store.seq and until is None):
        store = label_store(root)
        store.refresh()
    for notice in store.notices:
        _note(notice)
    return store


def _check_names(store: LabelStore, operations: Sequence[Operation], args: argparse.Namespace) -> None:
    """InputError if the requested video or person does not exist."""
    if args.video is not None and not any(concerns(operation, args.video) for operation in operations) \
            and args.video not in store.dataset.fps:
        raise InputError(f"{args.root}: has no video {args.video!r}. It has {preview(sorted(store.dataset.fps))}.")
    if getattr(args, "who", None) is not None:
        _check_who(store, operations, store.points(), args.who)


def _check_who(store: LabelStore, operations: Sequence[Operation], rows: Sequence[Row], who: str) -> None:
    people = {operation["who"] for operation in operations} | {row["who"] for row in rows}
    if who not in people:
        raise InputError(f"{store.log}: nobody is called {who!r}. " + (f"There is {preview(sorted(people))}." if people
                                                                       else "It is empty."))


def _read_other(path: Path, store: LabelStore, classes: Sequence[str]) -> tuple[list[Operation], list[Row]]:
    """The operations and points of a data set's folder, a log or a point file.

    Raises:
        InputError: it does not exist or cannot be read.
    """
    if path.is_dir():
        other = _open(path)
    elif path.suffix == ".jsonl":
        other = LabelStore.replay(path)
        for notice in other.notices:
            _note(notice)
    else:
        return [], _read_points(path, classes, store.dataset.fps)
    return (operations := other.operations()), standing_points(other, operations)


def _read_points(path: Path, classes: Sequence[str], fps: Mapping[str, float]) -> list[Row]:
    """Rows of a point file; the author is the file's name."""
    points, elsewhere, faults = Points.read(path, classes, fps)
    for fault in faults:
        _note(f"{fault} It is left out.")
    if elsewhere:
        _note(f"{path}: {number_of(len(elsewhere), 'point')} in videos that the data set does not have left "
              f"out, the first in {elsewhere[0][1]!r} (line {elsewhere[0][0]}).")
    names = [points.videos[video] for video in points.video]
    frames = seconds_to_frame(points.seconds, [fps[name] for name in names]).tolist()
    return [row_of({"id": f"{path.name}-{number}", "who": path.name, "video": video, "label": points.classes[label],
                    "time": seconds, "frame": frame})
            for number, (video, label, seconds, frame) in
            enumerate(zip(names, points.label.tolist(), points.seconds.tolist(), frames, strict=True))]


def _inside(rows: Sequence[Row], store: LabelStore, source: Path) -> list[Row]:
    """The rows inside the data set's videos; prints a note about the others."""
    duration = store.dataset.duration
    inside = [row for row in rows if 0 <= row["time"] <= duration.get(row["video"], -1) + 1]
    if len(inside) < len(rows):
        _note(f"{source}: {number_of(len(rows) - len(inside), 'point')} outside the data set's videos left out.")
    return inside


def _compare(here: Sequence[Row], there: Sequence[Row], store: LabelStore, tolerance: float) -> dict[str, Any]:
    """The result of `compare` as rows, and the F1 curve."""
    classes = {label: index for index, label in enumerate(dict.fromkeys(
        [*store.classes, *(row["label"] for row in (*here, *there))]))}
    videos = {video: index for index, video in enumerate(store.dataset.fps)}
    sides = [Points([row["time"] for row in rows], [classes[row["label"]] for row in rows],
                    [videos[row["video"]] for row in rows], tuple(classes), tuple(videos)) for rows in (here, there)]
    found = compare(*sides, tolerance)

    def paired(pairs: np.ndarray) -> list[dict]:
        return [{"video": here[one]["video"], "here": here[one], "there": there[other]} for one, other in pairs.T]

    return {"agreed": paired(found.agreed), "differing": paired(found.differing),
            "only_here": [here[row] for row in found.only_here], "only_there": [there[row] for row in found.only_there],
            "f1": [{"tolerance": each, "f1": None if np.isnan(value) else value}
                   for each, value in zip(TOLERANCES.tolist(), f1_curve(*sides).tolist(), strict=True)]}


def _bring(store: LabelStore, operations: Sequence[Operation], other: Sequence[Operation],
           rows: Sequence[Row]) -> dict[str, Any]:
    """Apply the operations that set these points, under their authors, except for points that this log already had.

    A point that was removed or moved here stays as people left it, and a class that was removed here does not come
    back. Points set by one operation there are set by one operation here, or by one per video.
    """
    known = keys_ever(operations) | {row["key"] for row in standing_points(store, operations)}
    gone = {name for operation in operations for name in class_changes(operation)[0]} - set(store.classes)
    added = {name: operation for operation in other if operation["kind"] == "class"
             for name in class_changes(operation)[1]}
    left: Counter[str] = Counter()
    bundles: dict[tuple, list[Row]] = {}
    for row in rows:
        if row["key"] in known:
            left["The point was here before; later changes to it are kept."] += 1
        elif row["label"] in gone:
            left[f"The class {row['label']!r} was removed here."] += 1
        else:
            bundles.setdefault((row["who"], row["video"], row["set"] and row["set"]["id"]), []).append(row)
    classes, sets = {}, []
    for (who, video, origin), bundle in bundles.items():
        for label in sorted({row["label"] for row in bundle} - set(store.classes) - set(classes)):
            maker = added.get(label, {"who": who, "id": derived_id("class", label)})
            classes[label] = maker["who"], {"id": maker["id"], "video": video, "kind": "class", "before": {},
                                            "after": {label: {}}}
        after = {row["key"]: {name: value for name, value in row.items() if name not in ROW_ONLY} for row in bundle}
        whole = origin is not None and after.keys() == bundle[0]["set"]["after"].keys()
        sets.append((who, {"id": origin if whole else derived_id(origin, *sorted(after)), "video": video, "kind": "add",
                           "before": {}, "after": after}))
    brought: Counter[str] = Counter()
    for who, batch in itertools.groupby([*classes.values(), *sets], key=lambda each: each[0]):
        batch = [operation for _, operation in batch]
        for operation, ack in zip(batch, store.apply(batch, who), strict=True):
            if operation["kind"] == "add":
                (left if ack.refused else brought)[ack.refused or who] += len(operation["after"])
    if brought:
        store.project()
    return {"points": [{"who": who, "count": count} for who, count in brought.items()],
            "left": [{"why": why, "count": count} for why, count in left.items()]}


def _check_target(path: Path, root: Path) -> None:
    """InputError if an export would overwrite the log or its projection."""
    target, root = real_path(path), real_path(root)
    if target == root / "point_labels" / "points.csv" or target.is_relative_to(log_file(root).parent):
        raise InputError(f"{path}: belongs to the data set, which keeps it itself. Choose another file.")


def _print_report(report: dict[str, Any], names: Sequence[str], places: Sequence[Path], sides: Sequence[list[Row]],
                  tolerance: float) -> None:
    _print_columns((name, number_of(len(rows), "point"), str(source))
                   for name, rows, source in zip(names, sides, places, strict=True))
    counts = {"agreed": "agreed", "differing": "of another class", "only_here": f"only {names[0]}",
              "only_there": f"only {names[1]}"}
    print(printable(", ".join(f"{len(report[key])} {words}" for key, words in counts.items())
                 + f" (within {tolerance:g} s)"))
    print("\ntolerance", *(f"{each['tolerance']:5.1f}" for each in report["f1"]), "s")
    print("F1       ", *("    -" if each["f1"] is None else f"{each['f1']:5.3f}" for each in report["f1"]))
    if report["differing"]:
        print("\nof another class")
        _print_columns(("", pair["video"], *(f"{name}: {place(pair[side])}" + f" ({who})" * (who != name)
                                             for name, side in zip(names, ("here", "there"), strict=True)
                                             for who in [pair[side]["who"]])) for pair in report["differing"])
    for key in ("only_here", "only_there"):
        if report[key]:
            print(f"\n{printable(counts[key])}")
            _print_columns(("", row["video"], place(row), row["who"]) for row in report[key])
    if "brought" in report:
        brought = report["brought"]["points"]
        print()
        print(printable(f"{number_of(sum(each['count'] for each in brought), 'point')} brought in"
                     + "".join(f", {each['count']} of {each['who']}" for each in brought) + "."))
        for each in report["brought"]["left"]:
            print(printable(f"{each['count']} left out: {each['why']}"))


def _told(value: Any) -> Any:
    """A report for JSON: rows without their operations."""
    if isinstance(value, dict):
        return {key: _told(part) for key, part in value.items() if key not in ("set", "last", "key")}
    return [_told(part) for part in value] if isinstance(value, list) else value


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _print_columns(rows: Iterable[Sequence[str]]) -> None:
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _note(text: str) -> None:
    print(printable(f"note: {text}"), file=sys.stderr)


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} must be a non-negative whole number")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} must be a non-negative number of seconds")
