"""A run's folder: the paths of its checkpoints, outputs and events, and how to read them."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import glob
import os
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
from numpy.typing import NDArray

from hrpro.config import Config, check
from hrpro.data.run_forms import event_fault, reports_fault
from hrpro.data.segments import Segments
from hrpro.errors import InputError, system_remedy
from hrpro.files import (
    is_file_name,
    is_name,
    leads_out,
    open_archive,
    open_regular,
    read_array,
    read_json,
    real_path,
    remove_leftovers,
)

STAGES = (1, 2)
MOST_ARCHIVE = 4 << 30                                  # bytes; limit of a split's scores
# Names of the files that a stage writes; see `StageFolder`.
WRITTEN = (r"config\.json|classes\.txt|points\.(csv|txt)|(last|best)\.pt|(metrics|proposals|final_result_test)\.json|"
           r"snippet_result_\w+\.json|snippet_scores_\w+\.npz")
LAST_EVENTS = 1 << 16                                   # bytes at the end of events.jsonl that hold the last event
PROBE_TIME = .5                                         # seconds to wait for a lock that `Run.busy` may hold
_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())   # runs locked by this thread


@dataclass(frozen=True)
class StageFolder:
    """`<run>/stage{1,2}`: models, outputs, logs and config.json of one stage."""

    root: Path

    @property
    def config_file(self) -> Path:
        return self.root / "config.json"

    @property
    def events_file(self) -> Path:
        """One JSON line per event; see `hrpro.training.events`."""
        return self.root / "logs" / "events.jsonl"

    @property
    def points_file(self) -> Path:
        """Copy of the point labels that this stage was trained on: points.csv, or points.txt for text files."""
        text = self.root / "points.txt"
        return text if text.exists() else self.root / "points.csv"

    @property
    def classes_file(self) -> Path:
        """The classes that this stage was trained on, in order; missing in older runs."""
        return self.root / "classes.txt"

    @property
    def final_result(self) -> Path:
        """Detections on the test split after soft-NMS, as ActivityNet JSON."""
        return self.root / "outputs" / "final_result_test.json"

    def reports(self) -> dict[str, Any]:
        """Test reports of this stage, {checkpoint: report}; empty before the first test.

        Raises:
            InputError: the file is broken, or a report is incomplete.
        """
        path, remedy = self.metrics_file, f"Test stage {self.root.name[-1]} again."
        reports = read_json(path, syntax_remedy=remedy) if path.exists() else {}
        if fault := reports_fault(reports):
            raise InputError(f"{path}: {fault}. {remedy}")
        return reports

    @property
    def metrics_file(self) -> Path:
        """{"last": {"step", "mAP", "average", …}, "best": {…}}: per checkpoint, what `evaluate --json` prints."""
        return self.root / "outputs" / "metrics.json"

    @property
    def proposals_file(self) -> Path:
        """Stage 1's PP, RP and NP (docs/method.md, section 4)."""
        return self.root / "outputs" / "proposals.json"

    def checkpoint(self, name: str) -> Path:
        """`models/last.pt` or `models/best.pt`."""
        return self.root / "models" / f"{name}.pt"

    def snippet_result(self, split: str) -> Path:
        """Raw proposals of a split before soft-NMS, as ActivityNet JSON."""
        return self.root / "outputs" / f"snippet_result_{split}.json"

    def snippet_scores_file(self, split: str) -> Path:
        """Arrays by video; see `Run.snippet_scores`."""
        return self.root / "outputs" / f"snippet_scores_{split}.npz"


@functools.lru_cache(maxsize=4)
def _archive(path: Path, changed_ns: int) -> zipfile.ZipFile:
    """An open .npz; cached, so that its directory of hundreds of arrays is read once per version of the file."""
    return open_archive(open_regular(path, MOST_ARCHIVE))


CLASSES = "names/classes"                               # key of the class names in the archive of scores


@dataclass(frozen=True)
class Run:
    """One run, `<ckpt_path>/<dataset>/<task_info>`."""

    root: Path

    @classmethod
    def of(cls, config: Config) -> Run:
        return cls(config.run_root)

    @property
    def dataset(self) -> str:
        return self.root.parent.name

    @property
    def name(self) -> str:
        return self.root.name

    def stage(self, number: int) -> StageFolder:
        return StageFolder(self.root / f"stage{number}")

    def config(self, stage: int = 1) -> Config:
        """The settings of a stage; InputError if it has none."""
        path = self.stage(stage).config_file
        return check(read_json(path, "Train this stage first."), str(path))

    @functools.cached_property
    def stages(self) -> tuple[int, ...]:
        """Stages that have started."""
        return tuple(number for number in STAGES if self.stage(number).config_file.exists())

    def events(self, stage: int, offset: int = 0, faults: list[str] | None = None) -> tuple[list[dict[str, Any]], int]:
        """Read new events; a line that is still being written is left for the next call.

        Args:
            stage: 1 or 2.
            offset: byte to read from.
            faults: list that gets a sentence for each line that is not an event, such as one cut off by a crash.

        Returns:
            The valid events, and the offset for the next call.
        """
        path = self.stage(stage).events_file
        if not path.exists():
            return [], 0
        try:
            with open_regular(path) as file:
                file.seek(offset)
                whole = file.read().rpartition(b"\n")[0]
        except OSError as error:
            if faults is not None:
                faults.append(f"{path}: cannot be read ({error.strerror}).")
            return [], offset
        events = []
        for line in whole.split(b"\n") if whole else []:
            try:
                event = orjson.loads(line)
                fault = event_fault(event)
            except orjson.JSONDecodeError as error:
                fault = f"it is not JSON ({error.msg})"
            if not fault:
                events.append(event)
            elif faults is not None:
                faults.append(f"{path}: an event is left out: {fault}.")
        return events, offset + len(whole) + bool(whole)

    def outcome(self, stage: int) -> str:
        """How the stage's last training or test ended: "finish", "cancelled", "error", or "" if it has not ended."""
        path = self.stage(stage).events_file
        size, read = path.stat().st_size if path.exists() else 0, LAST_EVENTS
        events, _ = self.events(stage, max(0, size - read))
        while not events and read < size:               # the last line is longer, as with hundreds of classes
            read *= 4
            events, _ = self.events(stage, max(0, size - read))
        last = events[-1]["event"] if events else ""
        return last if last in ("finish", "cancelled", "error") else ""

    @contextlib.contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Keep other processes from working on this run. The lock is released even if the process is killed.

        The lock is reentrant. A run's folder that is still empty at the end is removed.

        Raises:
            InputError: another process is working on the run, or the folder cannot be written.
        """
        root = real_path(self.root)
        if root in _held.get():
            yield
            return
        with self._locked(root):
            held = _held.set(_held.get() | {root})
            try:
                self._remove_leftovers()
                yield
            finally:
                _held.reset(held)
                with contextlib.suppress(OSError):
                    if [path.name for path in root.iterdir()] == [".lock"]:
                        (root / ".lock").unlink()
                        root.rmdir()

    def _remove_leftovers(self) -> None:
        """Remove partial files of a process that was killed."""
        for stage in map(self.stage, STAGES):
            for folder in (stage.root, stage.root / "models", stage.root / "outputs"):
                if not leads_out(folder, self.root):
                    remove_leftovers(folder, WRITTEN)

    @contextlib.contextmanager
    def _locked(self, root: Path) -> Iterator[None]:
        until = time.monotonic() + PROBE_TIME
        while True:
            try:
                root.mkdir(parents=True, exist_ok=True)
                file = open_regular(root / ".lock", append=True)
            except OSError as error:
                raise InputError(f"{error.filename or root}: cannot be written ({error.strerror}). "
                                 f"{system_remedy(error)}") from None
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:                 # another process, or `busy` for a moment
                    if time.monotonic() > until:
                        raise InputError(self._busy_message) from None
                except OSError as error:
                    raise InputError(f"{root / '.lock'}: cannot be locked ({error.strerror}). Keep runs on another "
                                     "file system.") from None
                else:
                    if _is_same_file(file, root / ".lock"):             # else the empty folder was removed meanwhile
                        yield
                        return
            time.sleep(.02)

    def busy(self) -> bool:
        """Whether a process is working on this run, even one that is suspended or silent.

        Takes a shared lock and releases it at once; `exclusive_lock` waits for that long.
        """
        try:
            with open_regular(self.root / ".lock") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:                                 # nobody has worked on it yet
            return False
        return False

    def refuse_busy(self) -> None:
        """InputError if another process is working on this run; waits for a process that was just killed to exit."""
        until = time.monotonic() + PROBE_TIME
        while self.busy():
            if time.monotonic() > until:
                raise InputError(self._busy_message)
            time.sleep(.02)

    @property
    def _busy_message(self) -> str:
        return (f"{self.root}: another process is working on this run. Wait until it ends, or give the new run another "
                "name (task_info).")

    def snippet_scores(self, split: str, video: str) -> NDArray[np.float32] | None:
        """Fused CAS [P, b] of one video, [T, C + 1], from the test of stage 1; None if there is none.

        Raises:
            InputError: the file is broken or does not hold scores.
        """
        return self._scores(split, video, background=1)

    def score_classes(self, split: str) -> tuple[str, ...]:
        """Class names of the first C columns of `snippet_scores`; empty if there are no scores."""
        names = self._array(split, CLASSES)
        if names is None:
            return ()
        found: list[str] = []
        if names.dtype.kind == "U" and names.ndim == 1:
            with contextlib.suppress(SystemError):      # numpy's for a number that is no character
                found = names.tolist()
        if not found or len(set(found)) < len(found) or not all(map(is_name, found)):
            raise InputError(f"{self.stage(1).snippet_scores_file(split)}: {CLASSES!r} holds {names.dtype} "
                             f"{list(names.shape)}, not class names. Test stage 1 again.")
        return tuple(found)

    def similarity(self, split: str, video: str) -> NDArray[np.float32] | None:
        """Cosine similarity of each snippet's embedding to each reliable prototype, [T, C]; see `snippet_scores`."""
        return self._scores(split, f"similarity/{video}")

    def _scores(self, split: str, key: str, background: int = 0) -> NDArray[np.float32] | None:
        array = self._array(split, key)
        if array is None:
            return None
        columns = len(self.score_classes(split)) + background
        if array.dtype.kind != "f" or array.ndim != 2 or not len(array) or array.shape[1] != columns \
                or not np.isfinite(array).all():
            raise InputError(f"{self.stage(1).snippet_scores_file(split)}: {key!r} holds {array.dtype} "
                             f"{list(array.shape)}, not finite scores [snippets, {columns}]. Test stage 1 "
                             "again.")
        return array

    def _array(self, split: str, key: str) -> NDArray | None:
        path = self.stage(1).snippet_scores_file(split)
        if not path.exists():
            return None
        try:
            return read_array(_archive(path, path.stat().st_mtime_ns), key)
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: cannot be read ({error}). Test stage 1 again.") from None

    def detections(self, stage: int, classes: tuple[str, ...] | None = None) -> Segments:
        """Final detections of a stage; InputError if there are none."""
        path = self.stage(stage).final_result
        if not path.exists():
            raise InputError(f"{path}: no detections yet. Train stage {stage} first.")
        return Segments.from_activitynet(path, classes, body="results")


def _is_same_file(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def find_runs(ckpt_path: Path, dataset: str | None = None) -> list[Run]:
    """Runs in a checkpoint folder, latest first.

    Args:
        ckpt_path: the folder.
        dataset: only the runs of this data set.
    """
    if not Path(ckpt_path).is_dir():
        return []
    pattern = f"{glob.escape(dataset) if dataset else '*'}/*/stage[12]/config.json"
    found = {config.parent.parent for config in Path(ckpt_path).glob(pattern)}
    age = {root: max(map(_changed, (root / "stage1", root / "stage2"))) for root in found if is_file_name(root.name)}
    return [Run(root) for root in sorted(age, key=lambda root: -age[root])]


def newest_result(runs: Sequence[Run]) -> Run | None:
    """The run to show by default: the latest that has finished and has detections.

    If none has finished, this is the latest with detections; if none has detections, the latest.

    Args:
        runs: latest first.
    """
    ready = [run for run in runs if any(run.stage(stage).final_result.exists() for stage in STAGES)]
    finished = (run for run in ready if run.outcome(max(run.stages, default=1)) == "finish")
    return next(finished, next(iter([*ready, *runs]), None))


def _changed(folder: Path) -> float:
    """Modification time of a folder in Unix seconds; 0 if it cannot be read."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.
