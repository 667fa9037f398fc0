import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hrpro.data.run import Run
from hrpro.errors import InputError
from hrpro.evaluation.report import evaluate_files, parse_tiou
from hrpro.files import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]


def ground_truth(**annotations):
    """File content with two test videos, u and v, with the given annotations, and one training video."""
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


def test_json_report_matches_the_published_program(shared, reference):
    thumos = shared / "datasets" / "THUMOS14" / "gt_full.json"
    done = run(thumos, reference / "evaluate_predictions.json", "--subset",
               "Test", "--json", "--ignore-video", "video_test_0000270", "video_test_0001292", "--ignore-video",
               "video_test_0001496")
    expected = json.loads((reference / "evaluate_expected.json").read_text())
    assert done.returncode == 0
    unknown, outside, silent = done.stderr.splitlines()
    assert unknown == f"note: --ignore-video: 'video_test_0001292' not in {thumos}."
    assert "4 segments lie outside the video, the first [233.6, 240.1] in video 'video_test_0000814'" in outside
    assert silent.startswith("note: 140 of 210 videos without any prediction: 'video_test_0000004'")
    found = json.loads(done.stdout)
    assert found.keys() == {"mAP", "average", "per_class", "best_f1", "n_ground_truth", "n_predictions", "n_videos"}
    for part in ("mAP", "average"):
        assert found[part] == pytest.approx(expected[part], abs=1e-14)
    assert found["per_class"].keys() == expected["per_class"].keys()
    for label, values in expected["per_class"].items():
        assert found["per_class"][label] == pytest.approx(values, abs=1e-14)
    assert (found["n_ground_truth"], found["n_predictions"], found["n_videos"]) == (3311, 3500, 210)


def test_table_is_printed_and_left_out_predictions_are_noted(files):
    results = {"u": [segment("jump", 0, 9, .9), segment("sit", 0, 9, .9), segment("jump", 9, 0, .1)],
               "t": [segment("run", 0, 9, 1)]}
    done = run(*files(SOUND, {"results": results}), "--subset", "Test", "--tiou", "0.5,0.95")
    assert done.returncode == 0
    assert [line.split() for line in done.stdout.splitlines()[1:5]] == [
        ["jump", "100.0", "0.0"], ["run", "0.0", "0.0"], ["mAP", "50.0", "0.0"], ["average", "0.5:0.95", "25.0"]]
    assert [line.split() for line in done.stdout.splitlines()[5:10]] == [
        ["best", "F1", "66.7", "0.0"], ["at", "scores", "from", "0.9", "0.9"], ["found", "1", "0"],
        ["false", "positives", "0", "1"], ["misses", "1", "2"]]
    assert done.stdout.endswith("2 ground-truth segments, 2 predictions, 2 videos\n")
    assert done.stderr.splitlines() == [
        "note: 1 prediction left out: 1 video of another subset (Train: 1).",
        "note: 1 prediction left out: 1 class without ground truth. Not a class of the subset: 'sit'. The ground truth "
        "has 'jump', 'run'.",
        "note: 1 prediction ends before the start and counts as a false positive.",
        "note: 1 of 2 videos without any prediction: 'v'. All their actions are misses."]


def test_ignored_videos_do_not_count(files):
    gt, pred = files(SOUND, {"results": {"v": [segment("run", 0, 10, .5)], "u": [segment("run", 0, 10, .9)]}})
    report = evaluate_files(gt, pred, "Test", [.5], ["u", "v_v"])
    precision = report.precision
    assert precision.to_json() == {
        "mAP": {"0.5": 1}, "average": {}, "per_class": {"run": [1]}, "n_ground_truth": 1, "n_predictions": 1,
        "n_videos": 1, "best_f1": {"0.5": {"score": .5, "f1": 1, "precision": 1, "recall": 1, "found": 1,
                                           "false_positives": 0, "misses": 0}}}
    assert report.notes == [f"--ignore-video: 'v_v' not in {gt}. Did you mean 'v'?"]


def test_numbers_written_as_strings_are_accepted(files):
    gt, pred = files(ground_truth(u=[segment("jump", "0", "10.0")]),
                     {"results": {"u": [segment("jump", "0", "10", "0.5")]}})
    assert evaluate_files(gt, pred, "Test", [.9]).precision.mAP.tolist() == [1]


@pytest.mark.parametrize(("truth", "results", "subset", "faults"), [
    (SOUND, {"results": {}}, "test", ["gt.json: has no video of the subset 'test'. Did you mean 'Test'?"]),
    (SOUND, {"results": {}}, "holdout", ["gt.json: has no video of the subset 'holdout'. Choose one of: Test"]),
    ({"results": {}}, SOUND, "Test", ["gt.json: holds detections (`results`), not ground truth (`database`). If the "
                                      "two files are swapped, exchange --gt and --pred.",
                                      "pred.json: holds ground truth (`database`), not detections (`results`)."]),
    (SOUND, SOUND, "Test", ["pred.json: holds ground truth (`database`), not detections (`results`)."]),
    ([], {"results": {}}, "Test", ["gt.json: has no `database` of videos."]),
    ({"database": {"u": []}}, {"results": {}}, "Test", ["gt.json: has no `database` of videos."]),
    (ground_truth(), {"results": {}}, "Test", ["gt.json: has no annotated segment in the subset 'Test'"]),
    (ground_truth(u=[segment("jump", 9, 3)], v=[segment("run", 4, 4), segment("run", 4, 2)]), {"results": {}},
     "Test",
     ["gt.json: 2 segments end before the start, the first [9, 3] in video 'u'; also in 'v'. Swap the ends"]),
    (ground_truth(v=[segment("run", 4, 4)]), {"results": {}}, "Test",
     ["gt.json: has no annotated segment with a length in the subset 'Test'"]),
    (ground_truth(u=[segment("jump", 9, "end")]), {}, "Test",
     ["gt.json: segment 0 of video 'u' has no [start, end]", "pred.json: has no `results` object"]),
    (SOUND, '{"results": {"u": [', "Test", ["pred.json: line 1 is not JSON"]),
    (SOUND, {"results": {"u": [segment("jump", 0, 1, None), {"label": "jump", "segment": "01"},
                               {"label": "jump", "segment": [0, 1], "score": "high"}]}}, "Test",
     [f"pred.json: segment {number} of video 'u'" for number in range(3)]),
])
def test_faults_of_both_files_are_reported(files, truth, results, subset, faults):
    gt, pred = files(truth, results)
    with pytest.raises(InputError) as raised:
        evaluate_files(gt, pred, subset, [.5])
    found = [fault.removeprefix(f"{gt.parent}/") for fault in raised.value.faults]
    assert len(found) == len(faults)
    for sentence, beginning in zip(found, faults, strict=True):
        assert sentence.startswith(beginning)


def test_bad_input_exits_with_code_2_and_an_error_message(files, tmp_path):
    gt, pred = files(SOUND, {"results": {}})
    for options in (("--subset", "Tset"), ("--subset", "Test", "--tiou", "0:1:0.5")):
        done = run(gt, pred, *options)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    done = run(gt, tmp_path / "none.json", "--subset", "Test")
    assert done.returncode == 2 and "none.json: no such file" in done.stderr


def test_segment_without_length_is_left_out_unless_strict(files):
    """As in the official ActivityNet file: [0, 0] next to a real segment of its class. The predictions are perfect."""
    gt, pred = files(ground_truth(u=[segment("wash", 0, 0), segment("wash", 10, 20)], v=[segment("run", 5, 25)]),
                     {"results": {"u": [segment("wash", 10, 20, .9)], "v": [segment("run", 5, 25, .8)]}})
    done = run(gt, pred, "--subset", "Test", "--tiou", "0.5,0.95")
    assert done.returncode == 0 and "2 ground-truth segments" in done.stdout
    assert [line.split() for line in done.stdout.splitlines()[2:4]] == [["wash", "100.0", "100.0"],
                                                                        ["mAP", "100.0", "100.0"]]
    note, = done.stderr.splitlines()
    assert "1 segment has no length (the first: [0, 0] in video 'u'); it stays in the file, but training and " \
        "evaluation leave it out" in note
    done = run(gt, pred, "--subset", "Test", "--tiou", "0.5,0.95", "--strict")
    assert done.returncode == 0 and "3 ground-truth segments" in done.stdout
    assert [line.split() for line in done.stdout.splitlines()[2:4]] == [["wash", "50.0", "50.0"],
                                                                        ["mAP", "75.0", "75.0"]]
    assert "counts as an action that no prediction can find" in done.stderr


def test_unusual_ground_truth_counts_and_is_noted(files):
    """A segment past the end of its video, and one that is listed twice."""
    truth = ground_truth(u=[segment("jump", 0, 10), segment("jump", 50, 99), segment("jump", 0, 10)])
    truth["database"]["u"]["duration"] = 60
    evaluation = evaluate_files(*files(truth, {"results": {"u": [segment("jump", 0, 10, .9)]}}), "Test", [.5])
    assert len(evaluation.precision.ground_truth) == 3
    outside, repeated, silent = [note.rpartition("gt.json: ")[2] for note in evaluation.notes]
    assert outside.startswith("1 segment lies outside the video, the first [50, 99] in video 'u' of 60 s.")
    assert repeated.startswith("1 segment repeats an earlier one, the first [0, 10] in video 'u'. Each copy counts")
    assert silent.startswith("1 of 2 videos without any prediction: 'v'.")


def test_unusual_predictions_are_false_positives_and_noted(files):
    truth = ground_truth(u=[segment("jump", 0, 10)], v=[segment("run", 0, 10)])
    truth["database"]["u"]["duration"] = 60
    results = {"u": [segment("jump", 0, 10, .5), segment("jump", 5, 5, .9), segment("jump", 0, 0, .8),
                     segment("jump", 300, 600, .7)], "v": [segment("run", 0, 10, .5)]}
    evaluation = evaluate_files(*files(truth, {"results": results}), "Test", [.5])
    assert evaluation.precision.mAP.tolist() == [(1 / 4 + 1) / 2]
    assert evaluation.notes == ["2 predictions end where they start and count as false positives.",
                                "1 prediction starts after the end of its video. Is the time in seconds?"]


@pytest.mark.parametrize(("results", "why"), [
    ({"v_u2": [segment("jump", 0, 10, .9)]}, "'v_u2' is not in the subset; the ground truth has 'u2'. Rename the"),
    ({"u2": [segment("JUMP_", 0, 10, .9)]}, "'JUMP_' is not a class of the subset; the ground truth has 'jump'. Renam"),
    ({"t": [segment("jump", 0, 10, .9)]}, "1 video of another subset (Train: 1). Give that subset as --subset."),
    ({"else": [segment("jump", 0, 10, .9)]}, "Not in the subset: 'else'. The ground truth has 'u2'."),
    ({"ignored": [segment("jump", 0, 10, .9)]}, "All its videos are left out by --ignore-video."),
])
def test_predictions_that_match_nothing_are_an_error(files, results, why):
    truth = {"database": {"u2": {"subset": "Test", "annotations": [segment("jump", 0, 10)]},
                          "ignored": {"subset": "Test"}, "t": {"subset": "Train"}}}
    done = run(*files(truth, {"results": results}), "--subset", "Test", "--ignore-video", "ignored")
    assert (done.returncode, done.stdout) == (2, "")
    line, = done.stderr.splitlines()
    assert line.startswith("error: ") and "no prediction belongs to a video and a class of the subset 'Test'" in line
    assert why in line


def test_predictions_that_partly_match_nothing_are_noted(files):
    results = {"u": [segment("jump", 0, 10, .9), segment("Jumping", 0, 10, .9)], "v_u": [segment("run", 0, 10, .9)] * 2}
    evaluation = evaluate_files(*files(SOUND, {"results": results}), "Test", [.5])
    assert evaluation.precision.mAP.tolist() == [.5]
    videos, classes, _ = evaluation.notes
    assert videos.startswith("2 predictions left out: 1 video not in the ground truth.") and "'v_u'" in videos
    assert classes.startswith("1 prediction left out: 1 class without ground truth. 'Jumping' is not a class of the "
                              "subset; the ground truth has 'jump'.")
    assert evaluate_files(*files(SOUND, {"results": {}}), "Test", [.5]).notes == [
        "There are no predictions, so every action is a miss."]


@pytest.fixture
def world(trained_world, tmp_path):
    return shutil.copytree(trained_world, tmp_path / "world")


def measure_in_both_ways(world, change):
    """Run `main.py --mode test` and `evaluate` on a trained run, after `change(annotations of test_0)`."""
    data = world / "dataset" / "small"
    document = read_json(data / "gt_full.json")
    change(document["database"]["test_0"]["annotations"])
    write_json(data / "gt_full.json", document)
    command = [sys.executable, ROOT / "main.py", "--cfg", data / "config.yaml", "--data_path", data, "--ckpt_path",
               world / "ckpt", "--stage", "2", "--mode", "test"]
    tested = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    stage = Run(world / "ckpt" / "small" / "first").stage(2)
    evaluated = run(data / "gt_full.json", stage.final_result, "--subset", "Test", "--json")
    return tested, evaluated, stage.reports()["last"]


@pytest.mark.parametrize("odd", [
    [("jump", 5, 5)], [("run", 5, 5), ("wave", 0, 0)], [("jump", 30, 99)], [("jump", -3, 2)],
    [("run", 20, 26), ("run", 20, 26)], [("jump", 8, 8.0000001)],
])
def test_training_and_evaluate_agree(world, odd):
    tested, evaluated, report = measure_in_both_ways(
        world, lambda annotations: annotations.extend(segment(*each) for each in odd))
    assert (tested.returncode, evaluated.returncode) == (0, 0), tested.stderr + evaluated.stderr
    assert json.loads(evaluated.stdout) == {key: value for key, value in report.items() if key != "step"}
    empty = sum(start == end for _, start, end in odd)
    for done in (tested, evaluated):
        assert (f"{empty} segment" in done.stdout + done.stderr and "no length" in done.stdout + done.stderr) == \
            bool(empty)


def test_training_and_evaluate_refuse_a_reversed_segment(world):
    tested, evaluated, _ = measure_in_both_ways(world, lambda annotations: annotations.append(segment("jump", 20, 10)))
    assert (tested.returncode, evaluated.returncode) == (2, 2)
    for done in (tested, evaluated):
        assert "1 segment ends before the start, the first [20, 10] in video 'test_0'. Swap the ends" in done.stderr


@pytest.mark.slow
def test_100000_predictions_of_unknown_videos_are_reported_within_seconds(files):
    names = [f"{number * 7919 % 1_000_003:06d}x" for number in range(20_000)]
    truth = {"database": {name: {"subset": "Test", "annotations": [segment("jump", 0, 9)]} for name in names}}
    gt, pred = files(truth, {"results": {f"{name[::-1]}y": [segment("jump", 0, 9, .9)] * 5 for name in names}})
    began = time.process_time()
    with pytest.raises(InputError, match="20,000 videos not in the ground truth"):
        evaluate_files(gt, pred, "Test", [.5])
    assert time.process_time() - began < 5              # .7 s on a quiet machine


@pytest.mark.parametrize(("text", "expected"), [
    ("0.1:0.7:0.1", [.1, .2, .3, .4, .5, .6, .7]),
    ("0.5:0.95:0.05", [.5, .55, .6, .65, .7, .75, .8, .85, .9, .95]),
    ("0.3:0.8:0.2", [.3, .5, .7]),
    ("0.3,0.5, 0.75", [.3, .5, .75]),
    ("1", [1]),
])
def test_thresholds_are_parsed(text, expected):
    assert parse_tiou(text) == expected


@pytest.mark.parametrize("text", ["", "a", "0:1:0.5", "0.1:0.7", "0.1:0.7:0", "0.7:0.1:0.1", "0.1:0.7:-0.1", "0.5,0.3",
                                  "0.5,0.5", "0.5,1.2", "nan", "0.1:inf:0.1", "0.1:nan:1", "0.001:1:1e-9"])
def test_nonsensical_thresholds_are_refused(text):
    with pytest.raises(InputError, match="Write first:last:step"):
        parse_tiou(text)
