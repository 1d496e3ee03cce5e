"""A real MCP server under uvicorn: `over_http.py {sdk,fastmcp} [--legacy] [--port N]`; prints its port.

With `--legacy` whatever carries a modern version is refused, as by a server of last year.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import uvicorn

arguments = argparse.ArgumentParser()
arguments.add_argument("kind", choices=["sdk", "fastmcp"])
arguments.add_argument("--legacy", action="store_true")
arguments.add_argument("--port", type=int, default=0)
options = arguments.parse_args()

seen: list[dict[str, str]] = []
cancelled: list[str] = []

if options.kind == "sdk":
    from mcp.server.mcpserver import Context, MCPServer

    server: Any = MCPServer("real", instructions="be kind")
else:
    from fastmcp import Context, FastMCP  # type: ignore[assignment]

    server = FastMCP("real", instructions="be kind")


Function = TypeVar("Function", bound=Callable[..., Any])


def tool(function: Function) -> Function:
    """Register a tool; says to the type checker what the two libraries say differently."""
    server.tool()(function)
    return function


@tool
async def echo(text: str) -> str:
    return text


@tool
async def count(to: int, ctx: Context) -> str:
    for number in range(to):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


@tool
async def sleep(name: str) -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        cancelled.append(name)
        raise
    return name


@tool
async def look() -> str:
    return json.dumps({"headers": seen[-1], "cancelled": cancelled})


inner = server.streamable_http_app() if options.kind == "sdk" else server.http_app()


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen.append(headers)
        if options.legacy and headers.get("mcp-protocol-version", "").startswith("2026"):
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Request"})
            return
    await inner(scope, receive, send)


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", options.port))
listener.listen(256)
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
uvicorn.Server(config).run(sockets=[listener])
