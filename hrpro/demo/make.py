"""Generate the demo project: videos of drawn figures, exact ground truth, and points as a person would click them."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import yaml
from PIL import Image, ImageChops, ImageDraw

from hrpro.data.points import CSV_COLUMNS
from hrpro.demo.figure import ACTIONS, FPS, INDEX, Looks, Pose, blend, draw, fidget, skeleton, stand, walk
from hrpro.demo.scenes import SCENES, melody
from hrpro.errors import InputError, raise_if
from hrpro.features.extract import FEATURE_DIM, extract_dataset
from hrpro.files import locked_folder, read_json, real_path, write_atomic, write_json
from hrpro.labels.operations import LabelStore
from hrpro.workers import worker_count, worker_pool

VERSION = "demo-1"                                      # change it whenever videos or labels change
SEED = 20240
SUBSETS = {"train": "Validation", "test": "Test"}
FILMING = .6                                            # fraction of the total time; the rest goes to features
SETTINGS = {"feature_dim": FEATURE_DIM, "num_iters": 100, "test_iter": 10, "batch_size": 12, "lr": 5e-4,
            "class_thresh": .3, "max_epochs": 30, "test_epoch": 3, "batch_size2": 3, "lr2": 1e-4,
            "max_proposal": 400}
# Number of action classes in each video of a subset.
VIDEOS = {"train": (2, 3, 1, 3, 2, 4, 2, 3, 1, 3, 2, 4), "test": (2, 3, 3, 1, 3, 2)}
WIDTH, HEIGHT, MARGIN, GRAIN = 320, 240, 16, 32
SOUND_RATE = 22_050


@dataclass(frozen=True)
class Script:
    """What happens in one video: segments (class, first frame, frame after the last) and poses [F, P]."""

    name: str
    subset: str
    number: int
    segments: tuple[tuple[str, int, int], ...]
    poses: Pose

    @property
    def frames(self) -> int:
        return len(self.poses)


def write_scripts() -> list[Script]:
    """Return the scripts of all videos, training videos first; deterministic."""
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
            scripts.append(_write_script(f"demo_{subset}_{number:02}", subset, len(scripts), kinds))
    return scripts


def _write_script(name: str, subset: str, number: int, kinds: list[str]) -> Script:
    rng = np.random.default_rng([SEED, 1, number])
    target, at, x = rng.uniform(21, 30) * FPS, 0, 0.
    pieces: list[tuple[int, Pose]] = []
    segments = []
    while at < target:
        for kind in rng.permutation(kinds).tolist():
            idle = int(rng.uniform(.8, 2.5) * FPS)
            draw_of = rng.random()
            if draw_of < .7:
                way = np.clip(rng.uniform(-.75, .75) - x, -.75 * idle / FPS, .75 * idle / FPS)
                pieces.append((at, walk(idle, rng, way)))
                x += way
            elif draw_of < .85:
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
    return Script(name, subset, number, tuple(segments), poses)


def _choose_looks(rng: np.random.Generator) -> Looks:
    def colour(low: int, high: int) -> tuple[int, int, int]:
        return tuple(int(channel) for channel in rng.integers(low, high, 3))

    skin = [(245, 214, 184), (226, 178, 136), (172, 120, 84), (116, 78, 56)][rng.integers(4)]
    hair = [(60, 40, 28), (120, 78, 40), (206, 170, 96), (30, 28, 32), (150, 60, 40)][rng.integers(5)]
    shirt = [(206, 62, 58), (236, 176, 48), (70, 150, 90), (64, 112, 196), (150, 84, 176),
             (240, 240, 236)][rng.integers(6)]
    trousers = [(52, 66, 120), (70, 70, 78), (110, 84, 60), (36, 92, 96)][rng.integers(4)]
    return Looks(shirt, trousers, skin, hair, colour(30, 70), 2 * rng.uniform(118, 158), rng.uniform(.07, .084))


def film(script: Script, path: Path) -> None:
    """Draw a script and encode it as H.264; every third video has no audio."""
    rng = np.random.default_rng([SEED, 2, script.number])
    looks, ground = _choose_looks(rng), 2 * (MARGIN + rng.uniform(196, 214))
    scene = list(SCENES.values())[script.number % len(SCENES)]
    stage = scene((2 * (WIDTH + 2 * MARGIN), 2 * (HEIGHT + 2 * MARGIN)), ground, rng)
    origin = 2 * (MARGIN + WIDTH / 2 + rng.uniform(-30, 30)), ground
    halved = {(x, y): stage.crop((x, y, *stage.size)).reduce(2) for x in (0, 1) for y in (0, 1)}
    shadow = tuple(int(channel * .72) for channel in stage.getpixel((int(origin[0]), int(ground) + 4)))
    joints = skeleton(script.poses, rng.choice([-1, 1]) * rng.uniform(.3, .7))
    shake = _shake(script.frames, rng)
    grain = rng.normal(GRAIN, rng.uniform(2, 4.5), (2 * HEIGHT, 2 * WIDTH)).clip(0, 2 * GRAIN).astype(np.uint8)
    grain = Image.fromarray(np.repeat(grain[..., None], 3, 2))
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={
            "preset": "superfast", "crf": "27", "g": str(FPS), "bf": "0", "threads": "1", "tune": "fastdecode"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if script.number % 3 else None
        for frame, (left, top) in enumerate(shake.tolist()):
            view = halved[left % 2, top % 2].crop((left // 2, top // 2, left // 2 + WIDTH, top // 2 + HEIGHT))
            # The double-size stage is worth its cost only around the figure.
            box = _around(joints, frame, looks.height, origin, (left, top))
            patch = stage.crop(box)
            at = origin[0] - box[0], origin[1] - box[1]
            brush = ImageDraw.Draw(patch)
            _draw_shadow(brush, joints, frame, looks.height, at, shadow)
            draw(brush, joints, frame, looks, at)
            view.paste(patch.reduce(2), ((box[0] - left) // 2, (box[1] - top) // 2))
            x, y = rng.integers(0, (WIDTH, HEIGHT)).tolist()
            view = ImageChops.add(view, grain.crop((x, y, x + WIDTH, y + HEIGHT)), 1, -GRAIN)
            picture = av.VideoFrame.from_image(view)
            picture.pts, picture.time_base = frame, Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if sound:
            _mux_sound(container, sound, melody(script.frames / FPS, SOUND_RATE, rng))


def _shake(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Top left corner of the camera's view on the double-size stage, drifting and trembling, [F, 2] whole pixels."""
    time, path = np.arange(frames) / FPS, np.zeros((frames, 2))
    for rate, size in ((.12, 9), (.5, 4), (1.7, 1.5)):
        path += size * rng.uniform(.3, 1.1, 2) * np.sin(2 * np.pi * (rate * rng.uniform(.7, 1.4, 2) * time[:, None]
                                                                     + rng.random(2)))
    path += rng.normal(0, rng.uniform(.2, .9), (frames, 2))
    return np.clip(np.rint(2 * MARGIN + path), 0, 4 * MARGIN).astype(int)


def _around(joints: dict[str, np.ndarray], frame: int, height: float, origin: tuple[float, float],
            corner: tuple[int, int]) -> tuple[int, int, int, int]:
    """The figure's box on the double-size stage, an even number of pixels from the view's corner."""
    spread = np.array([at[frame, :2] for at in joints.values()]) * (height, -height) + origin
    low, high = spread.min(0) - .17 * height, np.maximum(spread.max(0), origin[1] * np.array([0, 1])) + .17 * height
    left, top, right, bottom = ((np.concatenate([low, high]) - [*corner, *corner]) // 2 * 2).astype(int).tolist()
    return left + corner[0], top + corner[1], right + corner[0], bottom + corner[1]


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


def make_demo(out: Path, progress: Callable[[float, str], object] = lambda fraction, text: None, *,
              force: bool = False, workers: int | None = None) -> None:
    """Generate the demo data set with its features, replacing an older one.

    It is generated beside `out` and moved there when complete; an interrupted run is continued.

    Args:
        out: The data set's folder, or a link to it.
        progress: Called with the fraction done and a sentence.
        force: Replace a demo even if people have labelled in it.
        workers: Number of processes; one per processor if None.

    Raises:
        InputError: `out` exists and is not a demo, contains labels made by people, or is being made by another process.
    """
    _refuse_to_lose(Path(out), force)
    out = real_path(out)
    making = out.with_name(f".{out.name}.{VERSION}")
    (making / "videos").mkdir(parents=True, exist_ok=True)
    with locked_folder(making, busy=f"{making}: another process is making this demo. Wait until it ends."):
        _make(making, out.name, progress, workers)
        _refuse_to_lose(out, force)                     # again: labels or files may have been added in the meantime
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".old-") as old:
            if out.exists():
                out.rename(Path(old) / out.name)
            making.rename(out)


def _make(making: Path, name: str, progress: Callable[[float, str], object], workers: int | None) -> None:
    """Generate the whole demo in a folder that may hold an unfinished one; name: the data set's name."""
    scripts = write_scripts()
    _film_all(scripts, making / "videos", lambda part, text: progress(FILMING * part, text),
              worker_count(workers))
    _write_labels(scripts, making)
    write_atomic(making / "config.yaml", yaml.safe_dump({"dataset": name} | SETTINGS, sort_keys=False))
    done = extract_dataset(making, lambda part, text: progress(FILMING + (1 - FILMING) * part, text), workers)
    raise_if(list(done.failed.values()))


def _refuse_to_lose(out: Path, force: bool) -> None:
    if not out.exists():
        if out.is_symlink():
            raise InputError(f"{out}: is a symbolic link that leads nowhere. Remove it or choose another folder.")
        return
    truth = out / "gt_full.json"
    document = read_json(truth) if truth.exists() else None
    if not isinstance(document, dict) or not str(document.get("version")).startswith("demo-"):
        raise InputError(f"{out}: exists and is not a demo. Remove it or choose another folder.")
    if not force and any(operation["kind"] != "import" for operation in LabelStore(out).operations()):
        raise InputError(f"{out}: holds labels made by people, which would be lost. Move it away, or give --force.")


def _film_all(scripts: list[Script], folder: Path, progress: Callable[[float, str], object], workers: int) -> None:
    with worker_pool(min(workers, len(scripts))) as pool:
        waiting = {pool.submit(_film_to, script, folder) for script in scripts}
        for count, future in enumerate(as_completed(waiting), 1):
            future.result()
            progress(count / len(scripts), f"{count} of {len(scripts)} videos drawn")


def _film_to(script: Script, folder: Path) -> None:
    path = folder / f"{script.name}.mp4"
    if not path.exists():
        unfinished = folder / f".{script.name}.unfinished"
        unfinished.unlink(missing_ok=True)
        film(script, unfinished)
        unfinished.replace(path)


def _write_labels(scripts: list[Script], root: Path) -> None:
    """Write ground truth, splits, classes and points; all times are whole frames."""
    database = {script.name: {
        "subset": SUBSETS[script.subset], "duration": script.frames / FPS, "fps": FPS,
        "annotations": [{"label": kind, "segment": [begin / FPS, end / FPS]} for kind, begin, end in script.segments],
    } for script in scripts}
    write_json(root / "gt_full.json", {"version": VERSION, "database": database}, indent=True)
    for subset in SUBSETS:
        names = [script.name for script in scripts if script.subset == subset]
        write_atomic(root / f"split_{subset}.txt", "".join(f"{name}\n" for name in names))
    write_atomic(root / "classes.txt", "".join(f"{kind}\n" for kind in ACTIONS))
    points = io.StringIO()
    writer = csv.writer(points, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for script in scripts:
        if script.subset == "train":
            writer.writerows(_click(script))
    write_atomic(root / "point_labels" / "point_gaussian.csv", points.getvalue())


def _click(script: Script) -> Iterator[tuple[str, int, int, int, str, int]]:
    """Rows of the point CSV: clicks spread over the action (SD: a fifth of its length), a few actions forgotten."""
    rng = np.random.default_rng([SEED, 3, script.number])
    for kind, begin, end in script.segments:
        place, forgotten = np.clip(rng.normal(.5, .2), .03, .97), rng.random() < .07
        if not forgotten:
            point = int(begin + place * (end - begin))
            yield kind, list(ACTIONS).index(kind), begin, end, script.name, point
