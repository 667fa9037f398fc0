"""Decoding returns the requested frame."""

import numpy as np
import psutil
import pytest
from numbered_video import read_number, write_video

from hrpro.video.decode import frames_at, iter_frames
from hrpro.video.probe import probe

SHOWN = {name: list(range(100)) for name in ("even", "b_frames", "uneven", "fragmented", "vp9", "matroska", "avi")}
SHOWN |= {"cut": list(range(30, 100)), "hidden": [*range(5), *range(6, 100)], "one_frame": [0]}


@pytest.mark.parametrize("name", SHOWN)
def test_every_frame_is_found_by_seeking_in_any_order(clips, name):
    info = probe(clips[name])
    middles = np.append((info.times[1:] + info.times[:-1]) / 2, info.duration - 1e-3)
    order = np.random.default_rng(1).permutation(info.frames)
    found = [read_number(picture) for picture in frames_at(info, middles[order])]
    assert found == np.array(SHOWN[name])[order].tolist()
    assert [read_number(picture) for picture in frames_at(info, middles)] == SHOWN[name]


@pytest.mark.parametrize("name", SHOWN)
def test_resampled_frames_match_a_player(clips, name):
    info = probe(clips[name])
    numbers = [read_number(picture) for picture in iter_frames(clips[name], fps=40)]
    moments = np.arange(len(numbers)) / 40
    assert numbers == [SHOWN[name][info.frame_index(moment)] for moment in moments]
    assert len(numbers) == np.ceil(info.duration * 40 - 1e-4)


def test_times_outside_the_video_give_the_first_or_last_frame(clips):
    assert read_number(next(frames_at(clips["even"], [-5]))) == 0
    assert read_number(next(frames_at(clips["even"], [99]))) == 99


def test_frames_are_scaled_to_the_requested_size(clips):
    picture = next(frames_at(clips["even"], [2], (80, 32)))
    assert picture.shape == (32, 80, 3)
    assert read_number(picture) == 50
    assert {picture.shape for picture in iter_frames(clips["even"], 5, (80, 32))} == {(32, 80, 3)}


def test_rotated_video_is_decoded_upright(clips):
    """After rotation by 90 degrees counter-clockwise, the bars are horizontal and bit 0 is at the bottom."""
    picture = next(frames_at(clips["turned"], [1.2]))
    assert picture.shape == (160, 64, 3)
    assert read_number(np.rot90(picture, -1)) == 30
    assert next(frames_at(clips["turned"], [1.2], (32, 80))).shape == (80, 32, 3)


def test_memory_use_stays_constant(tmp_path):
    path = write_video(tmp_path / "long.mp4", range(0, 240_000, 40), options={"preset": "ultrafast"})
    process, used = psutil.Process(), []
    for index, _ in enumerate(iter_frames(path)):
        if index % 1000 == 999:
            used.append(process.memory_info().rss)
    assert len(used) == 6
    assert used[-1] - used[0] < 8 << 20


def test_seeking_in_real_clips_does_not_depend_on_the_order(shared):
    for path in sorted((shared / "videos").glob("*.mp4")):
        info = probe(path)
        moments = np.linspace(0, info.duration, 12)
        in_order = list(frames_at(info, moments, (64, 48)))
        for picture, expected in zip(frames_at(info, moments[::-1], (64, 48)), in_order[::-1], strict=True):
            np.testing.assert_array_equal(picture, expected)
