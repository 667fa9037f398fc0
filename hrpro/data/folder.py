"""What is in a data set's folder, as far as names tell."""

from __future__ import annotations

from pathlib import Path

from hrpro.files import inside


def video_files(root: Path) -> list[Path]:
    """The files under videos/, sorted; none without that folder. One that is a link out of the data set is among them.

    Raises:
        InputError: videos/ leads out of the data set.
    """
    folder = inside(root, "videos")
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.is_file())
