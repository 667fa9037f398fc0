"""The demo project: films drawn figures, writes their exact ground truth, and points as a person would click them."""

from __future__ import annotations

import contextlib
import csv
import io
import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import orjson
from PIL import Image, ImageChops, ImageDraw

from hrpro.config import CONFIG_DIR
from hrpro.data.points import CSV_COLUMNS
from hrpro.demo.figure import ACTIONS, FPS, INDEX, Looks, Pose, blend, draw, fidget, skeleton, stand, walk
from hrpro.demo.scenes import SCENES, melody
from hrpro.errors import InputError
from hrpro.features.extract import extract_dataset
from hrpro.files import write_atomic, write_json

VERSION = "HR-Pro Studio demo 1"
SEED = 20240
# How many kinds of action each video of a subset shows.
VIDEOS = {"train": (2, 3, 1, 3, 2, 4, 2, 3, 1, 3, 2, 4), "test": (2, 3, 3, 1, 3, 2)}
WIDTH, HEIGHT, MARGIN, GRAIN = 320, 240, 16, 32
SOUND_RATE = 44_100
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Script:
    """What happens in one video. segments: (kind, first frame, frame after the last); poses: [F, P]."""

    name: str
    number: int
    segments: tuple[tuple[str, int, int], ...]
    poses: Pose

    @property
    def frames(self) -> int:
        return len(self.poses)


def write_scripts() -> list[Script]:
    """The scripts of all videos, the training videos first; the same at every call."""
    deck = np.random.default_rng(SEED)
    scripts = []
    for subset, kinds_in_video in VIDEOS.items():
        hand: list[str] = []
        for number, count in enumerate(kinds_in_video, 1):
            kinds: list[str] = []
            while len(kinds) < count:
                if not set(hand) - set(kinds):
                    hand += deck.permutation(list(ACTIONS)).tolist()
                kinds.append(next(kind for kind in hand if kind not in kinds))
                hand.remove(kinds[-1])
            scripts.append(_write_script(f"demo_{subset}_{number:02}", len(scripts), kinds))
    return scripts


def _write_script(name: str, number: int, kinds: list[str]) -> Script:
    rng = np.random.default_rng([SEED, 1, number])
    target, at, x = rng.uniform(21, 30) * FPS, 0, 0.
    pieces: list[tuple[int, Pose]] = []
    segments = []
    while at < target:
        for kind in rng.permutation(kinds).tolist():
            idle = int(rng.uniform(.8, 3.2) * FPS)
            draw_of = rng.random()
            if draw_of < .45:
                way = np.clip(rng.uniform(-.5, .5) - x, -.7 * idle / FPS, .7 * idle / FPS)
                pieces.append((at, walk(idle, rng, way)))
                x += way
            elif draw_of < .6:
                pieces.append((at, fidget(idle, rng)))
            at += idle
            if at >= target:
                break
            action = ACTIONS[kind]
            length = int(FPS * np.exp(rng.uniform(np.log(action.shortest), np.log(action.longest))))
            pieces.append((at, action.pose(length, rng)))
            segments.append((kind, at, at + length))
            at += length
    poses = stand(at + FPS, rng)
    for begin, piece in pieces:
        part = slice(begin, begin + len(piece))
        poses[part] = blend(poses[part], piece)
        poses[begin + len(piece):, INDEX["x"]] += piece[-1, INDEX["x"]]
    return Script(name, number, tuple(segments), poses)


def _choose_looks(rng: np.random.Generator) -> Looks:
    def colour(low: int, high: int) -> tuple[int, int, int]:
        return tuple(int(channel) for channel in rng.integers(low, high, 3))

    skin = [(245, 214, 184), (226, 178, 136), (172, 120, 84), (116, 78, 56)][rng.integers(4)]
    hair = [(60, 40, 28), (120, 78, 40), (206, 170, 96), (30, 28, 32), (150, 60, 40)][rng.integers(5)]
    shirt = np.array([(206, 62, 58), (236, 176, 48), (70, 150, 90), (64, 112, 196), (150, 84, 176), (240, 240, 236)])
    trousers = np.array([(52, 66, 120), (70, 70, 78), (110, 84, 60), (36, 92, 96)])
    return Looks(tuple(shirt[rng.integers(len(shirt))].tolist()), tuple(trousers[rng.integers(len(trousers))].tolist()),
                 skin, hair, colour(30, 70), 2 * rng.uniform(118, 158), rng.uniform(.07, .084))


def film(script: Script, path: Path) -> None:
    """Draw a script and write it as H.264 (every third video has no sound)."""
    rng = np.random.default_rng([SEED, 2, script.number])
    looks, ground = _choose_looks(rng), 2 * (MARGIN + rng.uniform(196, 214))
    scene = list(SCENES.values())[script.number % len(SCENES)]
    stage = scene((2 * (WIDTH + 2 * MARGIN), 2 * (HEIGHT + 2 * MARGIN)), ground, rng)
    origin = 2 * (MARGIN + WIDTH / 2 + rng.uniform(-30, 30)), ground
    shadow = tuple(int(channel * .72) for channel in stage.getpixel((int(origin[0]), int(ground) + 4)))
    joints = skeleton(script.poses, rng.choice([-1, 1]) * rng.uniform(.25, .7))
    shake = _shake(script.frames, rng)
    grain = rng.normal(GRAIN, rng.uniform(2, 4.5), (2 * HEIGHT, 2 * WIDTH)).clip(0, 2 * GRAIN).astype(np.uint8)
    grain = Image.fromarray(np.repeat(grain[..., None], 3, 2))
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={
            "preset": "superfast", "crf": "27", "g": str(FPS), "bf": "0", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if script.number % 3 else None
        for frame in range(script.frames):
            left, top = shake[frame].tolist()
            canvas = stage.crop((left, top, left + 2 * WIDTH, top + 2 * HEIGHT))
            at = origin[0] - left, origin[1] - top
            brush = ImageDraw.Draw(canvas)
            _draw_shadow(brush, joints, frame, looks.height, at, shadow)
            draw(brush, joints, frame, looks, at)
            x, y = rng.integers(0, (WIDTH, HEIGHT)).tolist()
            canvas = ImageChops.add(canvas.reduce(2), grain.crop((x, y, x + WIDTH, y + HEIGHT)), 1, -GRAIN)
            picture = av.VideoFrame.from_image(canvas)
            picture.pts, picture.time_base = frame, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound:
            _mux_sound(container, sound, melody(script.frames / FPS, SOUND_RATE, rng))


def _shake(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Left upper corner of the camera's view on the doubled stage, [F, 2] whole pixels: drifting and trembling."""
    time, path = np.arange(frames) / FPS, np.zeros((frames, 2))
    for rate, size in ((.12, 9), (.5, 4), (1.7, 1.5)):
        path += size * rng.uniform(.3, 1.1, 2) * np.sin(2 * np.pi * (rate * rng.uniform(.7, 1.4, 2) * time[:, None]
                                                                     + rng.random(2)))
    path += rng.normal(0, rng.uniform(.2, .9), (frames, 2))
    return np.clip(np.rint(2 * MARGIN + path), 0, 4 * MARGIN).astype(int)


def _draw_shadow(brush: ImageDraw.ImageDraw, joints: dict[str, np.ndarray], frame: int, height: float,
                 at: tuple[float, float], colour: tuple[int, ...]) -> None:
    middle = at[0] + height * joints["hips"][frame, 0]
    across = height * .16 / (1 + 3 * max(0., min(joints[f"{side}_ankle"][frame, 1] for side in ("left", "right"))))
    brush.ellipse((middle - across, at[1] - across * .22, middle + across, at[1] + across * .26), colour)


def _mux_sound(container: av.container.OutputContainer, stream: av.AudioStream, samples: np.ndarray) -> None:
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, 0, Fraction(1, SOUND_RATE)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _film_to(script: Script, folder: Path) -> str:
    path = folder / f"{script.name}.mp4"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        film(script, unfinished)
        unfinished.replace(path)
    return path.name
