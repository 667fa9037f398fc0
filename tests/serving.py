"""Serve the app's own routes on a separate port, without Streamlit."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from app.guard import Guard
from app.routes import routes


@contextlib.contextmanager
def serving(world: Path) -> Iterator[str]:
    """Serve the data sets in world/dataset and the runs in world/ckpt; yields the address."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as listener:
        patch.setenv("HRPRO_DATA", str(world / "dataset"))
        patch.setenv("HRPRO_CKPT", str(world / "ckpt"))
        app = Starlette(routes=routes(), middleware=[Middleware(Guard, names=["127.0.0.1"])])
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
