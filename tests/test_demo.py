"""The demo: exact labels, videos that match them, and creation that can be repeated and resumed without data loss."""

import csv
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import av
import numpy as np
import orjson
import pytest

from hrpro.config import config_of
from hrpro.data.points import Points
from hrpro.data.segments import Segments
from hrpro.data.validate import validate
from hrpro.demo import make
from hrpro.demo.figure import ACTIONS, FPS, skeleton
from hrpro.demo.make import film, make_demo, write_scripts
from hrpro.errors import InputError
from hrpro.labels.operations import LabelStore
from hrpro.video.decode import frames_at
from hrpro.video.probe import probe

SMALL = {"train": (2,), "test": (1,)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo with only two videos, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make, "VIDEOS", SMALL)
        told = []
        make_demo(tmp_path_factory.mktemp("demo") / "small", lambda *state: told.append(state), workers=2)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    return tmp_path_factory.getbasetemp() / "demo0" / "small"


@pytest.fixture
def copy(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(make, "VIDEOS", SMALL)
    return shutil.copytree(demo, tmp_path / "small")


def test_scripts_are_deterministic():
    for one, other in zip(write_scripts(), write_scripts(), strict=True):
        assert (one.name, one.segments) == (other.name, other.segments)
        np.testing.assert_array_equal(one.poses, other.poses)


def test_scripts_cover_all_actions_and_lengths():
    scripts = write_scripts()
    assert Counter(script.subset for script in scripts) == {"train": 12, "test": 6}
    for subset in ("train", "test"):
        mine = [script for script in scripts if script.subset == subset]
        assert {kind for script in mine for kind, _, _ in script.segments} == set(ACTIONS)
        assert sum(len({kind for kind, _, _ in script.segments}) > 1 for script in mine) >= len(mine) / 2
    lengths = np.array([end - begin for script in scripts for _, begin, end in script.segments]) / FPS
    assert 1 <= lengths.min() < 1.6 and 4 < lengths.max() <= 8
    for script in scripts:
        assert 20 < script.frames / FPS < 45
        edges = [0, *(edge for _, begin, end in script.segments for edge in (begin, end)), script.frames]
        gaps = np.diff(edges)[::2]
        assert gaps.min() >= .8 * FPS - 1


def test_figures_have_rigid_limbs_and_feet_on_the_ground():
    for script in write_scripts():
        joints = skeleton(script.poses, .5)
        shins = np.linalg.norm(joints["left_knee"] - joints["left_ankle"], axis=1)
        np.testing.assert_allclose(shins, shins[0])
        lowest = np.minimum(joints["left_ankle"][:, 1], joints["right_ankle"][:, 1])
        assert lowest.min() > 0
        inside = np.zeros(script.frames, bool)
        for kind, begin, end in script.segments:
            inside[begin:end] |= kind == "jump"
        assert lowest[~inside].max() < .05
        # No limb teleports: the fastest hand moves by a quarter of the body's height per frame.
        assert max(np.abs(np.diff(at, axis=0)).max() for at in joints.values()) < .3


def test_demo_data_set_is_valid(demo):
    report = validate(demo)
    assert report.ready and not [finding for finding in report.findings if finding.level != "note"]
    assert config_of(demo).dataset == "small"
    truth = orjson.loads((demo / "gt_full.json").read_bytes())["database"]
    for video, entry in truth.items():
        info = probe(demo / "videos" / f"{video}.mp4")
        assert (info.frames, info.fps) == (entry["duration"] * entry["fps"], entry["fps"])
        assert (info.codec, info.pixel_format, info.width, info.height) == ("h264", "yuv420p", 320, 240)
        assert info.browser_playable and info.even and info.start == 0
        assert np.diff(info.keyframes).max() <= FPS
        head = (demo / "videos" / f"{video}.mp4").read_bytes()
        assert head.index(b"moov") < head.index(b"mdat")


def test_points_lie_inside_their_actions(tmp_path):
    scripts = write_scripts()
    make._write_labels(scripts, tmp_path)
    truth = Segments.from_activitynet(tmp_path / "gt_full.json")
    path = tmp_path / "point_labels" / "point_gaussian.csv"
    points, elsewhere, faults = Points.read(path, truth.classes, dict.fromkeys(truth.videos, FPS))
    assert not elsewhere and not faults
    with open(path) as file:
        rows = list(csv.DictReader(file))
    place = []
    for row in rows:
        begin, end, point = (int(row[key]) for key in ("start_frame", "stop_frame", "point"))
        assert begin <= point < end
        place.append((point - begin) / (end - begin))
    assert .15 < np.std(place) < .25
    actions = sum(len(script.segments) for script in scripts if script.subset == "train")
    assert .85 * actions < len(points) < actions
    assert {points.videos[video] for video in points.video} == {s.name for s in scripts if s.subset == "train"}
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    make._write_labels(write_scripts(), tmp_path)
    assert first == {path: path.read_bytes() for path in first}


def test_films_are_reproducible_and_some_have_sound(tmp_path):
    script = write_scripts()[1]
    script = dataclasses.replace(script, poses=script.poses[:30])
    for name in ("one.mp4", "other.mp4"):
        film(script, tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "other.mp4").read_bytes()
    film(dataclasses.replace(script, number=3), tmp_path / "silent.mp4")
    assert [probe(tmp_path / name).has_audio for name in ("one.mp4", "silent.mp4")] == [True, False]
    with av.open(str(tmp_path / "one.mp4")) as container:
        assert max(np.abs(frame.to_ndarray()).max() for frame in container.decode(audio=0)) > .02


def test_jump_is_visible_at_its_time(tmp_path):
    """The ground truth matches the pixels: the figure leaves the ground where the label says."""
    script = next(script for script in write_scripts() if any(kind == "jump" for kind, _, _ in script.segments))
    begin, end = next((begin, end) for kind, begin, end in script.segments if kind == "jump")
    film(script, tmp_path / "jump.mp4")
    lift = skeleton(script.poses, 0)["left_ankle"][:, 1]
    top = begin + int(lift[begin:end].argmax())
    still, high = frames_at(tmp_path / "jump.mp4", np.array([begin - 1, top]) / FPS)
    shirt = make._choose_looks(np.random.default_rng([make.SEED, 2, script.number])).shirt
    rows = [np.nonzero(np.abs(picture - np.array(shirt)).max(-1) < 25)[0].mean() for picture in (still, high)]
    assert rows[0] - rows[1] > 10


def test_demo_is_remade_in_place_even_through_a_link(copy):
    (copy / "cache").mkdir()
    before = (copy / "gt_full.json").read_bytes()
    link = copy.with_name("link")
    link.symlink_to(copy)
    make_demo(link, workers=2)
    assert (copy / "gt_full.json").read_bytes() == before and not (copy / "cache").exists()
    assert link.readlink() == copy and sorted(path.name for path in copy.parent.iterdir()) == ["link", "small"]


def test_demo_with_labels_made_by_people_is_not_replaced(copy):
    store, point = LabelStore(copy), {"video": "demo_train_01", "label": "jump", "time": 1., "frame": 25}
    store.apply([{"id": "a", "kind": "add", "video": "demo_train_01", "before": {}, "after": {"p": point}}], "Ann")
    with open(store.log, "ab") as log:
        log.write(b'{"id": "cut o')
    with pytest.raises(InputError, match="labels made by people"):
        make_demo(copy)
    assert store.log.exists() and (copy / "videos").is_dir()


def test_labels_added_while_the_demo_is_remade_are_not_lost(copy):
    store, point = LabelStore(copy), {"video": "demo_train_01", "label": "jump", "time": 1., "frame": 25}
    added = {"id": "a", "kind": "add", "video": "demo_train_01", "before": {}, "after": {"p": point}}
    with pytest.raises(InputError, match="holds labels made by people"):
        make_demo(copy, lambda part, _: store.apply([added], "Ann") if part > .9 else None, workers=2)
    assert [row["id"] for row in LabelStore(copy).points() if row["who"] == "Ann"] == ["p"]


def test_project_that_took_the_name_meanwhile_is_not_replaced(copy):
    taken = copy.with_name("taken")
    copy.rename(taken.with_name(f".taken.{make.VERSION}"))             # almost finished

    def take(*_: object) -> None:
        taken.mkdir(exist_ok=True)
        (taken / "mine.txt").touch()

    with pytest.raises(InputError, match="exists and is not a demo"):
        make_demo(taken, take, workers=2)
    assert (taken / "mine.txt").exists()


def test_link_that_leads_nowhere_is_refused_before_anything_is_drawn(tmp_path):
    (tmp_path / "demo").symlink_to("demo")
    with pytest.raises(InputError, match="demo: is a symbolic link that leads nowhere"):
        make_demo(tmp_path / "demo")
    assert len(list(tmp_path.iterdir())) == 1


def test_demo_is_made_by_one_process_at_a_time(copy):
    making = copy.with_name(f".small.{make.VERSION}")
    making.mkdir()
    with open(making.parent / "log", "wb") as log:
        other = subprocess.Popen([sys.executable, "-m", "hrpro", "demo", "--out", str(copy)], stdout=log, stderr=log,
                                 start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not list(making.glob("videos/.*.unfinished")):
            assert other.poll() is None and time.monotonic() < deadline, (making.parent / "log").read_text()
            time.sleep(.02)
        with pytest.raises(InputError, match="another process is making this demo"):
            make_demo(copy, workers=1)
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()


@pytest.mark.parametrize("truth", ["[]", '{"database": {}}', '{"version'])
def test_another_data_set_is_not_replaced(tmp_path, truth):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "gt_full.json").write_text(truth)
    with pytest.raises(InputError, match=r"is not a demo|not JSON"):
        make_demo(tmp_path / "mine")
    assert (tmp_path / "mine" / "gt_full.json").read_text() == truth


def test_other_folder_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(InputError, match="is not a demo"):
        make_demo(tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "diary.txt").exists()


def test_interrupted_creation_resumes(copy, tmp_path):
    making = tmp_path / "again" / f".small.{make.VERSION}"
    making.mkdir(parents=True)
    done = "demo_train_01.mp4"
    (making / "videos").mkdir()
    shutil.copy2(copy / "videos" / done, making / "videos")
    (making / "videos" / ".demo_test_01.unfinished").write_bytes(b"half")
    stamp = (making / "videos" / done).stat().st_mtime_ns
    make_demo(tmp_path / "again" / "small", workers=2)
    made = tmp_path / "again" / "small"
    assert (made / "videos" / done).stat().st_mtime_ns == stamp
    assert sorted(path.name for path in (made / "videos").iterdir()) == ["demo_test_01.mp4", done]
    assert (made / "videos" / "demo_test_01.mp4").read_bytes() == (copy / "videos" / "demo_test_01.mp4").read_bytes()
    assert [path.name for path in made.parent.iterdir()] == ["small"]


def test_command_refuses_with_a_message(tmp_path):
    (tmp_path / "file").write_text("x")
    command = [sys.executable, "-m", "hrpro", "demo", "--out", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2 and "is not a demo" in ended.stderr and "Traceback" not in ended.stderr
