"""The paper's command line: run one stage in one mode."""

from __future__ import annotations

import argparse

from hrpro.config import Config, config_names, load_config


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for settings that all training commands share."""
    parser.add_argument("--cfg", default="thumos", metavar="CFG",
                        help=f"settings: {', '.join(config_names())}, or a YAML file (default: thumos)")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of every random generator")
    parser.add_argument("--ckpt_path", metavar="DIR", help="folder for runs")
    parser.add_argument("--data_path", metavar="DIR", help="folder of the data set")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="overrides",
                        help="any setting, such as feature_dim=256")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint")


def config_from(args: argparse.Namespace) -> Config:
    """Load the settings given on the command line.

    Raises:
        InputError: everything that is wrong with them.
    """
    named = {"seed": args.seed, "ckpt_path": args.ckpt_path, "data_path": args.data_path}
    return load_config(args.cfg, args.overrides, **{key: value for key, value in named.items() if value is not None})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument("--stage", type=int, choices=(1, 2), default=1)
    parser.add_argument("--mode", choices=("train", "test", "infer"), default="train",
                        help="train; test: raw proposals of both splits and their ranking; infer: detections alone")


def run(args: argparse.Namespace) -> int:
    config = config_from(args)
    from hrpro.training import stage1, stage2  # torch is slow to import, so settings are checked first

    stage = {1: stage1, 2: stage2}[args.stage]
    if args.mode == "train":
        stage.train(config, resume=args.resume)
    else:
        {"test": stage.test, "infer": stage.infer}[args.mode](config)
    return 0
