"""A data set on a read-only disk, such as a colleague's share, can be trained on and inspected."""

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from hrpro.labels.operations import LabelStore

ROOT = Path(__file__).resolve().parents[2]
# Runs the command line in a process in which every change under the first argument fails. File permissions would not
# do: they do not stop root.
READ_ONLY = """
import errno, os, sys
root = os.path.realpath(sys.argv[1])
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
           "os.utime", "os.setxattr"}

def refuse(event, arguments):
    if event == "open":
        paths, changes = arguments[:1], arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    else:
        paths, changes = arguments, event in CHANGES
    for path in paths if changes else ():
        if isinstance(path, str | bytes) and os.path.realpath(os.fsdecode(path)).startswith(root):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

sys.addaudithook(refuse)
from hrpro.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run(root, *words):
    return subprocess.run([sys.executable, "-c", READ_ONLY, root, *map(str, words)], cwd=ROOT, capture_output=True,
                          text=True, timeout=200)


def state_of(root):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*")}


@pytest.fixture
def labelled(tmp_path, make_dataset):
    """A data set with a manually added point and an up-to-date point file."""
    root = make_dataset(tmp_path / "small", num_iters=2, test_iter=1, max_epochs=1)
    add(root, 5.)
    LabelStore(root).project()
    return root


def add(root, seconds):
    point = {"video": "train_0", "label": "jump", "time": seconds, "frame": int(seconds * 30)}
    operation = {"id": uuid.uuid4().hex, "kind": "add", "video": "train_0", "before": {},
                 "after": {uuid.uuid4().hex: point}}
    acknowledged, = LabelStore(root).apply([operation], "Ann")
    assert acknowledged.seq


def train(root, tmp_path):
    return run(root, "train", "--cfg", root / "config.yaml", "--ckpt_path", tmp_path / "ckpt", "--set", "num_threads=1")


def test_read_only_data_set_can_be_trained_on_and_inspected(labelled, tmp_path):
    before = state_of(labelled)
    done = train(labelled, tmp_path)
    assert done.returncode == 0, done.stderr
    run_root = tmp_path / "ckpt" / "small" / "HR-Pro"
    assert (run_root / "stage2" / "outputs" / "metrics.json").exists()
    assert (run_root / "stage1" / "points.csv").read_bytes() == (labelled / "point_labels/points.csv").read_bytes()
    out = tmp_path / "out.csv"
    for words in (["validate", labelled], ["labels", "log", labelled], ["labels", "blame", labelled],
                  ["labels", "next", labelled, run_root], ["labels", "export-csv", labelled, "-o", out]):
        done = run(labelled, *words)
        assert done.returncode == 0, (words, done.stderr)
    assert state_of(labelled) == before


def test_up_to_date_files_are_not_rewritten(labelled):
    before = state_of(labelled)
    LabelStore(labelled).project()                      # a new store, as in another process
    assert state_of(labelled) == before
    add(labelled, 6.)
    LabelStore(labelled).project()
    assert state_of(labelled) != before


def test_point_file_that_cannot_be_written_gives_a_one_line_error(labelled, tmp_path):
    add(labelled, 7.)                                   # after the point file was written
    done = train(labelled, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    for words in (f"{labelled / 'point_labels' / 'points.csv'} is as it was", "Read-only file system", "permissions"):
        assert words in done.stderr
    for path in (labelled / "point_labels").iterdir():
        path.unlink()
    (labelled / "point_labels").rmdir()
    done = train(labelled, tmp_path)
    assert done.returncode == 2 and "Traceback" not in done.stderr and "point_labels: cannot be made" in done.stderr


def test_read_only_class_list_does_not_stop_training(labelled, tmp_path):
    (labelled / "classes.txt").write_text("jump\nrun\nwave\nspin\n")
    LabelStore(labelled).project()
    assert (labelled / "classes.txt").read_text() == "jump\nrun\nwave\nspin\n"
    before = state_of(labelled)
    done = train(labelled, tmp_path)
    assert done.returncode == 0, done.stderr
    assert state_of(labelled) == before
    assert json.loads((tmp_path / "ckpt/small/HR-Pro/stage1/config.json").read_text())["data_path"] == str(labelled)
