"""A whole gateway on this loop, and one call through it, where a test needs to reach inside as well."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from coatcheck.app.compose import Gateway
from coatcheck.app.listening import bind, http_on
from coatcheck.app.run import background, door_of
from coatcheck.config import load_config
from coatcheck.front.protocol import GuardedProtocol


@asynccontextmanager
async def a_gateway(folder: Path) -> AsyncIterator[tuple[Gateway, httpx2.AsyncClient]]:
    config = load_config({"http": "127.0.0.1:0", "data": str(folder)}, {})
    with contextlib.closing(bind(config.http)) as listening:
        gateway = await Gateway.open(config, {})
        gateway.address = f"127.0.0.1:{listening.getsockname()[1]}"
        door = door_of(gateway, listening, mcp=True)
        at = f"http://{gateway.address}"
        async with (
            background(gateway),
            http_on(door, listening, GuardedProtocol),
            httpx2.AsyncClient(base_url=at, timeout=30) as http,
        ):
            try:
                yield gateway, http
            finally:
                await gateway.close()


async def call(http: httpx2.AsyncClient) -> str:
    head = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "echo",
    }
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "echo", "arguments": {}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return (await http.post("/mcp/github/", json=message, headers=head)).text
