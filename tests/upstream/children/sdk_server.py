"""The official SDK's own server over stdio, which speaks both eras."""

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("sdk", instructions="count")


@server.tool()
async def count(to: int, ctx: Context) -> str:
    """Count, with progress."""
    for number in range(to):
        await ctx.report_progress(number, to)
    return f"counted to {to}"


if __name__ == "__main__":
    server.run("stdio")
