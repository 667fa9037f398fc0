"""Symbolic links that lead out of a data set: nothing is read, served or written through them."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numbered_video import write_video

from hrpro.config import load_config
from hrpro.create import create_project
from hrpro.data.dataset import open_dataset
from hrpro.data.validate import validate
from hrpro.errors import InputError
from hrpro.features.extract import extract_dataset
from hrpro.files import inside, links_outside
from hrpro.labels.operations import LabelStore
from hrpro.video import command
from hrpro.video.proxy import make_proxy, order_proxy
from hrpro.video.thumbnails import filmstrip

TOP = ["config.yaml", "gt_full.json", "split_train.txt", "split_test.txt", "classes.txt", "Ambiguous_test.txt"]
ERRORS = [*TOP, "features", "features/train", "features/timebase.yaml", "point_labels",
          "point_labels/point_gaussian.csv", "labels", "labels/operations.jsonl"]
NOTES = ["videos", "videos/train_0.mp4", "cache", "cache/proxies", "cache/filmstrips",
         "point_labels/human", "point_labels/human/ann.txt"]


@pytest.fixture
def root(make_dataset, tmp_path):
    """A data set with files in all of its folders."""
    root = make_dataset(tmp_path / "data" / "tiny")
    (root / "classes.txt").write_text("jump\nrun\nwave\n")
    (root / "Ambiguous_test.txt").write_text("")
    (root / "features" / "timebase.yaml").write_text("{fps: 25, stride: 16, clip: 16, offset: 0}\n")
    (root / "point_labels" / "human").mkdir()
    (root / "point_labels" / "human" / "ann.txt").write_text("train_0,5,jump\n")
    for name in ("cache/proxies", "cache/filmstrips", "labels", "videos"):
        (root / name).mkdir(parents=True)
    write_video(root / "videos" / "train_0.mp4", range(0, 2000, 40))
    (root / "labels" / "operations.jsonl").write_text("")
    return root


def move_out(root: Path, part: str) -> Path:
    """Move a part of the data set outside and put a link in its place."""
    outside = root.parents[1] / "outside" / part
    outside.parent.mkdir(parents=True, exist_ok=True)
    (root / part).rename(outside)
    (root / part).symlink_to(outside)
    return outside


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("part", [*ERRORS, *NOTES])
def test_each_outside_link_gives_one_finding(root, part):
    sound = {finding.message for finding in validate(root).findings}
    move_out(root, part)
    report = validate(root)
    said = [finding for finding in report.findings if "out of" in finding.message]
    level = "error" if part in ERRORS else "note"
    assert [(finding.level, part.split("/")[0] in finding.message) for finding in said] == [(level, True)]
    assert report.ready == (part in NOTES) and all("out of" not in message for message in sound)


@pytest.mark.parametrize("part", ERRORS[:-2])
def test_run_does_not_start_with_outside_files(root, part):
    move_out(root, part)
    with pytest.raises(InputError, match=f"{Path(part).name}.*leads out of"):
        open_dataset(load_config(root / "config.yaml")).raise_errors()


def test_features_linked_from_outside_are_left_out_in_one_finding(root):
    for number in range(3):
        move_out(root, f"features/train/train_{number}.npy")
    dataset = open_dataset(load_config(root / "config.yaml"))
    assert dataset.splits["train"] == ["train_3", "train_4", "train_5"]
    said, = (finding for finding in dataset.findings if finding.level == "left out")
    assert "features/train: 3 files are links that lead out of the data set: 'train_0', 'train_1', 'train_2'" \
        in said.message


OPERATION = {"id": "a", "video": "train_0", "kind": "add", "before": {},
             "after": {"p": {"video": "train_0", "label": "jump", "time": 1.0, "frame": 30}}}


@pytest.mark.parametrize("part", ["labels", "labels/operations.jsonl"])
def test_labels_are_not_written_through_a_link(root, part):
    store = LabelStore(root)
    outside = move_out(root, part)
    with pytest.raises(InputError, match="leads out of"):
        store.apply([OPERATION], "Ann")
    with pytest.raises(InputError, match="leads out of"):
        LabelStore(root)
    assert (outside.is_file() and not outside.read_bytes()) or content(outside) == {f"{outside}/operations.jsonl": b""}


def test_projection_is_not_written_through_a_link(root):
    store = LabelStore(root)
    store.apply([OPERATION], "Ann")
    outside = move_out(root, "point_labels")
    before = content(outside.parent)
    with pytest.raises(InputError, match="leads out of"):
        store.project()
    assert content(outside.parent) == before


@pytest.mark.parametrize("part", ["features", "features/train", "features/timebase.yaml", "videos", "split_train.txt"])
def test_extraction_neither_reads_nor_writes_through_a_link(root, part):
    for path in root.glob("features/*/*.npy"):
        path.unlink()
    outside = move_out(root, part)
    before = content(outside.parent)
    with pytest.raises(InputError, match="leads out of"):
        extract_dataset(root)
    assert content(outside.parent) == before


def test_linked_video_is_neither_extracted_nor_copied(root, capsys):
    for path in root.glob("features/*/*.npy"):
        path.unlink()
    (root / "features" / "timebase.yaml").unlink()
    move_out(root, "videos/train_0.mp4")
    assert "leads out of" in extract_dataset(root).failed["train_0"]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args([str(root), "train_0"])) == 2
    assert "leads out of" in capsys.readouterr().err and not any((root / "cache").rglob("*.mp4"))


@pytest.mark.parametrize("part", ["cache", "cache/proxies", "cache/filmstrips"])
def test_nothing_is_cached_through_a_link(root, part):
    video, cache = root / "videos" / "train_0.mp4", root / "cache"
    outside = move_out(root, part)
    for write in (make_proxy, filmstrip, order_proxy):
        if part == "cache" or (part == "cache/filmstrips") == (write is filmstrip):
            with pytest.raises(InputError, match="leads out of"):
                write(video, cache)
    assert not content(outside)


def test_linked_cache_files_are_neither_read_nor_written(root):
    video, cache = root / "videos" / "train_0.mp4", root / "cache"
    strip = filmstrip(video, cache)
    for path in (strip.path, strip.path.with_suffix(".json")):
        outside = move_out(root, str(path.relative_to(root)))
        with pytest.raises(InputError, match="leads out of"):
            filmstrip(video, cache)
        path.unlink()
        outside.rename(path)
    (root.parents[1] / "kept.txt").write_text("kept")
    (cache / "proxies" / ".lock").symlink_to(root.parents[1] / "kept.txt")
    assert "leads out of" in order_proxy(video, cache)["fault"]
    assert (root.parents[1] / "kept.txt").read_text() == "kept"


def test_links_inside_a_data_set_and_a_linked_data_set_work(root, tmp_path):
    (root / "features" / "train").rename(root / "stored")
    (root / "features" / "train").symlink_to(Path("..", "stored"))
    (root / "videos" / "train_1.mp4").symlink_to("train_0.mp4")
    (root / "labels" / "operations.jsonl").rename(root / "stored.jsonl")
    (root / "labels" / "operations.jsonl").symlink_to(Path("..", "stored.jsonl"))
    (tmp_path / "linked").symlink_to(root)
    for place in (root, tmp_path / "linked", Path(os.path.relpath(root))):
        assert validate(place).ready and links_outside(place) == []
        assert inside(place, "videos", "train_1.mp4") == place / "videos" / "train_1.mp4"
    LabelStore(tmp_path / "linked").apply([OPERATION], "Ann")
    assert (root / "labels" / "operations.jsonl").stat().st_size


def test_create_puts_linked_videos_inside_the_project(tmp_path):
    """They become hard links: the user's files are part of the project, but no path leads outside."""
    (tmp_path / "mine").mkdir()
    write_video(tmp_path / "mine" / "a.mp4", range(0, 1000, 40))
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "b.mp4").symlink_to(tmp_path / "mine" / "a.mp4")
    project = create_project(tmp_path / "data", "clips", tmp_path / "videos")
    assert (project / "videos" / "b.mp4").samefile(tmp_path / "mine" / "a.mp4") and not links_outside(project)


def test_link_loops_and_dead_links_give_no_traceback(root):
    for name in ("videos/loop.mp4", "features/train/train_0.npy", "classes.txt"):
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(Path(name).name)
    (root / "videos" / "dead.mp4").symlink_to("nowhere.mp4")
    done = subprocess.run([sys.executable, "-m", "hrpro", "validate", root], capture_output=True, text=True)
    assert done.returncode in (0, 2) and "Traceback" not in done.stderr
    shutil.rmtree(root)
