"""All kinds of faults in the files of a data set: one sentence each, with file, place and remedy."""

import argparse
import json
import time

import numpy as np
import pytest
from numbered_video import write_video

from hrpro.config import config_of
from hrpro.data.dataset import open_dataset
from hrpro.data.validate import add_arguments, run, signature, validate
from hrpro.errors import InputError
from hrpro.files import read_json

POINTS = "point_labels/point_gaussian.csv"


@pytest.fixture
def root(tmp_path, make_dataset):
    root = make_dataset(tmp_path / "tiny")
    (root / "videos").mkdir()
    for video in edit_gt(root):
        (root / "videos" / f"{video}.mp4").write_bytes(b"never opened here")
    return root


def edit_gt(root, change=None):
    path = root / "gt_full.json"
    document = json.loads(path.read_text())
    if change:
        change(document["database"])
        path.write_text(json.dumps(document))
    return document["database"]


def write_features(root, array, video="train_1"):
    np.save(root / "features" / "train" / f"{video}.npy", array)


def append(path, text):
    path.write_bytes(path.read_bytes() + text.encode())


def said(root):
    return [(finding.level, finding.message) for finding in validate(root).findings]


def test_valid_data_set_has_no_findings(root):
    report = validate(root)
    assert report.findings == [] and report.ready
    assert report.counts == {"videos": 9, "video_files": 9, "classes": 3, "segments": 27, "points": 27, "splits": {
        "train": {"videos": 6, "features": 6, "segments": 18, "points": 18},
        "test": {"videos": 3, "features": 3, "segments": 9, "points": 9}}}


def features_of_other_size(root):
    write_features(root, np.zeros((62, 31), np.float32))


def features_with_nan(root):
    array = np.zeros((62, 32), np.float32)
    array[7, 3] = np.nan
    write_features(root, array)


def features_cut_off(root):
    path = root / "features/train/train_1.npy"
    path.write_bytes(path.read_bytes()[:-100])


def features_of_no_bytes(root):
    (root / "features/train/train_1.npy").write_bytes(b"")


def features_pickled(root):
    write_features(root, np.array([{"a": 1}], object))


def edited(change):
    return lambda root: edit_gt(root, change)


def set_segment(value, video="train_1"):
    return edited(lambda database: database[video]["annotations"][1].update(segment=value))


def drop_gt(root):
    edit_gt(root, lambda database: database.pop("train_1"))
    (root / "videos/train_1.mp4").unlink()
    drop_points(root)


def drop_points(root):
    lines = (root / POINTS).read_text().splitlines(True)
    (root / POINTS).write_text("".join(line for line in lines if "train_1," not in line))


def annotate_spare(root):
    edit_gt(root, lambda database: database.update(spare=dict(database["train_0"])))
    (root / "videos/spare.mp4").write_bytes(b"")


def annotate_twice(root):
    text = (root / "gt_full.json").read_text()
    (root / "gt_full.json").write_text(text.replace('"train_1":', '"train_0":', 1))


def train_in_test(root):
    append(root / "split_test.txt", "train_0\n")
    (root / "features/test/train_0.npy").hardlink_to(root / "features/train/train_0.npy")


def rename_hostile(root):
    edit_gt(root, lambda database: database.update({"../../etc/passwd": {"duration": 5, "fps": 25}}))


def unannotate(root):
    edit_gt(root, lambda database: [info.update(annotations=[]) for info in database.values()])


def accepted(start, stop, point):
    """Add a point with an accepted segment; the other lines lack the column's cell, as hand-added lines do."""
    def change(root):
        replace_points("point\n", "point,segment\n")(root)
        append(root / POINTS, f"run,{start},{stop},train_1,{point},accepted\n")
    return change


def replace_points(old, new):
    def change(root):
        text = (root / POINTS).read_text()
        assert old in text
        (root / POINTS).write_text(text.replace(old, new, 1))
    return change


CASES = {
    "video of a split unknown": (drop_gt, "left out", "split_train.txt: video 'train_1' is not in gt_full.json",
                                 "Add it"),
    "video named twice": (lambda root: append(root / "split_test.txt", "test_0\n"), "note",
                          "split_test.txt: video 'test_0' is listed more than once", "remove the other"),
    "video annotated twice": (annotate_twice, "error", "gt_full.json: 'train_0' is listed twice in one object",
                              "Keep one"),
    "video in no split": (annotate_spare, "note",
                          "gt_full.json: video 'spare' is in no split and is not used", "List each"),
    "split missing": (lambda root: (root / "split_test.txt").unlink(), "error", "split_test.txt: no such file",
                      "dataset/README.md"),
    "split empty": (lambda root: (root / "split_test.txt").write_text("\n\n"), "error",
                    "split_test.txt: has no usable video", "List one video id per line"),
    "split not text": (lambda root: (root / "split_test.txt").write_bytes(b"\xff\xfe\x00"), "error",
                       "split_test.txt: byte 0 is not UTF-8", "Save the file as UTF-8"),
    "videos in both splits": (train_in_test, "note", "1 video in both splits: 'train_0'; scores on these do not "
                              "measure generalisation", "Take them out"),
    "features missing": (lambda root: (root / "features/train/train_1.npy").unlink(), "left out",
                         "features/train/train_1.npy: no such file", "Extract"),
    "features of other size": (features_of_other_size, "left out", "train_1.npy: features have 31 values per snippet, "
                               "the settings say 32", "Set feature_dim=31"),
    "features with NaN": (features_with_nan, "left out", "train_1.npy: snippet 7 holds a value that is not finite",
                          "Extract the features again"),
    "features cut off": (features_cut_off, "left out", "train_1.npy: is cut off (7964 of 8064 bytes)", "Copy"),
    "features of no bytes": (features_of_no_bytes, "left out", "train_1.npy: not a .npy array", "Extract"),
    "features of no snippet": (lambda root: write_features(root, np.zeros((0, 32), np.float32)), "left out",
                               "train_1.npy: holds no snippet", "Extract"),
    "features of three dimensions": (lambda root: write_features(root, np.zeros((1, 62, 32))), "left out",
                                     "train_1.npy: holds [1, 62, 32], not [T, 32]", "Save np.squeeze(array)"),
    "features of whole numbers": (lambda root: write_features(root, np.zeros((62, 32), int)), "left out",
                                  "train_1.npy: holds int64", "Save array.astype('float32')"),
    "features pickled": (features_pickled, "left out", "train_1.npy: holds object", "Save one [T, D]"),
    "features of one snippet": (lambda root: [write_features(root, np.zeros((1, 32))), drop_points(root), append(
        root / POINTS, "run,,,train_1,90\n")], "note",
                                "train_1.npy: 1 snippets, but 40 s at 25 fps", "Check frames_per_sec"),
    "features too long": (lambda root: write_features(root, np.zeros((90, 32), np.float32)), "note",
                          "train_1.npy: 90 snippets, but 40 s at 25 fps and 16 frames per snippet give 62", "Check"),
    "features of no video": (lambda root: write_features(root, np.zeros((9, 32)), "stray"), "note",
                             "features/train: file 'stray' belongs to no video of split_train.txt", "List"),
    "feature rate unreadable": (lambda root: (root / "features/timebase.yaml").write_text("fps: fast"), "error",
                                "timebase.yaml: fps must be a number of 0.001 to 1e+06, not 'fast'", "Write fps"),
    "point outside the video": (lambda root: append(root / POINTS, "run,,,train_1,9000\n"), "left out",
                                "a point lies outside the video, in 'train_1'; the first at 300.00 s of 40 s",
                                "Move or remove"),
    "point before the video": (lambda root: append(root / POINTS, "run,,,train_1,-3\n"), "left out",
                               "outside the video, in 'train_1'; the first at -0.10 s of 40 s", "Move or remove"),
    "point of an unknown class": (lambda root: append(root / POINTS, "rnu,,,train_1,90\n"), "error",
                                  "point_gaussian.csv: line 29 has the unknown class 'rnu'", "classes.txt"),
    "point of an unknown video": (lambda root: append(root / POINTS, "run,,,trian_1,90\n"), "left out",
                                  "point_gaussian.csv: line 29 names the unknown video 'trian_1'", "Add it"),
    "point at no moment": (lambda root: append(root / POINTS, "run,,,train_1,soon\n"), "error",
                           "point_gaussian.csv: line 29 has 'soon' instead of a time", "Write a frame number"),
    "point at NaN": (lambda root: append(root / POINTS, "run,,,train_1,nan\n"), "error",
                     "line 29 has 'nan' instead of a time", "Write a frame number"),
    "point too late for any number": (lambda root: append(root / POINTS, "run,,,train_1,1.7e308\n"), "error",
                                      "line 29 has '1.7e308' instead of a time", "Write a frame number"),
    "accepted segment": (accepted(60, 120, 90), "note", "in training videos, 1 point has an accepted segment", ""),
    "accepted segment outside the video": (accepted(0, 1e12, 90), "left out", "an accepted segment lies outside the "
                                           "video or not around the point, in 'train_1'; the first from 0 to "
                                           "3.33333e+10 s with its point at 3.00 s of 40 s", "Correct it"),
    "accepted segment beside its point": (accepted(600, 900, 90), "left out", "from 20 to 30 s with its point at "
                                          "3.00 s", "its start_frame and stop_frame"),
    "accepted segment of no number": (accepted(0, 1.7e308, 90), "error", "line 29 has an accepted segment that does "
                                      "not end after it begins", "Write frame numbers"),
    "line too short": (lambda root: append(root / POINTS, "run,3\n"), "error",
                       "point_gaussian.csv: line 29 has 2 columns, 5 are needed", "Complete"),
    "two points in a snippet": (lambda root: [append(root / POINTS, "run,,,train_1,900\nrun,,,train_1,901\n")], "note",
                                "1 point in the same snippet as another, counted together, in 'train_1'", "Move"),
    "column missing": (replace_points("video_id,point", "video_id,moment"), "error",
                       "point_gaussian.csv: line 1 is missing point", "Expected are class"),
    "both columns missing": (replace_points("video_id,point", "video,moment"), "error",
                             "point_gaussian.csv: line 1 is missing point, video_id",
                             "Expected are class"),
    "quotation mark missing": (lambda root: append(root / POINTS, '"' + "x" * 200_000), "error",
                               "point_gaussian.csv: line 29 is not CSV", "quotation mark"),
    "no points": (lambda root: (root / POINTS).unlink(), "to do", "point_gaussian.csv: no point labels yet", "Label"),
    "no point that counts": (lambda root: (root / POINTS).write_text("class,video_id,point\n"), "to do",
                             "point_gaussian.csv: has no point in a training video", "Label some"),
    "class without a point": (lambda root: (root / "classes.txt").write_text("run\nswim\n"), "note",
                              "class 'swim' has no point in a training video", "Label one"),
    "class with a control character": (lambda root: [
        (root / "classes.txt").write_text("jump\nrun\n\nwave\nr\tun\n"), unannotate(root), append(
            root / POINTS, "r\tun,,,train_1,900\n")], "error",
        r"classes.txt: line 5 has 'r\tun', which cannot name a class", "Rename it"),
    "point of a class with a control character": (lambda root: append(root / POINTS, "r\x1bun,,,train_1,90\n"),
                                                  "error", r"line 29 has the unknown class 'r\x1bun'", "Name a class"),
    "video without a point": (drop_points, "note", "1 training video without a point: 'train_1'. Only the video "
                              "label of such a video is used.", "Label them"),
    "annotator's file unreadable": (lambda root: [(root / "point_labels/human").mkdir(), (
        root / "point_labels/human/annotator_1.txt").write_text("train_1,soon,run\n")], "left out",
        "human/annotator_1.txt: line 1 has 'soon' instead of a time", "Write seconds"),
    "segment a text": (set_segment("12"), "error", "segment 1 of video 'train_1' has no [start, end] in seconds "
                       "(found '12')", "Write two numbers"),
    "points of an unknown video": (lambda root: append(root / POINTS, "run,,,train_99,30\n"), "left out",
                                   "names the unknown video 'train_99'", "1 point left out"),
    "setting twice": (lambda root: append(root / "config.yaml", "feature_dim: 32\n"), "error",
                      "the key 'feature_dim' is listed twice; keep one", "Correct it"),
    "NaN in JSON": (lambda root: (root / "gt_full.json").write_text('{"database": {"a": {"duration": NaN}}}'), "error",
                    "holds 'NaN', which is not a JSON number", "Write a finite one"),
    "segment of words": (set_segment(["a", "b"]), "error", "segment 1 of video 'train_1' has no [start, end]", "Write"),
    "segment of one number": (set_segment([3]), "error", "segment 1 of video 'train_1' has no [start, end]", "Write"),
    "segment reversed": (set_segment([9, 3]), "left out", "gt_full.json: 1 segment ends before the start, the first "
                         "[9, 3] in video 'train_1'", "Swap"),
    "segment beyond the end": (set_segment([30, 60]), "note", "1 segment lies outside the video, the first [30, 60] in "
                               "video 'train_1' of 40 s", "Correct"),
    "segment before the beginning": (set_segment([-2, 3]), "note", "the first [-2, 3] in video 'train_1' of 40 "
                                     "s", "Correct"),
    "segment without a class": (edited(lambda database: database["train_1"]["annotations"][0].pop("label")), "error",
                                "segment 0 of video 'train_1' has no `label`", "Add it"),
    "annotations no list": (edited(lambda database: database["train_1"].update(annotations="none")), "error",
                            "video 'train_1' holds no list of segments", "Write []"),
    "duration missing": (edited(lambda database: database["train_1"].pop("duration")), "left out",
                         "gt_full.json: video 'train_1' has no positive duration", "Write it"),
    "duration true": (edited(lambda database: database["train_1"].update(duration=True)), "left out",
                      "gt_full.json: video 'train_1' has no positive duration", "Write it"),
    "fps of nought": (edited(lambda database: database["train_1"].update(fps=0)), "note",
                      "gt_full.json: video 'train_1' has no usable fps; 25 is used", "add fps"),
    "hostile name": (rename_hostile, "left out", "'../../etc/passwd' cannot be a file name", "Rename"),
    "JSON cut in half": (lambda root: (root / "gt_full.json").write_bytes(
        (root / "gt_full.json").read_bytes()[:700]), "error", "gt_full.json: line 1 is not JSON", "Get it again"),
    "JSON of something else": (lambda root: (root / "gt_full.json").write_text("[]"), "error",
                               "gt_full.json: has no `database` of videos", "dataset/README.md"),
    "no annotations": (lambda root: (root / "gt_full.json").unlink(), "error", "gt_full.json: no such file",
                       "dataset/README.md"),
    "settings at fault": (lambda root: append(root / "config.yaml", "feature_dmi: 5\n"), "error",
                          "tiny/config.yaml: unknown setting 'feature_dmi'", "Did you mean 'feature_dim'?"),
    "ambiguous segment at fault": (lambda root: (root / "Ambiguous_test.txt").write_text("test_0 1.0\n"), "error",
                                   "Ambiguous_test.txt: line 1 is not `video start end`", "Correct it"),
    "ambiguous segment reversed": (lambda root: (root / "Ambiguous_test.txt").write_text("test_0 2 1\n"), "error",
                                   "Ambiguous_test.txt: line 1 is not `video start end` in seconds, rising", "Correct"),
    "point just past the end": (lambda root: append(root / POINTS, "run,,,train_1,1215\n"), "note", "1 point up "
                                "to a second past the end of the video", "Check the duration"),
    "points setting leaves the folder": (lambda root: append(root / "config.yaml", "points: ../../secret.csv\n"),
                                         "error", "points=../../secret.csv: leaves", "Name a file under it"),
    "no file of a video": (lambda root: (root / "videos/train_1.mp4").unlink(), "note",
                           "videos: video 'train_1' has no file and cannot be watched", "Put <video>.mp4"),
    "no files of videos": (lambda root: [path.unlink() for path in (root / "videos").iterdir()], "note",
                           "videos: holds no video files", "Put <video>.mp4"),
    "file of no video": (lambda root: (root / "videos/<script>.mp4").write_bytes(b""), "note",
                         "videos: file '<script>' belongs to no video of gt_full.json", "Add the video"),
    "two files of a video": (lambda root: (root / "videos/train_1.webm").write_bytes(b""), "note",
                             "videos: video 'train_1' has several files", "Keep one"),
}


@pytest.mark.parametrize("text", [
    '{"a":1,"a":2}', '{"a"  : 1, "a"  : 2}', '{"a"\n:1, "a"\t:2}', r'{"a": "\u0022: \u003A \u003a", "a": "\u0022:"}',
    r'{"a": 1, "\u0061": "\":"}', '{"b": [{"a": {"c": 1}, "a": 2}]}',
    r'{"a": 1, "a": "\u005cu003a"}'])
def test_duplicate_keys_are_found_however_they_are_written(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"file\.json: 'a' is listed twice in one object"):
        read_json(path)


@pytest.mark.parametrize("text", [r'{"\u0022a\u0022: 1": "\":, \\u003a :", "b\\": {"a": 1}, "c": {"a": [": :"]}}',
                                  '"a: b: c"', r'[{"a": "\u003a\u003A"}, {"a": "\\\u003a"}]'])
def test_colons_in_strings_are_not_keys(tmp_path, text):
    (tmp_path / "file.json").write_text(text)
    assert read_json(tmp_path / "file.json") == json.loads(text)


@pytest.mark.parametrize("text", ["[" * 900 + "]" * 900, '{"a": %s, "a": 1}' % ("[" * 1010 + "]" * 1010)])
def test_deep_nesting_is_refused(tmp_path, text):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(InputError, match=r"file\.json: is nested too deeply"):
        read_json(tmp_path / "file.json")


@pytest.mark.parametrize("case", CASES)
def test_fault_is_reported_with_place_and_remedy(root, case):
    spoil, level, place, remedy = CASES[case]
    spoil(root)
    findings = said(root)
    assert [(found, message) for found, message in findings if place in message and remedy in message
            and found == level], findings
    assert len(findings) == 1 + (case in ("settings at fault", "setting twice", "segment reversed")), findings
    code = run(parse(root))
    assert code == (2 if level in ("error", "to do") else 0)
    if level in ("error", "to do"):
        with pytest.raises(InputError, match=r"\.|\?"):
            open_dataset(config_of(root)).raise_errors()
    else:
        open_dataset(config_of(root)).raise_errors()


@pytest.mark.parametrize(("name", "sentence"), [
    ("split_train.txt", "split_train.txt: video 'cafe\u0301' looks like a name in gt_full.json but is written with"),
    ("videos", "videos: file 'cafe\u0301' looks like a name in gt_full.json but is written with other characters")])
def test_names_that_differ_only_in_unicode_form_are_reported(root, name, sentence):
    for path in [path for path in root.rglob("*") if path.is_file()]:
        if path.suffix in (".txt", ".csv", ".json"):
            path.write_text(path.read_text().replace("train_1", "caf\u00e9"))
        path.rename(path.with_stem(path.stem.replace("train_1", "caf\u00e9")))
    assert said(root) == []
    if name == "videos":
        (root / name / "caf\u00e9.mp4").rename(root / name / "cafe\u0301.mp4")
    else:
        (root / name).write_text((root / name).read_text().replace("\u00e9", "e\u0301"))
    assert any(sentence in message for _, message in said(root)), said(root)


def parse(root, *arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(root), *arguments])


def half_precision(root):
    for path in root.glob("features/*/*.npy"):
        np.save(path, np.load(path).astype(np.float16))


def marked_and_crlf(root):
    for name in (POINTS, "split_train.txt", "gt_full.json"):
        text = (root / name).read_text()
        (root / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n\r\n").encode())


def numeric_texts(root):
    edit_gt(root, lambda database: database["train_1"]["annotations"][1].update(segment=["16.0", "20.5"]))


@pytest.mark.parametrize("vary", [half_precision, marked_and_crlf, numeric_texts])
def test_harmless_variations_are_accepted(root, vary):
    before = validate(root).counts
    vary(root)
    assert validate(root).findings == [] and validate(root).counts == before


def test_faults_of_all_files_are_reported_together(root):
    (root / "gt_full.json").write_bytes((root / "gt_full.json").read_bytes()[:700])
    (root / "split_test.txt").unlink()
    (root / POINTS).write_text("class,video_id\nrun,train_1\n")
    features_cut_off(root)
    (root / "Ambiguous_test.txt").write_bytes(b"\xff")
    messages = [message for _, message in said(root)]
    for place in ("gt_full.json: line 1 is not JSON", "split_test.txt: no such file", "is missing point",
                  "train_1.npy: is cut off", "Ambiguous_test.txt: byte 0"):
        assert any(place in message for message in messages), (place, messages)
    assert len(messages) == 5
    with pytest.raises(InputError) as error:
        open_dataset(config_of(root))
    assert len(error.value.faults) == 4                 # all but the features, which only affect one video


def test_every_bad_line_of_a_file_is_reported(root):
    append(root / POINTS, "rnu,,,train_1,90\nrun,,,train_1,soon\nrun\n")
    set_segment([3])(root)
    set_segment("x", "train_2")(root)
    assert sum(level == "error" for level, _ in said(root)) == 5
    append(root / POINTS, "run,,,train_1,9000\nrun,,,nobody,9\n")
    assert [message for level, message in said(root) if level == "left out" and POINTS in message][1:], "beside those"


MANY = 3000


def many_without_fps(tmp_path):
    """Annotations of many videos as published for ActivityNet, without fps."""
    root = tmp_path / "many"
    root.mkdir()
    names = [f"{number:011d}" for number in range(MANY)]
    database = {name: {"duration": 60.0, "subset": "training", "annotations": [{"label": "jump", "segment": [1, 9]}]}
                for name in names}
    (root / "gt_full.json").write_text(json.dumps({"database": database}))
    for split, part in (("train", names[:2000]), ("test", names[2000:])):
        (root / f"split_{split}.txt").write_text("".join(f"{name}\n" for name in part))
    (root / "point_labels").mkdir()
    (root / POINTS).write_text("class,video_id,point\n" + "".join(f"jump,{name},75\n" for name in names))
    return root, names


def test_many_videos_without_fps_give_one_finding_and_use_the_rate_in_the_settings(tmp_path):
    root, _ = many_without_fps(tmp_path)
    report = validate(root)
    fps, = (finding for finding in report.findings if "have no usable fps" in finding.message)
    assert fps.level == "note" and "3,000 videos have no usable fps: '00000000000', '00000000001', '00000000002', " \
        "'00000000003', '00000000004' …; 25 is used" in fps.message
    assert [report.counts["splits"][split]["videos"] for split in ("train", "test")] == [2000, 1000]
    assert report.counts["points"] == MANY and len(report.findings) == 3, report.findings
    dataset = open_dataset(config_of(root), features=False)
    assert len(dataset.splits["train"]) == 2000 and set(dataset.points.seconds.tolist()) == {3.0}
    (root / "config.yaml").write_text("frames_per_sec: 30\n")
    assert set(open_dataset(config_of(root), features=False).points.seconds.tolist()) == {2.5}


def test_missing_fps_is_taken_from_the_video_file(root, tmp_path):
    write_video(root / "videos" / "train_1.mp4", range(0, 2000, 100), rate=10)
    edit_gt(root, lambda database: [database[video].pop("fps") for video in ("train_1", "train_2")])
    notes = [message for _, message in said(root)]
    assert any("video 'train_1' has no usable fps; the rate of the video file is used" in note for note in notes)
    assert any("video 'train_2' has no usable fps; 25 is used" in note for note in notes) and len(notes) >= 2
    fps = open_dataset(config_of(root)).fps
    assert (fps["train_0"], fps["train_1"], fps["train_2"]) == (30, pytest.approx(10), 25)
    (root / "videos" / "train_1.mp4").rename(tmp_path / "outside.mp4")
    (root / "videos" / "train_1.mp4").symlink_to(tmp_path / "outside.mp4")
    assert any("2 videos have no usable fps: 'train_1', 'train_2'; 25 is used" in note for _, note in said(root))


def test_a_line_of_two_million_characters_gives_a_short_message(root):
    with open(root / "split_train.txt", "a") as split:
        split.write("ab" * 10**6)
    began = time.process_time()
    notes = [message for _, message in said(root)]
    assert time.process_time() - began < 5 and max(map(len, notes)) < 5000
    assert any("split_train.txt: video 'ababab" in note and "correct or remove the line." in note for note in notes)


def test_repeated_faults_are_one_line_with_a_count_and_five_names(tmp_path):
    root, names = many_without_fps(tmp_path)

    def spoil(database):
        for number, info in enumerate(database.values()):
            info["fps"] = 25
            info["annotations"][0]["segment"] = [[1, 99], [5, 5], [9, 3]][number % 3]
        for name in names[:50]:
            database[name]["duration"] = None
        for name in names[50:100]:
            database[f"a/{name}"] = database.pop(name)

    edit_gt(root, spoil)
    (root / "videos").mkdir()
    for number in range(100):
        (root / "videos" / f"other_{number}.mp4").write_bytes(b"")
        (root / "videos" / f"link_{number}.mp4").symlink_to(tmp_path)
    for split in ("train", "test"):
        (root / "features" / split).mkdir(parents=True)
    for number, name in enumerate(names[:2000]):
        array = np.zeros((93, 16), np.float32) if number % 4 else np.full((93, 8), np.nan, np.float32)
        np.save(root / "features" / "train" / f"{name}.npy", array if number % 8 else array[:30])
    (root / "config.yaml").write_text("feature_dim: 16\nrab_heads: 4\n")
    append(root / POINTS, "".join(f"jump,{name},9000\nhop,{name},x\njump\n" for name in names[100:]))
    append(root / "split_train.txt", "".join(f"{name}\n{name}x\n" for name in names[:1000]))
    lines = str(validate(root)).splitlines()
    assert len(lines) < 35 and max(map(len, lines)) < 700, lines
    assert sum("…" in line for line in lines) >= 10, lines


def test_points_of_unknown_videos_alone_are_an_error(root):
    (root / POINTS).write_text("class,video_id,point\nrun,trian_1,3\nrun,trian_2,3\n")
    assert any(level == "error" and "line 2 names the unknown video 'trian_1'" in message
               and "2 points left out" in message
               for level, message in said(root))


def test_fresh_project_lists_its_next_steps(tmp_path):
    root = tmp_path / "fresh"
    root.mkdir()
    database = {video: {"duration": 10, "fps": 25, "annotations": []} for video in ("a", "b")}
    (root / "gt_full.json").write_text(json.dumps({"database": database}))
    for split in ("train", "test"):
        (root / f"split_{split}.txt").write_text("a\nb\n")
    report = validate(root)
    messages = {finding.step: finding.message for finding in report.findings if finding.level == "to do"}
    assert "no features yet. Extract them (`python -m hrpro extract" in messages["extract features"]
    assert "no action classes yet. Add some in the app" in messages["add action classes"]
    assert "no point labels yet. Label some in the app" in messages["label points"]
    assert not report.ready and not any(finding.level == "error" for finding in report.findings)
    assert report.next_step == "extract features"
    assert str(report).endswith("Not ready to train. Next: extract features.")
    (root / "features").mkdir()
    for split in ("train", "test"):
        for video in ("a", "b"):
            (root / "features" / split).mkdir(exist_ok=True)
            np.save(root / "features" / split / f"{video}.npy", np.zeros((15, 2048), np.float32))
    assert validate(root).next_step == "add action classes"
    (root / "classes.txt").write_text("run\n")
    assert validate(root).next_step == "label points"
    (root / "point_labels").mkdir()
    (root / "point_labels/points.csv").write_text("class,start_frame,stop_frame,video_id,point\nrun,,,a,50\n")
    assert validate(root).next_step == "train" and validate(root).ready
    (root / "split_train.txt").unlink()
    assert validate(root).next_step == "fix the errors"


def test_command_line_prints_text_and_json(root, capsys):
    features_with_nan(root)
    assert run(parse(root)) == 0
    out = capsys.readouterr().out
    assert "9 videos (9 with a file), 3 classes, 27 segments, 27 points" in out and "left out  " in out
    assert "train 6 videos, 5 with features" in out and out.endswith("Ready to train.\n")
    assert run(parse(root, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ready"] and report["next_step"] == "train" and report["counts"]["splits"]["train"]["features"] == 5
    assert [finding["level"] for finding in report["findings"]] == ["left out"]
    with pytest.raises(InputError, match=r"nowhere: no such data set\. See dataset/README\.md"):
        run(parse(root.parent / "nowhere"))


def test_validation_writes_nothing(root):
    features_with_nan(root)
    before = signature(root)
    validate(root)
    assert signature(root) == before
    (root / POINTS).write_text((root / POINTS).read_text() + "\n")
    assert signature(root) != before


def test_change_behind_a_link_is_noticed(root):
    (root / "stored").mkdir()
    for name in ("features", "gt_full.json"):
        (root / name).rename(root / "stored" / name)
        (root / name).symlink_to(root / "stored" / name)
    (root / "features" / "round").symlink_to(root)
    before = signature(root)
    (root / "features" / "train" / "train_1.npy").unlink()
    between = signature(root)
    (root / "gt_full.json").write_text((root / "gt_full.json").read_text() + "\n")
    assert len({before, between, signature(root)}) == 3


def test_video_linked_from_outside_is_reported(make_dataset, tmp_path):
    root = make_dataset(tmp_path / "tiny")
    (root / "videos").mkdir()
    (tmp_path / "film.mp4").touch()
    (root / "videos" / "test_0.mp4").symlink_to(tmp_path / "film.mp4")
    (root / "videos" / "test_1.mp4").symlink_to(tmp_path / "film.mp4")
    said, = (finding.message for finding in validate(root).findings if "symbolic link" in finding.message)
    assert said == (f"{root / 'videos'}: 2 symbolic links out of the data set, not followed: "
                    "'test_0.mp4', 'test_1.mp4'. Put the files themselves there, or hard links.")


def test_annotations_of_the_published_data_sets(shared):
    for name, videos, points in (("THUMOS14", 412, 3003), ("GTEA", 28, 367), ("BEOID", 58, 594)):
        report = validate(shared / "datasets" / name)
        assert (report.counts["videos"], report.counts["points"]) == (videos, points)
        assert [finding.step for finding in report.findings if finding.blocks] == ["extract features"]
