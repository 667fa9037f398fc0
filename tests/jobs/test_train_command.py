"""`python -m hrpro train`: a round trip of its command line, and training both stages in a real background process."""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from hrpro.config import load_config
from hrpro.data.run import Run
from hrpro.errors import InputError
from hrpro.jobs.background import Job, find_job, jobs, status, tail
from hrpro.jobs.train import add_arguments, resume_training, shell, start_training, train_arguments
from hrpro.training.command import config_from


def parse(arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize("changes", [
    {}, {"seed": 3, "data_path": "/data/a b", "ckpt_path": "else/where"}, {"lr": 1e-7, "act_thresh_cas": [.1, .2]},
    *({"task_info": name} for name in ("a b", "true", "1e-3", "*x", "null", "- x", "#a", "'q'", "ünï", "2020-01-01")),
    {"points": "", "blocked_videos": ["a", "b c"], "reference_quirks": True, "num_segments": -1}])
def test_command_line_reproduces_the_settings(changes):
    config = dataclasses.replace(load_config("gtea"), **changes)
    words = train_arguments("gtea", config, (2,), resume=True)
    pasted = shlex.split(shell(words))
    assert pasted[:4] == ["python", "-m", "hrpro", "train"] and pasted[3:] == words
    args = parse(words[1:])
    assert config_from(args) == config and (args.cfg, args.stages, args.resume) == ("gtea", [2], True)


def test_values_that_begin_with_a_dash_are_no_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-mine.yaml").write_text("dataset: mine\n")
    config = load_config("-mine.yaml", ckpt_path="-runs", data_path="-data", task_info="-x")
    assert config_from(parse(train_arguments("-mine.yaml", config)[1:])) == config


def test_default_settings_are_left_out_of_the_command_line():
    assert train_arguments("gtea", load_config("gtea")) == ["train", "--cfg", "gtea"]


def test_job_is_resumed_with_the_current_interpreter(tmp_path):
    (tmp_path / "jobs").mkdir()
    record = {"id": "a", "label": "train tiny/x", "target": str(tmp_path / "tiny" / "x"), "pid": 999_999, "started": 1,
              "command": ["/bin/false", "-m", "hrpro", "train", "--cfg", "nosuch"]}
    (tmp_path / "jobs" / "a.json").write_text(json.dumps(record))
    again = ended(resume_training(find_job(tmp_path, "a")))
    assert again.command == [sys.executable, *record["command"][1:], "--resume"]
    assert "no such configuration" in status(again).message


@pytest.mark.parametrize("words", [["-c", "exit", "train"], ["-m", "hrpro", "extract"], ["-m", "hrpro"], []])
def test_job_of_another_command_is_not_resumed(tmp_path, words):
    target, folder = tmp_path / "tiny" / "x", tmp_path / "jobs"
    job = Job("a", "train tiny/x", [sys.executable, *words], str(target), 999_999, 1., folder)
    with pytest.raises(InputError, match=r"jobs/a\.json: .* is not `python -m hrpro train …`, so it cannot be resumed"):
        resume_training(job)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_background_training_of_both_stages_resumes(tmp_path, make_dataset):
    root = make_dataset(tmp_path / "tiny", num_iters=300, test_iter=30, max_epochs=2, num_threads=1)
    cfg = str(root / "config.yaml")
    words = ["--cfg", cfg, "--data_path", str(root), "--ckpt_path", str(tmp_path / "ckpt"), "--set", "dataset=tiny"]

    def train(*more):
        return subprocess.run([sys.executable, "-m", "hrpro", "train", *words, *more], capture_output=True, text=True)

    started = train("--detach")
    assert started.returncode == 0, started.stderr
    job, = jobs(tmp_path / "ckpt")
    assert started.stdout.startswith(f"{job.id}: started.")
    run = Run(tmp_path / "ckpt" / "tiny" / "HR-Pro")
    for refused in (train(), train("--detach")):
        assert refused.returncode == 2 and f"job {job.id}" in refused.stderr
        assert "is already running on it" in refused.stderr
    wait(lambda: run.stage(1).events_file.exists() or not status(job).running)
    refused = subprocess.run([sys.executable, "main.py", "--mode", "train", *words], capture_output=True, text=True)
    assert refused.returncode == 2 and "another process is working on this run" in refused.stderr, refused.stderr
    wait(lambda: run.stage(1).checkpoint("last").exists() or not status(job).running)
    os.killpg(job.pid, signal.SIGKILL)
    wait(lambda: not status(job).running)
    assert status(job).state == "died"

    config = config_from(parse(words))
    with pytest.raises(InputError, match="--resume needs the settings"):
        raise InputError(tail(ended(start_training(cfg, dataclasses.replace(config, lr=.5), resume=True)), 1)[0])
    job = ended(start_training(cfg, config, resume=True))
    assert status(job).state == "finished", tail(job)
    for stage in (1, 2):
        assert run.stage(stage).metrics_file.exists() and run.stage(stage).final_result.exists()
    steps = [event["step"] for event in run.events(1)[0] if event["event"] == "step"]
    assert steps[-1] == 300

    before = run.stage(1).proposals_file.stat().st_mtime_ns
    assert train("--resume").returncode == 0
    assert run.stage(1).proposals_file.stat().st_mtime_ns == before    # stage 1 was done and is not repeated


def ended(job):
    wait(lambda: not status(job).running)
    return job


def wait(condition, seconds=240):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(.05)
