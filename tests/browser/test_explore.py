"""Explore and Evaluate in a real browser, on a trained run and a real video file."""

import re
import shutil

import pytest
from browsing import STAGE
from numbered_video import write_video

from app.mistakes import Mistakes
from app.results import load_dataset, result
from hrpro.data.run import Run

pytestmark = pytest.mark.browser

FPS = 25


@pytest.fixture(scope="module")
def filled(app, trained_world):
    """The app with the trained run; only test_1 has a video file, whose frames show their numbers."""
    shutil.copytree(trained_world / "dataset" / "small", app.data / "small")
    shutil.copytree(trained_world / "ckpt", app.ckpt)
    folder = app.data / "small" / "videos"
    folder.mkdir()
    write_video(folder / "test_1.mp4", range(0, 40_000, 1000 // FPS))
    return app


class Viewer:
    """A tab on the Explore page."""

    def __init__(self, page, app):
        self.page, self.app = page, app
        page.add_init_script(STAGE)

    def open(self, **query):
        words = "&".join(f"{key}={value}" for key, value in ({"dataset": "small"} | query).items())
        self.page.goto(f"{self.app.url}/explore?{words}")
        return self.ready()

    def ready(self):
        self.page.wait_for_function("() => window.stage()?.scene && window.stage().lanes.length")
        return self

    def stage(self, expression: str):
        return self.page.evaluate(f"() => {{ const stage = window.stage(); return {expression}; }}")

    def until(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {{ const stage = window.stage(); return stage && ({condition}); }}")

    def spot(self, label: str, seconds: float) -> tuple[float, float]:
        """Page position of a moment in a visible lane."""
        return tuple(self.page.evaluate("""([label, seconds]) => {
          const stage = window.stage();
          const box = stage.canvas.getBoundingClientRect();
          const row = stage.scene.rows.find((row) => row.lane.label === label);
          return [box.left + stage.axis.x(seconds), box.top + row.y + row.height / 2];
        }""", [label, seconds]))

    def click_row(self, row: int, x: int) -> None:
        """Click in a row of the last table on the page, x pixels from its left edge."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for()     # a click between two runs is lost
        table = self.page.locator("[data-testid=stDataFrame]:visible").last
        table.locator("[role=gridcell]").first.wait_for(state="attached")       # the table's script loads separately
        table.scroll_into_view_if_needed()
        table.click(position={"x": x, "y": 35 * (row + 1.5)})


@pytest.fixture
def viewer(filled, page):
    return Viewer(page, filled)


def test_link_opens_its_frame_and_a_click_in_any_lane_seeks(viewer):
    viewer.open(video="test_1", t=12.5)
    viewer.until(f"stage.clock.ready && stage.clock.shown === {int(12.5 * FPS)}")
    labels = viewer.stage("stage.scene.rows.map((row) => row.lane.label)")
    name = labels[0]
    for label, seconds in ((name, 15.), (f"stage 2 · {name}", 20.), (f"stage 1 · {name}", 9.), (f"CAS · {name}", 16.)):
        assert label in labels
        viewer.page.mouse.click(*viewer.spot(label, seconds))
        viewer.until(f"Math.abs(stage.clock.time - {seconds}) < .1 && stage.clock.shown === stage.clock.asked")
        assert abs(viewer.stage("stage.video.currentTime") - seconds) < .1


def test_curves_come_from_the_run(viewer, filled):
    viewer.open(video="test_1")
    run = Run(filled.ckpt / "small" / "first")
    expected = run.snippet_scores("test", "test_1")
    viewer.until("stage.lanes.some((lane) => lane.layers.some((layer) => layer.values))")
    drawn = viewer.stage("Object.fromEntries(stage.lanes.flatMap((lane) => lane.layers.filter((layer) => layer.values)"
                         ".map((layer) => [lane.id, [...layer.values]])))")
    assert drawn["cas 1"] == pytest.approx(expected[:, 1].tolist())
    assert drawn["background"] == pytest.approx(expected[:, 3].tolist())
    label, start = viewer.stage("[stage.lanes[0].label, stage.lanes[0].layers[0].items[0][0]]")
    viewer.page.mouse.move(*viewer.spot(label, start + .5))
    said = viewer.page.locator("output.readout").text_content()
    assert re.fullmatch(rf"{label}: {label}, 0:\d\d\.\d\d to 0:\d\d\.\d\d.*", said)


def test_score_slider_filters_detections_without_moving_the_playhead(viewer):
    viewer.open(video="test_1", t=3)
    count = "stage.lanes.filter((lane) => lane.id.startsWith('stage ')).flatMap((lane) => lane.layers[0].items).length"
    viewer.until("stage.clock.ready && stage.clock.shown !== null")
    viewer.page.mouse.click(*viewer.spot("jump", 7.))
    viewer.until("Math.abs(stage.clock.time - 7) < .1")
    before = viewer.stage(count)
    slider = viewer.page.get_by_role("slider")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    viewer.until(f"{count} < {before}")
    assert abs(viewer.stage("stage.clock.time") - 7) < .1


def test_list_opens_videos_without_a_file(viewer):
    viewer.open(video="test_1")
    viewer.click_row(3, 70)
    viewer.until("stage.current.id.startsWith('train_')")
    name = viewer.stage("stage.current.id")
    viewer.page.wait_for_url(f"**video={name}*")
    assert f"named {name}.mp4" in viewer.page.locator(".fault").text_content()
    assert viewer.stage("stage.lanes.some((lane) => lane.label.startsWith('RP'))")
    viewer.page.reload()
    viewer.ready()
    assert viewer.stage("stage.current.id") == name


def test_mistakes_can_be_watched_one_by_one_from_the_clicked_one(viewer, filled):
    dataset, run = load_dataset(filled.data / "small"), Run(filled.ckpt / "small" / "first")
    precision = result(dataset, run, 2).precision
    chosen = Mistakes("wrong", 2, .5, least=precision.best_f1(4).score, order="cost")
    rows = chosen.rows(precision)
    wrong, explained = chosen.pool(precision)[rows], chosen.explain(precision, rows)
    viewer.page.goto(f"{filled.url}/evaluate?dataset=small&run=first")
    viewer.page.get_by_role("tab", name="Mistakes").click()
    viewer.page.wait_for_url("**tab=Mistakes*")
    viewer.page.get_by_text(f"False positives: {len(wrong):,}").wait_for()
    row = int((wrong.start > 5).argmax())
    viewer.click_row(row, 30)
    viewer.ready()
    start, video = wrong.start[row], wrong.videos[wrong.video[row]]
    assert viewer.stage("stage.current.id") == video
    viewer.page.wait_for_url(f"**/explore?*video={video}*class=*")
    name = wrong.classes[wrong.label[row]]
    other = explained.other[row]
    overlapped = precision.ground_truth.classes[precision.ground_truth.label[other]] if other >= 0 else name
    assert viewer.stage("stage.lanes.slice(0, 2).map((lane) => lane.label)") == [f"false positive · {name}", overlapped]
    assert viewer.page.get_by_text(f"{explained.kind[row].capitalize()}.", exact=True).is_visible()
    viewer.until(f"Math.abs(stage.clock.time - {start:.2f}) < .1")
    after = viewer.page.get_by_role("button", name="Next", exact=True)
    for number in (row + 2, row + 3):
        after.focus()
        viewer.page.keyboard.press("Enter")
        viewer.page.get_by_text(f"False positive {number:,} of {len(wrong):,}").wait_for()
        video, start = wrong.videos[wrong.video[number - 1]], wrong.start[number - 1]
        viewer.page.wait_for_url(f"**/explore?*video={video}*")
        viewer.until(f"stage.current.id === '{video}' && stage.lanes[0].layers[0].items[0][0] === {start:.4f}")
    viewer.page.reload()
    viewer.ready()
    viewer.page.get_by_role("link", name="Back to the list").click()
    viewer.page.get_by_text(f"False positives: {len(wrong):,}").wait_for()
    assert viewer.page.get_by_role("tab", name="Mistakes").get_attribute("aria-selected") == "true"
    viewer.page.get_by_role("button", name="Watch them one by one").first.focus()
    viewer.page.keyboard.press("Enter")
    viewer.page.get_by_text(f"False positive 1 of {len(wrong):,}").wait_for()
    assert viewer.page.get_by_role("button", name="Previous", exact=True).is_disabled()
