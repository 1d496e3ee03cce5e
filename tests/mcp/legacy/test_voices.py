"""Speaking to a client of one's own accord: where questions go, who answers them, what waits for a stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from coatcheck.core.wire.messages import CallerReply
from coatcheck.mcp.legacy import voices
from coatcheck.mcp.legacy.streams import EventLimits, Streams
from coatcheck.mcp.legacy.voices import MAX_HELD, MAX_QUESTIONS, SessionVoice
from coatcheck.mcp.outlets import Item, Outlet
from coatcheck.mcp.relay import Relay
from coatcheck.model.call import Fault, Notice, Question, Result
from doubles.clock import HandClock
from doubles.responses import Client

ROOTS = Question("roots/list", b"{}")
ELICIT = Question("elicitation/create", b'{"message":"name?","requestedSchema":{"type":"object"}}')


class Stage:
    """A session's voice, and clients that read it."""

    def __init__(self, *, primes: bool = True) -> None:
        self.streams = Streams(EventLimits(), HandClock().monotonic)
        self.streams.primes = primes
        self.voice = SessionVoice(self.streams)
        self.relays: list[Relay] = []

    def listener(self) -> Client:
        client = Client()
        outlet = Outlet(client.send)
        self.voice.listen(outlet)
        outlet.start()
        client.outlet = outlet  # type: ignore[attr-defined]
        return client

    def request(self, id: bytes = b"1", *, takes: bool = True) -> tuple[Client, Relay]:
        client = Client()
        relay = Relay(
            client.receive,
            client.send,
            streams=takes,
            on_gone=lambda: None,
            session_streams=self.streams,
            request_id=id,
        )
        self.voice.enter(id, relay)
        self.relays.append(relay)
        return client, relay

    def reply(self, asked: dict[str, Any], result: bytes = b'{"roots":[]}') -> bool:
        return self.voice.take(CallerReply(json.dumps(asked["id"]).encode(), Result(result)))

    def end(self) -> None:
        for relay in self.relays:
            relay.abandon()
        self.voice.close()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def ask(stage: Stage, within: bytes | None = None, question: Question = ROOTS) -> asyncio.Task[Any]:
    return asyncio.create_task(stage.voice.ask(question, within))


# --- questions -------------------------------------------------------------------------------------------------


async def test_a_question_is_a_request_of_ours_and_its_reply_is_what_was_answered() -> None:
    stage = Stage()
    client = stage.listener()
    asking = ask(stage, question=ELICIT)
    await until(client.events)
    (asked,) = client.events()
    assert (asked["method"], asked["params"]) == (ELICIT.method, json.loads(ELICIT.params))
    assert stage.reply(asked, b'{"action":"decline"}')
    assert await asking == Result(b'{"action":"decline"}')
    assert not stage.reply(asked)  # once
    stage.end()


async def test_replies_find_their_questions_in_any_order() -> None:
    stage = Stage()
    client = stage.listener()
    asking = [ask(stage) for _ in range(5)]
    await until(lambda: len(client.events()) == 5)
    ids = [asked["id"] for asked in client.events()]
    assert len(set(ids)) == 5
    for number, asked in reversed(list(enumerate(client.events()))):
        assert stage.reply(asked, b'{"n":%d}' % number)
    assert [await one for one in asking] == [Result(b'{"n":%d}' % number) for number in range(5)]
    stage.end()


@pytest.mark.parametrize("id", [b'"ask-2"', b"1", b'"1"', b'""', b"null", b'"ask-1 "'])
async def test_a_reply_to_nothing_is_dropped(id: bytes) -> None:
    stage = Stage()
    client = stage.listener()
    asking = ask(stage)
    await until(client.events)
    assert not stage.voice.take(CallerReply(id, Result(b"{}")))
    assert not asking.done()
    fault = Fault(-1, "user rejected")
    assert stage.voice.take(CallerReply(b'"ask-1"', fault))
    assert await asking == fault
    stage.end()


async def test_a_reply_that_is_no_object_is_a_fault_for_the_server() -> None:
    stage = Stage()
    client = stage.listener()
    asking = ask(stage)
    await until(client.events)
    assert stage.reply(client.events()[0], b"[1]")
    assert isinstance(await asking, Fault)
    stage.end()


@pytest.mark.parametrize(
    ("within", "listening", "expected"),
    [
        (b"1", True, "1"),
        (b"2", True, "2"),
        (b"9", True, "standing"),
        (None, True, "standing"),
        (b"9", False, "1"),
        (None, False, "1"),
        (b"plain", True, "standing"),
        (b"plain", False, "1"),
    ],
)
async def test_where_a_question_goes(within: bytes | None, listening: bool, expected: str) -> None:
    stage = Stage()
    places = {}
    if listening:
        places["standing"] = stage.listener()
    stage.request(b"plain", takes=False)
    places["1"], _ = stage.request(b"1")
    places["2"], _ = stage.request(b"2")
    asking = ask(stage, within)
    await until(lambda: any(client.got and client.events() for client in places.values()))
    assert [name for name, client in places.items() if client.got and client.events()] == [expected]
    assert stage.reply(places[expected].events()[0])
    await asking
    stage.end()


async def test_a_question_waits_a_while_for_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    asking = ask(stage)
    await asyncio.sleep(0.01)
    assert not asking.done()
    stage.request(b"plain", takes=False)
    client = stage.listener()
    await until(client.events)
    assert stage.reply(client.events()[0])
    await asking

    monkeypatch.setattr(voices, "STREAM_SECONDS", 0.01)
    other = Stage()
    assert await ask(other) == voices.NO_STREAM
    later = ask(other)
    client, _ = other.request()
    await until(lambda: client.got and client.events())
    assert other.reply(client.events()[0])
    await later
    stage.end()
    other.end()


async def test_who_stops_waiting_says_so_on_the_same_stream() -> None:
    stage = Stage()
    standing = stage.listener()
    client, _ = stage.request()
    asking = ask(stage, b"1")
    await until(lambda: client.got and client.events())
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: len(client.events()) == 2)
    asked, cancelled = client.events()
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == asked["id"]
    assert standing.events() == []
    assert not stage.reply(asked)
    stage.end()


async def test_no_answer_in_time_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "ASK_SECONDS", 0.01)
    stage = Stage()
    client = stage.listener()
    assert await ask(stage) == voices.NO_ANSWER
    await until(lambda: len(client.events()) == 2)
    assert client.events()[1]["method"] == "notifications/cancelled"
    stage.end()


async def test_questions_are_bounded_and_the_end_of_the_session_answers_them_all() -> None:
    stage = Stage()
    client = stage.listener()
    asking = [ask(stage) for _ in range(MAX_QUESTIONS)]
    await until(lambda: len(client.events()) == MAX_QUESTIONS)
    assert await ask(stage) == voices.TOO_MANY
    stage.end()
    assert {await one for one in asking} == {voices.ENDED}
    assert await ask(stage) == voices.ENDED


async def test_the_end_of_the_session_ends_the_search_for_a_stream() -> None:
    stage = Stage()
    asking = ask(stage)
    await asyncio.sleep(0)
    stage.end()
    assert await asking == voices.ENDED


async def test_a_client_that_left_is_not_asked_there_and_one_that_was_sent_away_is() -> None:
    stage = Stage()
    gone, relay = stage.request(b"gone")
    relay.notify(Notice("notifications/x", b"{}"))
    away, paused = stage.request(b"away")
    stage.voice.pause(b"away", 20)
    stage.voice.pause(b"unknown", 20)
    await until(lambda: away.ended)
    relay._leave()
    assert not relay.reachable
    assert paused.reachable
    asking = ask(stage, b"gone")
    await asyncio.sleep(0.01)
    assert (len(gone.events()), away.events()) == (1, [])
    back = Client()
    found = stage.streams.find("2-0")
    assert found is not None
    outlet = Outlet(back.send)
    assert not stage.voice.resume(*found, outlet)
    outlet.start()
    await until(back.events)
    assert stage.reply(back.events()[0])
    await asking
    stage.end()


@pytest.mark.parametrize("primes", [True, False])
async def test_only_clients_that_can_come_back_are_sent_away(primes: bool) -> None:
    stage = Stage(primes=primes)
    client, relay = stage.request()
    stage.voice.pause(b"1", None)
    await asyncio.sleep(0.005)
    assert (relay.streaming, bool(client.got) and client.ended) == (primes, primes)
    await relay.answer(200, b"{}", [])
    assert stage.streams.kept[0] == int(primes)
    stage.end()


# --- news ------------------------------------------------------------------------------------------------------


def changed(kind: str) -> Notice:
    return Notice(f"notifications/{kind}/list_changed", b"{}")


def updated(uri: str) -> Notice:
    return Notice("notifications/resources/updated", json.dumps({"uri": uri}).encode())


def log(number: int, size: int = 0) -> Notice:
    return Notice(
        "notifications/message", json.dumps({"level": "info", "data": [number, "x" * size]}).encode()
    )


def said(client: Client) -> list[Any]:
    return [
        (event["method"].removeprefix("notifications/"), event["params"].get("uri"))
        for event in client.events()
    ]


async def test_news_wait_for_a_stream_each_kind_once() -> None:
    stage = Stage()
    for notice in (changed("tools"), updated("a:1"), changed("tools"), updated("a:2"), updated("a:1")):
        stage.voice.tell(notice)
    before = stage.voice.listening
    client = stage.listener()
    assert (before, stage.voice.listening) == (False, True)
    stage.voice.tell(changed("prompts"))
    await until(lambda: len(client.events()) == 4)
    assert said(client) == [
        ("tools/list_changed", None),
        ("resources/updated", "a:1"),
        ("resources/updated", "a:2"),
        ("prompts/list_changed", None),
    ]
    stage.end()


async def test_of_news_that_wait_log_messages_go_first() -> None:
    stage = Stage()
    stage.voice.tell(changed("tools"))
    for number in range(MAX_HELD * 2):
        stage.voice.tell(log(number))
    stage.voice.tell(log(-1, voices.MAX_HELD_BYTES - 5000))
    for number in range(MAX_HELD * 2):
        stage.voice.tell(updated(f"a:{number}"))
    client = stage.listener()
    await until(lambda: len(client.events()) >= MAX_HELD)
    found = said(client)
    assert len(found) == MAX_HELD
    assert {method for method, _ in found} == {"resources/updated"}
    assert found[-1] == ("resources/updated", f"a:{MAX_HELD * 2 - 1}")
    stage.end()


async def test_a_newer_stream_takes_the_place_of_the_older() -> None:
    stage = Stage()
    older = stage.listener()
    stage.voice.tell(changed("tools"))
    newer = stage.listener()
    stage.voice.tell(changed("prompts"))
    await until(lambda: older.ended and newer.events())
    assert said(older) == [("tools/list_changed", None)]
    assert said(newer) == [("prompts/list_changed", None)]  # no message on two streams
    stage.end()
    await until(lambda: newer.ended)


async def test_news_for_a_client_that_lost_its_stream_come_when_it_goes_on() -> None:
    stage = Stage()
    client = stage.listener()
    stage.voice.tell(updated("a:1"))
    await until(client.events)
    found = stage.streams.find("1-0")
    assert found is not None
    found[0].leave(client.outlet)  # type: ignore[attr-defined]
    assert not stage.voice.listening
    stage.voice.tell(updated("a:2"))
    back = Client()
    outlet = Outlet(back.send)
    assert stage.voice.resume(*found, outlet)
    outlet.start()
    await until(lambda: len(back.events()) == 2)
    assert [event.id for event in back.frames()] == ["1-1", "1-2"]
    assert said(back) == [("resources/updated", "a:1"), ("resources/updated", "a:2")]
    stage.end()


async def test_after_the_end_nothing_is_held() -> None:
    stage = Stage()
    stage.voice.tell(changed("tools"))
    stage.end()
    stage.voice.tell(changed("tools"))
    assert stage.voice._held == []


async def test_a_transport_with_one_stream_has_everything_there() -> None:
    lines: list[Item] = []

    class Line:
        reachable = True

        def put(self, item: Item) -> None:
            lines.append(item)

        def end(self) -> None:
            self.reachable = False

        cut = end

    voice = SessionVoice(Streams(EventLimits(), HandClock().monotonic), Line())
    asking = asyncio.create_task(voice.ask(ROOTS, b"1"))
    voice.tell(changed("tools"))
    await asyncio.sleep(0)
    assert voice.listening
    asked = next(message for line in lines if "id" in (message := json.loads(line.message)))
    assert voice.take(CallerReply(json.dumps(asked["id"]).encode(), Result(b"{}")))
    await asking
    assert len(lines) == 2
    voice.close()
    assert not voice.listening
