"""Odd arguments of every command: exit code 0 or 2 and a message, never a traceback or files made by mistake."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hrpro.cli import COMMANDS, main, run_command

ROOT = Path(__file__).resolve().parents[1]
LONG = "n" * 300
ODD = ["", "-1", "nan", "inf", "1e400", "9" * 30, "9" * 5000, "0:1:1e-300", "--", "~nosuchuser/v", "a\nb",
       "\x1b[31m", "*", "../..", "/", ".", LONG, "x" * 5000, "é" * 120, "\udcff", "=", "seed=", "seed=nan",
       "seed=[[[1]]]", "seed=!!timestamp x", "lr=.nan", "lr=1e999", "dataset=_", "a=b=c", "/dev/null", "/proc/self/mem",
       "{}", "None", "loop", "loop/x"]
COMMAND_LINES = {
    "create": [["{}", "videos"], ["kk", "{}"], ["kk", "videos", "--classes", "{}"],
               ["kk", "videos", "--data_path", "{}"]],
    "validate": [["{}"], ["small", "--json", "{}"]],
    "labels": [["{}"], ["log", "{}"], ["log", "small", "--since={}"], ["log", "small", "--who={}"],
               ["log", "small", "--video={}"], ["blame", "{}"], ["merge", "small", "{}"],
               ["merge", "small", "small", "--tolerance={}"], ["merge", "small", "--people", "{}", "{}"],
               ["export-csv", "small", "--at={}"], ["export-csv", "small", "-o", "{}/file"], ["next", "small", "{}"],
               ["next", "small", "ckpt", "-n={}"]],
    "extract": [["{}"], ["small", "--workers={}"]],
    "proxy": [["{}"], ["small", "{}"]],
    "train": [["--cfg={}"], ["--cfg", "small/config.yaml", "--set={}"], ["--cfg", "small/config.yaml", "--seed={}"],
              ["--cfg", "small/config.yaml", "--stages={}"]],
    "jobs": [["--cancel={}"], ["--log={}"], ["--ckpt_path={}"], ["{}"]],
    "evaluate": [["--gt={}", "--pred", "small/gt_full.json", "--subset", "Test"],
                 ["--gt", "small/gt_full.json", "--pred={}", "--subset", "Test"],
                 ["--gt", "small/gt_full.json", "--pred", "results.json", "--subset={}"],
                 ["--gt", "small/gt_full.json", "--pred", "results.json", "--subset", "Test", "--tiou={}"],
                 ["--gt", "small/gt_full.json", "--pred", "results.json", "--subset", "Test", "--ignore-video={}"]],
    "main.py": [["--cfg={}"], ["--cfg", "small/config.yaml", "--mode={}"], ["--cfg", "small/config.yaml", "--stage={}"],
                ["--cfg", "small/config.yaml", "--mode", "test", "--set={}"],
                ["--cfg", "small/config.yaml", "--mode", "test", "--ckpt_path={}"],
                ["--cfg", "small/config.yaml", "--mode", "test", "--data_path={}"]],
}


@pytest.fixture
def here(tmp_path, make_dataset, monkeypatch):
    """A working directory with a data set that cannot be trained on, so that no command takes long."""
    root = make_dataset(tmp_path / "small", train=1, test=1)
    (root / "split_train.txt").write_text("")
    (tmp_path / "videos").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "results.json").write_text('{"results": {"test_0": []}}')
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield tmp_path
    for number, handler in handlers.items():            # some commands set their own
        signal.signal(number, handler)


def test_every_command_is_covered():
    assert COMMAND_LINES.keys() == COMMANDS.keys() - {"demo"} | {"main.py"}


@pytest.mark.parametrize("command", COMMAND_LINES)
def test_odd_arguments_give_a_message(here, capsys, command):
    for words in COMMAND_LINES[command]:
        for odd in ODD:
            arguments = [word.replace("{}", odd) for word in words]
            try:
                code = run_command("hrpro.training.command", "main.py", "", arguments) if command == "main.py" else \
                    main([command, *arguments])
            except SystemExit as stop:                  # argparse's own
                code = stop.code
            out, said = capsys.readouterr()
            assert code in (0, 2), (arguments, code)
            assert code == 0 or "error: " in said or (command == "validate" and "\nerror " in out), (arguments, said)
            assert "Traceback" not in said and not {"\x1b", "\udcff"} & set(said.replace(odd, "")), (arguments, said)
            assert all(len(line) < 1000 or "x" * 300 in line or "9" * 300 in line for line in said.splitlines()), said


@pytest.mark.parametrize("name", ["_hid", ".hid", "a/b", "..", "", " ", LONG, "n" * 201, "é" * 101, "a\nb",
                                  "a\0b"])
def test_project_names_that_the_app_would_hide_are_refused(here, capsys, name):
    assert main(["create", name, "videos"]) == 2
    assert "error: " in capsys.readouterr().err and not (here / "dataset").exists()


def test_home_of_an_unknown_user_is_a_missing_folder(here, capsys):
    assert main(["create", "kk", "~nosuchuser/v"]) == 2
    assert "error: ~nosuchuser/v: no such folder." in capsys.readouterr().err


def test_arguments_that_are_not_utf8_are_reported(here):
    done = subprocess.run([sys.executable, "-m", "hrpro", "validate", os.fsencode(here) + b"/\xff"], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "error: argument 1 (" in done.stderr and "is not UTF-8 text" in done.stderr


def test_data_set_with_names_that_are_not_utf8_is_checked(here):
    for place in (b"small/videos/\xff.mp4", b"small/features/train/\xfe.npy", b"small/point_labels/\xfd.csv"):
        path = Path(os.fsdecode(place))
        path.parent.mkdir(exist_ok=True)
        path.touch()
    for more in ([], ["--json"]):
        done = subprocess.run([sys.executable, "-m", "hrpro", "validate", str(here / "small"), *more], cwd=ROOT,
                              capture_output=True, text=True)
        assert done.returncode == 2 and not done.stderr and "\\udcff" in done.stdout


def test_remedy_for_a_bad_path_is_not_to_free_space(here, capsys):
    assert main(["labels", "export-csv", "small", "-o", "small/gt_full.json/points.csv"]) == 2
    said = capsys.readouterr().err
    assert "small/gt_full.json/points.csv: could not be written" in said and "Check the path." in said
    assert "Free some space" not in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_commands_work_with_closed_streams(tmp_path, closed):
    for words, code in ((f"jobs --ckpt_path {tmp_path}", 0), ("jobs --log nosuch", 2), ("jobs --nosuch", 2)):
        line = f"{sys.executable} -m hrpro {words} {closed}"
        done = subprocess.run(["sh", "-c", line], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == code and "Traceback" not in done.stderr, done.stderr


def test_commands_work_without_a_real_standard_output(make_dataset, tmp_path):
    """As in a notebook."""
    root, said = make_dataset(tmp_path / "small"), io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["validate", str(root)]) == 0 and main(["labels", "log", str(root)]) == 0
    assert "Ready to train." in said.getvalue()
