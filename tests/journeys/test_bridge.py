"""The official client over standard input and output, `coatcheck bridge`, a real gateway and a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.types import CreateMessageResult, TextContent

from conftest import MakeGateway
from gateway import Gateway, new_grant
from journeys.peer import Peer, peer_serving

SDK_SERVER = str(Path(__file__).parent / "children" / "sdk_peer.py")
SDK_ASKER = str(Path(__file__).parents[1] / "upstream" / "children" / "sdk_asker.py")
PATIENCE = 25.0
MODERN = "2026-07-28"


@pytest.fixture
def peer() -> Iterator[Peer]:
    with peer_serving() as running:
        yield running
        running.release.set()


def declared(peer: Peer, *keys: str) -> dict[str, Any]:
    servers = {"srv": peer.declared(), "sdk": {"command": sys.executable, "args": [SDK_SERVER, "stdio"]}}
    tokens = {key: {"subject": f"subject-{number}"} for number, key in enumerate(keys)}
    return {"mcpServers": servers, "serverAuth": {"provider": "bearer", "bearer": {"tokens": tokens}}}


@asynccontextmanager
async def bridged(
    url: str, mode: str, words: Path, *arguments: str, grant: str = "", **callbacks: Any
) -> AsyncIterator[Client]:
    """Start the bridge as a client does, and connect the client to it."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COATCHECK_")}
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "coatcheck", "bridge", url, *arguments],
        env={**kept, **({"COATCHECK_GRANT": grant} if grant else {})},
    )
    with words.open("w") as errlog:
        async with asyncio.timeout(PATIENCE * 2):
            async with Client(stdio_client(parameters, errlog=errlog), mode=mode, **callbacks) as client:
                yield client
    assert grant == "" or grant not in words.read_text()


async def call(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    return "".join(getattr(part, "text", "") for part in result.content)


async def in_thread(work: Callable[[], Any]) -> Any:
    """Run what blocks, such as starting a gateway, beside the client."""
    return await asyncio.to_thread(work)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client_does_everything_through_it(
    make_gateway: MakeGateway, peer: Peer, tmp_path: Path, mode: str
) -> None:
    grant, key = new_grant()
    gateway = make_gateway(declared(peer, key))
    async with bridged(gateway.url, mode, tmp_path / "words", grant=grant) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else MODERN)
        assert {"sdk__add", "srv__echo"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert await call(client, "sdk__add", a=1, b=2) == "3"
        told: list[float] = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            told.append(progress)

        result = await client.call_tool("sdk__count", {"to": 3}, progress_callback=progress)
        assert getattr(result.content[0], "text", "") == "counted to 3"
        assert told == [0.0, 1.0, 2.0]
        assert (await client.call_tool("sdk__fail", {})).is_error
        prompt = await client.get_prompt("sdk__greet", {"name": "Ada"})
        assert "Ada" in getattr(prompt.messages[0].content, "text", "")
        resource = await client.read_resource("note://one")
        assert getattr(resource.contents[0], "text", "") == "the first note"
        many = await asyncio.gather(*(call(client, "sdk__add", a=number, b=1) for number in range(20)))
        assert many == [str(number + 1) for number in range(20)]
        with pytest.raises(MCPError, match="Unknown tool"):
            await client.call_tool("sdk__none", {})
    assert (tmp_path / "words").read_text() == ""
    clients = {entry["client_name"] for entry in gateway.logs()}
    assert len(clients) == 1  # the bridge is nobody: the record names the client


async def test_a_server_asks_the_client_through_it(
    make_gateway: MakeGateway, peer: Peer, tmp_path: Path
) -> None:
    grant, key = new_grant()
    asker = {"command": sys.executable, "args": [SDK_ASKER, "stdio"]}
    gateway = make_gateway({**declared(peer, key), "mcpServers": {"asker": asker}})

    async def sample(context: Any, params: Any) -> CreateMessageResult:
        said = TextContent(type="text", text=f"heard {params.messages[0].content.text}")
        return CreateMessageResult(role="assistant", content=said, model="none")

    words = tmp_path / "words"
    async with bridged(gateway.url, "legacy", words, grant=grant, sampling_callback=sample) as client:
        assert await call(client, "asker__ask_model", text="this") == "heard this"


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_a_gateway_that_is_killed_and_started_again_goes_unnoticed(
    make_gateway: MakeGateway, peer: Peer, tmp_path: Path, mode: str
) -> None:
    grant, key = new_grant()
    gateway = make_gateway({**declared(peer, key), "mcpServers": {"srv": peer.declared()}})
    async with bridged(gateway.url, mode, tmp_path / "words", grant=grant) as client:
        assert (await client.call_tool("srv__echo", {"n": 1})).content
        hanging = asyncio.create_task(client.call_tool("srv__hang", {}))
        await in_thread(lambda: peer.until(lambda: peer.hanging == 1))
        await in_thread(lambda: gateway.stop(signal.SIGKILL))
        with pytest.raises(MCPError, match="may have been acted on"):
            await hanging
        waiting = [asyncio.create_task(client.call_tool("srv__echo", {"n": n})) for n in range(3)]
        await in_thread(gateway.start)
        assert [bool(result.content) for result in await asyncio.gather(*waiting)] == [True] * 3
        assert "srv__echo" in {tool.name for tool in (await client.list_tools()).tools}
    assert sorted(asked.name for asked in peer.forwarded) == ["echo"] * 4 + ["hang"]  # none made twice
    assert ("a new one is open" in (tmp_path / "words").read_text()) == (mode == "legacy")


async def test_a_gateway_that_starts_after_the_client_is_waited_for(peer: Peer, tmp_path: Path) -> None:
    grant, key = new_grant()
    gateway = Gateway(tmp_path / "gateway", declared(peer, key))
    starting = threading.Timer(1.0, gateway.start)
    starting.start()
    try:
        async with bridged(gateway.url, "legacy", tmp_path / "words", grant=grant) as client:
            assert await call(client, "sdk__add", a=1, b=1) == "2"
        assert "waiting for it" in (tmp_path / "words").read_text()
    finally:
        starting.join()
        gateway.stop()


async def test_a_revoked_grant_is_told_with_its_place_and_a_new_one_in_the_file_works(
    make_gateway: MakeGateway, peer: Peer, tmp_path: Path
) -> None:
    (grant, key), (other, other_key) = new_grant(), new_grant()
    gateway = make_gateway(declared(peer, key))
    file = tmp_path / "grant"
    file.write_text(grant)
    file.chmod(0o600)
    async with bridged(gateway.url, "auto", tmp_path / "words", "--grant-file", str(file)) as client:
        assert await call(client, "sdk__add", a=1, b=1) == "2"
        await in_thread(lambda: gateway.change(declared(peer, other_key)))
        with pytest.raises(MCPError) as caught:
            await client.call_tool("sdk__add", {"a": 1, "b": 1})
        assert f"the grant came from the file {file}" in str(caught.value)
        assert grant not in str(caught.value)
        file.write_text(other + "\n")
        assert await call(client, "sdk__add", a=2, b=1) == "3"


async def test_one_server_has_its_own_names_and_a_wrong_one_is_told(
    make_gateway: MakeGateway, peer: Peer, tmp_path: Path
) -> None:
    grant, key = new_grant()
    gateway = make_gateway(declared(peer, key))
    async with bridged(gateway.route("sdk"), "auto", tmp_path / "words", grant=grant) as client:
        assert await call(client, "add", a=1, b=1) == "2"
    with pytest.raises((MCPError, ExceptionGroup)) as caught:
        async with bridged(gateway.route("none"), "auto", tmp_path / "words", grant=grant) as client:
            await client.list_tools()
    assert "This grant reaches no server of this name" in "".join(words_of(caught.value))


def words_of(failure: BaseException) -> Iterator[str]:
    """Yield the words of a failure and of those in it."""
    yield str(failure)
    for one in getattr(failure, "exceptions", ()):
        yield from words_of(one)
