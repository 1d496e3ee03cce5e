"""A server over the old HTTP+SSE transport behind the gateway, named as such and found out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import mcp.types as types
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from gateway import Gateway, new_grant

SCRIPT = Path(__file__).parent.parent / "upstream" / "children" / "sdk_asker.py"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    grant, key = new_grant()
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), "sse"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert child.stdout is not None
        url = f"http://127.0.0.1:{int(child.stdout.readline())}/sse"
        servers = {"named": {"url": url, "type": "sse"}, "found": {"url": url}}
        auth = {"providers": ["bearer"], "bearer": {"tokens": {key: {"subject": "alice"}}}}
        place = tmp_path_factory.mktemp("sse") / "data"
        gateway = Gateway(place, {"mcpServers": servers, "serverAuth": auth})
        gateway.start()
        yield gateway, grant
        gateway.stop()
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("server", ["named", "found"])
def test_a_modern_client_calls_it(running: tuple[Gateway, str], server: str) -> None:
    gateway, grant = running
    answer = gateway.call(grant, f"{server}__echo", {"text": "over the old wire"})
    assert answer.json()["result"]["content"][0]["text"] == "over the old wire"
    refused = gateway.call(None, f"{server}__echo", {"text": "x"})
    assert refused.status == 401


@pytest.mark.parametrize("server", ["named", "found"])
async def test_it_asks_a_legacy_client(running: tuple[Gateway, str], server: str) -> None:
    gateway, grant = running

    async def sample(context: Any, params: Any) -> types.CreateMessageResult:
        content = types.TextContent(type="text", text="hi")
        return types.CreateMessageResult(role="assistant", content=content, model="m")

    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root.model_validate({"uri": "file:///a"})])

    headers = {"Authorization": f"Bearer {grant}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(gateway.route(server), http_client=http) as (read, write, *_),
        ClientSession(read, write, sampling_callback=sample, list_roots_callback=roots) as client,
    ):
        await client.initialize()
        for tool, arguments, text in (
            ("echo", {"text": "x"}, "x"),
            ("ask_model", {"text": "how are you"}, "hi"),
            ("ask_roots", {}, "file:///a"),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.content[0].text == text  # type: ignore[union-attr]
