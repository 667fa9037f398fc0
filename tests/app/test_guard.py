"""Which host names the server answers to, and the headers that keep other sites from reading its responses."""

import re
import socket

import httpx
import pytest
from serving import serving
from starlette.routing import Mount
from streamlit import config

from app.guard import is_known, known_hosts
from app.routes import routes

ADDRESSES = sorted({re.sub(r"\{\w+\}", "x", route.path) + ("/timeline/main.js" if isinstance(route, Mount) else "")
                    for route in routes()})


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("world")) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_route_refuses_a_foreign_host(http, address, method):
    port = http.base_url.port
    headers = {"host": f"evil.com:{port}", "origin": f"http://evil.com:{port}", "sec-fetch-site": "same-origin"}
    answer = http.request(method, address, headers=headers, content=b"{}")
    assert answer.status_code == 403
    assert method == "HEAD" or re.fullmatch(r".*'evil\.com:\d+'\..*--server\.allowedHosts.*\n", answer.text)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_response_has_protective_headers(http, address):
    headers = http.get(address).headers
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "127.0.0.1"], ["127.0.0.1", "evil.com"]])
def test_request_must_name_exactly_one_host(http, hosts):
    with socket.create_connection(("127.0.0.1", http.base_url.port), 5) as connection:
        lines = ["GET /labels/x HTTP/1.0", *(f"Host: {host}" for host in hosts), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        status = connection.makefile("rb").readline().split()[1]
    assert status in (b"400", b"403")


NAMES = ["localhost", "127.0.0.1", "::1", "lab-pc", "*.lab.org"]


@pytest.mark.parametrize(("host", "known"), [
    ("localhost", True), ("localhost:8501", True), ("LOCALHOST:1", True), ("localhost.:8501", True),
    ("127.0.0.1:8501", True), ("[::1]:8501", True), ("[::1]", True), ("lab-pc:80", True), ("a.lab.org", True),
    ("evil.com", False), ("evil.com:8501", False), ("localhost.evil.com", False), ("evillab.org", False),
    ("lab.org", False), ("127.0.0.1.evil.com", False), ("192.168.1.7:8501", False), ("0.0.0.0:8501", False),
    ("localhost@evil.com", False), ("evil.com@localhost", False), ("localhost/x", False), ("localhost:x", False),
    ("localhost:99999", False), ("localhost#", False), ("localhost, evil.com", False), ("[::1", False), ("", False),
    (":8501", False), ("2130706433", False)])
def test_known_and_unknown_hosts(host, known):
    assert is_known(host, NAMES) is known


@pytest.fixture
def options():
    """Set Streamlit's options for one test."""
    before = {name: config.get_option(name) for name in
              ("server.address", "server.allowedHosts", "browser.serverAddress")}
    yield config.set_option
    for name, value in before.items():
        config.set_option(name, value)


@pytest.mark.parametrize(("address", "yes", "no"), [
    ("localhost", ["localhost:1", "127.0.0.1", "[::1]"], ["192.168.1.7", "lab-pc", "evil.com"]),
    ("192.168.1.7", ["192.168.1.7:8501", "localhost"], ["192.168.1.8", "evil.com"]),
    ("lab-pc", ["lab-pc:8501", "127.0.0.1"], ["192.168.1.7", "lab-pc.evil.com"]),
    ("0.0.0.0", ["192.168.1.7:8501", "[fe80::1]:8501", "machine", "machine.local:8501", "machine.uni.edu"],
     ["evil.com:8501", "machine.evil.com", "192.168.1.7.evil.com"])])
def test_server_address_determines_known_hosts(options, monkeypatch, address, yes, no):
    monkeypatch.setattr(socket, "gethostname", lambda: "machine.uni.edu")
    options("server.address", address)
    names = known_hosts()
    assert [host for host in [*yes, *no] if is_known(host, names)] == yes


def test_host_names_can_be_added(options):
    options("server.address", "localhost")
    options("server.allowedHosts", ["Studio.example.org", "*.hub.org"])
    options("browser.serverAddress", "front.example.org")
    names = known_hosts()
    for host in ("studio.example.org:443", "me.hub.org", "front.example.org", "localhost:8501"):
        assert is_known(host, names)
    assert not is_known("example.org", names)
    assert set(config.get_option("server.allowedHosts")) == set(names)       # Streamlit's WebSocket check
