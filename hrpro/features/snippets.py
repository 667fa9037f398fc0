"""Appearance and motion statistics of snippets, straight from the pixels.

Three views of a snippet's 16 frames, all after taking out the camera's own movement:
- the whole picture: colours, edges and motion in coarse cells;
- the figure: what differs from the background, in a window that follows it, as silhouette, motion and their rhythm;
- the figure's course: position, extent and speed, and their rhythm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 96, 72
WINDOW = 8
RHYTHMS = 5
Maps = NDArray[np.float32]


def describe(frames: NDArray[np.uint8], clip: int) -> Maps:
    """Features of consecutive snippets, [S, D].

    frames: RGB [S * clip, HEIGHT, WIDTH, 3]. The background is the median over all of them, so give some twenty
    seconds at a time.
    """
    luma, blue, red = _to_channels(frames)
    shifts = _camera_path(luma, clip)
    aligned = _shift(luma, shifts)
    chroma = [_shift(channel, shifts / 2) for channel in (blue, red)]
    foreground = _foreground(aligned, chroma, clip)
    change = np.diff(aligned.reshape(-1, clip, HEIGHT, WIDTH), axis=1)
    change = np.sign(change) * np.maximum(np.abs(change) - 3 * np.median(np.abs(change[:, ::4])), 0)
    down, across = np.gradient(aligned, axis=(1, 2))
    strength = np.hypot(down, across)
    down, across, strength = (part.reshape(-1, clip, HEIGHT, WIDTH) for part in (down, across, strength))
    speed_x, speed_y = (-change * part[:, 1:] / (strength[:, 1:] + 4) for part in (across, down))
    foreground = foreground.reshape(-1, clip, HEIGHT, WIDTH)
    motion = [np.maximum(part, 0) for part in (speed_x, -speed_x, speed_y, -speed_y)]
    return np.concatenate([
        _picture(luma, blue, red, clip, down, across, strength, change),
        _figure(foreground, np.abs(change), motion),
        _course(foreground, np.abs(change), np.diff(shifts.reshape(-1, clip, 2), axis=1)),
    ], axis=1)


def _to_channels(frames: NDArray[np.uint8]) -> tuple[Maps, Maps, Maps]:
    """Luma [N, H, W] and two colour differences at half its size."""
    colour = frames.astype(np.float32)
    luma = colour @ np.array([.299, .587, .114], np.float32)
    small = colour.reshape(len(frames), HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((2, 4))
    grey = small @ np.array([.299, .587, .114], np.float32)
    return luma, (small[..., 2] - grey) * .6, (small[..., 0] - grey) * .7


def _camera_path(luma: Maps, clip: int) -> NDArray[np.float32]:
    """Where the picture has moved to, against the first snippet's middle: [N, 2] pixels down and right.

    Phase correlation of each frame with its snippet's middle frame, and of the middle frames with their predecessors.
    """
    taper = np.outer(np.hanning(HEIGHT), np.hanning(WIDTH)).astype(np.float32)
    spectra = np.fft.rfft2((luma - luma.mean((1, 2), keepdims=True)) * taper)
    middles = spectra[clip // 2::clip]
    between = np.cumsum(np.concatenate([np.zeros((1, 2)), _displacement(middles[1:], middles[:-1])]), axis=0)
    within = _displacement(spectra, np.repeat(middles, clip, axis=0))
    return (within + np.repeat(between, clip, axis=0)).astype(np.float32)


def _displacement(spectra: NDArray, references: NDArray) -> NDArray[np.float64]:
    """Displacement of pictures against references by phase correlation, [N, 2] pixels, to a fraction of a pixel."""
    if not len(spectra):
        return np.zeros((0, 2))
    cross = spectra * references.conj()
    surface = np.fft.irfft2(cross / (np.abs(cross) + 1e-3 * np.abs(cross).mean()), s=(HEIGHT, WIDTH))
    peak = surface.reshape(len(surface), -1).argmax(1)
    at = np.stack(np.unravel_index(peak, (HEIGHT, WIDTH)), 1)
    found, row = at.astype(np.float64), np.arange(len(at))
    for axis, size in enumerate((HEIGHT, WIDTH)):
        step = np.eye(2, dtype=int)[axis]
        before, after = (surface[row, *((at + sign * step) % (HEIGHT, WIDTH)).T] for sign in (-1, 1))
        centre = surface[row, *at.T]
        found[:, axis] += .5 * (before - after) / np.minimum(before - 2 * centre + after, -1e-9)
        found[:, axis] = (found[:, axis] + size / 2) % size - size / 2
    return found


def _shift(pictures: Maps, shifts: NDArray[np.float32]) -> Maps:
    """Pictures moved back by `shifts`, by fractions of a pixel too."""
    height, width = pictures.shape[1:]
    down = np.exp(2j * np.pi * np.fft.fftfreq(height).astype(np.float32) * shifts[:, :1])
    right = np.exp(2j * np.pi * np.fft.rfftfreq(width).astype(np.float32) * shifts[:, 1:])
    spectra = np.fft.rfft2(pictures)
    spectra *= down.astype(np.complex64)[:, :, None]
    spectra *= right.astype(np.complex64)[:, None, :]
    return np.fft.irfft2(spectra, s=(height, width))


def _foreground(luma: Maps, chroma: list[Maps], clip: int) -> Maps:
    """How surely each pixel is not background, 0 .. 1, [N, H, W]."""
    difference = np.abs(luma - np.median(luma[::clip // 2], axis=0))
    coarse = sum(np.abs(channel - np.median(channel[::clip // 2], axis=0)) for channel in chroma)
    difference += coarse.repeat(2, axis=1).repeat(2, axis=2)
    for axis in (1, 2):
        difference = (np.roll(difference, 1, axis) + difference + np.roll(difference, -1, axis)) / 3
    noise = np.median(difference[::clip // 2])
    surely = np.clip((difference - 2.5 * noise - 6) / 20, 0, 1)
    surely[:, :3] = surely[:, -3:] = surely[:, :, :3] = surely[:, :, -3:] = 0
    return surely


def _cells(maps: Maps, rows: int, columns: int) -> Maps:
    """Means over a grid of cells: [..., H, W] -> [..., rows, columns]."""
    *lead, height, width = maps.shape
    return maps.reshape(*lead, rows, height // rows, columns, width // columns).mean((-3, -1))


def _flat(maps: Maps, lead: int = 1) -> Maps:
    return maps.reshape(*maps.shape[:lead], -1)


def _orientations(down: Maps, across: Maps, strength: Maps, bins: int = 8) -> Maps:
    """Gradient strength by orientation, shared between the two nearest bins: [..., bins, H, W]."""
    place = np.arctan2(down, across) % np.pi * (bins / np.pi)
    distance = np.abs(place[..., None, :, :] - np.arange(bins, dtype=np.float32)[:, None, None])
    return np.maximum(1 - np.minimum(distance, bins - distance), 0) * strength[..., None, :, :]


def _picture(luma: Maps, blue: Maps, red: Maps, clip: int, down: Maps, across: Maps, strength: Maps,
             change: Maps) -> Maps:
    colours = [_cells(channel.reshape(-1, clip, *channel.shape[1:]).mean(1), 3, 4) for channel in (luma, blue, red)]
    middle = clip // 2
    edges = _cells(_orientations(down[:, middle], across[:, middle], strength[:, middle]), 2, 3)
    return np.concatenate([*map(_flat, colours), _flat(edges), _flat(_cells(np.abs(change).mean(1), 3, 4))], axis=1)


def _moments(weight: Maps) -> tuple[Maps, ...]:
    """Area, centre (down, right) and extent (down, right) of weights [..., H, W], in pixels."""
    rows, columns = np.arange(weight.shape[-2]), np.arange(weight.shape[-1])
    profile_y, profile_x = weight.sum(-1) + 1e-3, weight.sum(-2) + 1e-3
    area = profile_y.sum(-1)
    y, x = (profile_y * rows).sum(-1) / area, (profile_x * columns).sum(-1) / profile_x.sum(-1)
    tall = np.sqrt((profile_y * (rows - y[..., None]) ** 2).sum(-1) / area)
    wide = np.sqrt((profile_x * (columns - x[..., None]) ** 2).sum(-1) / profile_x.sum(-1))
    return area, y, x, tall, wide


def _overlap(centre: Maps, half: float, size: int) -> Maps:
    """Weights that average `size` pixels into WINDOW bins over centre ± half: [S, WINDOW, size]."""
    edges = centre[:, None] + half * np.linspace(-1, 1, WINDOW + 1)
    pixel = np.arange(size)
    covered = np.minimum(edges[:, 1:, None], pixel + 1) - np.maximum(edges[:, :-1, None], pixel)
    return (np.maximum(covered, 0) / (2 * half / WINDOW)).astype(np.float32)


def _rhythm(series: Maps) -> Maps:
    """Amplitudes of the lowest frequencies of [S, clip, ...] along the clip: [S, RHYTHMS, ...]."""
    time = series.shape[1]
    centred = series - series.mean(1, keepdims=True)
    return np.abs(np.fft.rfft(centred, axis=1)[:, 1:RHYTHMS + 1]).astype(np.float32) / time


def _figure(foreground: Maps, change: Maps, motion: list[Maps]) -> Maps:
    """The figure in a window that follows it sideways and keeps its height and scale over all snippets."""
    _, y, x, tall, _ = _moments(foreground.mean(1))
    half = 2.3 * float(np.clip(np.median(tall), 4, HEIGHT / 4))
    rows = _overlap(np.full_like(x, np.median(y)), half, HEIGHT)[:, None]
    columns = _overlap(x, half, WIDTH)[:, None].swapaxes(-1, -2)

    def look(maps: Maps) -> Maps:
        return rows @ maps @ columns

    silhouette, energy = look(foreground), look(change)
    quarter = WINDOW // 2
    course = [_flat(_cells(look(direction).mean(1), quarter, quarter)) for direction in motion]
    rhythm = _rhythm(_cells(silhouette, quarter, quarter))
    return np.concatenate([_flat(silhouette.mean(1)), _flat(silhouette.std(1)), _flat(energy.mean(1)), *course,
                           _flat(rhythm)], axis=1)


def _course(foreground: Maps, change: Maps, camera: NDArray[np.float32]) -> Maps:
    area, y, x, tall, wide = _moments(foreground)
    energy = change.mean((2, 3))
    series = np.stack([np.sqrt(area), y, x, tall, wide], 1)
    last = series.shape[-1]
    slope = (series * (np.arange(last) - (last - 1) / 2)).sum(-1)
    rhythm = _rhythm(series.swapaxes(1, 2))
    shake = np.abs(camera).mean(1), camera.mean(1)
    return np.concatenate([series.mean(-1), series.std(-1), slope, _flat(rhythm), energy.mean(1, keepdims=True),
                           _flat(_rhythm(energy)), *shake], axis=1).astype(np.float32)
