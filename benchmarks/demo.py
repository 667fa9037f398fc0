"""The demo from generation to detections: time of each step, and mAP of both stages compared with chance."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hrpro.config import load_config
from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision
from hrpro.evaluation.report import evaluate_files
from hrpro.files import read_json

TIOU = [.1, .2, .3, .4, .5, .6, .7]


def timed(*arguments: str | Path) -> float:
    """Run `python -m hrpro` and return the seconds it takes."""
    began = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "hrpro", *map(str, arguments)], capture_output=True, text=True)
    if ended.returncode:
        sys.exit(ended.stderr)
    return time.perf_counter() - began


def guess(data: Path, rng: np.random.Generator, per_video: int) -> tuple[Segments, Segments]:
    """Return the test videos' ground truth, and proposals with random positions and scores.

    Lengths and classes are drawn from the segments of the training videos.
    """
    everything = Segments.from_activitynet(data / "gt_full.json")
    train, test = ((data / f"split_{split}.txt").read_text().split() for split in ("train", "test"))
    known = everything[np.isin(everything.video, [everything.videos.index(video) for video in train])]
    truth = Segments.from_activitynet(data / "gt_full.json", everything.classes, test)
    database = read_json(data / "gt_full.json")["database"]
    duration = np.array([database[video]["duration"] for video in test])
    video = np.repeat(np.arange(len(test)), per_video)
    drawn = rng.integers(len(known), size=len(video))
    length = np.minimum(known.length[drawn], duration[video])
    start = rng.uniform(0, duration[video] - length)
    return truth, Segments(start, start + length, known.label[drawn], rng.random(len(video)), video, truth.classes,
                           truth.videos)


def chance(data: Path, draws: int = 50, per_video: int = 100) -> np.ndarray:
    """Return the mAP of guessing at each threshold, averaged over `draws` guesses."""
    rng = np.random.default_rng(0)
    return np.mean([average_precision(*guess(data, rng, per_video), TIOU).mAP for _ in range(draws)], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="train with this many seeds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, ckpt = Path(folder) / "dataset" / "demo", Path(folder) / "ckpt"
        cfg = data / "config.yaml"
        print(f"{os.cpu_count()} processors\ndemo made, features included: {timed('demo', '--out', data):.0f} s")
        rows = {"chance": chance(data)}
        for seed in range(args.seeds):
            for stage in (1, 2):
                seconds = timed("train", "--cfg", cfg, "--data_path", data, "--ckpt_path", ckpt, "--seed", seed,
                                "--stages", stage, "--set", f"task_info=seed{seed}")
                run = Run.of(load_config(cfg, [f"task_info=seed{seed}"], ckpt_path=str(ckpt)))
                print(f"stage {stage} trained and tested, seed {seed}: {seconds:.0f} s")
                rows[f"stage {stage}, seed {seed}"] = evaluate_files(
                    data / "gt_full.json", run.stage(stage).final_result, "Test", TIOU).precision.mAP
        print(f"{'mAP at tIoU':20}" + "".join(f"{at:7}" for at in TIOU) + "    mean")
        for name, values in rows.items():
            print(f"{name:20}" + "".join(f"{value:7.3f}" for value in [*values, values.mean()]))


if __name__ == "__main__":
    main()
