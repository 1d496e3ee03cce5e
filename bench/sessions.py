"""A legacy MCP server that counts its sessions: what `bench.soak` puts behind the gateway.

`python -m bench.sessions` listens on a free port of the loopback and writes the port on standard output. It
serves `initialize`, `tools/list` and `tools/call` of `echo` in sessions, `GET` as the stream of a session,
`DELETE` as its end; `/count` answers how many sessions and streams are open, and how many ever were.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from typing import Any

from bench.answers import TOOL

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
RESULTS: dict[str, Any] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": True}},
        "serverInfo": {"name": "sessions", "version": "1"},
    },
    "tools/list": {"tools": [TOOL]},
    "tools/call": {"content": [{"type": "text", "text": "hello"}]},
}


class Sessions:
    """All sessions that are open, each with its stream if it has one."""

    def __init__(self) -> None:
        self.open: dict[str, asyncio.Event] = {}
        self.ever = 0
        self.streams = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ")
                parted = [line.partition(":") for line in lines[1:]]
                headers = {name.lower(): text.strip() for name, _, text in parted}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                if not await self.answer(method, path, headers, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; return whether the connection goes on."""
        session = headers.get("mcp-session-id", "")
        if path == "/count":
            counts = {"open": len(self.open), "streams": self.streams, "ever": self.ever}
            return await say(writer, 200, json.dumps(counts).encode())
        if method == "DELETE":
            return await say(writer, 200 if self.end(session) else 404)
        if method == "GET" and session in self.open:
            await self.stream(self.open[session], writer)
            return False
        return await self.reply(json.loads(body) if body else {}, session, writer)

    def end(self, session: str) -> bool:
        """End a session; return whether it was open."""
        end = self.open.pop(session, None)
        if end is not None:
            end.set()
        return end is not None

    async def reply(self, request: dict[str, Any], session: str, writer: asyncio.StreamWriter) -> bool:
        """Answer one message."""
        if request.get("method") == "server/discover":
            return await say(writer, 400, b'{"error":"no such thing"}')
        if request.get("method") == "initialize":
            session = secrets.token_hex(16)
            self.open[session] = asyncio.Event()
            self.ever += 1
        elif session not in self.open:
            return await say(writer, 404)
        if "id" not in request:
            return await say(writer, 202)
        answer = {"jsonrpc": "2.0", "id": request["id"], "result": RESULTS.get(request["method"], {})}
        return await say(writer, 200, json.dumps(answer).encode(), session)

    async def stream(self, end: asyncio.Event, writer: asyncio.StreamWriter) -> None:
        """Keep the stream of a session open until the session or the connection ends."""
        self.streams += 1
        try:
            writer.write(STREAM)
            while not end.is_set() and not writer.is_closing():
                try:
                    await asyncio.wait_for(end.wait(), 1.0)
                except TimeoutError:
                    writer.write(b"3\r\n:\n\n\r\n")
                    await writer.drain()
        finally:
            self.streams -= 1


async def say(writer: asyncio.StreamWriter, status: int, body: bytes = b"", session: str = "") -> bool:
    """Write one answer."""
    more = f"mcp-session-id: {session}\r\n" if session else ""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    writer.write(f"{head}{more}\r\n".encode() + body)
    await writer.drain()
    return True


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Sessions().serve, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
