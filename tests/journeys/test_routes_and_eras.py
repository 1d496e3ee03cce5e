"""Every method, over both routes, by clients of both eras, to servers of both eras over HTTP and stdio."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway import Gateway, new_grant
from journeys.peer import Peer, peer_serving
from journeys.running import Hall
from journeys.wire import Got, frame

CHILDREN = Path(__file__).parent / "children"
SDK = str(CHILDREN / "sdk_peer.py")
STDIO = str(CHILDREN / "stdio_peer.py")
SDK_INSTRUCTIONS = "Add,\n\tthen  greet. \u00fc"
SDK_SERVERS = ("sdk-stdio", "sdk-http", "sdk-http-legacy")
PEERS = ("modern-peer", "legacy-peer")


@dataclass
class House:
    gateway: Gateway
    grant: str
    peers: dict[str, Peer]

    def hall(self, peer: str) -> Hall:
        return Hall(self.gateway, self.peers[peer], self.grant)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    grant, key = new_grant()
    running = [
        subprocess.Popen(
            [sys.executable, SDK, "http", *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for more in ((), ("legacy",))
    ]
    with peer_serving(era="dual") as modern, peer_serving(era="legacy") as legacy:
        try:
            ports = [int(process.stdout.readline()) for process in running if process.stdout]
            servers: dict[str, Any] = {
                "sdk-stdio": {"command": sys.executable, "args": [SDK, "stdio"]},
                "sdk-http": {"url": f"http://127.0.0.1:{ports[0]}/mcp"},
                "sdk-http-legacy": {"url": f"http://127.0.0.1:{ports[1]}/mcp"},
                "modern-peer": modern.declared(),
                "legacy-peer": legacy.declared(),
                "modern-child": {"command": sys.executable, "args": [STDIO]},
                "legacy-child": {"command": sys.executable, "args": [STDIO, "legacy"]},
            }
            auth = {"providers": ["bearer"], "bearer": {"tokens": {key: {"subject": "alice"}}}}
            declaration = {"mcpServers": servers, "serverAuth": auth}
            place = tmp_path_factory.mktemp("house") / "data"
            gateway = Gateway(place, declaration, arguments=["--public-url", "http://gw"])
            gateway.start()
            gateway.command("list")  # every server is asked once
            yield House(gateway, grant, {"modern-peer": modern, "legacy-peer": legacy})
            gateway.stop()
        finally:
            for process in running:
                process.terminate()
                process.communicate()


# --- with the official client ------------------------------------------------------------------------------


@asynccontextmanager
async def sdk_client(house: House, url: str, mode: str) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {house.grant}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28", "auto"])
@pytest.mark.parametrize("server", SDK_SERVERS)
async def test_the_official_client_uses_one_server_as_if_it_were_alone(
    house: House, server: str, mode: str
) -> None:
    async with sdk_client(house, house.gateway.route(server), mode) as client:
        assert client.instructions == SDK_INSTRUCTIONS or mode == "2026-07-28"  # adopting asks nothing
        assert [tool.name for tool in (await client.list_tools()).tools] == ["add", "count", "fail"]
        assert text_of(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
        failed = await client.call_tool("fail", {})
        assert failed.is_error
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["greet"]
        got = await client.get_prompt("greet", {"name": "Ann"})
        assert getattr(got.messages[0].content, "text", "") == "Say hello to Ann"
        assert [str(one.uri) for one in (await client.list_resources()).resources] == ["note://one"]
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["note://{number}/text"]
        for uri, words in (("note://one", "the first note"), ("note://7/text", "note 7")):
            assert getattr((await client.read_resource(uri)).contents[0], "text", "") == words
        told: list[float] = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            told.append(progress)

        assert (
            text_of(await client.call_tool("count", {"to": 3}, progress_callback=progress)) == "counted to 3"
        )
        assert told == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_official_client_uses_all_servers_under_one_address(house: House, mode: str) -> None:
    async with sdk_client(house, house.gateway.url, mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        assert {f"{server}__add" for server in SDK_SERVERS} < set(tools)
        prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert {f"{server}__greet" for server in SDK_SERVERS} < set(prompts)
        for server in SDK_SERVERS:
            assert text_of(await client.call_tool(f"{server}__add", {"a": 20, "b": 3})) == "23"
            got = await client.get_prompt(f"{server}__greet", {"name": "Bo"})
            assert getattr(got.messages[0].content, "text", "") == "Say hello to Bo"
        assert getattr((await client.read_resource("note://one")).contents[0], "text", "") == "the first note"
        assert getattr((await client.read_resource("peer://one")).contents[0], "text", "") == "read"
        for child in ("modern-child", "legacy-child"):
            assert text_of(await client.call_tool(f"{child}__echo", {"n": 1})) == '{"n": 1}'


# --- byte by byte --------------------------------------------------------------------------------------------


def ask(hall: Hall, era: str, path: str, method: str, params: dict[str, Any] | None = None) -> Got:
    """Ask in one era; a legacy client opens a session for it."""
    if era == "modern":
        return hall.ask(method, params, path=path)
    return hall.session(path).ask(method, params)


ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
BOTH_PEERS = pytest.mark.parametrize("peer", PEERS)


@ERAS
@BOTH_PEERS
def test_lists_of_one_server_keep_names_order_and_unknown_members(house: House, peer: str, era: str) -> None:
    hall, path = house.hall(peer), f"/mcp/{peer}/"
    tools = ask(hall, era, path, "tools/list")
    assert [tool["name"] for tool in tools.result["tools"]][:3] == ["echo", "allowed", "denied"]
    assert b'"x-vendor":{"kept": [1, 2.5]}' in tools.body
    assert ask(hall, era, path, "prompts/list").result["prompts"] == [
        {"name": "greet", "x-more": None},
        {"name": "denied"},
    ]
    resources = ask(hall, era, path, "resources/list").result["resources"]
    assert resources == [{"uri": "peer://one", "name": "one", "x-more": True}]
    templates = ask(hall, era, path, "resources/templates/list").result["resourceTemplates"]
    assert templates == [{"uriTemplate": "peer://item/{id}", "name": "item"}]


@ERAS
@BOTH_PEERS
def test_calls_to_one_server_come_back_with_everything_the_server_said(
    house: House, peer: str, era: str
) -> None:
    hall, path = house.hall(peer), f"/mcp/{peer}/"
    called = ask(hall, era, path, "tools/call", {"name": "echo", "arguments": {"a": [1, None]}, "x-own": 1})
    assert called.result["x-kept"] == {"big": 2**70}
    assert json.loads(called.text) == {"a": [1, None]}
    assert hall.peer.forwarded[-1].message["params"]["x-own"] == 1
    got = ask(hall, era, path, "prompts/get", {"name": "greet", "arguments": {"k": "v"}})
    assert got.result["messages"][0]["content"]["text"] == 'greet {"k": "v"}'
    read = ask(hall, era, path, "resources/read", {"uri": "peer://item/9?x=%20y"})
    assert read.result["contents"] == [{"uri": "peer://item/9?x=%20y", "text": "read", "x-extra": 1}]
    for reference, first in (
        ({"type": "ref/prompt", "name": "greet"}, "greet"),
        ({"type": "ref/resource", "uri": "peer://item/{id}"}, "peer://item/{id}"),
    ):
        params = {
            "ref": reference,
            "argument": {"name": "k", "value": "v"},
            "context": {"arguments": {"z": "1"}},
        }
        completed = ask(hall, era, path, "completion/complete", params)
        assert completed.result["completion"] == {"values": [first, "two"], "x-more": 1}
        assert hall.peer.forwarded[-1].message["params"]["context"] == {"arguments": {"z": "1"}}
    failed = ask(hall, era, path, "tools/call", {"name": "tool_error", "arguments": {}})
    assert (failed.status, failed.result["isError"], failed.text) == (200, True, "it went wrong")
    fault = ask(hall, era, path, "tools/call", {"name": "rpc_error", "arguments": {}})
    assert (fault.status, fault.json()["error"]) == (
        200,
        {"code": -32000, "message": "no, and the server says why"},
    )


@ERAS
@BOTH_PEERS
def test_the_aggregate_prefixes_names_and_nothing_else(house: House, peer: str, era: str) -> None:
    hall = house.hall(peer)
    listed = {tool["name"]: tool for tool in ask(hall, era, "/mcp", "tools/list").result["tools"]}
    assert listed[f"{peer}__echo"] == {
        "name": f"{peer}__echo",
        "inputSchema": {"type": "object"},
        "x-vendor": {"kept": [1, 2.5]},
    }
    called = ask(hall, era, "/mcp", "tools/call", {"name": f"{peer}__echo", "arguments": {"a": 1}})
    assert called.result["x-kept"] == {"big": 2**70}
    sent = hall.peer.forwarded[-1]
    assert sent.name == "echo"  # the server hears its own name
    assert sent.headers.get("mcp-name", "echo") == "echo"
    got = ask(hall, era, "/mcp", "prompts/get", {"name": f"{peer}__greet"})
    assert got.result["messages"][0]["content"]["text"] == "greet {}"
    reference = {"type": "ref/prompt", "name": f"{peer}__greet"}
    completed = ask(
        hall, era, "/mcp", "completion/complete", {"ref": reference, "argument": {"name": "k", "value": ""}}
    )
    assert completed.result["completion"]["values"] == ["greet", "two"]
    uris = [one["uri"] for one in ask(hall, era, "/mcp", "resources/list").result["resources"]]
    assert uris.count("peer://one") == 2  # of both servers; the first listed one is read


@ERAS
@BOTH_PEERS
def test_each_era_gets_its_own_shape_of_results(house: House, peer: str, era: str) -> None:
    hall, path = house.hall(peer), f"/mcp/{peer}"
    for method, params in (
        ("tools/list", {}), ("tools/call", {"name": "echo", "arguments": {}}), ("resources/read", {"uri": "peer://one"}), ("prompts/get", {"name": "greet"}),
    ):  # fmt: skip
        result = ask(hall, era, path, method, params).result
        assert ("resultType" in result) == (era == "modern"), method
        cached = era == "modern" and method in {"tools/list", "resources/read"}
        assert ("ttlMs" in result) == cached, method
        assert result.get("cacheScope") == ("private" if cached else None), method


@BOTH_PEERS
def test_each_server_hears_its_own_era(house: House, peer: str) -> None:
    hall = house.hall(peer)
    for era in ("modern", "legacy"):
        meta = {"progressToken": "mine", "vendor/key": {"kept": 1.0}, "traceparent": "00-x"}
        assert (
            ask(
                hall, era, f"/mcp/{peer}", "tools/call", {"name": "echo", "arguments": {}, "_meta": meta}
            ).status
            == 200
        )
        sent = hall.peer.forwarded[-1]
        heard = sent.message["params"]["_meta"]
        assert (heard["vendor/key"], heard["traceparent"]) == ({"kept": 1.0}, "00-x")
        assert heard["progressToken"] != "mine"  # ours: two callers may use the same
        modern = peer == "modern-peer"
        assert ("io.modelcontextprotocol/protocolVersion" in heard) == modern
        assert ("mcp-method" in sent.headers) == modern
        assert sent.headers["mcp-protocol-version"] == ("2026-07-28" if modern else "2025-11-25")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("modern-peer", "Use echo.\n\n  Twice. \u00e9"),
        ("legacy-child", "Over stdio."),
        ("sdk-stdio", SDK_INSTRUCTIONS),
    ],
)
def test_instructions_of_one_server_come_word_for_word(house: House, server: str, words: str) -> None:
    hall = house.hall("modern-peer")
    assert hall.session(f"/mcp/{server}").opened.result["instructions"] == words
    assert hall.ask("server/discover", path=f"/mcp/{server}").result["instructions"] == words


def test_the_aggregate_tells_the_instructions_of_each_server_by_name(house: House) -> None:
    hall = house.hall("modern-peer")
    for told in (hall.session().opened.result, hall.ask("server/discover").result):
        assert "## sdk-stdio\n\nAdd," in told["instructions"]
        assert "## legacy-child\n\nOver stdio." in told["instructions"]


def test_openings_announce_what_is_relayed(house: House) -> None:
    hall = house.hall("modern-peer")
    for server in PEERS:
        capabilities = hall.session(f"/mcp/{server}").opened.result["capabilities"]
        assert capabilities == {
            "tools": {"listChanged": True},
            "prompts": {"listChanged": True},
            "resources": {"subscribe": True, "listChanged": True},
            "completions": {},
        }
    found = hall.ask("server/discover").result
    assert found["supportedVersions"] == [
        "2026-07-28",
        "2025-11-25",
        "2025-06-18",
        "2025-03-26",
        "2024-11-05",
    ]
    assert (found["resultType"], found["cacheScope"]) == ("complete", "private")
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "coatcheck"
    assert hall.ask("server/discover", path="/mcp/legacy-peer").result["_meta"][
        "io.modelcontextprotocol/serverInfo"
    ] == {"name": "peer", "version": "1"}


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
def test_every_legacy_version_is_spoken(house: House, version: str) -> None:
    session = house.hall("modern-peer").session("/mcp/modern-peer", version=version)
    assert session.opened.result["protocolVersion"] == version
    assert session.notify("notifications/initialized").status == 202
    assert session.ask("tools/call", {"name": "echo", "arguments": {}}).text == "{}"
    assert session.ask("ping").result == {}


@pytest.mark.parametrize("version", ["2026-07-28", "2030-01-01", "1.0", ""])
def test_an_opening_in_another_version_is_answered_in_our_newest(house: House, version: str) -> None:
    opened = house.hall("modern-peer")
    body = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {"protocolVersion": version, "capabilities": {}},
    }
    got, _ = opened.raw(frame(json.dumps(body).encode(), headers=opened.bearer))
    assert got.result["protocolVersion"] == "2025-11-25"


def test_a_route_is_the_same_by_name_by_uuid_and_with_a_slash(house: House) -> None:
    hall = house.hall("modern-peer")
    id = next(one["id"] for one in hall.control("/api/v1/servers")["items"] if one["name"] == "modern-peer")
    bodies = {
        hall.ask("tools/list", path=path).body
        for path in (
            "/mcp/modern-peer",
            "/mcp/modern-peer/",
            f"/mcp/{id}",
            f"/mcp/{id}/",
            "/mcp/modern-peer?x=1",
        )
    }
    assert len(bodies) == 1
    assert hall.ask("tools/list", path="/mcp").body == hall.ask("tools/list", path="/mcp/").body
    assert hall.ask("tools/list", path=f"/mcp/{id.upper()}").status == 404
    session = hall.session(f"/mcp/{id}")
    session.path = "/mcp/modern-peer/"
    assert session.ask("ping").status == 200  # one session, however the route is spelt
    assert {entry["route"] for entry in hall.records(server="modern-peer")} <= {"/mcp", "/mcp/modern-peer"}


def test_the_uuid_of_a_server_outlives_a_restart(house: House) -> None:
    before = {one["name"]: one["id"] for one in house.hall("modern-peer").control("/api/v1/servers")["items"]}
    house.gateway.restart()
    assert {
        one["name"]: one["id"] for one in house.hall("modern-peer").control("/api/v1/servers")["items"]
    } == before
