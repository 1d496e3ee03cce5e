"""Servers that check what they are given on each call, over HTTP and as a child, and say which it was."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Self

CHILD = Path(__file__).with_name("token_child.py")
COMMAND = sys.executable
TOOLS = [{"name": "which", "inputSchema": {"type": "object"}}]
GREETING = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "checks", "version": "1"},
}


class TokenServer:
    """A legacy server over HTTP with sessions. `good` maps what it takes to a label, which calls are told.

    `slow` are the seconds that a call takes. `calls` are the labels of calls in the order they came;
    `bad` counts the requests that it refused.
    """

    def __init__(self, good: dict[str, str], slow: float = 0.002) -> None:
        self.good = good
        self.slow = slow
        self.calls: list[str] = []
        self.greeted: list[str] = []
        self.bad = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/mcp"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower()
                body = await reader.readexactly(_length(head))
                await self._answer(head, body, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, head: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        label = next((label for good, label in self.good.items() if good in head), None)
        if label is None:
            self.bad += 1
            return _write(
                writer, "401 Unauthorized", {"error": "invalid_token", "message": "Bad credentials"}
            )
        if not body:
            return _write(writer, "405 Method Not Allowed" if head.startswith("get") else "200 OK", None)
        message = json.loads(body)
        if "id" not in message:
            return _write(writer, "202 Accepted", None)
        return _write(writer, "200 OK", await self._reply(message, label))

    async def _reply(self, message: dict[str, Any], label: str) -> dict[str, Any]:
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        method = message["method"]
        if method == "initialize":
            self.greeted.append(label)
            return reply | {"result": GREETING}
        if method == "tools/list":
            return reply | {"result": {"tools": TOOLS}}
        if method == "tools/call":
            self.calls.append(label)
            await asyncio.sleep(self.slow)
            return reply | {"result": {"content": [{"type": "text", "text": label}]}}
        return reply | {"error": {"code": -32601, "message": "Method not found"}}


def _length(head: str) -> int:
    return next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)


def _write(writer: asyncio.StreamWriter, status: str, value: object) -> None:
    body = b"" if value is None else json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    if b'"tools"' in body:
        lines.append("github-authentication-token-expiration: 2027-02-03 04:05:06 UTC")
    if b'"protocolVersion"' in body:
        lines.append("Mcp-Session-Id: s-1")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
