"""Servers in use: asked once for all who wait, the last good lists kept, replaced without a gap."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

import pytest

from coatcheck.core import names
from coatcheck.errors import UpstreamBadReply, UpstreamError, UpstreamLost, UpstreamUnreachable
from coatcheck.model.call import Fault, Result
from coatcheck.model.server import Server, StdioReach
from coatcheck.operations.reaching import fetching as module
from coatcheck.operations.reaching.served import ListTimes, Served
from coatcheck.ports import Ask, State
from doubles.bench import GIT, SENTRY, TIME, Bench, settle_down
from doubles.upstreams import UNKNOWN_METHOD, ScriptedUpstream, page_of

KEEP = 5.0


def a_server() -> tuple[Bench, Served, ScriptedUpstream]:
    bench = Bench(SENTRY)
    upstream = bench.upstreams.of("sentry")
    upstream.offer(Ask.TOOLS, ["find", "list"])
    return bench, bench.servers.of(SENTRY), upstream


def changed(server: Server) -> Server:
    return dataclasses.replace(server, reach=StdioReach(server.name, cwd="/elsewhere"))


# --- asking -----------------------------------------------------------------------------------------------


async def test_all_lists_are_asked_for_and_kept_in_order() -> None:
    _, served, upstream = a_server()
    upstream.offer(Ask.PROMPTS, ["greet"])
    upstream.offer(Ask.RESOURCES, ["file:///a"])
    upstream.offer(Ask.TEMPLATES, ["file:///{x}"])
    catalogue = await served.fresh()
    assert [list(found) for found in (catalogue.tools, catalogue.prompts, catalogue.resources, catalogue.templates)] == [
        ["find", "list"], ["greet"], ["file:///a"], ["file:///{x}"],
    ]  # fmt: skip
    assert upstream.asked == [(what, None) for what in Ask]
    assert (catalogue.version, served.degraded, served.last_error) == (1, False, "")


async def test_lists_that_a_server_does_not_have_are_not_asked_for() -> None:
    _, served, upstream = a_server()
    upstream.greeting = dataclasses.replace(upstream.greeting, capabilities={"tools": b"{}"})
    assert list((await served.fresh()).tools) == ["find", "list"]
    assert upstream.asked == [(Ask.TOOLS, None)]


async def test_lists_are_kept_for_their_time_and_a_new_version_means_a_real_change() -> None:
    bench, served, upstream = a_server()
    first = await served.fresh()
    bench.clock.advance(KEEP - 0.1)
    assert await served.fresh() is first
    assert upstream.greeted == 1
    bench.clock.advance(0.2)
    assert await served.fresh() is first
    assert upstream.greeted == 2
    upstream.offer(Ask.TOOLS, ["list", b'{"name":"find","description":"x"}'])
    bench.clock.advance(KEEP)
    second = await served.fresh()
    assert (second.version, list(second.tools)) == (2, ["list", "find"])
    assert upstream.greeted == 3


@pytest.mark.parametrize(
    ("ttls", "kept"),
    [
        ((60_000, 60_000, 60_000), 60.0),
        ((60_000, 60_000, 0), KEEP),
        ((1, 1, 1), KEEP),
        ((10**14,) * 3, 3_600.0),
        ((20_000, 60_000, 60_000), 20.0),
    ],
)
async def test_a_server_may_let_its_lists_be_kept_longer(ttls: tuple[int, int, int], kept: float) -> None:
    bench, served, upstream = a_server()
    upstream.greeting = dataclasses.replace(
        upstream.greeting, capabilities={"tools": b"{}", "prompts": b"{}"}
    )
    upstream.pages[Ask.TOOLS, None] = page_of(Ask.TOOLS, ["a"], ttlMs=ttls[0], nextCursor="2")
    upstream.pages[Ask.TOOLS, "2"] = page_of(Ask.TOOLS, ["b"], ttlMs=ttls[1])
    upstream.offer(Ask.PROMPTS, [], ttlMs=ttls[2])
    await served.fresh()
    bench.clock.advance(kept - 0.1)
    assert served.is_fresh()
    bench.clock.advance(0.2)
    assert not served.is_fresh()


async def test_many_who_wait_cause_one_asking_and_one_who_leaves_ends_it_for_nobody() -> None:
    _, served, upstream = a_server()
    upstream.hold()
    waiting = [asyncio.create_task(served.fresh()) for _ in range(50)]
    await settle_down()
    for task in waiting[:25]:
        task.cancel()
    await settle_down()
    upstream.let_go()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(one, asyncio.CancelledError) for one in found) == 25
    assert len({id(one) for one in found[25:]}) == 1
    assert upstream.greeted == 1


async def test_an_asking_that_everyone_left_fails_in_silence() -> None:
    _, served, upstream = a_server()
    upstream.hold()
    upstream.failing = UpstreamLost("sentry went away")
    waiting = asyncio.create_task(served.fresh())
    await settle_down()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    upstream.let_go()
    await settle_down()
    assert served.last_error == "sentry went away"


async def test_a_server_that_is_asleep_is_not_woken_for_lists_at_hand() -> None:
    bench, served, upstream = a_server()
    first = await served.fresh()
    upstream.state = State.IDLE
    bench.clock.advance(10_000)
    assert await served.fresh() is first
    assert upstream.greeted == 1
    upstream.state = State.READY
    await served.fresh()
    assert upstream.greeted == 2


# --- failing ----------------------------------------------------------------------------------------------


async def test_the_last_good_lists_are_kept_while_a_server_fails() -> None:
    bench, served, upstream = a_server()
    good = await served.fresh()
    upstream.failing = UpstreamLost("sentry went away")
    bench.clock.advance(KEEP)
    assert await served.fresh() is good
    assert (served.degraded, served.last_error) == (True, "sentry went away")
    assert await served.known() is good
    upstream.failing = None
    bench.clock.advance(KEEP)
    assert await served.fresh() is good
    assert (served.degraded, served.last_error) == (False, "")


async def test_a_server_that_fails_is_not_asked_again_at_once() -> None:
    bench, served, upstream = a_server()
    await served.fresh()
    upstream.failing = UpstreamLost("sentry went away")
    bench.clock.advance(KEEP)
    for _ in range(10):
        await served.fresh()
    assert upstream.greeted == 2


async def test_a_server_that_never_gave_any_lists_fails() -> None:
    _, served, upstream = a_server()
    upstream.failing = UpstreamUnreachable("sentry cannot be reached")
    for ask in (served.fresh, served.known, served.ask):
        with pytest.raises(UpstreamUnreachable):
            await ask()
    assert (served.degraded, served.last_error, served.catalogue) == (False, "sentry cannot be reached", None)


@pytest.mark.parametrize(
    "reply",
    [
        Fault(-32603, "no"), UNKNOWN_METHOD, Result(b"{}"), Result(b'{"tools":null}'), Result(b'{"tools":{}}'), Result(b'{"tools":"x"}'), Result(b"[]"),
        UpstreamLost("sentry went away"),
    ],
)  # fmt: skip
async def test_a_bad_list_of_tools_never_becomes_an_empty_one(reply: object) -> None:
    bench, served, upstream = a_server()
    good = await served.fresh()
    upstream.pages[Ask.TOOLS, None] = reply  # type: ignore[assignment]  # what servers send
    bench.clock.advance(KEEP)
    assert await served.fresh() is good
    assert served.degraded
    with pytest.raises(UpstreamError):
        await served.ask()


@pytest.mark.parametrize("what", [Ask.PROMPTS, Ask.RESOURCES, Ask.TEMPLATES])
async def test_a_list_that_a_server_announces_and_lacks_is_empty(what: Ask) -> None:
    _, served, upstream = a_server()
    upstream.pages[what, None] = UNKNOWN_METHOD
    assert list((await served.fresh()).tools) == ["find", "list"]
    assert not served.degraded


# --- pages ------------------------------------------------------------------------------------------------


async def test_pages_are_joined_in_order() -> None:
    _, served, upstream = a_server()
    for page in range(5):
        found = page_of(Ask.TOOLS, [f"t{page}"], **({"nextCursor": f"c{page + 1}"} if page < 4 else {}))
        upstream.pages[Ask.TOOLS, f"c{page}" if page else None] = found
    assert list((await served.fresh()).tools) == ["t0", "t1", "t2", "t3", "t4"]
    assert [cursor for what, cursor in upstream.asked if what is Ask.TOOLS] == [None, "c1", "c2", "c3", "c4"]


@pytest.mark.parametrize("cycle", [("a", "a"), ("a", "b", "a"), ("", "")])
async def test_a_cursor_that_comes_twice_ends_the_asking(cycle: tuple[str, ...]) -> None:
    _, served, upstream = a_server()
    upstream.pages[Ask.TOOLS, None] = page_of(Ask.TOOLS, ["t"], nextCursor=cycle[0])
    for here, there in itertools.pairwise(cycle):
        upstream.pages[Ask.TOOLS, here] = page_of(Ask.TOOLS, ["t"], nextCursor=there)
    with pytest.raises(UpstreamBadReply, match="goes round in circles"):
        await served.fresh()
    assert len(upstream.asked) == len(cycle)


class Endless(dict[tuple[Ask, str | None], Result]):
    """A server whose every page names another; `size` bytes of entries on each."""

    def __init__(self, size: int = 0) -> None:
        super().__init__()
        self._size = size

    def get(self, key: tuple[Ask, str | None], default: object = None) -> Result:
        number = int(key[1] or 0)
        entry = b'{"name":"t%d","x":"%b"}' % (number, b"x" * self._size)
        return page_of(key[0], [entry], nextCursor=str(number + 1))


async def test_pages_are_counted() -> None:
    _, served, upstream = a_server()
    upstream.pages = Endless()  # type: ignore[assignment]
    with pytest.raises(UpstreamBadReply, match="more than 100 pages"):
        await served.fresh()
    assert len(upstream.asked) == module.MAX_PAGES


async def test_what_the_pages_of_a_list_weigh_is_bounded() -> None:
    _, served, upstream = a_server()
    upstream.pages = Endless(1024 * 1024)  # type: ignore[assignment]
    with pytest.raises(UpstreamBadReply, match="MiB"):
        await served.fresh()
    assert len(upstream.asked) == module.MAX_LIST_BYTES // 1024**2


async def test_entries_not_fit_to_be_shown_are_left_out_and_named() -> None:
    _, served, upstream = a_server()
    upstream.offer(Ask.TOOLS, ["ok", "de\u200bnied", "A", "a", b"{}"])
    catalogue = await served.fresh()
    assert list(catalogue.tools) == ["ok"]
    assert len(catalogue.quarantined) == 4


async def test_a_short_name_leads_back_to_the_servers_own() -> None:
    _, served, upstream = a_server()
    long = "n" * 100
    upstream.offer(Ask.TOOLS, [long, "find"])
    upstream.offer(Ask.PROMPTS, ["p" + long])
    await served.fresh()
    assert served.own_name(names.exposed("sentry", long)) == long
    assert served.own_name(names.exposed("sentry", "p" + long)) == "p" + long
    assert served.own_name("sentry__find") == "find"
    assert served.own_name("sentry__not_listed__yet") == "not_listed__yet"


# --- edits ------------------------------------------------------------------------------------------------


async def test_an_unchanged_server_keeps_its_upstream_and_the_order_is_the_files() -> None:
    bench = Bench(SENTRY, GIT)
    before = {served.server.name: served for served in bench.servers.all()}
    bench.apply(TIME, GIT, dataclasses.replace(SENTRY))
    assert [served.server.name for served in bench.servers.all()] == ["time", "git", "sentry"]
    assert bench.servers.of(GIT) is before["git"]
    assert bench.servers.of(SENTRY) is before["sentry"]
    assert len(bench.upstreams.opened) == 3


async def test_a_changed_server_gets_a_new_upstream_and_the_old_one_drains() -> None:
    bench, served, old = a_server()
    good = await served.fresh()
    upstreams = bench.upstreams
    upstreams.prepare = lambda upstream: upstream.offer(Ask.TOOLS, ["find", "list", "new"])
    bench.apply(changed(SENTRY))
    new = bench.servers.of(SENTRY)
    assert new.upstream is upstreams.of("sentry") is not old
    assert new.catalogue is good
    await settle_down()
    assert old.drained == [30.0]
    catalogue = await new.fresh()
    assert (catalogue.version, list(catalogue.tools)) == (2, ["find", "list", "new"])
    assert not upstreams.of("sentry").drained


async def test_a_changed_server_that_fails_shows_the_lists_it_had() -> None:
    bench, served, _ = a_server()
    good = await served.fresh()
    bench.upstreams.prepare = lambda upstream: setattr(upstream, "failing", UpstreamLost("sentry went away"))
    bench.apply(changed(SENTRY))
    new = bench.servers.of(SENTRY)
    assert await new.fresh() is good
    assert new.degraded


async def test_a_removed_server_is_drained_and_gone() -> None:
    bench = Bench(SENTRY, GIT)
    bench.apply(GIT)
    with pytest.raises(UpstreamUnreachable, match="sentry was just removed"):
        bench.servers.of(SENTRY)
    await settle_down()
    assert bench.upstreams.of("sentry").drained == [30.0]
    assert bench.upstreams.of("git").drained == []


async def test_closing_lets_go_of_every_server_those_that_drain_too() -> None:
    bench = Bench(SENTRY, GIT, times=ListTimes(5.0, 5.0, 7.0))
    bench.apply(changed(SENTRY), GIT)
    await bench.servers.close(1.5)
    assert sorted((upstream.server.name, upstream.drained) for upstream in bench.upstreams.opened) == [
        ("git", [1.5]), ("sentry", [1.5]), ("sentry", [7.0]),
    ]  # fmt: skip
    assert bench.servers.all() == []
