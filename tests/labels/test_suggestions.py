"""Suggestions of a run for labelling: its proposals, and the moments most worth labelling next."""

import numpy as np
import pytest
from labelling import write_small

from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.files import write_arrays, write_json
from hrpro.labels.operations import LabelStore
from hrpro.labels.suggestions import next_labels, proposed

CLASSES = ("jump", "run")
VIDEOS = ("v1", "v2")


@pytest.fixture
def store(tmp_path) -> LabelStore:
    return LabelStore(write_small(tmp_path / "Small", "v1\nv2\n", "v2\n"))


def add(store: LabelStore, *points: tuple[str, str, float]) -> None:
    store.apply([{"id": f"add {label} {time}", "video": video, "kind": "add", "before": {}, "after": {
        f"{label} {time}": {"video": video, "label": label, "time": time, "frame": int(time * 25)}}}
        for video, label, time in points], "Ann")


def found(*rows: tuple[str, str, float, float, float]) -> Segments:
    """Proposals (video, class, start, end, score)."""
    video, label, start, end, score = zip(*rows, strict=True)
    return Segments.make(start, end, [CLASSES.index(name) for name in label], CLASSES, VIDEOS, score,
                         [VIDEOS.index(name) for name in video])


def said(store: LabelStore, run: Run, segments: Segments) -> list[tuple[str, float, str, str]]:
    return [(moment.video, moment.time, moment.label, moment.why) for moment in next_labels(store, run, segments)]


def test_suggestions_give_their_reason_and_come_best_first(store, tmp_path):
    add(store, ("v1", "jump", 12), ("v1", "run", 22), ("v1", "run", 24), ("v1", "jump", 40.5))
    assert said(store, Run(tmp_path / "run"), found(
        ("v1", "jump", 10, 15, .9), ("v1", "run", 20, 25, .8), ("v1", "jump", 36, 40, .7),
        ("v2", "run", 1, 3, .85), ("v2", "run", 1.2, 3.1, .84), ("v2", "jump", 5, 6, .4))) == [
        ("v2", 2.0, "run", "unlabelled detection"),
        ("v1", 24.0, "run", "2 points in one detection"),
        ("v1", 40.5, "jump", "point 0.5 s outside a detection")]


def test_points_of_another_class_or_video_do_not_count(store, tmp_path):
    add(store, ("v1", "run", 12), ("v2", "jump", 12))
    assert said(store, Run(tmp_path / "run"), found(("v1", "jump", 10, 15, 1))) == [
        ("v1", 12.5, "jump", "unlabelled detection")]


def test_refused_segments_and_finished_videos_are_not_suggested(store, tmp_path):
    segments = found(("v1", "jump", 10, 15, 1), ("v1", "jump", 30, 35, 1), ("v2", "jump", 10, 15, 1))
    store.apply([{"id": "no", "video": "v1", "kind": "refuse", "before": {}, "after": {"s": {
        "video": "v1", "label": "jump", "start": 10.5, "end": 15, "point": "", "model": "run", "refused": True}}},
        {"id": "done", "video": "v2", "kind": "mark", "before": {}, "after": {"v2": {"done": True}}}], "Ann")
    assert said(store, Run(tmp_path / "run"), segments) == [("v1", 32.5, "jump", "unlabelled detection")]


def test_confidence_threshold_is_the_median_score_around_points(store, tmp_path):
    add(store, *[("v1", "jump", 5. + 10 * index) for index in range(5)])
    rows = [("v1", "jump", 4. + 10 * index, 6. + 10 * index, .2 + .02 * index) for index in range(5)]
    segments = found(*rows, ("v2", "jump", 1, 2, .25), ("v2", "jump", 11, 12, .23))
    assert said(store, Run(tmp_path / "run"), segments) == [("v2", 1.5, "jump", "unlabelled detection")]


def scores_of(run: Run, split: str, video: str, array: np.ndarray) -> None:
    run.stage(1).snippet_scores_file(split).parent.mkdir(parents=True, exist_ok=True)
    write_arrays(run.stage(1).snippet_scores_file(split), {"names/classes": np.array(CLASSES), video: array})


def test_points_with_a_low_class_score_are_suggested_with_the_score(store, tmp_path):
    add(store, ("v1", "jump", 10), ("v1", "jump", 20))
    run, array = Run(tmp_path / "run"), np.full((100, 3), .9, np.float32)
    array[15, 0] = .05                                  # 10 s at 25 fps and 16 frames per snippet
    scores_of(run, "train", "v1", array)
    assert said(store, run, Segments.empty(CLASSES, VIDEOS)) == [("v1", 10.0, "jump", "low score for jump (0.05)")]


def test_detections_replace_proposals_where_there_are_any(store, tmp_path):
    run = Run(tmp_path / "run")
    for split, video in (("train", "v1"), ("test", "v2")):
        scores_of(run, split, video, np.zeros((100, 3), np.float32))
    write_json(run.stage(1).config_file, {"dataset": "Small"})
    split = {"PP": {"jump": [[1, 2, .5], [1.1, 2, .45], [30, 31, .02]], "run": []}, "RP": {}, "NP": []}
    write_json(run.stage(1).proposals_file, {"train": {"v1": split}, "test": {"v2": split}})
    first = proposed(run, store)
    assert sorted(zip(first.video.tolist(), first.start.tolist(), strict=True)) == [(0, 1), (1, 1)]
    assert first.score.max() == 1
    final = Segments.make([5], [7], [1], CLASSES, ["v2"], [1.4])
    write_json(run.stage(2).final_result, final.to_activitynet())
    both = proposed(run, store)
    assert sorted(zip(both.video.tolist(), both.start.tolist(), both.score.tolist(), strict=True)) == \
        [(0, 1, 1), (1, 5, 1)]


@pytest.mark.parametrize(("kind", "before", "after", "names"), [
    ("rename", {"jump": {}}, {"leap": {}}, ("leap", "run")),
    ("merge", {"jump": {}, "run": {}}, {"run": {}}, ("run",))])
def test_run_follows_renamed_and_merged_classes(store, tmp_path, kind, before, after, names):
    add(store, ("v1", "jump", 12), ("v1", "jump", 40))
    run, array = Run(tmp_path / "run"), np.zeros((200, 3), np.float32)
    array[:, 0] = .9
    array[62, 0] = .05                                  # 40 s at 25 fps and 16 frames per snippet
    scores_of(run, "train", "v1", array)
    write_json(run.stage(1).config_file, {"dataset": "Small"})
    split = {"PP": {"jump": [[10, 15, .9], [39, 41, .8]], "run": [[60, 61, .7]]}, "RP": {}, "NP": []}
    write_json(run.stage(1).proposals_file, {"train": {"v1": split}, "test": {}})
    told = [(moment.time, moment.why.partition(" (")[0]) for moment in next_labels(store, run)]
    assert told == [(60.5, "unlabelled detection"), (40, "low score for jump")]
    store.apply([{"id": "r", "video": "v1", "kind": kind, "before": before, "after": after}], "Bob")
    assert proposed(run, store).classes == names
    changed = [(moment.time, moment.why.partition(" (")[0]) for moment in next_labels(store, run)]
    assert changed == [(60.5, "unlabelled detection"), (40, f"low score for {names[0]}")]
    store.undo("v1", "Bob")
    assert [(moment.time, moment.why.partition(" (")[0]) for moment in next_labels(store, run)] == told


def test_detections_of_a_removed_class_are_not_suggested(store, tmp_path):
    segments = found(("v1", "jump", 10, 15, 1), ("v1", "run", 30, 35, 1))
    store.apply([{"id": "gone", "video": "v1", "kind": "class", "before": {"jump": {}}, "after": {}}], "Ann")
    assert said(store, Run(tmp_path / "run"), segments) == [("v1", 32.5, "run", "unlabelled detection")]


def test_only_training_videos_are_suggested_unless_all_are_requested(tmp_path):
    store, run = LabelStore(write_small(tmp_path / "Small", train="v1\n", test="v2\n")), Run(tmp_path / "run")
    add(store, ("v2", "jump", 40.5), ("v1", "run", 50))
    segments = found(("v1", "jump", 10, 15, .7), ("v2", "jump", 36, 40, 1), ("v2", "run", 1, 3, .9))
    assert said(store, run, segments) == [("v1", 12.5, "jump", "unlabelled detection")]
    assert [(moment.video, moment.why) for moment in next_labels(store, run, segments, all_videos=True)] == [
        ("v2", "unlabelled detection"), ("v2", "point 0.5 s outside a detection"), ("v1", "unlabelled detection")]


def test_videos_in_both_splits_are_suggested_and_those_in_none_are_not(tmp_path):
    store = LabelStore(write_small(tmp_path / "Small", train="v1\n", test="v1\n"))
    assert store.dataset.split_of == {"v1": "train/test", "v2": ""}
    segments = found(("v1", "jump", 10, 15, .8), ("v2", "jump", 10, 15, 1))
    assert [moment.video for moment in next_labels(store, Run(tmp_path / "run"), segments)] == ["v1"]
