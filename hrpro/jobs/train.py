"""`python -m hrpro train`: the paper's four steps in one process, here or in the background."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hrpro.config import Config
from hrpro.data.run import Run
from hrpro.training.command import add_config_arguments, config_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument("--stages", type=int, nargs="+", choices=(1, 2), default=[1, 2],
                        help="stages to train and test")
    parser.add_argument("--detach", action="store_true", help="train in the background; see `python -m hrpro jobs`")


def run(args: argparse.Namespace) -> int:
    config = config_from(args)
    if args.detach:
        from hrpro.jobs.background import start
        command = [sys.executable, "-m", "hrpro", "train", *(word for word in sys.argv[2:] if word != "--detach")]
        job = start(config.ckpt_path, command, f"train {config.dataset}/{config.task_info}", config.run_root)
        print(f"{job.id}: started. `python -m hrpro jobs --ckpt_path {config.ckpt_path}` shows it.")
        return 0
    train(config, args.stages, resume=args.resume)
    return 0


def train(config: Config, stages: Sequence[int] = (1, 2), *, resume: bool = False) -> None:
    """Train and test the stages in a row; resuming goes on with each stage that has begun.

    Raises:
        InputError, Cancelled: as the stages do.
    """
    from hrpro.training import stage1, stage2
    for number in sorted(set(stages)):
        stage = {1: stage1, 2: stage2}[number]
        stage.train(config, resume=resume and Run.of(config).stage(number).checkpoint("last").exists())
        stage.test(config)
