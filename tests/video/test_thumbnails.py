"""Filmstrips show the right frames, are cached, and are remade when the video changes."""

import os

import numpy as np
import pytest
from numbered_video import HEIGHT, WIDTH, read_number, write_video
from PIL import Image

from hrpro.errors import InputError
from hrpro.video.probe import probe
from hrpro.video.thumbnails import filmstrip


def tile(film, index):
    left, top = index % film.columns * film.tile_width, index // film.columns * film.tile_height
    with Image.open(film.path) as strip:
        return np.asarray(strip.crop((left, top, left + film.tile_width, top + film.tile_height)))


@pytest.mark.parametrize(("name", "count"), [("even", 7), ("b_frames", 23), ("uneven", 100), ("cut", 40)])
def test_tiles_show_the_frames_at_their_times(clips, tmp_path, name, count):
    info, film = probe(clips[name]), filmstrip(clips[name], tmp_path, count)
    first = 30 if name == "cut" else 0
    shown = [read_number(tile(film, index)) - first for index in range(len(film.times))]
    assert shown == [info.frame_index(moment) for moment in film.times]
    parts = (np.array(film.times) / info.duration * len(film.times)).astype(int)
    assert parts.tolist() == list(range(min(count, info.frames)))
    assert film.tile_height == round(film.tile_width * HEIGHT / WIDTH)


def test_long_video_uses_key_frames(clips, tmp_path):
    info = probe(clips["even"])
    film = filmstrip(clips["even"], tmp_path, 4)
    assert set(film.times) <= set(info.times[info.keyframes].tolist())


def test_cache_is_kept_until_the_video_changes(tmp_path):
    video = write_video(tmp_path / "v.mp4", range(0, 2000, 40))
    made = filmstrip(video, tmp_path / "cache", 5)
    stamp = made.path.stat().st_mtime_ns
    assert filmstrip(video, tmp_path / "cache", 5) == made
    assert made.path.stat().st_mtime_ns == stamp
    write_video(video, range(0, 1000, 40))
    os.utime(video, ns=(1, 1))
    assert max(filmstrip(video, tmp_path / "cache", 5).times) < 1
    assert len(filmstrip(video, tmp_path / "cache", 6).times) == 6


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"made_from": 1', None])
def test_broken_cache_is_remade(tmp_path, content):
    video = write_video(tmp_path / "v.mp4", range(0, 2000, 40))
    made = filmstrip(video, tmp_path / "cache", 5)
    manifest = made.path.with_suffix(".json")
    if content is None:
        made.path.unlink()
    else:
        manifest.write_bytes(content)
    assert filmstrip(video, tmp_path / "cache", 5) == made and made.path.exists()


def test_missing_video_is_reported(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4"):
        filmstrip(tmp_path / "gone.mp4", tmp_path)
