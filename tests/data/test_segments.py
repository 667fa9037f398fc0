"""Reading ActivityNet files: valid entries, and reports of all faults."""

import numpy as np
import pytest

from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.files import write_json


def test_written_segments_are_read_back(tmp_path):
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 100, 50)
    written = Segments(start, start + 1, rng.integers(0, 3, 50), rng.random(50), np.sort(rng.integers(0, 4, 50)),
                       ("a", "b", "c"), ("v", "w", "x", "y"))
    written.save(tmp_path / "pred.json")
    read = Segments.from_activitynet(tmp_path / "pred.json", ("a", "b", "c"))
    for name in ("start", "end", "label", "score", "video"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (read.classes, read.videos) == (written.classes, written.videos)


def sound(**changed):
    return {"label": "a", "segment": [1, 2.5], "score": .5} | changed


@pytest.mark.parametrize("entry", [sound(segment=["1", "2.5"]), sound(score="0.5"), sound(segment=["1", 2.5])])
def test_numbers_in_quotes_are_accepted(tmp_path, entry):
    write_json(tmp_path / "pred.json", {"results": {"v": [sound(), entry], "w": []}})
    read = Segments.from_activitynet(tmp_path / "pred.json")
    assert (read.start.tolist(), read.end.tolist(), read.score.tolist()) == ([1, 1], [2.5, 2.5], [.5, .5])


@pytest.mark.parametrize(("entry", "said"), [
    ("a", "has no `label`"), ({"segment": [1, 2]}, "has no `label`"), (sound(label=7), "has the `label` '7'"),
    ({"label": "a"}, r"has no \[start, end\]"), (sound(segment="12"), r"has no \[start, end\] .*'12'"),
    (sound(segment=[1, 2, 3]), r"has no \[start, end\]"), (sound(segment=[1, None]), r"has no \[start, end\]"),
    (sound(segment=[[1], [2]]), r"has no \[start, end\]"), (sound(score=[1]), "has no numeric `score`"),
    (sound(segment=[True, 2]), r"has no \[start, end\]"), (sound(score=True), "has no numeric `score`"),
    (sound(score=None), "has no numeric `score`"), (sound(label=" a"), "has the `label` ' a'"),
    (sound(segment=[1, "inf"]), "holds a value that is not finite"),
    (sound(score=-1e308), r"holds a value beyond 1e\+15 in size"),
    (sound(segment=[1, 1.1e15]), r"holds a value beyond 1e\+15 in size")])
def test_each_fault_is_reported_with_its_place(tmp_path, entry, said):
    write_json(tmp_path / "pred.json", {"results": {"v": [sound()], "w": [sound(), sound(), entry], "x": 3}})
    with pytest.raises(InputError) as error:
        Segments.from_activitynet(tmp_path / "pred.json")
    assert error.match(rf"segment 2 of video 'w' {said}")
    assert any("video 'x' holds no list" in fault for fault in error.value.faults)
    assert len(error.value.faults) == 2


@pytest.mark.parametrize("entry", ["a", sound(segment="12"), sound(segment=[1]), sound(score=[1]),
                                   sound(segment=[[1], [2]]), sound(segment=[False, True])])
def test_fault_shared_by_all_entries_is_reported(tmp_path, entry):
    write_json(tmp_path / "pred.json", {"results": {"v": [entry, entry]}})
    with pytest.raises(InputError) as error:
        Segments.from_activitynet(tmp_path / "pred.json")
    assert ["segment 0" in error.value.faults[0], "segment 1" in error.value.faults[1]] == [True, True]


def test_equal_faults_are_counted_in_one_message(tmp_path):
    results = {f"v{number}": [sound(), sound(score="high")] for number in range(1000)}
    write_json(tmp_path / "pred.json", {"results": results | {"x": 3}})
    with pytest.raises(InputError) as error:
        Segments.from_activitynet(tmp_path / "pred.json")
    listing, score = error.value.faults
    assert listing.endswith("video 'x' holds no list of segments. Write [] where there are none.")
    others = ", ".join(f"segment 1 of video 'v{number}'" for number in range(1, 5))
    assert score.endswith("segment 1 of video 'v0' has no numeric `score` (found 'high') "
                          f"(and 999 more: {others} …). Write one.")


def test_unknown_classes_and_empty_files(tmp_path):
    write_json(tmp_path / "pred.json", {"results": {"v": [sound(), sound(label="q")]}})
    with pytest.raises(InputError, match=r"unknown class 'q'.*known are a, b"):
        Segments.from_activitynet(tmp_path / "pred.json", ("a", "b"))
    write_json(tmp_path / "pred.json", {"results": {"v": []}})
    empty = Segments.from_activitynet(tmp_path / "pred.json", ("a", "b"))
    assert (len(empty), empty.classes, empty.videos) == (0, ("a", "b"), ("v",))
