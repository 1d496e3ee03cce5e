"""Drives the `fastmcp` client; speaks to its caller as `python_sdk.py` does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport


async def answer(client: Any, asked: dict[str, Any]) -> dict[str, Any]:
    if asked["do"] == "tools":
        return {"tools": [tool.name for tool in await client.list_tools()]}
    result = await client.call_tool(asked["tool"], asked.get("arguments", {}), raise_on_error=False)
    text = "".join(getattr(part, "text", "") for part in result.content)
    return {"text": text, "is_error": bool(result.is_error)}


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


async def main(url: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['GRANT']}"}
    try:
        async with Client(StreamableHttpTransport(url, headers=headers), timeout=30) as client:
            say({"connected": "fastmcp"})
            while line := await asyncio.to_thread(sys.stdin.readline):
                try:
                    say(await answer(client, json.loads(line)))
                except Exception as failure:  # noqa: BLE001 (whatever it is, the test hears of it)
                    say({"failed": f"{type(failure).__name__}: {failure}"})
    except BaseException as failure:  # noqa: BLE001
        say({"failed": f"{type(failure).__name__}: {failure}"})


asyncio.run(main(sys.argv[1]))
