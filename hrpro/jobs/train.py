"""`python -m hrpro train`: train and test both stages in sequence, in this process or in the background."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from hrpro.config import Config, load_config
from hrpro.data.run import STAGES, Run
from hrpro.errors import InputError
from hrpro.jobs.background import Job, hrpro_command, refuse_second, start
from hrpro.training.command import add_config_arguments, config_from
from hrpro.yaml_files import parse_yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument("--stages", type=int, nargs="+", choices=STAGES, default=STAGES, help="default: 1 2")
    parser.add_argument("--detach", action="store_true", help="run in the background; see `python -m hrpro jobs`")


def run(args: argparse.Namespace) -> int:
    """Train and test the stages in order; with --resume, only what is not done yet."""
    config = config_from(args)
    if args.detach:
        job = start_training(args.cfg, config, args.stages, resume=args.resume)
        print(f"{job.id}: started. Its log is {job.log}; `python -m hrpro jobs` shows its state.")
        return 0
    refuse_second(config.ckpt_path, Run.of(config).root)
    train(config, args.stages, resume=args.resume)
    return 0


def train(config: Config, stages: Sequence[int] = STAGES, *, resume: bool = False) -> None:
    """Train and test the stages in order; with `resume`, only what is not done yet.

    Raises:
        InputError: The settings, data, device or a checkpoint are invalid.
        Cancelled: Stopped by a signal.
    """
    from hrpro.training import stage1, stage2  # loads torch only once the settings are valid

    run = Run.of(config)
    with run.exclusive_lock():
        begun = {stage: resume and any(run.stage(stage).checkpoint(name).exists() for name in ("last", "best"))
                 for stage in STAGES}
        for stage in sorted(set(stages)):
            if stage == 1 and 2 in stages and begun[2]:         # stage 2 starts only after stage 1 is done
                continue
            module = {1: stage1, 2: stage2}[stage]
            module.train(config, resume=begun[stage])
            module.test(config)


def start_training(cfg: str, config: Config, stages: Sequence[int] = STAGES, *, resume: bool = False) -> Job:
    """Train as a background job; InputError if another process is working on this run."""
    run = Run.of(config)
    refuse_second(config.ckpt_path, run.root)
    run.refuse_busy()
    arguments = train_arguments(cfg, config, stages, resume=resume)
    return start(config.ckpt_path, hrpro_command(*arguments), f"train {config.dataset}/{config.task_info}", run.root)


def resume_training(job: Job) -> Job:
    """Restart a job's training from its last checkpoint, with the current interpreter.

    Raises:
        InputError: Another process is working on this run, or the job is not `python -m hrpro train …`.
    """
    if job.arguments[:1] != ["train"]:
        raise InputError(f"{job.folder / job.id}.json: {shlex.join(job.command)[:200]!r} is not `python -m hrpro train "
                         "…`, so it cannot be resumed. Continue the run with `python -m hrpro train --resume`.")
    run = Run(Path(job.target))
    run.refuse_busy()
    command = hrpro_command(*job.arguments, *(["--resume"] if "--resume" not in job.arguments else []))
    return start(job.folder.parent, command, job.label, run.root)


def train_arguments(cfg: str, config: Config, stages: Sequence[int] = STAGES, *, resume: bool = False) -> list[str]:
    """Return the arguments of `python -m hrpro` that train with `config`.

    Args:
        cfg: The configuration file or name that `config` is based on.
        config: The settings; those that differ from `cfg` become arguments.
        stages: The stages to train.
        resume: Add --resume.
    """
    base = load_config(cfg).to_dict()
    differing = {key: value for key, value in config.to_dict().items() if value != base[key]}
    named = [word for key in ("seed", "ckpt_path", "data_path") if key in differing
             for word in option(f"--{key}", str(differing.pop(key)))]
    settings = [f"{key}={_text(value)}" for key, value in differing.items()]
    return ["train", *option("--cfg", cfg), *named,
            *(["--stages", *map(str, stages)] if tuple(stages) != STAGES else []),
            *(["--set", *settings] if settings else []), *(["--resume"] if resume else [])]


def option(name: str, *values: str) -> list[str]:
    """Return an option's words; values that begin with a dash need `name=value`, or they would be read as options."""
    dashed = any(value.startswith("-") for value in values)
    return [f"{name}={value}" for value in values] if dashed else [name, *values]


def shell(arguments: Sequence[str]) -> str:
    """Format the arguments as a command line to paste into a shell."""
    return shlex.join(["python", "-m", "hrpro", *arguments])


def _text(value: Any) -> str:
    """Format a setting's value as `--set` reads it; strings stay unquoted where YAML allows it."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_./][\w./ -]*", value) and parse_yaml(value, "") == value:
        return value
    return orjson.dumps(value).decode()
