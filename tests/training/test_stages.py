"""The paper's command line on a small data set, with real files, and real processes where signals are involved."""

import contextlib
import csv
import io
import json
import math
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from hrpro.cli import run_command
from hrpro.config import load_config
from hrpro.data.points import Points
from hrpro.data.run import Run, StageFolder
from hrpro.data.segments import Segments
from hrpro.labels.operations import LabelStore
from hrpro.training.events import EventLog
from hrpro.training.session import open_session

ROOT = Path(__file__).resolve().parents[2]


def options(data: Path, ckpt: Path, *arguments: str) -> list[str]:
    return ["--cfg", str(data / "config.yaml"), "--data_path", str(data), "--ckpt_path", str(ckpt), *arguments,
            "--set", "num_threads=1"]


def process(data: Path, ckpt: Path, *arguments: str) -> subprocess.Popen:
    """Run main.py in a separate process that can be killed."""
    return subprocess.Popen([sys.executable, str(ROOT / "main.py"), *options(data, ckpt, *arguments)],
                            stderr=subprocess.PIPE, text=True)


def main(data: Path, ckpt: Path, *arguments: str, code: int = 0) -> str:
    """Do what main.py does, in this process, since torch takes seconds to load; returns stderr."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        found = run_command("hrpro.training.command", "main.py", "", options(data, ckpt, *arguments))
    assert found == code, told.getvalue()
    return told.getvalue()


def wait_for(condition, running: subprocess.Popen) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(.002)


def four_steps(data: Path, ckpt: Path, *arguments: str) -> Run:
    for stage in "12":
        for mode in ("train", "test"):
            main(data, ckpt, "--stage", stage, "--mode", mode, *arguments)
    return run_of(ckpt)


def run_of(ckpt: Path) -> Run:
    return Run(ckpt / "small" / "HR-Pro")


@pytest.fixture(scope="module")
def data(tmp_path_factory, make_dataset):
    return make_dataset(tmp_path_factory.mktemp("data") / "small", dataset="small")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return four_steps(data, tmp_path_factory.mktemp("ckpt"))


def weights(run: Run, stage: int) -> dict[str, torch.Tensor]:
    return torch.load(run.stage(stage).checkpoint("last"), weights_only=True)["model"]


def assert_same_weights(one: Run, other: Run, stage: int) -> None:
    ours, theirs = weights(one, stage), weights(other, stage)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert torch.equal(weight, theirs[name]), name


def test_four_steps_write_every_file_and_learn(trained):
    for number in (1, 2):
        stage = trained.stage(number)
        metrics = json.loads(stage.metrics_file.read_text())
        assert set(metrics) == {"last", "best"}
        assert metrics["last"]["mAP"]["0.5"] > .5
        assert metrics["best"]["average"]["0.1:0.7"] >= metrics["last"]["average"]["0.1:0.7"]
        for name in ("last", "best"):
            torch.load(stage.checkpoint(name), weights_only=True)
        assert list((stage.root / "logs").glob("events.out.tfevents*"))
        events, _ = trained.events(number)
        assert [event["event"] for event in events if event["event"] in ("start", "finish")][:2] == ["start", "finish"]
        assert len(Segments.from_activitynet(stage.final_result)) > 0
    last = torch.load(trained.stage(1).checkpoint("last"), weights_only=True)
    assert {"optimizer", "generators", "step"} <= last.keys()


def test_stage_1_ranks_proposals_by_reliability(trained):
    ranked = json.loads(trained.stage(1).proposals_file.read_text())
    assert set(ranked) == {"train", "test"}
    for video, entry in ranked["train"].items():
        assert len(entry["NP"]) == sum(map(len, entry["PP"].values())) // 2, video
        for label, reliable in entry["RP"].items():
            assert all(row in entry["PP"][label] for row in reliable if row)
    assert all(set(entry) == {"PP"} for entry in ranked["test"].values())
    raw = Segments.from_activitynet(trained.stage(1).snippet_result("test"))
    assert len(raw) == sum(len(rows) for entry in ranked["test"].values() for rows in entry["PP"].values())


def test_scores_can_be_read_per_video(trained):
    for split, video in (("train", "train_0"), ("test", "test_1")):
        scores, similarity = trained.snippet_scores(split, video), trained.similarity(split, video)
        assert scores.shape == (62, 4)
        assert similarity.shape == (62, 3)
        assert 0 <= scores.min() <= scores.max() <= 1
        assert np.abs(similarity).max() <= 1 + 1e-5
    assert trained.snippet_scores("train", "no such video") is None


def test_same_seed_reproduces_a_run_bit_for_bit(trained, data, tmp_path):
    again = four_steps(data, tmp_path)
    for stage in (1, 2):
        assert_same_weights(trained, again, stage)
        assert trained.stage(stage).final_result.read_bytes() == again.stage(stage).final_result.read_bytes()


def test_different_seed_gives_a_different_run(trained, data, tmp_path):
    main(data, tmp_path, "--stage", "1", "--mode", "train", "--seed", "7", "--set", "num_iters=10")
    ours, theirs = weights(trained, 1), weights(run_of(tmp_path), 1)
    assert not torch.equal(ours["classifier.1.weight"], theirs["classifier.1.weight"])


@pytest.mark.parametrize("stage", [1, 2])
def test_resuming_after_kill_9_ends_with_the_same_weights(trained, data, tmp_path, stage):
    if stage == 2:
        for mode in ("train", "test"):
            main(data, tmp_path, "--stage", "1", "--mode", mode)
    run = run_of(tmp_path)
    arguments = ("--stage", str(stage), "--mode", "train")
    running = process(data, tmp_path, *arguments)
    wait_for(run.stage(stage).checkpoint("last").exists, running)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    main(data, tmp_path, *arguments, "--resume")
    assert_same_weights(trained, run, stage)
    events, _ = run.events(stage)
    assert [event["resumed_from"] for event in events if event["event"] == "start"][-1] in range(1, 41)


def test_sigterm_saves_a_checkpoint_and_stops(trained, data, tmp_path):
    running = process(data, tmp_path, "--stage", "1")
    run = run_of(tmp_path)
    wait_for(lambda: any(event["event"] == "step" for event in run.events(1)[0]), running)
    running.terminate()
    _, told = running.communicate(timeout=100)
    assert running.returncode == 130, told
    assert "Traceback" not in told
    assert run.events(1)[0][-1]["event"] == "cancelled"
    main(data, tmp_path, "--stage", "1", "--resume")
    assert_same_weights(trained, run, 1)


@pytest.mark.parametrize("room", ["for texts", "for nothing"])
def test_full_disk_ends_training_with_a_clear_error_and_no_partial_file(trained, data, tmp_path, room):
    run, arguments = run_of(tmp_path), ("--stage", "1", "--mode", "train")
    full = process(data, tmp_path, *arguments)
    log = run.stage(1).events_file
    wait_for(lambda: log.exists() and log.stat().st_size, full)
    size = 5_000 if room == "for texts" else log.stat().st_size + 10
    psutil.Process(full.pid).rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    _, told = full.communicate(timeout=100)
    assert full.returncode == 2, told
    assert re.search(r"error: \S+: could not be written \(File too large\).*Free some space", told), told
    assert (f"{log}: could" in told) == (room == "for nothing") and "Traceback" not in told
    assert not list(run.root.rglob("*.pt")) and log.read_bytes().endswith(b"\n")
    main(data, tmp_path, *arguments)
    assert_same_weights(trained, run, 1)


@pytest.mark.parametrize("room", [8, 40, 600, 900])
def test_disk_with_too_little_space_gives_a_one_line_error(data, tmp_path, room):
    """room: KiB; enough for nothing, for the first files, or for all but the last bytes of a checkpoint."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size={room}k tmpfs {disk}"
    if shutil.which("unshare") is None or subprocess.run([*inside, mount]).returncode:
        pytest.skip("no disk of its own can be had here")
    command = shlex.join([sys.executable, str(ROOT / "main.py"), *options(data, disk, "--stage", "1")])
    done = subprocess.run([*inside, f"{mount} && {command}; code=$?; find {disk} -name '.*.*'; exit $code"], text=True,
                          capture_output=True, timeout=100)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert re.fullmatch(r"error: .*No space left on device.*Free some space.*", done.stderr.splitlines()[-1])
    assert done.stdout == ""


def test_signal_during_a_test_step_skips_no_test(data, tmp_path):
    arguments = ("--stage", "1", "--set", "test_iter=1")
    main(data, tmp_path / "whole", *arguments)
    whole, broken = run_of(tmp_path / "whole"), run_of(tmp_path / "broken")
    for steps in (5, 20):
        running = process(data, tmp_path / "broken", *arguments, "--resume")
        wait_for(lambda steps=steps: steps in {event["step"] for event in broken.events(1)[0]
                                               if event["event"] == "test"}, running)
        running.terminate()
        assert running.wait(100) == 130
    main(data, tmp_path / "broken", *arguments, "--resume")
    assert json.loads(whole.stage(1).metrics_file.read_text()) == json.loads(broken.stage(1).metrics_file.read_text())
    tested = {event["step"] for event in broken.events(1)[0] if event["event"] == "test"}
    assert tested == set(range(1, 41))


def test_run_killed_before_its_first_checkpoint_resumes(trained, data, tmp_path):
    running, run = process(data, tmp_path, "--stage", "1"), run_of(tmp_path)
    wait_for(lambda: run.events(1)[0], running)
    running.kill()
    running.wait()
    assert not run.stage(1).checkpoint("last").exists()
    main(data, tmp_path, "--stage", "1", "--resume")
    assert_same_weights(trained, run, 1)


def test_retraining_stage_1_deletes_stage_2(trained, data, tmp_path):
    run = run_of(tmp_path)
    shutil.copytree(trained.root, run.root)
    assert run.events(2)[0]
    main(data, tmp_path, "--stage", "1", "--set", "num_iters=1")
    assert not [path for path in run.stage(2).root.rglob("*") if path.is_file()]


@pytest.mark.parametrize("stage", [1, 2])
def test_files_that_are_no_run_are_not_deleted(data, tmp_path, stage):
    """Settings can name any folder as the run's."""
    mine = run_of(tmp_path).stage(stage).root / "models" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    said = main(data, tmp_path, "--stage", "1", "--mode", "train", code=2)
    assert f"stage{stage}: holds files but no config.json" in said and mine.read_text() == "mine"


def test_all_invalid_settings_are_reported_together_and_nothing_is_written(data, tmp_path):
    told = main(data, tmp_path, "--set", "feature_dmi=32", "lr=fast", "batch_size=0", "device=tpu", code=2)
    for part in ("'feature_dim'", "lr", "batch_size", "tpu"):
        assert part in told
    assert not list(tmp_path.iterdir())


def test_diverging_learning_rate_is_reported(data, tmp_path):
    assert "Lower the learning rate" in main(data, tmp_path, "--set", "lr=1e9", code=2)


def test_stages_out_of_order_report_the_missing_step(data, tmp_path):
    assert "--mode train first" in main(data, tmp_path, "--stage", "1", "--mode", "test", code=2)
    assert "--mode train first" in main(data, tmp_path, "--stage", "2", "--mode", "train", code=2)
    main(data, tmp_path, "--stage", "1", "--mode", "train", "--set", "num_iters=1")
    assert "--mode test first" in main(data, tmp_path, "--stage", "2", "--mode", "train", code=2)


def test_checkpoint_with_a_different_shape_is_refused(data, trained, tmp_path):
    ckpt = trained.root.parents[1]
    told = main(data, ckpt, "--mode", "test", "--set", "rab_layers=1", code=2)
    assert "last.pt" in told and "rab_layers 2 in the checkpoint, 1 in the settings" in told
    told = main(data, ckpt, "--mode", "test", "--set", "reference_quirks=true", code=2)
    assert "reference_quirks False in the checkpoint" in told
    broken = tmp_path / "small" / "HR-Pro" / "stage1"
    (broken / "models").mkdir(parents=True)
    (broken / "points.csv").write_bytes(trained.stage(1).points_file.read_bytes())
    (broken / "models" / "last.pt").write_bytes(trained.stage(1).checkpoint("last").read_bytes()[:1000])
    assert "cannot be read: " in main(data, tmp_path, "--mode", "test", code=2)


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda state: state["model"].popitem(), "Error(s) in loading state_dict"),
    (lambda state: state.pop("optimizer"), "optimizer is missing"),
    (lambda state: state.update(step="x"), "step must be a whole number"),
    (lambda state: state.update(step=10**30), "step must be a whole number"),
    (lambda state: state.update(at=None), "at must be a number"),
    (lambda state: state.update(best="high"), "best must be a number"),
    (lambda state: state.update(untested=1), "untested must be true or false"),
    (lambda state: state.update(shape=3), "shape must be an object"),
    (lambda state: state["shape"].update(feature_dim=torch.ones(2)), "shape.feature_dim must be"),
    (lambda state: state.update(generators={"torch": torch.ones(3)}), "RNG state must be"),
    (lambda state: state["optimizer"]["state"][0].pop("exp_avg"), "optimizer.state.0.exp_avg is missing"),
    (lambda state: state["optimizer"]["state"][0]["exp_avg_sq"].fill_(-1), "the optimiser's state"),
    (lambda state: state["optimizer"]["state"][0].update(step="x"), "optimizer.state.0.step must be"),
    (lambda state: next(iter(state["training"].values())).fill_(float("inf")), "is not finite"),
    (lambda state: state["model"].update({key: value.half() for key, value in state["model"].items()}),
     "torch.float16"),
    (lambda state: state["model"].update({key: torch.zeros(1).expand(10**10) for key in [*state["model"]][:1]}),
     "is larger than the file"),
    (lambda state: next(iter(state["model"].values())).fill_(float("nan")), "is not finite")])
def test_invalid_part_of_a_checkpoint_is_named(data, trained, tmp_path, spoil, sentence):
    run = run_of(tmp_path)
    shutil.copytree(trained.root, run.root)
    last = run.stage(1).checkpoint("last")
    state = torch.load(last, weights_only=True)
    spoil(state)
    torch.save(state, last)
    before = last.read_bytes()
    said = main(data, tmp_path, "--stage", "1", "--resume", "--set", "num_iters=41", code=2)
    assert "last.pt: is not a valid checkpoint of this stage (" in said and sentence in said
    assert last.read_bytes() == before


@pytest.mark.parametrize("stage", ["1", "2"])
@pytest.mark.parametrize("at", [None, "now", -1, float("nan"), torch.ones(2), 10**30])
def test_checkpoint_with_an_invalid_step_is_refused_before_testing(data, trained, tmp_path, stage, at):
    run = run_of(tmp_path)
    shutil.copytree(trained.root, run.root)
    last = run.stage(int(stage)).checkpoint("last")
    torch.save(torch.load(last, weights_only=True) | {"at": at}, last)
    kept = {path: path.read_bytes() for path in run.root.rglob("*.json")}
    for mode in ("test", "infer"):
        assert "(at must be a number" in main(data, tmp_path, "--stage", stage, "--mode", mode, code=2)
    assert {path: path.read_bytes() for path in run.root.rglob("*.json")} == kept


@pytest.mark.parametrize("content", [None, b'{"train": {', b"[]", b'{"train": {}, "test": {}}'])
def test_stage_2_keeps_its_files_if_proposals_are_invalid(data, trained, tmp_path, content):
    run = run_of(tmp_path)
    shutil.copytree(trained.root, run.root)
    if content is None:
        run.stage(1).proposals_file.unlink()
    else:
        run.stage(1).proposals_file.write_bytes(content)
    kept = {path: path.read_bytes() for path in run.stage(2).root.rglob("*") if path.is_file()}
    assert "proposals.json: " in main(data, tmp_path, "--stage", "2", "--mode", "train", code=2)
    assert {path: path.read_bytes() for path in run.stage(2).root.rglob("*") if path.is_file()} == kept


def test_resuming_without_last_checkpoint_is_refused_and_deletes_nothing(data, trained, tmp_path):
    run = run_of(tmp_path)
    shutil.copytree(trained.root, run.root)
    run.stage(1).checkpoint("last").unlink()
    assert "last.pt: no such checkpoint" in main(data, tmp_path, "--stage", "1", "--resume", code=2)
    assert run.stage(1).checkpoint("best").exists() and run.stage(2).checkpoint("last").exists()
    shutil.rmtree(run.stage(2).root)
    assert run_command("hrpro.jobs.train", "train", "", options(data, tmp_path, "--resume")) == 2
    assert run.stage(1).checkpoint("best").exists()


def test_resuming_with_different_settings_is_refused(data, trained):
    told = main(data, trained.root.parents[1], "--resume", "--set", "lr=0.5", code=2)
    assert "lr was 0.001, now 0.5" in told


def test_labels_are_frozen_when_training_starts(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small", num_iters=2, test_iter=2)
    ckpt = tmp_path / "ckpt"
    main(data, ckpt, "--mode", "train")
    points = data / "point_labels" / "point_gaussian.csv"
    frozen = points.read_bytes()
    points.write_text("class,start_frame,stop_frame,video_id,point\n")
    main(data, ckpt, "--mode", "test")
    assert run_of(ckpt).stage(1).points_file.read_bytes() == frozen


def test_class_added_during_a_run_does_not_change_the_run(trained, make_dataset, tmp_path):
    data, ckpt = make_dataset(tmp_path / "small", dataset="small"), tmp_path / "ckpt"
    main(data, ckpt, "--stage", "1", "--mode", "train")
    (data / "classes.txt").write_text("dive\njump\nrun\nwave\n")
    for stage, mode in (("1", "test"), ("2", "train"), ("2", "test")):
        main(data, ckpt, "--stage", stage, "--mode", mode)
    assert_same_weights(trained, run_of(ckpt), 2)


def test_text_file_of_an_annotator_is_frozen(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small", num_iters=2, test_iter=2, max_epochs=1,
                        points="human/annotator_1.txt")
    rows = list(csv.DictReader((data / "point_labels" / "point_gaussian.csv").read_text().splitlines()))
    text = data / "point_labels" / "human" / "annotator_1.txt"
    text.parent.mkdir()
    text.write_text("".join(f"{row['video_id']},{int(row['point']) / 30 + .01},{row['class']}\n" for row in rows))
    run = four_steps(data, tmp_path / "ckpt")
    assert run.stage(1).points_file.read_bytes() == text.read_bytes()
    assert run.stage(2).final_result.exists()


def test_training_treats_accepted_segments_as_certain_and_is_unchanged_without_them(trained, make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small")
    store = LabelStore(data)

    def change(name: str, kind: str, before: dict, after: dict) -> None:
        store.apply([{"id": name, "video": "train_0", "kind": kind, "before": before, "after": after}], "Ann")

    change("mark", "mark", {}, {"train_0": {"done": True}})
    main(data, tmp_path / "plain", "--stage", "1", "--mode", "train")
    assert_same_weights(trained, run_of(tmp_path / "plain"), 1)
    accepted = {f"s-{point['id']}": {"video": "train_0", "label": point["label"], "start": point["time"] - 3.2,
                                     "end": point["time"] + 4.8, "point": point["id"], "model": "first"}
                for point in store.points("train_0")[:2]}
    change("accept", "accept", {}, accepted)
    ckpt = tmp_path / "ckpt"
    assert "2 points have an accepted segment" in main(data, ckpt, "--stage", "1", "--mode", "train")
    run, frozen = run_of(ckpt), run_of(ckpt).stage(1).points_file.read_bytes()
    assert any(not torch.equal(weight, weights(trained, 1)[name]) for name, weight in weights(run, 1).items())
    change("gone", "delete", accepted, {})              # a later deletion does not change this run
    store.project()
    for stage, mode in (("1", "test"), ("2", "train"), ("2", "test")):
        main(data, ckpt, "--stage", stage, "--mode", mode)
    assert run.stage(1).points_file.read_bytes() == frozen
    ranked = json.loads(run.stage(1).proposals_file.read_text())["train"]["train_0"]
    reliable = [row for rows in ranked["RP"].values() for row in rows if row]
    for begin, end in ((segment["start"], segment["end"]) for segment in accepted.values()):
        assert any(row == pytest.approx([begin, end, 1], abs=.002) for row in reliable), reliable
        first, stop = math.ceil(begin * 25 / 16 - .5), math.ceil(end * 25 / 16 - .5)
        assert all(row[1] <= first or row[0] >= stop for row in ranked["NP"]), "background is never in a segment"
    assert run.stage(2).final_result.exists()


def test_labels_that_change_while_training_starts_are_used(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small")
    points = data / "point_labels" / "point_gaussian.csv"
    fewer = "".join(points.read_text().splitlines(keepends=True)[:-4])
    config = load_config(data / "config.yaml", data_path=str(data), ckpt_path=str(tmp_path / "ckpt"))
    with open_session(config, 1, "train", prepare=lambda _: points.write_text(fewer)) as session:
        frozen, _, _ = Points.read(session.folder.points_file, session.dataset.classes, session.dataset.fps)
        assert len(frozen) == len(session.dataset.points) == len(fewer.splitlines()) - 1


def test_event_cut_off_by_a_crash_does_not_swallow_the_next(trained, tmp_path):
    folder = StageFolder(tmp_path / "stage1")
    folder.events_file.parent.mkdir(parents=True)
    folder.events_file.write_bytes(trained.stage(1).events_file.read_bytes() + b'{"time": 1, "ev')
    with EventLog(folder, resume=True) as events:
        events.emit("start", stage=1, mode="train", dataset="small", n_train=1, n_test=1, device="cpu", total=9,
                    unit="step")
    with EventLog(folder, resume=True) as events:
        events.emit("note", message="")
    assert [event["event"] for event in Run(tmp_path).events(1)[0]][-2:] == ["start", "note"]


@pytest.mark.parametrize("settings", [("reference_quirks=true",), ("num_segments=20",), ("rab_layers=0",),
                                      ("checkpoint=best", "lambdas=[1, .5, 1, 1]", "gamma=.2")])
def test_all_steps_run_with_other_settings(make_dataset, tmp_path, settings):
    data = make_dataset(tmp_path / "small", dataset="small", num_iters=20, test_iter=10, max_epochs=2)
    run = four_steps(data, tmp_path / "ckpt", "--set", *settings)
    assert run.stage(2).final_result.exists()


def test_data_set_without_ground_truth_can_be_trained_and_tested(make_dataset, tmp_path):
    data = make_dataset(tmp_path / "small", dataset="small", num_iters=20, test_iter=10, max_epochs=1)
    document = json.loads((data / "gt_full.json").read_text())
    for info in document["database"].values():
        info["annotations"] = []
    (data / "gt_full.json").write_text(json.dumps(document))
    (data / "classes.txt").write_text("jump\nrun\nwave\n")
    run = four_steps(data, tmp_path / "ckpt")
    assert len(Segments.from_activitynet(run.stage(2).final_result)) > 0
    assert "mAP" not in json.loads(run.stage(2).metrics_file.read_text())["last"]
