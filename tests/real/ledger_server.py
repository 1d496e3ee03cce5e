"""A small server of the era without sessions, written with the official SDK: `ledger_server.py (--stdio | --port N)`.

It has what the reference servers have not yet: lists and resources that change while a client listens, arguments
that travel in headers, and a call that tells whether it was given up.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resources import TextResource
from pydantic import Field

server = MCPServer("ledger", version="1.0.0", instructions="Write, and read what was written.")
entries = {"first": "one coat", "second": "two hats"}
given_up = 0

Region = Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]
Row = Annotated[int, Field(json_schema_extra={"x-mcp-header": "Row"})]


@server.resource("ledger://{name}")
def entry(name: str) -> str:
    """Read one entry."""
    return entries[name]


@server.tool()
async def write(name: str, text: str, ctx: Context) -> str:
    """Change an entry, and tell whoever watches it."""
    entries[name] = text
    await ctx.notify_resource_updated(f"ledger://{name}")
    return f"{name}: {text}"


@server.tool()
async def open_page(name: str, ctx: Context) -> str:
    """Add a resource, a prompt and a tool, and tell whoever listens."""
    server.add_resource(TextResource(uri=f"ledger://pages/{name}", name=name, text=f"page {name}"))
    await ctx.notify_resources_changed()

    @server.prompt(name=f"sum_{name}")
    def sum_up() -> str:
        return f"Sum up page {name}"

    await ctx.notify_prompts_changed()

    @server.tool(name=f"sign_{name}")
    def sign() -> str:
        return f"signed {name}"

    await ctx.notify_tools_changed()
    return "opened"


@server.tool()
def where(region: Region, row: Row, note: str, ctx: Context) -> dict[str, str | None]:
    """Tell what came in headers, and what in the arguments."""
    found = ctx.headers or {}
    told = {name: found.get(f"mcp-param-{name}") for name in ("region", "row", "note")}
    return {
        **told,
        "method": found.get("mcp-method"),
        "name": found.get("mcp-name"),
        "in": f"{region} {row} {note}",
    }


@server.tool()
async def ponder(ctx: Context) -> str:
    """Take so long that nobody waits for it."""
    global given_up
    await ctx.report_progress(1, 2, "pondering")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        given_up += 1
        raise
    return "an idea"


@server.tool()
def count_given_up() -> int:
    """Tell how many calls were given up."""
    return given_up


def main() -> None:
    """Serve until the end of the input, or for ever."""
    parser = argparse.ArgumentParser()
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--stdio", action="store_true")
    way.add_argument("--port", type=int)
    asked = parser.parse_args()
    if asked.stdio:
        server.run("stdio")
    else:
        app = server.streamable_http_app()
        uvicorn.run(app, host="127.0.0.1", port=asked.port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
