"""THUMOS14 annotations with simulated features, from the shared material: the data that the figures are measured on."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from hrpro.config import Config, load_config

SHARED = Path(os.environ.get("HRPRO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
# The settings used to measure the published program on these features.
SETTINGS = ("num_iters=400", "lr=0.001", "max_epochs=8", "lr2=0.0005")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=Path("dataset/THUMOS14-simulated"), metavar="DIR",
                        help="THUMOS14 with simulated features; made from the shared material if it is not there")
    parser.add_argument("--dim", type=int, default=256, help="size of a feature")


def thumos(args: argparse.Namespace, ckpt: Path, *overrides: str) -> Config:
    """Return settings for the simulated data, generating the data first if necessary."""
    data = args.data.with_name(f"{args.data.name}-{args.dim}")
    if not (data / "features" / "test").is_dir():
        source = SHARED / "datasets" / "THUMOS14"
        if not source.is_dir():
            sys.exit(f"{source} is not there: set HRPRO_SHARED, or give --data.")
        shutil.copytree(source, data, dirs_exist_ok=True)
        making = data / "making"
        subprocess.run([sys.executable, SHARED / "tools" / "simulate_features.py", data / "gt_full.json", making,
                        "--dim", str(args.dim), "--seed", "0", "--train", data / "split_train.txt",
                        "--test", data / "split_test.txt"], check=True)
        making.rename(data / "features")
    return load_config("thumos", [f"feature_dim={args.dim}", *SETTINGS, *overrides], data_path=str(data),
                       ckpt_path=str(ckpt))
