"""Whoever watches a list is told once of each edit that changes what it is shown, and of no other."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from coatcheck.core.access.rules import Policies, Rules, policies_of
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.errors import UpstreamUnreachable
from coatcheck.model.call import Notice
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.model.policy import Default
from coatcheck.model.server import Server
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from coatcheck.operations.hearing import changes as module
from coatcheck.operations.hearing.changes import LISTS, Changes
from coatcheck.operations.lists import KINDS, Lists, View
from coatcheck.operations.policies.policies import Policies as StoredPolicies
from coatcheck.operations.policies.using import Place, PolicyUses
from coatcheck.operations.reaching import served as served_module
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.registry.patches import NewGrant, NewSubject
from coatcheck.ports import Ask
from doubles.bench import ALICE, GIT, SENTRY, Bench, a_principal, asked_by, denying, snapshot_of
from doubles.registries import ROOT, Office, a_file
from doubles.voices import ScriptedVoice
from policies import NOON, document

TOOLS = "notifications/tools/list_changed"
ALL = frozenset(LISTS)
OFFERS = {"tools": b"{}", "prompts": b"{}", "resources": b"{}"}
"""The server says of none of its lists that it changes."""


def used(kind: UseKind = UseKind.EVERYTHING, of: str = "", **members: Any) -> Policies:
    """Return one policy in use."""
    policy = read_policy(document(**members))
    use = PolicyUse(policy.name, kind, of, NOON, "root")
    return policies_of({policy.name: StoredPolicy(policy.name, policy, NOON, "root")}, [use], {})[0]


HIDING = used(tools={"find": {"outcome": "hide"}})


async def a_bench() -> Bench:
    bench = Bench()

    def prepare(upstream: Any) -> None:
        upstream.greeting = Greeting(Era.LEGACY, LEGACY_VERSIONS[0], OFFERS)
        upstream.offer(Ask.TOOLS, ["find", "fix"])
        upstream.offer(Ask.PROMPTS, ["ask"])

    bench.upstreams.prepare = prepare
    bench.apply(SENTRY, GIT)
    for server in (SENTRY, GIT):
        await bench.servers.of(server).known()
    return bench


def watch(
    bench: Bench, subject: str, *roles: str, server: Server | None = SENTRY, wanted: frozenset[str] = ALL
) -> list[str]:
    """Watch as a modern client does; what is returned fills with the notifications."""
    heard: list[str] = []

    def tell(notice: Notice) -> None:
        heard.append(notice.method)

    bench.changes.watch(a_principal(subject, roles), server, None, wanted, tell)
    return heard


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def looked(bench: Bench) -> None:
    """Wait until nothing is left to be looked at."""
    await until(lambda: bench.changes._looking is None or bench.changes._looking.done())


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.02)


# --- who is told --------------------------------------------------------------------------------------------


async def test_a_policy_is_told_of_to_whom_it_shows_another_list_and_to_nobody_else() -> None:
    bench = await a_bench()
    hit, other, whole = (
        watch(bench, "alice", "dev"),
        watch(bench, "bob"),
        watch(bench, "c", "dev", server=None),
    )
    prompts = watch(bench, "dan", "dev", wanted=frozenset({"notifications/prompts/list_changed"}))
    bench.apply(SENTRY, GIT, policies=used(UseKind.ROLE, "dev", tools={"find": {"outcome": "hide"}}))
    await looked(bench)
    assert (hit, other, whole, prompts) == ([TOOLS], [], [TOOLS], [])
    bench.apply(SENTRY, GIT, policies=used(UseKind.ROLE, "dev", prompts={"ask": {"outcome": "hide"}}))
    await looked(bench)
    both = [TOOLS, TOOLS, "notifications/prompts/list_changed"]
    assert (Counter(hit), other, Counter(whole)) == (Counter(both), [], Counter(both))
    assert prompts == ["notifications/prompts/list_changed"]
    bench.apply(SENTRY, GIT)
    await looked(bench)
    assert prompts == ["notifications/prompts/list_changed"] * 2
    assert (Counter(hit)[TOOLS], other) == (2, []), "of the tools nothing changed"


@pytest.mark.parametrize(
    "members",
    [
        {"tools": {"find": {"outcome": "deny"}}},
        {"tools": {"find": {"deny_if": [{"path": "/a", "op": "exists"}]}}},
        {"tools": {"find": {"allow_if": [{"time": {"days": ["mon"], "zone": "UTC"}}]}}},
        {"tools": {"find": {"allow_if": [{"ip": ["203.0.113.0/24"]}]}}},
        {"tools": {"find": {"deny_if": [{"subject": ["alice"]}]}}},
        {"tools": {"find": {"limits": [{"calls": 1, "per": "day", "each": "grant"}]}}},
    ],
    ids=["denied", "argument", "time", "address", "subject", "limited"],
)
async def test_what_is_denied_stays_on_the_list_so_nobody_is_told(members: dict[str, Any]) -> None:
    bench = await a_bench()
    heard = watch(bench, "alice")
    bench.apply(SENTRY, GIT, policies=used(**members))
    await looked(bench)
    assert heard == []
    bench.apply(SENTRY, GIT, policies=HIDING)
    await looked(bench)
    assert heard == [TOOLS]


async def test_access_rules_and_scope_of_the_file_are_told_of_alike() -> None:
    bench = await a_bench()
    hit, other = watch(bench, "alice"), watch(bench, "bob")
    bench.apply(SENTRY, GIT, access=denying("sentry__find", subjects=("alice",)))
    await looked(bench)
    assert (hit, other) == ([TOOLS], [])


async def test_what_a_server_allows_of_itself_is_told_of_also_to_a_session_of_ones_own() -> None:
    bench = await a_bench()
    heard = watch(bench, "alice")
    conversation, voice = bench.converse(b'{"roots":{}}')
    await ask(bench, conversation)
    assert conversation.own(), "it keeps a session of its own, opened when everything was allowed"
    conversation.attend(wanted=True)
    bench.apply(dataclasses.replace(SENTRY, approved=("fix",)), GIT)
    await looked(bench)
    assert (heard, told(voice)) == ([TOOLS], [TOOLS])
    bench.apply(dataclasses.replace(SENTRY, default=Default.DENY_ALL), GIT)
    await looked(bench)
    assert (heard.count(TOOLS), told(voice)) == (2, [TOOLS, TOOLS])
    assert heard.count("notifications/prompts/list_changed") == 1
    await conversation.close()


# --- at once, and together ----------------------------------------------------------------------------------


async def test_many_publications_are_looked_at_together() -> None:
    bench = await a_bench()
    heard, before = watch(bench, "alice"), bench.lists.joined
    for number in range(100):
        bench.apply(SENTRY, GIT, policies=HIDING if number % 2 == 0 else used())
        await asyncio.sleep(0)
    bench.apply(SENTRY, GIT, policies=HIDING)
    await looked(bench)
    assert 1 <= len(heard) <= 3, heard
    assert len(heard) % 2 == 1, "the list that it knows of is not the one it was"
    assert bench.lists.joined - before <= 4 * len(KINDS)


async def test_what_is_taken_back_meanwhile_is_no_change() -> None:
    bench = await a_bench()
    heard = watch(bench, "alice")
    bench.apply(SENTRY, GIT, policies=HIDING)
    bench.apply(SENTRY, GIT)
    await looked(bench)
    assert heard == []


async def test_others_have_their_turn_while_watchers_are_looked_at() -> None:
    bench = await a_bench()
    heard = [watch(bench, f"s{number}", wanted=frozenset({TOOLS})) for number in range(200)]
    bench.apply(SENTRY, GIT, policies=HIDING)
    told = []
    while (count := sum(map(len, heard))) < len(heard):
        told.append(count)
        await asyncio.sleep(0)
    assert len(told) >= len(heard), "each has a view of its own, and between two there is a turn"
    bench.apply(SENTRY, GIT, policies=HIDING)
    await looked(bench)
    assert [len(one) for one in heard] == [1] * 200


async def test_watchers_of_one_view_cost_one_look_at_it() -> None:
    bench = await a_bench()
    heard = [watch(bench, "alice", wanted=frozenset({TOOLS})) for _ in range(200)]
    before = bench.lists.joined
    bench.apply(SENTRY, GIT, policies=HIDING)
    await looked(bench)
    assert heard == [[TOOLS]] * 200
    assert bench.lists.joined - before == 1


def test_a_snapshot_that_shows_the_same_shows_the_list_that_is_ready() -> None:
    lists = Lists(Bench().servers, Bench().records, 1.0)
    first, second = snapshot_of(epoch=1), snapshot_of(epoch=2)
    for snapshot in (first, first, second):
        lists.shown(a_principal(), View(snapshot, None), KINDS["tools/list"])
    assert lists.joined == 2
    assert first.rules == Rules()


# --- legacy sessions ----------------------------------------------------------------------------------------


@asynccontextmanager
async def a_session(bench: Bench, *methods: str) -> AsyncIterator[tuple[Conversation, ScriptedVoice]]:
    conversation, voice = bench.converse(principal=a_principal("alice"))
    for method in methods:
        await ask(bench, conversation, method)
    yield conversation, voice
    await conversation.close()


async def ask(bench: Bench, conversation: Conversation, method: str = "tools/list") -> None:
    who = asked_by(conversation.principal)
    await bench.lists.list(who, bench.snapshot, conversation.server, KINDS[method], conversation)


def told(voice: ScriptedVoice) -> list[str]:
    return [notice.method for notice in voice.told]


async def test_a_session_is_told_of_lists_that_it_asked_for() -> None:
    bench = await a_bench()
    async with (
        a_session(bench, "tools/list") as (tools, one),
        a_session(bench, "prompts/list") as (prompts, two),
    ):
        for conversation in (tools, prompts):
            conversation.attend(wanted=True)
        bench.apply(SENTRY, GIT, policies=HIDING)
        await looked(bench)
        assert (told(one), told(two)) == ([TOOLS], [])


async def test_what_changed_while_there_was_no_stream_is_told_on_the_next() -> None:
    bench = await a_bench()
    async with a_session(bench, "tools/list", "prompts/list") as (conversation, voice):
        bench.apply(SENTRY, GIT, policies=HIDING)
        await looked(bench)
        assert told(voice) == []
        for _ in range(2):
            conversation.attend(wanted=True)
            conversation.attend(wanted=False)
        assert told(voice) == [TOOLS]
        bench.apply(SENTRY, GIT)
        await ask(bench, conversation)
        conversation.attend(wanted=True)
        assert told(voice) == [TOOLS], "it has asked for the list since"


async def test_what_a_server_said_of_its_lists_while_there_was_no_stream_is_told_on_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served_module, "_SETTLE", 0.0)
    bench = await a_bench()
    async with a_session(bench, "tools/list") as (conversation, voice):
        conversation.attend(wanted=False)
        served = bench.servers.of(SENTRY)
        bench.upstreams.of("sentry").offer(Ask.TOOLS, ["find"])
        served.hear(Notice(TOOLS, b"{}"))
        assert served.catalogue is not None
        assert list(served.catalogue.tools) == ["find", "fix"], "nobody listens, so nobody is asked"
        conversation.attend(wanted=True)
        await until(lambda: told(voice) != [])
        assert told(voice) == [TOOLS]


async def test_a_list_that_could_not_be_shown_is_told_of_when_it_can() -> None:
    bench = Bench()
    bench.apply(SENTRY)
    sentry = bench.upstreams.of("sentry")
    sentry.greeting = Greeting(Era.LEGACY, LEGACY_VERSIONS[0], OFFERS)
    sentry.failing = UpstreamUnreachable("it is down")
    conversation, voice = bench.converse(server=None)
    await ask(bench, conversation)
    conversation.attend(wanted=True)
    assert told(voice) == []
    sentry.offer(Ask.TOOLS, ["find"])
    sentry.failing = None
    await bench.servers.of(SENTRY).ask()
    await looked(bench)
    assert told(voice) == [TOOLS]
    await conversation.close()


async def test_grants_and_subjects_that_come_and_go_cost_no_look_at_any_list() -> None:
    office = await Office().open()
    sights = [office.directory.snapshot.sight]

    def after() -> int:
        sights.append(office.directory.snapshot.sight)
        return sights[-1] - sights[-2]

    await office.grants.issue(ROOT, NewGrant("ci", "alice", None))
    await office.subjects.add(ROOT, NewSubject("erin", roles=frozenset({"dev"})))
    assert (after(), office.directory.snapshot.epoch) == (0, 3)
    policies, uses = StoredPolicies(office.desk), PolicyUses(office.desk)
    await policies.put(ROOT, "p", document(), None)
    assert after()
    await uses.use(ROOT, "p", Place(UseKind.EVERYTHING))
    assert after()
    await office.edit(a_file("git", "time", access=denying("git__x")))
    assert after()
    await office.edit(a_file("git", access=denying("git__x")))
    assert after()


def test_changes_of_all_kinds_are_announced_where_there_are_such_lists() -> None:
    assert ALICE.principal.subject == "alice"
    bench = Bench(SENTRY)
    changes = Changes(bench.lists, lambda: bench.snapshot)
    assert [changes.announces(None, method) for method in LISTS] == [True] * 3
    assert [changes.announces(SENTRY, method) for method in LISTS] == [False] * 3, "it was never heard from"
