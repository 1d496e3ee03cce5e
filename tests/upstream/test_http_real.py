"""Real MCP servers over streamable HTTP, each in a process of its own, in both eras."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coatcheck.model.call import Notice, Question, Reply, Result
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.ports import Ask, State
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.clients import ScriptedClient, gateway_itself
from upstream.permits import CALLER, http_server, permit_for, unheard

SCRIPT = Path(__file__).parent / "children" / "over_http.py"
ASKING = Path(__file__).parent / "children" / "asking_over_http.py"
KINDS = [("sdk",), ("sdk", "--legacy"), ("fastmcp",), ("fastmcp", "--legacy")]


class Child:
    """The server's process; `restart` kills it and starts another on the same port."""

    def __init__(self, *arguments: str, script: Path = SCRIPT) -> None:
        self.arguments = arguments
        self.script = script
        self.port = 0

    async def start(self) -> None:
        self.child = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", str(self.script), *self.arguments, *(("--port", str(self.port)) if self.script == SCRIPT else ()),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self.child.stdout is not None
        async with asyncio.timeout(30):
            self.port = int(await self.child.stdout.readline())

    async def stop(self) -> None:
        self.child.kill()
        await self.child.wait()
        # the pipe's transport ends with the process, and is closed on the next turn of the loop
        await asyncio.sleep(0)

    async def restart(self) -> None:
        await self.stop()
        await self.start()


@asynccontextmanager
async def real(*arguments: str) -> AsyncIterator[tuple[HttpUpstream, Child]]:
    child = Child(*arguments)
    await child.start()
    server = http_server(f"http://127.0.0.1:{child.port}/mcp", {"Authorization": "Bearer its-own-credential"})
    upstream = HttpUpstream(server, Egress(True), HttpLimits(), gateway_itself())
    try:
        yield upstream, child
    finally:
        await upstream.close(1)
        await child.stop()


async def call(upstream: HttpUpstream, tool: str, **arguments: object) -> Reply:
    return await upstream.forward(permit_for(upstream.server, tool, arguments), CALLER, unheard)


def text_of(reply: Reply) -> str:
    assert isinstance(reply, Result), reply
    return str(json.loads(reply.raw)["content"][0]["text"])


async def look(upstream: HttpUpstream) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text_of(await call(upstream, "look")))
    return found


@pytest.mark.real
@pytest.mark.parametrize("arguments", KINDS, ids=" ".join)
async def test_a_real_server_through_its_life(arguments: tuple[str, ...]) -> None:
    legacy = "--legacy" in arguments
    async with real(*arguments) as (upstream, child):
        greeting = await upstream.greet()
        assert greeting.instructions == "be kind"
        assert greeting.era is (Era.LEGACY if legacy else Era.MODERN)
        assert json.loads(greeting.server_info)["name"] == "real"

        listed = await upstream.ask(Ask.TOOLS)
        assert isinstance(listed, Result)
        assert {tool["name"] for tool in json.loads(listed.raw)["tools"]} == {
            "echo",
            "count",
            "sleep",
            "look",
        }

        assert text_of(await call(upstream, "echo", text="gr\u00fc\u00df \u20ac")) == "gr\u00fc\u00df \u20ac"
        await _progress(upstream)
        await _many_at_once(upstream)
        await _headers(upstream)
        await _cancel(upstream)

        await child.restart()
        replies = await asyncio.gather(*[call(upstream, "echo", text=f"after {n}") for n in range(16)])
        assert [text_of(reply) for reply in replies] == [f"after {n}" for n in range(16)]
        assert upstream.status().state is State.READY


async def _progress(upstream: HttpUpstream) -> None:
    heard: list[Notice] = []
    permit = permit_for(upstream.server, "count", {"to": 3}, meta={"progressToken": b'"mine"'})
    assert text_of(await upstream.forward(permit, CALLER, heard.append)) == "counted to 3"
    assert [notice.method for notice in heard] == ["notifications/progress"] * 3
    told = [json.loads(notice.params) for notice in heard]
    assert [(params["progressToken"], params["progress"]) for params in told] == [
        ("mine", n) for n in range(3)
    ]


async def _many_at_once(upstream: HttpUpstream) -> None:
    replies = await asyncio.gather(*[call(upstream, "echo", text=f"nonce {n}") for n in range(64)])
    assert [text_of(reply) for reply in replies] == [f"nonce {n}" for n in range(64)]


async def _headers(upstream: HttpUpstream) -> None:
    headers = (await look(upstream))["headers"]
    # The server's own words come back with our credential taken out of them.
    assert headers["authorization"] == "Bearer [redacted]"
    ours = {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "authorization",
    }
    assert set(headers) - ours <= {"mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id"}


async def _cancel(upstream: HttpUpstream) -> None:
    slow = asyncio.create_task(call(upstream, "sleep", name="gone"))
    await asyncio.sleep(0.2)
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    async with asyncio.timeout(10):
        while (await look(upstream))["cancelled"] != ["gone"]:
            await asyncio.sleep(0.02)


# --- a server that asks -------------------------------------------------------------------------------------


async def answer(question: Question) -> Reply:
    return {
        "elicitation/create": Result(b'{"action":"accept","content":{"name":"Ann"}}'),
        "sampling/createMessage": Result(
            b'{"role":"assistant","content":{"type":"text","text":"4"},"model":"m","stopReason":"endTurn"}'
        ),
        "roots/list": Result(b'{"roots":[{"uri":"file:///home"}]}'),
    }[question.method]


@asynccontextmanager
async def asking(client: ScriptedClient) -> AsyncIterator[HttpUpstream]:
    child = Child(script=ASKING)
    await child.start()
    server = http_server(f"http://127.0.0.1:{child.port}/mcp")
    upstream = HttpUpstream(server, Egress(True), HttpLimits(), client)
    try:
        yield upstream
    finally:
        await upstream.close(1)
        await child.stop()


@pytest.mark.real
@pytest.mark.parametrize("version", LEGACY_VERSIONS)
async def test_a_real_server_asks_tells_and_polls(version: str) -> None:
    client = ScriptedClient(b'{"elicitation":{},"sampling":{},"roots":{}}', Era.LEGACY, version)
    client.reply = answer
    async with asking(client) as upstream:
        assert (await upstream.greet()).version == version
        assert text_of(await call(upstream, "elicit")) == "accept Ann"
        assert text_of(await call(upstream, "sample")) == "4"
        assert text_of(await call(upstream, "roots")) == '["file:///home"]'
        mine = b'"of the caller"'
        assert [(question.method, within) for question, within in client.asked] == [
            ("elicitation/create", mine), ("sampling/createMessage", mine), ("roots/list", None),
        ]  # fmt: skip
        assert text_of(await call(upstream, "change")) == "changed"
        async with asyncio.timeout(5):
            while not client.told:
                await client.hears()
        assert [notice.method for notice in client.told] == ["notifications/tools/list_changed"]
        await _poll(upstream, client, resumed=version == LEGACY_VERSIONS[0])
        assert upstream.status().sessions == 1


async def _poll(upstream: HttpUpstream, client: ScriptedClient, *, resumed: bool) -> None:
    heard: list[Notice] = []
    permit = permit_for(upstream.server, "poll", meta={"progressToken": b"7"})
    assert text_of(await upstream.forward(permit, CALLER, heard.append)) == "polled"
    assert [json.loads(notice.params)["progressToken"] for notice in heard] == [7]
    assert client.paused == ([(b'"of the caller"', 50)] if resumed else [])
    seen = json.loads(text_of(await call(upstream, "look")))
    assert sum(line.startswith("GET ") for line in seen) == int(resumed)


@pytest.mark.real
async def test_a_real_modern_server_tells_those_who_wait() -> None:
    client = gateway_itself()
    async with asking(client) as upstream:
        assert (await upstream.greet()).era is Era.MODERN
        upstream.attend(True)
        async with asyncio.timeout(10):
            while not client.told:
                assert text_of(await call(upstream, "change")) == "changed"
                await asyncio.sleep(0.05)
        assert client.told[0] == Notice("notifications/tools/list_changed", b"{}")
