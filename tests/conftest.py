"""Fixtures for all tests: shared material, reference values, a small data set and a short trained run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import hrpro  # noqa: F401  before torch: sets how its threads wait

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material: next to the repository, or HRPRO_SHARED."""
    path = Path(os.environ.get("HRPRO_SHARED", ROOT.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"shared material is not at {path}; set HRPRO_SHARED")
    return path


@pytest.fixture(scope="session")
def reference() -> Path:
    """Inputs, and the published program's outputs for them on a CPU with dropout off and its quirks on."""
    return ROOT / "tests" / "reference"


@pytest.fixture(scope="session")
def make_dataset():
    """A function that writes a small learnable data set: `make_dataset(root, …) -> root`."""
    return _make_dataset


def _make_dataset(root: Path, *, train: int = 6, test: int = 3, dim: int = 32, seconds: float = 40.0,
                  **settings) -> Path:
    rng = np.random.default_rng(0)
    classes = ("jump", "run", "wave")
    looks = rng.normal(size=(len(classes), dim))
    database, points = {}, ["class,start_frame,stop_frame,video_id,point"]
    for split, count in (("train", train), ("test", test)):
        videos = [f"{split}_{number}" for number in range(count)]
        (root / "features" / split).mkdir(parents=True)
        (root / f"split_{split}.txt").write_text("\n".join(videos) + "\n")
        for number, video in enumerate(videos):
            features = rng.normal(size=(int(seconds * 25 / 16), dim)).astype(np.float32)
            annotations = []
            for turn, start in enumerate((4.0, 16.0, 28.0)):
                kind, end = (number + turn) % 3, start + rng.uniform(4, 8)
                features[int(start * 25 / 16):int(end * 25 / 16)] += 2 * looks[kind]
                annotations.append({"label": classes[kind], "segment": [start, end]})
                points.append(f"{classes[kind]},,,{video},{int((start + end) / 2 * 30)}")
            database[video] = {"duration": seconds, "fps": 30.0, "subset": split.title(), "annotations": annotations}
            np.save(root / "features" / split / f"{video}.npy", features)
    (root / "gt_full.json").write_text(json.dumps({"version": "1", "database": database}))
    (root / "point_labels").mkdir()
    (root / "point_labels" / "point_gaussian.csv").write_text("\n".join(points) + "\n")
    (root / "config.yaml").write_text(yaml.safe_dump(
        {"feature_dim": dim, "num_iters": 40, "test_iter": 10, "batch_size": 4, "max_epochs": 4, "batch_size2": 4,
         "lr": 1e-3, "lr2": 1e-3} | settings))
    return root


@pytest.fixture(scope="session")
def trained_world(tmp_path_factory) -> Path:
    """dataset/small and ckpt/small/first: a data set and a real run, trained too briefly to be accurate."""
    world = tmp_path_factory.mktemp("world")
    data = _make_dataset(world / "dataset" / "small", dataset="small", task_info="first", num_iters=6, test_iter=3,
                         max_epochs=2, averaging=0)         # its best and last checkpoints differ
    command = ["train", "--cfg", data / "config.yaml", "--data_path", data, "--ckpt_path", world / "ckpt"]
    subprocess.run([sys.executable, "-m", "hrpro", *command], cwd=ROOT, check=True, capture_output=True, timeout=300,
                   env=os.environ | {"OMP_NUM_THREADS": "1"})
    return world
