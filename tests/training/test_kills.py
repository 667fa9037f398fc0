"""kill -9 while files are being written: the run resumes, ends with the same result, and leaves no temporary files.

Torch takes seconds to load, so one process loads it and forks; this file is also the program of that process.
"""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def forked(act) -> int:
    """Run `act` in a child process and return its exit code, negative for a signal."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os._exit(act())
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        os._exit(1)


def killed_at(call: str, name: str, count: int) -> None:
    """Kill this process at the `count`th call of os.`call` on a file of this name."""
    real, seen = getattr(os, call), [0]

    def watched(*arguments, **more):
        subject = os.readlink(f"/proc/self/fd/{arguments[0]}") if call == "fsync" else str(arguments[-1])  # noqa: PTH115
        seen[0] += name in Path(subject).name
        if call == "fsync" and seen[0] == count:        # the new content still has its temporary name
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **more)
        if seen[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, call, watched)


def kill_and_resume(module: str, arguments: list[str], kills: list[list]) -> None:
    """Train in `ckpt`/whole without interruption; then, per kill (call, name, count), in its own folder, and resume."""
    import torch  # noqa: F401

    from hrpro.cli import run_command
    from hrpro.training import stage1, stage2  # noqa: F401

    *arguments, ckpt = arguments

    def train(folder: str, *more: str, kill: list | None = None) -> int:
        if kill:
            killed_at(*kill)
        return run_command(module, "train", "", [*arguments, "--ckpt_path", f"{ckpt}/{folder}", *more])

    codes = [forked(partial(train, "whole"))]
    for kill in kills:
        again = partial(train, "-".join(map(str, kill)))
        first = forked(again) if kill[0] == "unlink" else 0             # leaves files for the next to delete
        codes.append([first, forked(partial(again, kill=kill)), forked(partial(again, "--resume"))])
    print(json.dumps(codes))


def run_apart(module: str, data: Path, ckpt: Path, kills: list[tuple], *settings: str) -> None:
    """Check that each run was killed, resumed with code 0, and left the weights and metrics of the unbroken one."""
    import torch

    arguments = ["--cfg", str(data / "config.yaml"), "--data_path", str(data), "--set", "num_threads=1", *settings]
    done = subprocess.run([sys.executable, __file__, json.dumps([module, [*arguments, str(ckpt)], kills])], cwd=ROOT,
                          capture_output=True, text=True, timeout=240, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0, *[[0, -signal.SIGKILL, 0]] * len(kills)], done.stderr[-3000:]
    whole = ckpt / "whole" / "small" / "HR-Pro"
    for kill in kills:
        run = ckpt / "-".join(map(str, kill)) / "small" / "HR-Pro"
        for one in whole.rglob("*.pt"):
            ours, theirs = (torch.load(path, weights_only=True) for path in (one, run / one.relative_to(whole)))
            assert ours["step"] == theirs["step"], (kill, one)
            assert all(torch.equal(weight, theirs["model"][name]) for name, weight in ours["model"].items()), kill
        for one in whole.rglob("*.json"):
            assert one.read_bytes() == (run / one.relative_to(whole)).read_bytes() or one.name == "config.json", kill
        assert not [path for path in run.rglob(".*") if path.name != ".lock"], kill


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux which file is flushed")
def test_run_killed_at_any_write_resumes_with_the_same_result(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small", num_iters=2, test_iter=1, averaging=0)
    kills = [("replace", "config.json", 1), ("replace", "best.pt", 1), ("replace", "last.pt", 1),
             ("replace", "last.pt", 2), ("replace", "metrics.json", 2), ("fsync", "last.pt", 2)]
    run_apart("hrpro.training.command", data, tmp_path / "ckpt", kills)


def test_training_killed_while_deleting_old_files_resumes(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small", num_iters=2, test_iter=1, max_epochs=1)
    kills = [("unlink", "config.json", 1), ("unlink", "last.pt", 1)]
    run_apart("hrpro.jobs.train", data, tmp_path / "ckpt", kills)


if __name__ == "__main__":
    kill_and_resume(*json.loads(sys.argv[1]))
