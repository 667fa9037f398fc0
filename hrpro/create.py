"""Create a project from a folder of videos: `python -m hrpro create NAME VIDEOS_FOLDER`."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import shlex
import shutil
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml

from hrpro.errors import InputError, naming, number_of, preview, raise_if
from hrpro.features.extract import FEATURE_DIM
from hrpro.files import is_file_name, is_name, link_or_copy, locked_folder, real_path, write_atomic, write_json
from hrpro.video.probe import probe

VIDEO_SUFFIXES = frozenset((".3g2", ".3gp", ".3gpp", ".amv", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".m1v",
                            ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mkv", ".mod", ".mov",
                            ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogg", ".ogm", ".ogv", ".qt",
                            ".rm", ".rmvb", ".tod", ".trp", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m"))
RAW_SUFFIXES = frozenset((".264", ".265", ".avc", ".h264", ".h265", ".hevc"))   # raw streams without timestamps
COMPANIONS = frozenset((".ds_store", "thumbs.db", "desktop.ini"))               # files left behind by file managers
# Files of an unfinished project, some of them under their temporary names.
PARTS = re.compile(r"videos|\.?(gt_full\.json|split_\w+\.txt|classes\.txt|config\.yaml)(\.[a-z0-9_]{8})?")
MOST_FOLDERS = 10_000                                   # subfolders that are searched for more videos
# A few short videos need fewer steps than THUMOS14's hours of video, and a memory that moves faster.
SETTINGS = {"num_iters": 400, "test_iter": 50, "lr": 5e-4, "batch_size": 8, "max_epochs": 10, "batch_size2": 4,
            "class_thresh": .2}


def create_project(data_root: Path, name: str, videos_folder: Path, classes: Iterable[str] = (),
                   say: Callable[[str], object] = print) -> Path:
    """Create `<data_root>/<name>` from the videos in a folder, ready for labelling.

    The videos are linked, or copied if they are on another disk. Each video is in both splits, since there is no ground
    truth. The settings suit the built-in extractor.

    Args:
        data_root: folder of the data sets.
        name: name of the project and of its folder.
        videos_folder: folder that holds the videos; `~` is expanded.
        classes: action classes; blanks and duplicates are dropped.
        say: called with one sentence per group of files that are left out (with the reason), renamed, or cannot be
            played by browsers.

    Returns:
        The project's folder.

    Raises:
        InputError: the name is taken or invalid, a class is invalid, or no video can be read; nothing is left behind.
    """
    target, videos_folder = Path(data_root) / name, _home(videos_folder)
    classes = list(dict.fromkeys(filter(None, map(str.strip, classes))))
    raise_if(_faults(target, name, videos_folder, classes))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".new-", ignore_cleanup_errors=True) as folder, \
            locked_folder(Path(folder)):
        making = Path(folder) / "project"
        (making / "videos").mkdir(parents=True)
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


def _remove_abandoned(data_root: Path) -> None:
    """Remove unfinished projects whose process was killed: they are not locked, and hold nothing else."""
    for folder in data_root.glob(".new-????????"):
        project = folder / "project"
        with contextlib.suppress(OSError, InputError):
            ours = [*folder.iterdir()] == [project] and (project / "videos").is_dir() and not folder.is_symlink()
            if ours and all(PARTS.fullmatch(path.name) for path in project.iterdir()):
                with locked_folder(folder, busy=f"{folder}: is in use."):
                    shutil.rmtree(folder, ignore_errors=True)


def _home(folder: Path) -> Path:
    """A folder with `~` or `~user` expanded; unchanged if there is no such user."""
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
    faults += [f"{label[:80]!r} cannot name a class. Write it on one line, without control characters."
               for label in classes if not is_name(label)]
    return faults


def _link_videos(source: Path, target: Path, say: Callable[[str], object]) -> dict[str, dict]:
    """Link every readable video under a portable name; returns {name: entry in gt_full.json}."""
    database, taken = {}, set()
    renamed, unplayable = {}, []
    left_out: dict[str, list[tuple[str, str]]] = defaultdict(list)          # (file, fault) by kind of fault
    videos, others = _sort_files(source)
    for path in videos:
        try:
            info = probe(path)
        except InputError as error:
            fault = _raw_recording(path) if path.suffix.lower() in RAW_SUFFIXES else str(error)
            kind = re.sub(r"\d+", "#", fault.replace(str(path), "").replace(path.stem, ""))
            left_out[kind].append((path.name, fault))
            continue
        video = _safe_name(path.stem, taken)
        taken.add(video.casefold())
        if video != path.stem:
            renamed[path.name] = video
        if not info.browser_playable:
            unplayable.append((path.name, f"{info.codec} in {path.suffix}"))
        link_or_copy(real_path(path), target / f"{video}{path.suffix.lower()}")
        database[video] = {"subset": "Test", "duration": round(info.duration, 6), "fps": info.fps, "annotations": []}
    faults = [_together(alike) for alike in left_out.values()]
    below = _describe_folders(source)
    if not database:
        known = ", ".join(sorted(VIDEO_SUFFIXES))
        raise InputError([*faults, *(f"{source}: holds no video itself, but {sentence}" for sentence in below)]
                         or f"{source}: holds no video ({known}). Give the folder that holds them.")
    left = [*faults, *_describe_others(others), *below]
    for sentence in (*(f"Left out: {each}" for each in left), *_describe_renamed(renamed),
                     *_describe_unplayable(unplayable)):
        say(sentence)
    return database


def _sort_files(source: Path) -> tuple[list[Path], list[Path]]:
    """Files to try as videos, and files that do not have a video's name or are not regular files."""
    files = sorted(path for path in source.iterdir() if not path.is_dir() and path.name.lower() not in COMPANIONS)
    suffixes = VIDEO_SUFFIXES | RAW_SUFFIXES
    videos = [path for path in files if path.suffix.lower() in suffixes and not path.name.startswith("._")
              and (path.is_file() or path.is_symlink())]
    return videos, sorted(set(files) - set(videos))


def _raw_recording(path: Path) -> str:
    names = (shlex.quote(f"./{name}") for name in (path.name, f"{path.stem}.mp4"))
    return (f"{path}: is a raw recording without timestamps. Wrap it at its frame rate, such as "
            "`ffmpeg -framerate 25 -i {} -c copy {}`.".format(*names))


def _together(alike: list[tuple[str, str]]) -> str:
    """One sentence for files with the same fault: the fault of the first file, and the names of the others."""
    (_, fault), *others = alike
    names = [name for name, _ in others]
    return fault + (f" ({len(names):,} more with this fault: {preview(names)})" if names else "")


def _describe_others(files: list[Path]) -> Iterable[str]:
    if files:
        kinds = Counter(path.suffix.lower() or "no suffix" for path in files).most_common(5)
        what = naming([path.name for path in files], "is not a video by its name", "are not videos by their names",
                      noun="file")
        yield f"{what} ({', '.join(f'{count:,} {kind}' for kind, count in kinds)})."


def _describe_folders(source: Path) -> Iterable[str]:
    """Report how many videos are in subfolders, which are not imported."""
    found: Counter[str] = Counter()
    for folder, folders, files in itertools.islice(os.walk(source), MOST_FOLDERS):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if folder != str(source) and (count := sum(Path(name).suffix.lower() in VIDEO_SUFFIXES | RAW_SUFFIXES
                                                   and not name.startswith(".") for name in files)):
            found[os.path.relpath(folder, source)] = count
    if found:
        total, most = found.total(), found.most_common(5)
        where = f"in {most[0][0]}. Name that folder" if len(found) == 1 else \
            f"in {len(found):,} folders ({', '.join(f'{count:,} in {name}' for name, count in most)}" \
            f"{' …' if found.keys() - dict(most).keys() else ''}). Name one of them"
        yield f"{number_of(total, 'video')} {where}, or move the files into {source}."


def _describe_renamed(renamed: dict[str, str]) -> Iterable[str]:
    names = list(renamed)
    if len(names) == 1:
        yield f"{names[0]!r} is renamed {renamed[names[0]]!r} here."
    elif names:
        yield (f"{len(names):,} videos are renamed here: "
               + ", ".join(f"{name!r} to {renamed[name]!r}" for name in names[:5]) + (" …" if names[5:] else "") + ".")


def _describe_unplayable(found: list[tuple[str, str]]) -> Iterable[str]:
    if len(found) == 1:
        (name, kind), = found
        yield f"{name!r} ({kind}) cannot be played by browsers; the annotation desk makes a copy that can."
    elif found:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in Counter(kind for _, kind in found).most_common(5))
        yield (f"{len(found):,} videos cannot be played by browsers ({kinds}): {preview([name for name, _ in found])}; "
               "the annotation desk makes copies that can.")


def _safe_name(stem: str, taken: set[str]) -> str:
    """A unique name from a file's stem that is safe in file systems, text lines and URLs."""
    stem = unicodedata.normalize("NFC", stem)           # macOS stores an accent as a separate character
    plain = re.sub(r"[^\w .()+,=@-]", "_", stem).strip(" .") or "video"
    plain = plain.encode()[:200].decode(errors="ignore").strip(" .")
    numbered = (plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in numbered if name.casefold() not in taken)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the project")
    parser.add_argument("videos", type=Path, metavar="VIDEOS_FOLDER", help="folder that holds its videos")
    parser.add_argument("--classes", nargs="+", action="extend", default=[], metavar="CLASS",
                        help="action classes to label")
    parser.add_argument("--data_path", type=Path, default=Path("dataset"), metavar="DIR",
                        help="folder of the data sets (default: dataset)")


def run(args: argparse.Namespace) -> int:
    """Create the project and print its path and the next step."""
    root = create_project(args.data_path, args.name, args.videos, args.classes)
    print(f"{root}: created. Next: `python -m hrpro extract {shlex.quote(str(root))}`, and label it in the app.")
    return 0
