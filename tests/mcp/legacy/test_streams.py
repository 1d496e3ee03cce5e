"""The streams of one session: ids, what is kept, who may go on where."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.mcp.legacy.streams import FORGET_SECONDS, MAX_RETRY_MS, RETRY_MS, EventLimits, Stream, Streams
from coatcheck.mcp.outlets import Item, Outlet
from doubles.clock import HandClock
from doubles.responses import Client


def made(count: int = 256, size: int = 1 << 20, *, primes: bool = True) -> tuple[Streams, HandClock]:
    clock = HandClock()
    streams = Streams(EventLimits(count, size), clock.monotonic)
    streams.primes = primes
    return streams, clock


def item(number: int, size: int = 0, **more: object) -> Item:
    return Item(json.dumps({"n": number, "x": "y" * size}).encode(), **more)  # type: ignore[arg-type]


def attached(stream: Stream) -> Client:
    """Let a client read a stream from its beginning."""
    client = Client()
    outlet = Outlet(client.send)
    stream.begin(outlet)
    outlet.start()
    client.outlet = outlet  # type: ignore[attr-defined]
    return client


def resumed(stream: Stream, after: int) -> Client:
    client = Client()
    outlet = Outlet(client.send)
    stream.resume(outlet, after)
    outlet.start()
    client.outlet = outlet  # type: ignore[attr-defined]
    return client


def carried(stream: Stream) -> tuple[bool, bool]:
    return stream.attached, stream.reachable


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


def numbers(client: Client) -> list[int]:
    return [event["n"] for event in client.events()]


# --- ids -----------------------------------------------------------------------------------------------------


async def test_events_have_ids_that_no_other_event_of_the_session_has() -> None:
    streams, _ = made()
    first, second = streams.open(), streams.open()
    clients = attached(first), attached(second)
    for number in range(3):
        first.put(item(number))
        second.put(item(number))
    first.end()
    second.end()
    await until(lambda: all(client.ended for client in clients))
    ids = [event.id for client in clients for event in client.frames()]
    assert len(set(ids)) == len(ids) == 8
    assert [event.id for event in clients[0].frames()] == ["1-0", "1-1", "1-2", "1-3"]


@pytest.mark.parametrize("primes", [True, False])
async def test_a_stream_is_primed_for_clients_that_take_events_without_data(primes: bool) -> None:
    streams, _ = made(primes=primes)
    stream = streams.open()
    client = attached(stream)
    stream.put(item(1))
    stream.end()
    await until(lambda: client.ended)
    first = client.frames()[0]
    assert (first.id, first.retry, first.message) == (
        ("1-0", RETRY_MS, None) if primes else ("1-1", None, {"n": 1, "x": ""})
    )


# --- coming back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", range(5))
@pytest.mark.parametrize("over", [False, True])
async def test_who_comes_back_gets_what_it_did_not_see_of_that_stream_alone(seen: int, over: bool) -> None:
    streams, _ = made()
    stream, other = streams.open(), streams.open()
    for number in range(1, 5):
        stream.put(item(number))
        other.put(item(-number))
    if over:
        stream.end()
    assert streams.find(f"1-{seen}") == (stream, seen)
    client = resumed(stream, seen)
    if not over:
        stream.put(item(5))  # and goes on live
        stream.end()
    await until(lambda: client.ended)
    assert numbers(client) == [*range(seen + 1, 5), *([] if over else [5])]


@pytest.mark.parametrize("id", ["", "1", "1-", "-1", "1-5", "2-0", "0-0", "1-1-1", "x-1", "1-0\n", " 1-0", "1-0 ", "\u0661-0", "1" * 10 + "-0", "1--1"])  # fmt: skip
async def test_ids_that_were_never_given(id: str) -> None:
    streams, _ = made()
    stream = streams.open()
    for number in range(4):
        stream.put(item(number))
    assert streams.find("1-4") is not None
    assert streams.find(id) is None


async def test_a_newer_response_takes_a_stream_over_and_nothing_comes_twice() -> None:
    streams, _ = made()
    stream = streams.open()
    older = attached(stream)
    stream.put(item(1))
    await until(lambda: numbers(older) == [1])
    older.reading.clear()
    stream.put(item(2))
    await asyncio.sleep(0.005)
    newer = resumed(stream, 1)
    stream.put(item(3))
    stream.end()
    await until(lambda: newer.ended)
    assert numbers(newer) == [2, 3]
    older.reading.set()
    await until(lambda: older.ended)
    assert 3 not in numbers(older)
    stream.leave(older.outlet)  # type: ignore[attr-defined]


async def test_a_response_that_ends_late_does_not_take_the_stream_from_a_newer_one() -> None:
    streams, _ = made()
    stream = streams.open()
    older = attached(stream)
    newer = resumed(stream, 0)
    stream.leave(older.outlet)  # type: ignore[attr-defined]
    assert carried(stream) == (True, True)
    stream.put(item(1))
    await until(lambda: numbers(newer) == [1])
    stream.leave(newer.outlet)  # type: ignore[attr-defined]
    assert carried(stream) == (False, False)
    stream.cut()
    newer.outlet.abandon()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("retry", "told"), [(None, RETRY_MS), (0, 0), (50, 50), (10**9, MAX_RETRY_MS), (-5, 0)]
)
async def test_a_paused_stream_says_when_to_come_back_and_keeps_the_rest(
    retry: int | None, told: int
) -> None:
    streams, _ = made()
    stream = streams.open()
    client = attached(stream)
    stream.pause(retry)
    await until(lambda: client.ended)
    assert [(event.id, event.retry) for event in client.frames()] == [("1-0", RETRY_MS), ("", told)]
    assert stream.reachable
    stream.put(item(1))
    back = resumed(stream, 0)
    assert not stream.paused
    stream.end()
    await until(lambda: back.ended)
    assert numbers(back) == [1]


# --- bounds --------------------------------------------------------------------------------------------------


async def test_of_many_events_the_newest_are_kept_and_light_ones_go_first() -> None:
    streams, _ = made(count=4)
    stream = streams.open()
    stream.put(item(1))
    for number in range(2, 10):
        stream.put(item(number, light=True))
    assert streams.kept[0] == 4
    assert [kept.number for kept in streams.after(stream, 0)] == [1, 7, 8, 9]
    assert streams.find("1-3") is not None  # what is missing could be done without
    for number in range(10, 14):
        stream.put(item(number))
    assert [kept.number for kept in streams.after(stream, 0)] == [10, 11, 12, 13]
    assert streams.find("1-0") is None
    assert streams.find("1-1") is not None


async def test_all_that_is_kept_comes_again_however_much_it_is() -> None:
    streams, _ = made(count=2000)
    stream = streams.open()
    for number in range(1500):
        stream.put(item(number))
    stream.end()
    back = resumed(stream, 0)
    await until(lambda: back.ended)
    assert numbers(back) == list(range(1500))


async def test_streams_that_are_over_go_first_longest_ago_first() -> None:
    streams, _ = made(count=6)
    first, second, third = (streams.open() for _ in range(3))
    for stream in (third, first, second):
        stream.put(item(1))
        stream.put(item(2))
    second.end()
    first.end()
    third.put(item(3, light=True))
    assert [streams.find(id) is not None for id in ("1-0", "2-0", "3-0")] == [True, False, True]
    third.put(item(4))
    third.put(item(5))
    assert [streams.find(id) is not None for id in ("1-0", "2-0", "3-0")] == [False, False, True]
    assert [kept.number for kept in streams.after(third, 0)] == [1, 2, 3, 4, 5]


async def test_bytes_are_bounded_and_a_too_large_answer_leaves_word() -> None:
    streams, _ = made(size=1000)
    stream = streams.open()
    live = attached(stream)
    stream.put(item(1, 5000, light=True))
    stream.put(item(2))
    stream.put(item(3, 5000, answers=b'"mine"'))
    stream.end()
    await until(lambda: live.ended)
    assert [event["n"] for event in live.events()] == [1, 2, 3]  # who is there gets everything
    back = resumed(stream, 0)
    await until(lambda: back.ended)
    question, answer = back.events()
    assert question["n"] == 2
    assert (answer["id"], answer["error"]["code"]) == ("mine", -32603)
    assert back.frames()[-1].id == "1-3"
    assert streams.kept[1] <= 1000


async def test_a_question_too_large_to_be_kept_cannot_be_missed() -> None:
    streams, _ = made(size=1000)
    stream = streams.open()
    stream.put(item(1, 5000))
    assert streams.find("1-0") is None
    assert streams.find("1-1") is not None


async def test_streams_that_are_over_for_long_are_forgotten() -> None:
    streams, clock = made()
    old, live, new = (streams.open() for _ in range(3))
    for stream in (old, live, new):
        stream.put(item(1))
    old.end()
    clock.advance(FORGET_SECONDS)
    new.end()
    streams.sweep()
    assert len(streams) == 3
    clock.advance(1)
    streams.sweep()
    assert [streams.find(f"{number}-0") is not None for number in (1, 2, 3)] == [False, True, True]
    assert streams.kept[0] == 2


async def test_any_number_of_streams_that_are_over_is_bounded() -> None:
    streams, _ = made(count=10)
    for _ in range(100):
        streams.open().end()
    assert len(streams) == 10


async def test_closing_ends_all_and_keeps_nothing() -> None:
    streams, _ = made()
    live, over = streams.open(), streams.open()
    client = attached(live)
    live.put(item(1))
    over.put(item(1))
    over.end()
    streams.close()
    await until(lambda: client.ended)
    assert (len(streams), streams.kept) == (0, (0, 0))
    live.put(item(2))
    assert streams.kept == (0, 0)


@given(
    st.integers(1, 8),
    st.integers(50, 600),
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 400), st.sampled_from("puuuue")),
        max_size=60,
    ),
)
def test_whatever_happens_what_is_kept_is_bounded_and_nobody_misses_what_matters(
    count: int, size: int, steps: list[tuple[int, bool, int, str]]
) -> None:
    async def run() -> None:
        streams, _ = made(count, size)
        open_ones = [streams.open() for _ in range(4)]
        sent: dict[int, dict[int, bool]] = {stream.number: {} for stream in open_ones}
        for index, is_light, length, step in steps:
            stream = open_ones[index]
            if step == "e":
                stream.end()
            elif not stream.over:
                stream.put(item(stream.last + 1, length, light=is_light))
                sent[stream.number][stream.last] = is_light
            events, held = streams.kept
            assert events <= count
            assert held <= size
            assert held == sum(len(kept.event) for one in open_ones for kept in streams.after(one, 0))
        for stream in open_ones:
            for seen in range(stream.last + 1):
                found = streams.find(f"{stream.number}-{seen}")
                if found is None:
                    continue
                replayed = {kept.number for kept in streams.after(stream, seen)}
                owed = {n for n, is_light in sent[stream.number].items() if n > seen and not is_light}
                assert owed <= replayed

    asyncio.run(run())
