"""A new project from a folder of videos: `python -m hrpro create NAME VIDEOS_FOLDER`."""

from __future__ import annotations

import argparse
import re
import shlex
import tempfile
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from hrpro.errors import InputError, raise_if
from hrpro.features.extract import FEATURE_DIM
from hrpro.files import is_file_name, link_or_copy, write_atomic, write_json
from hrpro.video.probe import probe

VIDEO_SUFFIXES = frozenset((".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
                            ".ogv", ".ts", ".webm", ".wmv"))
# A few short videos need fewer steps than THUMOS14's hours, and a faster-moving memory.
SETTINGS = {"num_iters": 400, "test_iter": 50, "lr": 5e-4, "batch_size": 8, "max_epochs": 10, "batch_size2": 4,
            "class_thresh": .2}


def create_project(data_root: Path, name: str, videos_folder: Path, classes: Iterable[str] = (),
                   say: Callable[[str], object] = print) -> Path:
    """Make `<data_root>/<name>` of the videos in a folder, ready to be labelled.

    The videos are linked (copied where the disk differs), each is in both splits, since there is no ground
    truth, and the settings suit the built-in extractor. say: called with a sentence for each video that is left out
    or renamed.

    Raises:
        InputError: the name is taken or no folder name, or no video can be read; nothing is left behind.
    """
    target, videos_folder = Path(data_root) / name, _home(videos_folder)
    classes = list(dict.fromkeys(filter(None, map(str.strip, classes))))
    raise_if(_faults(target, name, videos_folder, classes))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-", ignore_cleanup_errors=True) as folder:
        making = Path(folder) / "project"
        database = _link_videos(videos_folder, making / "videos", say)
        write_json(making / "gt_full.json", {"version": "1", "database": database}, indent=True)
        for split in ("train", "test"):
            write_atomic(making / f"split_{split}.txt", "".join(f"{video}\n" for video in database))
        write_atomic(making / "classes.txt", "".join(f"{label}\n" for label in classes))
        write_atomic(making / "config.yaml", yaml.safe_dump({"feature_dim": FEATURE_DIM} | SETTINGS, sort_keys=False))
        try:
            making.rename(target)
        except OSError as error:
            raise InputError(f"{target}: could not be created ({error.strerror}). Choose another name.") from error
    return target


def _home(folder: Path) -> Path:
    """A folder with its `~` or `~user` resolved; as it is where there is no such user."""
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        return Path(folder)


def _faults(target: Path, name: str, videos_folder: Path, classes: list[str]) -> list[str]:
    faults = []
    if not re.fullmatch(r"[^\W_]([\w .-]*[\w-])?", name) or not is_file_name(name):
        faults.append(f"{name[:80]!r} cannot name a project. Use letters, digits, spaces, dots and dashes, beginning "
                      "with a letter or digit; 200 bytes at most.")
    elif target.exists():
        faults.append(f"{target}: already exists. Choose another name.")
    if not videos_folder.is_dir():
        faults.append(f"{videos_folder}: no such folder. Give the folder that holds the videos.")
    faults += [f"class {label!r} spans lines. Write it on one." for label in classes if "\n" in label or "\r" in label]
    return faults


def _link_videos(source: Path, target: Path, say: Callable[[str], object]) -> dict[str, dict]:
    """Link every readable video under a name that is safe everywhere; {name: its entry in gt_full.json}."""
    database, taken, faults = {}, set(), []
    for path in sorted(path for path in source.iterdir() if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()):
        try:
            info = probe(path)
        except InputError as error:
            faults += error.faults
            say(f"Left out: {error}")
            continue
        video = _safe_name(path.stem, taken)
        taken.add(video.casefold())
        if video != path.stem:
            say(f"{path.name!r} is renamed {video!r} here.")
        if not info.browser_playable:
            say(f"{path.name!r} ({info.codec} in {path.suffix}) cannot be played by browsers; the annotation desk "
                "makes a copy that can.")
        link_or_copy(path.resolve(), target / f"{video}{path.suffix.lower()}")
        database[video] = {"subset": "Test", "duration": round(info.duration, 6), "fps": info.fps, "annotations": []}
    if not database:
        raise InputError(faults or f"{source}: holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}). Give the folder "
                         "that holds them.")
    return database


def _safe_name(stem: str, taken: set[str]) -> str:
    """A file's stem without anything that a file system, a text line or a URL may trip over; not yet taken."""
    stem = unicodedata.normalize("NFC", stem)           # macOS writes an accent as a sign of its own
    plain = re.sub(r"[^\w .()+,=@-]", "_", stem).strip(" .") or "video"
    plain = plain.encode()[:200].decode(errors="ignore").strip(" .")
    numbered = (plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in numbered if name.casefold() not in taken)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the project")
    parser.add_argument("videos", type=Path, metavar="VIDEOS_FOLDER", help="folder that holds its videos")
    parser.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="action classes to label")
    parser.add_argument("--data_path", type=Path, default=Path("dataset"), metavar="DIR",
                        help="folder of the data sets (default: dataset)")


def run(args: argparse.Namespace) -> int:
    """Create the project and print where it is."""
    root = create_project(args.data_path, args.name, args.videos, args.classes)
    print(f"{root}: created. Next: `python -m hrpro extract {shlex.quote(str(root))}`, and label it in the app.")
    return 0
