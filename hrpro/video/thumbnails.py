"""Filmstrips: thumbnails of a whole video in one image file."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from hrpro.errors import InputError
from hrpro.files import inside, read_json, write_atomic, write_json
from hrpro.schema import Number, mismatch
from hrpro.video.decode import frames_at
from hrpro.video.probe import VideoInfo, probe, version_of

TILE_WIDTH = 160
TALLEST = 2 * TILE_WIDTH        # highest tile; taller pictures are scaled down, between black bars
COLUMNS = 10
_EDITION = 2                    # strips made by older versions of this code may show other frames

_SIDE = Number(1, 1 << 16, whole=True)
_MANIFEST = {"made_from": dict, "times": [Number()], "tile_width": _SIDE, "tile_height": _SIDE, "columns": _SIDE}


@dataclass(frozen=True)
class Filmstrip:
    """N tiles in one JPEG at `path`, row by row, `columns` per row; tile i shows the video at `times[i]` seconds."""

    path: Path
    times: tuple[float, ...]
    tile_width: int
    tile_height: int
    columns: int


def filmstrip(video_path: Path, cache_dir: Path, count: int = 100,
              info_of: Callable[[Path], VideoInfo] = probe) -> Filmstrip:
    """Return a video's filmstrip, making it if it is not cached.

    For long videos key frames are used, which are cheap to decode; `times` are those of the frames shown. The cache
    holds one strip per video file name; it is remade when the file or `count` changes.

    Args:
        video_path: The video.
        cache_dir: The data set's cache.
        count: Number of evenly spaced tiles; fewer if the video has fewer frames.
        info_of: Returns the video's `probe`, perhaps from a cache: reading the frame times of a long video takes
            seconds.

    Raises:
        InputError: The video cannot be read, or the cache cannot be written.
    """
    video_path = Path(video_path)
    cache = Path(cache_dir)
    sprite, manifest = (inside(cache.parent, cache.name, "filmstrips", f"{video_path.name}.{kind}")
                        for kind in ("jpg", "json"))
    made_from = {"version": version_of(video_path), "count": count, "edition": _EDITION}
    with contextlib.suppress(InputError):               # missing or broken
        film = read_json(manifest)
        if not mismatch(film, _MANIFEST) and film["made_from"] == made_from and sprite.is_file():
            return Filmstrip(sprite, tuple(film["times"]), film["tile_width"], film["tile_height"], film["columns"])
    info = info_of(video_path)
    times = _moments(info, min(count, info.frames))
    scale = min(TILE_WIDTH / info.width, TALLEST / info.height)
    width, height = (max(1, round(side * scale)) for side in (info.width, info.height))
    strip = Image.new("RGB", (TILE_WIDTH * min(COLUMNS, len(times)), height * math.ceil(len(times) / COLUMNS)))
    for index, picture in enumerate(frames_at(info, times, (width, height))):
        left = index % COLUMNS * TILE_WIDTH + (TILE_WIDTH - width) // 2
        strip.paste(Image.fromarray(picture), (left, index // COLUMNS * height))
    encoded = BytesIO()
    strip.save(encoded, "JPEG", quality=80)
    write_atomic(sprite, encoded.getvalue())
    film = {"times": times, "tile_width": TILE_WIDTH, "tile_height": height, "columns": COLUMNS}
    write_json(manifest, {"made_from": made_from, **film})
    return Filmstrip(sprite, tuple(times.tolist()), TILE_WIDTH, height, COLUMNS)


def _moments(info: VideoInfo, count: int) -> np.ndarray:
    """Midpoints of `count` equal parts of the video, in seconds, moved to a key frame if the same part has one."""
    spacing = info.duration / count
    middles = (np.arange(count) + 0.5) * spacing
    keys = info.times[info.keyframes]
    if not len(keys):
        return middles
    nearest = keys[np.abs(keys[:, None] - middles).argmin(0)]
    return np.where(np.abs(nearest - middles) <= spacing / 2, nearest, middles)
