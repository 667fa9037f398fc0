"""The files of a run: readers refuse invalid contents with the file, the place and the remedy."""

import io
import json
import zipfile

import numpy as np
import pytest

from hrpro.config import Config
from hrpro.data.run import CLASSES, Run
from hrpro.errors import InputError
from hrpro.files import write_arrays, write_json

SCORES = np.full((5, 3), .5, np.float32)
NAMES = np.array(["run", "jump"])


@pytest.fixture
def run(tmp_path):
    run = Run(tmp_path / "set" / "run")
    write_arrays(run.stage(1).snippet_scores_file("train"),
                 {CLASSES: NAMES, "a": SCORES, "similarity/a": SCORES[:, :2]})
    return run


def test_valid_scores_are_read(run):
    assert run.score_classes("train") == ("run", "jump")
    assert np.array_equal(run.snippet_scores("train", "a"), SCORES) and run.similarity("train", "a").shape == (5, 2)
    assert run.snippet_scores("train", "b") is None and run.snippet_scores("test", "a") is None
    turned = np.asfortranarray(np.arange(15, dtype=np.float32).reshape(5, 3))
    write_arrays(run.stage(1).snippet_scores_file("test"), {CLASSES: NAMES, "a": turned})
    assert np.array_equal(run.snippet_scores("test", "a"), turned)


@pytest.mark.parametrize("array", [
    SCORES[:0], SCORES[0], SCORES[None], SCORES[:, :2], SCORES.astype(int), SCORES.astype("U3"), SCORES > 0,
    np.full((5, 3), np.nan, np.float32), np.full((5, 3), np.inf, np.float32), np.float32(1), SCORES.astype(complex)])
def test_invalid_scores_are_refused(run, array):
    path = run.stage(1).snippet_scores_file("train")
    write_arrays(path, {CLASSES: NAMES, "a": array, "similarity/a": array})
    with pytest.raises(InputError, match=r"snippet_scores_train\.npz: 'a' holds .*Test stage 1 again"):
        run.snippet_scores("train", "a")


@pytest.mark.parametrize("names", [np.array([1, 2]), np.array(["run", "run"]), np.array([["run"]]), np.array([], "U3"),
                                   np.array([b"run", b"jump"]), np.array(["\ud800", "jump"]),
                                   np.array(["a\nb", "jump"]), np.array([0x110000, 0x61], "<u4").view("<U1")])
def test_invalid_class_names_are_refused(run, names):
    write_arrays(run.stage(1).snippet_scores_file("train"), {CLASSES: names, "a": SCORES})
    with pytest.raises(InputError, match=r"not class names\. Test stage 1 again"):
        run.snippet_scores("train", "a")


def archive(content: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        out.writestr(f"{CLASSES}.npy", content)
    return file.getvalue()


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("content", [
    b"", b"PK", b"not an archive", archive(b""), archive(b"\x93NUMPY"), archive(b"\x93NUMPY\x09\x00" + b"x" * 200),
    archive(header("(16000000000,)")), archive(header("(-1,)")), archive(header("(True, 2)")), archive(header("5")),
    archive(header("(2,)", "|O") + bytes(16)), archive(header("(2,)", "<U0")), archive(header("[" * 9000)),
    archive(header("(2,)") + bytes(7)), archive(header("(2,)") + bytes(9)),
    archive(header("(100000000,)") + bytes(4 * 10**6), zipfile.ZIP_DEFLATED), archive(header("(2,)") + bytes(8))[:-30]])
def test_broken_archive_is_refused_without_using_memory(run, content):
    run.stage(1).snippet_scores_file("train").write_bytes(content)
    with pytest.raises(InputError, match=r"snippet_scores_train\.npz: .*Test stage 1 again"):
        run.snippet_scores("train", "a") if b"names" not in content else run.score_classes("train")


EVENT = {"time": 1., "event": "step", "step": 1, "loss": {"total": 1.}, "rate": 2., "eta": 3.}


@pytest.mark.parametrize(("line", "why"), [
    (EVENT | {"step": None}, "step must be a number of 0 or more, not 'None'"),
    (EVENT | {"step": -1}, "step must be a number of 0 or more, not '-1'"),
    (EVENT | {"step": True}, "step must be"), (EVENT | {"time": "now"}, "time must be"),
    (EVENT | {"time": 1e300}, "time must be"), (EVENT | {"loss": [1]}, "loss must be an object"),
    (EVENT | {"loss": {"total": "x"}}, "loss.total must be a number, not 'x'"), (EVENT | {"event": 5}, "event must be"),
    ({"time": 1, "event": "test", "step": 1, "mAP": {"0.1": 2}, "average": None, "accuracy": None, "best": True},
     "mAP.0.1 must be a number of 0 to 1, not '2'"),
    ({"time": 1, "event": "start", "mode": ["train"]}, "mode must be a string"),
    ({"time": 1, "event": "progress", "what": "test", "done": 1}, "total is missing"), ([], "it must be an object"),
    ("step", "it must be an object"), (None, "it must be an object"), ({"event": "step"}, "time is missing")])
def test_invalid_event_lines_are_left_out_and_reported(run, line, why):
    path = run.stage(1).events_file
    path.parent.mkdir()
    path.write_text("\n".join(map(json.dumps, (EVENT, line, EVENT | {"step": 2}))) + '\n{"time": NaN}\n{"cut o')
    faults = []
    events, offset = run.events(1, faults=faults)
    assert [event["step"] for event in events] == [1, 2] and offset == path.stat().st_size - len('{"cut o')
    assert len(faults) == 2 and why in faults[0] and all(fault.startswith(f"{path}: ") for fault in faults)


REPORT = {"step": 5, "mAP": {"0.1": .5, "0.2": .4}, "average": {"0.1:0.2": .45}, "per_class": {"run": [.5, .4]}}


@pytest.mark.parametrize(("reports", "why"), [
    ([], "it must be an object"), ({"last": []}, "last must be an object"), ({"last": {}}, "last.step is missing"),
    ({"last": REPORT | {"step": "5"}}, "last.step must be a number"),
    ({"best": REPORT | {"mAP": [.5]}}, "best.mAP must be an object"),
    ({"best": REPORT | {"mAP": {"0.1": None, "0.2": 0}}}, "best.mAP.0.1 must be a number of 0 to 1"),
    ({"last": REPORT | {"mAP": {"low": .5, "0.2": 0}}}, "last.mAP must have tIoU thresholds as keys"),
    ({"last": {"step": 1, "mAP": {"0.1": .5}}}, "last must have both mAP and average"),
    ({"last": REPORT | {"average": "high"}}, "last.average must be an object"),
    ({"last": REPORT | {"per_class": {"run": [.5]}}}, "last.per_class must have a value for each threshold"),
    ({"last": {"step": 1, "per_class": {"run": []}}}, "last.per_class must come with mAP"),
    ({"last": REPORT | {"per_class": {"run": [.5, [1]]}}}, "last.per_class.run[1] must be a number")])
def test_invalid_reports_are_refused(run, reports, why):
    write_json(run.stage(1).metrics_file, {"last": REPORT, "best": {"step": 1}})
    assert run.stage(1).reports()["last"] == REPORT
    write_json(run.stage(1).metrics_file, reports)
    with pytest.raises(InputError) as caught:
        run.stage(1).reports()
    assert why in str(caught.value) and str(caught.value).endswith("Test stage 1 again.")


@pytest.mark.parametrize("settings", [[], "text", 5, None, {"seed": [1]}, {"nonsense": 1}, {"dataset": {"a": {}}}])
def test_invalid_settings_are_refused(run, settings):
    write_json(run.stage(1).config_file, Config().to_dict())
    assert run.config() == Config()
    write_json(run.stage(1).config_file, settings)
    with pytest.raises(InputError, match=r"stage1/config\.json: "):
        run.config()


def test_outcome_is_read_from_a_last_line_of_any_length(run):
    per_class = {f"class {number}": [.5] * 10 for number in range(2000)}
    finish = {"time": 2, "event": "finish", "last": {"per_class": per_class}}
    path = run.stage(1).events_file
    path.parent.mkdir()
    for events, outcome in (([EVENT, finish], "finish"), ([finish, EVENT], ""), ([finish], "finish")):
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        assert path.stat().st_size > 100_000 and run.outcome(1) == outcome
