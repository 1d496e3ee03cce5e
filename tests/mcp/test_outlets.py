"""A queue before one response: what is dropped for a slow client, and what never is."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.mcp import outlets
from coatcheck.mcp.outlets import (
    MAX_WAITING_BYTES,
    MAX_WAITING_EVENTS,
    MOST_BYTES,
    Item,
    Outlet,
    item_of,
)
from coatcheck.model.call import Notice
from doubles.responses import Client


def message(number: int, size: int = 0) -> bytes:
    return json.dumps({"n": number, "x": "y" * size}).encode()


def light(number: int, size: int = 0) -> Item:
    return Item(message(number, size), light=True)


def numbers(client: Client) -> list[int]:
    return [event["n"] for event in client.events()]


async def written(outlet: Outlet, client: Client) -> None:
    client.reading.set()
    outlet.end()
    await asyncio.wait_for(asyncio.wait({outlet.start()}), 10)


def is_open(outlet: Outlet) -> bool:
    return outlet.reachable


def slow() -> tuple[Outlet, Client]:
    client = Client()
    client.reading.clear()
    return Outlet(client.send), client


async def test_events_come_in_order_and_the_head_says_what_they_are() -> None:
    client = Client()
    outlet = Outlet(client.send)
    outlet.start()
    for number in range(5):
        outlet.put(Item(message(number)))
        await asyncio.sleep(0)
    await written(outlet, client)
    assert (client.status, client.media, client.ended) == (200, b"text/event-stream", True)
    assert numbers(client) == list(range(5))


@pytest.mark.parametrize(
    ("method", "params", "is_light", "key"),
    [
        ("notifications/progress", b"{}", True, b""),
        ("notifications/message", b"{}", True, b""),
        ("notifications/tools/list_changed", b"{}", False, b"notifications/tools/list_changed"),
        ("notifications/resources/updated", b'{"uri":"a:b"}', False, b'notifications/resources/updated"a:b"'),
        ("notifications/elicitation/complete", b"{}", False, b""),
        ("notifications/x", b'{"uri":"a:b"}', False, b""),
    ],
)
def test_what_may_be_done_to_a_notification(method: str, params: bytes, is_light: bool, key: bytes) -> None:
    item = item_of(Notice(method, params))
    assert (item.light, item.key) == (is_light, key)
    assert json.loads(item.message) == {"jsonrpc": "2.0", "method": method, "params": json.loads(params)}


async def test_light_messages_are_dropped_first_oldest_first() -> None:
    outlet, client = slow()
    outlet.put(Item(message(-1)))
    for number in range(MAX_WAITING_EVENTS * 2):
        outlet.put(light(number))
    outlet.put(Item(message(-2)))
    await written(outlet, client)
    found = numbers(client)
    kept = MAX_WAITING_EVENTS - 2
    assert found == [-1, *range(MAX_WAITING_EVENTS * 2 - kept, MAX_WAITING_EVENTS * 2), -2]


async def test_bytes_are_bounded_as_well() -> None:
    outlet, client = slow()
    for number in range(10):
        outlet.put(light(number, MAX_WAITING_BYTES // 3))
    await written(outlet, client)
    assert numbers(client) == [8, 9]


async def test_where_only_what_matters_waits_and_does_not_fit_the_stream_ends() -> None:
    outlet, client = slow()
    for number in range(MAX_WAITING_EVENTS):
        outlet.put(Item(message(number)))
    assert is_open(outlet)
    outlet.put(Item(message(MAX_WAITING_EVENTS)))
    assert not is_open(outlet)
    outlet.put(Item(message(0)))
    await written(outlet, client)
    assert (client.status, client.body, client.ended) == (200, b"", True)


async def test_a_large_question_fits_and_a_second_one_does_not() -> None:
    outlet, client = slow()
    outlet.put(light(1))
    outlet.put(Item(message(2, MOST_BYTES)))
    assert is_open(outlet)
    outlet.put(Item(message(3, 10)))
    assert not is_open(outlet)
    await written(outlet, client)
    assert numbers(client) == []


async def test_answers_are_never_counted() -> None:
    outlet, client = slow()
    for number in range(MAX_WAITING_EVENTS * 2):
        outlet.put(Item(message(number, MAX_WAITING_BYTES // MAX_WAITING_EVENTS), answers=b"1"))
    await written(outlet, client)
    assert numbers(client) == list(range(MAX_WAITING_EVENTS * 2))


async def test_while_one_of_a_kind_waits_no_second_one_is_needed() -> None:
    outlet, client = slow()
    changed, other = Item(message(1), key=b"tools"), Item(message(2), key=b"prompts")
    for item in (changed, other, changed, changed, other):
        outlet.put(item)
    outlet.start()
    client.reading.set()
    await asyncio.wait_for(outlet.flush(), 10)
    outlet.put(changed)  # the one before was written: this one is news
    await written(outlet, client)
    assert numbers(client) == [1, 2, 1]


async def test_a_stream_that_is_cut_drops_what_waits_and_still_ends_well() -> None:
    outlet, client = slow()
    outlet.put(Item(message(1)))
    outlet.cut()
    await written(outlet, client)
    assert (numbers(client), client.ended) == ([], True)


async def test_who_waits_for_the_flush_waits_for_the_last_byte_or_the_end() -> None:
    outlet, client = slow()
    outlet.start()
    outlet.put(Item(message(1)))
    waiting = asyncio.create_task(outlet.flush())
    await asyncio.sleep(0.005)
    assert not waiting.done()
    client.reading.set()
    await asyncio.wait_for(waiting, 10)
    assert numbers(client) == [1]
    client.reading.clear()
    outlet.put(Item(message(2)))
    waiting = asyncio.create_task(outlet.flush())
    await asyncio.sleep(0)
    outlet.abandon()
    await asyncio.wait_for(waiting, 10)


async def test_a_client_that_leaves_ends_the_stream() -> None:
    client = Client()
    outlet = Outlet(client.send)
    serving = asyncio.create_task(outlet.serve(client.receive))
    outlet.put(Item(message(1)))
    await asyncio.sleep(0.005)
    assert not serving.done()
    client.leave()
    await asyncio.wait_for(serving, 10)
    assert numbers(client) == [1]


async def test_silence_is_broken_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "KEEP_ALIVE", 0.01)
    client = Client()
    outlet = Outlet(client.send)
    outlet.start()
    while client.body.count(b": ") < 3:
        await asyncio.sleep(0.005)
    await written(outlet, client)
    assert client.events() == []


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, MAX_WAITING_BYTES // 2)),
        max_size=40,
    )
)
def test_whatever_waits_stays_within_bounds_and_in_order(items: list[tuple[bool, bool, int, int]]) -> None:
    async def run() -> None:
        outlet, client = slow()
        wanted = []
        for number, (is_light, is_answer, key, size) in enumerate(items):
            item = Item(
                message(number, size),
                is_light and not is_answer,
                b"%d" % key if key and not is_light and not is_answer else b"",
                b"1" if is_answer else b"",
            )
            if outlet.reachable and not item.light and not (item.key and outlet.has(item.key)):
                wanted.append(number)
            outlet.put(item)
            assert outlet._count <= MAX_WAITING_EVENTS
            assert outlet._bytes <= MOST_BYTES + MAX_WAITING_BYTES
        survived = outlet.reachable
        await written(outlet, client)
        found = numbers(client)
        assert found == sorted(found)
        assert not survived or set(wanted) <= set(found)
        assert (outlet._count, outlet._bytes) == (0, 0)

    asyncio.run(run())
