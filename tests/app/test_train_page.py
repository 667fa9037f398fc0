"""The Train page, run with Streamlit's AppTest on real folders."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from driving import open_page

from app.paths import ROOT
from app.runs import job_of
from app.text import plain
from hrpro.config import Config
from hrpro.data.run import Run
from hrpro.errors import InputError
from hrpro.files import write_json
from hrpro.jobs.background import jobs, start, status
from hrpro.jobs.train import resume_training, start_training
from hrpro.training.events import EventLog


@pytest.fixture
def tiny(folders, make_dataset):
    return make_dataset(folders[0] / "tiny")


def start_button(test):
    return next(button for button in test.button if button.label == "Start training")


def beside(test):
    """The checkbox that allows another run at the same time."""
    return next(box for box in test.checkbox if box.label == "Train another run at the same time")


def setting(test, name):
    """The field with this label or for this setting."""
    return next(field for field in (*test.text_input, *test.number_input, *test.selectbox)
                if field.label == name or (field.key or "").startswith(f"setting tiny {name} "))


def faults(test):
    """The text in red."""
    return [each.value[5:-1].replace("\\", "") for each in test.markdown if each.value.startswith(":red[")]


def warnings(test):
    return "\n".join(warning.value for warning in test.warning)


def finished_run(root, stages=(1,), **metrics):
    """A run folder as a finished training leaves it, with everything that the page reads."""
    run = Run(root)
    for stage in stages:
        write_json(run.stage(stage).config_file, Config(dataset="tiny").to_dict())
        write_json(run.stage(stage).metrics_file, metrics)
        with EventLog(run.stage(stage), resume=False) as log:
            log.emit("start", stage=stage, mode="train", device="cpu", total=50, unit="step", seed=0, dataset="tiny",
                     n_train=6, n_test=3, left_out=[], resumed_from=None)
            log.step(50, 50, {"total": .5}, 8., 0.)
            log.emit("note", message="left out: train_1.npy: is cut off")
            log.emit("finish", seconds=65., last=None, best=None)
    return run


@pytest.mark.parametrize("tested", [True, False])
@pytest.mark.parametrize("annotated", [True, False])
def test_hint_replaces_the_map_chart_without_ground_truth(folders, tiny, annotated, tested):
    (tiny / "classes.txt").write_text("jump\nrun\nwave\n")
    if not annotated:
        document = json.loads((tiny / "gt_full.json").read_text())
        for info in document["database"].values():
            info["annotations"] = []
        (tiny / "gt_full.json").write_text(json.dumps(document))
    run = finished_run(folders[1] / "tiny" / "first")
    if tested:
        report = {"mAP": {"0.5": .5}, "average": {}} if annotated else None
        with EventLog(run.stage(1), resume=True) as log:
            log.test(50, report, None, annotated)
    test = open_page("train")
    titles = [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in test.get("plotly_chart")]
    assert [title.partition(" · ")[2] for title in titles] == ["Loss by step", *(["mAP on test by step"] if annotated
                                                                                 else [])]
    assert any("no video of the test split has an annotated action. Add" in info.value for info in test.info) \
        == (not annotated)


def test_page_without_data_sets_explains_what_to_do(folders):
    test = open_page("train")
    assert "no data set yet" in test.info[0].value and not test.button


def test_command_matches_the_form(folders, tiny):
    test = open_page("train")
    assert not start_button(test).disabled
    assert test.code[0].value == f"python -m hrpro train --cfg {tiny}/config.yaml --ckpt_path {folders[1]}"
    setting(test, "lr").set_value("3e-4")
    setting(test, "num_iters").set_value(77)
    setting(test, "act_thresh_cas").set_value("[.1, .2]")
    setting(test, "reference_quirks").set_value(True)
    setting(test, "seed").set_value(5)
    test.run()
    assert test.code[0].value == (
        f"python -m hrpro train --cfg {tiny}/config.yaml --seed 5 --ckpt_path {folders[1]} "
        "--set reference_quirks=true num_iters=77 lr=0.0003 'act_thresh_cas=[0.1,0.2]'")
    assert not start_button(test).disabled
    assert "Changed here: reference_quirks, act_thresh_cas." in [caption.value for caption in test.caption]


def test_every_error_is_shown_at_its_field(folders, tiny):
    test = open_page("train")
    setting(test, "lr").set_value("fast")
    setting(test, "roi_size").set_value(7)
    setting(test, "tiou_thresholds").set_value("[.1, 2]")
    setting(test, "feature_dim").set_value(33)
    test.run()
    assert faults(test) == [                            # in the order of the fields
        "lr is 'fast', but must be a number.", "tiou_thresholds is '[0.1, 2]', but must be a list, each 1 or less.",
        "feature_dim 33 is not a multiple of rab_heads 8. Change one.", "roi_size 7 is not a multiple of 6. Use 12."]
    assert start_button(test).disabled and "lr, tiou_thresholds, feature_dim, roi_size." in warnings(test)


def test_displayed_values_are_the_ones_that_are_checked(folders, tiny):
    test = open_page("train")
    setting(test, "num_iters").set_value(-5)
    setting(test, "lr").set_value("")
    setting(test, "seed").set_value(2**40)
    test.run()
    assert faults(test) == ["num_iters is '-5', but must be 1 or more.", "lr is '', but must be a number.",
                            "seed is '1099511627776', but must be below 2^31 in size."]
    assert start_button(test).disabled


def test_hostile_run_name_is_refused(folders, tiny):
    test = open_page("train")
    for name in ("../../elsewhere", "", "..", "a/b"):
        setting(test, "Run name").set_value(name)
        test.run()
        assert start_button(test).disabled and "cannot name a folder" in faults(test)[0]


def test_data_errors_disable_start(folders, tiny):
    (tiny / "split_test.txt").unlink()
    test = open_page("train")
    assert start_button(test).disabled
    assert plain("split_test.txt: no such file.") in warnings(test)


def test_invalid_settings_file_is_reported(folders, tiny):
    (tiny / "config.yaml").write_text("num_itres: 5\nlr: fast\n")
    test = open_page("train")
    said = test.error[0].value.replace("\\", "")
    assert "unknown setting 'num_itres'. Did you mean 'num_iters'?" in said and "'lr'" in said


def test_name_of_a_trained_run_needs_confirmation(folders, tiny):
    finished_run(folders[1] / "tiny" / "HR-Pro")
    test = open_page("train")
    name = setting(test, "Run name")
    assert name.value == "HR-Pro-2" and not start_button(test).disabled
    name.set_value("HR-Pro")
    test.run()
    assert start_button(test).disabled and "has been trained" in warnings(test)
    test.checkbox[0].check()
    test.run()
    assert not start_button(test).disabled


def test_stage_two_alone_continues_a_run_with_proposals(folders, tiny):
    test = open_page("train")
    test.segmented_control[0].set_value("Stage 2")
    test.run()
    assert start_button(test).disabled and "Train stage 1 first" in warnings(test)
    run = finished_run(folders[1] / "tiny" / "first")
    write_json(run.stage(1).proposals_file, {})
    test.run()
    assert not start_button(test).disabled
    assert "--stages 2" in test.code[0].value and "task_info=first" in test.code[0].value


def control(test, label):
    return next(each for each in test.segmented_control if each.label == label)


def test_run_to_continue_stays_when_another_run_appears(folders, tiny):
    for age, name in enumerate(("first", "newer")):
        write_json(finished_run(folders[1] / "tiny" / name).stage(1).proposals_file, {})
        os.utime(folders[1] / "tiny" / name / "stage1", (age, age))
        if name == "first":
            test = open_page("train")
            control(test, "Stages").set_value("Stage 2").run()
        test.run()
        box = setting(test, "Run to continue")
        assert box.value == "first" and "task_info=first" in test.code[0].value
    assert box.options == ["newer", "first"]
    shutil.rmtree(folders[1] / "tiny" / "first")
    test.run()
    assert setting(test, "Run to continue").value == "newer" and "task_info=newer" in test.code[0].value
    shutil.rmtree(folders[1] / "tiny" / "newer")
    test.run()
    box = setting(test, "Run to continue")
    assert (box.value, box.placeholder) == (None, "No run has finished stage 1")
    assert start_button(test).disabled and not test.exception


def test_form_is_kept_during_a_visit_to_another_page(folders, tiny, make_dataset):
    make_dataset(folders[0] / "other")
    for name in ("one", "two"):
        write_json(finished_run(folders[1] / "tiny" / name).stage(1).proposals_file, {})
    test = open_page("train", dataset="tiny")

    def leave_and_return():
        test.switch_page("pages/projects.py").run()
        test.query_params |= {"dataset": "other"}
        test.switch_page("pages/train.py").run()
        assert control(test, "Stages").value == "Both stages" and setting(test, "Run name").value != "mine"
        field = next(box for box in test.selectbox if box.label == "Data set")
        field.set_value("tiny").run()
        assert not test.exception

    setting(test, "Run name").set_value("mine")
    control(test, "Device").set_value("cpu").run()
    leave_and_return()
    assert setting(test, "Run name").value == "mine" and control(test, "Device").value == "cpu"
    control(test, "Stages").set_value("Stage 2").run()
    last = setting(test, "Run to continue").options[-1]
    setting(test, "Run to continue").set_value(last).run()
    leave_and_return()
    assert control(test, "Stages").value == "Stage 2" and setting(test, "Run to continue").value == last
    control(test, "Stages").set_value("Stage 1").run()
    assert setting(test, "Run name").value == "mine"


def test_form_follows_later_changes_of_the_settings_file(folders, tiny):
    test = open_page("train")
    setting(test, "seed").set_value(5).run()
    config = tiny / "config.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {
        "num_iters": 77, "lr": .003, "device": "cpu", "reference_quirks": True, "act_thresh_cas": [.1, .2]}))
    test.run()
    assert setting(test, "num_iters").value == 77 and setting(test, "lr").value == "0.003"
    assert setting(test, "act_thresh_cas").value == "[0.1, 0.2]" and setting(test, "reference_quirks").value is True
    assert control(test, "Device").value == "cpu" and setting(test, "seed").value == 5
    assert "--set" not in test.code[0].value and "--seed 5" in test.code[0].value


def test_finished_run_shows_both_checkpoints_by_name(folders, tiny):
    def report(step, value):
        return {"step": step, "mAP": {"0.1": value}, "average": {"0.1:0.7": value}}

    finished_run(folders[1] / "tiny" / "HR-Pro", (1, 2), last=report(50, .25), best=report(40, .5))
    test = open_page("train")
    table = test.table[0].value
    assert table["Checkpoint"].tolist() == ["Last", "Best on test"] * 2
    assert table[plain("AVG 0.1:0.7")].tolist() == ["25.0%", "50.0%"] * 2
    assert table["At"].tolist() == ["step 50", "step 40", "epoch 50", "epoch 40"]
    assert [bar.proto.text for bar in test.get("progress")] == [
        f"**Stage {stage}** · step 50 of 50 · trained in 0 s" for stage in (1, 2)]
    assert ":material/check_circle: Finished" in "".join(each.value for each in test.markdown)
    assert "train\\_1\\.npy" in "".join(each.value for each in test.markdown)


def test_files_broken_by_a_crash_are_reported_or_skipped(folders, tiny):
    run = finished_run(folders[1] / "tiny" / "HR-Pro")
    run.stage(1).metrics_file.write_text('{"last": {"st')
    with open(run.stage(1).events_file, "ab") as file:
        file.write(b'[]\n{"time": 1}\n{"event": "no\n')
    (folders[1] / "jobs").mkdir()
    (folders[1] / "jobs" / "broken.json").write_text('{"id": "br')
    (folders[1] / "jobs" / "empty.json").write_text("{}")
    test = open_page("train")
    said = warnings(test).replace("\\", "")
    assert "metrics.json: line 1 is not JSON" in said and "Test stage 1 again." in said
    assert ":material/check_circle: Finished" in "".join(each.value for each in test.markdown)
    assert "Projects" in [title.value for title in open_page().title]
    run.stage(1).metrics_file.write_text("[]")
    said = warnings(open_page("train")).replace("\\", "")
    assert "metrics.json: it must be an object, not '[]'. Test stage 1 again." in said


def test_url_selects_the_run_and_follows_the_choice(folders, tiny, make_dataset):
    make_dataset(folders[0] / "other")
    for name in ("one", "two"):
        finished_run(folders[1] / "tiny" / name)
    test = open_page("train", dataset="tiny", run="one")
    assert [box.value for box in test.selectbox[:1]] == ["tiny"] and setting(test, "Run").value == "one"
    setting(test, "Run").set_value("two")
    test.run()
    assert (test.query_params["dataset"], test.query_params["run"]) == ("tiny", "two")
    assert open_page("train", dataset="nowhere", run="nothing").selectbox[0].value == "other"


def test_start_runs_a_job_and_shows_it(folders, tiny):
    test = open_page("train")
    start_button(test).click()
    test.run()
    assert not test.exception
    job, = jobs(folders[1])
    assert job.command[:3] == [sys.executable, "-m", "hrpro"] and job.target == str(folders[1] / "tiny" / "HR-Pro")
    assert status(job).running and setting(test, "Run").value == "HR-Pro"
    assert "Running" in "".join(each.value for each in test.markdown)
    assert setting(test, "Run name").value == "HR-Pro-2" and start_button(test).disabled
    assert "Started **HR\\-Pro**. [See its progress](#run)" in [each.value for each in test.success]
    beside(test).check()
    test.run()
    assert not start_button(test).disabled
    setting(test, "Run name").set_value("HR-Pro")
    test.run()
    assert start_button(test).disabled and "in progress" in warnings(test)
    next(button for button in test.button if button.label == "Cancel").click()
    test.run()
    assert (folders[1] / "jobs" / f"{job.id}.cancel").exists()


def test_next_free_name_is_offered_after_a_start(folders, tiny):
    test = open_page("train")
    for name, following in (("fast", "fast-2"), ("fast-2", "fast-3"), ("lr-5", "lr-5-2")):
        setting(test, "Run name").set_value(name)
        test.run()
        start_button(test).click()
        test.run()
        assert setting(test, "Run name").value == following and start_button(test).disabled
        beside(test).check()
        test.run()
        assert not start_button(test).disabled


def test_double_click_or_second_tab_starts_only_one_run(folders, tiny):
    test, other = open_page("train"), open_page("train")                # the same form in two tabs
    clicked = start_button(test)
    clicked.click()
    test.run()
    clicked.click()                                     # the second click of a double click: that button is gone
    test.run()
    start_button(other).click()
    other.run()
    assert not test.exception and not other.exception and len(jobs(folders[1])) == 1
    assert "Running: **HR\\-Pro**." in [each.value for each in other.info] and start_button(other).disabled
    beside(other).check()
    other.run()
    start_button(other).click()
    other.run()
    assert sorted(job.target.rpartition("/")[2] for job in jobs(folders[1])) == ["HR-Pro", "HR-Pro-2"]


def test_message_of_a_failed_job_is_shown_literally(folders, tiny):
    job = start(folders[1], [sys.executable, "-c", "import sys; sys.exit('*[a](b) <i>$x$: is wrong.')"], "train tiny/x",
                folders[1] / "tiny" / "x")
    while status(job).running:
        pass
    test = open_page("train")
    assert test.error[0].value == plain("*[a](b) <i>$x$: is wrong.")
    assert "Resume" in [button.label for button in test.button]


def test_foreign_command_in_a_job_record_is_shown_and_not_resumed(folders, tiny, tmp_path):
    target = folders[1] / "tiny" / "x"
    job = start(folders[1], ["/bin/sh", "-c", "exit 1", "train", "--cfg", "thumos"], "train tiny/x", target)
    while status(job).running:
        pass
    record, pwned = job.folder / f"{job.id}.json", tmp_path / "pwned"
    command = ["/bin/sh", "-c", f"touch {pwned}", "train", "--cfg", "thumos"]
    write_json(record, json.loads(record.read_bytes()) | {"command": command})
    test = open_page("train", dataset="tiny", run="x")
    assert shlex.join(command) in [code.value for code in test.code]
    next(button for button in test.button if button.label == "Resume").click()
    test.run()
    assert any(f"{record.name}: " in error.value.replace("\\", "") and "cannot be resumed" in error.value
               for error in test.error)
    assert len(jobs(folders[1])) == 1 and not pwned.exists()


def test_clock_set_back_hides_no_job_and_shows_no_dead_run_as_running(folders, tiny):
    target = folders[1] / "tiny" / "x"
    first = start(folders[1], [sys.executable, "-c", ""], "train tiny/x", target)
    while status(first).running:
        pass
    record = first.folder / f"{first.id}.json"
    write_json(record, json.loads(record.read_bytes()) | {"started": first.started + 86_400})
    second = start(folders[1], [sys.executable, "-c", "import time; time.sleep(60)"], "train tiny/x", target)
    assert job_of(target) == second
    run = finished_run(folders[1] / "tiny" / "terminal")
    line = {"time": time.time() + 86_400, "event": "step", "step": 1, "loss": {"total": 1}, "rate": 1, "eta": 1}
    start_event = run.events(1)[0][0]
    run.stage(1).events_file.write_text(f"{json.dumps(start_event)}\n{json.dumps(line)}\n")
    test = open_page("train", dataset="tiny", run="terminal")
    assert "Resume" in [button.label for button in test.button]


@pytest.fixture
def terminal_run(folders, make_dataset):
    """A training started outside the app, in its first steps: its run, process and command."""
    root = make_dataset(folders[0] / "tiny", num_iters=400, test_iter=200, max_epochs=1, num_threads=1)
    run = Run(folders[1] / "tiny" / "HR-Pro")
    command = [sys.executable, "-m", "hrpro", "train", "--cfg", str(root / "config.yaml"), "--ckpt_path",
               str(folders[1])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not any(event["event"] == "step" for event in run.events(1)[0]):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(.05)
    yield run, process, command
    process.kill()
    process.wait()


def shown(test):
    return "".join(each.value for each in test.markdown)


@pytest.mark.slow
def test_silent_training_in_a_terminal_is_running_until_its_process_ends(folders, terminal_run):
    run, process, command = terminal_run
    process.send_signal(signal.SIGSTOP)
    time.sleep(.3)                                      # until it is stopped and leaves its log alone
    events = run.events(1)[0]
    run.stage(1).events_file.write_text("".join(f"{json.dumps(event | {'time': event['time'] - 75})}\n"
                                                for event in events))
    test = open_page("train", dataset="tiny", run="HR-Pro")
    assert ":material/play_circle: Running" in shown(test)
    assert any(caption.value.startswith("No progress for 1 min 1") for caption in test.caption)
    resume = next(button for button in test.button if button.label == "Resume")
    assert resume.disabled and "process that this page did not start" in resume.help
    assert "Cancel" not in [button.label for button in test.button]
    with pytest.raises(InputError, match="another process is working on this run"):
        start_training(command[5], run.config(1), resume=True)

    failed = start(folders[1], [*command, "--resume"], "train tiny/HR-Pro", run.root)
    while status(failed).running:
        time.sleep(.05)
    assert status(failed).state == "failed"
    with pytest.raises(InputError, match="another process is working on this run"):
        resume_training(failed)
    test = open_page("train", dataset="tiny", run="HR-Pro")
    assert ":material/play_circle: Running" in shown(test) and "Failed" not in shown(test) and not test.error
    assert next(button for button in test.button if button.label == "Resume").disabled

    process.send_signal(signal.SIGCONT)
    assert process.wait(120) == 0
    test = open_page("train", dataset="tiny", run="HR-Pro")
    assert ":material/check_circle: Finished" in shown(test) and not test.error


@pytest.mark.slow
def test_training_killed_in_a_terminal_has_stopped_unexpectedly(terminal_run):
    process = terminal_run[1]
    process.kill()
    process.wait()
    test = open_page("train", dataset="tiny", run="HR-Pro")
    assert ":material/heart_broken: Stopped unexpectedly" in shown(test)
    assert not next(button for button in test.button if button.label == "Resume").disabled
    assert any(bar.proto.text.endswith("stopped unexpectedly") for bar in test.get("progress"))


def test_missing_devices_are_disabled_with_the_reason(folders, tiny):
    test = open_page("train")
    code = "import torch; print(torch.cuda.is_available(), torch.backends.mps.is_available())"
    present = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    device = next(control for control in test.segmented_control if control.label == "Device")
    assert device.options == ["auto", "cpu", *(name for name, here in zip(("cuda", "mps"), present, strict=True)
                                               if here == "True")]
    for name in {"cuda", "mps"} - set(device.options):
        assert any(f"{name}: " in caption.value for caption in test.caption)
    assert json.dumps(device.value) == '"auto"'
