"""Starting, watching, cancelling and resuming trainings on the Train page, with real processes."""

import os
import re
import signal

import pytest

from app.settings import VISIBLE
from hrpro.data.run import find_runs
from hrpro.jobs.background import jobs, status

pytestmark = [pytest.mark.browser, pytest.mark.slow]
POINTS = "[...document.querySelectorAll('.js-plotly-plot')].map(plot => plot._fullData?.[0]?.x?.length ?? 0)"


@pytest.fixture(autouse=True, scope="module")
def tiny(app, make_dataset):
    yield make_dataset(app.data / "tiny", num_iters=1000, test_iter=50, max_epochs=6, num_threads=1)
    for job in jobs(app.ckpt):
        if status(job).running:
            os.killpg(job.pid, signal.SIGKILL)


def badge(page, state, seconds=90):
    page.locator(".stMarkdownBadge", has_text=state).first.wait_for(timeout=1000 * seconds)


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def points(page):
    """Number of points of the first curve in the first figure."""
    return (page.evaluate(POINTS) or [0])[0]


def wait_for_points(page, more_than):
    page.wait_for_function(f"({POINTS})[0] > {more_than}", timeout=60_000)


def open_train(page, app, query="?dataset=tiny"):
    page.goto(f"{app.url}/train{query}")
    button(page, "Start training").wait_for(timeout=30_000)


def start(page, name):
    field = page.get_by_label(re.compile("^Run name"))
    field.fill(name)
    field.press("Enter")
    page.locator("code", has_text=f"task_info={name}").wait_for()
    button(page, "Start training").click()
    badge(page, "Running")


def test_training_survives_reload_cancel_resume_and_server_stop(app, page, context):
    open_train(page, app)
    start(page, "loop")
    wait_for_points(page, 1)
    before = points(page)
    wait_for_points(page, before)                       # the curve updates by itself
    page.get_by_text(re.compile(r"step \d+ of 1000")).wait_for()

    page.reload()
    badge(page, "Running")
    wait_for_points(page, before)
    assert "run=loop" in page.url

    other = context.new_page()
    open_train(other, app)
    badge(other, "Running")
    button(other, "Cancel").click()
    badge(other, "Cancelled")
    badge(page, "Cancelled")
    assert find_runs(app.ckpt, "tiny")[0].stage(1).checkpoint("last").exists()

    button(page, "Resume").click()
    badge(page, "Running")
    badge(other, "Running")
    wait_for_points(page, before)
    app.end()
    job = jobs(app.ckpt)[0]
    assert status(job).running                          # the training outlives the server
    other.close()
    page.goto("about:blank")
    app.start()
    open_train(page, app)
    badge(page, "Finished", 240)
    assert status(job).state == "finished"
    table = page.get_by_test_id("stTable").inner_text()
    assert table.count("Best on test") == table.count("Last") == 2 and "Stage 2" in table and "step 1000" in table
    assert page.evaluate(POINTS)[0] > before and len(page.evaluate(POINTS)) == 4
    steps = page.evaluate("[...document.querySelector('.js-plotly-plot')._fullData[0].x]")
    assert steps == sorted(set(steps)) and steps[-1] == 1000             # repeated steps leave no trace


def test_killed_training_is_shown_as_stopped_and_can_be_resumed(app, page):
    open_train(page, app)
    start(page, "killed")
    wait_for_points(page, 3)
    os.killpg(jobs(app.ckpt)[0].pid, signal.SIGKILL)
    badge(page, "Stopped unexpectedly")
    page.get_by_text("Killed without an error message").wait_for()
    button(page, "Resume").click()
    badge(page, "Running")
    button(page, "Cancel").click()
    badge(page, "Cancelled")


def test_click_on_a_button_that_was_just_redrawn_counts(app, page, make_dataset):
    """The panel changes from "live" to "still" on the server before the browser has drawn it."""
    make_dataset(app.data / "slow-line", num_iters=500, test_iter=500, num_threads=1)
    held, holding = [], []

    def connect(browser):
        server = browser.connect_to_server()
        server.on_message(lambda message: held.append((browser, message)) if holding else browser.send(message))

    page.route_web_socket("**/_stcore/stream", connect)
    open_train(page, app, "?dataset=slow-line")
    start(page, "late")
    wait_for_points(page, 1)
    button(page, "Cancel").click()
    badge(page, "Cancelled")
    button(page, "Resume").wait_for()
    holding.append(True)
    page.wait_for_timeout(7000)                         # the panel is redrawn every 5 s
    assert any(b"Cancelled" in message for _, message in held)
    button(page, "Resume").click()
    page.wait_for_timeout(1000)
    holding.clear()
    for browser, message in held:
        browser.send(message)
    badge(page, "Running")
    button(page, "Cancel").click()
    badge(page, "Cancelled")


@pytest.mark.parametrize("clicks", ["double click", "two clicks"])
def test_double_clicks_start_one_run_and_its_message_is_in_view(app, page, context, make_dataset, clicks):
    name = clicks.replace(" ", "-")
    make_dataset(app.data / name, num_iters=5000, test_iter=5000, num_threads=1)
    other = context.new_page()
    for tab in (page, other):
        open_train(tab, app, f"?dataset={name}")
        tab.wait_for_function("[...document.querySelectorAll('button')].some(button => !button.disabled && "
                              "button.innerText.includes('Start training'))", timeout=60_000)
    button(page, "Start training").scroll_into_view_if_needed()
    if clicks == "double click":
        button(page, "Start training").dblclick()
    else:
        box = button(page, "Start training").bounding_box()
        for pause in (250, 0):                          # where the button was, whatever is there now
            page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            page.wait_for_timeout(pause)
    said = page.get_by_text("Started HR-Pro")
    said.wait_for()
    box = said.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 800
    badge(page, "Running")
    page.wait_for_timeout(3000)
    assert [job.target for job in jobs(app.ckpt) if name in job.target] == [str(app.ckpt / name / "HR-Pro")]
    assert button(page, "Start training").is_disabled()
    other.get_by_text("Running: HR-Pro.").wait_for()
    other.locator("button:disabled", has_text="Start training").wait_for()
    other.close()
    wait_for_points(page, 1)
    page.get_by_text("See its progress").click()
    page.wait_for_function("document.getElementById('run').getBoundingClientRect().top >= 0")

    page.evaluate("""() => {
      const shown = (element) => element.checkVisibility();
      window.seen = { most: 0, disagreed: false };
      window.watching = setInterval(() => {
        const buttons = [...document.querySelectorAll("button")].filter(shown)
          .filter((button) => button.innerText.includes("Cancel"));
        const badges = [...document.querySelectorAll(".stMarkdownBadge")].filter(shown).map((badge) => badge.innerText);
        const bars = [...document.querySelectorAll(".stProgress")].filter(shown).map((bar) => bar.innerText);
        window.seen.most = Math.max(window.seen.most, buttons.length);
        if (badges.some((text) => text.includes("Stopping")) && bars.some((text) => text.includes("cancelled")))
          window.seen.disagreed = true;
      }, 10);
    }""")
    button(page, "Cancel").click()
    badge(page, "Cancelled")
    assert page.evaluate("window.seen") == {"most": 1, "disagreed": False}


def test_failed_training_shows_the_reason(app, page):
    open_train(page, app)
    (app.ckpt / "tiny" / "blocked").mkdir(parents=True)
    (app.ckpt / "tiny" / "blocked" / "stage1").touch()                  # a file where the run needs a folder
    start(page, "blocked")
    badge(page, "Failed")
    page.get_by_text("stage1/config.json: Not a directory").first.wait_for()


def test_start_is_disabled_with_a_reason(app, page, tiny, make_dataset):
    broken = make_dataset(app.data / "broken")
    (broken / "gt_full.json").write_bytes((broken / "gt_full.json").read_bytes()[:500])
    open_train(page, app, "?dataset=broken")
    page.get_by_text("gt_full.json: line 1 is not JSON").wait_for()
    assert button(page, "Start training").is_disabled()
    (broken / "gt_full.json").write_bytes((tiny / "gt_full.json").read_bytes())
    page.reload()
    page.wait_for_function("[...document.querySelectorAll('button')].some(b => b.innerText.includes('Start training') "
                           "&& !b.disabled)", timeout=60_000)
    field = page.get_by_label(VISIBLE["lr"], exact=True)
    field.fill("fast")
    field.press("Enter")
    page.get_by_text("lr is 'fast', but must be a number").wait_for()
    page.locator("button:disabled", has_text="Start training").wait_for()


def test_form_keeps_its_input_while_checks_and_runs_finish(app, page, make_dataset):
    """The button follows the state of the data set; a name being typed stays, and so does an open expander."""
    split = make_dataset(app.data / "changing", num_iters=20, test_iter=10, max_epochs=1, num_threads=1) \
        / "split_test.txt"
    open_train(page, app, "?dataset=changing")
    page.get_by_text("All settings").click()
    page.get_by_label("Feature size D", exact=True).wait_for()
    name = page.get_by_label(re.compile("^Run name"))
    name.fill("")
    name.press_sequentially("half a na")                # not sent yet: the field has the focus
    split.rename(split.with_suffix(".aside"))
    page.get_by_text("no such file").wait_for()
    assert button(page, "Start training").is_disabled()
    split.with_suffix(".aside").rename(split)
    page.get_by_text("no such file").wait_for(state="detached")
    assert name.input_value() == "half a na" and name.evaluate("(field) => document.activeElement === field")
    assert page.get_by_label("Feature size D", exact=True).is_visible()
    name.press_sequentially("me")
    name.press("Tab")
    page.locator("code", has_text="task_info=half a name").wait_for()
    button(page, "Start training").click()
    badge(page, "Running")
    name.fill("")
    name.press_sequentially("the next")
    badge(page, "Finished")
    assert name.input_value() == "the next" and name.evaluate("(field) => document.activeElement === field")
    assert page.get_by_label("Feature size D", exact=True).is_visible()
