"""Servers that answer with exact bytes: real sockets, and nothing between the test and the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

Answer = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def message(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def method(self) -> str:
        return str(self.message.get("method", "")) if self.body else self.line.split()[0]

    @property
    def id(self) -> Any:
        return self.message.get("id")


@dataclass
class RawServer:
    """Reads requests with Content-Length and hands each to `answer`, which writes what it likes."""

    answer: Answer
    ssl: Any = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.ssl else 'http'}://127.0.0.1:{self.port}/mcp"

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def sent(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while True:
                request = await self._read(reader, number)
                self.requests.append(request)
                await self.answer(request, writer)
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.closed += 1
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        line, *lines = head[:-4].split("\r\n")
        headers: dict[str, str] = {}
        for text in lines:
            name, _, value = text.partition(": ")
            assert name.lower() not in headers, f"{name} was sent twice"
            headers[name.lower()] = value
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Request(line, headers, body, number)


def plain(body: bytes, media: str = "application/json", status: str = "200 OK", *lines: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Type: {media}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def message(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def result(request: Request, value: object) -> bytes:
    return plain(message({"jsonrpc": "2.0", "id": request.id, "result": value}))


def fault(request: Request, code: int, text: str, status: str = "200 OK") -> bytes:
    error = {"code": code, "message": text}
    return plain(message({"jsonrpc": "2.0", "id": request.id, "error": error}), status=status)


def text_result(request: Request, text: str) -> bytes:
    return result(request, {"content": [{"type": "text", "text": text}]})


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: object) -> bytes:
    return b"event: message\ndata: " + message(value) + b"\n\n"


@dataclass
class Peer:
    """A raw server that greets properly in its era and leaves the rest to `answer`."""

    answer: Answer
    era: str = "legacy"
    session: str = "s-1"
    sessions: int = 0

    async def __call__(self, request: Request, out: asyncio.StreamWriter) -> None:
        method = request.method
        if self.era == "modern" and method == "server/discover":
            out.write(result(request, DISCOVERED))
        elif method == "server/discover":
            out.write(fault(request, -32000, "Bad Request: Server not initialized", "400 Bad Request"))
        elif self.era == "legacy" and method == "initialize":
            self.sessions += 1
            self.session = f"s-{self.sessions}"
            body = message({"jsonrpc": "2.0", "id": request.id, "result": INITIALIZED})
            out.write(plain(body, "application/json", "200 OK", f"Mcp-Session-Id: {self.session}"))
        elif method == "notifications/initialized":
            out.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        else:
            await self.answer(request, out)


DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28", "2025-11-25"],
    "capabilities": {"tools": {}},
    "instructions": "be kind",
    "ttlMs": 0,
    "cacheScope": "private",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "peer", "version": "1"}},
}
INITIALIZED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "peer", "version": "1"},
    "instructions": "be kind",
}
