"""The annotation desk in a real browser on real video files: labels appear immediately, are saved, and never lost."""

import csv
import json
import statistics
import time
from pathlib import Path

import httpx
import pytest
from browsing import CLASSES, App, Desk, make_data_set
from numbered_video import BITS, write_video

from hrpro.labels.operations import LabelStore
from hrpro.video.probe import probe

pytestmark = pytest.mark.browser

PICTURE = """() => {
  const video = document.querySelector("[data-testid]") && window.stage().video;
  const canvas = new OffscreenCanvas(%d * 16, 1);
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, canvas.width, 1);
  const row = context.getImageData(0, 0, canvas.width, 1).data;
  let number = 0;
  for (let bit = 0; bit < %d; bit += 1) if (row[(bit * 16 + 8) * 4] > 128) number += 2 ** bit;
  return number;
}""" % (BITS, BITS)  # noqa: UP031 - the script is full of braces


def test_click_in_a_lane_places_a_point_and_shows_its_frame(desk):
    desk.click("Run up", 3.21)
    assert desk.painted == [("Run up", 80)]
    assert desk.saved(1) == [("Run up", 80)]
    desk.page.wait_for_function("() => window.stage().clock.shown === 80")
    assert desk.page.locator(".badge.frame").inner_text() == "frame 80 ✓"
    assert desk.page.evaluate(PICTURE) == 80
    log = (desk.store_root / "labels" / "operations.jsonl").read_text().splitlines()
    assert [json.loads(line)["after"].popitem()[1] for line in log] == \
        [{"video": "even", "label": "Run up", "time": 3.2, "frame": 80}]


def test_digits_place_points_at_the_playhead_without_pausing(desk):
    desk.key("Space")
    desk.page.wait_for_function("() => window.stage().clock.playing && window.stage().clock.shown > 5")
    before = desk.frame
    desk.key("1", "3")
    after = desk.frame
    assert desk.page.evaluate("() => window.stage().clock.playing")
    stored = dict(desk.saved(2))
    assert set(stored) == {"HighJump", "прыжок"}
    assert all(before <= frame <= after for frame in stored.values())
    desk.key("k")
    desk.page.wait_for_function("() => !window.stage().clock.playing")


def test_twenty_points_added_in_quick_succession_are_all_saved(desk):
    frames = []
    for index in range(20):
        desk.key(".", "1")
        frames.append(index + 1)
    assert desk.saved(20) == [("HighJump", frame) for frame in frames]


def test_small_responses_are_not_delayed(app, clip):
    with httpx.Client(base_url=app.url) as client:
        spent = [client.get(f"/labels/{clip}/even?since=0&last=").elapsed.total_seconds() for _ in range(21)]
    assert statistics.median(spent) < .03                     # .04 or more if the second packet has to wait


def test_drag_moves_or_relabels_a_point_and_each_can_be_undone(desk):
    desk.click("HighJump", 2)
    desk.drag(desk.spot("HighJump", 2), desk.spot("HighJump", 5.01))
    assert desk.saved(1) == [("HighJump", 125)]
    desk.drag(desk.spot("HighJump", 5.01), desk.spot("прыжок", 5.01))
    assert desk.saved(1) == [("прыжок", 125)]
    for expected in ([("HighJump", 125)], [("HighJump", 50)], []):
        desk.key("Control+z")
        assert desk.saved(len(expected)) == expected
    for expected in ([("HighJump", 50)], [("HighJump", 125)], [("прыжок", 125)]):
        desk.key("Control+Shift+z")
        assert desk.saved(1) == expected


def test_points_are_nudged_and_deleted_by_key(desk):
    desk.click("HighJump", 2)
    desk.click("Run up", 4)
    desk.key("]", "]", "[", "]")
    assert desk.saved(2) == [("HighJump", 50), ("Run up", 102)]
    desk.key("Delete")
    assert desk.saved(1) == [("HighJump", 50)]
    desk.key("Home", "Tab", "Backspace")
    assert desk.saved(0) == []


def test_box_selection_is_relabelled_and_deleted_with_one_undo_each(desk):
    for seconds in (1, 2, 3):
        desk.click("HighJump", seconds)
    desk.click("Run up", 6)
    x, y = desk.spot("HighJump", .5)
    desk.drag((x, y - 8), (desk.spot("HighJump", 3.5)[0], y + 8))
    assert desk.page.evaluate("() => window.stage().selection.size") == 3
    desk.page.get_by_label("Relabel the selection").select_option("прыжок")
    assert desk.saved(4) == [("Run up", 150), ("прыжок", 25), ("прыжок", 50), ("прыжок", 75)]
    desk.page.get_by_role("button", name="Delete the selection").click()
    assert desk.saved(1) == [("Run up", 150)]
    desk.key("Control+z")
    assert len(desk.saved(4)) == 4
    desk.key("Control+z")
    assert [label for label, _ in desk.saved(4)] == ["HighJump"] * 3 + ["Run up"]


def test_labels_and_undo_history_survive_a_reload(desk):
    desk.click("HighJump", 1)
    desk.key("n")
    desk.page.wait_for_function("() => window.stage().current.id === 'uneven' && window.stage().clock.frames.times")
    desk.click("Run up", 2)
    desk.click("Run up", 4)
    desk.page.locator(".badge.save.saved").wait_for()
    desk.open()
    assert desk.page.evaluate("() => window.stage().current.id") == "uneven"
    assert [label for label, _ in desk.painted] == ["Run up", "Run up"]
    desk.key("Control+z", "Control+z", "Control+Shift+z")
    desk.page.locator(".badge.save.saved").wait_for()
    assert [label for label, _ in desk.painted] == ["Run up"]
    assert [label for label, _ in desk.stored] == ["HighJump", "Run up"]


def test_two_tabs_see_each_other_within_two_seconds(desk, context, app, clip):
    other = Desk(context.new_page(), app, clip)
    desk.click("HighJump", 1)
    begin = time.monotonic()
    other.page.wait_for_function("() => window.stage().lanes.some((lane) => lane.points.length)")
    assert time.monotonic() - begin < 2
    other.click("HighJump", 1)
    other.key("Delete")
    desk.page.wait_for_function("() => !window.stage().lanes.some((lane) => lane.points.length)", timeout=2000)
    assert other.saved(0) == desk.saved(0) == []


def test_conflicting_edit_by_another_person_is_reported(desk, context, app, clip):
    desk.click("HighJump", 1)
    desk.saved(1)
    other = Desk(context.new_page(), app, clip)
    other.page.get_by_label("Your name").fill("Bob")
    other.page.get_by_label("Your name").press("Enter")
    desk.page.context.set_offline(True)
    desk.page.mouse.click(*desk.spot("HighJump", 1))
    desk.key("]")
    desk.page.locator(".badge.save.waiting").wait_for()
    store = LabelStore(desk.store_root)
    row, = store.points("even")
    point = {key: row[key] for key in ("video", "label", "time", "frame")}
    store.apply([{"id": "theirs", "video": "even", "kind": "move", "before": {row["id"]: point},
                  "after": {row["id"]: {**point, "time": 4.0, "frame": 100}}}], "Bob")
    desk.page.context.set_offline(False)
    desk.page.get_by_role("alert").get_by_text("Bob changed this meanwhile").wait_for()
    assert desk.saved(1) == [("HighJump", 100)]


def test_class_added_on_the_desk_is_written_to_the_point_file(desk):
    desk.page.get_by_label("New class").fill("<b>dive & roll</b>")
    desk.page.get_by_role("button", name="Add").click()
    desk.page.wait_for_function("() => window.stage().lanes.length === 4")
    desk.key("4")
    assert desk.saved(1) == [("<b>dive & roll</b>", 0)]
    projected = desk.store_root / "point_labels" / "points.csv"
    deadline = time.monotonic() + 5
    while not projected.exists() and time.monotonic() < deadline:
        time.sleep(.05)
    assert [row["class"] for row in csv.DictReader(projected.open())] == ["<b>dive & roll</b>"]
    assert (desk.store_root / "classes.txt").read_text().splitlines() == [*CLASSES, "<b>dive & roll</b>"]
    assert desk.page.locator(".classes b").count() == 0


@pytest.mark.parametrize("video", ["even", "uneven"])
def test_browser_shows_the_frame_that_the_label_names(desk, video):
    if video == "uneven":
        desk.key("n")
        desk.page.wait_for_function("() => window.stage().current.id === 'uneven' && window.stage().clock.frames.times")
    times = probe(desk.store_root / "videos" / f"{video}.mp4").times
    for frame in [0, 199, *range(3, 190, 11), 100, 101, 102, 101]:
        desk.page.evaluate("(frame) => window.stage().clock.seekFrame(frame)", frame)
        desk.page.wait_for_function("(frame) => window.stage().clock.shown === frame", arg=frame)
        assert desk.page.evaluate(PICTURE) == frame
        assert desk.page.evaluate("() => window.stage().clock.time") == pytest.approx(times[frame], abs=1e-9)


def test_real_clips_can_be_played_and_labelled(page, app, shared):
    clips = sorted((shared / "videos").glob("*.mp4"))
    info = {path.stem: probe(path) for path in clips}
    folder = make_data_set(app.data, "Real", {name: {"duration": video.duration, "fps": video.fps}
                                              for name, video in info.items()}, CLASSES)
    for path in clips:
        (folder / "videos" / path.name).write_bytes(path.read_bytes())
    desk = Desk(page, app, "Real")
    expected = []
    for name, video in info.items():
        page.get_by_role("button", name=name).click()
        page.wait_for_function("""(name) => {
          const { current, clock } = window.stage();
          return current.id === name && clock.ready && clock.frames.times && clock.asked === clock.shown;
        }""", arg=name)
        desk.key("l")
        page.wait_for_function("() => window.stage().clock.shown > 20")
        desk.key("k")
        page.wait_for_function("() => window.stage().clock.asked === window.stage().clock.shown")
        desk.key("1")
        frame = page.evaluate("() => window.stage().clock.asked")
        page.wait_for_function("(frame) => window.stage().clock.shown === frame", arg=frame)
        expected.append((name, frame, pytest.approx(video.times[frame], abs=1e-9)))
        page.locator(".badge.save.saved").wait_for()
        page.wait_for_function("() => window.stage().lanes.flatMap((lane) => lane.points).every((point) => point.who)")
    store = LabelStore(Path(folder))
    assert [(name, row["frame"], row["time"]) for name in info for row in store.points(name)] == expected


def test_key_table_opens_and_keys_do_not_act_in_dialogs_or_text_fields(desk):
    desk.key("?")
    dialog = desk.page.get_by_role("dialog", name="Keys and legend")
    dialog.wait_for()
    assert "add a point of class n at the playhead" in dialog.inner_text()
    assert "the higher its score" in dialog.get_by_role("list", name="Legend").inner_text()
    desk.key("1")
    desk.key("Escape")
    dialog.wait_for(state="hidden")
    assert desk.painted == []
    desk.page.get_by_label("New class").fill("rc1 [")
    assert desk.painted == [] and desk.page.get_by_label("New class").input_value() == "rc1 ["


def test_keys_of_non_latin_layouts_work_by_position(desk):
    session = desk.page.context.new_cdp_session(desk.page)

    def press(key: str, code: str, control: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            session.send("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": code,
                                                    "modifiers": 2 if control else 0})

    desk.click("HighJump", 2)
    desk.page.wait_for_function("() => window.stage().clock.shown === 50")
    press("х", "BracketLeft")
    assert desk.saved(1) == [("HighJump", 49)]
    press("я", "KeyZ", control=True)
    assert desk.saved(1) == [("HighJump", 50)]
    desk.page.evaluate("() => window.stage().clock.seekFrame(60)")
    press("ю", "Period")
    desk.page.wait_for_function("() => window.stage().clock.shown === 61")
    press("л", "KeyK")
    desk.page.wait_for_function("() => window.stage().clock.playing")
    press("л", "KeyK")
    desk.page.wait_for_function("() => !window.stage().clock.playing")
    press("Process", "KeyN")
    press("Dead", "Digit1")
    press("т", "KeyN")
    desk.page.wait_for_function("() => window.stage().current.id === 'uneven'")
    assert desk.stored == [("HighJump", 50)]


def test_video_is_done_only_when_a_person_marks_it(desk):
    row = desk.page.get_by_role("button", name="even, ").first
    assert "new" in row.get_attribute("aria-label")
    desk.click("HighJump", 1)
    desk.page.get_by_role("button", name="even, in progress, 1 point").wait_for()
    desk.page.get_by_label("Complete").check()
    desk.page.get_by_role("button", name="even, complete, 1 point").wait_for()
    desk.page.locator(".badge.save.saved").wait_for()
    assert LabelStore(desk.store_root).done() == {"even"}


def test_empty_project_under_a_base_path_explains_the_first_step(page, tmp_path):
    app = App(tmp_path, "--server.baseUrlPath=some/base")
    folder = make_data_set(app.data, "Empty", {"even": {"duration": 4.0, "fps": 25.0}})
    write_video(folder / "videos" / "even.mp4", range(0, 4000, 40))
    app.start()
    try:
        desk = Desk(page, app, "Empty")
        page.get_by_text("Add a class on the right").wait_for()
        page.get_by_label("New class").fill("dive")
        page.get_by_label("New class").press("Enter")
        page.wait_for_function("() => window.stage().lanes.length === 1")
        desk.click("dive", 2.01)
        assert desk.saved(1) == [("dive", 50)]
    finally:
        app.end()


def test_wheel_zooms_at_the_cursor_and_f_fits_the_view(desk):
    x, y = desk.spot("HighJump", 6)
    desk.page.mouse.move(x, y)
    desk.page.mouse.wheel(0, -600)
    desk.page.wait_for_function("() => window.stage().axis.span < 2")
    assert desk.spot("HighJump", 6)[0] == pytest.approx(x, abs=1)
    desk.page.keyboard.down("Shift")
    desk.page.mouse.wheel(0, -300)
    desk.page.keyboard.up("Shift")
    desk.page.wait_for_function("() => window.stage().axis.end < 6")
    desk.key("f")
    desk.page.wait_for_function("() => window.stage().axis.span === window.stage().axis.duration")
    assert desk.painted == []


def test_view_is_zoomed_and_moved_by_key(desk):
    def view():
        return desk.page.evaluate("() => { const { start, span } = window.stage().axis; return [start, span]; }")

    whole = view()
    desk.canvas.focus()
    desk.key("i", "i")
    desk.page.wait_for_function("(span) => window.stage().axis.span < span / 1.5", arg=whole[1])
    near = view()
    desk.key(">")
    desk.page.wait_for_function("(start) => window.stage().axis.start > start", arg=near[0])
    desk.key("<")
    desk.page.wait_for_function("(start) => window.stage().axis.start < start + .01", arg=near[0])
    desk.key("o", "o", "o")
    desk.page.wait_for_function("(span) => window.stage().axis.span === span", arg=whole[1])
    assert desk.painted == []


def test_double_click_on_a_point_plays_the_seconds_around_it(desk):
    desk.click("HighJump", 4)
    desk.page.mouse.dblclick(*desk.spot("HighJump", 4))
    desk.page.wait_for_function("() => window.stage().clock.playing")
    desk.page.wait_for_function("() => !window.stage().clock.playing && window.stage().clock.asked !== null "
                                "&& window.stage().clock.asked === window.stage().clock.shown")
    assert desk.frame == 149
    assert desk.saved(1) == [("HighJump", 100)]
