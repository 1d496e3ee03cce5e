"""The official SDK's server, old or new, that asks its client: `sdk_asker.py {stdio,sse} [--port N]`.

Over HTTP+SSE it prints its port.
"""

import argparse
import json
import socket
from collections.abc import Callable
from typing import Any, TypeVar

try:
    from mcp.server.mcpserver import Context
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:  # 1.x, which takes no annotations that are text
    from mcp.server.fastmcp import Context  # type: ignore[attr-defined,no-redef]
    from mcp.server.fastmcp import FastMCP as Server  # type: ignore[attr-defined,no-redef]
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

arguments = argparse.ArgumentParser()
arguments.add_argument("wire", choices=["stdio", "sse"])
arguments.add_argument("--port", type=int, default=0)
options = arguments.parse_args()

server: Any = Server("asker", instructions="be kind")
Function = TypeVar("Function", bound=Callable[..., Any])


def tool(function: Function) -> Function:
    """Register a tool; says to the type checker what the two libraries say differently."""
    server.tool()(function)
    return function


class Age(BaseModel):
    age: int


@tool
async def echo(text: str) -> str:
    return text


@tool
async def count(to: int, ctx: Context) -> str:
    for number in range(to):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


@tool
async def ask_model(text: str, ctx: Context) -> str:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    result = await ctx.session.create_message(messages=[message], max_tokens=5)
    return str(result.content.text)


@tool
async def ask_person(text: str, ctx: Context) -> str:
    if not hasattr(ctx, "elicit"):
        return "cannot"  # before 2025-06-18
    result = await ctx.elicit(message=text, schema=Age)
    return json.dumps([result.action, result.data.age if result.action == "accept" else None])


@tool
async def ask_roots(ctx: Context) -> str:
    return ",".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)


@tool
async def change(ctx: Context) -> str:
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
