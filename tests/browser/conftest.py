"""Fixtures: one app per test module, one browser for all tests, a desk with numbered videos."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import CLASSES, App, Desk, chromium, make_data_set
from numbered_video import write_video


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> Iterator[App]:
    app = App(tmp_path_factory.mktemp("app"))
    app.start()
    try:
        yield app
    finally:
        app.end()
    assert "Traceback" not in app.log.read_text(), app.log.read_text()[-3000:]


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, otherwise Playwright's own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        path = chromium(playwright)
        if not Path(path).exists():
            pytest.skip("no Chromium: install Debian's chromium, or run `playwright install chromium`")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser):
    """One person's browser, whose tabs share their storage. JavaScript errors on its pages fail the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    errors = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert not errors


@pytest.fixture
def page(context):
    return context.new_page()


@pytest.fixture
def clip(app, request) -> str:
    """Name of a new data set with two numbered videos, with even (25 fps) and uneven frame times."""
    name = request.node.name.replace("[", "-").rstrip("]")
    uneven = [40 * index + 17 * (index % 3) for index in range(200)]
    videos = {"even": range(0, 8000, 40), "uneven": uneven}
    folder = make_data_set(app.data, name, {video: {"duration": 8.0, "fps": 25.0} for video in videos}, CLASSES)
    for video, stamps in videos.items():
        write_video(folder / "videos" / f"{video}.mp4", stamps, options={"bf": "2"})
    return name


@pytest.fixture
def desk(page, app, clip) -> Desk:
    return Desk(page, app, clip)
