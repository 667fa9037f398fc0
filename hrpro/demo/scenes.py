"""Backgrounds of the demo videos, drawn at twice the video size for smooth edges."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]


def _hue(hue: float, saturation: float, value: float) -> Colour:
    return tuple(int(255 * channel) for channel in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    weight = np.linspace(0, 1, size[1])[:, None, None]
    column = np.asarray(top) * (1 - weight) + np.asarray(bottom) * weight
    return Image.fromarray(np.broadcast_to(column, (size[1], size[0], 3)).astype(np.uint8))


def _ridge(canvas: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator, height: float, swing: float,
           colour: Colour) -> None:
    """Hills: a smooth skyline at `height`, a fraction of the picture's."""
    across = np.linspace(0, 1, 60)
    line = sum(np.sin(2 * np.pi * (count * across + rng.random())) / count for count in (1, 2, 3.3))
    points = list(zip(across * size[0], (height + swing * line) * size[1], strict=True))
    canvas.polygon([*points, (size[0], size[1]), (0, size[1])], colour)


def _cloud(canvas: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, y: float, colour: Colour) -> None:
    for _ in range(6):
        across, down, radius = x + rng.uniform(-60, 60), y + rng.uniform(-8, 8), rng.uniform(16, 34)
        canvas.ellipse((across - radius * 1.4, down - radius * .6, across + radius * 1.4, down + radius * .6), colour)


def _speckle(canvas: ImageDraw.ImageDraw, size: tuple[int, int], rng: np.random.Generator, top: float, count: int,
             colours: list[Colour]) -> None:
    """Short strokes on the ground: grass, sand or snow."""
    for _ in range(count):
        x, y = rng.uniform(0, size[0]), rng.uniform(top, size[1])
        canvas.line((x, y, x + rng.uniform(-3, 3), y - rng.uniform(2, 8)), colours[rng.integers(len(colours))], 2)


def park(size: tuple[int, int], ground: float, rng: np.random.Generator) -> Image.Image:
    sky = rng.uniform(.52, .6)
    image = _gradient(size, _hue(sky, .45, .95), _hue(sky, .12, 1))
    canvas, hue = ImageDraw.Draw(image), rng.uniform(.22, .34)
    x, radius = rng.uniform(.1, .9) * size[0], 34
    canvas.ellipse((x - radius, 60 - radius, x + radius, 60 + radius), (255, 236, 150))
    for _ in range(4):
        _cloud(canvas, rng, rng.uniform(0, size[0]), rng.uniform(40, 150), (252, 252, 255))
    _ridge(canvas, size, rng, .5, .05, _hue(hue + .05, .35, .72))
    _ridge(canvas, size, rng, .6, .03, _hue(hue, .45, .62))
    canvas.rectangle((0, ground - 60, *size), _hue(hue, .55, .55))
    _speckle(canvas, size, rng, ground - 55, 260, [_hue(hue, .6, .45), _hue(hue, .5, .65)])
    for x in rng.permutation(np.linspace(.06, .94, 6))[:4] * size[0]:
        base, height = ground - rng.uniform(35, 60), rng.uniform(120, 190)
        canvas.rectangle((x - 8, base - height * .5, x + 8, base), (104, 74, 50))
        crown = _hue(hue + rng.uniform(-.06, .04), .6, rng.uniform(.38, .55))
        for _ in range(7):
            dx, dy, r = rng.uniform(-34, 34), rng.uniform(-height * .5, 20), rng.uniform(26, 42)
            canvas.ellipse((x + dx - r, base - height * .6 + dy - r, x + dx + r, base - height * .6 + dy + r), crown)
    return image


def room(size: tuple[int, int], ground: float, rng: np.random.Generator) -> Image.Image:
    hue = rng.random()
    wall, stripe = _hue(hue, .22, .86), _hue(hue, .27, .81)
    image = Image.new("RGB", size, wall)
    canvas = ImageDraw.Draw(image)
    for x in range(0, size[0], 56):
        canvas.rectangle((x, 0, x + 24, ground - 70), stripe)
    canvas.rectangle((0, ground - 70, *size), (158, 116, 78))
    for row, y in enumerate(range(int(ground - 70), size[1], 26)):
        canvas.line((0, y, size[0], y), (126, 90, 60), 2)
        for x in range(-60 + row % 3 * 55, size[0], 165):
            canvas.line((x, y, x, y + 26), (126, 90, 60), 2)
    canvas.rectangle((0, ground - 84, size[0], ground - 70), (238, 232, 222))
    left = rng.uniform(.06, .3) * size[0]
    canvas.rectangle((left, 70, left + 150, 250), (245, 240, 232))
    view = _gradient((134, 164), _hue(.56, .4, .95), _hue(.3, .3, .8))
    image.paste(view, (int(left + 8), 78))
    canvas.line((left + 75, 70, left + 75, 250), (245, 240, 232), 7)
    canvas.line((left, 160, left + 150, 160), (245, 240, 232), 7)
    left = rng.uniform(.5, .72) * size[0]
    canvas.rectangle((left, 90, left + 120, 180), (92, 66, 44))
    canvas.rectangle((left + 9, 99, left + 111, 171), _hue(rng.random(), .4, .7))
    canvas.ellipse((left + 30, 112, left + 75, 157), _hue(rng.random(), .6, .9))
    x = rng.choice([.05, .95]) * size[0]
    canvas.line((x, ground - 62, x, 190), (60, 56, 54), 7)
    canvas.polygon([(x - 42, 200), (x + 42, 200), (x + 24, 140), (x - 24, 140)], (250, 222, 150))
    return image


def gym(size: tuple[int, int], ground: float, rng: np.random.Generator) -> Image.Image:
    hue = rng.uniform(.5, .7)
    image = _gradient(size, _hue(hue, .2, .8), _hue(hue, .12, .9))
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 250, size[0], 300), _hue(hue, .6, .6))
    for x in range(20, size[0], 170):
        canvas.rectangle((x, 30, x + 110, 110), (224, 240, 246), (120, 130, 140), 5)
        canvas.line((x + 55, 30, x + 55, 110), (120, 130, 140), 4)
    left = rng.uniform(.04, .75) * size[0]
    for y in range(140, int(ground - 66), 24):
        canvas.line((left, y, left + 110, y), (176, 126, 70), 8)
    for x in (left, left + 110):
        canvas.line((x, 130, x, ground - 60), (140, 98, 54), 10)
    canvas.rectangle((0, ground - 64, *size), (206, 160, 104))
    for y in range(int(ground - 64), size[1], 20):
        canvas.line((0, y, size[0], y), (190, 144, 90), 2)
    canvas.line((0, ground + 14, size[0], ground - 10), _hue(hue + .45, .6, .8), 7)
    x, radius = rng.uniform(.1, .9) * size[0], 26
    canvas.ellipse((x - radius, ground - 50 - 2 * radius, x + radius, ground - 50), (222, 120, 50), (110, 56, 24), 3)
    canvas.line((x - radius, ground - 50 - radius, x + radius, ground - 50 - radius), (110, 56, 24), 3)
    return image


def beach(size: tuple[int, int], ground: float, rng: np.random.Generator) -> Image.Image:
    image = _gradient(size, _hue(.56, .5, .95), _hue(.09, .25, 1))
    canvas = ImageDraw.Draw(image)
    x = rng.uniform(.2, .8) * size[0]
    canvas.ellipse((x - 40, 120, x + 40, 200), (255, 214, 120))
    canvas.rectangle((0, 230, size[0], ground - 40), _hue(.53, .6, .72))
    for _ in range(46):
        x, y = rng.uniform(0, size[0]), rng.uniform(236, ground - 60)
        canvas.line((x, y, x + rng.uniform(16, 60), y), _hue(.52, .35, .88), 2)
    _ridge(canvas, size, rng, (ground - 62) / size[1], .008, (246, 240, 222))
    _ridge(canvas, size, rng, (ground - 50) / size[1], .008, (230, 204, 150))
    _speckle(canvas, size, rng, ground - 40, 200, [(212, 184, 128), (240, 218, 172)])
    x, top = rng.choice([.12, .86]) * size[0], ground - 250
    canvas.line((x, top, x + 14, ground - 20), (120, 84, 54), 7)
    hue = rng.random()
    for part in range(6):
        colour = _hue(hue, .65, .9) if part % 2 else (250, 246, 238)
        canvas.pieslice((x - 96, top - 30, x + 96, top + 90), 180 + 30 * part, 210 + 30 * part, colour)
    return image


def street(size: tuple[int, int], ground: float, rng: np.random.Generator) -> Image.Image:
    image = _gradient(size, (18, 22, 52), (70, 58, 104))
    canvas = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.uniform(0, size[0]), rng.uniform(0, 200)
        canvas.ellipse((x, y, x + 3, y + 3), (240, 236, 210))
    x = rng.uniform(.1, .9) * size[0]
    canvas.ellipse((x - 28, 34, x + 28, 90), (240, 236, 206))
    left = -20.
    while left < size[0]:
        width, top = rng.uniform(70, 130), rng.uniform(90, 240)
        shade = rng.uniform(.18, .34)
        canvas.rectangle((left, top, left + width, ground - 60), _hue(.65 + rng.uniform(-.08, .1), .3, shade))
        for wx in np.arange(left + 12, left + width - 16, 24):
            for wy in np.arange(top + 14, ground - 90, 30):
                lit = rng.random() < .4
                canvas.rectangle((wx, wy, wx + 11, wy + 15), (250, 216, 130) if lit else _hue(.65, .3, shade + .06))
        left += width + rng.uniform(0, 10)
    canvas.rectangle((0, ground - 62, *size), (78, 78, 90))
    canvas.rectangle((0, ground - 62, size[0], ground - 52), (110, 110, 120))
    for x in range(-30, size[0], 120):
        canvas.rectangle((x, ground + 30, x + 60, ground + 38), (190, 186, 160))
    x = rng.choice([.08, .92]) * size[0]
    canvas.line((x, 130, x, ground - 40), (40, 40, 48), 9)
    canvas.ellipse((x - 18, 110, x + 18, 146), (255, 232, 160))
    return image


def winter(size: tuple[int, int], ground: float, rng: np.random.Generator) -> Image.Image:
    image = _gradient(size, _hue(.58, .25, .82), _hue(.6, .06, .97))
    canvas = ImageDraw.Draw(image)
    points, x = [(0., size[1])], 0.
    while x < size[0] + 120:
        points += [(x, rng.uniform(200, 250)), (x + rng.uniform(50, 80), rng.uniform(90, 150))]
        x += rng.uniform(120, 170)
    canvas.polygon([*points, (size[0], size[1])], (150, 164, 190))
    _ridge(canvas, size, rng, .6, .03, (216, 226, 238))
    for x in rng.uniform(0, 1, 9) * size[0]:
        base, height = ground - rng.uniform(45, 90), rng.uniform(80, 170)
        for tier in range(3):
            top, half = base - height * (.45 + .27 * tier), height * (.3 - .07 * tier)
            canvas.polygon([(x, top - height * .2), (x - half, top + height * .2), (x + half, top + height * .2)],
                           (48 + 12 * tier, 92 + 10 * tier, 84 + 8 * tier))
        canvas.rectangle((x - 5, base - height * .28, x + 5, base), (92, 70, 56))
    canvas.rectangle((0, ground - 50, *size), (238, 242, 248))
    _speckle(canvas, size, rng, ground - 45, 120, [(218, 226, 238), (250, 252, 255)])
    for _ in range(3):
        x = rng.uniform(.05, .95) * size[0]
        for dy, radius in ((0, 26), (-38, 19), (-66, 13)):
            y = ground - 60 + dy
            canvas.ellipse((x - radius, y - radius, x + radius, y + radius), (250, 252, 255), (196, 206, 220), 2)
        if rng.random() < .5:
            break
    return image


SCENES: dict[str, Callable[[tuple[int, int], float, np.random.Generator], Image.Image]] = {
    "park": park, "room": room, "gym": gym, "beach": beach, "street": street, "winter": winter}


def melody(seconds: float, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A quiet tune of plucked notes over wind noise, mono float32 in -1 .. 1."""
    time = np.arange(int(seconds * rate)) / rate
    noise = rng.standard_normal(len(time)).astype(np.float32)
    sound = .012 * np.convolve(noise, np.ones(24, np.float32) / 5, "same") * (1 + .5 * np.sin(2 * np.pi * .13 * time))
    beat, base, scale = rng.uniform(.3, .5), rng.uniform(190, 300), (0, 2, 4, 7, 9, 12)
    for index in range(int(seconds / beat)):
        if rng.random() < .75:
            begin, pitch = int(index * beat * rate), base * 2 ** (scale[rng.integers(len(scale))] / 12)
            note = time[: min(int(1.2 * rate), len(time) - begin)]
            pluck = np.exp(-note * 5) * np.minimum(1, note * 200)
            sound[begin:begin + len(note)] += .16 * pluck * (np.sin(math.tau * pitch * note)
                                                             + .3 * np.sin(2 * math.tau * pitch * note))
    return np.clip(sound, -1, 1).astype(np.float32)
