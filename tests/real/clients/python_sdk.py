"""Drives the `mcp` SDK as a client over HTTP: 2.x in either era, or 1.x, also over the old HTTP+SSE transport.

`python python_sdk.py URL MODE`, the bearer token in GRANT. Reads one request a line, writes one answer a
line: {"do":"tools"} gives {"tools":[names]}, {"do":"call","tool":..,"arguments":{..}} gives {"text":..,
"is_error":..}; a failure gives {"failed": words}. The first line it writes is {"connected": version}.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

BEARER = {"Authorization": f"Bearer {os.environ['GRANT']}"}


@asynccontextmanager
async def newer(url: str, mode: str) -> AsyncIterator[tuple[Any, str]]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(headers=BEARER, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client, client.protocol_version


@asynccontextmanager
async def older(url: str, _mode: str) -> AsyncIterator[tuple[Any, str]]:
    from mcp import ClientSession
    from mcp.client import streamable_http

    older_api: Any = streamable_http  # as it was in 1.x

    async with (
        older_api.streamablehttp_client(url, headers=BEARER) as (reading, writing, _),
        ClientSession(reading, writing) as session,
    ):
        greeting: Any = await session.initialize()
        yield session, greeting.protocolVersion


@asynccontextmanager
async def oldest(url: str, _mode: str) -> AsyncIterator[tuple[Any, str]]:
    from mcp import ClientSession
    from mcp.client.sse import sse_client

    async with (
        sse_client(url, headers=BEARER) as (reading, writing),
        ClientSession(reading, writing) as session,
    ):
        greeting: Any = await session.initialize()
        yield session, greeting.protocolVersion


async def answer(client: Any, asked: dict[str, Any]) -> dict[str, Any]:
    if asked["do"] == "tools":
        found = await client.list_tools()
        return {"tools": [tool.name for tool in found.tools]}
    result = await client.call_tool(asked["tool"], asked.get("arguments", {}))
    text = "".join(getattr(part, "text", "") for part in result.content)
    is_error = result.is_error if hasattr(result, "is_error") else result.isError
    return {"text": text, "is_error": bool(is_error)}


def words(failure: BaseException) -> str:
    """Dig the causes out of exception groups."""
    inner = getattr(failure, "exceptions", None)
    return "; ".join(map(words, inner)) if inner else f"{type(failure).__name__}: {failure}"


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


async def main(url: str, mode: str) -> None:
    try:
        connect = {"1.x": older, "1.x-sse": oldest}.get(mode, newer)
        async with connect(url, mode) as (client, version):
            say({"connected": version})
            while line := await asyncio.to_thread(sys.stdin.readline):
                try:
                    say(await asyncio.wait_for(answer(client, json.loads(line)), 30))
                except Exception as failure:  # noqa: BLE001 (whatever it is, the test hears of it)
                    say({"failed": words(failure)})
    except BaseException as failure:  # noqa: BLE001
        say({"failed": words(failure)})


asyncio.run(main(sys.argv[1], sys.argv[2]))
