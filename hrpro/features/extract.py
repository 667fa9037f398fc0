"""The built-in extractor: features computed from pixels alone, without downloaded weights."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

from hrpro.data.dataset import SPLITS, read_names, split_file
from hrpro.data.features import read_header
from hrpro.data.folder import video_files
from hrpro.errors import InputError, raise_if
from hrpro.features.snippets import CLIP, DIM, HEIGHT, STRETCH, WIDTH, describe
from hrpro.files import inside, is_link_outside, link_or_copy, read_text, write_atomic
from hrpro.timebase import Timebase
from hrpro.video.decode import iter_frames, missing_note
from hrpro.video.probe import probe
from hrpro.workers import CONTEXT, worker_count, worker_pool

FEATURE_DIM = DIM
EXTRACTOR = "hrpro statistics 1"
TIMEBASE = Timebase(fps=25.0, stride=CLIP, clip=CLIP, offset=0)


def extract(video_path: Path, progress: Callable[[float], object] | None = None,
            note: Callable[[str], object] = lambda sentence: None) -> np.ndarray:
    """Compute one video's features at TIMEBASE; memory use does not grow with its length.

    Args:
        video_path: The video. If it is shorter than one snippet, its last frame is repeated to fill one.
        progress: Called with the fraction done.
        note: Called with a sentence about undecodable frames, if there are any.

    Returns:
        float32 [T, FEATURE_DIM].

    Raises:
        InputError: The video cannot be read (see `hrpro.video.probe.probe`), or no frame can be decoded.
    """
    info = probe(video_path)
    count, missing = TIMEBASE.count(info.duration), []
    frames = iter_frames(info, TIMEBASE.fps, (WIDTH, HEIGHT), missing)
    bounds = np.linspace(0, count, math.ceil(count / STRETCH) + 1).astype(int)
    parts = []
    for begin, end in itertools.pairwise(bounds):
        stretch = np.empty(((end - begin) * CLIP, HEIGHT, WIDTH, 3), np.uint8)
        filled = 0
        for filled, frame in enumerate(itertools.islice(frames, len(stretch)), 1):
            stretch[filled - 1] = frame
        stretch[filled:] = stretch[filled - 1]
        parts.append(describe(stretch))
        if progress:
            progress(end / count)
    for _ in frames:                                    # less than a snippet; read to complete `missing`
        pass
    if missing:
        note(missing_note(info, missing))
    return np.concatenate(parts)


@dataclass
class Extraction:
    """Result of extracting a data set's videos.

    Attributes:
        made: Names of the videos extracted.
        kept: Names of the videos that already had features.
        failed: {name: error message}.
        notes: {name: note} for extracted videos with undecodable frames.
    """

    made: list[str]
    kept: list[str]
    failed: dict[str, str]
    notes: dict[str, str]


def extract_dataset(root: Path, progress: Callable[[float, str], object] = lambda fraction, text: None,
                    workers: int | None = None) -> Extraction:
    """Write features/{train,test}/<video>.npy for all videos of the splits, and features/timebase.yaml.

    Existing features are kept, so an interrupted run can be continued. A video that fails does not stop the others.

    Args:
        root: The data set's folder.
        progress: Called with the fraction done and a sentence with rate and time left.
        workers: Number of processes; one per processor if None.

    Raises:
        InputError: The splits or videos/ cannot be read, features/ holds another extractor's features, or the number of
            workers is out of range.
    """
    root, workers = Path(root), worker_count(workers)
    folders, files = _plan(root)
    done = Extraction([], [], {}, {})
    for video, targets in folders.items():
        there = [target for target in targets if _is_sound(target)]
        if there:
            _spread(there[0], targets)
            done.kept.append(video)
        elif fault := _file_fault(root, video, files.get(video, [])):
            done.failed[video] = fault
    todo = {video: files[video][0] for video in folders if video not in done.failed and video not in done.kept}
    if todo:
        write_atomic(inside(root, "features", "timebase.yaml"),
                     yaml.safe_dump(asdict(TIMEBASE) | {"extractor": EXTRACTOR}, sort_keys=False))
        for video, fault, note in _extract_all({video: (path, folders[video]) for video, path in todo.items()},
                                               progress, workers):
            if fault:
                done.failed[video] = fault
            else:
                done.made.append(video)
            if note:
                done.notes[video] = note
    progress(1., f"features of {len(done.made) + len(done.kept)} of {len(folders)} videos")
    return done


def _plan(root: Path) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Return {video of a split: its feature files} and {name: files under videos/ with this name}."""
    if not inside(root, "videos").is_dir():
        raise InputError(f"{root / 'videos'}: no such folder. Put the videos there, named as in the splits.")
    folders: dict[str, list[Path]] = {}
    for split in SPLITS:
        for video in dict.fromkeys(read_names(split_file(root, split))):
            folders.setdefault(video, []).append(inside(root, "features", split) / f"{video}.npy")
    raise_if([f"{root}: the splits name a video {video!r}, which cannot be a file name. Use plain names."
              for video in folders if Path(video).name != video])
    others = inside(root, "features", "timebase.yaml")
    if any((root / "features").glob("*/*.npy")) and not (others.exists() and EXTRACTOR in read_text(others)):
        raise InputError(f"{root / 'features'}: holds features of another extractor. Move that folder away to have "
                         "these made.")
    files: dict[str, list[Path]] = {}
    for path in video_files(root):
        files.setdefault(path.stem, []).append(path)
    return folders, files


def _file_fault(root: Path, video: str, found: list[Path]) -> str:
    """Why a video's name does not identify exactly one readable file; empty if it does."""
    if len(found) == 1:
        try:
            inside(root, found[0].relative_to(root))
        except InputError as error:
            return str(error)
        return ""
    if found:
        return f"{root / 'videos'}: {', '.join(path.name for path in found)} have the same name. Keep one."
    return f"{root / 'videos' / video}.*: no such video file. Put it there, or remove the video from the splits."


def _is_sound(path: Path) -> bool:
    try:
        return not is_link_outside(path, path.parents[2]) and read_header(path)[0][1] == FEATURE_DIM
    except InputError:
        return False


def _spread(source: Path, targets: Iterable[Path]) -> None:
    """Link a feature file into the other split as well, without using more space."""
    for target in targets:
        if target != source and not _is_sound(target):
            target.unlink(missing_ok=True)
            link_or_copy(source, target)


_reports = None


def _share(reports: multiprocessing.SimpleQueue) -> None:
    global _reports
    _reports = reports


def _extract_to(video: str, path: Path, targets: list[Path]) -> tuple[float, str]:
    """Extract one video, in a worker process; return its length in seconds and a note or ""."""
    notes: list[str] = []
    features = extract(path, lambda fraction: _reports.put((video, fraction)), notes.append)
    write_atomic(targets[0], lambda file: np.save(file, features))
    _spread(targets[0], targets)
    return float(TIMEBASE.seconds(len(features))), " ".join(notes)


def _extract_all(todo: dict[str, tuple[Path, list[Path]]], progress: Callable[[float, str], object], workers: int
                 ) -> Iterator[tuple[str, str, str]]:
    """Yield (video, fault or "", note or "") as videos finish; the largest files are started first."""
    reports = CONTEXT.SimpleQueue()
    size = {video: path.stat().st_size or 1 for video, (path, _) in todo.items()}
    fraction, seconds, began = dict.fromkeys(todo, 0.), 0., time.monotonic()
    with worker_pool(min(workers, len(todo)), _share, reports) as pool:
        waiting: dict[Future[tuple[float, str]], str] = {pool.submit(_extract_to, video, *todo[video]): video
                                                         for video in sorted(todo, key=size.get, reverse=True)}
        while waiting:
            finished, _ = wait(waiting, timeout=.2, return_when="FIRST_COMPLETED")
            while not reports.empty():
                video, fraction[video] = reports.get()
            for future in finished:
                video = waiting.pop(future)
                fraction[video] = 1.
                fault = _fault_of(future, todo[video][0])
                length, note = (0., "") if fault else future.result()
                seconds += length
                yield video, fault, note
            part = sum(fraction[video] * size[video] for video in todo) / sum(size.values())
            progress(part, _sentence(len(todo) - len(waiting), len(todo), part, seconds, time.monotonic() - began))


def _fault_of(future: Future[tuple[float, str]], path: Path) -> str:
    error = future.exception()
    if error is None or isinstance(error, InputError):
        return str(error or "")
    return (f"{path}: its features could not be computed ({type(error).__name__}: {error}). Run the command again; "
            "if it fails again, convert the video to MP4 (H.264).")


def _sentence(done: int, total: int, part: float, seconds: float, spent: float) -> str:
    rate = f", {seconds / spent:.0f} x real time" if seconds else ""
    left = f", {spent * (1 - part) / part:.0f} s left" if part > .02 else ""
    return f"features of {done} of {total} videos{rate}{left}"
