"""`python -m hrpro proxy`: make browser-playable copies of a data set's videos."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from hrpro.data.folder import video_files
from hrpro.errors import Cancelled, InputError, number_of, raise_if
from hrpro.files import inside
from hrpro.progress import show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET_DIR", help="folder with videos/")
    parser.add_argument("videos", nargs="*", metavar="VIDEO",
                        help="names of videos (default: all that browsers cannot play)")
    parser.add_argument("--lock", type=int, help=argparse.SUPPRESS)     # see hrpro.video.proxy


def run(args: argparse.Namespace) -> int:
    """Make the missing copies, showing a progress bar.

    Returns:
        Exit status: 2 if a copy could not be made, else 0.

    Raises:
        InputError: A video given by name does not exist.
        Cancelled: Stopped by a signal; no partial copy is left behind.
    """
    from hrpro.video.probe import probe  # loads decoder and encoder only when needed
    from hrpro.video.proxy import make_proxy, proxy_path

    for number in (signal.SIGTERM, signal.SIGINT):      # even if the shell started this with SIGINT ignored
        signal.signal(number, _cancel)
    cache, failed, todo, playable, notes = args.dataset / "cache", [], [], 0, []
    for path in _files(args.dataset, args.videos):
        try:
            info = probe(inside(args.dataset, path.relative_to(args.dataset)))
        except InputError as error:
            failed += error.faults
            continue
        if args.videos or info.needs_copy:
            todo.append(info)
        else:
            playable += 1
    kept = [info for info in todo if proxy_path(info.path, cache).exists()]
    todo = [info for info in todo if info not in kept]
    total, done, made, began = sum(info.duration for info in todo), 0., 0, time.monotonic()

    def tell(fraction: float) -> None:
        spent, part = time.monotonic() - began, (done + fraction * info.duration) / total
        left = f", {spent * (1 - part) / part:.0f} s left" if part > .02 else ""
        show(part, f"copies of {made} of {len(todo)} videos, {part * total / max(spent, .1):.0f} x real time{left}")

    for info in todo:
        try:
            make_proxy(info.path, cache, tell, args.lock, notes.append)
            made += 1
        except InputError as error:
            failed += error.faults
        done += info.duration
    if todo:
        print()
    print(f"{args.dataset}: {number_of(made, 'copy', 'copies')} made, {len(kept)} already there, {len(failed)} failed"
          + ("." if args.videos else f"; {number_of(playable, 'video')} playable without a copy."))
    for note in notes:
        print(f"note: {note}")
    for fault in failed:
        print(f"error: {fault}", file=sys.stderr)
    return 2 if failed else 0


def _cancel(*_: object) -> NoReturn:
    raise Cancelled


def _files(root: Path, wanted: list[str]) -> list[Path]:
    folder, files = root / "videos", video_files(root)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Put the videos there.")
    if not wanted:
        return files
    found = {name: [path for path in files if path.name == name] or [path for path in files if path.stem == name]
             for name in wanted}
    raise_if([f"{folder / name}: no such video. Check the name." for name, paths in found.items() if not paths])
    return [path for paths in found.values() for path in paths]
