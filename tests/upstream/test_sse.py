from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from coatcheck.errors import (
    UpstreamBadReply,
    UpstreamCredentialRefused,
    UpstreamError,
    UpstreamLost,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from coatcheck.model.call import Fault, Notice, Question, Reply, Result
from coatcheck.model.era import Era
from coatcheck.ports import Ask, State, Upstream
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.reading import ReplyLimits
from coatcheck.upstream.sse import session as session_module
from coatcheck.upstream.sse.session import NoSuchStream
from coatcheck.upstream.sse.upstream import SseUpstream
from doubles.clients import ScriptedClient, gateway_itself
from upstream.permits import http_server
from upstream.raw_servers import Request, message, plain
from upstream.sse_servers import QUICK, Old, OldServer, opened
from upstream.stdio_permits import open_fds


def session() -> ScriptedClient:
    return ScriptedClient(b'{"sampling":{}}', Era.LEGACY, "2025-03-26")


async def silent(server: OldServer, request: Request) -> None:
    """Answer nothing."""


# --- one session -------------------------------------------------------------------------------------------


async def test_a_server_is_greeted_over_its_stream_and_called() -> None:
    async with opened(headers={"Authorization": "Bearer s3cr3t-of-the-server"}) as old:
        assert old.upstream.state is State.IDLE
        greeting = await old.upstream.greet()
        assert (greeting.era, greeting.version) == (Era.LEGACY, "2024-11-05")
        reply = await old.call("echo", {"n": 1})
        assert isinstance(reply, Result)
        assert json.loads(reply.raw)["arguments"] == {"n": 1}
        get, *posts = old.server.raw.requests
        assert get.line == "GET /sse HTTP/1.1"
        assert get.headers["accept"] == "text/event-stream"
        assert {post.line for post in posts} == {"POST /messages?session_id=1 HTTP/1.1"}
        assert [post.method for post in posts] == ["initialize", "notifications/initialized", "tools/call"]
        assert {request.headers["authorization"] for request in (get, *posts)} == {
            "Bearer s3cr3t-of-the-server"
        }
        status = old.upstream.status()
        assert (status.state, status.sessions, status.in_flight) == (State.READY, 1, 0)
    assert (old.upstream.state, old.server.opened) == (State.STOPPED, 1)


async def test_a_session_is_opened_as_its_client_opened_ours() -> None:
    async with opened(client=session()) as old:
        await old.upstream.greet()
        params = old.server.posted("initialize")[0]["params"]
        assert (params["protocolVersion"], params["capabilities"]) == ("2025-03-26", {"sampling": {}})


async def test_many_calls_share_one_session_and_answers_come_in_any_order() -> None:
    waiting: list[Any] = []

    async def backwards(server: OldServer, request: Request) -> None:
        waiting.append(request)
        if len(waiting) == 50:
            for each in reversed(waiting):
                await server.say({"id": each.id, "result": {"n": each.message["params"]["arguments"]["n"]}})

    async with opened(OldServer(backwards)) as old:
        replies = await asyncio.gather(*(old.call("echo", {"n": n}) for n in range(50)))
        assert replies == [Result(b'{"n": %d}' % n) for n in range(50)]
        assert old.server.opened == 1


@pytest.mark.parametrize(
    "accepting",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        plain(b'{"ok":true}'),
        plain(b"null"),
        plain(b""),
        plain(message({"jsonrpc": "2.0", "id": "another", "result": {}})),
        plain(message({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "x"}})),
        plain(b"data: x\n\n", "text/event-stream"),
    ],
)
async def test_a_message_may_be_accepted_in_other_words(accepting: bytes) -> None:
    async with opened(OldServer(accepting=accepting)) as old:
        assert isinstance(await old.call(), Result)


async def test_the_answer_may_come_before_the_message_is_accepted() -> None:
    async with opened(OldServer(early=True)) as old:
        assert isinstance(await old.call(), Result)
        assert isinstance(await old.call(), Result)


async def test_the_answer_may_be_that_of_the_post_itself() -> None:
    async with opened(OldServer(silent)) as old:
        await old.upstream.greet()
        body = message({"jsonrpc": "2.0", "id": 2, "result": {"at": "once"}})
        old.server.refusing.append(plain(body))
        assert await old.call() == Result(b'{"at": "once"}')
        error = {"jsonrpc": "2.0", "id": 3, "error": {"code": -32602, "message": "no"}}
        old.server.refusing.append(plain(message(error), status="400 Bad Request"))
        assert await old.call() == Fault(-32602, "no")
        assert old.server.opened == 1


async def test_our_own_requests() -> None:
    async with opened() as old:
        reply = await old.upstream.ask(Ask.TOOLS, "next")
        assert reply == Result(b'{"of": "tools/list", "cursor": "next"}')


async def test_what_the_server_says_and_asks_goes_where_it_belongs() -> None:
    client = session()

    async def talk(server: OldServer, request: Request) -> None:
        if request.id is None or "method" not in request.message:
            return
        token = request.message["params"]["_meta"]["progressToken"]
        note = {"progressToken": token, "progress": 1}
        await server.say({"method": "notifications/progress", "params": note})
        await server.say({"method": "notifications/tools/list_changed"})
        await server.say({"id": "a", "method": "ping"})
        await server.say({"id": "b", "method": "sampling/createMessage", "params": {"of": SECRET}})
        await server.until("(answer)", 2)
        await server.say({"id": request.id, "result": {"with": SECRET}})

    async with opened(OldServer(talk), client=client, headers={"X-Key": SECRET}) as old:
        reply = await asyncio.wait_for(old.call(token=b'"mine"'), 10)
        assert reply == Result(b'{"with": "[redacted]"}')
        assert old.notices == [Notice("notifications/progress", b'{"progressToken":"mine","progress":1}')]
        assert client.told == [Notice("notifications/tools/list_changed", b"{}")]
        question = Question("sampling/createMessage", b'{"of": "[redacted]"}')
        assert client.asked == [(question, b'"of the caller"')]
        assert sorted(answer["id"] for answer in old.server.posted("(answer)")) == ["a", "b"]


SECRET = "s3cr3t-of-the-server"


async def test_a_cancelled_call_is_cancelled_at_the_server_after_it_was_sent() -> None:
    async with opened(OldServer(silent)) as old:
        await old.upstream.greet()
        for _ in range(5):
            call = asyncio.create_task(old.call())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
        await old.server.until("notifications/cancelled", 5)
        posted = [m for m in old.server.posted()[2:] if m["method"] != "ping"]
        methods = [m["method"] for m in posted]
        order = [m.get("id") or m["params"]["requestId"] for m in posted]
        calls = [id for id, method in zip(order, methods, strict=True) if method == "tools/call"]
        assert len(order) == 10
        assert len(calls) == 5
        for id in calls:
            first, second = (n for n, each in enumerate(order) if each == id)
            assert (methods[first], methods[second]) == ("tools/call", "notifications/cancelled")


async def test_what_the_client_says_is_posted() -> None:
    async with opened(client=session()) as old:
        await old.upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert old.server.raw.requests == []
        await old.upstream.greet()
        await old.upstream.relay(Notice("notifications/roots/list_changed", b"{}"))
        assert len(old.server.posted("notifications/roots/list_changed")) == 1


# --- the end of a session ----------------------------------------------------------------------------------


async def test_the_end_of_the_stream_loses_what_is_under_way_and_the_next_call_opens_another() -> None:
    async with opened(OldServer(silent), client=session()) as old:
        calls = [asyncio.create_task(old.call()) for _ in range(3)]
        await old.server.until("tools/call", 3)
        old.server.hang_up()
        for error in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(error, UpstreamLost)
            assert error.reached
        assert (old.upstream.state, old.upstream.status().sessions) == (State.FAILING, 0)
        old.server.answer = OldServer().answer
        assert isinstance(await old.call(), Result)
        assert (old.upstream.state, old.server.opened) == (State.READY, 2)
        assert old.server.raw.requests[-1].line == "POST /messages?session_id=2 HTTP/1.1"


FORGOTTEN = [
    plain(b"Could not find session", "text/plain", "404 Not Found"),
    plain(b"No transport found for sessionId", "text/plain", "400 Bad Request"),
    plain(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"gone"}}', status="404 Not Found"),
    plain(b"", "text/plain", "410 Gone"),
]


@pytest.mark.parametrize("refusal", FORGOTTEN)
async def test_a_forgotten_session_is_opened_anew_once_and_the_call_sent_again(refusal: bytes) -> None:
    async with opened() as old:
        await old.upstream.greet()
        old.server.refusing.append(refusal)
        assert isinstance(await old.call(), Result)
        assert old.server.opened == 2
        old.server.refusing += [refusal] * 4  # the call, then the new session from its first message on
        with pytest.raises(UpstreamError) as caught:
            await old.call()
        assert not caught.value.reached
        assert old.server.opened == 3


async def test_calls_that_are_refused_together_share_the_new_session() -> None:
    async with opened() as old:
        await old.upstream.greet()
        old.server.refusing += [FORGOTTEN[0]] * 10
        replies = await asyncio.gather(*(old.call("echo", {"n": n}) for n in range(10)))
        assert all(isinstance(reply, Result) for reply in replies)
        assert old.server.opened == 2


async def test_sessions_come_and_go_and_leave_nothing_behind() -> None:
    async with opened() as old:
        await old.call()
        await asyncio.sleep(0.05)
        before = open_fds(), len(asyncio.all_tasks())
        for _ in range(50):
            old.server.hang_up()
            while old.upstream.status().sessions:
                await asyncio.sleep(0)
            assert isinstance(await old.call(), Result)
        await asyncio.sleep(0.05)
        assert (open_fds(), len(asyncio.all_tasks())) == before


async def test_a_session_whose_stream_still_stands_is_hung_up_when_forgotten() -> None:
    async with opened() as old:
        await old.upstream.greet()
        old.server.refusing.append(FORGOTTEN[0])
        await old.call()
        while old.server.raw.closed == 0:
            await asyncio.sleep(0.005)
        await old.server.say({"id": 1, "method": "ping"}, stream=1)
        assert (await old.server.until("(answer)"))[0]["result"] == {}


@pytest.mark.parametrize(
    ("reply", "kind", "reached"),
    [
        (plain(b"", status="401 Unauthorized"), UpstreamCredentialRefused, False),
        (plain(b"", status="403 Forbidden"), UpstreamCredentialRefused, False),
        (plain(b"", status="500 Internal Server Error"), UpstreamBadReply, True),
        (plain(b"", "application/json", "307 Temporary Redirect", "Location: /x"), UpstreamBadReply, False),
        (plain(b"", status="413 Content Too Large"), UpstreamBadReply, False),
        (b"rubbish\r\n\r\n", UpstreamBadReply, True),
    ],
)
async def test_a_refused_message_fails_its_own_call_only(
    reply: bytes, kind: type[UpstreamError], reached: bool
) -> None:
    async with opened() as old:
        await old.call()
        old.server.refusing.append(reply)
        with pytest.raises(kind) as caught:
            await old.call()
        assert caught.value.reached is reached
        assert isinstance(await old.call(), Result)
        assert old.server.opened == 1
        assert len(old.server.posted("tools/call")) == 3


async def test_a_new_session_is_told_first_what_the_last_one_was_told_to_keep() -> None:
    async with opened(client=session()) as old:
        await old.send("logging/setLevel", {"level": "debug"})
        await old.send("resources/subscribe", {"uri": "a:1"})
        await old.send("resources/subscribe", {"uri": "a:2"})
        await old.send("resources/unsubscribe", {"uri": "a:1"})
        old.server.hang_up()
        while old.server.opened < 2:  # somebody watches, so nobody has to call
            await asyncio.sleep(0.005)
        await old.call()
        told = [m["method"] for m in old.server.posted()][6:]
        assert told == [
            "initialize",
            "notifications/initialized",
            "logging/setLevel",
            "resources/subscribe",
            "tools/call",
        ]
        assert old.server.posted("resources/subscribe")[-1]["params"] == {"uri": "a:2"}


async def test_while_attended_there_is_a_session_at_all_times() -> None:
    async with opened(client=session(), limits=replace(QUICK, idle=0.05)) as old:
        old.upstream.attend(True)
        for count in (1, 2):
            while old.upstream.status().sessions == 0 or old.server.opened < count:
                await asyncio.sleep(0.005)
            await old.server.say({"method": "notifications/tools/list_changed"})
            await old.client.hears()
            if count == 1:
                old.server.hang_up()
        old.upstream.attend(False)
        while old.upstream.state is not State.IDLE:
            await asyncio.sleep(0.005)
        assert [notice.method for notice in old.client.told] == ["notifications/tools/list_changed"] * 2


async def test_one_that_hangs_up_at_once_is_not_asked_without_end() -> None:
    async with opened(client=session()) as old:
        old.upstream.attend(True)
        while old.upstream.status().sessions == 0:
            await asyncio.sleep(0.005)
        old.server.hang_up()
        await asyncio.sleep(0.5)
        assert old.server.opened == 1  # the pause after a quick end is a second at least


async def test_one_that_cannot_be_reached_is_not_tried_without_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "coatcheck")
    for headers in ({}, {"X-Key": "a\nb"}):
        caplog.clear()
        server = http_server("http://127.0.0.1:9/sse", headers)
        upstream = SseUpstream(server, Egress(True), QUICK, session())
        upstream.attend(True)
        await asyncio.sleep(0.3)
        assert len(caplog.records) == 1
        assert upstream.state is State.FAILING
        await upstream.close(0.0)


async def test_a_stream_that_fell_silent_is_given_up_but_not_one_that_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "_SILENCE", 0.1)
    async with opened(OldServer(silent)) as old:
        await old.upstream.greet()
        for gives_up in (False, True):
            if not gives_up:
                old.server.answer = OldServer().answer
                assert isinstance(await old.call(), Result)
                old.server.answer = only_ping
            else:
                old.server.answer = silent
            call = asyncio.create_task(old.call())
            await old.server.until("tools/call", 2 + gives_up)
            call.cancel()
            await asyncio.wait([call])
            await old.server.until("ping", 1 + gives_up)
            await asyncio.sleep(0.2)
            assert (old.upstream.status().sessions, old.server.opened) == (1 - gives_up, 1)
        assert old.upstream.status().last_error == "weather fell silent on its stream"


async def only_ping(server: OldServer, request: Request) -> None:
    if request.method == "ping":
        await server.say({"id": request.id, "result": {}})


async def test_an_idle_session_is_let_go_and_the_next_call_opens_another() -> None:
    async with opened(limits=replace(QUICK, idle=0.1)) as old:
        await old.call()
        while old.upstream.state is State.READY:
            await asyncio.sleep(0.01)
        status = old.upstream.status()
        assert (status.state, status.sessions, status.last_error) == (State.IDLE, 0, "")
        while old.server.raw.closed == 0:
            await asyncio.sleep(0.005)
        assert isinstance(await old.call(), Result)
        assert old.server.opened == 2


async def test_a_session_with_a_call_or_a_question_under_way_is_not_idle() -> None:
    client = session()
    answered = asyncio.Event()

    async def late(question: Question) -> Reply:
        await answered.wait()
        return Result(b"{}")

    client.reply = late
    async with opened(OldServer(silent), replace(QUICK, idle=0.1), client) as old:
        call = asyncio.create_task(old.call())
        await asyncio.sleep(0.3)
        assert old.upstream.status().in_flight == 1
        await old.server.say({"id": 1, "method": "roots/list"})
        await client.hears()
        await old.server.say({"id": 2, "result": {}})
        await call
        await asyncio.sleep(0.3)
        assert old.upstream.state is State.READY
        answered.set()
        while old.upstream.state is State.READY:
            await asyncio.sleep(0.01)


async def test_close_lets_calls_end_and_takes_no_new_ones() -> None:
    async with opened(OldServer(silent)) as old:
        call = asyncio.create_task(old.call())
        await old.server.until("tools/call")
        closing = asyncio.create_task(old.upstream.close(5.0))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamUnreachable):
            await old.call()
        await old.server.say({"id": 2, "result": {}})
        assert await call == Result(b"{}")
        await closing
        while old.server.raw.closed < old.server.raw.connections:
            await asyncio.sleep(0.005)


async def test_close_waits_no_longer_than_it_was_told() -> None:
    async with opened(OldServer(silent)) as old:
        call = asyncio.create_task(old.call())
        await old.server.until("tools/call")
        await old.upstream.close(0.05)
        with pytest.raises(UpstreamLost) as caught:
            await call
        assert caught.value.reached


async def test_close_ends_an_opening_under_way() -> None:
    async with opened(OldServer(opening=STREAM_WITHOUT_END)) as old:
        call = asyncio.create_task(old.upstream.greet())
        while old.server.opened == 0:
            await asyncio.sleep(0.005)
        await old.upstream.close(0.0)
        with pytest.raises(UpstreamUnreachable):
            await call


STREAM_WITHOUT_END = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: comment without end"


async def test_those_who_wait_for_a_session_share_it_and_one_who_gives_up_stops_nobody() -> None:
    async with opened() as old:
        first, *others = (asyncio.create_task(old.call()) for _ in range(5))
        await asyncio.sleep(0)
        first.cancel()
        assert all(isinstance(reply, Result) for reply in await asyncio.gather(*others))
        assert first.cancelled()
        assert old.server.opened == 1


# --- hostile servers ---------------------------------------------------------------------------------------

BAD_ENDPOINTS = [
    "http://127.0.0.1:1/messages",
    "http://localhost:{port}/messages",
    "http://example.com/messages",
    "https://127.0.0.1:{port}/messages",
    "//127.0.0.2:{port}/messages",
    "//evil.example/messages",
    "http://user:password@127.0.0.1:{port}/messages",
    "http://127.0.0.1:{port}@evil.example/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "file:///etc/passwd",
    "http:/messages",
    "/messages\\..\\x",
    "/messages?a b",
    "/messages?\x7f",
    "/m\u00e4ssages",
    "/" + "x" * 9000,
    " ",
]


@pytest.mark.parametrize("endpoint", BAD_ENDPOINTS)
async def test_no_message_is_posted_anywhere_but_to_the_origin_of_the_stream(endpoint: str) -> None:
    async with opened(OldServer(endpoint=endpoint), headers={"X-Key": SECRET}) as old:
        with pytest.raises(UpstreamBadReply) as caught:
            await old.call()
        assert not caught.value.reached
        assert "address to post to" in caught.value.message or "another origin" in caught.value.message
        assert "evil" not in caught.value.message
        assert [request.line for request in old.server.raw.requests] == ["GET /sse HTTP/1.1"]
        assert old.upstream.state is State.FAILING


@pytest.mark.parametrize(
    ("endpoint", "line"),
    [
        ("http://127.0.0.1:{port}/a?b=c", "POST /a?b=c HTTP/1.1"),
        ("HTTP://127.0.0.1:{port}?b", "POST /?b HTTP/1.1"),
        ("//127.0.0.1:{port}/a", "POST /a HTTP/1.1"),
        ("messages", "POST /messages HTTP/1.1"),
        ("?session=1", "POST /sse?session=1 HTTP/1.1"),
        ("/a#fragment", "POST /a HTTP/1.1"),
        ("/a/../b/./c/..", "POST /b/ HTTP/1.1"),
        (" /a", "POST /a HTTP/1.1"),
    ],
)
async def test_an_address_of_the_same_origin_may_be_written_in_many_ways(endpoint: str, line: str) -> None:
    async with opened(OldServer(endpoint=endpoint)) as old:
        assert isinstance(await old.call(), Result)
        assert old.server.raw.requests[-1].line == line


async def test_a_second_endpoint_changes_nothing() -> None:
    async with opened() as old:
        await old.call()
        old.server.streams[-1].write(b"event: endpoint\ndata: /elsewhere\n\n")
        await old.call()
        assert old.server.raw.requests[-1].line == "POST /messages?session_id=1 HTTP/1.1"


@pytest.mark.parametrize(
    ("opening", "kind"),
    [
        (plain(b"not here", "text/plain", "404 Not Found"), NoSuchStream),
        (plain(b"", "text/plain", "405 Method Not Allowed"), NoSuchStream),
        (plain(b"{}"), NoSuchStream),
        (plain(b"<html>", "text/html"), NoSuchStream),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {}\n\n", NoSuchStream),
        (plain(b"", "text/plain", "401 Unauthorized"), UpstreamCredentialRefused),
        (plain(b"", "text/plain", "302 Found", "Location: http://evil.example/"), UpstreamBadReply),
        (plain(b"", "text/plain", "500 Internal Server Error"), UpstreamBadReply),
        (b"\x00\x01\x02\r\n\r\n", UpstreamBadReply),
    ],
)
async def test_what_is_no_stream_of_this_transport_is_refused(
    opening: bytes, kind: type[UpstreamError]
) -> None:
    async with opened(OldServer(opening=opening)) as old:
        with pytest.raises(kind) as caught:
            await old.upstream.greet()
        assert not caught.value.reached or kind is UpstreamBadReply
        assert "evil" not in str(caught.value)
        assert old.server.posted() == []


@pytest.mark.parametrize("opening", [STREAM_WITHOUT_END, STREAM_WITHOUT_END[:-1] + b"\n\nevent: x\ndata: "])
async def test_one_that_names_no_endpoint_is_not_waited_for_for_ever(opening: bytes) -> None:
    async with opened(OldServer(opening=opening), replace(QUICK, connect=0.2)) as old:
        with pytest.raises(UpstreamTimeout) as caught:
            await old.upstream.greet()
        assert caught.value.message == "weather did not complete the handshake within 0.2 seconds"
        while old.server.raw.closed == 0:
            await asyncio.sleep(0.005)


async def test_one_that_closes_before_it_named_its_endpoint_is_lost() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = SseUpstream(http_server(f"http://127.0.0.1:{port}/"), Egress(True), QUICK, gateway_itself())
    with pytest.raises(UpstreamLost):
        await upstream.greet()
    await upstream.close(0.0)
    server.close()


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28"])
async def test_one_that_answers_in_no_legacy_version_is_refused(version: str) -> None:
    async with opened(OldServer(version=version)) as old:
        with pytest.raises(UpstreamBadReply) as caught:
            await old.upstream.greet()
        assert "version" in caught.value.message


async def test_an_event_over_the_limit_ends_the_session_and_no_memory() -> None:
    async def flood(server: OldServer, request: Request) -> None:
        server.streams[-1].write(b"data: " + b"x" * 2**20)

    limits = replace(QUICK, reply=ReplyLimits(body=2**18))
    async with opened(OldServer(flood), limits) as old:
        with pytest.raises(UpstreamBadReply) as caught:
            await old.call()
        assert caught.value.reached
        assert "more than 262144 bytes" in caught.value.message
        old.server.answer = OldServer().answer
        assert isinstance(await old.call(), Result)


@pytest.mark.parametrize(
    "junk",
    [
        b"data: not json\n\n",
        b"data: [1]\n\n",
        b"data: \n\n",
        b"data\n\n",
        b"event: other\ndata: {}\n\n",
        b"id: 5\nretry: 10\n\n",
        b": comment\n\n",
        b'data: {"jsonrpc":"2.0","id":99,"result":{}}\n\n',
        b'data: {"jsonrpc":"2.0","id":{"a":1},"method":"x"}\n\n',
        b'data: {"jsonrpc":"2.0","id":"%b","method":"x"}\n\n' % (b"i" * 5000),
        b'data: {"jsonrpc":"2.0"}\n\n',
    ],
)
async def test_junk_on_the_stream_hurts_nobody(junk: bytes) -> None:
    async with opened(client=session()) as old:
        await old.call()
        old.server.streams[-1].write(junk)
        assert isinstance(await old.call(), Result)
        assert old.server.opened == 1


async def test_an_answer_that_is_none_fails_its_own_call() -> None:
    async def odd(server: OldServer, request: Request) -> None:
        await server.say({"id": request.id, "result": 5})

    async with opened(OldServer(odd)) as old:
        with pytest.raises(UpstreamBadReply) as caught:
            await old.call()
        assert caught.value.reached
        assert old.upstream.status().sessions == 1


async def test_it_is_an_upstream() -> None:
    async with opened() as old:
        upstream: Upstream = old.upstream
        assert upstream.server.name == "weather"
        assert isinstance(old, Old)
