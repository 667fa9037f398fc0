"""Filmstrips: small pictures of a whole video in one image file."""

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
TALLEST = 2 * TILE_WIDTH        # a tile; taller pictures are shown smaller, between black bars
COLUMNS = 10
_EDITION = 2                    # strips that an older program made may show other frames

_SIDE = Number(1, 1 << 16, whole=True)
_MANIFEST = {"made_from": dict, "times": [Number()], "tile_width": _SIDE, "tile_height": _SIDE, "columns": _SIDE}


@dataclass(frozen=True)
class Filmstrip:
    """N tiles in one JPEG at `path`, row by row, `columns` in a row; tile i shows the video at `times[i]` seconds."""

    path: Path
    times: tuple[float, ...]
    tile_width: int
    tile_height: int
    columns: int


def filmstrip(video_path: Path, cache_dir: Path, count: int = 100,
              info_of: Callable[[Path], VideoInfo] = probe) -> Filmstrip:
    """The video's filmstrip of `count` evenly spaced tiles (fewer where it has fewer frames), made when not cached.

    Of a long video key frames are taken, which cost little to decode; `times` are those of the pictures shown. The
    cache holds one strip per video file name, which is made again when the file or `count` has changed. info_of: may
    know the file's frame times already, which take seconds to read from a long video.

    Raises:
        InputError: the video cannot be read, or the cache not be written.
    """
    video_path = Path(video_path)
    cache = Path(cache_dir)
    sprite, manifest = (inside(cache.parent, cache.name, "filmstrips", f"{video_path.name}.{kind}")
                        for kind in ("jpg", "json"))
    made_from = {"version": version_of(video_path), "count": count, "edition": _EDITION}
    with contextlib.suppress(InputError):               # none yet, or broken
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
    """Middles of `count` equal parts of the video, moved to a key frame where one lies in the same part."""
    spacing = info.duration / count
    middles = (np.arange(count) + 0.5) * spacing
    keys = info.times[info.keyframes]
    if not len(keys):
        return middles
    nearest = keys[np.abs(keys[:, None] - middles).argmin(0)]
    return np.where(np.abs(nearest - middles) <= spacing / 2, nearest, middles)
