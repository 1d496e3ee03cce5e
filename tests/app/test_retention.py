"""Sealing: nothing is removed unless it was judged, and nothing that a sink has not got."""

from __future__ import annotations

import asyncio
import gzip
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.segments import SegmentFolder
from coatcheck.core.recording.notes import SigningKey
from coatcheck.errors import ConfigError, Unfit
from coatcheck.model.chain import Checkpoint
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.operations.exporting import Exports
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.retention import Retention
from coatcheck.store.copies import StoredCopies
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.retiring import StoredSegments
from coatcheck.store.records.whole import StoredReading
from coatcheck.store.tables import record
from ledgers import START, TickingClock, a_record, its_settlement

LATER = START + timedelta(days=1)


class FixedEntropy:
    """The same bytes each time, but for a count in them."""

    def __init__(self) -> None:
        self._count = 0

    def token(self, size: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(size, "big")

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


async def retention_on(database: SqliteDatabase, folder: Path) -> Retention:
    clock, checkpoints = TickingClock(), StoredCheckpoints(database)
    ledger = await StoredLedger.open(database, clock)
    records = [a_record(at=START + timedelta(seconds=number)) for number in range(5)]
    await asyncio.gather(*(ledger.record_settled(one, its_settlement(one)) for one in records))
    key = SigningKey(ledger.log, bytes(range(32)))
    await ledger.close()

    async def sign() -> Checkpoint:
        made = key.sign(await checkpoints.where(), clock.now())
        await checkpoints.add(made)
        return made

    exports = Exports(StoredReading(database), sign)
    files = SegmentFolder(folder, [key.public], clock)
    segments = StoredSegments(database, Proof([key.public], None).why_not)
    scribe = Scribe(clock, FixedEntropy())
    return Retention(segments, files, exports, scribe, clock, None, key.sign_sealing)


def count(database: SqliteDatabase) -> int:
    asked = select(func.count()).select_from(record)
    return database.read_now(lambda reading: int(reading.execute(asked).scalar_one()))


async def test_what_a_sink_has_not_got_stays_unless_told_otherwise(tmp_path: Path) -> None:
    database = SqliteDatabase.open(tmp_path / "data")
    try:
        retention = await retention_on(database, tmp_path / "segments")
        await StoredCopies(database).keep({"siem": 4, "file": 99})
        with pytest.raises(Unfit, match="siem"):
            await retention.seal(LATER, None, LOCAL_ACTOR)
        assert count(database) == 5
        made = await retention.seal(LATER, None, LOCAL_ACTOR, although_behind=True)
        assert made is not None
        assert (made.first, made.last, count(database)) == (1, 10, 0)
        with gzip.open(tmp_path / "segments" / made.file) as lines:
            assert len(lines.read().splitlines()) >= 11
        assert await retention.seal(START, None, LOCAL_ACTOR) is None
    finally:
        database.close()


async def test_an_unsound_record_is_not_sealed(tmp_path: Path) -> None:
    database = SqliteDatabase.open(tmp_path / "data")
    try:
        retention = await retention_on(database, tmp_path / "segments")
        spoilt = update(record).where(record.c.position == 3).values(stored=b'{"v":1,"record":{}}')
        database.write_now(lambda writing: writing.execute(spoilt))
        with pytest.raises(ConfigError, match="not sound"):
            await retention.seal(LATER, None, LOCAL_ACTOR)
        assert count(database) == 5
        assert list((tmp_path / "segments").iterdir()) == []
        assert await retention.segments.list() == []
    finally:
        database.close()
