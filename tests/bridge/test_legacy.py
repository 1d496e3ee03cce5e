"""Legacy clients: the session and its headers, streams both ways, resumption, renewal, and nothing done twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.conversation import GRANT, META, OPENING, conversation, until
from bridge.scripted import (
    ACCEPTED,
    OPEN_STREAM,
    answer_of,
    breaking,
    framed,
    free_headers,
    lost_session,
    scripted,
)
from upstream.raw_servers import Request, result, text_result

NOTE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


async def test_a_session_is_opened_used_and_ended() -> None:
    async with scripted() as gateway:
        async with conversation(gateway.server.url) as talk:
            opened = await talk.open()
            assert opened["result"]["serverInfo"]["name"] == "scripted"
            assert await talk.ask("tools/list", id="seven") == {"jsonrpc": "2.0", "id": "seven", "result": {}}
        requests = gateway.server.requests
    assert sorted(gateway.server.methods()) == sorted(
        ["initialize", "notifications/initialized", "GET", "tools/list", "DELETE"]
    )
    assert gateway.server.methods()[:2] == ["initialize", "notifications/initialized"]
    assert requests[0].message["params"] == OPENING
    assert free_headers(requests[0]) == {}
    for request in requests[1:]:
        assert free_headers(request) == {"mcp-session-id": "s-1", "mcp-protocol-version": "2025-11-25"}
    assert {request.headers["authorization"] for request in requests} == {f"Bearer {GRANT}"}
    assert {request.headers["accept-encoding"] for request in requests} == {"identity"}


async def test_the_version_agreed_on_is_the_one_that_is_sent() -> None:
    async with scripted() as gateway:
        gateway.version = "2025-06-18"
        async with conversation(gateway.server.url) as talk:
            await talk.open()
            await talk.ask("ping")
            assert gateway.server.sent("ping")[0].headers["mcp-protocol-version"] == "2025-06-18"


async def test_bytes_go_through_as_they_are_on_one_line() -> None:
    big = '{"n": 123456789012345678901234567890, "e": 1E2, "u": "\\u00e4\\u2028"}'

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        assert big.encode() in request.body
        body = f'{{"jsonrpc": "2.0",\r\n "id": 5,\n "result": {big}\n}}\n'.encode()
        out.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(body) + body)  # fmt: skip

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.say(f'{{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{{"name":"x","arguments":{big}}}}}'.encode())  # fmt: skip
        await talk.hear()
        assert big.encode() in talk.heard[-1]


async def test_what_comes_before_the_answer_is_relayed_in_order() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        notes = [framed({**NOTE, "params": {"data": number}}) for number in range(3)]
        out.write(OPEN_STREAM + b": hello\n\n" + b"".join(notes) + b"data: no json\n\ndata: {}\n\n")
        out.write(answer_of(request, {"done": True}))
        out.close()

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        *notes, answer = await talk.hear_all(4)
        assert [note["params"]["data"] for note in notes] == [0, 1, 2]
        assert answer == {"jsonrpc": "2.0", "id": 1, "result": {"done": True}}


async def test_many_requests_are_answered_in_any_order() -> None:
    waiting: dict[Any, asyncio.Event] = {number: asyncio.Event() for number in range(8)}

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        await waiting[request.id].wait()
        out.write(text_result(request, str(request.id)))

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        for number in waiting:
            await talk.say({"id": number, "method": "tools/call", "params": {"name": "x"}})
        for number in reversed(waiting):
            waiting[number].set()
            assert (await talk.hear())["id"] == number


async def test_the_gateway_asks_and_the_client_replies() -> None:
    ask = {"jsonrpc": "2.0", "id": "ask-1", "method": "roots/list"}
    replies: asyncio.Queue[Request] = asyncio.Queue()

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(ask))
        await out.drain()
        reply = await replies.get()
        out.write(answer_of(request, reply.message["result"]))
        out.close()

    async def reply(request: Request, out: asyncio.StreamWriter) -> None:
        replies.put_nowait(request)
        out.write(ACCEPTED)

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        gateway.steps[""] = reply
        await talk.open()
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        assert await talk.hear() == ask
        await talk.say({"id": "never asked", "result": {}})
        await talk.say({"id": "ask-1", "result": {"roots": []}})
        assert (await talk.hear())["result"] == {"roots": []}
        await talk.say({"id": "ask-1", "result": {"roots": ["twice"]}})
        await talk.ask("ping", id=9)
        assert len(gateway.server.sent("")) == 1
        assert gateway.server.sent("")[0].headers["mcp-session-id"] == "s-1"


async def test_no_request_overtakes_the_end_of_the_handshake() -> None:
    async def slow(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        out.write(ACCEPTED)

    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        gateway.steps["notifications/initialized"] = slow
        await talk.say({"id": 0, "method": "initialize", "params": OPENING})
        await talk.say({"method": "notifications/initialized"})
        await talk.say({"id": 1, "method": "tools/list"})
        assert [answer["id"] for answer in await talk.hear_all(2)] == [0, 1]
        assert [name for name in gateway.server.methods() if name != "GET"] == ["initialize", "notifications/initialized", "tools/list"]  # fmt: skip


async def test_cancelling_is_passed_on_and_nothing_more_is_written() -> None:
    cancelled = asyncio.Event()

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(NOTE))
        await out.drain()
        await cancelled.wait()
        out.write(answer_of(request, {}))
        out.close()

    async def cancel(request: Request, out: asyncio.StreamWriter) -> None:
        assert request.message["params"] == {"requestId": 1}
        cancelled.set()
        out.write(ACCEPTED)

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        gateway.steps["notifications/cancelled"] = cancel
        await talk.open()
        await talk.say({"method": "notifications/cancelled", "params": {"requestId": "unknown"}})
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        assert await talk.hear() == NOTE
        await talk.say({"method": "notifications/cancelled", "params": {"requestId": 1}})
        await cancelled.wait()
        assert (await talk.ask("ping", id=1))["id"] == 1  # the id is free again
        assert len(gateway.server.sent("notifications/cancelled")) == 1


# --- the stream of what belongs to no request -------------------------------------------------------------


async def test_the_stream_is_read_and_taken_up_again_where_it_broke() -> None:
    rounds = iter(["a", "b", "c"])

    async def stream(request: Request, out: asyncio.StreamWriter) -> None:
        name = next(rounds, "")
        out.write(OPEN_STREAM)
        if name:
            out.write(b"retry: 10\nid: %b-0\ndata:\n\n" % name.encode())
            out.write(framed({**NOTE, "params": {"data": name}}, f"{name}-1"))
            out.close()
        else:
            await out.drain()
            await asyncio.sleep(60)

    async with scripted(GET=stream) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        assert [note["params"]["data"] for note in await talk.hear_all(3)] == ["a", "b", "c"]
        await until(lambda: len(gateway.server.sent("GET")) == 4)
        asked = [request.headers.get("last-event-id") for request in gateway.server.sent("GET")]
        assert asked == [None, "a-1", "b-1", "c-1"]


async def test_requests_come_on_the_stream_and_are_replied_to() -> None:
    ask = {"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {}}

    async def stream(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(ask))
        await out.drain()
        await asyncio.sleep(60)

    async with scripted(GET=stream) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        assert await talk.hear() == ask
        await talk.say({"id": 7, "error": {"code": -1, "message": "declined"}})
        await until(lambda: gateway.server.sent(""))
        assert gateway.server.sent("")[0].message["error"]["message"] == "declined"


# --- broken streams -----------------------------------------------------------------------------------------


async def test_an_answer_is_taken_up_again_where_its_stream_broke() -> None:
    asked: list[Request] = []

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        asked.append(request)
        out.write(OPEN_STREAM + b"retry: 10\nid: e-0\ndata:\n\n" + framed(NOTE, "e-1"))
        out.close()

    async def stream(request: Request, out: asyncio.StreamWriter) -> None:
        if request.headers.get("last-event-id") == "e-1":
            out.write(OPEN_STREAM + framed(NOTE, "e-2"))
            out.close()
        elif request.headers.get("last-event-id") == "e-2":
            out.write(OPEN_STREAM + answer_of(asked[0], {"n": 1}, "e-3"))
            out.close()
        else:
            out.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")

    async with scripted(tools_call=call, GET=stream) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        first, second, answer = await talk.hear_all(3)
        assert first == second == NOTE
        assert answer["result"] == {"n": 1}
        assert len(gateway.server.sent("tools/call")) == 1


@pytest.mark.parametrize("end", ["without an id", "not kept", "at once"])
async def test_a_call_that_may_have_been_made_is_told_so_and_not_made_again(end: str) -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        if end == "at once":
            out.transport.abort()
            return
        out.write(OPEN_STREAM + framed(NOTE, "e-1" if end == "not kept" else ""))
        out.close()

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        answer = (await talk.hear_all(1 if end == "at once" else 2))[-1]
        assert answer["error"]["code"] == -32603
        assert "may have been acted on" in answer["error"]["message"]
        assert answer["error"]["data"] == {"bridge": True, "code": "gateway_lost"}
        assert len(gateway.server.sent("tools/call")) == 1


@pytest.mark.parametrize("method", ["tools/list", "ping", "logging/setLevel", "initialize"])
async def test_what_is_safe_to_ask_twice_is_asked_again(method: str) -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        tries = 0

        async def once(request: Request, out: asyncio.StreamWriter) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                out.transport.abort()
            else:
                out.write(result(request, {"tries": tries}))

        gateway.steps[method] = once
        assert (await talk.ask(method, OPENING))["result"] == {"tries": 2}


@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read", "completion/complete", "tasks/cancel"])  # fmt: skip
async def test_nothing_else_is(method: str) -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        assert "result" in await talk.ask(method)
        gateway.steps[method] = breaking
        assert "error" in await talk.ask(method)
        assert len(gateway.server.sent(method)) == 2


# --- sessions that the gateway forgot -------------------------------------------------------------------------


async def test_a_forgotten_session_is_opened_anew_once_for_all_requests() -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        assert "result" in await talk.ask("tools/call")
        await gateway.forget()
        for number in range(5):
            await talk.say({"id": number, "method": "tools/call", "params": {"name": "x"}})
        answers = await talk.hear_all(5)
        assert all(answer["result"] == {} for answer in answers)
        assert gateway.opened == 2
        again = gateway.server.sent("initialize")[1]
        assert again.message["params"] == OPENING
        assert len(gateway.server.sent("notifications/initialized")) == 2
        served = [request for request in gateway.server.sent("tools/call") if request.headers["mcp-session-id"] == "s-2"]  # fmt: skip
        assert len(served) == 5
        assert any("new one is open" in line for line in talk.printed)


async def test_a_new_session_knows_what_the_old_one_was_told_and_the_client_what_it_may_have_missed() -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        gateway.capabilities = {
            "tools": {"listChanged": True},
            "prompts": {},
            "resources": {"subscribe": True},
        }
        await talk.open()
        await talk.ask("logging/setLevel", {"level": "debug"})
        for uri in ("note://1", "note://2"):
            await talk.ask("resources/subscribe", {"uri": uri})
        await talk.ask("resources/unsubscribe", {"uri": "note://1"})
        await gateway.forget()
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        told = await talk.hear_all(3)
        assert {note.get("method") for note in told} == {"notifications/tools/list_changed", "notifications/resources/updated", None}  # fmt: skip
        assert {"uri": "note://2"} in [note.get("params") for note in told]
        again = [request.message for request in gateway.server.requests if request.headers.get("mcp-session-id") == "s-2" and request.body]  # fmt: skip
        assert [(it["method"], it["params"]) for it in again if it.get("method") in {"logging/setLevel", "resources/subscribe"}] == [("logging/setLevel", {"level": "debug"}), ("resources/subscribe", {"uri": "note://2"})]  # fmt: skip


async def test_the_stream_finds_out_by_itself_that_the_session_is_gone() -> None:
    async def stream(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(
            OPEN_STREAM
            + b"retry: 10\n"
            + framed({**NOTE, "params": {"in": request.headers["mcp-session-id"]}})
        )
        await out.drain()
        await (asyncio.sleep(60) if gateway.opened == 2 else asyncio.sleep(0))
        out.close()

    async with scripted(GET=stream) as gateway, conversation(gateway.server.url) as talk:
        gateway.capabilities = {"tools": {"listChanged": True}}
        await talk.say({"id": 0, "method": "initialize", "params": OPENING})
        await talk.hear()
        await talk.say({"method": "notifications/initialized"})
        await talk.hear()
        await gateway.forget()
        await until(lambda: any(b"list_changed" in line for line in talk.heard))
        await until(lambda: any(b"s-2" in line for line in talk.heard))
        assert gateway.opened == 2


async def test_a_gateway_that_forgets_at_once_is_not_asked_for_ever() -> None:
    async def forgetful(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(lost_session(request))

    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        gateway.steps["tools/call"] = forgetful
        answer = await talk.ask("tools/call", {"name": "x"})
        assert "forgets" in answer["error"]["message"]
        assert gateway.opened == 3
        assert len(gateway.server.sent("tools/call")) == 3


async def test_a_session_that_is_not_opened_again_fails_all_who_wait_at_once() -> None:
    async def refuse(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        out.write(b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 81\r\n\r\n")
        out.write(b'{"error":"not_found","error_description":"This grant reaches no server so named"}')

    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await gateway.forget()
        gateway.steps["initialize"] = refuse
        for number in range(4):
            await talk.say({"id": number, "method": "tools/call", "params": {"name": "x"}})
        for answer in await talk.hear_all(4):
            assert "This grant reaches no server so named" in answer["error"]["message"]
        assert len(gateway.server.sent("initialize")) == 2


async def test_a_reply_to_a_session_that_is_gone_goes_nowhere() -> None:
    ask = {"jsonrpc": "2.0", "id": 7, "method": "roots/list"}

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(ask))
        out.close()

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.say({"id": 1, "method": "tools/call", "params": {"name": "x"}})
        assert await talk.hear() == ask
        assert "error" in await talk.hear()
        await gateway.forget()
        await talk.ask("ping", id=2)
        await talk.say({"id": 7, "result": {"roots": []}})
        await talk.ask("ping", id=3)
        assert gateway.opened == 2
        assert gateway.server.sent("") == []


async def test_a_second_handshake_takes_the_place_of_the_first() -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.open()
        await talk.ask("ping")
        assert gateway.server.sent("ping")[0].headers["mcp-session-id"] == "s-2"
        assert gateway.server.sent("DELETE")[0].headers["mcp-session-id"] == "s-1"


async def test_without_a_handshake_the_gateway_says_what_is_missing() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        assert free_headers(request) == {}
        out.write(result(request, {}))

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        assert (await talk.ask("tools/call"))["result"] == {}


async def test_both_eras_at_once_keep_apart() -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.open()
        await talk.ask("tools/list", {"_meta": META})
        await talk.ask("tools/list")
        modern, legacy = gateway.server.sent("tools/list")
        assert free_headers(modern) == {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
        assert free_headers(legacy) == {"mcp-protocol-version": "2025-11-25", "mcp-session-id": "s-1"}
