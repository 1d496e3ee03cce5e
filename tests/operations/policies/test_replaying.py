"""Replays and suggestions over a real store: which calls count, where a policy is taken to be used, and bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.core.recording.argument_prints import ArgumentPrints
from coatcheck.errors import LedgerUnavailable, Missing, Unfit
from coatcheck.model.record import Outcome, Record, Settlement, Verdict
from coatcheck.model.stored_policy import UseKind
from coatcheck.model.verdict import Judgement
from coatcheck.operations.policies import replaying, suggesting
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.rehearsing import LeftOut
from coatcheck.operations.policies.replaying import Progress, Replay, ReplayQuestion, Replays
from coatcheck.operations.policies.suggesting import Suggestions, SuggestQuestion
from coatcheck.operations.policies.using import Place, PolicyUses
from coatcheck.operations.registry.patches import NewGrant
from coatcheck.operations.views import Views
from coatcheck.ports import Ask
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.whole import StoredReading
from doubles.registries import ROOT, Office
from ledgers import START, TickingClock, a_record

PRINTS = ArgumentPrints(bytes(range(32)))
EVERYWHERE = Place(UseKind.EVERYTHING)
OPENED = '{"amount": 7}'


def document(name: str = "p", **members: Any) -> dict[str, Any]:
    return {"coatcheck": 1, "name": name, "default": "allow-all", **members}


DENIES = document(tools={"pull": {"outcome": "deny"}})


@dataclass
class Archive:
    """An office with a record, and what looks back over it."""

    office: Office
    ledger: StoredLedger
    replays: Replays
    suggestions: Suggestions
    grant_id: str
    seconds: int = 0

    async def call(self, outcome: Outcome = Outcome.OK, **changes: Any) -> Record:
        """Put a call on record, a second after the last one."""
        self.seconds += 1
        usual = {
            "server": "git",
            "tool": "pull",
            "grant_id": self.grant_id,
            "grant_label": "bot",
            "subject": "bob",
        }
        record = a_record(
            **(usual | {"at": START + timedelta(seconds=self.seconds), "rule": "(no policy)"} | changes)
        )
        settlement = Settlement(
            record.id, record.at, outcome, 0.01, request_bytes=10 if outcome is Outcome.OK else 0
        )
        await self.ledger.record_settled(record, settlement)
        return record

    async def replay(self, written: Any = DENIES, place: Place | None = EVERYWHERE, **more: Any) -> Replay:
        name = written.get("name", "p") if isinstance(written, dict) else "p"
        return await self.replays.replay(ReplayQuestion(name=name, document=written, place=place, **more))


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    office = Office()
    office.upstreams.prepare = lambda upstream: upstream.offer(Ask.TOOLS, ["pull", "push", "get_log"])
    await office.open()
    grant = (await office.grants.issue(ROOT, NewGrant("bot", "bob", None))).grant
    database = SqliteDatabase.open(tmp_path / "data")
    ledger = await StoredLedger.open(database, TickingClock())
    views = Views(office.servers, 1.0)

    def opened(record: Record) -> str | None:
        return OPENED if record.argument_values else None

    yield Archive(
        office,
        ledger,
        Replays(office.desk, views, StoredReading(database), opened, PRINTS.of_value),
        Suggestions(office.desk, views, ledger.list),
        grant.id,
    )
    await ledger.close()
    database.close()


# --- replay -------------------------------------------------------------------------------------------------


async def test_calls_are_compared_with_what_was_decided(archive: Archive) -> None:
    await archive.call()
    await archive.call(
        tool="push", decision=Verdict.DENIED, rule="p:/tools/push/outcome", outcome=Outcome.DENIED
    )
    await archive.call(tool="get_log")
    await archive.call(method="tools/list", tool="", rule="(list)")
    await archive.call(decision=Verdict.REFUSED, rule="(identity)", outcome=Outcome.DENIED)
    found = await archive.replay()
    total = found.comparison
    assert (total.looked_at, total.same, sum(total.totals.values())) == (3, 1, 2)
    told = [(one.name, one.before, one.after, one.after_rule, many.calls) for one, many in found.changes]
    assert sorted(told) == [
        ("pull", "allowed", "denied", "p:/tools/pull/outcome", 1),
        ("push", "denied", "allowed", "p:/default", 1),
    ]
    assert (found.back_to, found.cut, found.untold) == (START + timedelta(seconds=1), False, 0)
    assert (await archive.replay(most=1)).untold == 1
    later = await archive.replay(since=START + timedelta(seconds=2), until=START + timedelta(seconds=3))
    assert later.comparison.looked_at == 1


async def test_what_no_rule_decided_or_is_gone_is_left_out_and_counted(archive: Archive) -> None:
    await archive.call(rule="(limit)", decision=Verdict.DENIED, outcome=Outcome.DENIED)
    await archive.call(rule="(quarantined)", decision=Verdict.HIDDEN, outcome=Outcome.DENIED)
    await archive.call(server="gone")
    await archive.call(tool="x" * 200)
    await archive.call(rule="(scope)", grant_id="gone", decision=Verdict.HIDDEN, outcome=Outcome.DENIED)
    found = await archive.replay()
    assert found.left_out == {LeftOut.GATEWAY: 2, LeftOut.SERVER: 1, LeftOut.CUT: 1, LeftOut.GRANT: 1}
    assert found.comparison.looked_at == 0


async def test_the_scope_of_a_grant_holds_and_a_denied_name_on_no_list_stays_hidden(archive: Archive) -> None:
    narrowed = (await archive.office.grants.issue(ROOT, NewGrant("n", "bob", None, ("git__push",)))).grant
    hidden: dict[str, Any] = {"decision": Verdict.HIDDEN, "outcome": Outcome.DENIED}
    await archive.call(grant_id=narrowed.id, rule="(scope)", **hidden)
    await archive.call(tool="nothing", rule="p:/tools/nothing/outcome", **hidden)
    found = await archive.replay(document(tools={"nothing": {"outcome": "deny"}}))
    assert (found.comparison.looked_at, found.comparison.same) == (2, 2)


async def test_a_policy_takes_the_place_of_what_is_used_there(archive: Archive) -> None:
    policies, uses = Policies(archive.office.desk), PolicyUses(archive.office.desk)
    await policies.put(ROOT, "old", document("old", default="deny-all"), None)
    await uses.use(ROOT, "old", Place(UseKind.SERVER, "git"))
    await archive.call()
    with pytest.raises(Unfit, match="used on nothing now"):
        await archive.replay(place=None)
    for place, after in (
        (Place(UseKind.SERVER, "git"), "p:/default"),
        (Place(UseKind.GRANT, "bot"), "p:/default"),
        (Place(UseKind.GRANT, "bot", "git"), "p:/default"),
        (Place(UseKind.SERVER, "time"), "old:/default"),
        (Place(UseKind.ROLE, "nobody"), "old:/default"),
        (Place(UseKind.EVERYTHING), "old:/default"),
    ):
        found = await archive.replay(document(), place)
        rules = {one.after_rule for one, _ in found.changes} or {"p:/default"}
        assert rules == {after}, place
    found = await archive.replay(document("old"), None)
    assert (found.used_on, found.comparison.same) == (("the server git",), 1)
    version = (await policies.get("old")).version
    assert (version, len(archive.office.directory.snapshot.registry.policy_uses)) == (1, 1), "nothing is put"


async def test_wrong_questions_are_refused(archive: Archive) -> None:
    with pytest.raises(BadPolicy):
        await archive.replay({"name": "p"})
    with pytest.raises(BadPolicy):
        await archive.replay(document("read-only"))
    for place in (Place(UseKind.GRANT, "nobody"), Place(UseKind.SERVER, "nowhere")):
        with pytest.raises(Missing):
            await archive.replay(place=place)
    with pytest.raises(Unfit):
        await archive.replay(place=Place(UseKind.SERVER, "git", "git"))


async def test_values_that_were_recorded_are_used(archive: Archive) -> None:
    outline: dict[str, Any] = {"arguments": '{"amount":1}', "argument_prints": '{"/amount":"00"}'}
    await archive.call(**outline)
    await archive.call(**outline, argument_values="sealed")
    over = {"deny_if": [{"path": "/amount", "op": "gt", "value": 5}]}
    total = (await archive.replay(document(tools={"pull": over}))).comparison
    assert (total.undecided, total.totals[Judgement.DENIED]) == ({"p:/tools/pull/deny_if/0": 1}, 1)


async def test_calls_from_before_count_for_limits_and_are_not_told(archive: Archive) -> None:
    for _ in range(4):
        await archive.call()
    limited = document(tools={"pull": {"limits": [{"calls": 2, "per": "hour", "each": "grant"}]}})
    found = await archive.replay(limited, since=START + timedelta(seconds=3))
    assert (found.comparison.looked_at, found.comparison.totals[Judgement.DENIED]) == (2, 2)
    assert found.back_to == START + timedelta(seconds=3)


async def test_the_newest_are_looked_at_and_others_have_their_turn(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(40):
        await archive.call()
    monkeypatch.setattr(replaying, "PAGE", 7)
    monkeypatch.setattr(replaying, "_TURN", 0.0)
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(beside())
    found = await archive.replay()
    task.cancel()
    assert (found.comparison.looked_at, found.cut) == (40, False)
    assert turns >= 20
    monkeypatch.setattr(replaying, "MOST_ENTRIES", 20)
    found = await archive.replay()
    assert (found.comparison.looked_at, found.cut) == (10, True)
    assert found.back_to == START + timedelta(seconds=31)


async def test_one_hears_how_far_a_replay_is(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "PAGE", 1)
    for _ in range(5):
        await archive.call()
    heard: list[Progress] = []
    question = ReplayQuestion(name="p", document=DENIES, place=EVERYWHERE)
    await archive.replays.replay(question, heard.append)
    assert heard[0].looked == 0
    assert [one.looked for one in heard] == sorted({one.looked for one in heard})
    assert len({one.of for one in heard}) == 1
    assert len(heard) > 3
    assert heard[-2].of / 2 <= heard[-1].looked <= heard[-1].of


async def test_two_replays_come_one_after_the_other_and_a_failing_record_is_told(archive: Archive) -> None:
    await archive.call()
    both = await asyncio.gather(archive.replay(), archive.replay())
    assert [one.comparison.looked_at for one in both] == [1, 1]
    archive.replays._reading._database.close()  # type: ignore[attr-defined]
    with pytest.raises(LedgerUnavailable):
        await archive.replay()


async def test_a_replay_that_takes_too_long_is_given_up_and_the_next_has_its_turn(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.call()
    monkeypatch.setattr(replaying, "LONGEST", 0.05)
    async with archive.replays._turn:
        with pytest.raises(Unfit, match="took longer than"):
            await archive.replay()
    monkeypatch.setattr(replaying, "LONGEST", 60.0)
    assert (await archive.replay()).comparison.looked_at == 1


async def test_whoever_asks_may_have_less_looked_at_and_wait_less(archive: Archive) -> None:
    for _ in range(5):
        await archive.call()
    found = await archive.replay(entries=4)
    assert (found.comparison.looked_at, found.cut) == (2, True)
    assert found.back_to == START + timedelta(seconds=4)
    assert (await archive.replay(seconds=30.0)).comparison.looked_at == 5
    async with archive.replays._turn:
        with pytest.raises(Unfit, match=r"took longer than 0\.05 s"):
            await archive.replay(seconds=0.05)


async def test_the_print_of_a_text_is_made_once_and_not_for_each_call(archive: Archive) -> None:
    made = []

    def counted(value: str) -> str:
        made.append(value)
        return PRINTS.of_value(value)

    archive.replays._print_of = counted
    for _ in range(3):
        await archive.call(arguments='{"a":3}', argument_prints=PRINTS.of(b'{"a":"x"}'))
    texts = ["y", "z"]
    found = await archive.replay(
        document(tools={"pull": {"deny_if": [{"path": "/a", "op": "in", "value": texts}]}})
    )
    assert (found.comparison.totals[Judgement.UNDECIDED], made) == (3, texts)


# --- suggest ------------------------------------------------------------------------------------------------


async def test_what_a_grant_used_is_told_by_server(archive: Archive) -> None:
    for tool in ("pull", "pull", "push"):
        await archive.call(tool=tool)
    await archive.call(server="time", tool="now")
    await archive.call(grant_id="another")
    await archive.call(tool="get_log", decision=Verdict.DENIED, outcome=Outcome.DENIED)
    await archive.call(tool="owl", outcome=Outcome.DENIED)
    await archive.call(tool="a*b")
    await archive.call(method="resources/read", tool="file:///a")
    await archive.call(method="tools/list", tool="")
    found = await archive.suggestions.suggest(SuggestQuestion(grant="bot"))
    git, time = found.items
    assert (git.server, git.suggestion.policy.name, time.server) == ("git", "bot-git", "time")
    assert [(one.kind, one.name, one.calls) for one in git.suggestion.covered] == [
        ("tool", "pull", 2),
        ("tool", "push", 1),
        ("resource", "file:///a", 1),
    ]
    assert [one.name for one, _ in git.suggestion.left_out] == ["a*b"]
    assert git.suggestion.unused == ("get_log",)
    assert (found.cut, found.back_to) == (False, START + timedelta(seconds=1))
    later = await archive.suggestions.suggest(
        SuggestQuestion(
            grant=archive.grant_id, server="git", since=START + timedelta(seconds=3), name="least"
        )
    )
    (item,) = later.items
    assert (item.suggestion.policy.name, [one.name for one in item.suggestion.covered]) == (
        "least",
        ["push", "file:///a"],
    )


async def test_what_nothing_came_of_was_not_used(archive: Archive) -> None:
    """Any name can be called while the server is away, and would be suggested from then on."""
    await archive.call(Outcome.TOOL_ERROR)
    for outcome in (Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.CANCELLED, Outcome.DENIED):
        await archive.call(outcome, tool="drop_all")
    (item,) = (await archive.suggestions.suggest(SuggestQuestion(grant="bot"))).items
    assert [one.name for one in item.suggestion.covered] == ["pull"]


async def test_each_suggestion_has_a_name_of_its_own(archive: Archive) -> None:
    for server in ("a-b", "a-b-3", "a_b"):
        await archive.call(server=server)
    items = (await archive.suggestions.suggest(SuggestQuestion(grant="bot"))).items
    assert len({item.suggestion.policy.name for item in items}) == 3


@pytest.mark.parametrize(
    ("decision", "rule", "sent", "counts"),
    [
        (Verdict.ALLOWED, "(no policy)", True, True),
        (Verdict.ALLOWED, "(no policy)", False, False),
        (Verdict.DENIED, "p:/limits/0", False, True),
        (Verdict.DENIED, "p:/resources/*/outcome", False, False),
    ],
)
async def test_a_subscription_counts_where_a_server_was_asked(
    archive: Archive, decision: Verdict, rule: str, sent: bool, counts: bool
) -> None:
    for _ in range(2):
        outcome = Outcome.TOOL_ERROR if not sent else Outcome.OK
        how = {"method": "resources/subscribe", "tool": "file:///a", "decision": decision, "rule": rule}
        await archive.call(outcome, **how)
    found = await archive.replay(document(limits=[{"calls": 1, "per": "day", "each": "all"}]))
    denied = found.comparison.totals[Judgement.DENIED] + found.comparison.same * (decision is Verdict.DENIED)
    assert denied == int(counts)


async def test_what_is_not_allowed_is_not_told_as_unused(archive: Archive) -> None:
    await archive.call()
    policies, uses = Policies(archive.office.desk), PolicyUses(archive.office.desk)
    await policies.put(ROOT, "p", document(tools={"push": {"outcome": "deny"}}), None)
    await uses.use(ROOT, "p", Place(UseKind.GRANT, "bot"))
    (item,) = (await archive.suggestions.suggest(SuggestQuestion(grant="bot"))).items
    assert item.suggestion.unused == ("get_log",)


async def test_questions_that_cannot_be_answered(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    suggest = archive.suggestions.suggest
    assert (await suggest(SuggestQuestion(grant="bot"))).items == ()
    (empty,) = (await suggest(SuggestQuestion(grant="bot", server="git"))).items
    assert (empty.suggestion.policy.entries, empty.suggestion.unused) == ((), ("pull", "push", "get_log"))
    await archive.call()
    await archive.call(server="gone")
    items = (await suggest(SuggestQuestion(grant="bot"))).items
    assert [(one.server, one.suggestion.unused) for one in items] == [
        ("git", ("push", "get_log")),
        ("gone", None),
    ]
    for asked, error in (
        (SuggestQuestion(grant="nobody"), Missing),
        (SuggestQuestion(grant="bot", server="nowhere"), Missing),
        (SuggestQuestion(grant="bot", name="Not A Name"), Unfit),
        (SuggestQuestion(grant="bot", name="least"), Unfit),
    ):
        with pytest.raises(error):
            await suggest(asked)
    monkeypatch.setattr(suggesting, "PAGE", 1)
    assert not (await suggest(SuggestQuestion(grant="bot"))).cut
    monkeypatch.setattr(suggesting, "MOST_CALLS", 1)
    assert (await suggest(SuggestQuestion(grant="bot"))).cut
