"""The desk's layout while a person works: nothing moves, lists and address keep up, the split is shown."""

import json

import numpy as np
import pytest
from browsing import CLASSES, Desk, make_data_set
from numbered_video import write_video

from hrpro.data.run import Run
from hrpro.files import write_arrays, write_json
from hrpro.labels.operations import LabelStore

pytestmark = pytest.mark.browser
LONG = "a class whose name is much longer than any list on this page is wide, as some data sets have them"

# Positions of video, canvas, lists and bars, y positions of the lanes on the canvas, and the page's scroll height.
BOXES = """() => {
  const { canvas, video, scene } = window.stage();
  const root = canvas.getRootNode();
  const box = (element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return [x, y, width, height];
  };
  const names = [".transport", ".foot", ".bar", ".videos .list", ".queue .list", ".classes .list", ".points .list"];
  return { video: box(video), canvas: box(canvas),
    ...Object.fromEntries(names.map((name) => [name, box(root.querySelector(name))])),
    lanes: scene.rows.filter((row) => row.lane.editable).slice(0, 2).map((row) => row.y),
    page: document.documentElement.scrollHeight };
}"""


@pytest.fixture
def run(app, clip) -> Run:
    """A run with scores of 12 snippets and proposals for the video "even"."""
    run = Run(app.ckpt / clip / "first")
    write_json(run.stage(1).config_file, {"dataset": clip})
    scores = np.full((12, 4), .5, np.float32)
    for split in ("train", "test"):
        write_arrays(run.stage(1).snippet_scores_file(split), {"names/classes": np.array(CLASSES), "even": scores})
    ranked = {"PP": {"HighJump": [[1, 2, .9], [5, 6, .8]], "Run up": [[3, 4, .7]], "прыжок": []}, "RP": {}, "NP": []}
    write_json(run.stage(1).proposals_file, {"train": {"even": ranked}, "test": {"even": ranked}})
    return run


def boxes(desk: Desk) -> dict:
    desk.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    return desk.page.evaluate(BOXES)


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080), (900, 800), (853, 533)], ids=lambda size: f"{size[0]}")
def test_layout_does_not_move_while_a_person_works(page, app, clip, run, size):
    page.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    desk = Desk(page, app, clip)
    page.locator(".badge.save").get_by_text("connected").wait_for()
    seen = {"at first": boxes(desk)}

    def look(when: str) -> None:
        seen[when] = boxes(desk)

    page.get_by_label("Model").select_option("first")
    page.wait_for_function("() => window.stage().lanes.some((lane) => lane.id.startsWith('score'))")
    page.get_by_text("3 suggestions").wait_for()
    look("a model is chosen")
    desk.click("HighJump", 1.5)
    page.locator(".badge.suggestion").get_by_text("Enter: accept").wait_for()
    look("a point is selected, with a suggestion")
    desk.key("Enter")
    desk.saved(1)
    look("accepted and saved")
    page.evaluate("() => window.stage().clock.asked = 123456")
    desk.click("прыжок", 7.5)
    look("no suggestion")
    desk.key("Control+a")
    look("several points are selected")
    desk.key("s", "Escape")
    look("scores are hidden, nothing is selected")
    page.context.set_offline(True)
    desk.key("2")
    page.locator(".badge.save.waiting").wait_for()
    look("without a connection")
    page.context.set_offline(False)
    desk.saved(3)
    store = LabelStore(desk.store_root)
    store.apply([{"id": f"c{number}", "video": "even", "kind": "class", "before": {}, "after": {
        f"{LONG} {number}": {}}} for number in range(30)], "Bob, who has quite a long name of his own")
    store.apply([{"id": "theirs", "video": "even", "kind": "add", "before": {}, "after": {"b": {
        "video": "even", "label": f"{LONG} 7", "time": 2.0, "frame": 50, "doubt": "why?"}}}],
        "Bob, who has quite a long name of his own")
    page.wait_for_function("() => window.stage().lanes.length > 30")
    look("many classes with long names, and another person's flagged point")
    page.evaluate(f"() => window.stage().desk.say({json.dumps('A long message. ' * 40)})")
    look("a long message")
    assert {when: place for when, place in seen.items() if place != seen["at first"]} == {}
    counts, edges = (page.locator(f".classes .rows {part}").evaluate_all(
        "(all) => all.map((one) => Math.round(one.getBoundingClientRect().right))") for part in (".count", ".class"))
    assert len(counts) > 5 and len(set(counts)) == 1 and counts[0] < edges[0], "counts are in line"
    canvas = seen["at first"]["canvas"]
    assert canvas[1] + canvas[3] <= size[1] and canvas[3] >= 150, "the timeline is on the screen"
    assert seen["at first"]["video"][3] >= 64


def test_list_scrolls_to_the_selected_point(page, app, clip):
    store = LabelStore(app.data / clip)
    store.apply([{"id": f"p{frame}", "video": "even", "kind": "add", "before": {}, "after": {f"{frame}": {
        "video": "even", "label": CLASSES[frame % 3], "time": frame / 25, "frame": frame}}} for frame in range(150)],
        "Ann")
    desk = Desk(page, app, clip)

    def shows(frame: int) -> None:
        """Wait until this point is the selected row of the list and visible inside its box."""
        page.wait_for_function("""(frame) => {
          const root = window.stage().canvas.getRootNode();
          const [box, row] = [".points .list", ".points [aria-pressed=true]"].map((name) => root.querySelector(name));
          if (!row?.title.includes(`frame ${frame},`)) return false;
          const [outer, inner] = [box, row].map((element) => element.getBoundingClientRect());
          return inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
        }""", arg=frame)

    desk.canvas.focus()
    desk.key("End", "Shift+Tab")
    shows(149)
    desk.key("Shift+Tab", "Shift+Tab")
    shows(147)
    desk.key("Home", "Escape")
    for _ in range(30):
        desk.key("Tab")
    shows(30)
    desk.click("HighJump", 7)
    shows(175)
    page.get_by_label("Sort points by").select_option("label")
    shows(175)
    desk.canvas.focus()
    desk.key("Home", "1")
    shows(0)


def test_address_follows_video_and_time_and_reopens_them(page, app, clip):
    page.goto(f"{app.url}/train?dataset={clip}")
    page.get_by_role("heading").first.wait_for()
    desk = Desk(page, app, clip)
    page.wait_for_url(f"**/annotate?dataset={clip}&video=even&t=0.00")
    desk.page.evaluate("() => { window.sameDocument = true; window.stage().clock.seekFrame(80); }")
    page.wait_for_url("**video=even&t=3.20")
    desk.key("n")
    page.wait_for_url("**video=uneven&t=0.00")
    desk.key("ArrowRight", "ArrowRight")
    page.wait_for_url("**video=uneven&t=1.*")
    address = page.url
    assert page.evaluate("() => window.sameDocument && window.stage().current.id") == "uneven"
    other = page.context.new_page()
    shown = Desk(other, app, clip)
    for tab in (page, other):
        tab.goto(address)
        tab.wait_for_function("() => window.stage?.()?.current?.id === 'uneven' && window.stage().clock.shown > 45")
    assert shown.frame == desk.frame
    page.go_back()
    page.wait_for_url("**/train?**")


def test_split_is_shown_and_training_videos_come_first(page, app):
    folder = make_data_set(app.data, "Splits", {name: {"duration": 2.0, "fps": 25.0} for name in "abcd"}, CLASSES)
    for split, videos in (("test", "ac"), ("train", "cd")):
        (folder / f"split_{split}.txt").write_text("".join(f"{video}\n" for video in videos))
    for name in "abcd":
        write_video(folder / "videos" / f"{name}.mp4", range(0, 2000, 40))
    desk = Desk(page, app, "Splits")
    rows = page.locator(".videos .video")
    assert rows.all_inner_texts() == ["c\nboth\n0", "d\ntrain\n0", "a\ntest\n0", "b\nnone\n0"]
    assert page.evaluate("() => window.stage().current.id") == "c"
    badge = page.locator(".bar .badge.split")
    assert badge.inner_text() == ""
    desk.key("n")
    page.wait_for_function("() => window.stage().current.id === 'd'")
    desk.key("n")
    badge.get_by_text("Test video: points here are not used for training").wait_for()
    page.wait_for_function("() => window.stage().current.id === 'a'")
    desk.key("n")
    badge.get_by_text("In no split: points here are not used for training").wait_for()
    for choice, names in (("train", "cd"), ("test", "ca"), ("none", "b"), ("", "cdab")):
        page.get_by_label("Split", exact=True).select_option(choice)
        page.wait_for_function("(count) => window.stage().canvas.getRootNode().querySelectorAll('.video').length "
                               "=== count", arg=len(names))
        assert [text[0] for text in rows.all_inner_texts()] == list(names)
