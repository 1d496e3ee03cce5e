"""The official SDK's own server: `sdk_peer.py stdio`, or `sdk_peer.py http [legacy]`, which prints its port."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import Completion

server = MCPServer("sdk", instructions="Add,\n\tthen  greet. \u00fc")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Count, with progress."""
    for number in range(to):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("it went wrong")


@server.prompt()
def greet(name: str) -> str:
    """Greet someone."""
    return f"Say hello to {name}"


@server.resource("note://one")
def note() -> str:
    """Read one note."""
    return "the first note"


@server.resource("note://{number}/text")
def numbered(number: str) -> str:
    """Read any note."""
    return f"note {number}"


@server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
async def complete(ref: Any, argument: Any, context: Any) -> Completion:
    return Completion(values=[f"{argument.value}nna", f"{argument.value}nton"])


class LegacyOnly:
    """Answers modern requests as a server does that never heard of them."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers", ()))
        if headers.get(b"mcp-protocol-version") != b"2026-07-28":
            await self.app(scope, receive, send)
            return
        error = {"code": -32000, "message": "Bad Request: Server not initialized"}
        body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 400, "headers": head})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        app: Any = server.streamable_http_app()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            print(listening.getsockname()[1], flush=True)
            app = LegacyOnly(app) if "legacy" in sys.argv else app
            config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
            uvicorn.Server(config).run(sockets=[listening])
