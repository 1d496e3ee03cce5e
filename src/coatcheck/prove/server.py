"""An MCP server to be called by a gateway under proof: it notes every call in a synced file, and looks first.

`python -m coatcheck.prove.server NOTES DATABASE` listens on a free port of the loopback and writes the port
on standard output. Before it notes a call, it looks for its record in the gateway's database.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any, Final

TOOL: Final = "note"
_TOOLS: Final = [
    {
        "name": TOOL,
        "description": "Note that it was called.",
        "inputSchema": {
            "type": "object",
            "properties": {"mark": {"type": "string"}},
            "required": ["mark"],
        },
    }
]
_COMPLETE: Final[dict[str, Any]] = {"resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public"}
_DISCOVERED: Final = {
    **_COMPLETE,
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "noting", "version": "1"}},
}
_MOST_BODY: Final = 65_536


class Records:
    """The marks of the calls that the database has a record of, as another program sees it."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._marks: set[str] = set()
        self._last = 0

    def has(self, mark: str) -> bool:
        """Tell whether the record of a call is committed by now."""
        if mark not in self._marks:
            self._read()
        return mark in self._marks

    def _read(self) -> None:
        query = "SELECT position, stored FROM record WHERE position > ? ORDER BY position"
        connection = sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            for position, stored in connection.execute(query, (self._last,)):
                self._last = position
                self._marks.add(mark_of(json.loads(stored)["record"]["request_id"]))
        finally:
            connection.close()


def mark_of(request_id: str) -> str:
    """Return the id of a request as a plain text, as which the proofs give it."""
    return request_id.strip('"')


class Noting:
    """Answers requests; `notes` is an open file that is appended to."""

    def __init__(self, notes: int, records: Records) -> None:
        self._notes = notes
        self._records = records

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other, until it ends."""
        try:
            while (body := await _body(reader)) is not None:
                status, answer = self._answer(json.loads(body or b"{}"))
                head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
                writer.write(f"{head}content-length: {len(answer)}\r\n\r\n".encode() + answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    def _answer(self, request: dict[str, Any]) -> tuple[str, bytes]:
        id, result = request.get("id"), self._result(request.get("method"), request.get("params") or {})
        if result is not None:
            return "200 OK", json.dumps({"jsonrpc": "2.0", "id": id, "result": result}).encode()
        error = {"code": -32601, "message": "Method not found"}
        return "404 Not Found", json.dumps({"jsonrpc": "2.0", "id": id, "error": error}).encode()

    def _result(self, method: Any, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "server/discover":
            return _DISCOVERED
        if method == "tools/list":
            return {**_COMPLETE, "tools": _TOOLS}
        if method != "tools/call":
            return None
        mark = str(params["arguments"]["mark"])
        self._note(mark)
        return {"resultType": "complete", "content": [{"type": "text", "text": mark}], "isError": False}

    def _note(self, mark: str) -> None:
        try:
            word = "recorded" if self._records.has(mark) else "unrecorded"
        except sqlite3.Error:
            word = "unseen"  # the database could not be looked into: what is compared at the end decides
        os.write(self._notes, f"{mark} {word}\n".encode())
        os.fsync(self._notes)


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    """Return the body of the next request, or None at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    for line in head.split(b"\r\n"):
        name, _, text = line.partition(b":")
        if name.lower() == b"content-length":
            return await reader.readexactly(min(int(text), _MOST_BODY))
    return b""


async def main(notes: str, database: str) -> None:
    """Serve until killed."""
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    noting = Noting(file, Records(Path(database)))
    server = await asyncio.start_server(noting.connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
