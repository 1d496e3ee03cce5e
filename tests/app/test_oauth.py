"""A whole gateway with a server that wants OAuth: tokens outlive a restart, and are nowhere to be read."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from coatcheck.app.compose import Gateway
from coatcheck.app.listening import bind, http_on
from coatcheck.app.real import SystemClock
from coatcheck.app.run import background, door_of
from coatcheck.config import load_config
from coatcheck.front.protocol import GuardedProtocol
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.patches import NewServer, OauthWanted
from doubles.authorization import World


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
            httpx2.AsyncClient(base_url=at) as http,
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


async def test_tokens_outlive_a_restart_and_are_nowhere_to_be_read(tmp_path: Path) -> None:
    async with World(SystemClock(), life=300.0, echo=lambda one: one.headers["authorization"]) as world:
        async with a_gateway(tmp_path) as (gateway, http):
            wanted = OauthWanted(client_id="ours", client_secret=Secret("planted-client-secret"))
            await gateway.registered.servers.add(
                LOCAL_ACTOR, NewServer("github", Secret(world.url), oauth=wanted)
            )
            assert "never connected: coatcheck credential connect github-oauth" in await call(http)
            begun = await gateway.oauth.connecting.begin(LOCAL_ACTOR, "github-oauth", str(http.base_url))
            page = await http.get(f"/oauth/callback?{urlencode(world.authorize(begun.url))}")
            assert (page.status_code, "Connected" in page.text) == (200, True)
            assert "Bearer [redacted]" in await call(http)
            assert (await http.get("/oauth/callback?state=x")).status_code == 404
        assert len(world.grants("authorization_code")) == 1
        async with a_gateway(tmp_path) as (gateway, http):
            assert "Bearer [redacted]" in await call(http)
            assert not world.grants("refresh_token")
        found = [path for path in tmp_path.rglob("*") if path.is_file() and b"planted" in path.read_bytes()]
        assert found == []
