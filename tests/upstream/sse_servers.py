"""A server over HTTP+SSE that answers with exact bytes, and what a test needs to speak to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from coatcheck.model.call import Call, Caller, Notice, Reply
from coatcheck.model.era import Era
from coatcheck.model.server import Transport
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.sse.upstream import SseUpstream
from doubles.clients import ScriptedClient, gateway_itself
from upstream.permits import http_server, permit_for
from upstream.raw_servers import RawServer, Request, message, plain

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nAccepted"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
INITIALIZED = {
    "protocolVersion": "2024-11-05",
    "capabilities": {"tools": {"listChanged": True}, "resources": {"subscribe": True}},
    "serverInfo": {"name": "old", "version": "1"},
}
CALLER = Caller(Era.LEGACY, "2025-11-25", "a test")

Answer = Callable[["OldServer", Request], Coroutine[Any, Any, None]]


async def accept(server: OldServer, request: Request) -> None:
    """Answer every request with what it was, on the stream."""
    if request.id is not None and "method" in request.message:
        await server.say({"id": request.id, "result": {"of": request.method, **request.message["params"]}})


@dataclass
class OldServer:
    """Greets properly; `answer` gets the other messages, after they were accepted.

    `endpoint` is the template of the address to post to, sent after `opening` unless that is no stream as it
    should be. `refusing` are raw replies for the next messages.
    """

    answer: Answer = accept
    endpoint: str = "/messages?session_id={id}"
    opening: bytes = STREAM
    version: str = "2024-11-05"
    raw: RawServer = field(init=False)
    streams: list[asyncio.StreamWriter] = field(default_factory=list)
    opened: int = 0
    refusing: list[bytes] = field(default_factory=list)
    accepting: bytes = ACCEPTED
    early: bool = False
    answering: set[asyncio.Future[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.raw = RawServer(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.raw.port}/sse"

    async def _answer(self, request: Request, out: asyncio.StreamWriter) -> None:
        if request.line.startswith("GET "):
            self._open(request, out)
            return
        if request.line == "POST /sse HTTP/1.1":  # as of a client that speaks streamable HTTP
            out.write(plain(b"Method Not Allowed", "text/plain", "405 Method Not Allowed"))
            return
        if self.refusing:
            out.write(self.refusing.pop(0))
            return
        if not self.early:
            out.write(self.accepting)
            await out.drain()
        if request.method == "initialize":
            await self.say({"id": request.id, "result": INITIALIZED | {"protocolVersion": self.version}})
        elif request.method != "notifications/initialized":
            task = asyncio.create_task(
                self.answer(self, request)
            )  # the connection may serve another meanwhile
            self.answering.add(task)
            task.add_done_callback(self.answering.discard)
        if self.early:
            await asyncio.sleep(0.02)
            out.write(self.accepting)

    def _open(self, request: Request, out: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.streams.append(out)
        if not request.line.startswith("GET /sse"):
            out.write(plain(b"", status="404 Not Found"))
            return
        out.write(self.opening)
        if self.opening == STREAM:
            named = self.endpoint.format(id=self.opened, port=self.raw.port)
            out.write(b"event: endpoint\r\ndata: " + named.encode() + b"\r\n\r\n")

    async def say(self, value: dict[str, Any], stream: int = -1) -> None:
        """Send a message on a stream, the newest unless told otherwise."""
        out = self.streams[stream]
        out.write(b"event: message\ndata: " + message({"jsonrpc": "2.0", **value}) + b"\n\n")
        await out.drain()

    def hang_up(self, stream: int = -1) -> None:
        """End a stream."""
        self.streams[stream].close()

    def posted(self, method: str = "") -> list[dict[str, Any]]:
        """Return the messages that were posted: all, or those of one method."""
        posts = [request for request in self.raw.requests if request.line.startswith("POST ")]
        return [post.message for post in posts if method in ("", post.message.get("method", "(answer)"))]

    async def until(self, method: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many messages of a method."""
        while len(found := self.posted(method)) < count:
            await asyncio.sleep(0.005)
        return found


@dataclass
class Old:
    """An upstream under test and the server that it speaks to."""

    upstream: SseUpstream
    server: OldServer
    client: ScriptedClient
    notices: list[Notice] = field(default_factory=list)

    async def call(self, tool: str = "echo", arguments: object = None, token: bytes | None = None) -> Reply:
        meta = None if token is None else {"progressToken": token}
        wanted = permit_for(self.upstream.server, tool, arguments, meta=meta)
        return await self.upstream.forward(wanted, CALLER, self.notices.append)

    async def send(self, method: str, params: dict[str, Any]) -> Reply:
        members = {name: json.dumps(value).encode() for name, value in params.items()}
        wanted = replace(permit_for(self.upstream.server), call=Call(b"7", method, members))
        return await self.upstream.forward(wanted, CALLER, self.notices.append)


QUICK = HttpLimits(connect=5.0)


@asynccontextmanager
async def opened(
    server: OldServer | None = None,
    limits: HttpLimits = QUICK,
    client: ScriptedClient | None = None,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Old]:
    """Open a server and an upstream to it, and close both at the end."""
    server = server or OldServer()
    client = client or gateway_itself()
    async with server.raw:
        wanted = http_server(server.url, headers, transport=Transport.SSE)
        upstream = SseUpstream(wanted, Egress(True), limits, client)
        try:
            yield Old(upstream, server, client)
        finally:
            await upstream.close(0.0)
