"""A run's lock: only one process works on a run, and others can check whether one does."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from hrpro.data.run import Run
from hrpro.errors import InputError

HOLD = """
import sys
from pathlib import Path
from hrpro.data.run import Run
with Run(Path(sys.argv[1])).exclusive_lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "ckpt" / "tiny" / "run")


@pytest.fixture
def holder(run):
    """A process that is working on the run."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, run.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_run_is_busy_while_its_process_lives_even_if_suspended(run, holder):
    assert run.busy()
    holder.send_signal(signal.SIGSTOP)
    assert run.busy()
    with pytest.raises(InputError, match="another process is working on this run"):
        run.refuse_busy()
    with pytest.raises(InputError, match="another process is working on this run"), run.exclusive_lock():
        pass
    holder.kill()
    holder.wait()
    assert not run.busy()
    run.refuse_busy()


def test_checking_creates_nothing_and_an_empty_run_leaves_no_folder(run, tmp_path):
    assert not run.busy() and not list(tmp_path.iterdir())
    with run.exclusive_lock():
        assert run.busy()
        with run.exclusive_lock():                      # as the stages of one training do
            assert run.busy()
        assert run.busy()
    assert not run.root.exists()
    with run.exclusive_lock():
        (run.root / "stage1").mkdir()
    assert run.root.exists() and not run.busy()


LEFT = ["stage1/.config.json.abcdefgh", "stage1/.points.csv.a1b2c3_4", "stage1/models/.last.pt.zzzzzzzz",
        "stage1/outputs/.snippet_scores_test.npz.00000000", "stage2/outputs/.final_result_test.json._x_x_x_x"]
KEPT = [".gitlab-ci.yml", ".config.json.abcdefgh", "src/.env.local", "stage1/.env.local", "stage1/.last.pt",
        "stage1/.config.json.backup", "stage1/.config.json.ABCDEFGH", "stage1/models/.mine.pt.abcdefgh",
        "stage1/models/old/.last.pt.abcdefgh", "stage3/.config.json.abcdefgh"]


def test_only_leftovers_of_files_that_a_run_writes_are_removed(run, tmp_path):
    """A data set's settings can name any folder as the run's."""
    for name in (*LEFT, *KEPT):
        path = run.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    outside = tmp_path / "elsewhere" / ".last.pt.abcdefgh"
    outside.parent.mkdir()
    outside.write_text("mine")
    (run.root / "stage2" / "models").symlink_to(outside.parent)
    (run.root / "stage2" / "outputs" / ".metrics.json.abcdefgh").symlink_to(outside)
    with run.exclusive_lock():
        assert not [name for name in LEFT if (run.root / name).exists()]
        assert [name for name in KEPT if (run.root / name).exists()] == KEPT
    assert outside.exists() and (run.root / "stage2" / "outputs" / ".metrics.json.abcdefgh").is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, lambda lock: lock.symlink_to("precious.txt")])
def test_lock_that_is_a_pipe_or_a_link_is_refused(run, make):
    run.root.mkdir(parents=True)
    make(run.root / ".lock")
    with pytest.raises(InputError, match=r"run/\.lock: cannot be written \(.*a regular file\)"), run.exclusive_lock():
        pass
    assert not (run.root / "precious.txt").exists()


def test_error_inside_the_lock_propagates(run):
    with pytest.raises(FileNotFoundError), run.exclusive_lock():
        (run.root / "nothing").read_text()
    assert not run.busy()


def test_another_thread_is_refused_the_lock(run):
    refused = []

    def attempt():
        try:
            with run.exclusive_lock():
                pass
        except InputError as error:
            refused.append(error)

    with run.exclusive_lock():
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert len(refused) == 1


def test_constant_polling_does_not_keep_training_from_starting(run):
    run.root.mkdir(parents=True)
    (run.root / "stage1").mkdir()
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            run.busy()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    with run.exclusive_lock():
        pass
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with run.exclusive_lock():
                pass
    finally:
        ended.set()
        for thread in threads:
            thread.join()
