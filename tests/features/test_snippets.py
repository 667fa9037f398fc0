"""Snippet statistics: camera motion is compensated for, figures and their motion are detected."""

import numpy as np
import pytest

from hrpro.features import snippets
from hrpro.features.snippets import CLIP, DIM, HEIGHT, WIDTH, describe

SCENE = slice(0, 64)                                    # columns that describe the whole picture
MOTION = slice(256, 320)                                # columns that describe the figure's motion by direction


def scene(rng, margin=16):
    """A random landscape, smooth enough for sub-pixel sampling."""
    noise = rng.normal(size=(HEIGHT + 2 * margin, WIDTH + 2 * margin, 3))
    for axis in (0, 1):
        for _ in range(4):
            noise = (np.roll(noise, 1, axis) + noise + np.roll(noise, -1, axis)) / 3
    return 128 + 40 * noise / noise.std()


def view(stage, down, right, margin=16):
    """The stage seen by a camera with a sub-pixel offset."""
    y, x = margin + down, margin + right
    top, left, fy, fx = int(y), int(x), y % 1, x % 1
    rows = (1 - fy) * stage[top:top + HEIGHT] + fy * stage[top + 1:top + HEIGHT + 1]
    return (1 - fx) * rows[:, left:left + WIDTH] + fx * rows[:, left + 1:left + WIDTH + 1]


def film(rng, count, camera=None, figure=None):
    """`count` snippets; camera: [N, 2] pixels; figure: frame -> (top, left) of a bright block, or None."""
    stage, frames = scene(rng), []
    for index in range(count * CLIP):
        down, right = camera[index] if camera is not None else (0, 0)
        picture = view(stage, down, right)
        if figure and (at := figure(index)):
            top, left = round(at[0] - down), round(at[1] - right)
            picture[top:top + 24, left:left + 10] = (230, 40, 40)
        frames.append(picture + rng.normal(0, 2, picture.shape))
    return np.clip(frames, 0, 255).astype(np.uint8)


def wander(rng, count, size):
    path = np.cumsum(rng.normal(0, .4, (count * CLIP, 2)), axis=0)
    return size * path / np.abs(path).max()


def test_camera_path_is_estimated_while_a_figure_moves(rng):
    camera = wander(rng, 8, 5)
    frames = film(rng, 8, camera, lambda index: (30, 20 + index * 40 // 128))
    path = snippets._camera_path([snippets._to_channels(frames)[0]])
    error = np.abs(path + camera - np.median(path + camera, axis=0))
    assert np.median(error) < .12 and error.max() < .5


def test_shift_undoes_camera_motion(rng):
    stage = scene(rng)
    still, moved = (view(stage, *camera).mean(-1).astype(np.float32) for camera in ((0, 0), (1.3, -2.6)))
    back = snippets._shift(moved[None], np.array([[-1.3, 2.6]], np.float32))[0]
    inner = slice(6, -6), slice(6, -6)
    assert np.abs(back - still)[inner].mean() < .1 * np.abs(moved - still)[inner].mean()


def test_features_have_the_right_shape_and_are_finite(rng):
    features = describe(film(rng, 11))
    assert features.shape == (11, DIM) and features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.parametrize("value", [0, 255])
def test_blank_video_has_finite_features(value):
    features = describe(np.full((2 * CLIP, HEIGHT, WIDTH, 3), value, np.uint8))
    assert np.isfinite(features).all()


def test_shaking_camera_looks_like_a_still_one(rng):
    """Motion features must come from what moves in the scene."""
    energies = []
    for size, figure in ((0, None), (4, None), (4, lambda index: (30, 40 + 8 * np.sin(index)))):
        frames = film(rng, 8, wander(rng, 8, size) if size else None, figure)
        energies.append(describe(frames)[:, MOTION].mean())
    still, shaking, acting = energies
    assert shaking - still < .3 * (acting - still)


def test_snippets_with_a_moving_figure_stand_out(rng):
    def figure(index):
        return 30, 20 + index // CLIP * 6 + (6 * np.sin(index) if index // CLIP in (3, 4) else 0)

    motion = describe(film(rng, 8, figure=figure))[:, MOTION].mean(1)
    assert set(np.argsort(motion)[-2:]) == {3, 4}


def test_position_and_mirroring_do_not_change_the_figure(rng):
    """The same movement elsewhere and its mirror image have similar features; a different movement does not."""
    def swing(index):
        return 3 * np.sin(index / 2) * (index % (2 * CLIP) < CLIP)

    def figure_of(film_):
        features = describe(film_)[:, SCENE.stop:]
        return features - features.mean(0)

    left = film(np.random.default_rng(1), 8, figure=lambda index: (30, 24 + index / 16 + swing(index)))
    right = film(np.random.default_rng(1), 8, figure=lambda index: (30, 50 + index / 16 + swing(index)))
    jump = film(np.random.default_rng(1), 8, figure=lambda index: (30 + 2 * swing(index), 24 + index / 16))
    original = figure_of(left)
    distance = [np.linalg.norm(figure_of(other) - original) for other in (left[:, :, ::-1], right, jump)]
    assert max(distance[:2]) < .6 * distance[2]


@pytest.fixture
def rng():
    return np.random.default_rng(0)
