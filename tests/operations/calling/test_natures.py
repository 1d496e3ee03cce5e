"""Calls and lists where the rules ask what a tool does: lists are brought first, and nothing is judged in the dark."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.wire.messages import raw_of
from coatcheck.errors import UpstreamLost
from coatcheck.model.access import AccessEntry, Extent, Nature, RoleAccess
from coatcheck.model.call import Fault, Kind, Result, Target
from coatcheck.model.decision import Permit
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import AccessMarks, Server, StdioReach
from coatcheck.operations.calling.call import Performed, not_found
from coatcheck.operations.calling.natures import NOT_ASKED, explained, nature_of
from coatcheck.ports import Ask
from doubles.bench import SENTRY, Bench, a_call, a_principal, asked_by, decide, denying, snapshot_of
from doubles.upstreams import ScriptedUpstream

MARKED = Server(SENTRY.id, "sentry", StdioReach("sentry"), marks=AccessMarks(("peek_*", "zap"), ("get_key",)))
READERS = RoleAccess({"dev": (AccessEntry(("*",), Extent.READ),)}, default_allow=False)
WRITERS = RoleAccess({"dev": (AccessEntry(("*",), Extent.WRITE),)}, default_allow=False)
STRICT = RoleAccess({"dev": (AccessEntry(("*",), Extent.ALL),)}, strict=True)
DEV = asked_by(a_principal(roles=("dev",)))
NOBODY = asked_by(a_principal("nobody"))
GONE = UpstreamLost("sentry went away")


def tool(name: str, **hints: bool) -> bytes:
    return raw_of({"name": name, **({"annotations": hints} if hints else {})})


TOOLS = [
    tool("get_issue"),
    tool("get_key"),
    tool("find", readOnlyHint=True),
    tool("get_and_go", destructiveHint=True),
    tool("delete_issue"),
    tool("zap", destructiveHint=True),
    tool("echo"),
    tool("ping", readOnlyHint=True),
]
NATURES: Mapping[str, Nature] = {
    "get_issue": Nature.READ,
    "get_key": Nature.WRITE,
    "find": Nature.READ,
    "get_and_go": Nature.WRITE,
    "delete_issue": Nature.WRITE,
    "zap": Nature.READ,
    "echo": Nature.AMBIGUOUS,
    "ping": Nature.AMBIGUOUS,
}


def a_bench(**options: float) -> Bench:
    bench = Bench(timeout=options.get("timeout", 5.0))
    bench.upstreams.prepare = lambda upstream: upstream.offer(Ask.TOOLS, TOOLS)
    bench.apply(MARKED)
    return bench


def upstream_of(bench: Bench) -> ScriptedUpstream:
    return bench.upstreams.of("sentry")


async def call(bench: Bench, name: str, access: RoleAccess, asked: object = DEV) -> Performed:
    return await bench.perform(server=MARKED, name=name, access=access, asked=asked, shown=name)  # type: ignore[arg-type]  # is one


# --- natures -------------------------------------------------------------------------------------------------


async def test_a_tool_is_what_marks_hints_and_name_say() -> None:
    catalogue = await a_bench().servers.of(MARKED).known()
    assert {
        name: nature_of(Target(Kind.TOOL, name), MARKED, catalogue) for name in catalogue.tools
    } == NATURES
    assert explained(Target(Kind.TOOL, "zap"), MARKED, catalogue)[1] == "tool_acl.read has zap"


@pytest.mark.parametrize("name", ["get_other", "delete_other", "other"])
async def test_a_tool_that_no_list_names_is_ambiguous_unless_marked(name: str) -> None:
    listed = await a_bench().servers.of(MARKED).known()
    for catalogue in (None, listed):
        assert nature_of(Target(Kind.TOOL, name), MARKED, catalogue) is Nature.AMBIGUOUS
        assert nature_of(Target(Kind.TOOL, f"peek_{name}"), MARKED, catalogue) is Nature.READ


async def test_prompts_and_resources_are_not_asked_about() -> None:
    catalogue = await a_bench().servers.of(MARKED).known()
    for kind in (Kind.PROMPT, Kind.RESOURCE, Kind.SERVER):
        assert nature_of(Target(kind, "get_issue"), MARKED, catalogue) is NOT_ASKED


# --- calls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("access", "covered"), [(READERS, {Nature.READ}), (WRITERS, {Nature.WRITE, Nature.AMBIGUOUS}), (STRICT, {Nature.READ, Nature.WRITE})])  # fmt: skip
@pytest.mark.parametrize("name", NATURES)
async def test_the_first_call_of_all_is_judged_by_the_lists(
    access: RoleAccess, covered: set[Nature], name: str
) -> None:
    bench = a_bench()
    performed = await call(bench, name, access)
    if NATURES[name] in covered:
        assert isinstance(performed.reply, Result)
        assert [permit.target.name for permit in upstream_of(bench).forwarded] == [name]
    else:
        assert performed.reply == not_found(Kind.TOOL, name)
        assert upstream_of(bench).forwarded == []
    (entry,) = bench.entries
    assert entry.record.decision is (Verdict.ALLOWED if NATURES[name] in covered else Verdict.HIDDEN)


async def test_what_a_tool_is_now_counts_and_not_what_its_name_was_taken_for() -> None:
    """A tool that comes up later is not judged before its annotations are known."""
    bench = a_bench()
    assert isinstance((await call(bench, "get_issue", READERS)).reply, Result)
    upstream_of(bench).offer(Ask.TOOLS, [*TOOLS, tool("get_new", destructiveHint=True), tool("get_more")])
    bench.clock.advance(60)
    assert (await call(bench, "get_new", READERS)).reply == not_found(Kind.TOOL, "get_new")
    assert isinstance((await call(bench, "get_more", READERS)).reply, Result)
    assert [permit.target.name for permit in upstream_of(bench).forwarded] == ["get_issue", "get_more"]


async def test_a_server_that_tells_nothing_is_not_called_in_the_dark() -> None:
    bench = a_bench()
    upstream_of(bench).failing = GONE
    performed = await call(bench, "get_issue", READERS)
    assert isinstance(performed.reply, Fault)
    assert (performed.reply.message, performed.outcome) == (GONE.message, Outcome.UPSTREAM_ERROR)
    (entry,) = bench.entries
    assert (entry.record.decision, entry.record.rule) == (Verdict.DENIED, "(lists)")
    assert entry.settlement is not None
    assert entry.settlement.detail == GONE.message, "what the caller was told"
    upstream_of(bench).failing = None
    assert isinstance((await call(bench, "get_issue", READERS)).reply, Result)


async def test_a_server_that_hangs_is_waited_for_no_longer_than_for_a_call() -> None:
    bench = a_bench(timeout=0.05)
    upstream_of(bench).hold()
    performed = await call(bench, "get_issue", READERS)
    assert isinstance(performed.reply, Fault)
    assert performed.outcome is Outcome.TIMEOUT
    assert upstream_of(bench).forwarded == []
    upstream_of(bench).let_go()


@pytest.mark.parametrize(("name", "access", "told"), [("peek_x", READERS, True), ("peek_x", WRITERS, False)])
async def test_a_mark_is_enough_to_judge_by(name: str, access: RoleAccess, told: bool) -> None:
    bench = a_bench()
    upstream_of(bench).failing = GONE
    performed = await call(bench, name, access)
    assert isinstance(performed.reply, Fault)
    assert (performed.reply.message == GONE.message) is told  # permitted, and then the server failed
    assert (performed.reply == not_found(Kind.TOOL, name)) is not told


async def test_nobody_without_any_chance_makes_the_gateway_ask() -> None:
    """Otherwise whoever holds a grant could start servers that are not for it."""
    bench = a_bench()
    performed = await call(bench, "get_issue", READERS, NOBODY)
    assert performed.reply == not_found(Kind.TOOL, "get_issue")
    assert upstream_of(bench).greeted == 0
    assert bench.entries[0].record.rule == "/acl/default"


async def test_a_flat_list_asks_for_nothing_before_it_judges() -> None:
    bench = a_bench()
    performed = await bench.perform(server=MARKED, name="get_issue", access=denying("*"), shown="get_issue")
    assert performed.reply == not_found(Kind.TOOL, "get_issue")
    assert upstream_of(bench).greeted == 0


async def test_many_first_calls_ask_once() -> None:
    bench = a_bench()
    performed = await asyncio.gather(*(call(bench, "get_issue", READERS) for _ in range(20)))
    assert all(isinstance(one.reply, Result) for one in performed)
    assert upstream_of(bench).greeted == 1


# --- hidden and unknown --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delete_issue", "echo"])
async def test_a_hidden_tool_gets_what_an_unknown_one_gets(name: str) -> None:
    bench = a_bench()
    assert isinstance((await call(bench, "get_issue", READERS)).reply, Result)
    hidden = (await call(bench, name, READERS)).reply
    unknown = (await call(bench, "nothing_like_it", READERS)).reply
    assert isinstance(hidden, Fault)
    assert isinstance(unknown, Fault)
    assert hidden.message.replace(name, "nothing_like_it") == unknown.message
    assert (hidden.code, hidden.data) == (unknown.code, unknown.data)


# --- lists ---------------------------------------------------------------------------------------------------

ENTRIES = st.builds(
    AccessEntry,
    st.just(("*",)),
    st.sampled_from(Extent),
    st.none() | st.lists(st.sampled_from(("get_*", "*e*", "echo", "zap")), min_size=1, max_size=2).map(tuple),
    deny=st.booleans(),
)
ACCESS = st.builds(
    RoleAccess,
    st.fixed_dictionaries({"dev": st.lists(ENTRIES, max_size=3).map(tuple)}),
    st.just({}),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(ACCESS)
async def test_a_list_holds_exactly_what_may_be_called(access: RoleAccess) -> None:
    bench = a_bench()
    reply = await bench.list("tools/list", snapshot_of(MARKED, access=access), MARKED, DEV)
    assert isinstance(reply, Result)
    listed = [entry["name"] for entry in json.loads(reply.raw)["tools"]]
    permitted = [
        name
        for name, nature in NATURES.items()
        if isinstance(
            decide(a_call(name), Target(Kind.TOOL, name), DEV.principal, MARKED, access, nature), Permit
        )
    ]
    assert listed == permitted
    for name in NATURES:
        assert isinstance((await call(bench, name, access)).reply, Result) is (name in permitted)


async def test_new_annotations_make_another_list() -> None:
    bench = a_bench()
    snapshot = snapshot_of(MARKED, access=READERS)
    before = await bench.list("tools/list", snapshot, MARKED, DEV)
    assert isinstance(before, Result)
    assert b'"get_issue"' in before.raw
    upstream_of(bench).offer(Ask.TOOLS, [tool("get_issue", destructiveHint=True), tool("find")])
    bench.clock.advance(60)
    after = await bench.list("tools/list", snapshot, MARKED, DEV)
    assert isinstance(after, Result)
    assert json.loads(after.raw) == {"tools": [{"name": "find"}]}
