"""Create projects from real video files, with any name and in any condition."""

import argparse
import json
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest
from numbered_video import write_video

from hrpro.config import config_of
from hrpro.create import add_arguments, create_project, run
from hrpro.data.dataset import open_dataset
from hrpro.data.validate import signature, validate
from hrpro.errors import InputError
from hrpro.files import locked_folder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", range(0, 2000, 40))


@pytest.fixture
def folder(tmp_path, clip):
    """A function that fills a folder with copies of a two-second clip: `folder("a.mp4", …) -> its path`."""
    path = tmp_path / "videos"
    path.mkdir()

    def fill(*names):
        for name in names:
            shutil.copy(clip, path / name)
        return path

    return fill


def database(root):
    return json.loads((root / "gt_full.json").read_text())["database"]


def make(tmp_path, videos, name="mine", classes=()):
    said = []
    return create_project(tmp_path / "dataset", name, videos, classes, said.append), said


def test_project_of_real_clips_is_ready_to_label(tmp_path, shared):
    root, said = make(tmp_path, shared / "videos", classes=["pour", " stir ", "", "pour"])
    assert root == tmp_path / "dataset" / "mine" and said == []
    assert all(info["duration"] > 1 < info["fps"] and not info["annotations"] for info in database(root).values())
    report = validate(root)
    assert not report.broken and report.counts["video_files"] == report.counts["videos"] == 3
    steps = {finding.step: finding.message for finding in report.findings if finding.blocks}
    assert steps.keys() == {"extract features", "label points"} and report.next_step == "extract features"
    assert "no features yet" in steps["extract features"] and "no point labels yet" in steps["label points"]
    dataset = open_dataset(config_of(root), features=False)
    assert dataset.classes == ("pour", "stir") and dataset.splits["train"] == dataset.splits["test"] == sorted(
        ["v_GGSY1Qvo990", "v_ZNVhz7ctTq0", "vidat_example"])


def test_videos_are_linked_and_the_originals_kept(tmp_path, folder):
    videos = folder("a.mp4")
    root, _ = make(tmp_path, videos)
    assert (root / "videos/a.mp4").samefile(videos / "a.mp4") and not (root / "videos/a.mp4").is_symlink()
    (videos / "b.mp4").symlink_to(videos / "a.mp4")
    root, _ = make(tmp_path, videos, "linked")
    assert not (root / "videos/b.mp4").is_symlink() and (root / "videos/b.mp4").samefile(videos / "a.mp4")


def test_duration_and_fps_are_those_of_the_video(tmp_path, folder):
    root, _ = make(tmp_path, folder("a.mp4"))
    assert database(root)["a"] == {"subset": "Test", "duration": 2.0, "fps": 25.0, "annotations": []}


@pytest.mark.parametrize("name, video", [
    ("<b>&'\".mp4", "_b____"), (" two  words .mp4", "two  words"), ("a\nb.mp4", "a_b"), ("50%#?.mp4", "50___"),
    ("cafe\u0301.mp4", "caf\u00e9"), ("ünï 動画.mp4", "ünï 動画"), ("x" * 240 + ".mp4", "x" * 200), ("-rf.MP4", "-rf"),
    (" .mp4", "video"), (b"\xff\xfe.mp4".decode(errors="surrogateescape"), "__")])
def test_hostile_names_become_safe_ones(tmp_path, folder, name, video):
    root, said = make(tmp_path, folder(name))
    assert list(database(root)) == [video] and (root / "split_train.txt").read_text() == f"{video}\n"
    assert [path.name for path in (root / "videos").iterdir()] == [f"{video}.mp4"]
    assert validate(root).counts["video_files"] == 1
    assert len(said) == (name[:-4] != video) and all(f"is renamed {video!r} here" in line for line in said)


def test_equal_names_are_numbered(tmp_path, folder, clip):
    videos = folder("a.mp4", "A.mp4", "a_2.mp4", "b.mp4")
    shutil.copy(clip, videos / "a.mov")
    root, _ = make(tmp_path, videos)
    assert len(database(root)) == len(list((root / "videos").iterdir())) == 5
    assert len({video.casefold() for video in database(root)}) == 5


def test_unreadable_files_are_left_out_and_reported(tmp_path, folder, clip):
    videos = folder("good.mp4", "half.mp4")
    (videos / "half.mp4").write_bytes(clip.read_bytes()[:2000])
    (videos / "empty.mkv").touch()
    (videos / "notes.txt").write_text("not a video, and not called one")
    root, said = make(tmp_path, videos)
    assert list(database(root)) == ["good"]
    assert [line.split(": ")[0] for line in said] == ["Left out"] * 3
    assert "empty.mkv: is an empty file" in said[0] and "half.mp4: cannot be read as a video" in said[1]
    assert said[2] == "Left out: file 'notes.txt' is not a video by its name (1 .txt)."


def test_all_suffixes_of_formats_that_libav_reads_are_accepted(tmp_path, folder):
    videos = folder()
    write_video(videos / "source.mpg", range(25), "mpeg2video", unit=Fraction(1, 25))
    for suffix in ("vob", "divx", "MOD", "mpe", "qt", "asf", "dv", "ogg"):
        shutil.copy(videos / "source.mpg", videos / f"{suffix}.{suffix}")
    root, said = make(tmp_path, videos)
    assert len(database(root)) == 9 and validate(root).counts["video_files"] == 9
    (line,) = said
    assert line.startswith("9 videos cannot be played by browsers (1 mpeg2video in .MOD, ") and " …; the" in line


def test_raw_recordings_and_subfolders_are_reported_with_the_remedy(tmp_path, folder):
    videos = folder("plain.mp4")
    write_video(videos / "camera one.h264", range(0, 1000, 40))
    for card in ("100GOPRO", "101GOPRO"):
        (videos / "DCIM" / card).mkdir(parents=True)
        shutil.copy(videos / "plain.mp4", videos / "DCIM" / card / "GX010001.mp4")
    (videos / ".Trash").mkdir()
    shutil.copy(videos / "plain.mp4", videos / ".Trash" / "gone.mp4")
    root, said = make(tmp_path, videos)
    assert list(database(root)) == ["plain"] and len(said) == 2
    assert "one.h264: is a raw recording without timestamps" in said[0]
    assert "-framerate 25 -i './camera one.h264' -c copy" in said[0]
    assert "2 videos in 2 folders (1 in DCIM/100GOPRO, 1 in DCIM/101GOPRO). Name one of them, or move the files " \
        f"into {videos}." in said[1]
    with pytest.raises(InputError, match=r"DCIM: holds no video itself, but 2 videos in 2 folders"):
        make(tmp_path, videos / "DCIM", "card")
    shutil.rmtree(videos / "DCIM" / "101GOPRO")
    assert "1 video in DCIM/100GOPRO. Name that folder" in make(tmp_path, videos, "other")[1][1]


def test_many_files_are_counted_not_listed(tmp_path, folder, clip):
    videos = folder(*(f"take:{number}.mp4" for number in range(8)))
    for number in range(1000):
        (videos / f"broken_{number}.mov").write_bytes(b"")
        (videos / f"frame_{number}.jpg").write_bytes(b"")
    (videos / "._take.mp4").write_bytes(b"resource fork")
    (videos / ".DS_Store").write_bytes(b"")
    (videos / "lost.mp4").symlink_to("nowhere")
    root, said = make(tmp_path, videos)
    assert len(database(root)) == 8 and len(said) == 4, said
    empty, lost, others, renamed = said
    assert "broken_0.mov: is an empty file" in empty and "(999 more with this fault: 'broken_1.mov'" in empty
    assert "lost.mp4: no such video file" in lost
    assert "1,001 files are not videos by their names: '._take.mp4', 'frame_0.jpg'" in others and "1,000 .jpg" in others
    assert renamed.startswith("8 videos are renamed here: 'take:0.mp4' to 'take_0', ") and renamed.endswith(" ….")
    assert max(map(len, said)) < 500


def test_video_that_browsers_cannot_play_is_reported(tmp_path, folder):
    videos = folder("a.mp4")
    write_video(videos / "b.avi", range(0, 1000, 40), "mpeg4")
    root, said = make(tmp_path, videos)
    assert sorted(database(root)) == ["a", "b"] and "'b.avi' (mpeg4 in .avi) cannot be played by browsers" in said[0]


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", ".hidden", " x", "x ", "a\nb", "-"])
def test_bad_names_are_refused(tmp_path, folder, name):
    with pytest.raises(InputError, match="cannot name a project"):
        make(tmp_path, folder("a.mp4"), name)
    assert not (tmp_path / "dataset").exists()


def test_nothing_is_overwritten_or_left_behind(tmp_path, folder, clip):
    videos = folder("a.mp4")
    root, _ = make(tmp_path, videos)
    before = signature(root)
    with pytest.raises(InputError, match=r"mine: already exists\. Choose another name"):
        make(tmp_path, videos)
    (videos / "a.mp4").unlink()
    (videos / "broken.mp4").write_bytes(clip.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"broken\.mp4: cannot be read"):
        make(tmp_path, videos, "other")
    (videos / "broken.mp4").unlink()
    with pytest.raises(InputError, match=r"videos: holds no video .* Give the folder that holds them"):
        make(tmp_path, videos, "other")
    assert signature(root) == before and [path.name for path in (tmp_path / "dataset").iterdir()] == ["mine"]


def test_all_faults_are_reported_together(tmp_path):
    with pytest.raises(InputError) as error:
        make(tmp_path, tmp_path / "nowhere", "..", ["a\nb", "run", "a\tb", "c\x1b[31md"])
    assert len(error.value.faults) == 5 and r"'a\tb' cannot name a class" in str(error.value)


def test_terminated_command_leaves_nothing_behind(tmp_path, folder, clip):
    videos = folder()
    for number in range(2000):
        (videos / f"{number}.mp4").hardlink_to(clip)
    words = [sys.executable, "-m", "hrpro", "create", "mine", videos, "--data_path", tmp_path / "data"]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while not list(tmp_path.glob("data/.new-*/project/videos/*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(.02)
    process.terminate()
    assert process.communicate(timeout=30)[1] == "cancelled\n" and process.returncode == 130
    assert not list((tmp_path / "data").iterdir())


def test_next_project_removes_those_of_killed_processes(tmp_path, folder):
    data = tmp_path / "dataset"
    for name in (".new-abcdefgh", ".new-in_use00", ".new-foreign0"):
        (data / name / "project" / "videos").mkdir(parents=True)
        (data / name / "project" / ".gt_full.json.a1b2c3d4").touch()
    (data / ".new-foreign0" / "project" / ".git").mkdir()
    (data / ".new-notours0").mkdir()
    (tmp_path / "elsewhere" / "project" / "videos").mkdir(parents=True)
    (data / ".new-linked00").symlink_to(tmp_path / "elsewhere")
    with locked_folder(data / ".new-in_use00"):
        make(tmp_path, folder("a.mp4"))
    assert sorted(path.name for path in data.iterdir()) == [".new-foreign0", ".new-in_use00", ".new-linked00",
                                                            ".new-notours0", "mine"]
    assert (tmp_path / "elsewhere" / "project" / "videos").is_dir()


def test_command_line_creates_a_project(tmp_path, folder, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["mine", str(folder("a.mp4")), "--classes", "run", "jump", "--data_path", str(tmp_path / "dataset")]
    assert run(parser.parse_args(words)) == 0
    assert "created. Next: `python -m hrpro extract" in capsys.readouterr().out
    assert (tmp_path / "dataset/mine/classes.txt").read_text() == "run\njump\n"
