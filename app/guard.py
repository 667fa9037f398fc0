"""Which host names the server answers to, and the headers that keep other sites from reading its responses.

A page of another site cannot read this server's responses unless its name is made to resolve to this machine (DNS
rebinding). The browser then treats both as one site, and only the Host header tells them apart. So every request, to
our own routes, Streamlit's pages and its WebSocket, must name a host that this server is known by.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

IP_ADDRESSES = "(any ip address)"                       # literal ones; DNS rebinding needs a name
EVERYWHERE = (None, "", "0.0.0.0", "::")                # values of server.address that bind to all interfaces
HEADERS = [(b"cross-origin-resource-policy", b"same-origin"), (b"content-security-policy", b"frame-ancestors 'self'"),
           (b"x-content-type-options", b"nosniff")]


def known_hosts() -> list[str]:
    """Return the names and addresses that a Host header may give, in the form of `server.allowedHosts`.

    They are localhost, 127.0.0.1 and ::1; `server.address`, or this machine's own names and any IP address if it binds
    to all interfaces; `browser.serverAddress`; and the user's `server.allowedHosts`. Also sets `server.allowedHosts`,
    so that Streamlit's own check of its WebSocket accepts them.
    """
    address = config.get_option("server.address")
    own = socket.gethostname().partition(".")[0]
    names = ["localhost", "127.0.0.1", "::1", config.get_option("browser.serverAddress"),
             *((socket.gethostname(), own, f"{own}.local", IP_ADDRESSES) if address in EVERYWHERE else (address,)),
             *config.get_option("server.allowedHosts")]
    names = list(dict.fromkeys(_normal(name) for name in names if name))
    config.set_option("server.allowedHosts", ["*"] if IP_ADDRESSES in names else names)
    return names


def is_known(host: str, names: list[str]) -> bool:
    """Whether a Host header names one of `names`, with any port."""
    try:
        parts = urlsplit(f"//{host}")
        name = _normal(parts.hostname or "")
        if not name or parts.port == 0 or parts.netloc != host or parts.username is not None:
            return False
    except ValueError:
        return False
    if name in names or "*" in names:
        return True
    if any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in names):
        return True
    return IP_ADDRESSES in names and _is_ip_address(name)


def _normal(name: str) -> str:
    return name.strip().lower().rstrip(".").removeprefix("[").removesuffix("]")


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware that refuses requests for unknown hosts and adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp, names: list[str]):
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and is_known(hosts[0], self.names):
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            name = hosts[0][:80] if hosts else ""
            refusal = PlainTextResponse(
                f"This server does not answer to the host name {name!r}. Open it as localhost, or start it with "
                "--server.allowedHosts=NAME to add a name (see docs/reverse-proxy.md).\n", 403)
            await refusal(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return send_with_headers
