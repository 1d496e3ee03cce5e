"""Sessions with servers over HTTP: what stands is set again, what nobody uses is let go, what is told is relayed."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest

from coatcheck.core.wire import reopening
from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused, UpstreamError
from coatcheck.model.call import Notice, Question, Reply, Result
from coatcheck.model.era import Era
from coatcheck.ports import State
from coatcheck.upstream.http import line
from coatcheck.upstream.http.hop.connection import Connection
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.clients import ScriptedClient, gateway_itself
from upstream.permits import CALLER, unheard
from upstream.raw_servers import RawServer, Request, fault, message, plain
from upstream.talking import (  # fmt: skip
    NO_STREAM,
    Talking,
    TalkingModern,
    asking,
    call,
    hold,
    notice,
    permit,
    text_of,
    told,
    until,
    upstream_of,
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reopening, "LEAST", 0.02)


def session_client() -> ScriptedClient:
    return ScriptedClient(b'{"elicitation":{}}', Era.LEGACY)


async def send(upstream: HttpUpstream, method: str, **params: str) -> Reply:
    return await upstream.forward(permit(upstream.server, method, **params), CALLER, unheard)


async def no_stream(request: Request, out: asyncio.StreamWriter) -> None:
    out.write(NO_STREAM)


# --- what stands --------------------------------------------------------------------------------------------


async def test_what_stands_is_set_again_before_anything_else() -> None:
    talking = Talking(get=no_stream)
    async with RawServer(talking) as server, upstream_of(server, session_client()) as upstream:
        await send(upstream, "logging/setLevel", level="info")
        await send(upstream, "resources/subscribe", uri="x://1")
        await send(upstream, "resources/subscribe", uri="x://2")
        await send(upstream, "resources/unsubscribe", uri="x://1")
        await send(upstream, "logging/setLevel", level="debug")
        talking.forgotten.add("s-1")
        before = len(server.requests)
        replies = await asyncio.gather(*[call(upstream, f"n {n}") for n in range(8)])
        assert [text_of(reply) for reply in replies] == [f"n {n}" for n in range(8)]
        new = [r for r in server.requests[before:] if r.headers.get("mcp-session-id") == "s-2"]
        assert [r.method for r in new][:4] == [
            "notifications/initialized", "GET", "logging/setLevel", "resources/subscribe",
        ]  # fmt: skip
        assert new[2].message["params"] == {"level": "debug"}
        assert new[3].message["params"] == {"uri": "x://2"}
        assert [r.method for r in new][4:] == ["tools/call"] * 8
        assert talking.sessions == ["s-1", "s-2"]


async def test_what_was_refused_does_not_stand_and_what_is_refused_later_is_left_out() -> None:
    talking = Talking(get=no_stream)

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        refused = request.method == "logging/setLevel" or request.headers.get("mcp-session-id") == "s-2"
        if refused and request.method in ("logging/setLevel", "resources/subscribe"):
            out.write(fault(request, -32601, "Method not found"))
        else:
            await talking(request, out)

    async with RawServer(answer) as server, upstream_of(server, session_client()) as upstream:
        await send(upstream, "logging/setLevel", level="info")
        await send(upstream, "resources/subscribe", uri="x://1")
        talking.forgotten.add("s-1")
        assert text_of(await call(upstream)) == "hi"
        assert len(server.sent("logging/setLevel")) == 1
        assert len(server.sent("resources/subscribe")) == 2


async def test_a_subscription_outlives_a_session_that_the_server_forgot_though_nobody_calls() -> None:
    talking, client = Talking(), session_client()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        await send(upstream, "resources/subscribe", uri="x://1")
        await until(lambda: talking.listening)
        talking.forgotten.add("s-1")
        talking.listening[-1].close()
        await until(lambda: "s-2" in talking.sessions and talking.listening)
        await until(lambda: len(server.sent("resources/subscribe")) == 2)
        await talking.say(notice("notifications/resources/updated", uri="x://1"))
        await until(lambda: told(client) == ["notifications/resources/updated"])


async def test_without_a_subscription_a_lost_session_is_opened_again_by_the_next_call() -> None:
    talking = Talking()
    async with RawServer(talking) as server, upstream_of(server, session_client()) as upstream:
        assert text_of(await call(upstream)) == "hi"
        talking.forgotten.add("s-1")
        talking.listening[-1].close()
        await until(lambda: upstream.status().sessions == 0)
        await asyncio.sleep(0.05)
        assert talking.sessions == ["s-1"]
        assert text_of(await call(upstream)) == "hi"
        assert talking.sessions == ["s-1", "s-2"]
        assert len(server.sent("tools/call")) == 2


async def test_a_subscription_of_the_gateway_itself_is_heard() -> None:
    talking, client = Talking(), gateway_itself()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        await send(upstream, "resources/subscribe", uri="x://1")
        await talking.say(notice("notifications/resources/updated", uri="x://1"))
        await until(lambda: told(client) == ["notifications/resources/updated"])


# --- sessions that servers forget ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("400 Bad Request", b"Invalid session ID"),
        ("400 Bad Request", b'{"error":"No active session"}'),
        ("401 Unauthorized", b"Unauthorized: Session not found"),
        ("422 Unprocessable", b"Missing session ID"),
        ("410 Gone", b""),
    ],
)
async def test_more_ways_to_say_that_a_session_is_gone(status: str, body: bytes) -> None:
    talking = Talking(get=no_stream)

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "tools/call" and request.headers.get("mcp-session-id") == "s-1":
            out.write(plain(body, "text/plain", status))
        else:
            await talking(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "hi"
        assert talking.sessions == ["s-1", "s-2"]


async def test_a_refused_credential_is_no_lost_session() -> None:
    async def refuse(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"invalid token", "text/plain", "401 Unauthorized"))

    talking = Talking(refuse, no_stream)
    async with RawServer(talking) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamCredentialRefused):
            await call(upstream)
        assert talking.sessions == ["s-1"]


async def test_a_server_that_cannot_be_greeted_again_was_not_sent_the_call() -> None:
    talking = Talking(get=no_stream)

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if talking.forgotten and request.method in ("initialize", "server/discover"):
            out.write(plain(b"", status="500 Oops"))
        else:
            await talking(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "hi"
        talking.forgotten.add("s-1")
        with pytest.raises(UpstreamBadReply) as caught:
            await call(upstream)
        assert not caught.value.reached


# --- what clients tell --------------------------------------------------------------------------------------


async def test_a_notification_is_relayed_to_a_legacy_server() -> None:
    told_there = Notice("notifications/roots/list_changed", b'{"x":[1.0]}')
    async with RawServer(Talking()) as server, upstream_of(server, session_client()) as upstream:
        await upstream.relay(told_there)
        assert server.requests == []
        await upstream.greet()
        await upstream.relay(told_there)
        (request,) = server.sent("notifications/roots/list_changed")
        assert (
            request.body
            == b'{"jsonrpc":"2.0","method":"notifications/roots/list_changed","params":{"x":[1.0]}}'
        )
        assert request.headers["mcp-session-id"] == "s-1"
        assert upstream.status().in_flight == 0


async def test_a_notification_is_not_relayed_to_a_modern_server() -> None:
    async with RawServer(TalkingModern()) as server, upstream_of(server, session_client()) as upstream:
        await upstream.greet()
        before = len(server.requests)
        await upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert len(server.requests) == before


async def test_a_notification_to_a_server_that_forgot_us_ends_the_session_quietly() -> None:
    talking = Talking(get=no_stream)
    async with RawServer(talking) as server, upstream_of(server, session_client()) as upstream:
        await upstream.greet()
        talking.forgotten.add("s-1")
        await upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert upstream.status().sessions == 0
        assert len(server.sent("initialize")) == 1


async def test_a_notification_that_cannot_be_sent_is_an_error() -> None:
    async with RawServer(Talking(get=no_stream)) as server, upstream_of(server) as upstream:
        await upstream.greet()
        await server.__aexit__()
        with pytest.raises(UpstreamError, match="weather"):
            await upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert upstream.state is State.FAILING


# --- letting go ---------------------------------------------------------------------------------------------

SOON = HttpLimits(idle=0.05)


@pytest.mark.parametrize("client", [None, session_client()], ids=["shared", "session"])
async def test_a_server_that_nobody_uses_is_let_go_and_found_again(client: ScriptedClient | None) -> None:
    talking = Talking()
    async with RawServer(talking) as server, upstream_of(server, client, SOON) as upstream:
        assert text_of(await call(upstream)) == "hi"
        assert (upstream.state, upstream.status().sessions) == (State.READY, 1)
        await until(lambda: upstream.state is State.IDLE)
        assert upstream.status().sessions == 0
        await until(lambda: server.closed == server.connections)
        (goodbye,) = server.sent("DELETE")
        assert goodbye.headers["mcp-session-id"] == "s-1"
        assert text_of(await call(upstream)) == "hi"
        assert talking.sessions == ["s-1", "s-2"]


async def test_a_modern_server_that_nobody_uses_is_let_go() -> None:
    async with RawServer(TalkingModern()) as server, upstream_of(server, limits=SOON) as upstream:
        assert text_of(await call(upstream)) == "hi"
        await until(lambda: upstream.state is State.IDLE and server.closed == server.connections)
        assert text_of(await call(upstream)) == "hi"
        assert "DELETE" not in server.methods()


@pytest.mark.parametrize("reason", ["attended", "subscribed", "asked", "calling"])
async def test_a_server_in_use_is_kept(reason: str) -> None:
    gate = asyncio.Event()

    async def wait(question: Question) -> Reply:
        await gate.wait()
        return Result(b"{}")

    async def slow(request: Request, out: asyncio.StreamWriter) -> None:
        await gate.wait()
        out.write(plain(message({"jsonrpc": "2.0", "id": request.id, "result": {}})))

    talking, client = Talking(slow), session_client()
    client.reply = wait
    async with RawServer(talking) as server, upstream_of(server, client, SOON) as upstream:
        await upstream.greet()
        under_way: list[asyncio.Task[Reply]] = []
        if reason == "attended":
            upstream.attend(True)
        elif reason == "subscribed":
            await send(upstream, "resources/subscribe", uri="x://1")
        elif reason == "asked":
            await talking.say(asking("q"))
            await until(lambda: client.asked)
        else:
            under_way.append(asyncio.create_task(call(upstream)))
        await asyncio.sleep(0.25)
        assert upstream.status().sessions == 1
        assert "DELETE" not in server.methods()
        gate.set()
        upstream.attend(False)
        if reason == "subscribed":
            await send(upstream, "resources/unsubscribe", uri="x://1")
        await asyncio.gather(*under_way)
        await until(lambda: upstream.state is State.IDLE and server.sent("DELETE"))


async def test_what_stands_outlives_being_let_go() -> None:
    talking = Talking()
    async with RawServer(talking) as server, upstream_of(server, session_client(), SOON) as upstream:
        await send(upstream, "logging/setLevel", level="debug")
        await until(lambda: server.sent("DELETE"))
        assert text_of(await call(upstream)) == "hi"
        levels = [request.headers["mcp-session-id"] for request in server.sent("logging/setLevel")]
        assert levels == ["s-1", "s-2"]


@pytest.mark.parametrize("answer", ["405 No", "404 No", "500 Oops", "never", "cut"])
async def test_a_server_may_refuse_the_goodbye(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    talking = Talking(get=no_stream)
    monkeypatch.setattr(line, "_GOODBYE", 0.05)

    async def refuse(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method != "DELETE":
            await talking(request, out)
        elif answer == "cut":
            out.close()
        elif answer == "never":
            await hold(out)
        else:
            out.write(plain(b"", "text/plain", answer))

    async with RawServer(refuse) as server, upstream_of(server, limits=SOON) as upstream:
        await upstream.greet()
        await until(lambda: server.sent("DELETE"))
        assert upstream.state is State.IDLE
        assert text_of(await call(upstream)) == "hi"


@pytest.mark.parametrize("at", ["notifications/initialized", "GET", "logging/setLevel"])
async def test_a_session_given_up_while_it_is_opened_is_ended_too(at: str) -> None:
    talking = Talking()

    async def stuck(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == at and request.headers["mcp-session-id"] == "s-2":
            await hold(out)
        await talking(request, out)

    async with RawServer(stuck) as server:
        async with upstream_of(server, session_client()) as upstream:
            await send(upstream, "logging/setLevel", level="debug")
            talking.forgotten.add("s-1")
            under_way = asyncio.create_task(call(upstream))
            await until(lambda: any(r.headers.get("mcp-session-id") == "s-2" for r in server.sent(at)))
        with pytest.raises(UpstreamError):
            await under_way
        assert [request.headers["mcp-session-id"] for request in server.sent("DELETE")] == ["s-2"]


async def test_many_sessions_that_live_one_call_leave_nothing_behind() -> None:
    talking = Talking()
    async with RawServer(talking) as server:

        async def live() -> None:
            async with upstream_of(server, session_client()) as upstream:
                assert text_of(await call(upstream)) == "hi"

        await live()
        tasks = len(asyncio.all_tasks())
        for _ in range(10):
            await asyncio.gather(*[live() for _ in range(20)])
        assert len(server.sent("DELETE")) == len(talking.sessions) == 201
        await until(lambda: server.closed == server.connections)
        gc.collect()
        left = [one for one in gc.get_objects() if isinstance(one, (HttpUpstream, Connection))]
        assert left == []
        assert len(asyncio.all_tasks()) <= tasks


async def test_the_body_of_a_relayed_notice_is_the_clients_own() -> None:
    progress = Notice("notifications/progress", b'{"progressToken":"server\'s","progress":1.50}')
    async with RawServer(Talking(get=no_stream)) as server, upstream_of(server) as upstream:
        await upstream.greet()
        await upstream.relay(progress)
        assert json.loads(server.requests[-1].body)["params"]["progressToken"] == "server's"
        assert b"1.50" in server.requests[-1].body
