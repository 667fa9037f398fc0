"""The app behind a proxy that strips the path prefix, and behind one that keeps it."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from browsing import CLASSES, STAGE, App, Desk, free_port, make_data_set
from numbered_video import write_video

pytestmark = pytest.mark.browser
PREFIX = "/me/studio"
PROXY = Path(__file__).parents[1] / "stripping_proxy.py"


@pytest.fixture(scope="module", params=["taken off by the proxy", "known to the server"])
def prefixed(request, tmp_path_factory, trained_world):
    """The app under a path prefix, with a data set to label and one with a trained run."""
    known = request.param == "known to the server"
    app = App(tmp_path_factory.mktemp("app"), *[f"--server.baseUrlPath={PREFIX}"] * known)
    shutil.copytree(trained_world / "dataset" / "small", app.data / "small")
    shutil.copytree(trained_world / "ckpt", app.ckpt)
    clip = make_data_set(app.data, "clip", {"even": {"duration": 8.0, "fps": 25.0}}, CLASSES)
    for path in (clip / "videos" / "even.mp4", app.data / "small" / "videos" / "test_1.mp4"):
        path.parent.mkdir(exist_ok=True)
        write_video(path, range(0, 8000, 40))
    port = free_port()
    proxy = subprocess.Popen([sys.executable, PROXY, str(port), str(app.port), "" if known else PREFIX],
                             stdout=subprocess.PIPE, text=True)
    app.url = f"http://127.0.0.1:{app.port}{PREFIX if known else ''}"
    try:
        app.start()
        assert proxy.stdout.readline() == "ready\n"
        yield SimpleNamespace(data=app.data, url=f"http://127.0.0.1:{port}{PREFIX}")
    finally:
        app.end()
        proxy.terminate()
        asked_outside = proxy.stdout.read()
        proxy.wait(10)
    assert asked_outside == "" and "Traceback" not in app.log.read_text()


@pytest.fixture
def answered(page) -> list[str]:
    """URLs of successful responses."""
    found = []
    page.on("response", lambda answer: found.append(answer.url) if answer.status < 400 else None)
    return found


def test_desk_works_under_a_prefix(page, prefixed, answered):
    desk = Desk(page, prefixed, "clip")
    desk.click("HighJump", 2.01)
    assert ("HighJump", 50) in desk.saved(1)
    page.wait_for_function("() => window.stage().scene.film.picture")
    for route in ("assets/timeline/main.js", "videos/clip/even", "frames/clip/even", "labels/clip/even",
                  "thumbs/clip/even?sprite"):
        assert any(url.startswith(f"{prefixed.url}/{route}") for url in answered), route


def test_proposals_and_curves_of_a_model_are_loaded(page, prefixed, answered):
    page.add_init_script(STAGE)
    page.goto(f"{prefixed.url}/explore?dataset=small&video=test_1")
    page.wait_for_function("() => window.stage()?.arrays.size && window.stage().clock.ready")
    page.wait_for_function("() => Promise.all(window.stage().arrays.values()).then((all) => all.every(Boolean))")
    assert any(url.startswith(f"{prefixed.url}/scores/small/first/test/cas/test_1") for url in answered)
    page.goto(f"{prefixed.url}/annotate?dataset=small&video=test_1")
    with page.expect_response(f"{prefixed.url}/scores/small/first/test/cas/test_1*") as response:
        page.get_by_label("Model").select_option("first")
    assert response.value.ok
    assert any(url.startswith(f"{prefixed.url}/models/small/first/test_1") for url in answered)


def test_path_of_the_first_page_redirects_to_the_app(prefixed):
    answer = httpx.get(f"{prefixed.url}/projects?dataset=clip", follow_redirects=True)
    assert answer.status_code == 200 and str(answer.url) == f"{prefixed.url}/?dataset=clip"
    assert "<title>Streamlit</title>" in answer.text


@pytest.mark.parametrize("place", ["annotate", "explore"])
def test_scripts_that_cannot_be_loaded_are_reported(page, prefixed, place):
    page.route("**/assets/**", lambda route: route.fulfill(status=404))
    page.goto(f"{prefixed.url}/{place}?dataset=clip")
    notice = page.get_by_role("alert").filter(has_text="scripts of this page could not be loaded")
    notice.wait_for()
    assert f"{prefixed.url}/assets/timeline/main.js" in notice.inner_text()
    assert "--server.baseUrlPath" in notice.inner_text()
