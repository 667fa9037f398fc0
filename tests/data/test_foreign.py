"""Features as saved by other tools: the report says what was found and how to make it usable."""

import json

import numpy as np
import pytest

from hrpro.config import config_of
from hrpro.data.dataset import open_dataset
from hrpro.data.features import feature_length
from hrpro.data.foreign import misfit
from hrpro.data.validate import validate

SECONDS = (60.0, 40.0, 100.0, 60.0)                     # 93, 62, 156 and 93 snippets of .64 s
DIM = 64


@pytest.fixture
def root(tmp_path):
    """A data set with three training videos and one test video, without features."""
    root = tmp_path / "foreign"
    root.mkdir()
    names = [f"vid_{number}" for number in range(4)]
    database = {name: {"duration": seconds, "fps": 30.0, "annotations": []}
                for name, seconds in zip(names, SECONDS, strict=True)}
    (root / "gt_full.json").write_text(json.dumps({"database": database}))
    for split, part in (("train", names[:3]), ("test", names[3:])):
        (root / f"split_{split}.txt").write_text("".join(f"{name}\n" for name in part))
    (root / "point_labels").mkdir()
    (root / "point_labels" / "point_gaussian.csv").write_text(
        "class,video_id,point\n" + "".join(f"cut,{name},210\n" for name in names[:3]))
    (root / "classes.txt").write_text("cut\n")
    (root / "config.yaml").write_text(f"feature_dim: {DIM}\nrab_heads: 4\n")
    return root


def fill(root, place, make=lambda rows: rows, save=np.save, suffix=".npy", scale=1.0):
    """Save each video's [T, D] array, changed by `make`, at `place`, which may contain {split} and {name}."""
    for number, seconds in enumerate(SECONDS):
        split = "train" if number < 3 else "test"
        path = root / (place.format(split=split, name=f"vid_{number}") + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        save(path, make(np.ones((round(int(seconds * 25 / 16) * scale), DIM), np.float32)))


def faults(root):
    return [finding.message for finding in validate(root).findings if "features" in finding.message
            and finding.level in ("error", "left out")]


SPLIT = "features/{split}/{name}"


@pytest.mark.parametrize(("make", "what", "remedy"), [
    (lambda rows: rows.T, "is transposed, [64, 93] instead of [93, 64]; the video's length makes 93 snippets",
     "np.save(path, array.T)"),
    (lambda rows: rows[None], "holds [1, 93, 64], not [T, 64]", "np.squeeze(array)."),
    (lambda rows: rows[:, :, None, None], "holds [93, 64, 1, 1]", "np.squeeze(array)."),
    (lambda rows: rows.T[None], "holds [1, 64, 93]", "np.squeeze(array).T"),
    (lambda rows: np.stack([rows] * 10), "10 crops", "array.mean(axis=0)."),
    (lambda rows: np.stack([rows] * 10, axis=1), "10 crops", "array.mean(axis=1)."),
    (lambda rows: np.stack([rows.T] * 10), "10 crops", "array.mean(axis=0).T"),
    (lambda rows: np.stack([rows] * 2)[None], "2 crops or streams", "np.squeeze(array).mean(axis=0)."),
    (lambda rows: rows.mean(axis=0), "one vector for the whole video", "Extract"),
    (lambda rows: rows.ravel(), "rows are concatenated", "array.reshape(-1, 64)"),
    (lambda rows: rows.astype(np.int16), "holds int16", "array.astype('float32')"),
    (lambda rows: rows.astype(complex), "holds complex128", "Save one [T, D] float array"),
    (lambda rows: np.tile(rows, 2), "features have 128 values per snippet, the settings say 64", "Set feature_dim=128"),
    (lambda rows: np.tile(rows, 2).T, "is transposed, [128, 93] instead of [93, 128]",
     "np.save(path, array.T), and set feature_dim=128"),
    (lambda rows: np.ones((300, 400), np.float32), "the first does not fit the video", "Save one [T, D]")])
def test_arrays_of_another_shape_are_reported_with_the_conversion(root, make, what, remedy):
    fill(root, SPLIT, make)
    train, test = faults(root)
    for message in (train, test):
        assert what in message and remedy in message, message
        assert ("feature_dim=" in message) == ("feature_dim" in remedy) or "is not feature_dim=64" in message
    assert "3 files have the same fault: 'vid_0', 'vid_1', 'vid_2'" in train and "features/test/vid_3.npy" in test
    assert not validate(root).ready


def test_following_the_advice_makes_the_features_usable(root):
    fill(root, SPLIT, lambda rows: rows.T)
    for path in root.glob("features/*/*.npy"):
        np.save(path, np.load(path).T)
    assert faults(root) == [] and validate(root).ready


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_of_any_size_and_order_are_accepted(root, dtype):
    fill(root, SPLIT, lambda rows: np.asfortranarray(rows.astype(dtype)))
    assert validate(root).ready and faults(root) == []


def test_array_that_fits_is_not_called_transposed():
    assert misfit((64, 64), np.dtype(np.float32), 64, 64) is None
    assert "feature_dim=128" in misfit((64, 128), np.dtype(np.float32), 64, 64)[2]      # 64 rows fit the video
    assert "array.T" in misfit((64, 128), np.dtype(np.float32), 64, None)[2]


@pytest.mark.parametrize(("place", "suffix", "save", "what", "remedy"), [
    (SPLIT, ".npz", lambda path, rows: np.savez(path, feats=rows), "4 .npz files, such as test/vid_3.npz",
     "np.save(new, np.load(old)['feats'])"),
    (SPLIT, ".pt", lambda path, rows: path.write_bytes(b"PK"), "4 .pt files, such as test/vid_3.pt",
     "torch.load(old, weights_only=True).numpy()"),
    ("features/{name}", ".h5", lambda path, rows: path.write_bytes(b"x"), "4 .h5 files, such as vid_0.h5", "as"),
    ("features/all", ".h5", lambda path, rows: path.write_bytes(b"x"), "1 .h5 file, such as all.h5", "as <video>.npy"),
    ("features/i3d/{name}", ".npy", np.save, "4 .npy files of these videos in ", "Move them to "),
    ("features/Train/{name}", ".npy", np.save, "features/Train", "Move them to "),
    ("Features/{split}/{name}", ".npy", np.save, "3 .npy files of these videos in ", "Move them to "),
    ("features/{split}/rgb/{name}", ".npy", np.save, "3 .npy files of these videos in ", "features/train/rgb"),
    ("features/{split}/{name}_rgb", ".npy", np.save, "4 .npy files of single streams, such as test/vid_3_rgb.npy",
     "np.concatenate([rgb, flow], axis=1)"),
    ("features/{split}/v_{name}", ".npy", np.save, "4 .npy files of other names", "v_vid_3.npy to vid_3.npy"),
    ("features/{split}/{name}.mp4", ".npy", np.save, "4 .npy files of other names", "vid_3.mp4.npy to vid_3.npy"),
    ("features/{split}/{name}", ".NPY", lambda path, rows: path.write_bytes(b"x"), "4 .NPY files", "Rename")])
def test_features_in_another_place_or_format_are_reported(root, place, suffix, save, what, remedy):
    fill(root, place, suffix=suffix, save=save)
    message, = faults(root)
    assert "no <split>/<video>.npy of the splits' videos, but " in message and what in message and remedy in message
    assert "no features yet" not in message and "hrpro extract" not in message and not validate(root).ready


def test_both_splits_can_share_one_feature_folder(root):
    fill(root, "features/{name}")
    report = validate(root)
    assert report.ready and faults(root) == []
    assert [report.counts["splits"][split]["features"] for split in ("train", "test")] == [3, 1]
    dataset = open_dataset(config_of(root))
    assert dataset.features["train"].load("vid_1").shape == (62, DIM)
    assert feature_length(root, "test", "vid_3", 0) == 93
    np.save(root / "features" / "stray.npy", np.ones((3, DIM)))
    assert any("file 'stray' belongs to no video of the splits" in finding.message
               for finding in validate(root).findings)


def test_misplaced_features_of_a_split_are_found(root):
    fill(root, SPLIT)
    (root / "features" / "test").rename(root / "features" / "validation")
    message, = faults(root)
    assert "video 'vid_3' has no features, but 1 .npy file of these videos in " in message
    assert "features/validation. Move them to " in message and "No video of the test split" in message


def test_missing_features_are_a_step_to_do(root):
    (root / "features").mkdir()
    (root / "features" / "README.md").write_text("none yet")
    assert any("no features yet. Extract them (`python -m hrpro extract" in finding.message
               for finding in validate(root).findings if finding.step == "extract features")


@pytest.mark.parametrize(("scale", "settings", "hint"), [
    (2, "", "This fits segment_frames_num=8 or frames_per_sec=50."), (.5, "", "fits segment_frames_num=32"),
    (1.2, "", "frames_per_sec=30"), (1, "segment_frames_num: 4\n", "fits segment_frames_num=16")])
def test_features_at_another_rate_are_reported_with_fitting_settings(root, scale, settings, hint):
    fill(root, SPLIT, scale=scale)
    (root / "config.yaml").write_text((root / "config.yaml").read_text() + settings)
    notes = [finding.message for finding in validate(root).findings if "snippets, but" in finding.message]
    assert any("3 files have another length than their videos: 'vid_0', 'vid_1', 'vid_2'" in note and hint in note
               for note in notes), notes


@pytest.mark.parametrize("name", ["é" * 41, "x"])
@pytest.mark.parametrize("at, value", [(6, 99), (46, 0xff)])
def test_archive_with_a_damaged_directory_is_reported(root, name, at, value):
    """The version that is needed to read the first file, or the first byte of its name."""
    fill(root, SPLIT, save=lambda path, rows: np.savez(path, **{name: rows}), suffix=".npz")
    for path in root.glob("features/*/*.npz"):
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + at] = value
        path.write_bytes(content)
    message = next(message for message in faults(root) if "4 .npz files" in message)
    assert message.endswith("Save the [T, D] array in each as <video>.npy.") or "np.load(old)" in message


def test_rescaled_features_are_distinguished_from_another_rate(root):
    fill(root, SPLIT, lambda rows: rows[:50])
    notes = [finding.message for finding in validate(root).findings if "snippets, but" in finding.message]
    assert any("All have 50 snippets whatever the video's length" in note for note in notes)
    assert not any("segment_frames_num=" in note or "frames_per_sec=" in note for note in notes)


def test_one_odd_file_does_not_call_the_rate_into_question(root):
    fill(root, SPLIT)
    np.save(root / "features" / "train" / "vid_2.npy", np.ones((300, DIM), np.float32))
    note, = (finding.message for finding in validate(root).findings if "snippets, but" in finding.message)
    assert note.endswith("vid_2.npy: 300 snippets, but 100 s at 25 fps and 16 frames per snippet give 156. "
                         "Check frames_per_sec, segment_frames_num and the duration.")
