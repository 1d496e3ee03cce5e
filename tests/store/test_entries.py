"""Single entries of a chain that somebody may have edited: a call is found, and judged up to its checkpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from chains import SEED
from coatcheck.core.recording.notes import SigningKey
from coatcheck.errors import Missing
from coatcheck.model.record import Outcome
from coatcheck.operations import entries
from coatcheck.operations.entries import Entries
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.whole import StoredReading
from ledgers import START, TickingClock, a_record, its_settlement

CALLS = 6


@dataclass
class Desk:
    """A store with six calls, numbers 1 to 12, and who looks at them."""

    path: Path
    key: SigningKey
    entries: Entries
    checkpoints: StoredCheckpoints

    async def sign(self) -> int:
        """Sign where the chain stands."""
        made = self.key.sign(await self.checkpoints.where(), START)
        await self.checkpoints.add(made)
        return made.seq

    def edit(self, statement: str) -> None:
        """Change the store outside of the gateway."""
        with sqlite3.connect(self.path) as writing:
            assert writing.execute(statement).rowcount == 1
        writing.close()


@pytest.fixture
async def desk(database: SqliteDatabase) -> AsyncIterator[Desk]:
    ledger = await StoredLedger.open(database, TickingClock())
    for _ in range(CALLS):
        record = a_record(tool="echo")
        await ledger.record(record)
        await ledger.settle(its_settlement(record, Outcome.OK))
    key = SigningKey(ledger.log, SEED)
    yield Desk(
        Path(database.path),
        key,
        Entries(StoredReading(database), [key.public]),
        StoredCheckpoints(database),
    )
    await ledger.close()


async def test_a_call_is_found_by_its_number_and_by_its_id(desk: Desk) -> None:
    call = await desk.entries.call("3")
    assert call.intent is not None
    assert call.ended is not None
    assert (call.intent.seq, call.ended.seq) == (3, 4)
    assert call.receipt == f"{desk.key.public.log}/4/{call.ended.hash.hex()[:32]}"
    assert await desk.entries.call(str(call.entry.record.id)) == call


@pytest.mark.parametrize("ref", ["4", "99", "0", "-1", "x", "9" * 30, str(uuid4())])
async def test_what_is_no_call_is_missing(desk: Desk, ref: str) -> None:
    assert await desk.entries.call("3")
    with pytest.raises(Missing):
        await desk.entries.call(ref)


async def test_an_entry_is_proven_by_the_next_checkpoint(desk: Desk) -> None:
    before = await desk.entries.check(3, 4)
    assert (before.sound, before.first, before.last, before.checkpoint) == (True, 3, 4, None)
    signed = await desk.sign()
    after = await desk.entries.check(3, 4)
    assert after.checkpoint is not None
    assert (after.sound, after.last, after.entries, after.checkpoint.seq) == (True, signed, 10, signed)
    newest = await desk.entries.newest()
    assert newest is not None
    assert (newest.sound, newest.first, newest.last) == (True, 1, 12)


@pytest.mark.parametrize(
    "statement",
    [
        "update record set stored = replace(stored, 'echo', 'send') where position = 5",
        "update record set tool = 'send' where position = 5",
        "update settlement set hash = zeroblob(32) where sequence = 6",
        "delete from settlement where sequence = 6",
        "update checkpoint set note = replace(note, 'coatcheck/', 'coatcheck/0')",
        "update checkpoint set hash = zeroblob(32)",
    ],
)
async def test_what_was_changed_is_found_on_the_way_to_the_checkpoint(desk: Desk, statement: str) -> None:
    await desk.sign()
    assert (await desk.entries.check(3)).sound
    desk.edit(statement)
    assert not (await desk.entries.check(3)).sound


async def test_a_look_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST", 4)
    await desk.sign()
    near, far = await desk.entries.check(9), await desk.entries.check(1)
    assert (near.last, near.checkpoint is not None) == (12, True)
    assert (far.last, far.checkpoint) == (1, None)
    newest = await desk.entries.newest()
    assert newest is not None
    assert newest.first == 9
