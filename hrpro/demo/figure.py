"""A drawn figure: its movement in each action class, and its appearance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

FPS = 25

# A pose is a row of these numbers. Angles are in radians: `_flex` swings a limb forward in the side view, `_out` away
# from the body's midline; at 0, 0 it hangs down. Lengths are fractions of the body's height.
PARAMETERS = ("x", "lift", "turn", "lean", "nod",
              *(f"{side}_{limb}_{angle}" for side in ("left", "right") for limb in ("arm", "forearm", "thigh", "shin")
                for angle in ("flex", "out")))
INDEX = {name: column for column, name in enumerate(PARAMETERS)}
Pose = NDArray[np.float64]


def _rest(frames: int) -> Pose:
    """Standing upright with the arms slightly away from the body, [F, P]."""
    pose = np.zeros((frames, len(PARAMETERS)))
    for side in ("left", "right"):
        put(pose, **{f"{side}_arm_out": .16, f"{side}_forearm_out": .10, f"{side}_forearm_flex": .18,
                     f"{side}_thigh_out": .07, f"{side}_shin_out": .03})
    return pose


def put(pose: Pose, **values: float | NDArray[np.float64]) -> None:
    """Set parameters by name; `both_arm_flex` sets both left and right."""
    for name, value in values.items():
        for side in ("left", "right") if name.startswith("both_") else ("",):
            pose[:, INDEX[name.replace("both", side)]] = value


def stand(frames: int, rng: np.random.Generator) -> Pose:
    """Idle: breathing and swaying."""
    pose = _rest(frames)
    time = np.arange(frames) / FPS + rng.uniform(0, 9)
    sway = np.sin(2 * np.pi * time * rng.uniform(.2, .4))
    put(pose, lean=.03 * sway, nod=.08 * np.sin(2 * np.pi * .31 * time), turn=.12 * np.sin(2 * np.pi * .17 * time),
        left_arm_flex=.07 * sway, right_arm_flex=-.07 * sway)
    return pose


def fidget(frames: int, rng: np.random.Generator) -> Pose:
    """Idle: one hand on the hip or at the head."""
    pose, side = _rest(frames), rng.choice(["left", "right"])
    if rng.random() < .5:
        put(pose, **{f"{side}_arm_out": .75, f"{side}_forearm_out": -.75, f"{side}_forearm_flex": .4})
    else:
        put(pose, **{f"{side}_arm_out": .9, f"{side}_arm_flex": .6, f"{side}_forearm_out": -.35,
                     f"{side}_forearm_flex": 2.7})
    return pose


def walk(frames: int, rng: np.random.Generator, way: float) -> Pose:
    """Idle: walking `way` body heights to the right (left if negative); x goes from 0 to `way`."""
    pose = _rest(frames)
    ease = _smooth(np.linspace(0, 1, frames))
    speed = np.minimum(1, 4 * ease * (1 - ease))
    step = np.sin(2 * np.pi * rng.uniform(.85, 1.05) * np.arange(frames) / FPS) * speed
    put(pose, x=way * ease, turn=np.sign(way) * 1.25, lean=.06,
        left_thigh_flex=.55 * step, right_thigh_flex=-.55 * step, left_shin_flex=.55 * step - .45 * _up(-step),
        right_shin_flex=-.55 * step - .45 * _up(step), left_arm_flex=-.5 * step, right_arm_flex=.5 * step,
        left_forearm_flex=.3 - .5 * step, right_forearm_flex=.3 + .5 * step)
    return pose


def jump(frames: int, rng: np.random.Generator) -> Pose:
    """Crouch, leap and land repeatedly, flinging the arms up."""
    pose = _rest(frames)
    phase = _cycles(frames, rng.uniform(.85, 1.05))
    crouch = _pulse(phase, .0, .36) + .7 * _pulse(phase, .68, 1)
    air = _pulse(phase, .34, .72)
    fling = _pulse(phase, .2, .9)
    put(pose, lift=rng.uniform(.22, .3) * air, lean=.4 * crouch, both_thigh_flex=.95 * crouch + .25 * air,
        both_shin_flex=-.85 * crouch - .5 * air, both_arm_flex=2.4 * fling, both_forearm_flex=2.7 * fling)
    return pose


def wave(frames: int, rng: np.random.Generator) -> Pose:
    """One arm up, the forearm swinging from side to side."""
    pose = _rest(frames)
    side = rng.choice(["left", "right"])
    swing = np.sin(2 * np.pi * rng.uniform(1.5, 2.1) * np.arange(frames) / FPS)
    put(pose, **{f"{side}_arm_out": 1.75, f"{side}_forearm_out": 2.75 + .6 * swing, f"{side}_forearm_flex": .2})
    return pose


def clap(frames: int, rng: np.random.Generator) -> Pose:
    """Clap both hands in front of the chest."""
    pose = _rest(frames)
    apart = .5 + .5 * np.cos(2 * np.pi * rng.uniform(1.5, 2.1) * np.arange(frames) / FPS)
    put(pose, both_arm_flex=.75, both_arm_out=.15 + .35 * apart, both_forearm_flex=1.75,
        both_forearm_out=-.5 + 1.15 * apart)
    return pose


def squat(frames: int, rng: np.random.Generator) -> Pose:
    """Bend the knees and rise again, arms held out."""
    pose = _rest(frames)
    down = _pulse(_cycles(frames, rng.uniform(1.5, 2.1)), 0, 1) ** .7
    arms = rng.uniform(.6, 1)
    put(pose, lean=.55 * down, both_thigh_flex=1.55 * down, both_shin_flex=-.75 * down, both_thigh_out=.07 + .25 * down,
        both_arm_flex=1.5 * arms * down, both_forearm_flex=.18 + 1.4 * arms * down)
    return pose


def bow(frames: int, rng: np.random.Generator) -> Pose:
    """Bend the trunk down and up, knees straight."""
    pose = _rest(frames)
    down = _pulse(_cycles(frames, rng.uniform(1.8, 2.6)), 0, 1) ** .6
    depth = rng.uniform(1.2, 1.5)
    put(pose, lean=depth * down, nod=.3 * down, both_arm_flex=.35 * down, both_forearm_flex=.18 + .3 * down,
        both_thigh_flex=-.12 * down, both_shin_flex=-.12 * down)
    return pose


def kick(frames: int, rng: np.random.Generator) -> Pose:
    """Kick forward, alternating legs."""
    pose = _rest(frames)
    period = rng.uniform(.85, 1.1)
    phase = _cycles(frames, period)
    height = _pulse(phase, .1, .95) * rng.uniform(1.35, 1.7)
    back = _pulse(phase, 0, .25)
    legs = ["left", "right"]
    rng.shuffle(legs)
    odd = np.arange(frames) * _count(frames, period) // frames % 2
    for leg, mine in zip(legs, (odd == 0, odd == 1), strict=True):
        other = "right" if leg == "left" else "left"
        put(pose, **{f"{leg}_thigh_flex": mine * (height - .4 * back), f"{leg}_shin_flex": mine * (height - 1. * back),
                     f"{other}_arm_flex": mine * .9 * height})
    put(pose, lean=-.15 * height, both_arm_out=.55)
    return pose


def spin(frames: int, rng: np.random.Generator) -> Pose:
    """Spin on the spot, arms spread."""
    pose = _rest(frames)
    turns = _count(frames, rng.uniform(1.1, 1.5)) * rng.choice([-1, 1])
    spread = rng.uniform(1, 1.5)
    angle = 2 * np.pi * turns * np.linspace(0, 1, frames)
    # Wrapped to -pi .. pi, so that easing out of the last turn does not unwind the earlier ones.
    put(pose, turn=(angle + np.pi) % (2 * np.pi) - np.pi, both_arm_out=spread, both_forearm_out=spread)
    return pose


@dataclass(frozen=True)
class Action:
    """One action class: its pose function, and its shortest and longest duration in seconds."""

    pose: Callable[[int, np.random.Generator], Pose]
    shortest: float
    longest: float


ACTIONS = {
    "bow": Action(bow, 1.6, 5),
    "clap": Action(clap, 1.2, 7),
    "jump": Action(jump, 1, 6),
    "kick": Action(kick, 1, 5),
    "spin": Action(spin, 1.2, 6),
    "squat": Action(squat, 1.5, 7),
    "wave": Action(wave, 1.2, 8),
}


def blend(idle: Pose, action: Pose) -> Pose:
    """Replace the idle pose by the action, easing in and out over at most .3 s; their x positions add up."""
    ramp = min(int(.3 * FPS), len(action) // 4)
    weight = np.minimum(1, np.minimum(np.arange(1, len(action) + 1), np.arange(len(action), 0, -1)) / (ramp + 1))
    mixed = idle + _smooth(weight)[:, None] * (action - idle)
    mixed[:, INDEX["x"]] = idle[:, INDEX["x"]] + action[:, INDEX["x"]]
    return mixed


def _smooth(value: NDArray) -> NDArray:
    return value * value * (3 - 2 * value)


def _up(value: NDArray) -> NDArray:
    return np.maximum(value, 0)


def _count(frames: int, period: float) -> int:
    return max(1, round(frames / FPS / period))


def _cycles(frames: int, period: float) -> NDArray:
    """Phase from 0 to 1 of a whole number of cycles of about `period` seconds each, [F]."""
    return np.arange(frames) / frames * _count(frames, period) % 1


def _pulse(phase: NDArray, begin: float, end: float) -> NDArray:
    """A half sine wave over [begin, end] of the phase, 0 elsewhere."""
    inside = (phase - begin) / (end - begin)
    return np.where((inside > 0) & (inside < 1), np.sin(np.pi * np.clip(inside, 0, 1)), 0)


THIGH, SHIN, TRUNK, NECK, ARM, FOREARM, FOOT = .235, .225, .29, .125, .16, .155, .06
SHOULDER, HIP, HEAD = .1, .055, .072
JOINTS = ("hips", "chest", "head", "left_shoulder", "left_elbow", "left_hand", "right_shoulder", "right_elbow",
          "right_hand", "left_hip", "left_knee", "left_ankle", "left_toe", "right_hip", "right_knee", "right_ankle",
          "right_toe", "face")


def skeleton(pose: Pose, view: float) -> dict[str, NDArray[np.float64]]:
    """Compute the joint positions of a pose.

    Args:
        pose: [F, P].
        view: Radians by which the figure is turned away from facing the viewer.

    Returns:
        {joint: [F, 3]}: right, up and towards the viewer, in body heights; the ground is at up = 0.
    """
    def value(name: str) -> NDArray:
        return pose[:, INDEX[name]]

    def pitched(right: float | NDArray, up: float, forward: float, angle: NDArray) -> NDArray:
        return np.stack([np.broadcast_to(right, angle.shape), up * np.cos(angle) - forward * np.sin(angle),
                         up * np.sin(angle) + forward * np.cos(angle)], -1)

    joints = {"hips": np.zeros((len(pose), 3))}
    lean = value("lean")
    joints["chest"] = pitched(0, TRUNK, 0, lean)
    joints["head"] = joints["chest"] + pitched(0, NECK, 0, lean + value("nod"))
    joints["face"] = joints["head"] + pitched(0, .01, HEAD, lean + value("nod"))
    for side, sign in (("left", 1), ("right", -1)):
        def limb(name: str, length: float, side: str = side, sign: int = sign) -> NDArray:
            flex, out = value(f"{side}_{name}_flex"), value(f"{side}_{name}_out")
            return length * np.stack([sign * np.sin(out), -np.cos(out) * np.cos(flex), np.cos(out) * np.sin(flex)], -1)

        joints[f"{side}_shoulder"] = joints["chest"] + pitched(sign * SHOULDER, -.02, 0, lean)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + limb("arm", ARM)
        joints[f"{side}_hand"] = joints[f"{side}_elbow"] + limb("forearm", FOREARM)
        joints[f"{side}_hip"] = np.array([sign * HIP, 0, 0]) + joints["hips"]
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + limb("thigh", THIGH)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + limb("shin", SHIN)
        tiptoe = np.minimum(0, -value(f"{side}_shin_flex"))
        joints[f"{side}_toe"] = joints[f"{side}_ankle"] + pitched(0, 0, FOOT, tiptoe)
    ground = np.minimum(joints["left_ankle"][:, 1], joints["right_ankle"][:, 1]) - .03 - value("lift")
    turn = view + value("turn")
    placed = {}
    for name, at in joints.items():
        right, up, forward = at[:, 0], at[:, 1] - ground, at[:, 2]
        placed[name] = np.stack([right * np.cos(turn) + forward * np.sin(turn) + value("x"), up,
                                 forward * np.cos(turn) - right * np.sin(turn)], -1)
    return placed


@dataclass(frozen=True)
class Looks:
    """Colours (RGB), height in pixels, and girth: the limb width as a fraction of the height."""

    shirt: tuple[int, int, int]
    trousers: tuple[int, int, int]
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    shoes: tuple[int, int, int]
    height: float
    girth: float


def _shade(colour: tuple[int, int, int], factor: float) -> tuple[int, int, int]:
    return tuple(min(255, int(channel * factor)) for channel in colour)


def draw(canvas: ImageDraw.ImageDraw, joints: dict[str, NDArray[np.float64]], frame: int, looks: Looks,
         origin: tuple[float, float]) -> None:
    """Draw the figure in one frame, far limbs first; origin: pixel position of the ground point at x = 0."""
    scale, girth = looks.height, looks.girth * looks.height
    spot = {name: (origin[0] + at[frame, 0] * scale, origin[1] - at[frame, 1] * scale) for name, at in joints.items()}
    depth = {name: at[frame, 2] for name, at in joints.items()}
    middle = depth["hips"]
    outline = max(2, round(girth * .16))

    def tube(names: list[str], colour: tuple[int, int, int], width: float, near: float) -> None:
        colour = _shade(colour, .8 if near < middle - .02 else 1)
        for paint, grow in ((_shade(colour, .45), outline), (colour, 0)):
            size = width + grow
            canvas.line([spot[name] for name in names], paint, round(size))
            for name in names:
                across, down = spot[name]
                canvas.ellipse((across - size / 2, down - size / 2, across + size / 2, down + size / 2), paint)

    def disc(name: str, colour: tuple[int, int, int], radius: float) -> None:
        across, down = spot[name]
        canvas.ellipse((across - radius, down - radius, across + radius, down + radius), colour)

    def leg(side: str) -> None:
        tube([f"{side}_ankle", f"{side}_toe"], looks.shoes, girth * .75, depth[f"{side}_knee"])
        tube([f"{side}_hip", f"{side}_knee", f"{side}_ankle"], looks.trousers, girth, depth[f"{side}_knee"])

    def arm(side: str) -> None:
        near = depth[f"{side}_shoulder"]
        tube([f"{side}_elbow", f"{side}_hand"], looks.skin, girth * .68, near)
        tube([f"{side}_shoulder", f"{side}_elbow"], looks.shirt, girth * .8, near)
        disc(f"{side}_hand", _shade(looks.skin, .8 if near < middle - .02 else 1), girth * .46)

    def trunk() -> None:
        corners = [spot[name] for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
        for paint, grow in ((_shade(looks.shirt, .45), outline), (looks.shirt, 0)):
            canvas.polygon(corners, paint, paint)
            size = girth * .95 + grow
            canvas.line([*corners, corners[0], corners[1]], paint, round(size))
            for across, down in corners:
                canvas.ellipse((across - size / 2, down - size / 2, across + size / 2, down + size / 2), paint)

    def head() -> None:
        radius = HEAD * scale
        tube(["chest", "head"], looks.skin, girth * .6, middle)
        disc("head", _shade(looks.skin, .45), radius + outline / 2)
        across, down = spot["head"]
        aside, towards = (spot["face"][0] - across) / radius, (depth["face"] - depth["head"]) * scale / radius
        disc("head", looks.hair, radius)
        if towards > -.75:
            shift = aside * radius * .45
            drop = radius * .22 + max(0, spot["face"][1] - down) * .3
            canvas.ellipse((across + shift - radius * .8, down + drop - radius * .8, across + shift + radius * .8,
                            down + drop + radius * .78), looks.skin)
            if towards > -.1:
                for sign in (-1, 1):
                    eye = across + shift * 1.5 + sign * radius * .34 * max(.25, towards)
                    canvas.ellipse((eye - radius * .12, down + drop - radius * .22, eye + radius * .12,
                                    down + drop + radius * .06), (40, 34, 34))

    parts = [(depth[f"{side}_knee"], leg, side) for side in ("left", "right")]
    parts += [(.5 * depth[f"{side}_shoulder"] + depth[f"{side}_hand"] * .5, arm, side) for side in ("left", "right")]
    behind = sorted((part for part in parts if part[0] < middle - .01), key=lambda part: part[0])
    front = sorted((part for part in parts if part[0] >= middle - .01), key=lambda part: part[0])
    bowed = depth["head"] > middle + .12
    for _, part, side in behind:
        part(side)
    if not bowed:
        head()
    for _, part, side in front:
        if part is leg:
            part(side)
    trunk()
    if bowed:
        head()
    for _, part, side in front:
        if part is arm:
            part(side)
