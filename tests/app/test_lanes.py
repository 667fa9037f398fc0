"""Lanes from evidence made by hand and from a trained run."""

import re
import shutil

import numpy as np
import orjson
import pytest

from app.evidence import Evidence, PseudoLabels, evidence
from app.lanes import KINDS, highest_score, lanes, likely_classes
from hrpro.config import config_of
from hrpro.data.dataset import open_dataset
from hrpro.data.points import Points
from hrpro.data.ranked import Ranked
from hrpro.data.run import CLASSES, Run
from hrpro.data.segments import Segments
from hrpro.files import write_json
from hrpro.timebase import Timebase

NAMES, VIDEO = ("jump", "run", "swim"), ("v",)
SECOND = Timebase(16, 16, 16, 0)                        # one snippet per second


def segments(*rows, classes=NAMES):
    """Rows (start, end, label, score)."""
    start, end, label, score = zip(*rows, strict=True) if rows else ((),) * 4
    return Segments.make(start, end, label, classes, VIDEO, score)


def known(**more):
    return Evidence("v", segments((0, 4, 1, 1), (6, 8, 0, 1)), Points([2, 7], [1, 0], [0, 0], NAMES, VIDEO), SECOND,
                    **more)


def by_id(made):
    assert len({lane["id"] for lane in made}) == len(made)
    orjson.dumps(made)                                  # the browser receives JSON
    return {lane["id"]: lane for lane in made}


@pytest.mark.parametrize(("scores", "opacity"), [
    ((0, 0), [0, 0]), ((-1, -2), [0, 0]), ((0, -1), [0, 0]), ((4, -1e15), [1, 0]), ((4, 1), [1, .25]),
    ((5e-324, -1e15), [1, 0]), ((1e15, 0), [1, 0])])
def test_detections_are_painted_by_their_share_of_the_highest_score(scores, opacity):
    found = segments(*((0, 4, 1, score) for score in scores))
    with np.errstate(all="raise"):
        lane, = lanes(known(detections={2: found}), [1], ["stage 2"], keep=5, least=-np.inf)
    assert [item[2] for item in lane["layers"][0]["items"]] == opacity


def test_only_chosen_classes_have_label_lanes():
    made = by_id(lanes(known(), [1], KINDS, keep=5, least=0))
    assert list(made) == ["truth 1"]
    lane = made["truth 1"]
    assert (lane["label"], lane["colour"]) == ("run", 1)
    truth, points = lane["layers"]
    assert (truth["kind"], truth["style"], truth["items"]) == ("segments", "solid", [[0, 4, 1, "run"]])
    assert (points["kind"], points["items"]) == ("points", [[2, "run"]])


def test_only_detections_from_the_lowest_score_are_shown_with_their_scores():
    found = {1: segments((0, 5, 1, .4), (9, 10, 1, .1)), 2: segments((0, 4, 1, 2.), (6, 8, 0, .5), (1, 2, 1, .3))}
    made = by_id(lanes(known(detections=found), [1, 0], ["stage 1", "stage 2"], keep=5, least=.3))
    assert list(made) == ["stage 2 1", "stage 1 1", "stage 2 0", "stage 1 0"]
    layer, = made["stage 2 1"]["layers"]
    assert (layer["style"], layer["items"]) == ("hatched", [[0, 4, 1, "run 2.00"], [1, 2, .15, "run 0.30"]])
    assert made["stage 1 1"]["layers"][0]["items"] == [[0, 5, .2, "run 0.40"]]     # opacity: share of the video's best
    assert made["stage 1 0"]["layers"][0]["items"] == []
    assert highest_score(known(detections=found)) == 2
    assert highest_score(known()) == 1


def test_best_proposals_are_kept_and_negative_ones_have_their_own_lane():
    ranked = Ranked(segments(*((i, i + 1, 1, score) for i, score in enumerate((.2, -.5, .9, .4)))),
                    segments((0, 4, 1, .9)), segments((4, 6, 0, -1.), (8, 9, 0, -.25), classes=("background",)))
    made = by_id(lanes(known(ranked=ranked), [1, 0], ["PP", "RP", "NP"], keep=2, least=0))
    assert list(made) == ["PP 1", "RP 1", "PP 0", "NP"]
    assert made["PP 1"]["label"] == "PP 2/4 · run"
    assert [item[3] for item in made["PP 1"]["layers"][0]["items"]] == ["run 0.90", "run 0.40"]
    assert made["PP 0"]["label"] == "PP 0 · jump"
    assert made["RP 1"]["layers"][0]["items"] == [[0, 4, .9, "run 0.90"]]
    assert [item[2:] for item in made["NP"]["layers"][0]["items"]] == [[1, "background -1.00"],
                                                                       [.25, "background -0.25"]]
    assert by_id(lanes(known(ranked=ranked), [1], ["PP"], keep=1, least=0))["PP 1"]["layers"][0]["items"] == \
        [[2, 3, .9, "run 0.90"]]


def test_pseudo_labels_are_drawn_under_curves_or_alone():
    action = np.zeros((10, 3), np.float32)
    action[1:4, 1] = 1
    background = np.array([1, 0, 0, 0, 0, 1, 1, 0, 0, 1], np.float32)
    more = {"cas": "/cas", "similarity": "/similarity", "pseudo": PseudoLabels(action, background)}
    made = by_id(lanes(known(**more), [1], ["cas", "pseudo", "similarity", "background"], keep=1, least=0))
    assert list(made) == ["cas 1", "similarity 1", "background"]
    pseudo, curve = made["cas 1"]["layers"]
    assert pseudo["items"] == [[1, 4, 1, "pseudo run"]]
    assert {key: curve[key] for key in ("kind", "url", "column", "start", "step", "range")} == \
        {"kind": "curve", "url": "/cas", "column": 1, "start": .5, "step": 1, "range": [0, 1]}
    assert made["similarity 1"]["layers"][0]["range"] == [-1, 1]
    stretches, score = made["background"]["layers"]
    assert [item[:2] for item in stretches["items"]] == [[0, 1], [5, 7], [9, 10]]
    assert score["column"] == 3
    assert list(by_id(lanes(known(**more), [1], ["pseudo"], keep=1, least=0))) == ["pseudo 1", "pseudo"]
    assert "pseudo run" not in str(lanes(known(**more), [1], ["cas", "background"], keep=1, least=0))


def test_labelled_classes_and_the_best_detection_are_shown_first():
    assert likely_classes(known()) == [1, 0]
    assert likely_classes(known(detections={1: segments((0, 1, 0, 9.)), 2: segments((0, 1, 1, .1), (0, 1, 2, .2))})) \
        == [1, 0, 2]
    bare = known()
    bare.truth, bare.points = bare.truth[:0], bare.points[:0]
    assert likely_classes(bare) == [0]


@pytest.fixture
def world(trained_world, tmp_path):
    return shutil.copytree(trained_world, tmp_path / "world")


def opened(world):
    dataset = open_dataset(config_of(world / "dataset" / "small"), features=False)
    return dataset, Run(world / "ckpt" / "small" / "first")


def test_trained_run_has_every_kind_of_lane(world):
    dataset, run = opened(world)
    train, test = evidence(dataset, run, "train_1"), evidence(dataset, run, "test_1")
    assert train.missing == ["Detections are made of the test split; this is a training video."]
    assert test.missing == []
    made = by_id([*lanes(train, range(3), KINDS, keep=9, least=0)])
    assert {name.rstrip(" 012") for name in made} == {"truth", "cas", "similarity", "PP", "RP", "background", "NP"}
    assert {name.rstrip(" 012") for name in by_id(lanes(test, range(3), KINDS, keep=9, least=0))} == \
        {"truth", "stage", "cas", "similarity", "PP", "background"}
    points = train.points.seconds
    for index in range(3):                              # a point's own snippet is always pseudo action of its class
        items = made[f"cas {index}"]["layers"][0]["items"]
        for seconds in points[train.points.label == index]:
            assert any(start <= seconds < end for start, end, *_ in items)
    assert len(train.ranked.negative) and train.ranked.negative.end.max() <= dataset.duration["train_1"]
    assert re.fullmatch(r"scores/small/first/test/cas/test_1\?\d+", test.cas)
    assert highest_score(test) == max(found.score.max() for found in test.detections.values())


def test_missing_outputs_are_listed_with_what_to_do(world):
    dataset, run = opened(world)
    assert "Train stage 1" in evidence(dataset, None, "test_1").missing[0]
    shutil.rmtree(run.stage(2).root)
    assert evidence(dataset, run, "test_1").missing == ["Stage 2 has no detections yet. Train it on the Train page."]
    run.stage(1).snippet_scores_file("test").unlink()
    bare = evidence(dataset, run, "test_1")
    assert (bare.cas, bare.similarity) == ("", "")
    assert "no scores of this video yet" in bare.missing[0]
    run.stage(1).proposals_file.write_text("{")
    assert any("proposals.json" in said and "not JSON" in said for said in evidence(dataset, run, "test_1").missing)
    dataset.listed["test"].remove("test_2")
    assert "in neither split" in evidence(dataset, run, "test_2").missing[0]


def test_scores_of_other_classes_are_not_shown(world):
    with open(world / "dataset" / "small" / "classes.txt", "w") as file:
        file.write("crawl\n")
    dataset, run = opened(world)
    bare = evidence(dataset, run, "test_1")
    assert bare.cas == "" and "trained on other classes" in bare.missing[0]


def test_sampled_snippets_are_spread_over_the_video(world):
    dataset, run = opened(world)
    path = run.stage(1).snippet_scores_file("test")
    with np.load(path) as arrays:
        halved = {name: array if name == CLASSES else array[::2] for name, array in arrays.items()}
    np.savez(path, **halved)
    assert evidence(dataset, run, "test_1").timebase.stride == 32
    (world / "dataset" / "small" / "features" / "test" / "test_1.npy").unlink()
    assert evidence(dataset, run, "test_1").timebase.stride == 16     # its length is unknown


def test_broken_score_file_is_reported(world):
    dataset, run = opened(world)
    run.stage(1).snippet_scores_file("test").write_bytes(b"PK\x03\x04")
    said, = evidence(dataset, run, "test_1").missing
    assert "snippet_scores_test.npz: cannot be read" in said and "Test stage 1 again" in said
    write_json(run.stage(2).final_result, {"results": {"test_1": [{"label": "fly", "segment": [0, 1], "score": 1}]}})
    assert "unknown class 'fly'" in evidence(dataset, run, "test_1").missing[-1]
