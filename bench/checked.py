"""A server on the official SDK that checks what it is given against a file, and notes whose call it was.

`checked.py FILE --http` listens on a free port of the loopback and writes the port on standard output;
`checked.py FILE --stdio` is a child that got its token in `TOKEN`. FILE is JSON, and read anew each time:
`tokens` (token -> label), `open` (everything is taken), `slow` (seconds that a list takes), `held` (`lists`
or `linger`: those wait until it says otherwise). Each request goes to `FILE.log` as one line: label, time on
the monotonic clock, method. No token is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from starlette.types import ASGIApp, Receive, Scope, Send

UNKNOWN = "unknown"


class Accepted:
    """The file of tokens, and the log beside it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._log = os.open(f"{file}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def rules(self) -> dict[str, Any]:
        """Read the file as it is now."""
        found: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        return found

    async def let_go(self, what: str) -> None:
        """Return once this is not held."""
        while self.rules().get("held") == what:
            await asyncio.sleep(0.02)

    def label(self, token: str) -> str | None:
        """Return whose token this is; None if it is refused."""
        rules = self.rules()
        label: str | None = rules["tokens"].get(token)
        return label or (UNKNOWN if rules.get("open") else None)

    def note(self, label: str | None, method: str) -> None:
        """Write a line, whole or not at all."""
        os.write(self._log, f"{label or 'refused'} {time.monotonic():.6f} {method}\n".encode())


class Checked:
    """Refuses requests without a good token, as an API does."""

    def __init__(self, app: ASGIApp, accepted: Accepted) -> None:
        self._app = app
        self._accepted = accepted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        label = self._accepted.label(token_of(headers))
        self._accepted.note(label, headers.get(b"mcp-method", b"-").decode())
        if label is None:
            start = {
                "type": "http.response.start",
                "status": 401,
                "headers": [(b"content-type", b"application/json")],
            }
            await send(start)
            await send({"type": "http.response.body", "body": b'{"message": "Bad credentials"}'})
            return
        if headers.get(b"mcp-method") != b"tools/call":
            await asyncio.sleep(self._accepted.rules().get("slow", 0))
            await self._accepted.let_go("lists")
        # Judged once: the token may be revoked before the tool runs.
        named = [*scope["headers"], (b"x-label", label.encode())]
        await self._app({**scope, "headers": named}, receive, send)


def token_of(headers: dict[bytes, bytes]) -> str:
    """Return the token of a request's headers."""
    return headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")


def served(accepted: Accepted, own: str) -> MCPServer:
    """Make the server; `own` is the token of a child, empty over HTTP."""
    server = MCPServer("checked", version="1.0.0")

    def whose(ctx: Context) -> str:
        label = accepted.label(own) if own else (ctx.headers or {}).get("x-label")
        accepted.note(label, "which")
        if label is None:
            raise ValueError("Bad credentials")
        return label

    @server.tool(structured_output=False)
    def which(ctx: Context) -> str:
        """Tell whose token came with this call."""
        return whose(ctx)

    @server.tool(structured_output=False)
    async def linger(seconds: float, ctx: Context) -> str:
        """Tell whose token came with this call, later."""
        label = whose(ctx)
        await asyncio.sleep(seconds)
        await accepted.let_go("linger")
        return label

    return server


def main() -> None:
    """Serve until the end of the input, or for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--stdio", action="store_true")
    way.add_argument("--http", action="store_true")
    asked = parser.parse_args()
    accepted = Accepted(asked.file)
    if asked.stdio:
        served(accepted, os.environ["TOKEN"]).run("stdio")
        return
    app = Checked(served(accepted, "").streamable_http_app(), accepted)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
