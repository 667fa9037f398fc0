"""Mutated files for every reader: each gives a value or InputError, quickly and in short sentences.

HRPRO_FUZZ is the number of mutations (default 340), HRPRO_FUZZ_SEED the seed (default 0).
"""

import contextlib
import copy
import io
import json
import math
import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
import yaml
from numbered_video import write_video

from app.figures.training import loss_figure, map_figure
from app.run_log import StageLog
from hrpro.cli import main, run_command
from hrpro.config import config_of, load_config
from hrpro.data.dataset import SPLITS, examine, open_dataset
from hrpro.data.ranked import read_ranked
from hrpro.data.run import Run
from hrpro.data.validate import validate
from hrpro.errors import InputError
from hrpro.evaluation.average_precision import average_precision
from hrpro.evaluation.report import evaluate_files
from hrpro.jobs.background import jobs, last_line, progress, status
from hrpro.labels.history import describe, standing_points
from hrpro.labels.operations import LabelStore, log_file
from hrpro.labels.suggestions import next_labels
from hrpro.timebase import Timebase
from hrpro.training.session import load_checkpoint
from hrpro.video.decode import frames_at
from hrpro.video.probe import probe
from hrpro.video.thumbnails import filmstrip

COUNT, SEED = int(os.environ.get("HRPRO_FUZZ", "340")), os.environ.get("HRPRO_FUZZ_SEED", "0")
CPU_SECONDS, WALL_SECONDS = 5, 120                      # other processes may slow this one down
NESTED: Any = "x"
for _ in range(300):
    NESTED = [NESTED]
ODD = [None, True, False, -1, 0, 1, .5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 2**31, 2**63, 10**30, "",
       "x", " ", "\0", "a\nb", "é" * 300, "9" * 400, "../..", [], {}, [[]], {"": {}}, [None] * 3, NESTED]
JOB = "20260101-000000-abcdef"


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


def mutate(value: Any, rng: random.Random, odd: list = ODD) -> Any:
    """A copy with one or two parts removed, replaced (also by another part), wrapped, duplicated or renamed."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 2)):
        every = [*places(value)]
        *way, last = rng.choice(every) or (None,)
        if last is None:
            value = copy.deepcopy(rng.choice(odd))
            continue
        holder = value
        for key in way:
            holder = holder[key]
        match rng.randrange(7):
            case 0:
                del holder[last]
            case 1 | 2:
                holder[last] = copy.deepcopy(rng.choice(odd))
            case 3:
                holder[last] = rng.choice(([holder[last]], {"x": holder[last]}, [holder[last]] * 2))
            case 4 if isinstance(holder, dict):
                holder[rng.choice(["", "x", "é", "0", "a\nb"])] = holder.pop(last)
            case 5 if isinstance(holder, list):
                holder.insert(rng.randrange(len(holder) + 1), copy.deepcopy(holder[last]))
            case _:
                source = value
                for key in rng.choice(every):
                    source = source[key] if isinstance(source, dict | list) and (
                        key in source if isinstance(source, dict) else key < len(source)) else source
                holder[last] = copy.deepcopy(source)
    return value


def damage(raw: bytes, rng: random.Random) -> bytes:
    """A copy with bytes cut off, flipped, inserted, removed, duplicated or replaced."""
    raw = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        at, length = rng.randrange(len(raw) + 1), rng.choice((1, 1, 2, 8, 200))
        match rng.randrange(7):
            case 0:
                del raw[at:]
            case 1 if at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            case 2:
                raw[at:at] = rng.randbytes(length)
            case 3:
                del raw[at:at + length]
            case 4:
                raw[at:at] = raw[at:at + length]
            case 5:
                raw[at:at + length] = rng.choice((b"\0", b"\xff", b"\n", b"-", b'"', b"{", b"[" * 2000, b"9" * 50, b",",
                                                  b": "))
            case _:
                raw[:] = raw[:at] if rng.random() < .9 else b""
    return bytes(raw)


def as_json(raw: bytes, rng: random.Random) -> bytes:
    with contextlib.suppress(ValueError, RecursionError):
        return json.dumps(mutate(json.loads(raw), rng)).encode()
    return raw


def as_lines(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.split(b"\n")[:-1]
    at = rng.randrange(len(lines))
    match rng.randrange(5):
        case 0:
            rng.shuffle(lines)
        case 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        case _:
            lines[at] = as_json(lines[at], rng)
    return b"\n".join(lines) + b"\n" * rng.randrange(2)


def as_yaml(raw: bytes, rng: random.Random) -> bytes:
    with contextlib.suppress(yaml.YAMLError, RecursionError):
        return yaml.safe_dump(mutate(yaml.safe_load(raw), rng)).encode()
    return raw


def as_table(raw: bytes, rng: random.Random) -> bytes:
    rows = mutate([line.split(",") for line in raw.decode().split("\n")], rng)
    rows = rows if isinstance(rows, list) else [rows]
    return "\n".join(",".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows).encode()


def odd_array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    return rng.choice((
        lambda: array[:0], lambda: array[None], lambda: array.ravel(), lambda: array.T, lambda: array * np.nan,
        lambda: array * 1e38 * 1e38, lambda: array.astype(object), lambda: array.astype("U5"),
        lambda: array.astype(">f4"), lambda: array.astype(complex), lambda: array.astype(np.int8),
        lambda: array > 0, lambda: np.array(3.),
        lambda: np.zeros((0, 0)), lambda: array[:1], lambda: array.astype(np.float16), lambda: np.zeros(3, "f4,i4"),
        lambda: array.astype(np.longdouble), lambda: np.repeat(array, 3, axis=0)))()


def as_array(raw: bytes, rng: random.Random) -> bytes:
    out = io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(out, odd_array(np.load(io.BytesIO(raw)), rng))
    return out.getvalue()


def as_archive(raw: bytes, rng: random.Random) -> bytes:
    arrays, out = dict(np.load(io.BytesIO(raw))), io.BytesIO()
    name = rng.choice([*arrays])
    if name == "names/classes":
        arrays[name] = rng.choice((arrays[name][:1], arrays[name][::-1], np.arange(3), np.array(["a", "a"]),
                                   np.array("a"), arrays[name].astype(object), arrays[name].astype("S3")))
    else:
        with np.errstate(all="ignore"):
            arrays[name] = odd_array(arrays[name], rng)
    if rng.random() < .1:
        del arrays[name]
    (np.savez_compressed if rng.random() < .1 else np.savez)(out, **arrays)
    return out.getvalue()


def as_checkpoint(raw: bytes, rng: random.Random) -> bytes:
    state, out = torch.load(io.BytesIO(raw), weights_only=True), io.BytesIO()
    odd = [*ODD[:-1], torch.zeros(0), torch.ones(3), torch.tensor(1), torch.full((2, 2), float("nan")),
           torch.zeros(1).expand(10**9), torch.ones(2, dtype=torch.complex64), torch.ones(2).to_sparse()]
    torch.save(mutate({**state, "model": {**state["model"]}}, rng, odd), out)
    return out.getvalue()


class World:
    """The trained world, in which one file at a time is mutated."""

    def __init__(self, root: Path):
        self.data, self.ckpt = root / "dataset" / "small", root / "ckpt"
        self.run = Run(self.ckpt / "small" / "first")
        self.config = self.data / "config.yaml"

    def settings(self):
        return load_config(self.config, data_path=str(self.data), ckpt_path=str(self.ckpt))

    def read_settings(self) -> None:
        load_config(self.config)
        load_config("thumos", [f"tiou_thresholds={self.config.read_text(errors='surrogateescape')[:500]}"])

    def validate(self) -> None:
        json.dumps(validate(self.data).to_dict()).encode()
        examine(config_of(self.data))

    def labels(self) -> None:
        log, stores = log_file(self.data), []
        stores.append(LabelStore.replay(log))
        stores.append(LabelStore(self.data))
        for store in stores:
            operations = store.operations()
            standing_points(store, operations)
            seq_of = {operation["id"]: operation["seq"] for operation in operations}
            for operation in operations:
                describe(operation, seq_of)
            orjson.dumps([store.points(), store.segments(), store.styles, sorted(store.done()), store.counts(),
                          store.counts("label"), store.classes, operations])
            store.table(store.points())
        projections = self.data / "classes.txt", self.data / "point_labels" / "points.csv"
        kept = {path: path.read_bytes() for path in projections if path.exists()}
        try:
            stores[-1].project()
        finally:
            for path in projections:
                path.write_bytes(kept[path]) if path in kept else path.unlink(missing_ok=True)

    def requests(self) -> None:
        """Apply the operations of the request file, then restore the log."""
        path = self.data / "request.json"
        try:
            operations = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:         # the route reports this
            raise InputError(f"{path}: {error.msg}") from None
        log = log_file(self.data)
        kept = log.read_bytes()
        store = LabelStore(self.data)
        try:
            for ack in store.apply(operations if isinstance(operations, list) else [operations], "Ann"):
                assert (ack.seq is None) != (ack.refused is None)
            self.labels()
        finally:
            log.write_bytes(kept)

    def run_settings(self) -> None:
        self.run.config(1)
        self.main_py("--stage", "1", "--resume")

    def frozen(self) -> None:
        folder = self.run.stage(1)
        examine(self.settings(), points_file=folder.points_file, classes_file=folder.classes_file)

    def events(self) -> None:
        log = StageLog(self.run, 1).read()
        assert 0 <= log.fraction <= 1 and log.position and log.seconds is not None
        loss_figure(log, {}).to_json()
        map_figure(log).to_json()

    def reports(self) -> None:
        for report in self.run.stage(1).reports().values():
            list(map(float, report.get("mAP", ())))

    def scores(self) -> None:
        for split in SPLITS:
            self.run.score_classes(split)
            for video in open_dataset(self.settings(), features=False).splits[split]:
                self.run.snippet_scores(split, video)
                self.run.similarity(split, video)
        next_labels(LabelStore(self.data), self.run)

    def ranked(self) -> None:
        classes = open_dataset(self.settings(), features=False).classes
        read_ranked(self.run.stage(1).proposals_file, classes, dict.fromkeys(SPLITS, Timebase()))
        next_labels(LabelStore(self.data), self.run)

    def detections(self) -> None:
        dataset = open_dataset(self.settings(), features=False)
        found = self.run.detections(2, dataset.classes)
        average_precision(dataset.test_truth(), found, [.3, .5])
        evaluate_files(self.data / "gt_full.json", self.run.stage(2).final_result, "Test", [.5])

    def evaluated(self) -> None:
        evaluate_files(self.data / "gt_full.json", self.run.stage(2).final_result, "Test", [.5])

    def checkpoint(self, stage: int) -> None:
        classes = open_dataset(self.settings(), features=False).classes
        load_checkpoint(self.run.stage(stage).checkpoint("last"), self.settings(), classes, resume=True)
        self.main_py("--stage", str(stage), "--resume")

    def video(self) -> None:
        path = self.data / "videos" / "train_0.mp4"
        info = probe(path)
        for _ in frames_at(info, info.times[[0, len(info.times) // 2, -1]]):
            pass

    def filmstrip(self) -> None:
        strip = filmstrip(self.data / "videos" / "train_0.mp4", self.data / "cache")
        assert len(strip.times) * strip.columns * strip.tile_width * strip.tile_height > 0
        orjson.dumps(strip.times)

    def main_py(self, *words: str) -> None:
        """Run the command in this process, then restore the files that it overwrites."""
        kept = {path: path.read_bytes() for path in self.run.root.rglob("*") if path.is_file()}
        try:
            code = run_command("hrpro.training.command", "main.py", "", [
                "--cfg", str(self.config), "--data_path", str(self.data), "--ckpt_path", str(self.ckpt), *words])
            assert code in (0, 2)
        finally:
            for path, raw in kept.items():
                path.write_bytes(raw)

    def jobs(self) -> None:
        for job in jobs(self.ckpt):
            status(job), last_line(job), progress(job)
        assert main(["jobs", "--ckpt_path", str(self.ckpt)]) in (0, 2)

    def merge(self) -> None:
        assert main(["labels", "merge", str(self.data), str(self.data / "ann.txt")]) in (0, 2)


STAGE1, STAGE2, JOBS = "ckpt/small/first/stage1", "ckpt/small/first/stage2", "ckpt/jobs"
# What is mutated: (path in the world, structural mutation, reader, relative cost).
KINDS: dict[str, tuple[str, Callable[[bytes, random.Random], bytes], Callable[[World], None], int]] = {
    "settings": ("dataset/small/config.yaml", as_yaml, World.read_settings, 1),
    "rate of the features": ("dataset/small/features/timebase.yaml", as_yaml, World.validate, 1),
    "annotations": ("dataset/small/gt_full.json", as_json, World.validate, 1),
    "annotations to evaluate": ("dataset/small/gt_full.json", as_json, World.evaluated, 1),
    "split": ("dataset/small/split_train.txt", as_table, World.validate, 1),
    "classes": ("dataset/small/classes.txt", as_table, World.validate, 1),
    "ambiguous segments": ("dataset/small/Ambiguous_test.txt", as_table, World.validate, 1),
    "points": ("dataset/small/point_labels/point_gaussian.csv", as_table, World.validate, 1),
    "a person's points": ("dataset/small/point_labels/human/ann.txt", as_table, World.validate, 1),
    "points to merge": ("dataset/small/ann.txt", as_table, World.merge, 1),
    "features": ("dataset/small/features/train/train_0.npy", as_array, World.validate, 1),
    "log of labels": ("dataset/small/labels/operations.jsonl", as_lines, World.labels, 1),
    "operations of a browser": ("dataset/small/request.json", as_json, World.requests, 1),
    "settings of a run": (f"{STAGE1}/config.json", as_json, World.run_settings, 4),
    "frozen points": (f"{STAGE1}/points.csv", as_table, World.frozen, 1),
    "frozen classes": (f"{STAGE1}/classes.txt", as_table, World.frozen, 1),
    "events": (f"{STAGE1}/logs/events.jsonl", as_lines, World.events, 1),
    "reports": (f"{STAGE1}/outputs/metrics.json", as_json, World.reports, 1),
    "snippet scores": (f"{STAGE1}/outputs/snippet_scores_train.npz", as_archive, World.scores, 1),
    "proposals": (f"{STAGE1}/outputs/proposals.json", as_json, World.ranked, 2),
    "detections": (f"{STAGE2}/outputs/final_result_test.json", as_json, World.detections, 2),
    "checkpoint of stage 1": (f"{STAGE1}/models/last.pt", as_checkpoint, lambda world: world.checkpoint(1), 4),
    "checkpoint of stage 2": (f"{STAGE2}/models/last.pt", as_checkpoint, lambda world: world.checkpoint(2), 4),
    "video": ("dataset/small/videos/train_0.mp4", damage, World.video, 2),
    "filmstrip": ("dataset/small/cache/filmstrips/train_0.mp4.json", as_json, World.filmstrip, 1),
    "job": (f"{JOBS}/{JOB}.json", as_json, World.jobs, 1),
    "end of a job": (f"{JOBS}/{JOB}.end", as_json, World.jobs, 1),
}
SHARES = sum(1 / cost for *_, cost in KINDS.values())


@pytest.fixture(scope="module")
def world(trained_world, tmp_path_factory) -> Path:
    """A copy of the trained world with a log, a job and every file that a data set may have."""
    root = shutil.copytree(trained_world, tmp_path_factory.mktemp("fuzz") / "world")
    data = root / "dataset" / "small"
    (data / "features" / "timebase.yaml").write_text("fps: 25.0\nstride: 16\nclip: 16\noffset: 0\n")
    (data / "classes.txt").write_text("jump\nrun\nwave\n")
    (data / "Ambiguous_test.txt").write_text("test_0 1.0 2.5\ntest_1 3 4\n")
    (data / "point_labels" / "human").mkdir()
    for path in (data / "point_labels" / "human" / "ann.txt", data / "ann.txt"):
        path.write_text("video,seconds,class\ntrain_0,5.5,run\ntrain_1,6,jump\n")
    point = {"video": "train_0", "label": "run", "time": 2.0, "frame": 60}
    segment = {"video": "train_0", "label": "run", "start": 1.5, "end": 3.0, "point": "p", "model": "first"}
    store = LabelStore(data)
    store.apply([{"id": "1", "video": "train_0", "kind": "add", "before": {}, "after": {"p": point}},
                 {"id": "2", "video": "train_0", "kind": "accept", "before": {}, "after": {"s": segment}},
                 {"id": "3", "video": "train_0", "kind": "class", "before": {}, "after": {"dive": {"key": "5"}}},
                 {"id": "4", "video": "train_0", "kind": "undo"}], "Ann")
    store.apply([{"id": "5", "video": "train_0", "kind": "mark", "before": {}, "after": {"train_0": {"done": True}}},
                 {"id": "6", "video": "train_0", "kind": "flag", "before": {"p": point},
                  "after": {"p": point | {"doubt": "?"}}}], "Bob")
    (data / "request.json").write_bytes(orjson.dumps([
        {"id": "7", "video": "train_0", "kind": "add", "before": {}, "after": {"q": point}},
        {"id": "8", "video": "train_0", "kind": "relabel", "before": {"q": point},
         "after": {"q": point | {"label": "jump"}}},
        {"id": "9", "video": "train_0", "kind": "undo", "of": "8"},
        {"id": "10", "video": "train_0", "kind": "rename", "before": {"wave": {}}, "after": {"greet": {"key": "3"}}},
        {"id": "11", "video": "train_0", "kind": "refuse", "before": {"s": segment},
         "after": {"s": segment | {"refused": True}}}]))
    (data / "videos").mkdir()
    write_video(data / "videos" / "train_0.mp4", range(0, 2000, 40))
    filmstrip(data / "videos" / "train_0.mp4", data / "cache")
    folder = root / JOBS
    folder.mkdir(exist_ok=True)
    record = {"id": JOB, "label": "train small/first", "command": ["python", "-m", "hrpro", "train"],
              "target": str(root / "ckpt" / "small" / "first"), "pid": 999_999, "started": 1.7e9}
    (folder / f"{JOB}.json").write_text(json.dumps(record))
    (folder / f"{JOB}.end").write_text('{"exit_code": 0, "time": 1700000001.0}')
    (folder / f"{JOB}.log").write_text("1/2 done\n")
    return root


class Hang(Exception):
    """A reader took too long."""


def _too_long(*_: object) -> None:
    raise Hang


@pytest.fixture
def limited(capsys) -> Iterator[None]:
    """Let timers raise Hang; restores the signal handlers, which commands may change."""
    handlers = {number: signal.getsignal(number)
                for number in (signal.SIGPROF, signal.SIGALRM, signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGPROF, _too_long)
    signal.signal(signal.SIGALRM, _too_long)
    yield
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
        signal.setitimer(timer, 0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def fault_of(read: Callable[[World], None], world: World) -> str:
    """What is wrong with a reader's result; empty if it is a value or an InputError in short sentences."""
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    try:
        read(world)
    except InputError as error:
        long = next((fault for fault in error.faults if len(fault) > 1500 or not fault.isprintable()), "")
        return f"too long or not printable: {long[:200]!r}" if long else ""
    except (Exception, SystemExit) as error:
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if "/hrpro/" in frame.filename
                 or "/app/" in frame.filename]
        place = f"{Path(where[-1].filename).name}:{where[-1].lineno}" if where else "the test"
        return f"{type(error).__name__} in {place}: {str(error)[:150]}"
    finally:
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
    return ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")
def test_mutated_file_is_read_or_refused(world, limited, kind):
    place, structure, read, cost = KINDS[kind]
    path, seen = world / place, {}
    original = path.read_bytes()
    try:
        assert not fault_of(read, World(world))         # unmutated
        for number in range(max(1, math.ceil(COUNT / SHARES / cost))):
            rng = random.Random(f"{SEED} {kind} {number}")
            path.write_bytes(structure(original, rng) if rng.random() < .7 else damage(original, rng))
            if fault := fault_of(read, World(world)):
                seen.setdefault(fault, number)
    finally:
        path.write_bytes(original)
    assert not seen, "\n".join(f"mutation {number}: {fault}" for fault, number in seen.items())
