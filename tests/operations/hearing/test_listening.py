"""A listening client hears of what it asked for and may know, and of nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from coatcheck.core.wire.messages import raw_of
from coatcheck.model.call import Call, Caller, Fault, Notice, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.hearing.listening import MAX_URIS, Wanted, read_filter
from coatcheck.ports import Ask
from doubles.bench import ALICE, GIT, SENTRY, Bench, denying, settle_down

CHANGING = {
    "tools": b'{"listChanged":true}',
    "prompts": b'{"listChanged":true}',
    "resources": b'{"listChanged":true,"subscribe":true}',
}
MODERN = replace(ALICE, caller=Caller(Era.MODERN, "2026-07-28"))
ALL_LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}


def listen(**wanted: Any) -> Call:
    return Call(b'"sub-1"', "subscriptions/listen", {"notifications": raw_of(wanted)})


# --- the filter ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "lists", "uris"),
    [
        ({}, set(), []),
        ({"toolsListChanged": True, "promptsListChanged": False}, {"toolsListChanged"}, []),
        ({"resourceSubscriptions": ["a:1", "b:2", "a:1"]}, set(), ["a:1", "b:2"]),
        ({"laterVersionsMember": 7, "resourcesListChanged": True}, {"resourcesListChanged"}, []),
    ],
)
def test_filters(wanted: dict[str, Any], lists: set[str], uris: Sequence[str]) -> None:
    assert read_filter(listen(**wanted)) == Wanted(frozenset(lists), uris)


@pytest.mark.parametrize(
    "wanted",
    [
        {"toolsListChanged": "yes"},
        {"toolsListChanged": None},
        {"resourceSubscriptions": "a:1"},
        {"resourceSubscriptions": [1]},
        {"resourceSubscriptions": ["a:1"] * (MAX_URIS + 1)},
    ],
)
async def test_bad_filters_are_refused_and_on_record(wanted: dict[str, Any]) -> None:
    bench = a_bench()
    reply = await bench.listening.listen(MODERN, bench.snapshot, SENTRY, listen(**wanted), no_owner, hear([]))
    assert isinstance(reply, Fault)
    assert reply.code == -32602
    assert bench.entries[0].record.decision is Verdict.DENIED
    assert not isinstance(read_filter(Call(b"1", "x", {"notifications": b"[]"})), Wanted)


# --- streams ------------------------------------------------------------------------------------------------


def a_bench(*servers: Server) -> Bench:
    bench = Bench()

    def prepare(upstream: Any) -> None:
        upstream.greeting = Greeting(Era.MODERN, "2026-07-28", CHANGING, versions=("2026-07-28",))
        upstream.offer(Ask.TOOLS, ["find"])

    bench.upstreams.prepare = prepare
    bench.apply(*(servers or (SENTRY, GIT)))
    return bench


async def for_ever(permit: Any) -> Reply:
    """Keep a stream open."""
    await asyncio.Event().wait()
    raise AssertionError


async def no_owner(uri: str) -> Server | None:
    return None


async def sentry_owns(uri: str) -> Server | None:
    return SENTRY


def hear(heard: list[Notice]) -> Any:
    return heard.append


@asynccontextmanager
async def a_stream(
    bench: Bench, call: Call, server: Server | None = SENTRY, owner: Any = sentry_owns
) -> AsyncIterator[tuple[list[Notice], asyncio.Task[Reply]]]:
    for one in (SENTRY, GIT):
        await bench.servers.of(one).known()
    heard: list[Notice] = []
    task = asyncio.ensure_future(
        bench.listening.listen(MODERN, bench.snapshot, server, call, owner, hear(heard))
    )
    while not heard and not task.done():
        await asyncio.sleep(0)
    await settle_down()
    try:
        yield heard, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told(notice: Notice) -> Any:
    return json.loads(notice.params)


async def test_the_first_thing_said_is_what_will_be_heard_of() -> None:
    bench = a_bench()
    call = listen(**ALL_LISTS, resourceSubscriptions=["a:1"])
    async with a_stream(bench, call) as (heard, _):
        assert heard[0].method == "notifications/subscriptions/acknowledged"
        assert told(heard[0]) == {
            "notifications": {**ALL_LISTS, "resourceSubscriptions": ["a:1"]},
            "_meta": {"io.modelcontextprotocol/subscriptionId": "sub-1"},
        }
        assert bench.entries[0].record.method == "subscriptions/listen"
        assert bench.entries[0].settlement is None
    assert bench.outcomes() == [Outcome.CANCELLED]
    assert (len(bench.changes), len(bench.watches)) == (0, 0)


async def test_what_a_server_does_not_have_is_not_promised() -> None:
    bench = a_bench()
    bench.upstreams.of("sentry").greeting = Greeting(
        Era.MODERN, "2026-07-28", {"tools": b"{}", "resources": b"{}"}, versions=("2026-07-28",)
    )
    async with a_stream(bench, listen(**ALL_LISTS, resourceSubscriptions=["a:1"])) as (heard, _):
        promised = {"toolsListChanged": True, "resourcesListChanged": True}  # by edits, whatever it says
        assert told(heard[0])["notifications"] == promised


async def test_changes_reach_those_who_asked_for_them() -> None:
    bench = a_bench()
    async with (
        a_stream(bench, listen(toolsListChanged=True)) as (tools, _),
        a_stream(bench, listen(promptsListChanged=True)) as (prompts, _),
    ):
        sentry = bench.upstreams.of("sentry")
        assert sentry.attended == [True], "the server is listened to, once for both"
        sentry.offer(Ask.TOOLS, ["find", "new"])
        sentry.client.tell(Notice("notifications/tools/list_changed", b"{}"))
        while len(tools) < 2:
            await asyncio.sleep(0.01)
        assert tools[1].method == "notifications/tools/list_changed"
        assert told(tools[1])["_meta"] == {"io.modelcontextprotocol/subscriptionId": "sub-1"}
        assert len(prompts) == 1
    assert bench.upstreams.of("sentry").attended == [True, False]


async def test_a_change_among_what_is_hidden_is_no_change() -> None:
    bench = a_bench()
    bench.apply(SENTRY, GIT, access=denying("sentry__secret*"))
    async with a_stream(bench, listen(toolsListChanged=True)) as (heard, _):
        sentry = bench.upstreams.of("sentry")
        sentry.offer(Ask.TOOLS, ["find", "secret_tool"])
        await bench.servers.of(SENTRY).ask()
        await settle_down()
        assert len(heard) == 1
        bench.apply(SENTRY, GIT)  # now it may be seen
        while len(heard) < 2:
            await asyncio.sleep(0.01)
        assert [notice.method for notice in heard[1:]] == ["notifications/tools/list_changed"]


async def test_an_edit_that_takes_a_server_away_changes_the_list_of_all() -> None:
    bench = a_bench()
    async with a_stream(bench, listen(toolsListChanged=True), server=None) as (heard, _):
        bench.apply(SENTRY)
        await settle_down()
        assert [notice.method for notice in heard[1:]] == ["notifications/tools/list_changed"]


async def test_updates_of_resources_are_marked_and_shared() -> None:
    bench = a_bench()
    sentry = bench.upstreams.of("sentry")
    sentry.answer = for_ever
    call = listen(resourceSubscriptions=["a:1"])
    async with a_stream(bench, call) as (one, _), a_stream(bench, call) as (two, _):
        await settle_down()
        assert len(sentry.forwarded) == 1, "one stream for both"
        sentry.notify(Notice("notifications/resources/updated", b'{"uri":"a:1"}'))
        for heard in (one, two):
            assert told(heard[1]) == {
                "uri": "a:1",
                "_meta": {"io.modelcontextprotocol/subscriptionId": "sub-1"},
            }


async def test_updates_end_with_the_permission_and_come_back_with_it() -> None:
    bench = a_bench()
    sentry = bench.upstreams.of("sentry")
    sentry.answer = for_ever
    async with a_stream(bench, listen(resourceSubscriptions=["a:1"])) as (heard, _):
        await settle_down()
        update = Notice("notifications/resources/updated", b'{"uri":"a:1"}')
        sentry.notify(update)
        assert len(heard) == 2
        bench.apply(SENTRY, GIT, access=denying("sentry__a:*"))
        sentry.notify(update)
        assert len(heard) == 2
        bench.apply(SENTRY, GIT)
        sentry.notify(update)
        assert len(heard) == 3


async def test_a_resource_that_is_hidden_is_not_honoured_like_one_that_nobody_has() -> None:
    bench = a_bench()
    bench.apply(SENTRY, GIT, access=denying("sentry__a:1"))
    hidden, unknown = [], []
    async with a_stream(bench, listen(resourceSubscriptions=["a:1"])) as (heard, _):
        hidden = heard[:]
    async with a_stream(bench, listen(resourceSubscriptions=["a:1"]), owner=no_owner) as (heard, _):
        unknown = heard[:]
    assert hidden == unknown
    assert not bench.upstreams.of("sentry").forwarded


async def test_so_many_streams_of_a_grant_and_no_more() -> None:
    bench = a_bench()
    async with (
        a_stream(bench, listen()),
        a_stream(bench, listen()),
        a_stream(bench, listen()) as (_, third),
    ):
        reply = await third
        assert isinstance(reply, Fault)
        assert "close some" in reply.message
    async with a_stream(bench, listen()) as (heard, _):
        assert heard


async def test_a_gateway_that_stops_ends_streams_with_their_result() -> None:
    bench = a_bench()
    async with a_stream(bench, listen(toolsListChanged=True)) as (_, task):
        bench.listening.stop()
        assert await task == Result(b'{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub-1"}}')
    assert bench.outcomes() == [Outcome.OK]
