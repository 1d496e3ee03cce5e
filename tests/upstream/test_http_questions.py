"""Servers over HTTP that ask: on the stream of a call, on their own; answered, cancelled, and too many."""

from __future__ import annotations

import asyncio
import json

import pytest

from coatcheck.model.call import Fault, Question, Reply, Result
from coatcheck.model.era import Era
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.pool import PoolLimits
from coatcheck.upstream.questions import MAX_OPEN
from doubles.clients import ScriptedClient
from upstream.raw_servers import STREAM, RawServer, Request, chunk, event
from upstream.talking import (  # fmt: skip
    END,
    Talking,
    TalkingModern,
    asking,
    call,
    done,
    hold,
    notice,
    text_of,
    told,
    until,
    upstream_of,
)


def session_client() -> ScriptedClient:
    return ScriptedClient(b'{"elicitation":{}}', Era.LEGACY)


def answering(reply: Reply) -> ScriptedClient:
    client = session_client()

    async def answer(question: Question) -> Reply:
        return reply

    client.reply = answer
    return client


@pytest.mark.parametrize("id", [1, "a", "1", -5, "ü€"])
async def test_a_question_on_the_stream_of_a_call_belongs_to_that_call(id: object) -> None:
    async def ask(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(event(asking(id, message="Sure?"))))
        await out.drain()
        answer = await talking.answer_to(id)
        out.write(chunk(event(done(request, answer["result"]["action"]))) + END)

    talking = Talking(ask)
    client = answering(Result(b'{"action":"accept"}'))
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "accept"
        ((question, within),) = client.asked
        assert within == b'"of the caller"'
        assert (question.method, json.loads(question.params)) == ("elicitation/create", {"message": "Sure?"})
        assert talking.answers[id] == {"jsonrpc": "2.0", "id": id, "result": {"action": "accept"}}
        answer = next(request for request in server.requests if request.method == "")
        assert answer.headers["mcp-session-id"] == "s-1"
        assert answer.headers["mcp-protocol-version"] == "2025-11-25"


async def test_a_question_on_the_stream_of_its_own_belongs_to_no_call() -> None:
    talking = Talking()
    client = answering(Fault(-1, "User rejected", b'{"why":[1.0]}'))
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        await upstream.greet()
        await talking.say(asking(9, "roots/list"))
        answer = await talking.answer_to(9)
        assert answer["error"] == {"code": -1, "message": "User rejected", "data": {"why": [1.0]}}
        assert [(question.method, within) for question, within in client.asked] == [("roots/list", None)]


async def test_a_ping_is_answered_without_the_client() -> None:
    async def ping(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(event(asking("p1", "ping"))))
        await out.drain()
        await talking.answer_to("p1")
        out.write(chunk(event(done(request))) + END)

    talking, client = Talking(ping), session_client()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "done"
        await talking.say(asking("p2", "ping"))
        assert (await talking.answer_to("p2"))["result"] == {}
        assert client.asked == []


@pytest.mark.parametrize("where", ["post", "get"])
async def test_a_question_that_the_server_cancels_is_cancelled_and_not_answered(where: str) -> None:
    gate = asyncio.Event()

    async def wait(question: Question) -> Reply:
        await gate.wait()
        return Result(b"{}")

    async def ask(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM)
        cancel = notice("notifications/cancelled", requestId="q", reason="late")
        if where == "post":
            out.write(chunk(event(asking("q"))))
        else:
            await talking.say(asking("q"))
        await out.drain()
        await until(lambda: client.asked)
        if where == "post":
            out.write(chunk(event(cancel)))
        else:
            await talking.say(cancel)
        await out.drain()
        await until(lambda: client.cancelled)
        gate.set()
        out.write(chunk(event(done(request))) + END)

    talking, client = Talking(ask), session_client()
    client.reply = wait
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "done"
        assert client.cancelled == 1
        assert "notifications/cancelled" not in told(client)
        await talking.say(asking("after", "ping"))
        await talking.answer_to("after")
        assert "q" not in talking.answers


async def test_a_modern_server_that_asks_gets_no_answer() -> None:
    async def ask(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(event(asking("q")) + event(asking("p", "ping"))))
        out.write(chunk(event(notice("notifications/tools/list_changed")) + event(done(request))) + END)

    client = session_client()
    async with RawServer(TalkingModern(call=ask)) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "done"
        assert text_of(await call(upstream)) == "done"
        assert (client.asked, client.told) == ([], [])
        assert set(server.methods()) == {"initialize", "server/discover", "tools/call"}


async def test_what_is_told_on_the_stream_of_a_call_and_is_not_about_it_goes_to_the_client() -> None:
    async def tell(request: Request, out: asyncio.StreamWriter) -> None:
        for method in (
            "tools/list_changed",
            "resources/updated",
            "roots/list_changed",
            "initialized",
            "message",
        ):
            out.write(b"" if method != "tools/list_changed" else STREAM)
            out.write(chunk(event(notice(f"notifications/{method}", uri="file:///a"))))
        out.write(chunk(event({**notice("notifications/vendor/x"), "id": None})))
        out.write(chunk(event(done(request))) + END)

    client = session_client()
    heard: list[str] = []
    async with RawServer(Talking(tell)) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream, notify=lambda n: heard.append(n.method))) == "done"
        assert told(client) == ["notifications/tools/list_changed", "notifications/resources/updated"]
        assert heard == ["notifications/message", "notifications/vendor/x"]


async def test_a_secret_in_a_question_or_a_notice_never_reaches_the_client() -> None:
    secret = "sk-live-4f9a77c1"

    async def leak(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(event(asking("q", message=f"is it {secret}?"))))
        out.write(chunk(event(notice("notifications/resources/updated", uri=f"x://{secret}"))))
        await out.drain()
        await talking.answer_to("q")
        out.write(chunk(event(done(request))) + END)

    talking, client = Talking(leak), session_client()
    headers = {"Authorization": f"Bearer {secret}"}
    async with RawServer(talking) as server, upstream_of(server, client, headers=headers) as upstream:
        assert text_of(await call(upstream)) == "done"
        await talking.say(notice("notifications/message", data=secret))
        await talking.say(asking("r", message=secret))
        await talking.answer_to("r")
        seen = repr((client.asked, client.told))
        assert server.requests[0].headers["authorization"] == f"Bearer {secret}"
        assert seen.count("[redacted]") == 4
        assert secret not in seen


# --- many ---------------------------------------------------------------------------------------------------


async def test_ten_thousand_questions_at_once_are_bounded_and_calls_go_on() -> None:
    gate = asyncio.Event()

    async def wait(question: Question) -> Reply:
        await gate.wait()
        return Result(b"{}")

    async def flood(request: Request, out: asyncio.StreamWriter) -> None:
        if request.message["params"]["arguments"]["text"] == "hi":
            out.write(STREAM)
            for start in range(0, 10_000, 100):
                out.write(chunk(b"".join(event(asking(n)) for n in range(start, start + 100))))
                await out.drain()
            out.write(chunk(event(done(request, "flooded"))) + END)
        else:
            out.write(STREAM + chunk(event(done(request))) + END)

    talking, client = Talking(flood), session_client()
    client.reply = wait
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "flooded"
        assert len(client.asked) == MAX_OPEN
        assert text_of(await call(upstream, "other")) == "done"
        gate.set()
        await until(lambda: all(n in talking.answers for n in range(MAX_OPEN)))
        refused = [answer for id, answer in talking.answers.items() if int(str(id)) >= MAX_OPEN]
        assert 0 < len(refused) <= 10_000 - MAX_OPEN
        assert all(answer["error"]["code"] == -32603 for answer in refused)


async def test_answers_get_through_while_every_connection_for_calls_waits_for_one() -> None:
    async def ask(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(event(asking(request.id))))
        await out.drain()
        await talking.answer_to(request.id)
        out.write(chunk(event(done(request))) + END)

    talking, client = Talking(ask), session_client()
    limits = HttpLimits(pool=PoolLimits(size=4))
    async with RawServer(talking) as server, upstream_of(server, client, limits) as upstream:
        replies = await asyncio.gather(*[call(upstream) for _ in range(12)])
        assert [text_of(reply) for reply in replies] == ["done"] * 12


async def test_what_waits_for_the_client_ends_with_the_session() -> None:
    async def wait(question: Question) -> Reply:
        await asyncio.sleep(60)
        return Result(b"{}")

    async def ask(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(event(asking("q"))))
        await hold(out)

    talking, client = Talking(ask), session_client()
    client.reply = wait
    async with RawServer(talking) as server:
        async with upstream_of(server, client) as upstream:
            under_way = asyncio.create_task(call(upstream))
            await until(lambda: client.asked)
        assert client.cancelled == 1
        assert (await asyncio.gather(under_way, return_exceptions=True))[0] is not None
        assert talking.answers == {}
