"""Extraction of videos and data sets, resuming after an interruption, and reporting of broken files."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from numbered_video import write_video

from hrpro.data.features import open_features, read_timebase
from hrpro.errors import InputError
from hrpro.features import extract as extractor
from hrpro.features.extract import FEATURE_DIM, TIMEBASE, extract, extract_dataset
from hrpro.timebase import Timebase


@pytest.fixture
def dataset(tmp_path):
    """Three short videos: one for training, one for testing, one for both."""
    (tmp_path / "videos").mkdir()
    for name in ("a", "b", "both"):
        write_video(tmp_path / "videos" / f"{name}.mp4", range(0, 2400, 40))
    (tmp_path / "split_train.txt").write_text("a\nboth\n")
    (tmp_path / "split_test.txt").write_text("b\nboth\n")
    return tmp_path


def test_features_have_one_row_per_snippet(tmp_path):
    fractions = []
    features = extract(write_video(tmp_path / "v.mp4", range(0, 7000, 50)), fractions.append)
    assert features.shape == (TIMEBASE.count(7), FEATURE_DIM) == (10, FEATURE_DIM)
    assert features.dtype == np.float32 and np.isfinite(features).all()
    assert fractions[-1] == 1


def test_extraction_is_deterministic(tmp_path):
    path = write_video(tmp_path / "v.mp4", range(0, 3000, 40))
    np.testing.assert_array_equal(extract(path), extract(path))


def test_video_shorter_than_a_snippet_has_one_row(tmp_path):
    assert extract(write_video(tmp_path / "v.mp4", [0, 40, 80])).shape == (1, FEATURE_DIM)


def test_rows_match_the_timebase(tmp_path):
    """Frames change only between 4 and 6.4 seconds, in a video with uneven frame times."""
    moments = [*range(0, 4000, 100), *range(4000, 6400, 40), *range(6400, 10_000, 100)]
    numbers = [5 if moment < 4000 or moment >= 6400 else 5 ^ index % 2 << 8 for index, moment in enumerate(moments)]
    features = extract(write_video(tmp_path / "v.mp4", moments, numbers=numbers))
    energy = features[:, 52:64].mean(1)
    first, last = TIMEBASE.rows([4, 6.4 - 1e-3], len(features))
    assert energy[first:last + 1].min() > np.delete(energy, np.s_[first:last + 1]).max()


def test_memory_use_does_not_grow_with_length(tmp_path, monkeypatch):
    monkeypatch.setattr(extractor, "STRETCH", 4)
    peaks = []
    for seconds in (5, 25):
        path = write_video(tmp_path / f"{seconds}.mp4", range(0, seconds * 1000, 40))
        tracemalloc.start()
        extract(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_real_clip_is_extracted(shared):
    path = shared / "videos" / "v_GGSY1Qvo990.mp4"
    assert extract(path).shape == (28, FEATURE_DIM)


def test_both_splits_are_extracted(dataset):
    told = []
    done = extract_dataset(dataset, lambda *state: told.append(state), workers=2)
    assert (sorted(done.made), done.kept, done.failed) == (["a", "b", "both"], [], {})
    assert read_timebase(dataset / "features", Timebase(1)) == TIMEBASE
    for split, names in (("train", ["a", "both"]), ("test", ["b", "both"])):
        features, faults = open_features(dataset / "features" / split, TIMEBASE, FEATURE_DIM, names)
        assert faults == {} and set(features.lengths.values()) == {3}
        assert sorted(path.name for path in (dataset / "features" / split).iterdir()) == [f"{x}.npy" for x in names]
    assert (dataset / "features/train/both.npy").samefile(dataset / "features/test/both.npy")
    np.testing.assert_array_equal(np.load(dataset / "features/test/b.npy"), extract(dataset / "videos/b.mp4"))
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert told[-1][1] == "features of 3 of 3 videos"


def test_only_missing_and_broken_features_are_extracted(dataset):
    extract_dataset(dataset, workers=1)
    files = {name: dataset / "features" / f"{name}.npy" for name in ("train/a", "test/b", "train/both", "test/both")}
    files["test/b"].write_bytes(files["test/b"].read_bytes()[:500])
    files["test/both"].unlink()
    stamp = files["train/a"].stat().st_mtime_ns
    done = extract_dataset(dataset, workers=1)
    assert (done.made, sorted(done.kept)) == (["b"], ["a", "both"])
    assert files["train/a"].stat().st_mtime_ns == stamp
    assert files["train/both"].samefile(files["test/both"])
    assert np.load(files["test/b"]).shape == (3, FEATURE_DIM)


def test_broken_videos_do_not_stop_the_others(dataset):
    (dataset / "videos" / "a.mp4").write_bytes(b"nothing")
    (dataset / "videos" / "b.avi").write_bytes(b"two of a name")
    with open(dataset / "split_test.txt", "a") as split:
        split.write("gone\n")
    done = extract_dataset(dataset, workers=1)
    assert done.made == ["both"]
    assert set(done.failed) == {"a", "b", "gone"}
    for video, sentence in (("a", "a.mp4: cannot be read"), ("b", "b.avi, b.mp4"), ("gone", "gone.*: no such video")):
        assert sentence in done.failed[video]


@pytest.mark.parametrize(("change", "message"), [
    (lambda root: (root / "features/train").mkdir(parents=True) or np.save(root / "features/train/a", np.ones((2, 8))),
     "another extractor"),
    (lambda root: (root / "split_train.txt").write_text("../../x\n"), "cannot be a file name"),
    (lambda root: (root / "videos").rename(root / "films"), "videos: no such folder"),
    (lambda root: (root / "split_test.txt").unlink(), r"split_test\.txt: no such file"),
])
def test_bad_data_set_is_refused_before_anything_is_written(dataset, change, message):
    change(dataset)
    before = sorted(path for path in dataset.rglob("*"))
    with pytest.raises(InputError, match=message):
        extract_dataset(dataset)
    assert sorted(path for path in dataset.rglob("*")) == before


def test_killed_command_resumes(dataset):
    write_video(dataset / "videos" / "long.mp4", range(0, 60_000, 40), options={"preset": "ultrafast"})
    (dataset / "split_train.txt").write_text("long\na\nboth\n")
    command = [sys.executable, "-m", "hrpro", "extract", str(dataset), "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    while not (first := dataset / "features/train/long.npy").exists():
        assert process.poll() is None
        time.sleep(.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    stamp = first.stat().st_mtime_ns
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0 and "100/100" in ended.stdout and "0 failed" in ended.stdout
    assert first.stat().st_mtime_ns == stamp
    assert len(list(dataset.glob("features/*/[!.]*.npy"))) == 5


def test_command_reports_faults(dataset):
    (dataset / "videos" / "a.mp4").write_bytes(b"nothing")
    ended = subprocess.run([sys.executable, "-m", "hrpro", "extract", str(dataset)], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ") and "a.mp4" in ended.stderr and "Traceback" not in ended.stderr
    assert (dataset / "features/test/b.npy").exists()
