"""The files of a data set's folder, found by name only."""

from __future__ import annotations

from pathlib import Path

from hrpro.files import inside


def video_files(root: Path) -> list[Path]:
    """The files in videos/, sorted; empty if there is no such folder. Links that lead out of the data set are included.

    Raises:
        InputError: videos/ itself leads out of the data set.
    """
    folder = inside(root, "videos")
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file())
