"""A reverse proxy that serves an app under a prefix and strips it: stripping_proxy.py PORT APP_PORT PREFIX."""

import asyncio
import contextlib
import sys


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
    sink.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, app_port: int, prefix: str) -> None:
    """Forward one request or WebSocket, with the browser's Host header."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
        return
    first, *lines = head.split("\r\n")
    method, path, version = first.split(" ")
    if not path.startswith(f"{prefix}/"):
        print("outside the prefix:", path, flush=True)
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        return
    if "upgrade: websocket" not in head.lower():
        lines = ["Connection: close", *(line for line in lines if not line.lower().startswith("connection:"))]
    up_reader, up_writer = await asyncio.open_connection("127.0.0.1", app_port)
    up_writer.write("\r\n".join([f"{method} {path.removeprefix(prefix)} {version}", *lines]).encode("latin-1"))
    await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))


async def main(port: int, app_port: int, prefix: str) -> None:
    server = await asyncio.start_server(lambda *pair: serve(*pair, app_port, prefix), "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
