"""What was used is told as far as it is known, within a bound, and nothing else is called unused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coatcheck.core.activity import Through, Uses
from coatcheck.errors import LedgerUnavailable, Missing, Stale, Unfit
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations.access.narrowing import Narrowing
from coatcheck.operations.access.using import (
    PATIENCE,
    Usage,
    Usages,
    servers_of_late,
    tools_of_late,
    usage_of,
)
from coatcheck.operations.hours import MOST_FILLING
from coatcheck.operations.registry.patches import NewGrant
from doubles.clock import HandClock
from doubles.registries import ROOT, Office, a_file

SINCE = datetime(2026, 10, 23, tzinfo=UTC)
LATER = SINCE + timedelta(days=20)


def uses(*used: str, **more: Any) -> Uses:
    names = {name: Through(1, LATER) for name in used}
    return Uses(
        **{"names": names, "whole": True, "complete": True, "back_to": SINCE, "sealed": False, **more}
    )


def test_what_is_not_used_is_said_only_where_that_is_known() -> None:
    whole = usage_of(uses("git", ""), SINCE)
    assert (set(whole.names), whole.since, whole.complete, whole.sealed) == ({"git"}, SINCE, True, False)
    assert [whole.is_unused(name) for name in ("git", "time")] == [False, True]

    sealed = usage_of(uses("git", complete=False, sealed=True, back_to=LATER), SINCE)
    assert (sealed.since, sealed.complete, sealed.sealed) == (LATER, True, True)
    assert [sealed.is_unused(name) for name in ("git", "time")] == [False, True]

    counting = usage_of(uses("git", complete=False, back_to=LATER), SINCE)
    assert (counting.counting, sealed.counting, whole.counting) == (True, False, False)
    assert (counting.complete, counting.is_unused("git"), counting.is_unused("time")) == (False, False, False)

    too_many = usage_of(uses("git", whole=False), SINCE)
    assert (too_many.complete, too_many.counting, too_many.is_unused("time")) == (False, False, False)


def test_how_far_back_it_is_known_of_all_is_told() -> None:
    whole, sealed = Usage({}, SINCE), Usage({}, LATER, sealed=True)
    assert Usages({("a", ""): whole}).sealed_since is None
    assert Usages({("a", ""): whole, ("b", ""): sealed}).sealed_since == LATER
    assert not Usages({("a", ""): whole, ("b", ""): sealed}).counting
    assert Usages({("a", ""): whole, ("b", ""): Usage({}, LATER, counting=True)}).counting


@dataclass
class Counted:
    """Stands for `Activity`: tells what it is given, after `seconds` or the patience that it is asked with."""

    by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: float = 0.0
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)
    slept: float = 0.0

    async def used(self, since: datetime, *, patience: float, **focus: Any) -> Uses:
        return await self._told(focus.get("server") or focus["subject"] or focus["grant"] or "", patience)

    async def _told(self, key: str, patience: float) -> Uses:
        self.asked.append(key)
        if self.error is not None:
            raise self.error
        self.slept += min(self.seconds, patience)
        await asyncio.sleep(min(self.seconds, patience))
        complete = self.seconds <= patience
        return uses(*(self.by.get(key, ()) if complete else ()), complete=complete)


async def test_all_are_looked_at_within_one_bound() -> None:
    quick = Counted({"ann": ("git",)})
    found = await servers_of_late(quick, HandClock(), [("ann", ""), ("ben", ""), ("ann", "")], 30)  # type: ignore[arg-type]
    assert {one: set(usage.names) for one, usage in found.by.items()} == {
        ("ann", ""): {"git"},
        ("ben", ""): set(),
    }
    assert (found.counting, quick.asked) == (False, ["ann", "ben"])

    slow = Counted(seconds=60.0)
    late = await servers_of_late(slow, HandClock(), [(f"p{number}", "") for number in range(50)], 30)  # type: ignore[arg-type]
    by = await tools_of_late(slow, HandClock(), [f"s{number}" for number in range(20)], ("", "g"), 30)  # type: ignore[arg-type]
    # Those who look at once wait that long together; one after the other it would be 70 times as long.
    assert slow.slept <= 2 * MOST_FILLING * PATIENCE
    assert (late.counting, len(late.by), len(slow.asked)) == (True, 50, 70)
    assert {usage.complete for usage in by.values()} == {False}

    with pytest.raises(LedgerUnavailable):
        await servers_of_late(Counted(error=LedgerUnavailable("no")), HandClock(), [("ann", "")], 30)  # type: ignore[arg-type]


async def an_office(**used: tuple[str, ...]) -> tuple[Office, Narrowing, Counted]:
    """Return grants of `ann`: for every server, for two and for one; `used` is by label."""
    office = await Office(a_file("git", "time", "big")).open()
    await office.grants.issue(ROOT, NewGrant("every", "ann", None))
    await office.grants.issue(ROOT, NewGrant("two", "ann", frozenset({"git", "time"})))
    await office.grants.issue(ROOT, NewGrant("one", "ann", frozenset({"git"})))
    await office.grants.issue(ROOT, NewGrant("other", "ann", frozenset({"time"})))
    counted = Counted({(await office.grants.get(label)).id: names for label, names in used.items()})
    return office, Narrowing(office.desk, office.grants, counted, HandClock()), counted  # type: ignore[arg-type]


async def test_a_proposal_says_what_was_used_and_from_when_on_that_is_known() -> None:
    _, narrowing, counted = await an_office(two=("git",))
    found = await narrowing.propose("two", 30)
    assert [(one.server, one.calls, one.unused) for one in found.reaches] == [
        ("git", 1, False),
        ("time", 0, True),
    ]
    assert (found.kept, found.tools, found.known.counting) == (["git"], None, False)
    with_tools = await narrowing.propose("two", 30, tools=True)
    assert (with_tools.tools, counted.asked[-1]) == ([], "git")
    counted.seconds = 60.0
    late = await narrowing.propose("two", 30)
    assert (late.known.counting, late.kept) == (True, ["git", "time"])
    assert not any(one.unused for one in late.reaches)


async def test_what_would_be_left_of_each_grant_is_told_before_a_server_is_taken() -> None:
    office, narrowing, _ = await an_office(two=("git",))
    await office.grants.issue(ROOT, NewGrant("over", "ann", None))
    await office.grants.revoke(ROOT, ["over"], "")
    found = await narrowing.reaching("ann", "git", 30)
    assert [(one.grant.label, one.used.calls, list(one.left), one.can_be) for one in found.grants] == [
        ("every", 0, ["big", "time"], True),
        ("two", 1, ["time"], True),
        ("one", 0, [], False),
    ]
    assert (found.found, found.known.counting) == (3, False)
    (declared,) = (await narrowing.reaching("alice", "git", 30)).grants
    assert (declared.fixed, declared.can_be) == (True, False)
    none = await narrowing.reaching("nobody", "git", 30)
    assert (none.grants, none.found, none.known.counting) == ([], 0, False)
    with pytest.raises(Missing):
        await narrowing.reaching("ann", "nowhere", 30)


async def test_those_that_it_cannot_be_taken_from_hide_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    office, narrowing, _ = await an_office()
    for label in ("a-1", "a-2"):
        await office.grants.issue(ROOT, NewGrant(label, "ann", frozenset({"git"})))
    monkeypatch.setattr("coatcheck.operations.access.narrowing.MOST_AT_ONCE", 2)
    found = await narrowing.reaching("ann", "git", 30)
    assert ([one.grant.label for one in found.grants], found.found) == (["every", "two"], 5)
    await office.grants.withdraw(ROOT, "ann", "git", {one.grant.id: 1 for one in found.grants})
    rest = await narrowing.reaching("ann", "git", 30)
    assert ([one.grant.label for one in rest.grants], rest.found) == (["a-1", "a-2"], 3)


async def test_a_server_is_taken_from_what_reaches_it_and_is_of_the_owner() -> None:
    office, _, _ = await an_office()
    await office.grants.issue(ROOT, NewGrant("bens", "ben", frozenset({"git", "time"})))
    grants = {label: await office.grants.get(label) for label in ("two", "other", "bens")}
    for wrong, said in (("other", "'other' does not reach"), ("bens", "'bens' is not of 'ann'")):
        chosen = {grants[label].id: grants[label].version for label in ("two", wrong)}
        with pytest.raises(Unfit, match=said):
            await office.grants.withdraw(ROOT, "ann", "git", chosen)
        for label, before in grants.items():
            assert await office.grants.get(label) == before
    taken = await office.grants.withdraw(ROOT, "ann", "git", {grants["two"].id: grants["two"].version})
    assert taken == ["two"]


async def test_a_server_is_taken_from_several_grants_or_from_none() -> None:
    office, _, _ = await an_office()
    grants = {label: await office.grants.get(label) for label in ("every", "two", "one")}

    def of(*labels: str) -> dict[str, int]:
        return {grants[label].id: grants[label].version for label in labels}

    mallory = Actor("mallory", OperatorRole.ADMIN, "here")
    for wrong, error in (
        ({}, Unfit),
        (of("two", "one"), Unfit),
        ({**of("two"), "none": 1}, Missing),
        ({grants["every"].id: 1, grants["two"].id: 7}, Stale),
    ):
        with pytest.raises(error):
            await office.grants.withdraw(mallory, "ann", "git", wrong)
    with pytest.raises(Missing):
        await office.grants.withdraw(mallory, "ann", "nowhere", of("two"))
    assert (await office.grants.get("two")).servers == ("git", "time")

    before = office.store.commits
    assert await office.grants.withdraw(ROOT, "ann", "git", of("every", "two")) == ["every", "two"]
    assert office.store.commits == before + 1
    assert [(one.action, one.object_name) for one in office.store.changes[-2:]] == [
        ("grant.change", "every"),
        ("grant.change", "two"),
    ]
    assert (await office.grants.get("every")).servers == ("big", "time")
    assert (await office.grants.get("two")).servers == ("time",)
