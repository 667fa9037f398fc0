"""The real server under a foreign host name: nothing can be read, written or shown by HTTP, WebSocket or Chromium."""

import functools
import re
import shutil
import socket
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from starlette.routing import Mount

from app.routes import routes

STREAMLIT = ["/", "/annotate", "/_stcore/health", "/_stcore/host-config", "/static/index.html"]


def handshake(port: int, host: str, origin: str) -> bytes:
    """Status with which Streamlit's WebSocket answers the handshake."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                           "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        return connection.makefile("rb").readline().split()[1]


def test_foreign_host_cannot_read_or_write(app, clip):
    evil = f"evil.com:{app.port}"
    headers = {"host": evil, "origin": f"http://{evil}", "sec-fetch-site": "same-origin"}
    own = [re.sub(r"\{\w+\}", "x", route.path) + ("/timeline/main.js" if isinstance(route, Mount) else "")
           for route in routes()]
    for path in {*own, *STREAMLIT, f"/labels/{clip}", f"/labels/{clip}/even", f"/videos/{clip}/even"}:
        answer = httpx.get(app.url + path, headers=headers)
        assert answer.status_code == 403 and "--server.allowedHosts" in answer.text, path
    body = {"who": "Ann", "video": "even", "since": 0, "operations": [
        {"id": "a", "video": "even", "kind": "add", "before": {},
         "after": {"p": {"video": "even", "label": "HighJump", "time": 1, "frame": 25}}}]}
    assert httpx.post(f"{app.url}/labels/{clip}", headers=headers, json=body).status_code == 403
    assert not (app.data / clip / "labels").exists()
    answer = httpx.post(f"{app.url}/labels/{clip}", json=body, headers={"sec-fetch-site": "same-origin"})
    assert answer.json()["acks"] == [{"id": "a", "seq": 1}]


def test_websocket_accepts_only_known_hosts(app):
    own, evil = f"localhost:{app.port}", f"evil.com:{app.port}"
    assert handshake(app.port, own, f"http://{own}") == b"101"
    assert handshake(app.port, evil, f"http://{evil}") == b"403"
    assert handshake(app.port, own, f"http://{evil}") == b"403"


def test_streamlit_responses_have_security_headers(app):
    for path in STREAMLIT:
        headers = httpx.get(app.url + path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin", path
        assert headers["content-security-policy"] == "frame-ancestors 'self'"
        assert headers["x-content-type-options"] == "nosniff"


@pytest.fixture(scope="module")
def rebound(browser):
    """A browser in which evil.test resolves to this machine."""
    with browser.browser_type.launch(executable_path=shutil.which("chromium"), args=[
            "--no-sandbox", "--host-resolver-rules=MAP evil.test 127.0.0.1"]) as browser:
        yield browser


def test_foreign_name_that_resolves_to_this_machine_is_refused(app, clip, rebound):
    page = rebound.new_page()
    answer = page.goto(f"http://evil.test:{app.port}/labels/{clip}")
    assert answer.status == 403
    read = page.evaluate("""async (clip) => {
      const answer = await fetch(`/labels/${clip}`, { method: "POST", headers: { "Content-Type": "application/json" },
                                 body: JSON.stringify({ who: "E", video: "even", since: 0, operations: [] }) });
      const socket = new WebSocket(`ws://${location.host}/_stcore/stream`);
      const opened = await new Promise((resolve) => {
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      });
      return [answer.status, opened];
    }""", clip)
    assert read == [403, False]
    assert page.goto(f"http://evil.test:{app.port}/").status == 403


@pytest.fixture
def elsewhere(tmp_path):
    """Address of another site on this machine."""
    (tmp_path / "index.html").write_text("<p>another site</p>")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://evil.test:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_another_site_cannot_frame_pages_or_embed_images(app, clip, rebound, elsewhere):
    page = rebound.new_page()
    page.goto(elsewhere)
    assert not page.evaluate("""(url) => {
      const image = new Image();
      image.src = url;
      return image.decode().then(() => true, () => false);
    }""", f"{app.url}/thumbs/{clip}/even?sprite")
    page.evaluate("(url) => { const f = document.createElement('iframe'); f.src = url; document.body.append(f); }",
                  app.url)
    assert len(page.frames) == 2
    page.frames[1].wait_for_function("() => location.href === 'chrome-error://chromewebdata/'")
