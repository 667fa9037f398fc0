"""The operation log: nothing acknowledged is lost, any state can be replayed, no change is overwritten silently."""

import csv
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from labelling import FPS, add, change, point, write_small
from numbered_video import write_video

from hrpro.config import config_of
from hrpro.create import create_project
from hrpro.data.dataset import open_dataset
from hrpro.data.points import Points
from hrpro.errors import InputError
from hrpro.labels.history import standing_points
from hrpro.labels.operations import LabelStore, project_points
from hrpro.labels.segments import accepted_segments
from hrpro.video.probe import probe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path) -> Path:
    return write_small(tmp_path / "Small")


def labels(store: LabelStore, video: str = "v1") -> dict[str, tuple[str, float]]:
    return {row["id"]: (row["label"], row["time"]) for row in store.points(video)}


def add_class(name: str) -> dict:
    return change("class", f"class-{name}", {}, {name: {}})


def test_replaced_log_is_read_again_and_not_modified(root):
    """A log restored by copying keeps its inode; a process that knows the old log must not truncate the new one."""
    store = LabelStore(root)
    store.apply([add("a", 2)], "Ann")
    other = root.parent / "other.jsonl"
    for name, seconds in (("b", 2.125), ("c", 3.125)):                            # longer, then equally long
        time.sleep(.02)                                                           # beyond the resolution of file times
        line = json.dumps({**add(name, seconds), "time": "2026-01-01T00:00:00.000+00:00", "who": "Ben", "seq": 1})
        other.write_text(line + "\n")
        inode = store.log.stat().st_ino
        store.log.write_bytes(other.read_bytes())
        assert store.log.stat().st_ino == inode
        store.refresh()
        assert labels(store) == {name: ("jump", seconds)}
        assert store.log.read_bytes() == other.read_bytes() and not store.notices
    store.apply([add("d", 4)], "Ann")
    assert labels(LabelStore(root)) == labels(store) == {"c": ("jump", 3.125), "d": ("jump", 4)}


def test_add_move_relabel_and_delete_survive_a_restart(root):
    store = LabelStore(root)
    acks = store.apply([
        add("a", 1), add("b", 2), add("c", 3, video="v2"),
        change("move", "m", {"a": point(1)}, {"a": point(1.5)}),
        change("relabel", "r", {"b": point(2)}, {"b": point(2, "run")}),
        change("delete", "d", {"c": point(3, video="v2")}, {}, "v2")], "Ann")
    assert [ack.seq for ack in acks] == [1, 2, 3, 4, 5, 6]
    for seen in (store, LabelStore(root)):
        assert labels(seen) == {"a": ("jump", 1.5), "b": ("run", 2)}
        assert labels(seen, "v2") == {}
        assert seen.counts() == {"v1": 2}
        assert {row["who"] for row in seen.points("v1")} == {"Ann"}
    lines = [json.loads(line) for line in store.log.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert set(lines[3]) == {"id", "seq", "time", "who", "video", "kind", "before", "after"}


def test_prefix_of_the_log_replays_to_the_earlier_state(root, tmp_path):
    store = LabelStore(root)
    states = []
    for operation in (add("a", 1), add("b", 2), change("delete", "d", {"a": point(1)}, {}), add("e", 4)):
        store.apply([operation], "Ann")
        states.append(labels(store))
    lines = store.log.read_bytes().splitlines(keepends=True)
    for count, state in enumerate(states, 1):
        past = tmp_path / f"past{count}"
        shutil.copytree(root, past)
        (past / "labels" / "operations.jsonl").write_bytes(b"".join(lines[:count]))
        assert labels(LabelStore(past)) == state


def test_resent_operation_is_acknowledged_but_not_applied_twice(root):
    store = LabelStore(root)
    first = store.apply([add("a", 1)], "Ann")
    store.apply([change("delete", "d", {"a": point(1)}, {})], "Ann")
    assert store.apply([add("a", 1)], "Ann") == first
    assert LabelStore(root).apply([add("a", 1)], "Ann") == first
    assert labels(store) == {} and store.log.read_bytes().count(b"\n") == 2


def test_undo_and_redo_are_unlimited_even_after_restarts_and_for_bulk_edits(root):
    store = LabelStore(root)
    store.apply([add(f"p{n}", n) for n in range(50)], "Ann")
    everything = {f"p{n}": point(n) for n in range(50)}
    store.apply([change("relabel", "bulk", everything, {key: value | {"label": "run"}
                                                        for key, value in everything.items()})], "Ann")
    assert store.undo("v1", "Ann").seq == 52
    assert {label for label, _ in labels(store).values()} == {"jump"}
    for left in range(49, -1, -1):
        LabelStore(root).undo("v1", "Ann")
        store.refresh()
        assert len(labels(store)) == left
    assert LabelStore(root).undo("v1", "Ann").refused == "There is nothing to undo."
    for _ in range(51):
        assert LabelStore(root).redo("v1", "Ann").seq
    store.refresh()
    assert {label for label, _ in labels(store).values()} == {"run"} and len(labels(store)) == 50
    assert store.redo("v1", "Ann").refused == "There is nothing to redo."


def test_new_operation_clears_what_could_be_redone(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    store.undo("v1", "Ann")
    store.apply([add("b", 2)], "Ann")
    assert store.redo("v1", "Ann").refused
    assert labels(store) == {"b": ("jump", 2)}


def test_undo_is_per_person_and_video(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    store.apply([add("b", 2)], "Bob")
    store.apply([add("c", 3, video="v2")], "Ann")
    store.undo("v1", "Ann")
    assert labels(store) == {"b": ("jump", 2)} and labels(store, "v2") == {"c": ("jump", 3)}


def test_undo_of_a_refused_operation_undoes_nothing_else(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    back = {"id": "back", "video": "v1", "kind": "undo", "of": "op-b"}
    refused, undone = store.apply([add("b", 500), back], "Ann")
    assert "outside the video" in refused.refused and "The operation to undo was refused" in undone.refused
    assert labels(store) == {"a": ("jump", 1)}
    assert [ack.seq for ack in store.apply([add("b", 5), back], "Ann")] == [2, 3]
    assert labels(store) == {"a": ("jump", 1)}


def test_undo_keeps_later_changes_of_others_and_reports_it(root):
    store = LabelStore(root)
    store.apply([change("add", "two", {}, {"a": point(1), "b": point(2)})], "Ann")
    store.apply([change("move", "m", {"a": point(1)}, {"a": point(9)})], "Bob")
    ack = store.undo("v1", "Ann")
    assert ack.note.startswith("1 of its changes stayed")
    assert labels(store) == {"a": ("jump", 9)}
    assert labels(LabelStore(root)) == {"a": ("jump", 9)}


@pytest.mark.parametrize(("operation", "sentence"), [
    (change("move", "m", {"a": point(1)}, {"a": point(5)}), "Bob changed this meanwhile; it is shown as it is now."),
    (change("delete", "d", {"b": point(2)}, {}), "Bob deleted this meanwhile."),
    (change("add", "again", {}, {"a": point(7)}), "Bob changed this meanwhile; it is shown as it is now."),
    (add("n", 101.5), "101.5 s lies outside the video (100 s)."),
    (add("n", 1, "swim"), "There is no class 'swim'. Add it first."),
    (add("n", 1, video="v3"), "The data set has no video 'v3'."),
    (change("add", "n", {}, {"n": point(1, video="v2")}), "A label cannot move to another video."),
    (change("add", "n", {}, {"n": {"label": "jump"}}),
     "The operation has a wrong value in `after`: A point needs frame, label, time, video."),
    (add_class("jump"), "There is a class 'jump' already."),
    (add_class("a\nb"), "'a\\nb' cannot be a class. Use 1 to 200 characters on one line."),
    (change("mark", "k", {}, {"v2": {"done": True}}), "Only the video itself can be marked."),
])
def test_invalid_operation_is_refused_with_a_sentence(root, operation, sentence):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 2)], "Ann")
    store.apply([change("move", "x", {"a": point(1)}, {"a": point(3)}),
                 change("delete", "y", {"b": point(2)}, {})], "Bob")
    before, size = labels(store), store.log.stat().st_size
    ack, = store.apply([operation], "Ann")
    assert (ack.refused, ack.seq) == (sentence, None)
    assert labels(store) == before and store.log.stat().st_size == size


@pytest.mark.parametrize(("broken", "place"), [
    ("text", "is not an object"), ([], "is not an object"), (None, "is not an object"),
    ({"video": "v1", "kind": "add"}, "has no id"),
    ({"id": "x", "kind": "add"}, "has no video"), ({"id": "x", "video": "v1", "kind": "drop"}, "unknown kind 'drop'"),
    ({"id": "x", "video": "v1", "kind": "import", "before": {}, "after": {}}, "unknown kind 'import'"),
    ({"id": "x", "video": "v1", "kind": "add", "before": {}, "after": {"p": 1}}, "no `after` object"),
    ({"id": "x", "video": "v1", "kind": "undo", "of": ["a"]}, "is not about an operation"),
    ({"id": "x", "video": "v1", "kind": ["add"]}, "unknown kind"),
    ({"id": 5, "video": "v1", "kind": "add"}, "has no id"),
    ({"id": "x"}, "has no video"),
    (change("add", "x", {}, {"p": point(1) | {"label": ["jump"]}}), "A point needs frame, label, time, video"),
    (change("add", "x", {}, {"p": point(1) | {"time": "1"}}), "A point needs"),
    (change("add", "x", {}, {"p": point(1) | {"time": float("nan")}}), "A point needs"),
    (change("add", "x", {}, {"": point(1)}), "not a key of 1 to 500 characters"),
    (change("mark", "x", {}, {"v1": {"done": "yes"}}), "A video is marked with"),
    ({"id": "x", "video": "v1", "kind": "add", "before": {}, "after": {}}, "changes nothing")])
def test_malformed_operation_is_refused_without_blocking_others(root, broken, place):
    store = LabelStore(root)
    first, refused, last = store.apply([add("a", 1), broken, add("b", 2)], "Ann")
    assert (first.seq, last.seq) == (1, 2) and refused.malformed and place in refused.refused
    assert refused.id == (broken["id"] if isinstance(broken, dict) and isinstance(broken.get("id"), str) else "")
    assert {point["id"] for point in LabelStore(root).points()} == {"a", "b"}


def test_first_operation_imports_the_point_file(root):
    folder = root / "point_labels"
    folder.mkdir()
    (folder / "point_gaussian.csv").write_text("class,start_frame,stop_frame,video_id,point\njump,0,90,v1,30\n"
                                               "run,0,90,v2,60\n")
    store = LabelStore(root)
    shown = store.points("v1") + store.points("v2")
    assert [(row["label"], row["frame"], row["who"]) for row in shown] == \
        [("jump", 30, "point_gaussian.csv"), ("run", 60, "point_gaussian.csv")]
    assert not store.log.exists() and project_points(root) is None
    moved = {key: shown[0][key] for key in ("video", "label", "time", "frame")}
    store.apply([change("move", "m", {shown[0]["id"]: moved}, {shown[0]["id"]: moved | {"time": 2.0, "frame": 59}}),
                 add("a", 1)], "Ann")
    assert [line["kind"] for line in map(json.loads, store.log.read_text().splitlines())] == ["import", "move", "add"]
    assert store.undo("v1", "Ann").seq and store.undo("v1", "Ann").seq
    assert store.undo("v1", "Ann").refused
    assert LabelStore(root).points("v1") == shown[:1] or LabelStore(root).points("v1")[0]["time"] == shown[0]["time"]


def test_point_file_that_changes_before_the_first_operation_is_read_again(root):
    (root / "point_labels").mkdir()
    path = root / "point_labels" / "point_gaussian.csv"
    path.write_text("class,video_id,point\njump,v1,30\n")
    store = LabelStore(root)
    path.write_text("class,video_id,point\njump,v1,300\nrun,v1,330\n")
    store.refresh()
    assert [row["frame"] for row in store.points("v1")] == [300, 330]
    path.write_text("class,video_id,point\nrun,v1,9\n")
    store.apply([add("a", 1)], "Ann")
    assert [row["frame"] for row in LabelStore(root).points("v1")] == [9, 29]


@pytest.mark.parametrize("cut", [b'{"id":"half","vid', b"\0" * 40, b"\0\0\n\xff\xfe\n{"])
def test_cut_off_last_line_is_set_aside_and_reported_and_the_rest_kept(root, cut):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 2)], "Ann")
    whole = store.log.read_bytes()
    store.log.write_bytes(whole + cut)
    os.utime(store.log, (1, 1))
    again = LabelStore(root)
    assert labels(again) == {"a": ("jump", 1), "b": ("jump", 2)}
    assert "was moved to operations.jsonl.cut; the 2 operations before it stand" in again.notices[0]
    assert store.log.read_bytes() == whole
    assert (root / "labels" / "operations.jsonl.cut").read_bytes() == cut + b"\n"
    assert again.apply([add("c", 3)], "Ann")[0].seq == 3
    store.refresh()
    assert len(labels(store)) == 3


def test_log_that_is_being_copied_into_place_is_not_truncated(root):
    store = LabelStore(root)
    store.apply([add(f"p{number}", number) for number in range(40)], "Ann")
    whole = store.log.read_bytes()
    with open(store.log, "wb", buffering=0) as copying:
        copying.write(whole[:len(whole) // 2 - 7])
        store.refresh()
        with pytest.raises(InputError, match="its last line is incomplete, as when a copy is being restored"):
            store.apply([add("b", 50)], "Ann")
        copying.write(whole[len(whole) // 2 - 7:])
    assert store.log.read_bytes() == whole and not store.notices
    assert store.apply([add("b", 50)], "Ann")[0].seq == 41
    assert LabelStore(root).seq == 41


def test_cut_off_line_is_set_aside_once_the_log_stops_changing(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    whole = store.log.read_bytes()
    store.log.write_bytes(whole + b'{"id":')
    store.refresh()
    assert store.log.read_bytes() == whole + b'{"id":'
    os.utime(store.log, (1, 1))
    store.refresh()
    assert store.log.read_bytes() == whole and "was cut off" in store.notices[0]


@pytest.mark.parametrize("while_it", ["waits for its turn", "writes"])
def test_label_reaches_a_log_that_replaces_the_one_being_written(root, monkeypatch, while_it):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    copy = root / "copy.jsonl"
    shutil.copy(store.log, copy)

    def put_back(*_) -> None:
        monkeypatch.undo()
        copy.replace(store.log)

    acknowledged = []
    if while_it == "writes":
        monkeypatch.setattr(os, "fsync", put_back)
        with pytest.raises(InputError, match="another log was put in its place"):
            store.apply([add("b", 2)], "Ann")
        acknowledged += store.apply([add("b", 2)], "Ann")
    else:
        with open(store.log, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            other = threading.Thread(target=lambda: acknowledged.extend(store.apply([add("b", 2)], "Ann")))
            other.start()
            time.sleep(.2)
            put_back()
        other.join(10)
    assert acknowledged[0].seq == 2
    assert labels(LabelStore(root)) == labels(store) == {"a": ("jump", 1), "b": ("jump", 2)}


def test_classes_can_be_read_while_another_thread_adds_some(root):
    store, switching = LabelStore(root), sys.getswitchinterval()
    adding = [change("class", f"c{number}", {}, {f"class {number}": {"place": number}}) for number in range(3000)]
    writer = threading.Thread(target=store.apply, args=(adding, "Ann"))
    sys.setswitchinterval(1e-6)
    try:
        writer.start()
        while writer.is_alive():
            assert len(store.styles) in (0, 3000)       # an answer is all of a request or nothing of it
    finally:
        sys.setswitchinterval(switching)
        writer.join()
    assert len(store.styles) == 3000


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks Linux which files are flushed")
def test_first_operation_syncs_the_folders_of_the_log(root, monkeypatch):
    synced, sync = set(), os.fsync

    def witness(handle: int) -> None:
        synced.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", witness)
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    assert synced == {str(store.log), str(store.log.parent), str(root)}


def test_broken_line_inside_the_log_is_an_error_with_its_number(root):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 2), add("c", 3)], "Ann")
    lines = store.log.read_bytes().splitlines(keepends=True)
    store.log.write_bytes(lines[0] + b'{"id":\n' + lines[2])
    with pytest.raises(InputError, match=r"operations.jsonl: line 2 is not an operation"):
        LabelStore(root)
    with pytest.raises(InputError, match=r"line 2 is not an operation"):
        store.apply([add("d", 4)], "Ann")


def _write_many(root: Path, who: str, count: int) -> None:
    store = LabelStore(root)
    for number in range(count):
        store.apply([add(f"{who}{number}", number / 10)], who)


def test_concurrent_processes_never_lose_an_operation(root):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(root, who, 100)) for who in ("Ann", "Bob", "Cid")]
    for writer in writers:
        writer.start()
    watcher = LabelStore(root)
    while any(writer.is_alive() for writer in writers):
        watcher.refresh()
        time.sleep(.01)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    watcher.refresh()
    assert labels(watcher) == labels(LabelStore(root)) and len(labels(watcher)) == 300
    lines = [json.loads(line) for line in watcher.log.read_text().splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 301))


def test_every_acknowledged_operation_survives_kill_9(root):
    script = ("import sys; from pathlib import Path; from hrpro.labels.operations import LabelStore\n"
              "store = LabelStore(Path(sys.argv[1])); first = store.seq\n"
              "for n in range(first, 100000):\n"
              "    after = {f'p{n}': {'video': 'v1', 'label': 'jump', 'time': n % 100, 'frame': n}}\n"
              "    add = {'id': f'o{n}', 'video': 'v1', 'kind': 'add', 'before': {}, 'after': after}\n"
              "    ack, = store.apply([add], 'A')\n"
              "    print(ack.seq, flush=True)\n")
    acknowledged = 0
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True,
                                   cwd=ROOT)
        for _ in range(25):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        acknowledged = int(rest[-1]) if rest else acknowledged
        assert LabelStore(root).seq >= acknowledged
    assert acknowledged >= 100


def _run_apart(root: Path, prepare: str, operation: dict) -> str:
    """Apply an operation in a separate process after running `prepare`; returns the output."""
    script = ("import json, os, resource, sys; from pathlib import Path\n"
              "from hrpro.labels.operations import LabelStore; from hrpro.errors import InputError\n"
              f"store = LabelStore(Path(sys.argv[1])); before = store.points('v1')\n{prepare}\n"
              "try: print('acknowledged', store.apply(json.loads(sys.argv[2]), 'Ann'))\n"
              "except InputError as error: print(error, store.points('v1') == before)\n")
    return subprocess.run([sys.executable, "-c", script, root, json.dumps([operation])], capture_output=True, text=True,
                          check=True, cwd=ROOT).stdout


def test_full_disk_acknowledges_nothing_and_leaves_the_log_intact(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    before = store.log.read_bytes()
    limit = len(before) + 20
    said = _run_apart(root, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))", add("b", 2))
    assert "operations.jsonl: could not be written (File too large)" in said and said.strip().endswith("True")
    assert store.log.read_bytes() == before
    assert LabelStore(root).apply([add("b", 2)], "Ann")[0].seq == 2


def test_read_only_log_acknowledges_nothing(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    before = store.log.read_bytes()
    store.log.chmod(0o444)
    for folder in (root, *root.parents):
        if folder.stat().st_uid == os.getuid() and folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    said = _run_apart(root, "os.getuid() or os.setuid(65534)", add("b", 2))
    assert "operations.jsonl: cannot be written (Permission denied)" in said and said.strip().endswith("True")
    assert store.log.read_bytes() == before


def test_training_reads_the_projection(root):
    store = LabelStore(root)
    frames = [0, 1, 29, 30, 1798, 2500]
    store.apply([change("add", "all", {}, {
        # As stored by a container with a time base of 1/90000: rounded down, slightly less than frame / fps.
        f"p{frame}": {"video": "v2", "label": "run", "time": int(frame * 3003) / 90000 - 1e-5 * (frame > 0),
                      "frame": frame} for frame in reversed(frames)}, "v2"), add("a", 1)], "Ann")
    path = project_points(root)
    assert path == root.resolve() / "point_labels" / "points.csv"
    rows = list(csv.DictReader(path.open()))
    assert [(row["video_id"], row["class"]) for row in rows] == [("v1", "jump")] + [("v2", "run")] * 6
    assert [int(row["point"]) for row in rows[1:]] == frames
    dataset = open_dataset(config_of(root), features=False)
    assert dataset.points_file.name == "points.csv" and len(dataset.points) == 7


UNEVEN = [*range(0, 50_000, 2000), *(50_000 + round(1000 * k / 30) for k in range(60)), *range(52_000, 100_000, 2000)]


@pytest.fixture(scope="module")
def uneven(tmp_path_factory) -> tuple[Path, list[float]]:
    """A project with a screen recording (one frame every 2 s, and 2 s at 30 fps), and the times of its frames."""
    folder = tmp_path_factory.mktemp("uneven")
    (folder / "videos").mkdir()
    video = write_video(folder / "videos" / "screen.mp4", UNEVEN, rate=30)
    return create_project(folder, "project", folder / "videos", ["jump"]), probe(video).times.tolist()


def test_points_of_a_variable_frame_rate_video_reach_training_at_their_times(uneven, tmp_path):
    project, times = uneven
    root = shutil.copytree(project, tmp_path / "copy")
    stamped = [0, 24, 28, 40, 52, 55, 56, 70, 84, 85, 108]
    LabelStore(root).apply([change("add", "all", {}, {
        f"p{frame}": {"video": "screen", "label": "jump", "time": times[frame], "frame": frame} for frame in stamped},
        "screen")], "Ann")
    path = project_points(root)
    dataset = open_dataset(config_of(root), features=False)
    assert dataset.fps["screen"] == pytest.approx(1.1, abs=.1)
    assert dataset.points.seconds.tolist() == pytest.approx([times[frame] for frame in stamped], abs=.002)
    frames = [float(row["point"]) for row in csv.DictReader(path.open())]
    assert [probe(root / "videos" / "screen.mp4").frame_index(frame / dataset.fps["screen"] + .002)
            for frame in frames] == stamped, "number / fps names the frame"
    shutil.rmtree(root / "labels")                      # a copy without the log imports the file
    store = LabelStore(root)
    assert [row["time"] for row in store.points()] == dataset.points.seconds.tolist()
    store.apply([change("mark", "d", {}, {"screen": {"done": True}}, "screen")], "Bob")
    assert store.project().read_text() == path.read_text() and [
        float(row["point"]) for row in csv.DictReader(path.open())] == frames, "import and export change nothing"


@pytest.mark.parametrize("fps", [25, FPS, 24000 / 1001, 60000 / 1001, 240, 15, 1])
@pytest.mark.parametrize("unit", [1000, 90_000])
def test_frames_at_a_constant_rate_keep_whole_numbers(root, fps, unit):
    frames = np.array([0, 1, 2, 29, 30, 1798, 99 * 240]) % int(99 * fps)
    stamps = np.round(frames / fps * unit) / unit
    csv_of = Points(stamps, [0] * 7, [0] * 7, ("jump",), ("v1",)).to_csv({"v1": fps})
    assert [row["point"] for row in csv.DictReader(csv_of.splitlines())] == [str(frame) for frame in frames]


def test_times_between_frames_are_preserved(root):
    human = root / "point_labels" / "human"
    human.mkdir(parents=True)
    seconds = [1.25, 12.35, 40.96, 77.7]
    (human / "annotator_1.txt").write_text("".join(f"v1,{moment},jump\n" for moment in seconds))
    (root / "config.yaml").write_text("points: human/annotator_1.txt\n")
    store = LabelStore(root)
    store.apply([add("a", 1, video="v2")], "Ann")
    store.project()
    (root / "config.yaml").write_text("points: auto\n")
    read = open_dataset(config_of(root), features=False).points.of_video("v1").seconds
    assert read.tolist() == pytest.approx(seconds, abs=1e-9)


def test_unwritable_projection_gives_a_message_and_keeps_the_log(root):
    LabelStore(root).apply([add("a", 1)], "Ann")
    (root / "point_labels").write_text("in the way")
    with pytest.raises(InputError, match=r"point_labels: cannot be made or read \(File exists\)"):
        project_points(root)
    (root / "point_labels").unlink()
    assert len(list(csv.DictReader(project_points(root).open()))) == 1


def test_projection_includes_operations_of_other_processes(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    store.project()
    _write_many(root, "Bob", 3)
    assert len(list(csv.DictReader(store.project().open()))) == 4


def test_class_added_in_the_app_is_listed_and_can_be_undone_while_unused(root):
    store = LabelStore(root)
    acks = store.apply([add_class("слалом"), add("a", 1, "слалом")], "Ann")
    assert [ack.refused for ack in acks] == [None, None]
    store.project()
    assert (root / "classes.txt").read_text() == "jump\nrun\nслалом\n"
    assert store.classes == LabelStore(root).classes == ["jump", "run", "слалом"]
    store.undo("v1", "Ann")
    store.apply([add("b", 1, "слалом")], "Bob")
    assert "a class in use" in store.undo("v1", "Ann").note
    assert store.classes == ["jump", "run", "слалом"]


def test_undone_class_is_removed_from_the_list(root):
    store = LabelStore(root)
    store.apply([add_class("dive")], "Ann")
    store.project()
    store.undo("v1", "Ann")
    store.project()
    assert (root / "classes.txt").read_text() == "jump\nrun\n" and store.classes == ["jump", "run"]
    store.redo("v1", "Ann")
    assert LabelStore(root).classes == ["jump", "run", "dive"]


def test_video_can_be_marked_as_completely_labelled(root):
    store = LabelStore(root)
    store.apply([change("mark", "k", {}, {"v1": {"done": True}})], "Ann")
    assert LabelStore(root).done() == {"v1"}
    store.undo("v1", "Ann")
    assert LabelStore(root).done() == set()


def test_ten_thousand_points_take_little_time_and_memory(root):
    store = LabelStore(root)
    store.apply([add(f"p{n}", n / 100) for n in range(10_000)], "Ann")
    begin = time.process_time()
    again = LabelStore(root)
    replayed = time.process_time() - begin
    begin = time.process_time()
    for n in range(20):
        again.apply([add(f"q{n}", 50)], "Ann")
    applied = (time.process_time() - begin) / 20
    assert len(again.points("v1")) == 10_020
    assert replayed < 2 and applied < .05
    tracemalloc.start()
    assert len(LabelStore(root).points("v1")) == 10_020
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_renaming_a_class_changes_its_points_in_all_videos_and_can_be_undone(root):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 2, video="v2"), add("c", 3, "run")], "Ann")
    renamed = change("rename", "r", {"jump": {}}, {"leap": {}})
    assert store.apply([renamed], "Ann")[0].seq == 4
    for seen in (store, LabelStore(root)):
        assert seen.classes == ["leap", "run"]
        assert labels(seen) == {"a": ("leap", 1), "c": ("run", 3)} and labels(seen, "v2") == {"b": ("leap", 2)}
    assert [row["class"] for row in csv.DictReader(store.project().open())] == ["leap", "run", "leap"]
    assert (root / "classes.txt").read_text() == "leap\nrun\n"
    only, = store.operations(3, "v2")
    assert set(only["after"]) == {"b", "leap"}, "someone at v2 hears nothing of v1's points"
    store.undo("v1", "Ann")
    assert LabelStore(root).classes == ["jump", "run"] and labels(store, "v2") == {"b": ("jump", 2)}
    store.redo("v1", "Ann")
    assert store.classes == ["leap", "run"] and labels(store, "v2") == {"b": ("leap", 2)}


@pytest.mark.parametrize("replayed", [False, True])
def test_point_keeps_its_author_whatever_others_change(root, replayed):
    (root / "point_labels").mkdir()
    (root / "point_labels" / "point_gaussian.csv").write_text("class,video_id,point\njump,v1,300\n")
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 2, video="v2"), add("c", 3), change("accept", "s", {}, {"s": segment(.5, 2)})],
                "Ann")
    imported = next(key for key in labels(store) if key.startswith("point_gaussian"))
    store.apply([change("rename", "r", {"jump": {}}, {"leap": {}}),
                 change("merge", "m", {"leap": {}, "run": {}}, {"run": {}})], "Bob")
    store.apply([change("move", "v", {"a": point(1, "run")}, {"a": point(1.5, "run")}),
                 change("flag", "f", {"a": point(1.5, "run")}, {"a": point(1.5, "run") | {"doubt": "early?"}}),
                 change("delete", "d", {"c": point(3, "run")}, {})], "Cid")
    assert "Cid changed this" in store.apply([change("delete", "late", {"a": point(1, "run")}, {})], "Dora")[0].refused
    store.undo("v1", "Cid")
    store.undo("v1", "Bob")
    store.redo("v1", "Bob")
    seen = LabelStore(root) if replayed else store
    assert {row["id"]: row["who"] for row in (*seen.points(), *seen.segments())} == \
        {"a": "Ann", "b": "Ann", "c": "Ann", "s": "Ann", imported: "point_gaussian.csv"}
    operations = seen.operations()
    assert {row["id"]: row["who"] for row in standing_points(seen, operations)} == \
        {row["id"]: row["who"] for row in seen.points()} == {key: who for key, who in seen.authors(operations).items()
                                                             if key != "s"}


def test_point_added_under_a_used_id_belongs_to_the_new_author(root):
    store = LabelStore(root)
    store.apply([add("a", 1), change("delete", "d", {"a": point(1)}, {})], "Ann")
    store.apply([change("add", "again", {}, {"a": point(2)})], "Bob")
    assert [row["who"] for row in store.points()] == ["Bob"]


def test_class_with_a_control_character_can_be_renamed(root):
    (root / "classes.txt").write_text("ju\tmp\nrun\n")
    LabelStore(root).apply([add("a", 2, "ju\tmp")], "Ann")
    with pytest.raises(InputError, match=r"classes\.txt: line 1 has 'ju\\tmp', which cannot name a class"):
        open_dataset(config_of(root), features=False).raise_errors()
    LabelStore(root).apply([change("rename", "r", {"ju\tmp": {}}, {"jump": {}})], "Ann")
    assert project_points(root) and (root / "classes.txt").read_text() == "jump\nrun\n"
    open_dataset(config_of(root), features=False).raise_errors()


def test_undone_rename_keeps_later_labels(root):
    store = LabelStore(root)
    store.apply([add("a", 1), change("rename", "r", {"jump": {}}, {"leap": {}})], "Ann")
    store.apply([add("b", 2, "leap")], "Bob")
    assert store.undo("v1", "Ann").note.startswith("1 of its changes stayed")
    assert labels(store) == {"a": ("jump", 1), "b": ("leap", 2)} and set(store.classes) == {"jump", "leap", "run"}


def test_merging_classes_can_be_undone(root):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 2, "run"), add("c", 3, video="v2")], "Ann")
    store.apply([change("merge", "m", {"jump": {}, "run": {}}, {"run": {}})], "Ann")
    assert store.classes == ["run"] and store.counts("label") == {"run": 3}
    store.undo("v1", "Ann")
    assert store.counts("label") == {"jump": 2, "run": 1} and set(LabelStore(root).classes) == {"jump", "run"}


def test_classes_have_a_colour_a_place_and_a_key(root):
    store = LabelStore(root)
    store.apply([add_class("swim")], "Ann")
    order = {name: {"place": place} for place, name in enumerate(["swim", "run", "jump"])}
    acks = store.apply([change("class", "order", {"swim": {}, "run": {}, "jump": {}}, order),
                        change("class", "red", {"run": order["run"]},
                               {"run": order["run"] | {"colour": "#ff0000", "key": "9"}})], "Ann")
    assert all(ack.seq for ack in acks)
    again = LabelStore(root)
    assert again.classes == ["swim", "run", "jump"]
    assert again.styles["run"] == {"place": 1, "colour": "#ff0000", "key": "9"}
    again.project()
    assert set((root / "classes.txt").read_text().split()) == {"swim", "run", "jump"}
    again.undo("v1", "Ann")
    again.undo("v1", "Ann")
    assert again.classes == ["jump", "run", "swim"] and again.styles == {}


def test_annotated_classes_cannot_be_renamed_merged_or_removed(root):
    truth = json.loads((root / "gt_full.json").read_text())
    truth["database"]["v1"]["annotations"] = [{"label": "jump", "segment": [1, 2]}]
    (root / "gt_full.json").write_text(json.dumps(truth))
    store = LabelStore(root)
    for kind, before, after in (("rename", {"jump": {}}, {"leap": {}}), ("class", {"jump": {}}, {}),
                                ("merge", {"jump": {}, "run": {}}, {"run": {}})):
        ack, = store.apply([change(kind, kind, before, after)], "Ann")
        assert ack.refused == "The annotations in gt_full.json use the class 'jump'. Change them there."
    assert not store.operations()


def segment(start: float, end: float, **more) -> dict:
    return {"video": "v1", "label": "jump", "start": start, "end": end, "point": "a", "model": "run 1", **more}


def test_log_can_be_read_after_importing_any_point_file(root):
    """Segments that training leaves out are not imported; what no reader would accept is refused before writing."""
    (root / "point_labels").mkdir()
    path = root / "point_labels" / "points.csv"
    path.write_text("class,start_frame,stop_frame,video_id,point,segment\njump,0,1e12,v1,30,accepted\nrun,,,v1,60\n")
    LabelStore(root).apply([add("a", 1)], "Ann")
    again = LabelStore(root)
    assert len(again.points("v1")) == 3 and again.segments() == []
    shutil.rmtree(root / "labels")
    truth = json.loads((root / "gt_full.json").read_text())
    truth["database"]["v1"].update(duration=999_999_999.9, fps=1)
    (root / "gt_full.json").write_text(json.dumps(truth))
    path.write_text("class,video_id,point\njump,v1,1e9\n")
    with pytest.raises(InputError, match=r"points\.csv: cannot be imported into the log"):
        LabelStore(root).apply([add("a", 1)], "Ann")
    assert (root / "labels" / "operations.jsonl").read_bytes() == b""


def test_suggestions_are_accepted_corrected_refused_and_deleted_with_their_point(root):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 8), change("accept", "s", {}, {"s": segment(.5, 2)}),
                 change("move", "edge", {"s": segment(.5, 2)}, {"s": segment(.5, 3)}),
                 change("refuse", "t", {}, {"t": segment(7, 9, point="b", refused=True)})], "Ann")
    assert [(row["id"], row["end"], row.get("refused")) for row in LabelStore(root).segments("v1")] == \
        [("s", 3, None), ("t", 9, True)]
    store.apply([change("delete", "d", {"a": point(1), "s": segment(.5, 3)}, {})], "Ann")
    assert labels(store) == {"b": ("jump", 8)} and [row["id"] for row in store.segments("v1")] == ["t"]
    store.undo("v1", "Ann")
    assert len(store.segments("v1")) == 2 and labels(store) == {"a": ("jump", 1), "b": ("jump", 8)}


BACK = {"a": ("jump", 1), "s": (.5, 2, "Bob")}


def state(store: LabelStore) -> dict:
    """Points and segments, which must be the same when the log is replayed."""
    found = [labels(seen) | {row["id"]: (row["start"], row["end"], row["who"]) for row in seen.segments()}
             for seen in (store, LabelStore(store.root))]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(("removal", "left"), [
    ({"id": "back", "video": "v1", "kind": "undo"}, {}),
    (change("delete", "d", {"a": point(1)}, {}), {}),
    (change("move", "m", {"a": point(1)}, {"a": point(2.5)}), {"a": ("jump", 2.5)}),
    (change("relabel", "r", {"a": point(1), "s": segment(.5, 2)}, {"a": point(2.5, "run"),
                                                                   "s": segment(.5, 2, label="run")}),
     {"a": ("run", 2.5)}),
    (change("relabel", "r", {"a": point(1)}, {"a": point(1, "run")}), {"a": ("run", 1), "s": (.5, 2, "Bob")}),
    (change("move", "m", {"a": point(1)}, {"a": point(2)}), {"a": ("jump", 2), "s": (.5, 2, "Bob")}),
])
def test_segment_stays_with_its_point_when_anyone_changes_the_point(root, removal, left):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    store.apply([change("accept", "s", {}, {"s": segment(.5, 2)})], "Bob")
    assert state(store) == BACK
    assert not store.apply([removal], "Ann")[0].refused
    assert state(store) == left
    assert all(row["label"] == labels(store)["a"][0] for row in store.segments())
    for _ in range(2):
        back, again = (store.redo, store.undo) if removal["kind"] == "undo" else (store.undo, store.redo)
        assert not (back("v1", "Ann").note or state(store) != BACK)
        assert not (again("v1", "Ann").note or state(store) != left)


def test_undone_move_takes_along_a_segment_accepted_meanwhile_and_redo_brings_it_back(root):
    store = LabelStore(root)
    store.apply([add("a", 9), change("move", "m", {"a": point(9)}, {"a": point(1)})], "Ann")
    store.apply([change("accept", "s", {}, {"s": segment(.5, 2)})], "Bob")
    store.undo("v1", "Ann")
    assert state(store) == {"a": ("jump", 9)}
    store.redo("v1", "Ann")
    assert state(store) == BACK


def test_undo_and_redo_restore_no_segment_without_its_point_or_beside_another(root):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    store.apply([change("accept", "s", {}, {"s": segment(.5, 2)})], "Bob")
    store.undo("v1", "Bob")
    for operation in (change("delete", "d", {"a": point(1)}, {}),
                      change("move", "m", {"a": point(1)}, {"a": point(5)}),
                      change("accept", "t", {}, {"t": segment(.8, 2)})):
        store.apply([operation], "Ann")
        before = state(store)
        assert store.redo("v1", "Bob").note.startswith("1 of its changes stayed") and state(store) == before
        store.undo("v1", "Bob")
        store.undo("v1", "Ann")
    store.redo("v1", "Bob")
    assert state(store) == BACK


@pytest.mark.parametrize(("mine", "theirs", "said"), [
    (change("accept", "t", {}, {"t": segment(.6, 2)}), [], "Bob decided on the segment of this point meanwhile"),
    (change("refuse", "t", {}, {"t": segment(.6, 2, refused=True)}), [], "Bob decided on the segment"),
    (change("accept", "t", {}, {"t": segment(.6, 2)}), [change("delete", "d", {"a": point(1)}, {})],
     "Bob deleted the point of this segment meanwhile"),
    (change("accept", "t", {}, {"t": segment(.6, 2)}), [change("move", "m", {"a": point(1)}, {"a": point(3)})],
     "A segment must contain its point"),
    (change("accept", "t", {}, {"t": segment(.6, 2)}),
     [change("delete", "d", {"s": segment(.5, 2)}, {}),
      change("relabel", "r", {"a": point(1)}, {"a": point(1, "run")})], "and have its class"),
    (change("move", "e", {"s": segment(.5, 2)}, {"s": segment(1.5, 2)}), [], "A segment must contain its point"),
    (change("accept", "two", {}, {"t": segment(3, 5, point="b"), "u": segment(3, 4, point="b")}), [],
     "decided on the segment of this point"),
    (change("accept", "self", {}, {"t": segment(.6, 2, point="u"), "u": segment(.6, 2, point="t")}), [],
     "Someone deleted the point of this segment"),
])
def test_segment_that_does_not_belong_to_its_point_is_refused(root, mine, theirs, said):
    store = LabelStore(root)
    store.apply([add("a", 1), add("b", 4)], "Ann")
    store.apply([change("accept", "s", {}, {"s": segment(.5, 2)}), *theirs], "Bob")
    before = state(store)
    assert said in store.apply([mine], "Ann")[0].refused
    assert state(store) == before


def test_segment_belongs_to_the_person_who_decided_on_it_last(root):
    store = LabelStore(root)
    accepted, refused = segment(.5, 2), segment(.5, 2, refused=True)
    store.apply([add("a", 1), change("refuse", "no", {}, {"s": refused})], "Ann")
    store.apply([change("accept", "yes", {"s": refused}, {"s": accepted})], "Bob")
    assert state(store)["s"] == (.5, 2, "Bob")
    store.apply([change("move", "e", {"s": accepted}, {"s": segment(.5, 3)}),
                 change("rename", "r", {"jump": {}}, {"leap": {}}),
                 {"id": "back", "video": "v1", "kind": "undo"}], "Cid")
    assert state(store)["s"] == (.5, 3, "Bob")
    assert [row["who"] for row in accepted_segments(store, "Bob")] == ["Bob"]


def test_segment_with_the_id_of_its_point_breaks_nothing(root):
    store = LabelStore(root)
    store.apply([add("a", 1), change("accept", "s", {}, {"a": segment(.5, 2)})], "Ann")
    assert store.apply([change("move", "m", {"a": point(1)}, {"a": point(5)})], "Ann")[0].seq
    assert labels(store) == {"a": ("jump", 5)} and store.segments() == []


def test_segments_that_an_older_log_set_apart_from_their_points_are_ignored(root):
    """Older versions left them, and let two people accept a segment for one point."""
    named = {"s": segment(.5, 2), "twin": segment(.6, 2), "out": segment(3, 4, point="b"),
             "other": segment(8, 10, point="c", label="run"), "gone": segment(5, 6, point="deleted")}
    operations = [add("a", 1), add("b", 5), add("c", 9),
                  *(change("accept", key, {}, {key: value}) for key, value in named.items())]
    (root / "labels").mkdir()
    (root / "labels" / "operations.jsonl").write_text("".join(
        json.dumps(operation | {"seq": number, "time": "2026-01-01T00:00:00.000+00:00", "who": "Ann"}) + "\n"
        for number, operation in enumerate(operations, 1)))
    store = LabelStore(root)
    assert [row["id"] for row in store.segments()] == [row["id"] for row in accepted_segments(store)] == ["twin"]
    assert [row["segment"] for row in csv.DictReader(store.project().open())] == ["accepted", "", ""]
    assert store.apply([change("rename", "r", {"jump": {}}, {"leap": {}})], "Ann")[0].seq
    assert store.undo("v1", "Ann").note is None and store.classes == ["jump", "run"]
    assert store.apply([change("accept", "new", {}, {"new": segment(4, 6, point="b")})], "Ann")[0].seq


def test_accepted_segments_are_written_with_their_points_and_read_back(root):
    store = LabelStore(root)
    store.apply([add("a", 10), add("b", 20), add("c", 30), add("d", 40)], "Ann")
    assert store.project().read_text().splitlines()[0] == "class,class_index,start_frame,stop_frame,video_id,point"
    for key, point_id, begin, end, more in (("s", "a", 8, 12.5, {}), ("t", "b", 19, 22, {"refused": True}),
                                            ("u", "c", 29, 33, {})):
        value = segment(begin, end, **more) | {"point": point_id}
        store.apply([change("refuse" if more else "accept", key, {}, {key: value})], "Ann")
    before, after = (segment(8, end) | {"point": "a"} for end in (12.5, 13))
    store.apply([change("move", "edge", {"s": before}, {"s": after}),
                 change("relabel", "r", {"c": point(30)}, {"c": point(30, "run")})], "Bob")
    path = store.project()
    rows = list(csv.DictReader(path.open()))
    assert [row["segment"] for row in rows] == ["accepted", "", "accepted", ""], "no refused ones"
    store.apply([change("delete", "gone", {"u": segment(29, 33, point="c", label="run")}, {})], "Bob")
    rows = list(csv.DictReader(store.project().open()))
    assert [row["segment"] for row in rows] == ["accepted", "", "", ""]
    assert [float(rows[0][name]) / FPS for name in ("start_frame", "stop_frame")] == pytest.approx([8, 13], abs=.002)
    read = open_dataset(config_of(root), features=False).points.of_video("v1")
    assert read.accepted.tolist() == [True, False, False, False]
    assert read.segment[0].tolist() == pytest.approx([8, 13], abs=.002)
    shutil.rmtree(root / "labels")                      # without the log, the file is imported with its segment
    again = LabelStore(root)
    again.apply([add("e", 50)], "Cid")
    only, = again.segments()
    assert (only["start"], only["end"], only["who"]) == (*read.segment[0].tolist(), "points.csv")
    assert [row["segment"] for row in csv.DictReader(again.project().open())] == ["accepted", "", "", "", ""]
    assert LabelStore(root).segments() == again.segments()


def test_frames_of_annotated_actions_in_published_files_are_not_accepted_segments(root):
    (root / "point_labels").mkdir()
    path = root / "point_labels" / "point_gaussian.csv"
    path.write_text("class,class_index,start_frame,stop_frame,video_id,point\njump,0,10,90,v1,30\n")
    assert not open_dataset(config_of(root), features=False).points.accepted.any()
    store = LabelStore(root)
    store.apply([add("a", 50)], "Ann")
    assert store.segments() == [] and "10" not in store.project().read_text().splitlines()[1].split(",")[2:4]
    path.with_name("points.csv").write_text(
        "class,start_frame,stop_frame,video_id,point,segment\njump,90,10,v1,30,accepted\n")
    (root / "labels" / "operations.jsonl").unlink()
    with pytest.raises(InputError, match="line 2 has an accepted segment that does not end after it begins"):
        open_dataset(config_of(root), features=False)


def test_point_can_be_flagged_as_doubtful_with_a_note(root):
    store = LabelStore(root)
    doubtful = point(1) | {"doubt": "or a hop?"}
    store.apply([add("a", 1), change("flag", "f", {"a": point(1)}, {"a": doubtful})], "Ann")
    assert LabelStore(root).points("v1")[0]["doubt"] == "or a hop?"
    assert len(list(csv.DictReader(store.project().open()))) == 1


@pytest.mark.parametrize(("operation", "part"), [
    (change("rename", "x", {"jump": {}}, {"run": {}}), "There is a class 'run' already."),
    (change("rename", "x", {"fly": {}}, {"leap": {}}), "Someone deleted this meanwhile."),
    (change("rename", "x", {"jump": {}, "run": {}}, {"leap": {}}), "Rename one class to a name"),
    (change("rename", "x", {"jump": {}}, {"a": {}}), "cannot have the name of a label's id"),
    (change("merge", "x", {"jump": {}}, {"run": {}}), "There is a class 'run' already."),
    (change("merge", "x", {"jump": {}}, {"fly": {}}), "Merge one class into another"),
    (change("class", "x", {"jump": {}}, {"jump": {"colour": "red; }"}}), "A class has a colour (#rrggbb)"),
    (change("class", "x", {"jump": {}}, {"jump": {"place": float("inf")}}), "A class has a colour (#rrggbb)"),
    (change("class", "x", {"jump": {}}, {"jump": {"key": "12"}}), "A class has a colour (#rrggbb)"),
    (change("class", "x", {"jump": {}}, {}), "The class has points."),
    (change("class", "x", {}, {"p": point(5)}), "'class' cannot change points."),
    (change("add", "x", {}, {"fly": {}}), "'add' cannot change classes."),
    (change("move", "x", {"a": point(1)}, {"a": segment(1, 2)}), "'move' cannot change segments."),
    (change("accept", "x", {}, {"s": segment(2, 2)}), "2 to 2 s is not part of the video"),
    (change("accept", "x", {}, {"s": segment(2, 200)}), "2 to 200 s is not part of the video"),
    (change("accept", "x", {}, {"s": segment(1, 2) | {"label": "fly"}}), "There is no class 'fly'."),
    (change("accept", "x", {}, {"s": {"start": 1}}), "A segment needs"),
    (change("flag", "x", {"a": point(1)}, {"a": point(1) | {"doubt": " "}}), "A doubtful point has a note"),
])
def test_invalid_changes_of_classes_segments_and_flags_are_refused(root, operation, part):
    store = LabelStore(root)
    store.apply([add("a", 1)], "Ann")
    size = store.log.stat().st_size
    ack, = store.apply([operation], "Ann")
    assert ack.seq is None and part in ack.refused
    assert store.log.stat().st_size == size
