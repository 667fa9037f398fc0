"""Background jobs, tested with real processes and signals."""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from processes import children, gone

from hrpro.errors import InputError
from hrpro.jobs.background import (
    cancel,
    find_job,
    jobs,
    progress,
    read_jobs,
    refuse_second,
    running_on,
    start,
    status,
    tail,
)
from hrpro.jobs.command import add_arguments, run

SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
POLITE = """
import signal, sys, time
def stop(*_):
    print("saved", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(60)
"""


def wait(condition, seconds=15):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(.02)


@pytest.fixture
def begin(tmp_path):
    """Function that starts Python code as a job; remaining processes are killed afterwards."""
    begun = []

    def begin(code, target="run", ready=True, **options):
        job = start(tmp_path, [sys.executable, "-c", code], "a test", tmp_path / target, **options)
        begun.append(job)
        if ready:
            wait(lambda: tail(job) == ["ready"])
        return job

    yield begin
    for job in begun:
        try:
            os.killpg(job.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def call(root, *arguments):
    """Run `python -m hrpro jobs` in this process."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(["--ckpt_path", str(root), *arguments]))


def ended(job):
    wait(lambda: not status(job).running)
    return status(job)


def command_of(job):
    """The process that does the work, as opposed to its wrapper."""
    return children(job.pid, "-c")[0]


def test_finished_job_is_found_again(begin, tmp_path):
    job = begin("print('all well')", ready=False)
    end = ended(job)
    assert (end.state, end.exit_code) == ("finished", 0) and end.ended >= job.started
    assert jobs(tmp_path) == [job] == [find_job(tmp_path, job.id)] and tail(job) == ["all well"]


def test_failed_job_reports_its_last_line(begin):
    end = ended(begin("import sys; print('reading'); sys.exit('gt_full.json: is cut off. Get it again.')", ready=False))
    assert (end.state, end.exit_code, end.message) == ("failed", 1, "gt_full.json: is cut off. Get it again.")


def test_job_is_detached(begin):
    job = begin(SLEEP)
    assert os.getsid(job.pid) == job.pid != os.getsid(0)
    assert Path(f"/proc/{command_of(job).pid}/fd/0").readlink() == Path(os.devnull)
    assert status(job).running


def test_job_outlives_the_process_that_started_it(tmp_path):
    end = tmp_path / "end"
    waits = f"import os, time\nwhile not os.path.exists({str(end)!r}): time.sleep(.05)"
    code = (f"import sys; from pathlib import Path; from hrpro.jobs.background import start; "
            f"start(Path({str(tmp_path)!r}), [sys.executable, '-c', {waits!r}], 'x', Path('x'))")
    subprocess.run([sys.executable, "-c", code], check=True)
    job, = jobs(tmp_path)
    assert status(job).running
    end.touch()
    assert ended(job).state == "finished"               # the exit status is known although the starter is gone


def test_cancelled_job_can_save(begin):
    job = begin(POLITE)
    cancel(job)
    assert ended(job).state == "cancelled" and status(job).exit_code == 130 and tail(job) == ["ready", "saved"]


def test_cancelled_job_is_killed_after_the_grace_time(begin):
    job = begin(STUBBORN, grace=1)
    worker = command_of(job)
    began = time.time()
    cancel(job)
    assert status(job).stopping
    assert ended(job).state == "cancelled" and status(job).ended >= began + 1
    wait(lambda: gone(worker))


def test_grace_time_starts_at_the_first_cancel(begin, tmp_path, capsys):
    job = begin(STUBBORN, grace=2)
    began = time.time()
    cancel(job)
    for _ in range(4):
        time.sleep(.4)
        last = time.time()
        cancel(job)
    assert ended(job).state == "cancelled"
    assert began + 1.9 < status(job).ended < last + 2   # counted from a later request, it would have ended later


def test_leftover_processes_end_with_the_job(begin):
    leaves = ("import subprocess, sys; code = 'import time; time.sleep(60)'; "
              "print(subprocess.Popen([sys.executable, '-c', code]).pid, flush=True); sys.exit(3)")
    job = begin(leaves, ready=False)
    assert ended(job).exit_code == 3
    assert gone(int(tail(job)[0]))


def test_job_can_be_cancelled_right_after_the_start(begin):
    job = begin(SLEEP, ready=False)
    cancel(job)
    assert ended(job).state == "cancelled"


def test_cancel_after_the_end_changes_nothing(begin):
    job = begin("pass", ready=False)
    ended(job)
    cancel(job)
    assert status(job).state == "finished"


def test_unreadable_end_file_is_reported(begin):
    job = begin("pass", ready=False)
    ended(job)
    end = job.folder / f"{job.id}.end"
    for broken in ("", "{}", "[]", '{"exit_code": 0, "ti', '{"exit_code": "0", "time": 1}', '{"exit_code": 0}',
                   '{"exit_code": true, "time": 1}', '{"exit_code": 0.0, "time": 1}', '{"exit_code": 0, "time": null}',
                   '{"exit_code": -99999, "time": 1}', '{"exit_code": 1e400, "time": 1}', "null", "\xff\xfe",
                   '{"exit_code": 0, "time": 1e300}', '{"exit_code": 99999999999999999999999, "time": 1}'):
        end.write_text(broken)
        assert status(job).state == "died" and end.name in status(job).message, broken
    for code, name in ((-9, "SIGKILL; memory"), (-35, "signal 35."), (-11, "SIGSEGV")):
        end.write_text(json.dumps({"exit_code": code, "time": 5}))
        assert status(job).state == "died" and f"Killed by {name}" in status(job).message


SOUND = {"id": "20260101-000000-abcdef", "label": "train tiny/HR-Pro", "command": ["python", "-m", "hrpro", "train"],
         "target": "/x/tiny/HR-Pro", "pid": 999_999, "started": 1_767_225_600.5}
NAME = SOUND["id"]


@pytest.mark.parametrize("content", [
    "", "{}", "[]", "null", "7", '"a"', '{"id": "202', "\xff", *(json.dumps(SOUND | changed) for changed in (
        {"id": "another"}, {"id": "../../escape"}, {"id": 5}, {"id": None}, {"label": None}, {"label": "a\nb"},
        {"label": "\x1b[2J"}, {"label": ""}, {"label": ["x"]}, {"command": []}, {"command": "python"},
        {"command": [1]}, {"command": ["a\0b"]}, {"command": None}, {"command": {"a": 1}}, {"target": 5},
        {"target": ""}, {"target": "tiny/HR-Pro"}, {"target": "/x\0y"}, {"target": ["/x"]}, {"pid": 0}, {"pid": -1},
        {"pid": True}, {"pid": 1.5}, {"pid": "1"}, {"pid": None}, {"pid": 2**31}, {"pid": 10**18}, {"started": "a"},
        {"started": None}, {"started": -1}, {"started": 1e300}, {"started": True}, {"started": [1]})),
    *(json.dumps({key: value for key, value in SOUND.items() if key != lost}) for lost in SOUND)])
def test_broken_record_is_listed_with_its_remedy_and_blocks_nothing(begin, tmp_path, capsys, content):
    (tmp_path / "jobs").mkdir()
    record = tmp_path / "jobs" / f"{NAME}.json"
    record.write_bytes(content.encode("latin-1"))
    found, broken = read_jobs(tmp_path)
    assert not found and list(broken) == [NAME]
    remedies = "Delete this file; what the job made is kept.", "Save the file as UTF-8."
    assert all(line.startswith(f"{record}: ") and line.endswith(remedies) for line in broken[NAME].splitlines())
    assert call(tmp_path) == 0
    assert f"{NAME}  {'broken':20}  {record}: " in capsys.readouterr().out
    for option in ("--log", "--cancel"):
        with pytest.raises(InputError, match=r"Delete this file|UTF-8"):
            call(tmp_path, option, NAME)
    refuse_second(tmp_path, tmp_path / "run")           # every training calls this
    record.unlink()
    assert read_jobs(tmp_path) == ([], {})


def test_changed_record_is_reread_and_unknown_keys_are_allowed(tmp_path):
    (tmp_path / "jobs").mkdir()
    record = tmp_path / "jobs" / f"{NAME}.json"
    record.write_text(json.dumps(SOUND | {"later": {"version": 2}}))
    assert [job.pid for job in jobs(tmp_path)] == [999_999]
    record.write_text(json.dumps(SOUND | {"pid": 7}))
    assert [job.pid for job in jobs(tmp_path)] == [7] == [find_job(tmp_path, NAME).pid]


def test_job_id_cannot_lead_out_of_the_jobs_folder(tmp_path, capsys):
    folder = tmp_path / "ckpt" / "jobs"
    folder.mkdir(parents=True)
    for name in ("escape", "jobs/../../escape"):
        (tmp_path / f"{Path(name).name}.json").write_text(json.dumps(SOUND | {"id": "escape"}))
    (tmp_path / "escape.log").write_text("secret")
    linked = folder / f"{NAME}.json"
    linked.write_text(json.dumps(SOUND))
    (folder / f"{NAME}.log").symlink_to(tmp_path / "escape.log")
    for name in ("../../escape", "../escape", f"{tmp_path}/escape", "..", ".", "", "a\0b", "x" * 300, "\udcff", "none"):
        for option in ("--log", "--cancel"):
            with pytest.raises(InputError, match="no job"):
                call(tmp_path / "ckpt", option, name)
    assert call(tmp_path / "ckpt", "--log", NAME) == 0
    assert "secret" not in capsys.readouterr().out
    assert not (tmp_path / "escape.cancel").exists()


def test_job_that_cannot_be_recorded_is_not_started(tmp_path):
    for label, target in (("two\nlines", "run"), ("", "run"), ("fine", "\udcff")):
        with pytest.raises(InputError, match="cannot be started as a job"):
            start(tmp_path, [sys.executable, "-c", "pass"], label, tmp_path / target)
    assert not (tmp_path / "jobs").exists()


def test_hundreds_of_records_are_listed_quickly(tmp_path, capsys):
    folder = tmp_path / "jobs"
    folder.mkdir()
    for number in range(500):                           # a third each: killed without a trace, finished, failed
        name = f"20260101-{number:06}-abcdef"
        record = SOUND | {"id": name, "started": 1_767_225_600 + number}
        (folder / f"{name}.json").write_text(json.dumps(record))
        (folder / f"{name}.log").write_text("step 1\n")
        if number % 3:
            (folder / f"{name}.end").write_text(json.dumps({"exit_code": number % 3 - 1, "time": 1_767_225_700}))
    began = time.process_time()
    assert call(tmp_path) == 0
    first, began = time.process_time() - began, time.process_time()
    for _ in range(10):
        assert running_on(tmp_path, tmp_path / "x") is None and len(jobs(tmp_path)) == 500
    again = (time.process_time() - began) / 20
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 500 and [line.split()[1] for line in lines[:3]] == ["finished", "stopped", "failed"]
    assert first < 1 and again < .05


def test_killed_command_is_reported_as_died(begin):
    job = begin(SLEEP)
    command_of(job).kill()
    assert (ended(job).state, status(job).exit_code) == ("died", -9) and "SIGKILL" in status(job).message


def test_killed_process_group_is_reported_as_died(begin):
    job = begin(SLEEP)
    os.killpg(job.pid, signal.SIGKILL)
    assert ended(job).state == "died" and status(job).ended is None


def test_command_without_its_wrapper_is_found_and_stopped(begin):
    job = begin(SLEEP)
    worker = command_of(job)
    os.kill(job.pid, signal.SIGKILL)
    wait(lambda: not psutil.pid_exists(job.pid))
    assert status(job).running
    cancel(job)
    assert ended(job).state == "cancelled"
    wait(lambda: gone(worker))


def test_finished_job_leaves_no_zombie(begin):
    job = begin("pass", ready=False)
    ended(job)
    wait(lambda: not psutil.pid_exists(job.pid))


@pytest.mark.parametrize("leads_a_group", [False, True])
def test_reused_pid_is_not_mistaken_for_the_job(begin, tmp_path, leads_a_group):
    job = begin(SLEEP)
    os.killpg(job.pid, signal.SIGKILL)
    ended(job)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=leads_a_group)
    try:
        record = tmp_path / "jobs" / f"{job.id}.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"pid": stranger.pid}))
        reused = find_job(tmp_path, job.id)
        assert status(reused).state == "died"
        cancel(reused)
        time.sleep(.2)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_unwritable_jobs_folder_is_reported_and_nothing_runs(tmp_path):
    (tmp_path / "jobs").touch()
    with pytest.raises(InputError, match=r"jobs: .*, so no job can be started. Check the path."):
        start(tmp_path, [sys.executable, "-c", SLEEP], "sleep", tmp_path / "run")
    (tmp_path / "jobs").unlink()
    marker, free = tmp_path / "ran", resource.getrlimit(resource.RLIMIT_FSIZE)
    command = [sys.executable, "-c", f"import pathlib, time; time.sleep(1); pathlib.Path({str(marker)!r}).mkdir()"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, free[1]))
    try:
        with pytest.raises(InputError, match="File too large"):
            start(tmp_path, command, "sleep", tmp_path / "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    time.sleep(2)
    assert not marker.exists() and not jobs(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, lambda lock: lock.symlink_to("precious.txt")])
def test_lock_that_is_a_pipe_or_a_link_is_refused(tmp_path, make):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "precious.txt").write_text("precious")
    make(tmp_path / "jobs" / ".lock")
    with pytest.raises(InputError, match=r"jobs/\.lock: .*not a regular file, so no job can be started"):
        start(tmp_path, [sys.executable, "-c", SLEEP], "sleep", tmp_path / "run")
    assert (tmp_path / "jobs" / "precious.txt").read_text() == "precious" and not jobs(tmp_path)


def test_second_job_on_the_same_folder_is_refused(begin, tmp_path):
    first = begin(SLEEP)
    with pytest.raises(InputError, match=f"job {first.id} .* is already running on it"):
        begin(SLEEP)
    assert running_on(tmp_path, tmp_path / "elsewhere" / ".." / "run") == first
    other = begin(SLEEP, target="another")
    assert jobs(tmp_path) == [other, first]
    cancel(first)
    ended(first)
    assert status(begin(SLEEP)).running


def test_only_one_of_many_simultaneous_starts_succeeds(begin):
    won, refused = [], []

    def attempt():
        try:
            won.append(begin(SLEEP, ready=False))
        except InputError as error:
            refused.append(error)

    threads = [threading.Thread(target=attempt) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 5)


def test_progress_is_read_from_the_last_line(begin):
    job = begin(r"print('reading'); print('\rvideos 1/4', end=''); print('\rvideos 3/4', end='', flush=True)",
                ready=False)
    ended(job)
    assert progress(job) == (.75, "videos 3/4") and tail(job) == ["reading", "videos 3/4"]
    job = begin(r"print('\r[##  ] 50/100  features of 1 of 2 videos   ', end='')", ready=False)
    ended(job)
    assert progress(job) == (.5, "features of 1 of 2 videos")
    assert progress(begin(SLEEP, target="other")) == (None, "ready")


def test_command_lists_and_cancels_jobs_and_prints_logs(begin, tmp_path, capsys):
    def said(*arguments):
        assert call(tmp_path, *arguments) == 0
        return capsys.readouterr().out

    assert said() == ""
    job = begin(POLITE)
    assert job.id in said() and "running" in said() and "a test" in said()
    assert said("--cancel", job.id) == f"{job.id}: asked to stop.\n"
    ended(job)
    assert "cancelled" in said() and "already ended" in said("--cancel", job.id)
    assert said("--log", job.id).split() == ["ready", "saved"]
    with pytest.raises(InputError, match="no job 'nosuch'"):
        said("--cancel", "nosuch")
    stubborn = begin(STUBBORN, target="another")
    assert "asked to stop" in said("--cancel", stubborn.id)
    assert "was already asked to stop" in said("--cancel", stubborn.id) and "stopping" in said()
