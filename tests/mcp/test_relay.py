"""One answer on its way out: late commitment to a stream, order, bounds, and ends of every kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from coatcheck.mcp import outlets
from coatcheck.mcp import relay as relay_module
from coatcheck.mcp.legacy.streams import EventLimits, Streams
from coatcheck.mcp.outlets import MAX_WAITING_BYTES, MAX_WAITING_EVENTS, Outlet
from coatcheck.mcp.relay import Relay
from coatcheck.model.call import Notice
from doubles.clock import HandClock
from doubles.responses import Client

JSON = [(b"content-length", b"2"), (b"content-type", b"application/json")]


def made(client: Client, *, streams: bool = True, gone: list[str] | None = None) -> Relay:
    heard = gone if gone is not None else []
    return Relay(client.receive, client.send, streams=streams, on_gone=lambda: heard.append("gone"))


def notice(number: int, size: int = 0) -> Notice:
    return Notice("notifications/progress", json.dumps({"n": number, "x": "y" * size}).encode())


async def test_an_answer_alone_is_plain_json_with_its_status() -> None:
    client = Client()
    relay = made(client)
    await relay.answer(404, b"{}", [(b"x-more", b"1")])
    assert (client.status, client.got[0]["headers"], client.body, client.ended) == (
        404,
        [*JSON, (b"x-more", b"1")],
        b"{}",
        True,
    )
    assert not relay.streaming


async def test_what_comes_before_the_answer_makes_it_a_stream() -> None:
    client = Client()
    relay = made(client)
    for number in range(3):
        relay.notify(notice(number))
    assert relay.streaming
    await relay.answer(200, b'{"id":1}', [])
    assert (client.status, client.media, client.ended) == (200, b"text/event-stream", True)
    assert [event.get("params", {}).get("n", "answer") for event in client.events()] == [0, 1, 2, "answer"]
    assert sum(message["type"] == "http.response.start" for message in client.got) == 1


async def test_who_takes_no_streams_gets_none() -> None:
    client = Client()
    relay = made(client, streams=False)
    relay.notify(notice(1))
    await relay.answer(200, b"{}", [])
    assert (client.media, client.body) == (b"application/json", b"{}")


async def test_line_breaks_of_a_servers_json_do_not_break_an_event() -> None:
    client = Client()
    relay = made(client)
    relay.notify(Notice("n", b'{\r\n"a":\n1\r}'))
    await relay.answer(200, b'{\n"id"\r:1}', [])
    assert client.events() == [{"jsonrpc": "2.0", "method": "n", "params": {"a": 1}}, {"id": 1}]


async def test_for_a_client_that_does_not_read_the_oldest_notices_are_dropped_and_never_the_answer() -> None:
    client = Client()
    relay = made(client)
    client.reading.clear()
    for number in range(MAX_WAITING_EVENTS * 4):
        relay.notify(notice(number))
    answering = asyncio.create_task(relay.answer(200, b'{"id":1}', []))
    await asyncio.sleep(0)
    client.reading.set()
    await answering
    numbers = [event["params"]["n"] for event in client.events()[:-1]]
    assert len(numbers) == MAX_WAITING_EVENTS
    assert numbers == list(range(numbers[0], MAX_WAITING_EVENTS * 4))
    assert client.events()[-1] == {"id": 1}


async def test_bytes_that_wait_are_bounded_too_and_a_large_answer_still_comes() -> None:
    client = Client()
    relay = made(client)
    client.reading.clear()
    for number in range(20):
        relay.notify(notice(number, MAX_WAITING_BYTES // 4))
    large = json.dumps({"id": "x" * MAX_WAITING_BYTES * 2}).encode()
    answering = asyncio.create_task(relay.answer(200, large, []))
    await asyncio.sleep(0)
    client.reading.set()
    await answering
    *notices, answer = client.events()
    assert len(answer["id"]) == MAX_WAITING_BYTES * 2
    assert sum(len(notice["params"]["x"]) for notice in notices) <= MAX_WAITING_BYTES
    assert [notice["params"]["n"] for notice in notices] == [17, 18, 19]


async def test_a_request_that_was_cancelled_ends_without_an_answer() -> None:
    plain, stream = Client(), Client()
    await made(plain).finish(flush=True)
    assert (plain.status, plain.body, plain.ended) == (200, b"", True)
    relay = made(stream)
    relay.notify(notice(1))
    await relay.finish(flush=True)
    assert (len(stream.events()), stream.ended) == (1, True)


@pytest.mark.parametrize("streaming", [False, True])
async def test_an_answer_that_has_begun_is_the_only_one(streaming: bool) -> None:
    client = Client()
    relay = made(client)
    if streaming:
        relay.notify(notice(1))
        await asyncio.sleep(0)
    client.reading.clear()
    answering = asyncio.create_task(relay.answer(200, b"{}", []))
    await asyncio.sleep(0)
    answering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answering
    client.reading.set()
    await relay.answer(401, b"[]", [])
    await relay.finish(flush=True)
    relay.abandon()
    assert sum(message["type"] == "http.response.start" for message in client.got) <= 1
    assert b"[]" not in client.body


async def test_a_client_that_leaves_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "WATCH_AFTER", 0.0)
    client, heard = Client(), list[str]()
    relay = made(client, gone=heard)
    client.leave()
    client.leave()
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert heard == ["gone"]
    relay.abandon()


async def test_nobody_is_told_after_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "WATCH_AFTER", 0.0)
    client, heard = Client(), list[str]()
    relay = made(client, gone=heard)
    await asyncio.sleep(0.005)
    await relay.answer(200, b"{}", [])
    client.leave()
    await asyncio.sleep(0.005)
    assert heard == []


async def test_a_long_silence_becomes_a_stream_of_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "WATCH_AFTER", 0.0)
    monkeypatch.setattr(outlets, "KEEP_ALIVE", 0.01)
    client, silent = Client(), Client()
    relay, other = made(client), made(silent, streams=False)
    while client.body.count(b": ") < 3:
        await asyncio.sleep(0.005)
    assert silent.got == []  # who takes no streams hears nothing until the answer
    await relay.answer(200, b'{"id":1}', [])
    await other.answer(200, b"{}", [])
    assert client.events() == [{"id": 1}]
    assert silent.body == b"{}"


async def test_what_is_abandoned_sends_nothing_more() -> None:
    client = Client()
    relay = made(client)
    relay.notify(notice(1))
    relay.abandon()
    relay.notify(notice(2))
    await asyncio.sleep(0.005)
    assert client.got == []


# --- in a session ----------------------------------------------------------------------------------------------


class Sitting:
    """A request of a session, whose client can come back."""

    def __init__(self, *, primes: bool = True, takes: bool = True) -> None:
        self.streams = Streams(EventLimits(), HandClock().monotonic)
        self.streams.primes = primes
        self.client = Client()
        self.gone: list[str] = []
        self.relay = Relay(
            self.client.receive,
            self.client.send,
            streams=takes,
            on_gone=lambda: self.gone.append("gone"),
            session_streams=self.streams,
            request_id=b"1",
        )

    def back(self, seen: str) -> Client:
        """Come back for the rest."""
        found = self.streams.find(seen)
        assert found is not None
        client = Client()
        outlet = Outlet(client.send)
        found[0].resume(outlet, found[1])
        outlet.start()
        return client


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


async def test_a_fast_answer_of_a_session_is_plain_json_and_kept_nowhere() -> None:
    sitting = Sitting()
    await sitting.relay.answer(200, b"{}", [])
    sitting.relay.abandon()
    assert (sitting.client.media, len(sitting.streams)) == (b"application/json", 0)


async def test_a_silent_request_becomes_a_stream_that_can_be_gone_on_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "WATCH_AFTER", 0.0)
    monkeypatch.setattr(outlets, "KEEP_ALIVE", 0.01)
    sitting, plain = Sitting(), Sitting(takes=False)
    await until(lambda: sitting.client.got and b": keep-alive" in sitting.client.body)
    assert [event.id for event in sitting.client.frames()] == ["1-0"]
    assert plain.client.got == []
    sitting.client.leave()
    plain.client.leave()
    await until(lambda: sitting.gone)
    for one in (sitting, plain):
        await one.relay.answer(200, b'{"id":1}', [])
        one.relay.abandon()
    back = sitting.back("1-0")
    await until(lambda: back.ended)
    assert back.events() == [{"id": 1}]
    assert len(plain.streams) == 0


async def test_who_leaves_before_there_was_a_stream_cannot_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "WATCH_AFTER", 0.0)
    sitting = Sitting()
    sitting.client.leave()
    await until(lambda: sitting.gone)
    sitting.relay.notify(notice(1))
    assert not sitting.relay.reachable
    await sitting.relay.answer(200, b"{}", [])
    assert len(sitting.streams) == 0


async def test_what_comes_while_nobody_reads_is_there_for_who_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "WATCH_AFTER", 0.0)
    sitting = Sitting()
    sitting.relay.notify(notice(1))
    await until(lambda: sitting.client.got and sitting.client.events())
    sitting.client.leave()
    await until(lambda: sitting.gone)
    sitting.relay.notify(notice(2))
    back = sitting.back("1-1")
    sitting.relay.notify(notice(3))
    await sitting.relay.answer(200, b'{"id":1}', [])
    await until(lambda: back.ended)
    assert [event.get("params", {}).get("n", "answer") for event in back.events()] == [2, 3, "answer"]
    assert [event.id for event in back.frames()] == ["1-2", "1-3", "1-4"]


async def test_a_request_that_was_sent_away_goes_on_and_is_answered_where_its_client_comes_back() -> None:
    sitting = Sitting()
    sitting.relay.pause(20)
    await until(lambda: sitting.client.got and sitting.client.ended)
    assert [(event.id, event.retry) for event in sitting.client.frames()] == [("1-0", 1000), ("", 20)]
    assert sitting.relay.reachable
    back = sitting.back("1-0")
    sitting.relay.pause(30)  # and once more
    await until(lambda: back.ended)
    await sitting.relay.answer(200, b'{"id":1}', [])
    sitting.relay.pause(40)  # too late
    sitting.relay.abandon()
    again = sitting.back("1-0")
    await until(lambda: again.ended)
    assert again.events() == [{"id": 1}]
    assert sitting.gone == []


@pytest.mark.parametrize("flush", [True, False])
async def test_a_request_that_was_cancelled_ends_its_stream_for_good(flush: bool) -> None:
    sitting = Sitting()
    sitting.client.reading.clear()
    for number in range(3):
        sitting.relay.notify(notice(number))
    ending = asyncio.create_task(sitting.relay.finish(flush=flush))
    await asyncio.sleep(0)
    sitting.client.reading.set()
    await ending
    sitting.relay.abandon()
    assert [event["params"]["n"] for event in sitting.client.events()] == ([0, 1, 2] if flush else [])
    back = sitting.back("1-3")
    await until(lambda: back.ended)
    assert back.events() == []


async def test_a_modern_client_that_does_not_read_what_matters_counts_as_gone() -> None:
    client, heard = Client(), list[str]()
    relay = made(client, gone=heard)
    client.reading.clear()
    for number in range(MAX_WAITING_EVENTS + 2):
        relay.notify(Notice("notifications/x", b'{"n":%d}' % number))
    assert heard == ["gone"]
    relay.abandon()
