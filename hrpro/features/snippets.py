"""Appearance and motion statistics of snippets, computed directly from the pixels.

Three views of a snippet's frames, after compensating for camera motion:
- the picture: colours, edges and motion in coarse cells, minus their mean over the current stretch of the video;
- the figure, i.e. what differs from the background: silhouette, motion, edges and their rhythm in a window that
  follows it, invariant to mirroring;
- the figure's trajectory: its extent, position and speed, and their rhythm.
Fixed constants bring each group of values to roughly zero mean and unit spread, so that a video's features depend on
that video only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 72
DIM = 512
CLIP = 16
STRETCH = 64

_WINDOW, _HALF = 8, 4
_RHYTHMS = 5
_ORIENTATIONS = 4
_TOGETHER = 8 * CLIP
Maps = NDArray[np.float32]


def describe(frames: NDArray[np.uint8]) -> Maps:
    """Compute the features of S consecutive snippets of CLIP frames.

    Args:
        frames: RGB [S * CLIP, HEIGHT, WIDTH, 3]. Background and scene are estimated from all of them; about STRETCH
            snippets at a time work best.

    Returns:
        float32 [S, DIM].
    """
    # Small batches of frames stay in the processor's cache.
    parts = [_to_channels(frames[at:at + _TOGETHER]) for at in range(0, len(frames), _TOGETHER)]
    path = _camera_path([luma for luma, _, _ in parts])
    paths = [path[at:at + _TOGETHER] for at in range(0, len(frames), _TOGETHER)]
    aligned = [[_shift(channel, way * (channel.shape[1] / HEIGHT)) for channel in part]
               for part, way in zip(parts, paths, strict=True)]
    few = [np.concatenate(samples) for samples in zip(*([channel[::_HALF] for channel in part] for part in aligned),
                                                      strict=True)]
    background = [np.median(channel, axis=0) for channel in few]
    _, y, _, tall, _ = _moments(_foreground(few, background))
    window = float(np.median(y)), 2.3 * float(np.clip(np.median(tall), 4, HEIGHT / 4))
    groups = [_describe(*part, background, window) for part in zip(parts, aligned, paths, strict=True)]
    features = [_scale(np.concatenate(values), *scale)
                for *values, scale in zip(*groups, _SCALES.values(), strict=True)]
    for scene in features[:4]:
        scene -= scene.mean(0)
    return np.concatenate(features, axis=1).astype(np.float32)


# Typical mean and spread of the square roots of each group, measured on the demo videos, in the order of `_describe`.
_SCALES = {
    "luma": (12.1, 2.2), "colour": (-.43, 3.8), "edges": (1.5, .48), "energy": (.9, .53),
    "silhouette": (.21, .27), "silhouette's spread": (.11, .13), "figure's energy": (.84, .77), "motion": (.43, .37),
    "silhouette's rhythm": (.049, .055), "figure's edges": (.57, .63),
    "extent": (.51, .36), "extent's spread": (.17, .098), "speed": (.05, .31), "course's rhythm": (.078, .058),
    "whole energy": (1., .28), "energy's rhythm": (.35, .15), "camera": (.4, .15),
}


def _scale(values: Maps, mean: float, spread: float) -> Maps:
    return (np.sign(values) * np.sqrt(np.abs(values)) - mean) / spread


def _to_channels(frames: NDArray[np.uint8]) -> list[Maps]:
    """Luma [N, H, W] and two colour differences at half the resolution."""
    weights = np.array([.299, .587, .114], np.float32)
    colour = frames.astype(np.float32)
    small = (colour[:, ::2, ::2] + colour[:, 1::2, ::2] + colour[:, ::2, 1::2] + colour[:, 1::2, 1::2]) / 4
    grey = small @ weights
    return [colour @ weights, (small[..., 2] - grey) * .6, (small[..., 0] - grey) * .7]


def _camera_path(luma: list[Maps]) -> Maps:
    """Offset of each frame from the median picture, [N, 2] pixels down and right.

    Frames are aligned to the middle frame of their snippet, and the middle frames to the median: if the camera leaves
    the scene, only the second alignment fails and motion within snippets is still right.
    """
    median = np.median(np.concatenate([part[::CLIP // 2] for part in luma]), axis=0)
    middles = _spectra(np.concatenate([part[CLIP // 2::CLIP] for part in luma]))
    between = _displacement(middles, _spectra(median[None]))
    per_part = _TOGETHER // CLIP
    within = [_displacement(_spectra(part), np.repeat(middles[index * per_part:][:per_part], CLIP, axis=0))
              for index, part in enumerate(luma)]
    return np.concatenate(within) + np.repeat(between, CLIP, axis=0)


def _fade(size: int) -> Maps:
    """1, fading to 0 within a few pixels of both ends: a wider fade would favour the figure, often in the middle."""
    inward = np.minimum(np.arange(size), np.arange(size)[::-1]) + .5
    return np.sin(np.pi / 2 * np.minimum(inward / 6, 1)).astype(np.float32) ** 2


_EDGES = np.outer(_fade(HEIGHT), _fade(WIDTH))
_FINENESS = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH))
_COARSE = np.exp(-(_FINENESS / .35) ** 2).astype(np.float32)


def _spectra(pictures: Maps) -> NDArray[np.complex64]:
    return np.fft.rfft2((pictures - pictures.mean((1, 2), keepdims=True)) * _EDGES)


def _displacement(spectra: NDArray[np.complex64], references: NDArray[np.complex64]) -> Maps:
    """Displacement of pictures relative to references, [N, 2] pixels, accurate to a tenth of a pixel.

    Phase correlation, half whitened and without the finest detail, which is noise; limited to a sixth of the picture.
    """
    cross = spectra * references.conj()
    cross *= _COARSE / (np.sqrt(np.abs(cross)) + np.float32(1e-9))
    surface = np.fft.irfft2(cross, s=(HEIGHT, WIDTH))
    surface[:, HEIGHT // 6:-HEIGHT // 6] = surface[:, :, WIDTH // 6:-WIDTH // 6] = -np.inf
    peak = np.stack(np.unravel_index(surface.reshape(len(surface), -1).argmax(1), (HEIGHT, WIDTH)), 1)
    found, row = peak.astype(np.float32), np.arange(len(peak))
    for axis, size in enumerate((HEIGHT, WIDTH)):
        step = np.eye(2, dtype=int)[axis]
        before, centre, after = (surface[row, *((peak + sign * step) % (HEIGHT, WIDTH)).T] for sign in (-1, 0, 1))
        bend = before - 2 * centre + after
        inside = np.isfinite(bend) & (bend < 0)
        found[inside, axis] += .5 * (before - after)[inside] / bend[inside]
        found[:, axis] = (found[:, axis] + size / 2) % size - size / 2
    return found


def _shift(pictures: Maps, path: Maps) -> Maps:
    """Move pictures back along `path`, with sub-pixel accuracy."""
    height, width = pictures.shape[1:]
    down, right = (np.exp(2j * np.pi * frequencies * path[:, axis, None]).astype(np.complex64)
                   for axis, frequencies in enumerate((np.fft.fftfreq(height), np.fft.rfftfreq(width))))
    spectra = np.fft.rfft2(pictures)
    spectra *= down[:, :, None]
    spectra *= right[:, None, :]
    return np.fft.irfft2(spectra, s=(height, width))


def _foreground(channels: list[Maps], background: list[Maps]) -> Maps:
    """Confidence that each pixel is foreground, 0 .. 1, [N, H, W]."""
    luma, *chroma = (np.abs(channel - still) for channel, still in zip(channels, background, strict=True))
    difference = luma + sum(chroma).repeat(2, axis=1).repeat(2, axis=2)
    for axis in (1, 2):
        difference = (np.roll(difference, 1, axis) + difference + np.roll(difference, -1, axis)) / 3
    noise = np.median(difference[::CLIP])
    surely = np.clip((difference - 2.5 * noise - 6) / 20, 0, 1)
    surely[:, :3] = surely[:, -3:] = surely[:, :, :3] = surely[:, :, -3:] = 0
    return surely


def _describe(channels: list[Maps], aligned: list[Maps], path: Maps, background: list[Maps],
              window: tuple[float, float]) -> list[Maps]:
    """Groups of raw values, each flattened to [S, ...]."""
    luma, foreground = (_by_snippet(maps) for maps in (aligned[0], _foreground(aligned, background)))
    change = np.diff(luma, axis=1)
    noise = 3 * np.median(np.abs(change[:, ::_HALF]))
    down, across = np.gradient(luma, axis=(2, 3))
    strength = np.sqrt(down * down + across * across)
    energy = np.maximum(np.abs(change) - noise, 0)
    # Change divided by the gradient is movement along it.
    flow = -np.sign(change) * energy / (strength[:, 1:] + 4)
    flow_y, flow_x = flow * down[:, 1:], flow * across[:, 1:]
    few = slice(None, None, _HALF)
    edges = _orientations(down[:, few], across[:, few], strength[:, few])
    colours = [_cells(_by_snippet(channel).mean(1), 3, 4) for channel in channels]
    groups = [
        colours[0],
        np.stack(colours[1:], 1),
        _cells(edges.mean(1), 2, 2),
        _cells(energy.mean(1), 3, 4),
        *_figure(foreground, energy, flow_y, flow_x, edges * foreground[:, few, None], window),
        *_course(foreground, energy.mean((2, 3)), window, np.diff(path.reshape(-1, CLIP, 2), axis=1)),
    ]
    return [group.reshape(len(luma), -1) for group in groups]


def _by_snippet(maps: Maps) -> Maps:
    return maps.reshape(-1, CLIP, *maps.shape[1:])


def _orientations(down: Maps, across: Maps, strength: Maps) -> Maps:
    """Gradient strength by orientation, shared between the two nearest bins: [..., bins, H, W]."""
    steepness = np.arctan2(np.abs(down), np.abs(across)) * ((_ORIENTATIONS - 1) / (np.pi / 2))
    distance = np.abs(steepness[..., None, :, :] - np.arange(_ORIENTATIONS, dtype=np.float32)[:, None, None])
    return np.maximum(1 - distance, 0) * strength[..., None, :, :]


def _cells(maps: Maps, rows: int, columns: int) -> Maps:
    """Means over a grid of cells: [..., H, W] -> [..., rows, columns]."""
    *lead, height, width = maps.shape
    return maps.reshape(*lead, rows, height // rows, columns, width // columns).mean((-3, -1))


def _moments(weight: Maps) -> tuple[Maps, ...]:
    """Area, centre (down, right) and extent (down, right) of weights [..., H, W], in pixels."""
    rows, columns = (np.arange(size, dtype=np.float32) for size in weight.shape[-2:])
    profile_y, profile_x = weight.sum(-1) + np.float32(1e-3), weight.sum(-2) + np.float32(1e-3)
    area, area_x = profile_y.sum(-1), profile_x.sum(-1)
    y, x = profile_y @ rows / area, profile_x @ columns / area_x
    tall = np.sqrt((profile_y * (rows - y[..., None]) ** 2).sum(-1) / area)
    wide = np.sqrt((profile_x * (columns - x[..., None]) ** 2).sum(-1) / area_x)
    return area, y, x, tall, wide


def _figure(foreground: Maps, energy: Maps, flow_y: Maps, flow_x: Maps, edges: Maps, window: tuple[float, float]
            ) -> list[Maps]:
    """Describe the figure in a window that follows it sideways; window: its fixed (centre y, half size) in pixels."""
    _, _, x, _, _ = _moments(foreground.mean(1))
    rows = _overlap(np.full_like(x, window[0]), window[1], HEIGHT)
    columns = _overlap(x, window[1], WIDTH).swapaxes(-1, -2)

    def look(maps: Maps) -> Maps:
        return rows[:, None] @ maps @ columns[:, None]

    silhouette = look(foreground)
    right, left, falling, rising = (look(np.maximum(flow, 0).mean(1, keepdims=True))[:, 0]
                                    for flow in (flow_x, -flow_x, flow_y, -flow_y))
    outward, inward = (np.concatenate([one[..., :_HALF], other[..., _HALF:]], -1)
                       for one, other in ((left, right), (right, left)))
    motion = np.stack([outward, inward, falling, rising], 1)
    return [_fold(maps) for maps in (
        silhouette.mean(1), silhouette.std(1), look(energy.mean(1, keepdims=True)), _cells(motion, _HALF, _HALF),
        _rhythm(_cells(silhouette, _HALF, _HALF)), _cells(look(edges.mean(1)), _HALF, _HALF))]


def _overlap(centre: Maps, half: float, size: int) -> Maps:
    """Weights that average `size` pixels into _WINDOW bins over centre ± half, [S, _WINDOW, size]."""
    edges = centre[:, None] + half * np.linspace(-1, 1, _WINDOW + 1)
    pixel = np.arange(size)
    covered = np.minimum(edges[:, 1:, None], pixel + 1) - np.maximum(edges[:, :-1, None], pixel)
    return (np.maximum(covered, 0) / (2 * half / _WINDOW)).astype(np.float32)


def _fold(maps: Maps) -> Maps:
    """Fold a window's mirrored halves onto each other: their mean and half their absolute difference."""
    half = maps.shape[-1] // 2
    left, right = maps[..., :half], maps[..., :half - 1:-1]
    return np.concatenate([left + right, np.abs(left - right)], axis=-1) / 2


def _rhythm(series: Maps) -> Maps:
    """Amplitudes of the lowest frequencies of [S, CLIP, ...] along the clip, [S, _RHYTHMS, ...]."""
    return np.abs(np.fft.rfft(series, axis=1)[:, 1:_RHYTHMS + 1]) / series.shape[1]


def _course(foreground: Maps, energy: Maps, window: tuple[float, float], camera: Maps) -> list[Maps]:
    """Size, extent and position of the figure in units of the window's half size, with their speed and rhythm."""
    middle, unit = window
    area, y, x, tall, wide = _moments(foreground)
    series = np.stack([np.sqrt(area), tall, wide, y - middle, x], 1) / np.float32(unit)
    slope = (series * (np.arange(CLIP) - (CLIP - 1) / 2)).mean(-1)
    slope[:, 4] = np.abs(slope[:, 4])
    step = np.abs(camera)
    return [series[:, :4].mean(-1), series.std(-1), slope, _rhythm(series.swapaxes(1, 2)),
            energy.mean(1, keepdims=True), _rhythm(energy), np.concatenate([step.mean(1), step.max(1)[:, :1]], axis=1)]
