"""`python -m hrpro labels` as users run it: real logs, real processes, files written by others."""

import contextlib
import csv
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from labelling import add, change, point, write_small

from hrpro.cli import main
from hrpro.data.validate import validate
from hrpro.errors import InputError
from hrpro.labels.operations import LabelStore, log_file, project_points

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path) -> Path:
    return write_small(tmp_path / "ours")


def labels(*arguments, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run([sys.executable, "-m", "hrpro", "labels", *map(str, arguments)], cwd=ROOT, text=True,
                          capture_output=True, env=os.environ | {"TZ": "UTC"} | environment, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def told(*arguments):
    return json.loads(labels(*arguments, "--json").stdout)


def standing(root: Path) -> list[tuple]:
    return sorted((row["video"], row["time"], row["label"], row["who"]) for row in LabelStore(root).points("v1")
                  + LabelStore(root).points("v2"))


def snapshot(folder: Path) -> dict[str, str]:
    return {str(path): hashlib.sha1(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def labelled(root: Path) -> LabelStore:
    """Nine operations by two people."""
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 20, "run"), change("move", "m", {"a": point(1)}, {"a": point(2.5)})], "Ann")
    store.apply([change("class", "c", {}, {"слалом": {}}),
                 change("add", "bulk", {}, {f"p{n}": point(50 + n, "слалом", "v2") for n in range(3)}, "v2"),
                 change("relabel", "r", {"b": point(20, "run")}, {"b": point(20)})], "Bob")
    store.undo("v1", "Bob")
    store.apply([change("delete", "d", {"p1": point(51, "слалом", "v2")}, {}, "v2"),
                 change("mark", "k", {}, {"v2": {"done": True}}, "v2")], "Ann")
    return store


def test_log_prints_one_line_per_operation(root):
    store = labelled(root)
    lines = labels("log", root).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"#{number}" for number in range(1, 10)]
    clock = store.operations()[0]["time"][:19].replace("T", " ")
    assert lines[0] == f"#1  {clock}  Ann  add      v1  set jump at 1.00 s"
    assert [line.split("  ")[-1] for line in lines[1:]] == [
        "set run at 20.00 s", "changed jump at 1.00 s to 2.50 s", "added class слалом", "set 3 points of слалом",
        "changed run at 20.00 s to jump", "undo of #6: changed jump at 20.00 s to run", "removed слалом at 51.00 s",
        "marked done"]
    east = labels("log", root, TZ="UTC-5").stdout.split()[2]
    assert east[:2] == f"{(int(clock[11:13]) + 5) % 24:02}"


def test_log_can_be_filtered_by_video_person_and_number(root):
    store = labelled(root)
    whole = store.log.read_bytes().splitlines(keepends=True)

    def lines(*arguments) -> list[int]:
        out = labels("log", root, *arguments, "--json").stdout.encode().splitlines(keepends=True)
        assert all(line in whole for line in out)
        return [json.loads(line)["seq"] for line in out]

    assert lines() == list(range(1, 10)) and lines("--since", 7) == [8, 9] and lines("--since", 99) == []
    assert lines("--who", "Bob") == [4, 5, 6, 7] and lines("--who", "Bob", "--video", "v2") == [5]
    assert lines("--video", "v2") == [5, 8, 9]


def test_blame_shows_who_set_each_point_and_who_changed_it_last(root):
    store = labelled(root)
    rows = told("blame", root)
    columns = ("video", "time", "label", "set_by", "changed_by", "seq")
    assert [tuple(row[column] for column in columns) for row in rows] == [
        ("v1", 2.5, "jump", "Ann", "Ann", 3), ("v1", 20, "run", "Ann", "Bob", 7),
        ("v2", 50, "слалом", "Bob", "Bob", 5), ("v2", 52, "слалом", "Bob", "Bob", 5)]
    operations = store.operations()
    assert (rows[1]["set_at"], rows[1]["changed_at"]) == (operations[1]["time"], operations[6]["time"])
    lines = labels("blame", root, "--video", "v1").stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [["v1", "2.50", "s", "jump"], ["v1", "20.00", "s", "run"]]
    assert lines[1].endswith("  Bob  #7") and "  Ann  " in lines[1]


def test_restored_point_keeps_its_author(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    store.apply([change("delete", "d", {"a": point(1)}, {})], "Bob")
    store.undo("v1", "Bob")
    row, = told("blame", root)
    assert (row["set_by"], row["changed_by"], row["seq"]) == ("Ann", "Bob", 3)


def test_data_set_without_a_log_shows_its_point_file(root):
    (root / "point_labels").mkdir()
    (root / "point_labels" / "point_gaussian.csv").write_text("class,video_id,point\njump,v1,30\nrun,v2,60\n")
    before = snapshot(root)
    done = labels("log", root)
    assert done.stdout == "" and "holds no operation yet" in done.stderr
    assert [row["set_by"] for row in told("blame", root)] == ["point_gaussian.csv"] * 2
    assert labels("blame", root).stdout.splitlines()[0] == "v1  1.00 s  jump  point_gaussian.csv  -  -  -"
    assert [row["point"] for row in csv.DictReader(io.StringIO(labels("export-csv", root).stdout))] == ["30", "60"]
    assert "no log of operations yet" in labels("export-csv", root, "--at", 1, code=2).stderr
    assert snapshot(root) == before


WRITER = """
import sys, time; from pathlib import Path; from hrpro.labels.operations import LabelStore
store, who = LabelStore(Path(sys.argv[1])), sys.argv[2]
for n in range(60):
    key = f"{who}{n}"
    after = {key: {"video": "v1", "label": "jump", "time": n, "frame": n}}
    store.apply([{"id": key, "video": "v1", "kind": "add", "before": {}, "after": after}], who)
    time.sleep(.02)
"""


def test_log_can_be_read_while_two_processes_write_it(root):
    LabelStore(root).apply([add("first", 1)], "Cid")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, root, who], cwd=ROOT) for who in ("Ann", "Bob")]
    seen = []
    while any(writer.poll() is None for writer in writers):
        seen.append(len(labels("log", root).stdout.splitlines()))
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen == sorted(seen) and seen[0] < 121
    lines = [json.loads(line) for line in labels("log", root, "--json").stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 122))
    assert len(labels("log", root, "--who", "Ann").stdout.splitlines()) == 60
    report = told("merge", root, "--people", "Ann", "Bob")
    assert len(report["agreed"]) == 60 and report["f1"][0] == {"tolerance": .5, "f1": 1}


@pytest.mark.parametrize("command", ["log", "blame"])
def test_closed_pipe_is_not_an_error(root, command):
    LabelStore(root).apply([add(f"p{number}", number / 100) for number in range(5000)], "Ann")
    reader = subprocess.Popen([sys.executable, "-m", "hrpro", "labels", command, root], cwd=ROOT, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert reader.stdout.readline()
    reader.stdout.close()
    assert reader.stderr.read() == "" and reader.wait() == 0


@pytest.mark.parametrize("cut", [b'{"id":"half","vid', b"\0" * 40])
def test_cut_off_last_line_is_skipped_and_left_for_the_app(root, cut):
    store = labelled(root)
    store.log.write_bytes(store.log.read_bytes() + cut)
    os.utime(store.log, (1, 1))
    before = snapshot(root)
    for command in (["log"], ["blame"], ["export-csv"], ["merge", root]):
        done = labels(command[0], root, *command[1:])
        assert "the last line is cut off" in done.stderr and done.stdout
    assert len(labels("log", root).stdout.splitlines()) == 9
    assert snapshot(root) == before
    assert "was moved to operations.jsonl.cut" in labels("merge", root, root, "--write").stderr


def test_broken_line_is_reported_and_the_state_before_it_can_be_exported(root):
    store = labelled(root)
    lines = store.log.read_bytes().splitlines(keepends=True)
    store.log.write_bytes(b"".join(lines[:4]) + b'{"id":\n' + b"".join(lines[5:]))
    for command in (["log", root], ["blame", root], ["export-csv", root], ["merge", root, "--people", "Ann", "Bob"],
                    ["merge", root, root, "--write"], ["export-csv", root, "--at", 5]):
        assert "operations.jsonl: line 5 is not an operation" in labels(*command, code=2).stderr
    assert len(labels("export-csv", root, "--at", 4).stdout.splitlines()) == 3


@pytest.mark.parametrize("wrong", [
    {"who": 5}, {"who": " "}, {"who": "x" * 201}, {"id": ""}, {"id": 7}, {"video": 3}, {"time": "yesterday"},
    {"time": 0}, {"time": "0001-01-01T00:00:00+23:59"}, {"kind": ["add"]}, {"after": {"p": 1}},
    {"after": {"p": [1]}}, {"after": {"p": {"label": "jump"}}}, {"after": {"p": {"time": 1}}},
    {"after": {"p": point(1) | {"time": "1"}}}, {"after": {"p": point(1) | {"time": True}}},
    {"after": {"p": point(1) | {"time": 1e300}}}, {"after": {"p": point(1) | {"label": None}}},
    {"after": {"p": point(1) | {"video": {}}}}, {"after": {"p": point(1) | {"frame": -1}}},
    {"before": {"p": {}}, "after": {"p": point(1)}}, {"after": {"p": {"start": 1, "end": 2}}}, {"of": "nothing"},
    {"of": ["o"]}, {"kind": "undo", "of": "op"}, {"kind": "redo"}, {"after": {"jump": {"place": "first"}}},
    {"after": {"jump": {"place": None}}}, {"after": {"p": point(1) | {"label": {"a": 1}}}}, {"video": ["v1"]},
    {"after": {"p": {key: value for key, value in point(1).items() if key != "video"}}},
    {"after": {"p": point(1) | {"time": None}}}, {"after": {"v1": {"done": [1]}}}, {"kind": "fly"},
    {"kind": "class", "after": {"ju\tmp": {}}}, {"kind": "rename", "before": {"run": {}}, "after": {"r\x1bun": {}}}])
def test_log_with_an_invalid_operation_is_refused_in_one_sentence(root, tmp_path, capsys, wrong):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    sound = {"id": "op", "seq": 1, "time": "2024-05-03T10:00:00.000+00:00", "who": "Eve", "video": "v1", "kind": "add",
             "before": {}, "after": {"p": point(1)}}
    log = tmp_path / "operations.jsonl"
    log.write_text(json.dumps(sound | {"id": "o", "after": {"q": point(1)}}) + "\n" + json.dumps(sound | wrong) + "\n"
                   + json.dumps(sound | {"id": "z", "after": {"z": point(1)}}) + "\n")
    before = snapshot(root)
    assert main(["labels", "merge", str(root), str(log), "--write"]) == 2
    fault, = capsys.readouterr().err.splitlines()
    assert fault.startswith(f"error: {log}: line 2 ")
    assert snapshot(root) == before
    log_file(root).write_bytes(log.read_bytes())        # nor does any reader accept it as the data set's own log
    assert any(finding.level == "error" and finding.message.startswith(f"{log_file(root)}: line 2 ")
               for finding in validate(root).findings)
    with pytest.raises(InputError, match=r"operations\.jsonl: line 2 "):
        project_points(root)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["log", "{missing}"], "missing: no such data set."),
    (["merge", "{root}", "{missing}"], "missing: no such file."),
    (["merge", "{root}", "{missing}.jsonl"], "missing.jsonl: cannot be read (No such file or directory)."),
    (["merge", "{root}", "{root}/videos"], "videos/gt_full.json: no such file."),
    (["log", "{root}", "--video", "v9"], "has no video 'v9'. It has 'v1', 'v2'."),
    (["blame", "{root}", "--video", "../v1"], "has no video '../v1'."),
    (["log", "{root}", "--who", "Zoe"], "nobody is called 'Zoe'. There is 'Ann', 'Bob'."),
    (["merge", "{root}", "--people", "Ann", "Zoe"], "nobody is called 'Zoe'."),
    (["merge", "{root}"], "Give either OTHER or --people."),
    (["merge", "{root}", "{root}", "--people", "Ann", "Bob"], "Give either OTHER or --people."),
    (["merge", "{root}", "--people", "Ann", "Bob", "--write"], "Leave out --write."),
    (["merge", "{root}", "{root}", "--tolerance", "nan"], "'nan' must be a non-negative number of seconds"),
    (["log", "{root}", "--since", "-1"], "'-1' must be a non-negative whole number"),
    (["export-csv", "{root}", "--at", "10"], "has no operation 10, only 9. Give a number of 0 to 9."),
    (["export-csv", "{root}", "--who", "Zoe"], "nobody is called 'Zoe'."),
    (["export-csv", "{root}", "-o", "{root}/point_labels/points.csv"], "Choose another file."),
    (["export-csv", "{root}", "-o", "{root}/point_labels/../point_labels/points.csv"], "Choose another file."),
    (["export-csv", "{root}", "-o", "{root}/labels/operations.jsonl"], "Choose another file."),
    (["export-csv", "{root}", "-o", "{root}"], "is not a file, pipe or terminal"),
    (["blame"], "the following arguments are required: DATASET_DIR"), ([], "required: COMMAND")])
def test_bad_arguments_give_a_message_and_write_nothing(root, tmp_path, capsys, arguments, sentence):
    labelled(root)
    (root / "videos").mkdir()
    before = snapshot(tmp_path)
    try:
        code = main(["labels", *(text.format(root=root, missing=tmp_path / "missing") for text in arguments)])
    except SystemExit as left:                          # argparse
        code = left.code
    said = capsys.readouterr()
    assert code == 2 and sentence in said.err and said.out == ""
    assert snapshot(tmp_path) == before


def test_hostile_names_do_not_reach_terminals_or_paths(root, tmp_path):
    """Names written into a log by hand: control characters, line breaks, paths, CSV syntax."""
    who, label, video = "Eve\x1b[2J\nAnn", 'a,"b"\r\n=1+1\x9b', "../../v1"
    line = {"id": "op", "seq": 1, "time": "2024-05-03T10:00:00Z", "who": who, "video": video, "kind": "add",
            "before": {}, "after": {"p": point(1, label), "q": point(2, label, video)}}
    (root / "labels").mkdir()
    (root / "labels" / "operations.jsonl").write_text(json.dumps(line) + "\n")
    for command in (["log", root], ["blame", root], ["merge", root, root], ["merge", root, "--people", who, who]):
        done = labels(*command)
        assert done.stdout.isascii() and not set(done.stdout + done.stderr) & {"\x1b", "\x9b", "\r"}
        assert "\\x1b[2J\\nAnn" in done.stdout or command[0] == "merge"
    exported = subprocess.run([sys.executable, "-m", "hrpro", "labels", "export-csv", root], cwd=ROOT, check=True,
                              capture_output=True).stdout.decode()
    row, = csv.DictReader(io.StringIO(exported, newline=""))
    assert (row["class"], row["video_id"]) == (label, "v1")
    ours = tmp_path / "else"
    shutil.copytree(root, ours, ignore=shutil.ignore_patterns("labels"))
    done = labels("merge", ours, root, "--write")
    assert "1 point outside the data set's videos left out" in done.stderr and "0 points brought in." in done.stdout
    assert "cannot be a class" not in done.stderr and standing(ours) == []


def copies(root: Path, tmp_path: Path) -> tuple[LabelStore, LabelStore]:
    """Ann's data set and Bob's copy of it, after both went on labelling separately."""
    LabelStore(root).apply([add("a", 1), add("b", 20, "run"), add("c", 30), add("d", 40)], "Ann")
    shutil.copytree(root, tmp_path / "theirs")
    ours, theirs = LabelStore(root), LabelStore(tmp_path / "theirs")
    ours.apply([add("own", 60, "run"), add("same", 70), add("other", 80, "run"),
                change("delete", "dc", {"c": point(30)}, {}),
                change("move", "md", {"d": point(40)}, {"d": point(45)})], "Ann")
    theirs.apply([add("same2", 70.4), add("other2", 80.5), change("class", "swim", {}, {"swim": {}}),
                  change("add", "bulk", {}, {"n1": point(5, "swim", "v2"), "n2": point(9, "run", "v2")}, "v2")], "Bob")
    theirs.apply([add("n3", 90, "run")], "Cid")
    return ours, theirs


def test_merge_reports_agreements_and_differences_and_writes_nothing(root, tmp_path):
    _, theirs = copies(root, tmp_path)
    before = snapshot(tmp_path)
    report = told("merge", root, theirs.root)
    assert [(pair["here"]["id"], pair["there"]["id"]) for pair in report["agreed"]] == \
        [("a", "a"), ("b", "b"), ("same", "same2")]
    assert [(pair["here"]["label"], pair["there"]["label"]) for pair in report["differing"]] == [("run", "jump")]
    assert [row["id"] for row in report["only_here"]] == ["d", "own"]
    assert [row["id"] for row in report["only_there"]] == ["c", "d", "n3", "n1", "n2"]
    assert report["only_there"][2] == {"id": "n3", "who": "Cid", **point(90, "run")}
    assert [each["tolerance"] for each in report["f1"]] == [step / 2 for step in range(1, 11)]
    assert [each["f1"] for each in report["f1"]] == pytest.approx([6 / 15] * 9 + [8 / 15])
    text = labels("merge", root, theirs.root).stdout
    assert "3 agreed, 1 of another class, 2 only here, 5 only there (within 1 s)" in text
    assert "v1  here: run at 80.00 s (Ann)  there: jump at 80.50 s (Bob)" in text
    assert "F1        0.400 0.400" in text and "v2  swim at 5.00 s   Bob" in text
    assert told("merge", root, theirs.root, "--tolerance", .3)["agreed"][-1]["here"]["id"] == "b"
    assert snapshot(tmp_path) == before


def test_merge_write_adds_missing_points_once_under_their_authors(root, tmp_path):
    ours, theirs = copies(root, tmp_path)
    mine, whole = standing(root), ours.log.read_bytes()
    report = told("merge", root, theirs.root, "--write")
    assert report["brought"] == {"points": [{"who": "Cid", "count": 1}, {"who": "Bob", "count": 2}], "left": [
        {"why": "The point was here before; later changes to it are kept.", "count": 2}]}
    assert sorted(set(standing(root)) - set(mine)) == [("v1", 90, "run", "Cid"), ("v2", 5, "swim", "Bob"),
                                                       ("v2", 9, "run", "Bob")]
    assert set(mine) <= set(standing(root)) and ours.log.read_bytes().startswith(whole)
    new = [json.loads(line) for line in ours.log.read_bytes()[len(whole):].splitlines()]
    assert {(line["id"], line["who"], line["kind"]) for line in new} == \
        {("op-swim", "Bob", "class"), ("op-bulk", "Bob", "add"), ("op-n3", "Cid", "add")}
    assert "swim" in (root / "classes.txt").read_text()
    assert len(list(csv.DictReader((root / "point_labels" / "points.csv").open()))) == len(standing(root))
    before = snapshot(tmp_path)
    again = labels("merge", root, theirs.root, "--write")
    assert "0 points brought in." in again.stdout and snapshot(tmp_path) == before
    LabelStore(root).undo("v2", "Bob")
    assert not [row for row in standing(root) if row[0] == "v2"]
    assert told("merge", root, theirs.root, "--write")["brought"]["points"] == []


def test_copies_merged_both_ways_differ_only_where_people_disagreed(root, tmp_path):
    _, theirs = copies(root, tmp_path)
    labels("merge", root, theirs.root, "--write")
    labels("merge", theirs.root, root, "--write")
    apart = {("v1", 30, "jump", "Ann"), ("v1", 40, "jump", "Ann"), ("v1", 45, "jump", "Ann"),
             ("v1", 70, "jump", "Ann"), ("v1", 70.4, "jump", "Bob"),
             ("v1", 80, "run", "Ann"), ("v1", 80.5, "jump", "Bob")}
    assert set(standing(root)) ^ set(standing(theirs.root)) == apart


def test_copies_that_imported_the_same_point_file_share_its_points(root, tmp_path):
    (root / "point_labels").mkdir()
    path = root / "point_labels" / "point_gaussian.csv"
    path.write_text("class,video_id,point\njump,v1,30\nrun,v1,600\nrun,v2,60\n")
    theirs = tmp_path / "theirs"
    shutil.copytree(root, theirs)
    gone, = (row for row in LabelStore(root).points("v2"))
    LabelStore(root).apply([change("delete", "d", {gone["id"]: {key: gone[key] for key in point(0)}}, {}, "v2")], "Ann")
    report = told("merge", root, theirs, "--write")
    assert len(report["agreed"]) == 2 and report["brought"]["points"] == []
    assert report["brought"]["left"][0]["count"] == 1
    LabelStore(theirs).apply([add("b", 50)], "Bob")
    assert told("merge", root, theirs, "--write")["brought"]["points"] == [{"who": "Bob", "count": 1}]
    assert told("merge", root, path, "--write")["brought"]["points"] == []
    path.write_text("class,video_id,point\njump,v1,90\nrun,v1,600\nrun,v2,2400\n")
    report = told("merge", root, path, "--write")
    assert report["brought"]["points"] == [{"who": "point_gaussian.csv", "count": 2}]
    assert len(standing(root)) == 5


@pytest.mark.parametrize(("name", "text"), [
    ("dora.csv", "class,video_id,point\njump,v1,63\nrun,v2,900\nrun,v1,900000\nrun,v9,5\nfly,v1,9\n"),
    ("dora.txt", "v1,2.1,jump\r\n\r\nv2,30.03,run\r\n\r\nv1,30030,run\r\nv9,5,run\r\nv1,1,fly\r\n")])
def test_merged_point_file_is_named_as_the_author(root, tmp_path, name, text):
    labelled(root)
    path = tmp_path / name
    path.write_bytes(text.encode())
    done = labels("merge", root, path, "--write")
    assert "1 agreed, 0 of another class, 3 only here, 1 only there" in done.stdout
    assert f"1 point brought in, 1 of {name}." in done.stdout
    assert "unknown class 'fly'" in done.stderr and "the first in 'v9'" in done.stderr
    assert "1 point outside the data set's videos left out" in done.stderr
    row, = (row for row in LabelStore(root).points("v2") if row["label"] == "run")
    assert (row["frame"], row["who"]) == (900, name) and row["time"] == pytest.approx(30.03)
    before = snapshot(tmp_path)
    assert "0 points brought in." in labels("merge", root, path, "--write").stdout
    assert snapshot(tmp_path) == before


def test_class_that_was_removed_here_does_not_come_back(root, tmp_path):
    _, theirs = copies(root, tmp_path)
    ours = LabelStore(root)
    ours.apply([change("class", "swim2", {}, {"swim": {}}), change("class", "swim3", {"swim": {}}, {})], "Ann")
    report = told("merge", root, theirs.root, "--write")
    assert {"why": "The class 'swim' was removed here.", "count": 1} in report["brought"]["left"]
    assert "swim" not in LabelStore(root).classes
    assert ("v2", 9, "run", "Bob") in standing(root)


def test_read_only_log_of_a_colleague_can_be_merged(root, tmp_path):
    _, theirs = copies(root, tmp_path)
    alone = tmp_path / "sent.jsonl"
    shutil.copy(theirs.log, alone)
    alone.chmod(0o444)
    assert len(told("merge", root, alone)["only_there"]) == 5
    assert "3 points brought in" in labels("merge", root, alone, "--write").stdout


def test_two_people_in_one_log_are_compared(root):
    store = LabelStore(root)
    store.apply([add("a1", 10, "run"), add("a2", 20), add("a3", 30)], "ann")
    store.apply([add("b1", 10.6), add("b2", 20.6), change("move", "m", {"a3": point(30)}, {"a3": point(31)})], "bob")
    text = labels("merge", root, "--people", "ann", "bob").stdout
    assert "1 agreed, 1 of another class, 1 only ann, 0 only bob (within 1 s)" in text
    assert "v1  ann: run at 10.00 s  bob: jump at 10.60 s" in text
    assert [each["f1"] for each in told("merge", root, "--people", "ann", "bob")["f1"]] == [0, *[.4] * 9]


def test_export_matches_the_projection_and_can_be_limited_by_time_and_person(root, tmp_path):
    labelled(root)
    path = project_points(root)
    assert labels("export-csv", root).stdout == path.read_text()

    def exported(*arguments) -> list[tuple]:
        out = tmp_path / "out" / "points.csv"
        assert labels("export-csv", root, *arguments, "-o", out).stdout == ""
        return [(row["class"], row["video_id"], round(float(row["point"]))) for row in csv.DictReader(out.open())]

    assert exported("--at", 0) == []
    assert exported("--at", 2) == [("jump", "v1", 30), ("run", "v1", 599)]
    assert exported("--at", 6)[:2] == [("jump", "v1", 75), ("jump", "v1", 599)]
    assert len(exported("--at", 7)) == 5 and len(exported("--at", 9)) == len(exported()) == 4
    assert {label for label, _, _ in exported("--who", "Bob")} == {"слалом"}
    assert exported("--who", "Ann", "--at", 2) == exported("--at", 2)


@pytest.mark.parametrize("command", ["export-csv", "export-segments"])
def test_export_follows_links_and_fills_pipes(root, tmp_path, command):
    labelled(root)
    expected, target, link, pipe = labels(command, root).stdout, *(tmp_path / name for name in ("file", "link", "pipe"))
    link.symlink_to(target)
    for prepare in (Path.touch, Path.unlink):           # an existing file is replaced, a missing one created
        prepare(target)
        labels(command, root, "-o", link)
        assert link.readlink() == target and target.read_text() == expected
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        text = pool.submit(pipe.read_text)
        labels(command, root, "-o", pipe)
        assert text.result(timeout=60) == expected and pipe.is_fifo()
    assert labels(command, root, "-o", "/dev/stdout").stdout == expected


def test_export_does_not_replace_sockets_and_folders_or_follow_link_loops(root, tmp_path, capsys):
    labelled(root)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")
        before = snapshot(tmp_path)
        for name in ("folder", "loop", "socket"):
            assert main(["labels", "export-csv", str(root), "-o", name]) == 2
            assert name in capsys.readouterr().err
            assert snapshot(tmp_path) == before


def test_output_is_always_utf_8(root):
    labelled(root)
    done = labels("export-csv", root, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert "слалом" in done.stdout


def test_next_suggests_training_videos_or_all_with_the_option(tmp_path):
    root, run = write_small(tmp_path / "ours", train="v1\n", test="v2\n"), tmp_path / "run"
    (run / "stage1" / "outputs").mkdir(parents=True)
    (run / "stage1" / "config.json").write_text("{}")
    np.savez(run / "stage1" / "outputs" / "snippet_scores_train.npz",
             **{"names/classes": np.array(["jump", "run"]), "v1": np.zeros((9, 3), np.float32)})
    split = {"PP": {"jump": [[1, 2, .5]]}, "RP": {}, "NP": []}
    (run / "stage1" / "outputs" / "proposals.json").write_text(json.dumps({"train": {"v1": split},
                                                                           "test": {"v2": split}}))
    assert labels("next", root, run).stdout.split("\n")[:-1] == ["v1  1.50 s  jump  unlabelled detection"]
    assert [moment["video"] for moment in told("next", root, run, "--all")] == ["v1", "v2"]


def test_accepted_segments_are_exported_for_evaluate_and_as_csv(root, tmp_path):
    def segment(start, end, **more):
        return {"video": "v1", "label": "jump", "start": start, "end": end, "point": "a", "model": "=run"} | more

    assert "no segment is accepted" in labels("export-segments", root).stderr
    store = LabelStore(root)
    store.apply([change("add", "ab", {}, {"a": point(10), "b": point(50)}), add("c", 75),
                 change("accept", "s", {}, {"s": segment(8, 12)})], "Ann")
    store.apply([change("accept", "t", {}, {"t": segment(48, 55, point="b")}),
                 change("refuse", "u", {}, {"u": segment(70, 80, point="c", refused=True)}),
                 change("move", "edge", {"s": segment(8, 12)}, {"s": segment(8, 13)})], "Bob")
    exported = json.loads(labels("export-segments", root).stdout)
    assert exported["database"] == {"v1": {"subset": "train", "duration": 100.0, "fps": store.dataset.fps["v1"],
                                           "annotations": [{"label": "jump", "segment": [8, 13]},
                                                           {"label": "jump", "segment": [48, 55]}]}}
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    assert labels("export-segments", root, "-o", truth).stdout == ""
    results = [{"label": "jump", "segment": [8, 13], "score": .9}, {"label": "jump", "segment": [48, 55], "score": .8}]
    found.write_text(json.dumps({"results": {"v1": results}}))
    command = ["evaluate", "--gt", truth, "--pred", found, "--subset", "train", "--json"]
    done = subprocess.run([sys.executable, "-m", "hrpro", *command], cwd=ROOT, capture_output=True, text=True,
                          check=True)
    assert set(json.loads(done.stdout)["mAP"].values()) == {1}
    table = labels("export-segments", root, "--csv").stdout
    assert [tuple(row.values()) for row in csv.DictReader(io.StringIO(table))] == [
        ("v1", "jump", "8", "13", "Ann", "=run"), ("v1", "jump", "48", "55", "Bob", "=run")]
    labels("export-segments", root, "-o", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == table
    assert len(labels("export-segments", root, "--csv", "--who", "Bob").stdout.splitlines()) == 2
    assert len(labels("export-segments", root, "--csv", "--at", 3).stdout.splitlines()) == 2
    assert "nobody is called 'Zoe'" in labels("export-segments", root, "--who", "Zoe", code=2).stderr
    assert "Choose another file" in labels("export-segments", root, "-o", root / "labels" / "x.json", code=2).stderr
