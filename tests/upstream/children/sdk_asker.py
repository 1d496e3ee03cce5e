"""The official SDK's server, old or new, that asks its client: `sdk_asker.py {stdio,sse} [--port N]`.

Over HTTP+SSE it prints its port.
"""

from __future__ import annotations

import argparse
import json
import socket
from typing import Any

arguments = argparse.ArgumentParser()
arguments.add_argument("wire", choices=["stdio", "sse"])
arguments.add_argument("--port", type=int, default=0)
options = arguments.parse_args()

try:
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:  # 1.x
    from mcp.server.fastmcp import Context  # type: ignore[no-redef]
    from mcp.server.fastmcp import FastMCP as Server  # type: ignore[no-redef]
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

server: Any = Server("asker", instructions="be kind")


class Age(BaseModel):
    age: int


@server.tool()
async def echo(text: str) -> str:
    return text


@server.tool()
async def count(to: int, ctx: Context) -> str:  # type: ignore[type-arg]
    for number in range(to):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


@server.tool()
async def ask_model(text: str, ctx: Context) -> str:  # type: ignore[type-arg]
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    result = await ctx.session.create_message(messages=[message], max_tokens=5)
    return str(result.content.text)


@server.tool()
async def ask_person(text: str, ctx: Context) -> str:  # type: ignore[type-arg]
    if not hasattr(ctx, "elicit"):
        return "cannot"  # before 2025-06-18
    result = await ctx.elicit(message=text, schema=Age)
    return json.dumps([result.action, result.data.age if result.action == "accept" else None])


@server.tool()
async def ask_roots(ctx: Context) -> str:  # type: ignore[type-arg]
    return ",".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)


@server.tool()
async def change(ctx: Context) -> str:  # type: ignore[type-arg]
    if hasattr(ctx, "notify_tools_changed"):
        await ctx.notify_tools_changed()
    await ctx.session.send_tool_list_changed()
    return "changed"


if options.wire == "stdio":
    server.run("stdio")
else:
    import uvicorn

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen(64)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.sse_app(), log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])
