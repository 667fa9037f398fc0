"""Model suggestions, classes, people and labelling cost on the desk, used the way a person uses them."""

import json

import numpy as np
import pytest
from browsing import CLASSES, Desk

from hrpro.data.run import Run
from hrpro.files import write_arrays, write_json
from hrpro.labels.operations import LabelStore

pytestmark = pytest.mark.browser
PROPOSALS = {"HighJump": [[1, 2, .9], [5, 6, .8]], "Run up": [[3, 4, .7]], "прыжок": []}


@pytest.fixture
def run(app, clip) -> Run:
    """Outputs of a run for the videos: scores of 12 snippets, and ranked proposals of two classes."""
    run = Run(app.ckpt / clip / "first")
    write_json(run.stage(1).config_file, {"dataset": clip})
    scores = np.full((12, 4), .01, np.float32)
    scores[9:11, 2] = .8                                # прыжок from 5.76 s, without a proposal
    arrays = {"names/classes": np.array(CLASSES), "even": scores, "uneven": scores}
    for split in ("train", "test"):
        write_arrays(run.stage(1).snippet_scores_file(split), arrays)
    ranked = {"PP": PROPOSALS, "RP": {}, "NP": []}
    write_json(run.stage(1).proposals_file, {"train": {"even": ranked}, "test": {"even": ranked}})
    return run


@pytest.fixture
def desk(page, app, clip, run) -> Desk:
    return Desk(page, app, clip)


def choose_model(desk: Desk) -> None:
    desk.page.get_by_label("Model").select_option("first")
    desk.page.wait_for_function("() => window.stage().lanes.some((lane) => lane.layers.some((one) => one.style === "
                                "'hatched'))")


def segments(desk: Desk) -> list[tuple]:
    """(class, start, end, refused) as stored in the log."""
    desk.page.locator(".badge.save.saved").wait_for()
    return [(row["label"], round(row["start"], 2), round(row["end"], 2), bool(row.get("refused")))
            for row in LabelStore(desk.store_root).segments()]


def says(desk: Desk, text: str) -> None:
    desk.page.locator(".badge.suggestion").get_by_text(text).wait_for()


def test_suggested_segment_of_a_point_can_be_accepted_corrected_and_rejected(desk):
    choose_model(desk)
    desk.click("HighJump", 1.5)
    says(desk, "0:01.00 – 0:02.00 · Enter: accept · X: reject")
    desk.key("Enter")
    says(desk, "Accepted")
    assert segments(desk) == [("HighJump", 1, 2, False)]
    desk.page.keyboard.down("Shift")
    desk.drag(desk.spot("HighJump", 2), desk.spot("HighJump", 2.6))
    desk.page.keyboard.up("Shift")
    (label, start, end, refused), = segments(desk)
    assert (label, start, refused) == ("HighJump", 1, False) and end == pytest.approx(2.6, abs=.05)
    desk.key("x")
    says(desk, "Rejected")
    desk.key("Control+z", "Control+z")
    assert segments(desk) == [("HighJump", 1, 2, False)]
    desk.key("Delete")
    assert segments(desk) == [] and desk.saved(0) == [], "it goes with its point"
    desk.key("Control+z")
    assert segments(desk) == [("HighJump", 1, 2, False)] and len(desk.saved(1)) == 1


def test_edges_of_a_segment_are_moved_by_key(desk):
    choose_model(desk)
    desk.click("HighJump", 1.5)
    says(desk, "Enter: accept")
    desk.key("Enter", "Alt+BracketRight", "Alt+Shift+BracketLeft", "Alt+Shift+BracketLeft")
    assert segments(desk) == [("HighJump", 1.04, 1.92, False)]
    desk.key("Alt+BracketLeft", "Alt+BracketLeft", "Alt+Shift+BracketRight")
    assert segments(desk) == [("HighJump", .96, 1.96, False)]
    desk.key("Control+z")
    assert segments(desk) == [("HighJump", .96, 1.92, False)]


def test_segment_is_suggested_from_scores_if_there_is_no_proposal(desk):
    choose_model(desk)
    desk.click("прыжок", 6.5)
    says(desk, "0:05.76 – 0:07.04 ·")
    desk.key("x")
    assert segments(desk) == [("прыжок", 5.76, 7.04, True)]
    desk.click("прыжок", 1)
    says(desk, 'No "прыжок" detected here')
    desk.page.reload()
    desk.page.wait_for_function("() => window.stage()?.lanes.some((lane) => lane.id.startsWith('score'))")
    desk.key("s")
    desk.page.wait_for_function("() => !window.stage().lanes.some((lane) => lane.id.startsWith('score'))")
    desk.click("прыжок", 6.9)
    says(desk, "0:05.76 – 0:07.04 ·")


def test_queue_lists_what_is_worth_labelling_and_jumps_there(desk):
    desk.click("Run up", 3.2)
    desk.click("Run up", 3.8)
    desk.click("HighJump", 6.4)
    desk.saved(3)
    choose_model(desk)
    desk.page.get_by_text("6 suggestions").wait_for()
    texts = desk.page.locator(".queue .moment .name").all_inner_texts()
    assert [text.split("\n")[0] for text in texts] == [
        "unlabelled detection", *["low score for Run up (0.01)"] * 2, "low score for HighJump (0.01)",
        "point 0.4 s outside a detection", "2 points in one detection"]
    desk.key("q")
    desk.page.wait_for_function("() => window.stage().clock.shown === 37")
    desk.key("1")
    assert ("HighJump", 37) in desk.saved(4)
    desk.page.get_by_role("button", name="2 points in one detection").click()
    desk.page.wait_for_function("() => window.stage().selection.size === 1 && window.stage().clock.shown === 95")


def edit(desk: Desk, name: str):
    desk.page.get_by_role("button", name=f"Change class {name}").click()
    return desk.page.get_by_role("dialog", name=f"Class {name}")


def lane_has(desk: Desk, label: str, key: str, value: str) -> None:
    desk.page.wait_for_function("([label, key, value]) => window.stage().lanes.find((lane) => "
                                "lane.label.startsWith(label))[key] === value", arg=[label, key, value])


def test_every_change_to_a_class_can_be_undone(desk):
    desk.click("HighJump", 1)
    desk.click("Run up", 3)
    desk.saved(2)
    dialog = edit(desk, "HighJump")
    dialog.get_by_label("Class name").fill("走り高跳び")
    dialog.get_by_role("button", name="Rename").click()
    assert desk.saved(2) == [("走り高跳び", 25), ("Run up", 75)]
    dialog = edit(desk, "Run up")
    dialog.get_by_label("Position").select_option("0")
    dialog.get_by_role("button", name="Move", exact=True).click()
    assert desk.saved(2) == [("Run up", 75), ("走り高跳び", 25)]
    dialog = edit(desk, "прыжок")
    dialog.get_by_label("Key", exact=True).select_option("7")
    dialog.get_by_role("button", name="Set key").click()
    desk.key("End", "7")
    assert ("прыжок", 199) in desk.saved(3)
    dialog = edit(desk, "прыжок")
    dialog.get_by_label("Colour").first.fill("#12ab34")
    dialog.get_by_role("button", name="Set colour").click()
    lane_has(desk, "прыжок", "colour", "#12ab34")
    dialog = edit(desk, "прыжок")
    dialog.get_by_label("Merge into").select_option("Run up")
    dialog.get_by_role("button", name="Merge", exact=True).click()
    assert desk.saved(3) == [("Run up", 75), ("Run up", 199), ("走り高跳び", 25)]
    for _ in range(6):
        desk.key("Control+z")
    assert desk.saved(2) == [("HighJump", 25), ("Run up", 75)]
    assert LabelStore(desk.store_root).classes == CLASSES


def test_class_renamed_in_one_tab_is_renamed_in_the_other(desk, context, app, clip):
    other = Desk(context.new_page(), app, clip)
    desk.click("HighJump", 1)
    dialog = edit(desk, "HighJump")
    dialog.get_by_label("Class name").fill("leap")
    dialog.get_by_role("button", name="Rename").click()
    other.page.wait_for_function("() => window.stage().lanes[0].points.some((point) => point.label === 'leap')")
    assert other.saved(1) == [("leap", 25)]


def test_one_of_200_classes_can_be_found_and_given_a_digit_key(page, app, clip, desk):
    store = LabelStore(desk.store_root)
    store.apply([{"id": f"c{number}", "video": "even", "kind": "class", "before": {},
                  "after": {f"class {number:03} with a rather long name": {}}} for number in range(197)], "Ann")
    page.wait_for_function("() => window.stage().lanes.length === 200")
    page.get_by_label("Find a class").fill("CLASS 150")
    page.get_by_label("Find a class").press("Enter")
    page.wait_for_function("() => window.stage().scene.rows.some((row) => row.lane.label.startsWith('class 150'))")
    dialog = edit(desk, "class 150 with a rather long name")
    dialog.get_by_label("Key", exact=True).select_option("1")
    dialog.get_by_role("button", name="Set key").click()
    lane_has(desk, "class 150", "key", "1")
    desk.key("1")
    assert desk.saved(1) == [("class 150 with a rather long name", 0)]


def test_points_can_be_flagged_with_a_note_and_filtered_by_person(desk):
    desk.click("HighJump", 1)
    desk.saved(1)
    LabelStore(desk.store_root).apply([{"id": "theirs", "video": "even", "kind": "add", "before": {}, "after": {
        "b": {"video": "even", "label": "Run up", "time": 2.0, "frame": 50}}}], "Bob")
    desk.page.get_by_label("Whose points").select_option("Bob")
    desk.page.locator(".points .point").nth(1).wait_for(state="detached")
    assert "by Bob" in desk.page.locator(".points .point").get_attribute("title")
    desk.page.get_by_label("Whose points").select_option("")
    desk.click("HighJump", 1)
    desk.key("d")
    dialog = desk.page.get_by_role("dialog", name="Note for review")
    dialog.get_by_label("Note", exact=True).fill("a hop?")
    dialog.get_by_label("Note", exact=True).press("Enter")
    desk.saved(2)
    assert [row.get("doubt") for row in LabelStore(desk.store_root).points()] == ["a hop?", None]
    desk.page.get_by_label("Whose points").select_option("flagged")
    row = desk.page.locator(".points .point")
    row.nth(1).wait_for(state="detached")
    assert "For review: a hop?" in row.get_attribute("title")
    desk.key("d")
    dialog.get_by_role("button", name="Clear flag").click()
    desk.saved(2)
    assert not any("doubt" in row for row in LabelStore(desk.store_root).points())


def test_name_is_asked_once_and_stored_with_each_label(context, app, clip):
    page = context.new_page()
    page.goto(f"{app.url}/annotate?dataset={clip}")
    dialog = page.get_by_role("dialog", name="Your name")
    dialog.get_by_label("Name").fill("Zoë")
    dialog.get_by_role("button", name="Start").click()
    dialog.wait_for(state="detached")
    page.close()
    desk = Desk(context.new_page(), app, clip)
    assert desk.page.get_by_role("dialog").count() == 0
    desk.click("HighJump", 1)
    desk.saved(1)
    log = (desk.store_root / "labels" / "operations.jsonl").read_text().splitlines()
    assert [json.loads(line)["who"] for line in log] == ["Zoë"]


def test_watched_parts_are_tracked_and_survive_a_reload(desk):
    assert desk.page.evaluate("() => window.stage().watched") == []
    desk.key("Space")
    desk.page.wait_for_function("() => window.stage().clock.shown > 30")
    desk.key("Space")
    (start, end), = desk.page.evaluate("() => window.stage().watched")
    assert start == pytest.approx(0, abs=.3) and end > 1
    desk.page.locator(".cost").get_by_text("Watched ").wait_for()
    desk.key("End")
    assert len(desk.page.evaluate("() => window.stage().watched")) == 1, "a jump is not watched"
    desk.page.wait_for_function("(end) => Object.entries(localStorage).some(([key, text]) => "
                                "key.startsWith('hrpro.watched.') && JSON.parse(text).spans.at(-1)?.[1] >= end - .01)",
                                arg=end)
    desk.open()
    assert desk.page.evaluate("() => window.stage().watched")[0][1] == pytest.approx(end, abs=.2)
