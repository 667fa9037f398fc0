"""Worker processes end with the command that started them, however it ends."""

import os
import signal
import subprocess
import sys
import time

import pytest
from numbered_video import write_video
from processes import children, gone

from hrpro.jobs.background import start, status
from hrpro.workers import MAX_WORKERS, uninterrupted


def wait(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(.02)


def workers_of(command):
    """The pool's processes, without the resource tracker, which has another command line."""
    return children(command, "--multiprocessing-fork")


@pytest.fixture
def long_and_short(tmp_path):
    """A data set with a long and a short video, so that one of two workers is soon idle."""
    root = tmp_path / "films"
    (root / "videos").mkdir(parents=True)
    write_video(root / "videos" / "long.mp4", range(0, 400_000, 40), options={"preset": "ultrafast"})
    write_video(root / "videos" / "short.mp4", range(0, 1000, 40))
    (root / "split_train.txt").write_text("long\nshort\n")
    (root / "split_test.txt").write_text("long\n")
    return root


def both_at_work(root, command):
    """Whether the short video is done, the long one is not, and both workers are alive."""
    assert not (root / "features/train/long.npy").exists(), "too fast for this test: make the long video longer"
    return (root / "features/train/short.npy").exists() and len(workers_of(command)) == 2


def test_busy_and_idle_workers_end_with_a_killed_extraction(long_and_short):
    process = subprocess.Popen([sys.executable, "-m", "hrpro", "extract", long_and_short, "--workers", "2"],
                               start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        wait(lambda: both_at_work(long_and_short, process.pid))
        workers = workers_of(process.pid)
        process.kill()
        process.wait()
        wait(lambda: all(map(gone, workers)), 5)
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, True),
                                                   (signal.SIGTERM, False)])
def test_interrupted_extraction_ends_at_once(long_and_short, number, whole_group):
    """Ctrl-C in a terminal and the cancelling of a job reach the workers too."""
    process = subprocess.Popen([sys.executable, "-m", "hrpro", "extract", long_and_short, "--workers", "2"],
                               start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait(lambda: both_at_work(long_and_short, process.pid))
        workers = workers_of(process.pid)
        (os.killpg if whole_group else os.kill)(process.pid, number)
        assert process.wait(5) == 130 and process.stderr.read() == "cancelled\n"
        wait(lambda: all(map(gone, workers)), 5)
        assert not list(long_and_short.glob("features/*/*long*"))
    finally:
        os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None


def test_workers_interrupted_while_they_start_print_nothing(long_and_short):
    process = subprocess.Popen([sys.executable, "-m", "hrpro", "extract", long_and_short, "--workers", "2"],
                               start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait(lambda: len(workers_of(process.pid)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=10)[1] == "cancelled\n" and process.returncode == 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_waits_until_a_worker_has_been_started(number):
    received, started = [], []
    before = signal.signal(number, lambda number, _: received.append(number))
    try:
        with uninterrupted():
            os.kill(os.getpid(), number)
            started += [True, *received]
    finally:
        signal.signal(number, before)
    assert started == [True] and received == [number]


def test_workers_end_with_a_killed_demo(tmp_path):
    process = subprocess.Popen([sys.executable, "-m", "hrpro", "demo", "--out", tmp_path / "demo"],
                               start_new_session=True, stdout=subprocess.DEVNULL)
    wait(lambda: workers_of(process.pid))
    workers = workers_of(process.pid)                   # possibly before they have imported anything
    process.kill()
    process.wait()
    wait(lambda: all(map(gone, workers)), 10)


@pytest.mark.parametrize("killed", ["command", "command and wrapper"])
def test_killed_extraction_job_ends_and_frees_its_data_set(long_and_short, tmp_path, killed):
    words = [sys.executable, "-m", "hrpro", "extract", str(long_and_short), "--workers", "2"]
    job = start(tmp_path / "ckpt", words, "extract films", long_and_short)
    wait(lambda: children(job.pid, "extract"))
    command = children(job.pid, "extract")[0]
    wait(lambda: both_at_work(long_and_short, command.pid))
    workers = workers_of(command.pid)
    if killed == "command and wrapper":
        os.kill(job.pid, signal.SIGKILL)
    command.kill()
    wait(lambda: not status(job).running, 5)
    assert status(job).state == "died"
    wait(lambda: all(map(gone, workers)), 5)
    again = start(tmp_path / "ckpt", [sys.executable, "-c", "pass"], "again", long_and_short)
    wait(lambda: status(again).state == "finished")


@pytest.mark.parametrize("number", ["-1", "0", str(MAX_WORKERS + 1), "99999999999999999999"])
def test_invalid_number_of_workers_is_refused(tmp_path, number):
    done = subprocess.run([sys.executable, "-m", "hrpro", "extract", tmp_path, "--workers", number],
                          capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (f"error: workers={number}: must be 1 to {MAX_WORKERS}. Leave it out for one process per "
                           "processor.\n")
