"""Lists: each caller sees exactly what it may call, from every server that answers, and never another's list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core import names
from coatcheck.errors import LedgerUnavailable, UpstreamLost
from coatcheck.model.access import OPEN, AccessList, AccessRule, Nature
from coatcheck.model.call import Fault, Reply, Result, Target
from coatcheck.model.catalogue import Entry
from coatcheck.model.decision import Permit
from coatcheck.model.grant import Principal
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations import lists as module
from coatcheck.operations.calling.call import UNSETTLED
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.lists import KINDS, Lists
from coatcheck.operations.reaching.served import ListTimes
from coatcheck.ports import Ask
from doubles.bench import (
    ALICE,
    GIT,
    SENTRY,
    TIME,
    Bench,
    a_call,
    a_principal,
    asked_by,
    decide,
    denying,
    settle_down,
    snapshot_of,
)
from doubles.upstreams import ScriptedUpstream

KEY = {
    "tools/list": "name",
    "prompts/list": "name",
    "resources/list": "uri",
    "resources/templates/list": "uriTemplate",
}
OFFERED: Mapping[str, Mapping[Ask, list[str]]] = {
    "sentry": {
        Ask.TOOLS: ["find", "delete", "n" * 90],
        Ask.PROMPTS: ["triage"],
        Ask.RESOURCES: ["sentry://1"],
        Ask.TEMPLATES: ["sentry://{id}"],
    },
    "git": {Ask.TOOLS: ["log", "find"], Ask.PROMPTS: ["find"], Ask.RESOURCES: ["file:///a", "file:///b"]},
    "time": {Ask.TOOLS: ["now"]},
}


def write_script(upstream: ScriptedUpstream) -> None:
    for what, found in OFFERED[upstream.server.name].items():
        upstream.offer(what, found)


def a_bench(*servers: Server, **settings: Any) -> Bench:
    bench = Bench(**settings)
    bench.upstreams.prepare = write_script
    bench.apply(*servers)
    return bench


def listed(reply: Reply, method: str = "tools/list") -> list[str]:
    assert isinstance(reply, Result), reply
    found = json.loads(reply.raw)
    assert list(found) == [KINDS[method].member]
    return [entry[KEY[method]] for entry in found[KINDS[method].member]]


# --- what is listed -----------------------------------------------------------------------------------------


async def test_the_aggregated_list_names_each_server_in_the_order_of_the_file() -> None:
    bench = a_bench(SENTRY, GIT, TIME)
    snapshot = snapshot_of(TIME, SENTRY, GIT)
    short = names.exposed("sentry", "n" * 90)
    assert listed(await bench.list("tools/list", snapshot)) == [
        "time__now", "sentry__find", "sentry__delete", short, "git__log", "git__find",
    ]  # fmt: skip
    assert listed(await bench.list("prompts/list", snapshot), "prompts/list") == [
        "sentry__triage",
        "git__find",
    ]
    assert listed(await bench.list("resources/list", snapshot), "resources/list") == [
        "sentry://1",
        "file:///a",
        "file:///b",
    ]
    assert listed(await bench.list("resources/templates/list", snapshot), "resources/templates/list") == [
        "sentry://{id}"
    ]


async def test_one_servers_list_is_as_the_server_sent_it() -> None:
    bench = a_bench(SENTRY, GIT)
    raw = b'{"title":"F","name":"find","inputSchema":{"type":"object","n":1E2,"x":[ 9007199254740993 ]},"_meta":{"vendor":{}},"unknown":null}'
    bench.upstreams.of("sentry").offer(Ask.TOOLS, [raw])
    alone = await bench.list("tools/list", snapshot_of(SENTRY, GIT), SENTRY)
    assert alone == Result(b'{"tools":[%b]}' % raw)
    joined = await bench.list("tools/list", snapshot_of(SENTRY))
    assert joined == Result(b'{"tools":[%b]}' % raw.replace(b'"find"', b'"sentry__find"'))


async def test_a_list_has_one_record() -> None:
    bench = a_bench(SENTRY, GIT)
    await bench.list("tools/list", snapshot_of(SENTRY, GIT))
    await bench.list("prompts/list", snapshot_of(SENTRY, GIT), GIT)
    assert [(entry.record.method, entry.record.server, entry.record.decision, entry.record.tool) for entry in bench.entries] == [
        ("tools/list", "", Verdict.ALLOWED, ""), ("prompts/list", "git", Verdict.ALLOWED, ""),
    ]  # fmt: skip
    assert bench.outcomes() == [Outcome.OK, Outcome.OK]


async def test_a_cursor_that_was_never_given_out_is_refused_and_recorded() -> None:
    bench = a_bench(SENTRY)
    for server in (None, SENTRY):
        fault = await bench.lists.refuse_cursor(ALICE, server, KINDS["tools/list"])
        assert fault.code == -32602
    assert [(entry.record.decision, entry.record.rule) for entry in bench.entries] == [
        (Verdict.DENIED, "(cursor)")
    ] * 2
    assert [entry.settlement and entry.settlement.detail for entry in bench.entries] == [fault.message] * 2
    assert not bench.upstreams.of("sentry").asked


# --- what is seen is what may be called -----------------------------------------------------------------------

GLOBS = st.sampled_from(
    ("*", "sentry__*", "git__find", "*find", "*://*", "git__file*", "*__n*", "time__*", "FIND", "find")
)
RULES = st.builds(
    AccessRule,
    st.lists(GLOBS, min_size=1, max_size=2).map(tuple),
    st.booleans(),
    st.frozensets(st.sampled_from(("alice", "bob")), max_size=1),
    st.frozensets(st.sampled_from(("dev", "ops")), max_size=1),
)
ACCESS = st.builds(AccessList, st.lists(RULES, max_size=3).map(tuple), st.booleans())
PRINCIPALS = st.builds(
    a_principal,
    st.sampled_from(("alice", "bob")),
    st.lists(st.sampled_from(("dev", "ops")), max_size=2).map(tuple),
    st.sampled_from((None, (), (SENTRY,), (GIT, TIME), (SENTRY, GIT, TIME))),
)


@settings(max_examples=100, deadline=None)
@given(ACCESS, PRINCIPALS, st.sampled_from(sorted(KINDS)))
async def test_a_list_holds_exactly_what_the_decision_permits(
    access: AccessList, principal: Principal, method: str
) -> None:
    bench = a_bench(SENTRY, GIT, TIME)
    snapshot = snapshot_of(SENTRY, GIT, TIME, access=access)
    reply = await bench.list(method, snapshot, asked=asked_by(principal))
    expected = []
    for server in (SENTRY, GIT, TIME):
        for own in await entries_of(bench, server, method):
            target = Target(KINDS[method].kind, own)
            decision = decide(a_call(own), target, principal, server, access, Nature.AMBIGUOUS)
            if isinstance(decision, Permit):
                expected.append(names.exposed(server.name, own) if KEY[method] == "name" else own)
    assert listed(reply, method) == expected


async def entries_of(bench: Bench, server: Server, method: str) -> Mapping[str, Entry]:
    return KINDS[method].entries(await bench.servers.of(server).known())


async def test_a_listed_tool_can_be_called_and_one_that_is_not_cannot() -> None:
    bench = a_bench(SENTRY, GIT)
    access = denying("*__find", "sentry__n*")
    seen = set(listed(await bench.list("tools/list", snapshot_of(SENTRY, GIT, access=access))))
    for server in (SENTRY, GIT):
        for own in OFFERED[server.name][Ask.TOOLS]:
            shown = names.exposed(server.name, own)
            performed = await bench.perform(server=server, name=own, access=access, shown=shown)
            assert (performed.outcome is Outcome.OK) is (shown in seen)


# --- never another's list -------------------------------------------------------------------------------------

WISHES = st.lists(
    st.tuples(
        PRINCIPALS,
        st.integers(0, 2),
        st.sampled_from(("tools/list", "resources/list")),
        st.sampled_from((None, SENTRY, GIT)),
        st.booleans(),
    ),
    min_size=2,
    max_size=10,
)


@settings(max_examples=100, deadline=None)
@given(WISHES, st.lists(ACCESS, min_size=3, max_size=3))
async def test_a_list_from_the_cache_is_the_list_made_anew(
    wishes: list[tuple[Principal, int, str, Server | None, bool]], accesses: list[AccessList]
) -> None:
    """Callers, policies and catalogues in any order; what is cached between them must not show."""
    bench = a_bench(SENTRY, GIT, TIME)
    snapshots = [
        snapshot_of(SENTRY, GIT, TIME, access=access, epoch=epoch) for epoch, access in enumerate(accesses)
    ]
    for number, (principal, epoch, method, server, edit) in enumerate(wishes):
        if edit:
            bench.upstreams.of("git").offer(Ask.TOOLS, ["log", f"new{number}"])
            bench.clock.advance(60)
        asked, snapshot = asked_by(principal), snapshots[epoch]
        if server is not None and not principal.may_reach(server.id):
            continue
        cached = await bench.list(method, snapshot, server, asked)
        anew = await Lists(bench.servers, bench.records, 5.0).list(asked, snapshot, server, KINDS[method])
        assert cached == anew


async def test_the_same_view_is_made_once() -> None:
    bench = a_bench(SENTRY, GIT)
    snapshot = snapshot_of(SENTRY, GIT)
    first = await bench.list("tools/list", snapshot)
    second = await bench.list("tools/list", snapshot)
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert first.raw is second.raw
    assert len(bench.lists._cache) == 1


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        (a_principal("bob"), 0),
        (a_principal(roles=("dev",)), 0),
        (a_principal(scope=()), 0),
        (a_principal(scope=(SENTRY,)), 3),
        (a_principal(scope=(SENTRY, GIT)), 5),
    ],
)
async def test_no_two_views_share_an_answer(other: Principal, seen: int) -> None:
    bench = a_bench(SENTRY, GIT)
    rules = (
        AccessRule(("*",), False, frozenset({"bob"})),
        AccessRule(("*",), False, roles=frozenset({"dev"})),
    )
    snapshot = snapshot_of(SENTRY, GIT, access=AccessList(rules))
    mine = await bench.list("tools/list", snapshot)
    theirs = await bench.list("tools/list", snapshot, asked=asked_by(other))
    assert len(listed(mine)) == 5
    assert listed(theirs) == listed(mine)[:seen]
    assert await bench.list("tools/list", snapshot) == mine


async def test_what_is_cached_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CACHED", 5)
    bench = a_bench(SENTRY)
    for number in range(20):
        await bench.list("tools/list", snapshot_of(SENTRY), asked=asked_by(a_principal(f"s{number}")))
        await bench.list("tools/list", snapshot_of(SENTRY), asked=asked_by(a_principal("s0")))
    assert len(bench.lists._cache) == 5
    assert any(key[3][0] == "s0" for key in bench.lists._cache)  # type: ignore[index]  # a key is a plain tuple


async def test_what_is_cached_weighs_no_more_than_that(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = a_bench(SENTRY)
    size = len((await bench.list("tools/list", snapshot_of(SENTRY))).raw)  # type: ignore[union-attr]
    monkeypatch.setattr(module, "MAX_CACHED_BYTES", 3 * size)
    for number in range(20):
        shown = await bench.list("tools/list", snapshot_of(SENTRY), asked=asked_by(a_principal(f"s{number}")))
        assert len(shown.raw) == size  # type: ignore[union-attr]
    assert len(bench.lists._cache) == 3


# --- servers that fail ------------------------------------------------------------------------------------------

GONE = UpstreamLost("sentry went away")


async def test_a_server_that_fails_is_missed_alone() -> None:
    bench = a_bench(SENTRY, GIT)
    bench.upstreams.of("sentry").failing = GONE
    assert listed(await bench.list("tools/list", snapshot_of(SENTRY, GIT))) == ["git__log", "git__find"]
    assert bench.outcomes() == [Outcome.OK]


async def test_where_all_fail_the_answer_is_an_error_and_never_an_empty_list() -> None:
    bench = a_bench(SENTRY, GIT)
    for name in ("sentry", "git"):
        bench.upstreams.of(name).failing = GONE
    for snapshot, server in ((snapshot_of(SENTRY, GIT), None), (snapshot_of(SENTRY, GIT), SENTRY)):
        reply = await bench.list("tools/list", snapshot, server)
        assert isinstance(reply, Fault)
        assert (reply.code, "sentry went away" in reply.message) == (-32603, True)
    assert bench.outcomes() == [Outcome.UPSTREAM_ERROR] * 2


async def test_where_nothing_is_in_reach_the_list_is_empty() -> None:
    bench = a_bench(SENTRY)
    assert (
        listed(await bench.list("tools/list", snapshot_of(SENTRY), asked=asked_by(a_principal(scope=()))))
        == []
    )
    assert listed(await bench.list("tools/list", snapshot_of())) == []
    assert not bench.upstreams.of("sentry").greeted


async def test_a_server_that_starts_to_fail_keeps_its_place_in_the_list() -> None:
    bench = a_bench(SENTRY, GIT)
    snapshot = snapshot_of(SENTRY, GIT)
    before = await bench.list("tools/list", snapshot)
    for name in ("sentry", "git"):
        bench.upstreams.of(name).failing = GONE
    bench.clock.advance(60)
    assert await bench.list("tools/list", snapshot) == before
    assert await bench.list("tools/list", snapshot, SENTRY) == Result(b'{"tools":[%b]}' % b",".join(
        b'{"name":"%b"}' % name.encode() for name in OFFERED["sentry"][Ask.TOOLS]
    ))  # fmt: skip
    assert bench.servers.of(SENTRY).degraded


async def test_a_server_that_hangs_holds_up_the_others_for_a_bounded_time_and_comes_later() -> None:
    bench = a_bench(SENTRY, GIT, times=ListTimes(5.0, 0.05, 1.0))
    snapshot = snapshot_of(SENTRY, GIT)
    bench.upstreams.of("sentry").hold()
    assert listed(await bench.list("tools/list", snapshot)) == ["git__log", "git__find"]
    bench.upstreams.of("sentry").let_go()
    await settle_down()
    assert len(listed(await bench.list("tools/list", snapshot))) == 5
    assert bench.upstreams.of("sentry").greeted == 1


async def test_a_server_that_an_edit_took_away_meanwhile_is_left_out() -> None:
    bench = a_bench(SENTRY, GIT)
    snapshot = snapshot_of(SENTRY, GIT)
    bench.apply(GIT)
    assert listed(await bench.list("tools/list", snapshot)) == ["git__log", "git__find"]
    assert isinstance(await bench.list("tools/list", snapshot, SENTRY), Fault)
    assert bench.outcomes() == [Outcome.OK, Outcome.UPSTREAM_ERROR]


# --- the record -------------------------------------------------------------------------------------------------


async def test_no_record_no_list() -> None:
    bench = a_bench(SENTRY)
    bench.ledger.failing = True
    with pytest.raises(LedgerUnavailable):
        await bench.list("tools/list", snapshot_of(SENTRY, access=OPEN))
    assert not bench.upstreams.of("sentry").greeted


async def test_no_outcome_on_record_no_answer() -> None:
    bench = a_bench(SENTRY)
    upstream = bench.upstreams.of("sentry")
    upstream.hold()
    task = asyncio.create_task(bench.list("tools/list", snapshot_of(SENTRY)))
    await settle_down()
    bench.ledger.failing = True
    upstream.let_go()
    reply = await task
    assert isinstance(reply, Fault)
    assert reply.message == UNSETTLED


@pytest.mark.parametrize("server", [None, SENTRY])
async def test_a_list_that_nobody_waits_for_is_recorded_as_cancelled_and_asked_to_the_end(
    server: Server | None,
) -> None:
    bench = a_bench(SENTRY)
    upstream = bench.upstreams.of("sentry")
    upstream.hold()
    snapshot: Snapshot = snapshot_of(SENTRY)
    task = asyncio.create_task(bench.list("tools/list", snapshot, server))
    await settle_down()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.outcomes() == [Outcome.CANCELLED]
    upstream.let_go()
    await settle_down()
    await bench.list("tools/list", snapshot, server)
    assert upstream.greeted == 1
