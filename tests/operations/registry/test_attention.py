"""Which grants deserve a look, as time goes by."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from coatcheck.operations.registry.granting.attention import (
    KEPT,
    LONG,
    SOON,
    Attention,
    GrantsAttention,
)
from coatcheck.operations.registry.granting.showing import SETTLED
from coatcheck.operations.registry.patches import NewGrant
from doubles.registries import ROOT, Office


def labels(attention: Attention) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the labels that each list names."""
    lists = (attention.ending, attention.never_used, attention.idle, attention.unclaimed)
    ending, never, idle, unclaimed = ([one.label for one in grants] for grants in lists)
    return ending, never, idle, unclaimed


async def test_grants_come_into_sight_and_out_of_it_again() -> None:
    office = await Office().open()
    look = GrantsAttention(office.desk).look
    before = await look()
    now = office.clock.now()
    used = await office.grants.issue(ROOT, NewGrant("used", "dora", None, expires_at=None))
    await office.grants.issue(ROOT, NewGrant("unused", "dora", None, expires_at=now + timedelta(days=30)))
    await office.grants.issue(ROOT, NewGrant("waits", "dora", None, by_claim=True))
    fresh = await look()
    assert (fresh.live - before.live, fresh.unclaimed_count) == (2, 1)
    assert labels(fresh) == ([], [], [], ["waits"])

    office.seen.note(used.grant.id, "::1", "claude-code")
    office.clock.advance((SETTLED + timedelta(hours=1)).total_seconds())
    assert labels(await look())[:3] == ([], ["unused"], [])
    office.clock.advance((timedelta(days=30) - SETTLED - SOON).total_seconds())
    assert labels(await look())[:3] == (["unused"], ["unused"], [])
    await office.grants.revoke(ROOT, ["unused"], "not needed")
    assert labels(await look())[:3] == ([], [], [])
    office.clock.advance(LONG.total_seconds())
    assert labels(await look())[2] == ["used"]
    office.seen.note(used.grant.id, "::1", "cursor")
    assert labels(await look())[2] == ["used"]  # as it was found a moment ago
    office.clock.advance(KEPT)
    assert labels(await look())[2] == []


async def test_all_grants_are_gone_through_once_for_all_who_look_until_something_is_edited() -> None:
    office = await Office().open()
    attention = GrantsAttention(office.desk)
    first, second = await asyncio.gather(attention.look(), attention.look())
    assert first is second
    assert await attention.look() is first
    await office.grants.issue(ROOT, NewGrant("one more", "dora", None))
    assert (await attention.look()).live == first.live + 1
