"""Sealed parts of the chain leave the tables, whatever stopped in between, and the chain goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from coatcheck.core.recording.segments import SEAL, digest_of, sealing_of
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.reading import RadiusFilter, Stretch
from coatcheck.model.record import RecordFilter
from coatcheck.model.segment import Segment
from coatcheck.store import tables
from coatcheck.store.chain import beginning_in
from coatcheck.store.engines.database import Database
from coatcheck.store.records import retiring
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.retiring import StoredSegments
from coatcheck.store.records.whole import StoredReading
from coatcheck.store.verifying import StoredChain
from ledgers import START, TickingClock, a_record, its_settlement

LATER = START + timedelta(minutes=10)


@pytest.fixture
async def ledger(any_database: Database) -> AsyncIterator[StoredLedger]:
    ledger = await StoredLedger.open(any_database, TickingClock())
    records = [a_record(at=START + timedelta(seconds=number)) for number in range(20)]
    uses = ("alpha@1",)
    await asyncio.gather(
        *(ledger.record_settled(one, its_settlement(one, credentials=uses)) for one in records)
    )
    yield ledger
    await ledger.close()


def the_segment(stretch: Stretch) -> Segment:
    entries = stretch.through - stretch.after
    return Segment(
        stretch.after + 1, stretch.through, stretch.prev, stretch.hash, entries, START, "a.gz", "0" * 64
    )


def a_sealing(database: Database, *segments: Segment) -> Change:
    prev = database.read_now(beginning_in).prev
    after = json.dumps(sealing_of(segments[-1], digest_of(prev, segments), "signed"))
    return Change(
        uuid4(), LATER, "local", "admin", "socket", SEAL, ObjectKind.RECORD, "1-2", "a.gz", "", after
    )


def rows(database: Database) -> dict[str, int]:
    def count(table: str) -> int:
        asked = select(func.count()).select_from(tables.metadata.tables[table])
        return database.read_now(lambda reading: int(reading.execute(asked).scalar_one()))

    return {name: count(name) for name in ("record", "settlement", "change", "used")}


async def test_nothing_is_sealed_past_the_time_or_a_request_under_way(
    ledger: StoredLedger, any_database: Database
) -> None:
    segments = StoredSegments(any_database, lambda _note, _digest: "")
    assert await segments.oldest(START) is None
    some = await segments.oldest(START + timedelta(seconds=5))
    assert some is not None
    assert (some.after, some.through, some.whole) == (0, 10, True)
    await ledger.record(open_one := a_record(at=START + timedelta(seconds=30)))
    await ledger.record_settled(last := a_record(at=START + timedelta(seconds=31)), its_settlement(last))
    up_to_it = await segments.oldest(LATER)
    assert up_to_it is not None
    assert up_to_it.through == 40
    await ledger.settle(its_settlement(open_one))
    everything = await segments.oldest(LATER)
    assert everything is not None
    assert everything.through == 44


async def test_the_rows_go_in_slices_and_the_rest_stays(
    ledger: StoredLedger, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "SLICE", 3)
    segments = StoredSegments(any_database, lambda _note, _digest: "")
    stretch = await segments.oldest(START + timedelta(seconds=8))
    assert stretch is not None
    assert rows(any_database) == {"record": 20, "settlement": 20, "change": 0, "used": 20}
    await segments.clear()
    assert rows(any_database)["record"] == 20  # nothing is sealed yet
    await segments.add(the_segment(stretch), a_sealing(any_database, the_segment(stretch)))
    standing = StoredChain(any_database).standing()  # a stop right here loses nothing
    assert [one.last for one in standing.sealed] == [stretch.through]
    await segments.clear()
    assert rows(any_database) == {"record": 12, "settlement": 12, "change": 1, "used": 12}
    left = await ledger.list(RecordFilter())
    assert [entry.position for entry in left] == list(range(17, 41, 2))
    reading = StoredReading(any_database)
    rest = await reading.stretch(RecordFilter())
    assert (rest.after, rest.prev, rest.whole) == (stretch.through, stretch.hash, False)
    touched = await reading.radius(RadiusFilter(credential="alpha"))
    assert touched.whole is not None
    assert touched.whole.count == 12
    following = await segments.oldest(LATER)
    assert following is not None
    assert (following.after, following.prev) == (stretch.through, stretch.hash)


async def test_an_outcome_may_outlive_its_record(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    first, second = a_record(at=START), a_record(at=START + timedelta(hours=1))
    await ledger.record(first)
    await ledger.record(second)
    await ledger.settle(its_settlement(first, at=START + timedelta(hours=2)))
    await ledger.settle(its_settlement(second))
    segments = StoredSegments(any_database, lambda _note, _digest: "")
    stretch = await segments.oldest(START + timedelta(minutes=1))
    assert stretch is not None
    assert stretch.through == 1
    await segments.add(the_segment(stretch), a_sealing(any_database, the_segment(stretch)))
    await segments.clear()
    assert rows(any_database) == {"record": 1, "settlement": 2, "change": 1, "used": 0}
    await ledger.close()
    again = await StoredLedger.open(any_database, TickingClock())
    assert [entry.record.id for entry in await again.list(RecordFilter())] == [second.id]
    await again.close()
