"""Inputs that are not regular files or are far larger than their size on disk: refused quickly in one sentence."""

import os
import resource
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from app.run_log import StageLog
from hrpro.config import load_config
from hrpro.data.features import read_header
from hrpro.data.run import Run
from hrpro.data.validate import validate
from hrpro.errors import InputError
from hrpro.files import MOST_BYTES, open_regular, read_bytes, read_json, read_text
from hrpro.labels.operations import LabelStore
from hrpro.training.session import load_checkpoint


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def enormous(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(MOST_BYTES + 1)


ODD = {fifo: "not a regular file", device: "not a regular file", folder: "Is a directory",
       enormous: "larger than 2 GiB"}


@pytest.fixture(params=ODD)
def odd(request, tmp_path):
    request.param(tmp_path / "odd")
    return tmp_path / "odd", ODD[request.param]


@pytest.mark.parametrize("read", [read_bytes, read_text, read_json])
def test_only_regular_files_of_limited_size_are_read(odd, read):
    path, why = odd
    with pytest.raises(InputError, match=f"odd: cannot be read \\({why}\\)"):
        read(path)


def test_only_regular_files_are_appended_to(tmp_path):
    fifo(tmp_path / "odd")
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "odd", append=True)
    (tmp_path / "link").symlink_to("odd")
    with pytest.raises(OSError, match="a link, not a regular file"):
        open_regular(tmp_path / "link", append=True)
    with open_regular(tmp_path / "new", append=True) as file:
        file.write(b"one")
    with open_regular(tmp_path / "new", append=True) as file:
        file.write(b"two")
    assert (tmp_path / "new").read_bytes() == b"onetwo" and (tmp_path / "new").stat().st_mode & 0o111 == 0


PARTS = ["config.yaml", "gt_full.json", "split_train.txt", "classes.txt", "Ambiguous_test.txt",
         "point_labels/point_gaussian.csv", "features/timebase.yaml", "features/train/train_0.npy",
         "labels/operations.jsonl", "videos/train_0.mp4"]


@pytest.mark.parametrize("part", PARTS)
def test_pipe_in_a_data_set_does_not_block_validation(make_dataset, tmp_path, part):
    root = make_dataset(tmp_path / "tiny")
    for name in ("labels", "videos"):
        (root / name).mkdir()
    (root / part).unlink(missing_ok=True)
    fifo(root / part)
    done = subprocess.run([sys.executable, "-m", "hrpro", "validate", root], capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr
    assert part.startswith("videos") or f"{part}: cannot be read (not a regular file)" in done.stdout


def test_labels_are_not_appended_to_a_pipe(make_dataset, tmp_path):
    root = make_dataset(tmp_path / "tiny")
    store = LabelStore(root)
    (root / "labels").mkdir()
    fifo(root / "labels" / "operations.jsonl")
    point = {"video": "train_0", "label": "jump", "time": 1.0, "frame": 30}
    with pytest.raises(InputError, match="not a regular file"):
        store.apply([{"id": "a", "video": "train_0", "kind": "add", "before": {}, "after": {"p": point}}], "Ann")


def header_of(shape: tuple[int, ...]) -> bytes:
    text = str({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.fixture
def run(tmp_path) -> Run:
    (tmp_path / "run" / "stage1" / "outputs").mkdir(parents=True)
    return Run(tmp_path / "run")


def write_scores(run: Run, kind: int, value: bytes) -> None:
    classes = run.root / "classes.npy"
    np.save(classes, np.array(["jump"]))
    with zipfile.ZipFile(run.stage(1).snippet_scores_file("test"), "w") as archive:
        archive.write(classes, "names/classes.npy")
        archive.writestr("v.npy", value, kind)


@pytest.fixture
def short_of_memory():
    """Limit memory to 1 GiB more than now, so that allocating 60 GB fails even if the system overcommits."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_scores_that_unpack_to_gigabytes_are_refused(run, short_of_memory):
    rows = 50_000_000
    write_scores(run, zipfile.ZIP_DEFLATED, header_of((rows, 2)) + bytes(8 * rows))
    assert run.stage(1).snippet_scores_file("test").stat().st_size < 1 << 20
    began = time.process_time()
    with pytest.raises(InputError, match=r"snippet_scores_test\.npz: cannot be read .*Test stage 1 again"):
        run.snippet_scores("test", "v")
    assert time.process_time() - began < 1


def test_headers_that_claim_60_gb_are_refused(run, tmp_path, short_of_memory):
    write_scores(run, zipfile.ZIP_STORED, header_of((15_000_000_000, 1)) + bytes(64))
    with pytest.raises(InputError, match=r"snippet_scores_test\.npz: cannot be read"):
        run.snippet_scores("test", "v")
    (tmp_path / "x.npy").write_bytes(header_of((15_000_000_000, 1)) + bytes(64))
    with pytest.raises(InputError, match=r"x\.npy: is cut off"):
        read_header(tmp_path / "x.npy")


@pytest.fixture
def long_header(tmp_path) -> Path:
    """A file that takes no space, whose header claims 4 GB."""
    path = tmp_path / "long.npy"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x02\x00\xff\xff\xff\xff")
        file.truncate(3 << 29)
    return path


def test_long_headers_are_not_read(run, long_header, short_of_memory):
    with pytest.raises(InputError, match=r"long\.npy: not a \.npy array \(ValueError\)"):
        read_header(long_header)
    write_scores(run, zipfile.ZIP_STORED, b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(100))
    with pytest.raises(InputError, match=r"snippet_scores_test\.npz: cannot be read"):
        run.snippet_scores("test", "v")


def test_directories_of_archives_that_claim_gigabytes_are_not_read(run, make_dataset, tmp_path, short_of_memory):
    sparse, size = run.stage(1).snippet_scores_file("test"), 3 << 29
    with open(sparse, "wb") as file:
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0))
    with pytest.raises(InputError, match="its directory is too large"):
        run.snippet_scores("test", "v")
    root = make_dataset(tmp_path / "tiny")
    for path in root.glob("features/*/*.npy"):
        path.with_suffix(".npz").hardlink_to(sparse)
        path.unlink()
    assert any("9 .npz files" in finding.message for finding in validate(root).findings)
    checkpoint = run.stage(1).checkpoint("last")
    checkpoint.parent.mkdir()
    checkpoint.hardlink_to(sparse)
    with pytest.raises(InputError, match=r"last\.pt: is not a valid checkpoint of this stage .*BadZipFile"):
        load_checkpoint(checkpoint, load_config("thumos"), ("jump",))


@pytest.mark.parametrize("make", [fifo, device, folder])
def test_files_of_a_run_must_be_regular(run, make):
    make(run.stage(1).snippet_scores_file("test"))
    with pytest.raises(InputError, match="cannot be read"):
        run.snippet_scores("test", "v")
    run.stage(1).events_file.parent.mkdir()
    make(run.stage(1).events_file)
    assert "events.jsonl: cannot be read (" in StageLog(run, 1).read().notes[0]
    run.stage(1).checkpoint("last").parent.mkdir()
    make(run.stage(1).checkpoint("last"))
    with pytest.raises(InputError, match=r"last\.pt: is not a valid checkpoint of this stage"):
        load_checkpoint(run.stage(1).checkpoint("last"), load_config("thumos"), ("jump",))


def test_checkpoint_that_unpacks_to_more_than_its_size_is_refused(tmp_path):
    torch.save({"model": {"w": torch.zeros(50_000_000)}}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, \
            zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in whole.infolist():
            bomb.writestr(entry.filename, whole.read(entry))
    assert (tmp_path / "bomb.pt").stat().st_size < 1 << 20
    began = time.process_time()
    with pytest.raises(InputError, match=r"bomb\.pt: is not a valid checkpoint of this stage"):
        load_checkpoint(tmp_path / "bomb.pt", load_config("thumos"), ("jump",))
    assert time.process_time() - began < 1
    shutil.rmtree(tmp_path)
