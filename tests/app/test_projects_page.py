"""The Projects page, run with Streamlit's AppTest on real folders."""

import argparse
import shlex
import sys
import threading
import time
from pathlib import Path

import numpy as np
from driving import open_page

from app.checks import _pool, checked
from app.text import plain
from hrpro.create import add_arguments
from hrpro.jobs.background import jobs, start, status
from hrpro.labels.operations import LabelStore


def text(test):
    return "\n".join(element.value for element in (*test.markdown, *test.caption, *test.info, *test.error))


def button(test, label):
    return next((button for button in test.button if button.label == label), None)


def test_empty_folder_offers_the_demo_and_a_new_project(folders):
    test = open_page()
    assert "There is no data set yet. Make the demo" in test.info[0].value
    assert button(test, "Make the demo") and test.expander[0].label == "New project from videos"
    assert test.code[0].value == f"python -m hrpro demo --out {folders[0]}/demo"


def test_card_of_a_valid_data_set(folders, make_dataset):
    make_dataset(folders[0] / "tiny")
    test = open_page()
    said = text(test)
    assert "**9 videos**, no video files · **3 classes** · **27 points** · **27 annotated actions**" in said
    assert "Train: 6 videos, 6 with features, 18 points · Test: 3 videos, 3 with features, 9 annotated actions" in said
    assert ":green-badge[Ready]" in said and not button(test, "Extract features")
    assert test.expander[0].label == "Checks: 1 note" and not test.expander[0].proto.expanded


def test_label_exports_show_the_equivalent_commands(folders, make_dataset):
    root = make_dataset(folders[0] / "tiny")
    assert not open_page().get("download_button")
    store = LabelStore(root)
    point = store.points("train_0")[0]
    store.apply([{"id": "a", "video": "train_0", "kind": "accept", "before": {}, "after": {"s": {
        "video": "train_0", "label": point["label"], "start": point["time"] - 1, "end": point["time"] + 1,
        "point": point["id"], "model": "first"}}}], "Ann")
    test = open_page()
    assert [each.proto.label for each in test.get("download_button")] == [
        "Points (CSV)", "Accepted segments (JSON)", "Accepted segments (CSV)"]
    assert f"python -m hrpro labels export-segments {root} -o segments.csv" in [each.value for each in test.code]


def test_cards_are_sorted_ignoring_case_and_link_to_every_page(folders, make_dataset):
    make_dataset(folders[0] / "Zebra", train=1, test=1)
    make_dataset(folders[0] / "apple")
    test = open_page()
    assert [each.value for each in test.subheader[:2]] == ["apple", "Zebra"]
    assert [link.proto.label for link in test.get("page_link")[:4]] == ["Annotate", "Train", "Explore", "Evaluate"]


def test_errors_are_shown_with_their_remedies_as_plain_text(folders, make_dataset):
    root = make_dataset(folders[0] / "*bad*<b>")
    (root / "split_test.txt").unlink()
    np.save(root / "features/train/train_1.npy", np.zeros((0, 32)))
    test = open_page()
    said = text(test)
    assert plain("split_test.txt: no such file. See dataset/README.md") in said
    assert plain("features/train/train_1.npy: holds no snippet") in said
    assert test.subheader[0].value == plain("*bad*<b>")
    assert ":red-badge[Broken]" in said and test.expander[0].proto.expanded


def test_number_of_findings_is_limited(folders, make_dataset):
    human = make_dataset(folders[0] / "tiny") / "point_labels" / "human"
    human.mkdir()
    for number in range(40):
        (human / f"annotator_{number}.txt").write_text("train_1,soon,run\n")
    assert "… and 11 more; the command below prints them all." in text(open_page())


def test_corrected_file_is_noticed(folders, make_dataset):
    root = make_dataset(folders[0] / "tiny")
    good = (root / "gt_full.json").read_bytes()
    (root / "gt_full.json").write_bytes(good[:100])
    test = open_page()
    assert ":red-badge[Broken]" in text(test)
    (root / "gt_full.json").write_bytes(good)
    test.run()
    assert ":green-badge[Ready]" in text(test)


def test_slow_check_does_not_block_the_page(folders, make_dataset, monkeypatch):
    root = make_dataset(folders[0] / "tiny")
    monkeypatch.setattr("app.projects.PATIENCE", .3)
    gate = threading.Event()
    _pool().submit(gate.wait, 60)                       # checks run one after the other
    began = time.monotonic()
    test = open_page()
    assert time.monotonic() - began < 30 and ":gray-badge[Checking]" in text(test)
    gate.set()
    until = time.monotonic() + 30
    while not checked(root):
        assert time.monotonic() < until
    assert ":green-badge[Ready]" in text(test.run())


def test_new_project_offers_feature_extraction(folders, make_dataset):
    root = make_dataset(folders[0] / "fresh")
    (root / "videos").mkdir()
    (root / "videos/train_0.mp4").touch()
    for path in root.glob("features/*/*.npy"):
        path.unlink()
    test = open_page()
    assert ":orange-badge[Next: extract features]" in text(test)
    button(test, "Extract features").click()
    test.run()
    job, = jobs(folders[1])
    assert job.command == [sys.executable, "-m", "hrpro", "extract", str(root)] and job.target == str(root)
    assert not test.exception


def test_job_progress_and_failure_are_shown(folders, make_dataset):
    root = make_dataset(folders[0] / "tiny")
    code = ("import sys, time; from pathlib import Path; print('video 3/4', flush=True)\n"
            f"while not Path({str(folders[1] / 'go')!r}).exists(): time.sleep(.05)\n"
            "sys.exit('a.mp4: is cut off. Copy it again.')")
    job = start(folders[1], [sys.executable, "-c", code], "extract tiny", root)
    while job.log.read_text() == "":
        time.sleep(.05)
    test = open_page()
    bar, = test.get("progress")
    assert bar.proto.value == 75 and bar.proto.text == plain("extract tiny: video 3/4")
    assert ":blue-badge[Running]" in text(test) and button(test, "Cancel")
    (folders[1] / "go").touch()
    while status(job).running:
        time.sleep(.05)
    test.run()
    assert plain("extract tiny: a.mp4: is cut off. Copy it again.") in text(test) and not test.get("progress")


def test_running_training_is_listed(folders, make_dataset):
    make_dataset(folders[0] / "tiny")
    start(folders[1], [sys.executable, "-c", "import time; time.sleep(60)"], "train tiny/first",
          folders[1] / "tiny" / "first")
    assert ":blue-badge[:material/play_circle: Training]" in text(open_page())


def test_command_of_a_new_project_accepts_names_that_begin_with_a_dash(folders):
    test = open_page()
    test.text_input(key="new project name 0").set_value("mine")
    test.text_input(key="new project folder 0").set_value("-videos")
    test.text_area(key="new project classes 0").set_value("run\n-jump\n- x").run()
    words = shlex.split(next(code.value for code in test.code if " create " in code.value))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(words[4:])
    assert (args.name, args.videos, args.classes) == ("mine", Path("-videos"), ["run", "-jump", "- x"])
