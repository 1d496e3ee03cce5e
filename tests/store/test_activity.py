"""Sums that the database makes are those of a count by hand, on either database; what is sealed is told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.dialects import sqlite

from bands import band_of
from coatcheck.core.activity import By, Counts, Focus
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import KNOCKING, Outcome, Verdict
from coatcheck.model.segment import Segment
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records import activity
from coatcheck.store.records.activity import StoredCounting, count_in
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.segments import add_segment
from coatcheck.store.tables import record, segment, settlement
from ledgers import START, TickingClock, a_record, its_settlement

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
WEEK = 7 * 86_400

CALLS = st.fixed_dictionaries(
    {
        "second": st.integers(0, WEEK - 1),
        "server": st.sampled_from(["github", "jira", ""]),
        "tool": st.sampled_from(["search", "close", ""]),
        "subject": st.sampled_from(["alice", "bob"]),
        "grant_id": st.sampled_from(["g1", "g2"]),
        "decision": st.sampled_from(Verdict),
        "reason": st.sampled_from([*sorted(KNOCKING), "a rule"]),
        "repeats": st.integers(1, 3),
        "outcome": st.none() | st.sampled_from(Outcome),
        "seconds": st.floats(0, 4_000) | st.sampled_from([0.0005, 0.00078125, 0.05]),
    }
)
FOCI = [
    Focus(),
    Focus(By.TOOL, server="github"),
    Focus(By.SUBJECT),
    Focus(grant="g1"),
    Focus(By.TOOL, subject="bob"),
    Focus(By.SUBJECT, server="jira", grant="g2"),
]


@pytest.fixture
def weeks() -> Iterator[int]:
    """Weeks of which nothing is on record yet: each example has one of its own, of one database."""
    return itertools.count()


def put(database: Database, week: int, calls: list[dict[str, Any]]) -> None:
    def write(writing: Any) -> None:
        for one in calls:
            at = EPOCH + timedelta(seconds=week * WEEK + one["second"])
            made = a_record()
            row = {name: getattr(made, name) for name in made.__struct_fields__ if name in record.c}
            row |= {name: value for name, value in one.items() if name in record.c}
            row |= {"at": at, "decision": one["decision"].value, "arguments": ""}
            position = writing.execute(insert(record).values(row)).inserted_primary_key[0]
            if one["outcome"] is not None:
                ending = {"position": position, "at": at, "outcome": one["outcome"].value, "detail": ""}
                writing.execute(insert(settlement).values(ending | {"seconds": one["seconds"]}))

    database.write_now(write)


def by_hand(calls: list[dict[str, Any]], week: int, focus: Focus, first: int, beyond: int, grain: int) -> Any:
    found: dict[int, dict[str, Counts]] = {}
    for one in calls:
        second = int(EPOCH.timestamp()) + week * WEEK + one["second"]
        asked = ((focus.server, "server"), (focus.grant, "grant_id"), (focus.subject, "subject"))
        if not first <= second < beyond or any(word not in {None, one[name]} for word, name in asked):
            continue
        counts = found.setdefault(second // grain * grain, {}).setdefault(one[focus.by.value], Counts())
        counts.add(counts_of(one, datetime.fromtimestamp(second, UTC)))
    return found


def counts_of(one: dict[str, Any], at: datetime) -> Counts:
    counts = Counts(one["repeats"], last=at)
    if one["decision"] is not Verdict.ALLOWED:
        counts.refused = one["repeats"]
        if one["decision"] is Verdict.REFUSED and one["reason"] in KNOCKING:
            counts.knocks = one["repeats"]
    elif one["outcome"] is None:
        counts.under_way = one["repeats"]
    else:
        counts.failed = 0 if one["outcome"] is Outcome.OK else one["repeats"]
        counts.timed, counts.seconds, counts.longest = 1, one["seconds"], one["seconds"]
        counts.bands = {band_of(one["seconds"]): 1}
    return counts


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(CALLS, max_size=25),
    focus=st.sampled_from(FOCI),
    grain=st.sampled_from([300, 3_600, 86_400]),
    since=st.integers(0, 6),
    days=st.integers(1, 7),
)
def test_sums_are_those_of_a_count_by_hand(
    any_database: Database,
    weeks: Iterator[int],
    calls: list[dict[str, Any]],
    focus: Focus,
    grain: int,
    since: int,
    days: int,
) -> None:
    week = next(weeks)
    put(any_database, week, calls)
    first = int(EPOCH.timestamp()) + week * WEEK + since * 86_400
    beyond = min(first + days * 86_400, int(EPOCH.timestamp()) + (week + 1) * WEEK)
    counted = any_database.read_now(lambda reading: count_in(reading, focus, first, beyond, grain))
    wanted = by_hand(calls, week, focus, first, beyond, grain)
    assert counted.units.keys() == wanted.keys()
    for unit, names in wanted.items():
        assert counted.units[unit].keys() == names.keys()
        for name, counts in names.items():
            found = counted.units[unit][name]
            assert found.seconds == pytest.approx(counts.seconds)
            found.seconds = counts.seconds
            assert found == counts


async def test_what_gateways_record_is_counted(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    counting = StoredCounting(any_database)
    since = int(START.timestamp()) // 300 * 300
    empty = await counting.count(Focus(), since, since + 300, 300)
    assert (empty.units, empty.begins, empty.sealed) == ({}, None, False)
    for outcome in (Outcome.OK, Outcome.TIMEOUT):
        await ledger.record_settled(made := a_record(), its_settlement(made, outcome))
    await ledger.record(a_record())
    counted = await counting.count(Focus(), since, since + 300, 300)
    assert counted.begins == START
    found = counted.units[since]["github"]
    assert (found.calls, found.failed, found.under_way, found.refused) == (3, 1, 1, 0)
    assert (found.mean, found.longest, found.last) == (0.25, 0.25, START)
    await ledger.close()


async def test_what_is_sealed_is_no_part_of_what_the_store_has(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    records = [a_record(at=START + timedelta(hours=number)) for number in range(6)]
    await asyncio.gather(*(ledger.record_settled(one, its_settlement(one)) for one in records))
    counting, since = StoredCounting(any_database), int(START.timestamp()) // 3_600 * 3_600
    whole = await counting.count(Focus(), since, since + 6 * 3_600, 3_600)
    assert (whole.begins, whole.sealed, len(whole.units)) == (START, False, 6)
    sealed = Segment(1, 6, b"", b"h", 6, START + timedelta(days=1), "a.gz", "")
    any_database.write_now(lambda writing: add_segment(writing, sealed))
    part = await counting.count(Focus(), since, since + 6 * 3_600, 3_600)
    assert (part.begins, part.sealed) == (START + timedelta(hours=3), True)
    any_database.write_now(lambda writing: writing.execute(segment.update().values(last=12)))
    none = await counting.count(Focus(), since, since + 6 * 3_600, 3_600)
    assert (none.begins, none.sealed) == (START + timedelta(days=1), True)
    knocks = await counting.knocks(START)
    assert knocks.back_to == START + timedelta(days=1)
    await ledger.close()


async def test_those_who_knock_are_told_by_grant_the_last_one_first(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    told = {"decision": Verdict.REFUSED, "rule": "(identity)", "server": "", "tool": ""}
    for minute, grant, reason, address, repeats in (
        (1, "g1", "revoked", "10.0.0.1", 1),
        (2, "g2", "expired", "10.0.0.2", 5),
        (3, "g1", "revoked", "10.0.0.3", 7),
        (4, "g1", "unknown", "10.0.0.4", 1),
        (5, "g3", "disabled", "", 2),
    ):
        made = a_record(
            at=START + timedelta(minutes=minute), grant_id=grant, grant_label=f"laptop {grant}", reason=reason,
            client_ip=address, repeats=repeats, **told,
        )  # fmt: skip
        await ledger.record_settled(made, its_settlement(made, Outcome.DENIED))
    await ledger.record_settled(made := a_record(), its_settlement(made))
    counting = StoredCounting(any_database)
    knocks = await counting.knocks(START)
    assert [(one.grant_id, one.label, one.count) for one in knocks.items] == [
        ("g3", "laptop g3", 2), ("g1", "laptop g1", 8), ("g2", "laptop g2", 5),
    ]  # fmt: skip
    first, last = START + timedelta(minutes=1), START + timedelta(minutes=3)
    often = knocks.items[1]
    assert (often.first, often.last, often.reasons) == (first, last, ("revoked",))
    assert often.addresses == ("10.0.0.3", "10.0.0.1")
    assert (knocks.left_out, knocks.back_to) == (0, None)
    later = await counting.knocks(START + timedelta(minutes=4))
    assert [one.grant_id for one in later.items] == ["g3"]
    await ledger.close()


async def test_a_database_that_is_gone_is_told(database: SqliteDatabase) -> None:
    counting = StoredCounting(database)
    assert (await counting.knocks(START)).items == ()
    database.close()
    with pytest.raises(LedgerUnavailable, match="stopping"):
        await counting.count(Focus(), 0, 300, 300)


def test_one_grant_is_found_by_its_index(database: SqliteDatabase) -> None:
    put(database, 0, [{"second": 5, "decision": Verdict.ALLOWED, "outcome": None, "grant_id": "g1"}])

    def plan(reading: Any, focus: Focus) -> str:
        first = int(EPOCH.timestamp())
        conditions = activity._conditions(reading, focus, first, first + 300)
        assert conditions is not None
        asked = select(record.c.id).where(*conditions)
        said = asked.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
        return " ".join(row[-1] for row in reading.execute(text(f"EXPLAIN QUERY PLAN {said}")))

    assert "ix_record_at" in database.read_now(lambda reading: plan(reading, Focus()))
    assert "ix_record_grant_id" in database.read_now(lambda reading: plan(reading, Focus(grant="g1")))
    assert "ix_record_server" in database.read_now(lambda reading: plan(reading, Focus(server="github")))
