"""An application behind one of our connections or uvicorn's, in this very loop, and what a client reads there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from uvicorn.server import ServerState

App = Callable[[Any, Any, Any], Awaitable[None]]
PATIENCE = 10.0


class Served:
    """An application with its connections. `seen` are the paths it was asked for."""

    def __init__(self) -> None:
        self.port = 0
        self.app: App = hello
        self.seen: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.state = ServerState()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        await self.app(scope, receive, send)


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(protocol: Any, *, keep_alive: float = 60) -> AsyncIterator[Served]:
    """Serve behind a protocol of uvicorn's signature."""
    served = Served()
    config = uvicorn.Config(served, http=protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    config.timeout_keep_alive = keep_alive  # type: ignore[assignment]

    def connection() -> Any:
        return protocol(config, served.state, {})

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        for writer in served.writers:
            writer.transport.abort()
        server.close()
        while served.state.connections or served.state.tasks:
            await asyncio.sleep(0.001)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one answer with a length."""
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return int(head.split(b" ")[1]), await reader.readexactly(length)


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the far side closes; return whether it said nothing more."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True
