import json
import subprocess
import sys

import pytest

from hrpro.errors import InputError
from hrpro.evaluation.report import evaluate_files, parse_tiou


def ground_truth(**annotations):
    """A file's content: two test videos u, v with the given annotations, one training video."""
    database = {video: {"subset": "Test", "annotations": annotations.get(video, [])} for video in "uv"}
    return {"database": database | {"t": {"subset": "Train", "annotations": [segment("run", 0, 9)]}}}


def segment(label, start, end, score=None):
    return {"label": label, "segment": [start, end]} | ({} if score is None else {"score": score})


@pytest.fixture
def files(tmp_path):
    def write(truth, results):
        paths = tmp_path / "gt.json", tmp_path / "pred.json"
        for path, content in zip(paths, (truth, results), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return paths
    return write


def run(gt, pred, *options):
    return subprocess.run([sys.executable, "-m", "hrpro", "evaluate", "--gt", gt, "--pred", pred, *options],
                          capture_output=True, text=True, timeout=60, check=False)


SOUND = ground_truth(u=[segment("jump", 0, 10)], v=[segment("run", 0, 10)])


def test_json_is_the_published_programs_report(shared, reference):
    done = run(shared / "datasets" / "THUMOS14" / "gt_full.json", reference / "evaluate_predictions.json", "--subset",
               "Test", "--json", "--ignore-video", "video_test_0000270", "video_test_0001292", "--ignore-video",
               "video_test_0001496")
    expected = json.loads((reference / "evaluate_expected.json").read_text())
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found.keys() == {"mAP", "average", "per_class", "n_ground_truth", "n_predictions", "n_videos"}
    for part in ("mAP", "average"):
        assert found[part] == pytest.approx(expected[part], abs=1e-14)
    assert found["per_class"].keys() == expected["per_class"].keys()
    for label, values in expected["per_class"].items():
        assert found["per_class"][label] == pytest.approx(values, abs=1e-14)
    assert (found["n_ground_truth"], found["n_predictions"], found["n_videos"]) == (3311, 3500, 210)


def test_table_and_what_was_left_out(files):
    results = {"u": [segment("jump", 0, 9, .9), segment("sit", 0, 9, .9), segment("jump", 9, 0, .1)],
               "t": [segment("run", 0, 9, 1)]}
    done = run(*files(SOUND, {"results": results}), "--subset", "Test", "--tiou", "0.5,0.95")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()[1:5]] == [
        ["jump", "100.0", "0.0"], ["run", "0.0", "0.0"], ["mAP", "50.0", "0.0"], ["average", "0.5:0.95", "25.0"]]
    assert done.stdout.endswith("2 ground-truth segments, 2 predictions, 2 videos\n")
    assert done.stderr.splitlines() == [
        "note: 1 predictions left out: no ground truth has their class.",
        "note: 1 predictions left out: their video is not in the subset.",
        "note: 1 predictions end before they begin and count as false positives."]


def test_ignored_videos_count_nowhere(files):
    gt, pred = files(SOUND, {"results": {"v": [segment("run", 0, 10, .5)], "u": [segment("run", 0, 10, .9)]}})
    report = evaluate_files(gt, pred, "Test", [.5], ["u", "unheard-of"])
    assert report.to_json() == {"mAP": {"0.5": 1}, "average": {}, "per_class": {"run": [1]}, "n_ground_truth": 1,
                                "n_predictions": 1, "n_videos": 1}
    assert (report.unknown_label, report.unknown_video) == (0, 0)


def test_numbers_written_as_text_are_numbers(files):
    gt, pred = files(ground_truth(u=[segment("jump", "0", "10.0")]),
                     {"results": {"u": [segment("jump", "0", "10", "0.5")]}})
    assert evaluate_files(gt, pred, "Test", [.9]).mAP.tolist() == [1]


@pytest.mark.parametrize(("truth", "results", "subset", "faults"), [
    (SOUND, {"results": {}}, "test", ["gt.json: has no video of the subset 'test'. Choose one of: Test (2 videos), "
                                      "Train (1 videos)."]),
    ({"results": {}}, {"results": {}}, "Test", ["gt.json: has no `database` of videos."]),
    ({"database": {"u": []}}, {"results": {}}, "Test", ["gt.json: has no `database` of videos."]),
    (ground_truth(), {"results": {}}, "Test", ["gt.json: has no annotated segment in the subset 'Test'"]),
    (ground_truth(u=[segment("jump", 9, 3)], v=[segment("run", 4, 4)]), {"results": {}}, "Test",
     ["gt.json: video 'u' has the segment [9, 3], which does not end after it begins",
      "gt.json: video 'v' has the segment [4, 4], which"]),
    (ground_truth(u=[segment("jump", 9, "end")]), {}, "Test",
     ["gt.json: segment 0 of video 'u' has no [start, end]", "pred.json: has no `results` object"]),
    (SOUND, '{"results": {"u": [', "Test", ["pred.json: line 1 is not JSON"]),
    (SOUND, {"results": {"u": [segment("jump", 0, 1, None), {"label": "jump", "segment": "01"},
                               {"label": "jump", "segment": [0, 1], "score": "high"}]}}, "Test",
     [f"pred.json: segment {number} of video 'u'" for number in range(3)]),
])
def test_bad_files(files, truth, results, subset, faults):
    gt, pred = files(truth, results)
    with pytest.raises(InputError) as raised:
        evaluate_files(gt, pred, subset, [.5])
    found = [fault.removeprefix(f"{gt.parent}/") for fault in raised.value.faults]
    assert len(found) == len(faults)
    for sentence, beginning in zip(found, faults, strict=True):
        assert sentence.startswith(beginning)


def test_bad_input_ends_with_2_and_a_sentence(files, tmp_path):
    gt, pred = files(SOUND, {"results": {}})
    for options in (("--subset", "Tset"), ("--subset", "Test", "--tiou", "0:1:0.5")):
        done = run(gt, pred, *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    done = run(gt, tmp_path / "none.json", "--subset", "Test")
    assert done.returncode == 2 and "none.json: no such file" in done.stderr


@pytest.mark.parametrize(("text", "expected"), [
    ("0.1:0.7:0.1", [.1, .2, .3, .4, .5, .6, .7]),
    ("0.5:0.95:0.05", [.5, .55, .6, .65, .7, .75, .8, .85, .9, .95]),
    ("0.3:0.8:0.2", [.3, .5, .7]),
    ("0.3,0.5, 0.75", [.3, .5, .75]),
    ("1", [1]),
])
def test_thresholds(text, expected):
    assert parse_tiou(text) == expected


@pytest.mark.parametrize("text", ["", "a", "0:1:0.5", "0.1:0.7", "0.1:0.7:0", "0.7:0.1:0.1", "0.1:0.7:-0.1", "0.5,0.3",
                                  "0.5,0.5", "0.5,1.2", "nan", "0.1:inf:0.1", "0.1:nan:1", "0.001:1:1e-9"])
def test_thresholds_that_make_no_sense(text):
    with pytest.raises(InputError, match="Write first:last:step"):
        parse_tiou(text)
