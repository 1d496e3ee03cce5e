"""A real MCP server under uvicorn that asks and tells, with events that can be resumed; prints its port."""

from __future__ import annotations

import asyncio
import json
import socket
import warnings
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventStore
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

warnings.simplefilter("ignore")
server = MCPServer("asking")
seen: list[str] = []


class Events(EventStore):
    """Keeps every event, numbered, with the stream that it belongs to."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.kept.append((stream_id, message))
        return str(len(self.kept))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        from mcp.server.streamable_http import EventMessage

        at = int(last_event_id)
        stream = self.kept[at - 1][0]
        for number, (of, message) in enumerate(self.kept[at:], at + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class Name(BaseModel):
    name: str


@server.tool()
async def elicit(ctx: Context) -> str:
    answer = await ctx.elicit("What is your name?", Name)
    return f"{answer.action} {getattr(answer, 'data', None) and answer.data.name}"  # type: ignore[union-attr]


@server.tool()
async def sample(ctx: Context) -> str:
    asked = SamplingMessage(role="user", content=TextContent(type="text", text="2+2?"))
    answer = await ctx.session.create_message([asked], max_tokens=9, related_request_id=ctx.request_id)
    return str(getattr(answer.content, "text", ""))


@server.tool()
async def roots(ctx: Context) -> str:
    return json.dumps([str(root.uri) for root in (await ctx.session.list_roots()).roots])


@server.tool()
async def change(ctx: Context) -> str:
    await ctx.session.send_tool_list_changed()
    await ctx.notify_tools_changed()
    return "changed"


@server.tool()
async def poll(ctx: Context) -> str:
    await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    await ctx.report_progress(1, 2)
    return "polled"


@server.tool()
async def look() -> str:
    return json.dumps(seen)


inner = server.streamable_http_app(event_store=Events(), retry_interval=50)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        seen.append(f"{scope['method']} {headers.get('last-event-id', '')}".strip())
    await inner(scope, receive, send)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1)).run(
    sockets=[listener]
)
