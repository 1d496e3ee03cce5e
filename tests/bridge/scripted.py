"""A scripted gateway: sessions as the protocol has them, and answers as the test writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bridge.conversation import until
from upstream.raw_servers import RawServer, Request, message, plain, result

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
NO_STREAM = plain(b"", "application/json", "405 Method Not Allowed", "Allow: POST, DELETE")
GONE = b"HTTP/1.1 204 No Content\r\n\r\n"
OPEN_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

Step = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def framed(value: Any, id: str = "") -> bytes:
    """Write one event."""
    return (f"id: {id}\n".encode() if id else b"") + b"data: " + message(value) + b"\n\n"


def answer_of(request: Request, value: Any, id: str = "") -> bytes:
    """Write the event that replies to a request."""
    return framed({"jsonrpc": "2.0", "id": request.id, "result": value}, id)


def lost_session(request: Request) -> bytes:
    """Write what a gateway says that does not know the session."""
    error = {"code": -32600, "message": "Session not found: open a new one with `initialize`."}
    id = request.id if request.body else None
    return plain(message({"jsonrpc": "2.0", "id": id, "error": error}), status="404 Not Found")


@dataclass
class Scripted:
    """A gateway with sessions; requests go to `steps` by method, and get an empty result without one."""

    steps: dict[str, Step] = field(default_factory=dict)
    capabilities: dict[str, Any] = field(default_factory=dict)
    version: str = "2025-11-25"
    known: set[str] = field(default_factory=set)
    opened: int = 0
    server: RawServer = field(init=False)

    async def __call__(self, request: Request, out: asyncio.StreamWriter) -> None:
        method = request.method
        session = request.headers.get("mcp-session-id")
        if method == "initialize" and method not in self.steps:
            self.opened += 1
            self.known.add(f"s-{self.opened}")
            greeting = {"protocolVersion": self.version, "capabilities": self.capabilities, "serverInfo": {"name": "scripted", "version": "1"}}  # fmt: skip
            body = message({"jsonrpc": "2.0", "id": request.id, "result": greeting})
            out.write(plain(body, "application/json", "200 OK", f"Mcp-Session-Id: s-{self.opened}"))
        elif session is not None and session not in self.known:
            out.write(lost_session(request))
        elif method in self.steps:
            await self.steps[method](request, out)
        elif method == "GET":
            out.write(NO_STREAM)
        elif method == "DELETE":
            out.write(GONE)
        elif request.id is None or not request.message.get("method"):
            out.write(ACCEPTED)
        else:
            out.write(result(request, {}))

    async def forget(self) -> None:
        """Lose every session, as a restart does; but let the client finish its handshake first."""
        await until(lambda: self.server.sent("GET"))
        self.known.clear()


@asynccontextmanager
async def scripted(**steps: Step) -> AsyncIterator[Scripted]:
    """Run a scripted gateway; `tools_call=step` is the step for `tools/call`."""
    gateway = Scripted({name.replace("_", "/"): step for name, step in steps.items()})
    async with RawServer(gateway) as server:
        gateway.server = server
        yield gateway


def writing(*pieces: bytes, close: bool = False) -> Step:
    """Return a step that writes these bytes."""

    async def step(request: Request, out: asyncio.StreamWriter) -> None:
        for piece in pieces:
            out.write(piece)
            await out.drain()
        if close:
            out.close()

    return step


async def breaking(request: Request, out: asyncio.StreamWriter) -> None:
    """Break the connection without an answer."""
    out.transport.abort()


def free_headers(request: Request) -> dict[str, str]:
    """Return the headers that are the protocol's own."""
    return {name: value for name, value in request.headers.items() if name.startswith("mcp-")}
