"""Where the app's data sets and runs are, and the conversion of untrusted names into paths inside them."""

from __future__ import annotations

import os
from pathlib import Path

from hrpro import files
from hrpro.data.folder import video_files
from hrpro.errors import InputError, printable
from hrpro.files import is_file_name, real_path

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "assets"


def data_root() -> Path:
    """Folder of the data sets: the environment variable HRPRO_DATA, else ./dataset."""
    return real_path(os.environ.get("HRPRO_DATA", "dataset"))


def ckpt_root() -> Path:
    """Folder of the runs: the environment variable HRPRO_CKPT, else ./ckpt."""
    return real_path(os.environ.get("HRPRO_CKPT", "ckpt"))


def data_sets() -> list[str]:
    """Names of the data set folders that can be opened, valid or not, sorted ignoring case."""
    names = (path.name for path in _entries() if not _obstacle(path) and path.is_dir())
    return sorted(names, key=lambda name: (name.casefold(), name))


def unusable_folders() -> list[str]:
    """One sentence for each entry among the data sets that cannot be opened."""
    return sorted(printable(f"{path}: {why}") for path in _entries() if (why := _obstacle(path)))


def _entries() -> list[Path]:
    """Entries of the data folder, except those whose names start with a dot or an underscore."""
    try:
        return [path for path in data_root().iterdir() if path.name[0] not in "._"]
    except OSError:
        return []


def _obstacle(path: Path) -> str:
    """Why a folder cannot be opened, and what to do; empty if it can be opened or is a file."""
    if not is_file_name(path.name):
        return "its name is not UTF-8 text of 200 bytes at most, or has control characters. Rename it." \
            if os.path.isdir(path) else ""              # noqa: PTH112  Path.is_dir raises some errors
    if path.is_symlink() and not os.path.exists(path):  # noqa: PTH110
        return "is a link that leads nowhere. Remove it, or link an existing folder."
    if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK):      # noqa: PTH112
        return "cannot be read. Change its permissions."
    return ""


def inside(root: Path, *names: str) -> Path:
    """The path `root/name/…`, where each name is a plain file or folder name.

    Raises:
        InputError: a name is empty or would leave its folder.
    """
    return files.inside(root, *map(_plain_name, names))


def _plain_name(name: str) -> str:
    if not is_file_name(name):
        raise InputError(f"{name[:80]!r} cannot be a file name. Use a plain name without slashes, 200 bytes at most.")
    return name


def data_set(name: str) -> Path:
    """Folder of a data set, which may itself be a link to another place.

    Raises:
        InputError: not a plain name, or no such data set.
    """
    path = data_root() / _plain_name(name)
    if not path.is_dir():
        raise InputError(f"{name!r} is not a data set here. Choose one of "
                         f"{', '.join(data_sets()) or 'none: make one'}.")
    return path


def video_file(dataset_root: Path, video: str) -> Path | None:
    """The video's own file, `videos/<video>.<ext>`; None if there is none.

    Raises:
        InputError: not a plain name, or the file is a link that leads out of the data set.
    """
    _plain_name(video)
    found = [path for path in video_files(dataset_root) if path.stem == video]
    return inside(dataset_root, "videos", found[0].name) if found else None
