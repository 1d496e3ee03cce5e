"""The official SDK's servers, over HTTP+SSE and stdio, which ask their client for everything they can."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from coatcheck.core.backoff import BackoffRules
from coatcheck.errors import UpstreamError, UpstreamLost
from coatcheck.model.call import Caller, Fault, Notice, Question, Reply, Result
from coatcheck.model.era import Era
from coatcheck.ports import Ask, State, Upstream
from coatcheck.upstream.auto import AutoUpstream, Found
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.stdio.upstream import StdioUpstream
from doubles.clients import ScriptedClient
from real.installed import older_sdk
from upstream.permits import http_server, permit_for
from upstream.stdio_permits import QUICK, RealClock, command_server, text_of

SCRIPT = Path(__file__).parent / "children" / "sdk_asker.py"
ANSWERS = {
    "sampling/createMessage": b'{"role":"assistant","content":{"type":"text","text":"hi"},"model":"m"}',
    "elicitation/create": b'{"action":"accept","content":{"age":7}}',
    "roots/list": b'{"roots":[{"uri":"file:///a"},{"uri":"file:///b"}]}',
}
CALLER = Caller(Era.LEGACY, "2025-11-25", "a test")


def new() -> str:
    return sys.executable


def old() -> str:
    return str(older_sdk() / "python")


SDKS = [pytest.param(new, id="2.x"), pytest.param(old, id="1.x", marks=pytest.mark.real)]


class Asker:
    """The server's process over HTTP+SSE; it comes back on the same port."""

    def __init__(self, python: str) -> None:
        self.python = python
        self.port = 0

    async def start(self) -> None:
        self.child = await asyncio.create_subprocess_exec(
            self.python, "-W", "ignore", str(SCRIPT), "sse", "--port", str(self.port),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self.child.stdout is not None
        async with asyncio.timeout(30):
            self.port = int(await self.child.stdout.readline())

    async def stop(self) -> None:
        self.child.kill()
        await self.child.wait()
        await asyncio.sleep(0)  # the pipe's transport is closed on the next turn of the loop


def answering() -> ScriptedClient:
    async def reply(question: Question) -> Reply:
        return Result(ANSWERS[question.method])

    client = ScriptedClient(b'{"sampling":{},"elicitation":{},"roots":{"listChanged":true}}', Era.LEGACY)
    client.reply = reply
    return client


@asynccontextmanager
async def over_sse(python: str, client: ScriptedClient) -> AsyncIterator[tuple[Upstream, Asker]]:
    child = Asker(python)
    await child.start()
    server = http_server(f"http://127.0.0.1:{child.port}/sse", {"Authorization": "Bearer its-own-credential"})
    upstream = AutoUpstream(server, Egress(True), HttpLimits(), client, Found())
    try:
        yield upstream, child
    finally:
        await upstream.close(1)
        await child.stop()


@asynccontextmanager
async def over_stdio(python: str, client: ScriptedClient, home: Path) -> AsyncIterator[Upstream]:
    server = command_server(python, "-W", "ignore", str(SCRIPT), "stdio")
    limits = replace(QUICK, connect_timeout=30.0, backoff=BackoffRules(healthy=0.0, many=1000))
    upstream = StdioUpstream(server, client=client, clock=RealClock(), home=home, ambient={}, limits=limits)
    try:
        yield upstream
    finally:
        await upstream.close(1)


async def call(upstream: Upstream, tool: str, **arguments: object) -> str:
    return text_of(await upstream.forward(permit_for(upstream.server, tool, arguments), CALLER, _unheard))


def _unheard(notice: Notice) -> None:
    raise AssertionError(notice)


async def ask_everything(upstream: Upstream, client: ScriptedClient) -> None:
    asked = ["sampling/createMessage", "roots/list"]
    assert await call(upstream, "ask_model", text="how are you") == "hi"
    assert await call(upstream, "ask_roots") == "file:///a,file:///b"
    person = await call(upstream, "ask_person", text="how old")
    if person != "cannot":
        asked.append("elicitation/create")
        assert json.loads(person) == ["accept", 7]
    assert [(each.method, within) for each, within in client.asked] == [
        (method, b'"of the caller"') for method in asked
    ]


async def all_the_rest(upstream: Upstream, client: ScriptedClient) -> None:
    reply = await upstream.ask(Ask.TOOLS)
    assert isinstance(reply, Result)
    assert "ask_model" in {tool["name"] for tool in json.loads(reply.raw)["tools"]}
    notices: list[Notice] = []
    counting = permit_for(upstream.server, "count", {"to": 3}, meta={"progressToken": b'"mine"'})
    assert text_of(await upstream.forward(counting, CALLER, notices.append)) == "counted to 3"
    assert [json.loads(notice.params)["progressToken"] for notice in notices] == ["mine"] * 3
    assert await call(upstream, "change") == "changed"
    while not client.told:
        await client.hears()
    assert client.told[0].method == "notifications/tools/list_changed"
    texts = await asyncio.gather(*(call(upstream, "echo", text=f"n{n}") for n in range(30)))
    assert texts == [f"n{n}" for n in range(30)]


@pytest.mark.parametrize("sdk", SDKS)
async def test_over_http_and_sse(sdk: Callable[[], str]) -> None:
    client = answering()
    async with over_sse(sdk(), client) as (upstream, _):
        greeting = await upstream.greet()
        assert (greeting.era, greeting.instructions) == (Era.LEGACY, "be kind")
        await ask_everything(upstream, client)
        await all_the_rest(upstream, client)
        assert upstream.status().sessions == 1


@pytest.mark.parametrize("sdk", SDKS)
async def test_over_stdio(sdk: Callable[[], str], tmp_path: Path) -> None:
    client = answering()
    async with over_stdio(sdk(), client, tmp_path / "home") as upstream:
        assert (await upstream.greet()).era is Era.LEGACY
        await ask_everything(upstream, client)
        await all_the_rest(upstream, client)


async def test_a_client_that_says_no_is_heard(tmp_path: Path) -> None:
    client = answering()

    async def no(question: Question) -> Reply:
        return Fault(-1, "User rejected sampling request")

    client.reply = no
    async with over_stdio(new(), client, tmp_path / "home") as upstream:
        reply = await upstream.forward(
            permit_for(upstream.server, "ask_model", {"text": "x"}), CALLER, _unheard
        )
        assert reply == Fault(-1, "User rejected sampling request")  # the SDK hands it on


async def test_a_modern_child_is_heard_while_attended(tmp_path: Path) -> None:
    client = ScriptedClient()
    async with over_stdio(new(), client, tmp_path / "home") as upstream:
        upstream.attend(True)
        greeting = await upstream.greet()
        assert greeting.era is Era.MODERN
        assert json.loads(greeting.capabilities["tools"])["listChanged"] is True
        while not client.told:
            assert await call(upstream, "change") == "changed"
            await asyncio.sleep(0.01)
        assert {notice.method for notice in client.told} == {"notifications/tools/list_changed"}
        assert all(b"subscriptionId" not in notice.params for notice in client.told)


async def test_a_server_that_is_started_anew_gets_a_new_session() -> None:
    client = answering()
    async with over_sse(new(), client) as (upstream, child):
        assert await call(upstream, "echo", text="one") == "one"
        waiting = asyncio.create_task(call(upstream, "echo", text="two"))
        await waiting
        await child.stop()
        while upstream.state is State.READY:
            await asyncio.sleep(0.01)
        with pytest.raises(UpstreamError) as caught:
            await call(upstream, "echo", text="three")
        assert not isinstance(caught.value, UpstreamLost) or not caught.value.reached
        await child.start()
        assert await call(upstream, "echo", text="four") == "four"
        await ask_everything(upstream, client)
