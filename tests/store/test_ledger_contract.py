"""What every ledger owes its callers, run on each adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import Outcome, Record, RecordEntry, RecordFilter, Verdict
from coatcheck.store.records.ledger import StoredLedger
from ledgers import START, MemoryLedger, a_record, ended, its_settlement

AnyLedger = StoredLedger | MemoryLedger
ALL = RecordFilter(limit=1_000_000)


@pytest.fixture
async def ledger(open_ledger: Callable[[], Awaitable[AnyLedger]]) -> AsyncIterator[AnyLedger]:
    opened = await open_ledger()
    yield opened
    await opened.close()


async def take(stream: AsyncIterator[RecordEntry], count: int) -> list[RecordEntry]:
    async def gather() -> list[RecordEntry]:
        return [await anext(stream) for _ in range(count)]

    return await asyncio.wait_for(gather(), 20)


async def test_record_then_settle_reads_back_equal(ledger: AnyLedger) -> None:
    record = a_record(arguments='{"q":3}', client_version="2.1", repeats=7, reason="caf\u00e9\n\u2028\x01")
    await ledger.record(record)
    assert await ledger.list(ALL) == [RecordEntry(1, record, None)]
    settlement = its_settlement(record, Outcome.TOOL_ERROR, detail="it said no", seconds=0.1 + 0.2)
    await ledger.settle(settlement)
    assert await ledger.list(ALL) == [RecordEntry(1, record, settlement)]


async def test_record_settled_does_both_at_once(ledger: AnyLedger) -> None:
    record = a_record(decision=Verdict.DENIED)
    settlement = its_settlement(record, Outcome.DENIED)
    await ledger.record_settled(record, settlement)
    assert await ledger.list(ALL) == [RecordEntry(1, record, settlement)]


@pytest.mark.parametrize("decision", list(Verdict))
@pytest.mark.parametrize("outcome", list(Outcome))
async def test_every_decision_and_outcome_is_kept(
    ledger: AnyLedger, decision: Verdict, outcome: Outcome
) -> None:
    record = a_record(decision=decision)
    await ledger.record_settled(record, its_settlement(record, outcome))
    (entry,) = await ledger.list(ALL)
    assert entry.record.decision is decision
    assert ended(entry).outcome is outcome


async def test_a_record_is_settled_once(ledger: AnyLedger) -> None:
    record = a_record()
    await ledger.record(record)
    await ledger.settle(its_settlement(record, Outcome.OK))
    with pytest.raises(LedgerUnavailable, match="not open"):
        await ledger.settle(its_settlement(record, Outcome.TIMEOUT))
    (entry,) = await ledger.list(ALL)
    assert ended(entry).outcome is Outcome.OK


async def test_what_was_never_recorded_cannot_be_settled(ledger: AnyLedger) -> None:
    with pytest.raises(LedgerUnavailable, match="not open"):
        await ledger.settle(its_settlement(a_record()))
    assert await ledger.list(ALL) == []


async def test_one_id_is_not_opened_twice(ledger: AnyLedger) -> None:
    record = a_record()
    await ledger.record(record)
    with pytest.raises(LedgerUnavailable, match="open already"):
        await ledger.record(record)
    await ledger.settle(its_settlement(record))
    assert len(await ledger.list(ALL)) == 1


async def test_many_callers_at_once(ledger: AnyLedger) -> None:
    async def call(number: int) -> None:
        record = a_record(tool=f"tool{number}")
        await ledger.record(record)
        await ledger.settle(its_settlement(record, detail=record.tool))

    await asyncio.gather(*(call(number) for number in range(500)))
    entries = await ledger.list(ALL)
    positions = [entry.position for entry in entries]
    assert len(positions) == 500
    assert positions == sorted(set(positions))
    assert all(ended(entry).detail == entry.record.tool for entry in entries)
    assert {entry.record.tool for entry in entries} == {f"tool{number}" for number in range(500)}


async def test_after_close_nothing_is_taken(ledger: AnyLedger) -> None:
    await ledger.record(a_record())
    await ledger.close()
    with pytest.raises(LedgerUnavailable):
        await ledger.record(a_record())


# --- filters --------------------------------------------------------------------------------------


def places(entries: Sequence[RecordEntry], records: Sequence[Record]) -> list[int]:
    """Return which of the records entries are, counted from 1."""
    ids = {record.id: place for place, record in enumerate(records, 1)}
    return [ids[entry.record.id] for entry in entries]


_SAMPLES = (  # one entry for each, in order; position = index + 1
    (a_record(server="github", tool="search", subject="alice"), Outcome.OK),
    (a_record(server="github", tool="delete", subject="bob", decision=Verdict.DENIED), Outcome.DENIED),
    (
        a_record(server="jira", tool="search", subject="alice", at=START + timedelta(microseconds=1)),
        Outcome.OK,
    ),
    (a_record(server="jira", tool="search", subject="bob", at=START + timedelta(hours=1)), Outcome.TIMEOUT),
    (
        a_record(server="jira", tool="nope", decision=Verdict.HIDDEN, at=START - timedelta(days=1)),
        Outcome.DENIED,
    ),
    (a_record(server="", tool="", subject="", decision=Verdict.REFUSED), None),
    (a_record(server="github", tool="search", subject="alice"), None),
    (a_record(server="github", tool="search", subject="carol"), Outcome.UNKNOWN),
)


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        (RecordFilter(), [1, 2, 3, 4, 5, 6, 7, 8]),
        (RecordFilter(limit=3), [6, 7, 8]),
        (RecordFilter(limit=0), []),
        (RecordFilter(server="github"), [1, 2, 7, 8]),
        (RecordFilter(server="GitHub"), []),
        (RecordFilter(server=""), [6]),
        (RecordFilter(tool="search"), [1, 3, 4, 7, 8]),
        (RecordFilter(server="jira", tool="search"), [3, 4]),
        (RecordFilter(subject="bob"), [2, 4]),
        (RecordFilter(subject="bob' OR '1'='1"), []),
        (RecordFilter(decision=Verdict.ALLOWED), [1, 3, 4, 7, 8]),
        (RecordFilter(decision=Verdict.DENIED), [2]),
        (RecordFilter(decision=Verdict.REFUSED), [6]),
        (RecordFilter(since=START), [1, 2, 3, 4, 6, 7, 8]),
        (RecordFilter(since=START + timedelta(microseconds=1)), [3, 4]),
        (RecordFilter(errors=True), [2, 4, 5, 6, 8]),
        (RecordFilter(errors=True, limit=2), [6, 8]),
        (RecordFilter(errors=True, decision=Verdict.ALLOWED), [4, 8]),
        (RecordFilter(after=5), [6, 7, 8]),
        (RecordFilter(after=5, limit=1), [8]),
        (RecordFilter(after=8), []),
        (RecordFilter(server="github", subject="alice", since=START, errors=False, after=1), [7]),
    ],
)
async def test_list_filters(ledger: AnyLedger, wanted: RecordFilter, positions: list[int]) -> None:
    for record, outcome in _SAMPLES:
        await ledger.record(record)
        if outcome is not None:
            await ledger.settle(its_settlement(record, outcome))
    every = await ledger.list(RecordFilter())
    wanted = replace(wanted, after=every[wanted.after - 1].position if wanted.after else wanted.after)
    assert places(await ledger.list(wanted), [entry.record for entry in every]) == positions


# --- following ------------------------------------------------------------------------------------


async def test_follow_yields_from_the_call_on_in_the_order_of_settling(ledger: AnyLedger) -> None:
    early, first, second = a_record(), a_record(), a_record()
    await ledger.record_settled(early, its_settlement(early))
    stream = ledger.follow(RecordFilter())
    await ledger.record(first)
    await ledger.record(second)
    await ledger.settle(its_settlement(second))
    await ledger.settle(its_settlement(first))
    entries = await take(stream, 2)
    assert places(entries, [early, first, second]) == [3, 2]
    assert entries[1] == RecordEntry(entries[1].position, first, its_settlement(first))
    await stream.aclose()


async def test_follow_yields_what_it_is_asked_for_only(ledger: AnyLedger) -> None:
    stream = ledger.follow(RecordFilter(server="jira", errors=True))
    records = []
    for server, outcome in (("jira", Outcome.OK), ("github", Outcome.TIMEOUT), ("jira", Outcome.TIMEOUT)):
        record = a_record(server=server)
        records.append(record)
        await ledger.record_settled(record, its_settlement(record, outcome))
    assert places(await take(stream, 1), records) == [3]
    await stream.aclose()


async def test_follow_after_a_position_catches_up_and_goes_on(ledger: AnyLedger) -> None:
    records = [a_record() for _ in range(6)]
    for record in records[:4]:
        await ledger.record(record)
    for index in (3, 0, 2):  # 2 stays under way
        await ledger.settle(its_settlement(records[index]))
    (oldest, *_) = await ledger.list(RecordFilter())
    stream = ledger.follow(RecordFilter(after=oldest.position))
    assert places(await take(stream, 2), records) == [4, 3]
    for record in records[4:]:
        await ledger.record_settled(record, its_settlement(record))
    await ledger.settle(its_settlement(records[1]))
    assert places(await take(stream, 3), records) == [5, 6, 2]
    await stream.aclose()


async def test_followers_miss_and_double_nothing_while_calls_go_on(ledger: AnyLedger) -> None:
    total = 3_000  # more than any buffer holds
    streams = [ledger.follow(RecordFilter(after=0)), ledger.follow(RecordFilter())]

    records = []

    async def call() -> None:
        record = a_record()
        records.append(record)
        await ledger.record_settled(record, its_settlement(record))

    async def calls() -> None:
        for _ in range(total // 100):
            await asyncio.gather(*(call() for _ in range(100)))

    quick = asyncio.create_task(take(streams[0], total))
    await calls()
    slow = await take(streams[1], total)
    for entries in (await quick, slow):
        assert sorted(places(entries, records)) == list(range(1, total + 1))
    every = await ledger.list(RecordFilter(limit=total))
    late = ledger.follow(RecordFilter(after=every[9].position))
    assert [entry.position for entry in await take(late, total - 10)] == [e.position for e in every[10:]]
    for stream in (*streams, late):
        await stream.aclose()


async def test_follow_ends_when_the_ledger_closes_with_nothing_left_behind(ledger: AnyLedger) -> None:
    record = a_record()
    stream = ledger.follow(RecordFilter())
    waiting = asyncio.create_task(take(stream, 1))
    await ledger.record_settled(record, its_settlement(record))
    assert len(await waiting) == 1
    again = a_record(id=record.id, tool="again")
    await ledger.record_settled(again, its_settlement(record))
    await ledger.close()
    assert [entry.record.tool async for entry in stream] == ["again"]


async def test_a_follower_can_leave(ledger: AnyLedger) -> None:
    stream = ledger.follow(RecordFilter())
    waiting = asyncio.create_task(take(stream, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    record = a_record()
    await ledger.record_settled(record, its_settlement(record))
    again = ledger.follow(RecordFilter(after=0))
    assert len(await take(again, 1)) == 1
    await again.aclose()
