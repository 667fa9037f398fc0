"""Text from files that Markdown, HTML or Streamlit would interpret is shown literally on every page."""

import json
import shutil

import numpy as np
import pytest
from browsing import STAGE
from numbered_video import write_video

from hrpro.files import write_arrays

pytestmark = pytest.mark.browser
HOSTILE = ("![p](http://evil.test/p.png) http://evil.test www.evil.test me@evil.test <a href='http://evil.test'>x</a> "
           ":smile:")
PAGES = ["", "annotate", "train", "explore", "evaluate"]


@pytest.fixture(scope="module")
def hostile(app, trained_world):
    """The trained world, with hostile text in a class name, a video name, and the run's events and metrics."""
    shutil.copytree(trained_world / "dataset" / "small", app.data / "small")
    shutil.copytree(trained_world / "ckpt", app.ckpt)
    (app.data / "small" / "videos").mkdir()
    write_video(app.data / "small" / "videos" / "test_0.mp4", range(0, 2000, 40))
    for folder in (app.data, app.ckpt):
        for path in folder.rglob("*"):
            if path.suffix in (".json", ".csv", ".txt"):
                path.write_text(path.read_text().replace("jump", HOSTILE))
            elif path.name.startswith("snippet_scores"):
                arrays = dict(np.load(path))
                arrays["names/classes"] = np.array([name.replace("jump", HOSTILE) for name in arrays["names/classes"]])
                write_arrays(path, arrays)
    with open(app.data / "small" / "split_train.txt", "a") as split:
        split.write(f"{HOSTILE}\n")
    for stage in (1, 2):
        log = app.ckpt / "small" / "first" / f"stage{stage}" / "logs" / "events.jsonl"
        lines = []
        for line in log.read_text().splitlines():
            event = json.loads(line)
            for key in ("device", "unit", "what"):
                if key in event:
                    event[key] = HOSTILE
            if "loss" in event:
                event["loss"][HOSTILE] = 1.
            if event.get("average"):
                event["average"] = {HOSTILE: .5}
            lines.append(json.dumps(event))
        lines.append(json.dumps({"time": 2e9, "event": "note", "message": HOSTILE}))
        if stage == 2:
            lines.append(json.dumps({"time": 2e9, "event": "progress", "what": HOSTILE, "done": 1, "total": 2}))
        log.write_text("".join(f"{line}\n" for line in lines))
        metrics = log.parents[1] / "outputs" / "metrics.json"
        reports = json.loads(metrics.read_text())
        for report in reports.values():
            report["average"] = {HOSTILE: .5}
        metrics.write_text(json.dumps(reports))
    return app


@pytest.mark.parametrize("place", PAGES)
def test_text_from_files_is_not_interpreted(page, hostile, place):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(STAGE)
    page.goto(f"{hostile.url}/{place}?dataset=small&run=first&video=test_0")
    page.get_by_text("evil.test").first.wait_for(state="attached")
    for tab in page.get_by_role("tab").all():
        tab.click()
    for fold in page.locator("summary").all():
        fold.click()
    page.wait_for_timeout(1500)
    assert [url for url in asked if "127.0.0.1" not in url and not url.startswith(("data:", "blob:"))] == []
    assert page.locator("a[href*='evil'], [*|href*='evil'], img[src*='evil'], img[alt='p']").count() == 0
    shown = page.locator("body").inner_text()
    assert "😄" not in shown
