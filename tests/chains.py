"""A store with a chain of every kind of entry, signed here and there, for tests that tamper with it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection

from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.verifying import verify_store
from coatcheck.core.recording.notes import SigningKey
from coatcheck.errors import CoatcheckError
from coatcheck.model.chain import Checkpoint, Presented, Report
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.record import Outcome, Receipt, Verdict
from coatcheck.store.chain import Growth
from coatcheck.store.engines.database import Database
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.registry.changes import insert_changes
from ledgers import TickingClock, a_record, its_settlement

SEED = sha256(b"a seed for tests").digest()
AT = datetime(2026, 11, 3, 10, 0, 0, tzinfo=UTC)


def a_change(number: int) -> Change:
    return Change(uuid4(), AT, "ann", "admin", "cli", "grant.issue", ObjectKind.GRANT, f"g{number}", "zoë")


def _insert(change: Change, writing: Connection, growth: Growth) -> None:
    insert_changes(writing, growth, [change])


async def fill(database: Database, calls: int = 20) -> tuple[SigningKey, list[Checkpoint], list[Receipt]]:
    """Write calls, refusals and changes; sign twice on the way and at the end."""
    ledger = await StoredLedger.open(database, TickingClock())
    store = StoredCheckpoints(database)
    key = SigningKey(ledger.log, SEED)
    made: list[Checkpoint] = []
    receipts: list[Receipt] = []
    for number in range(calls):
        record = a_record(tool=f"tool{number}", subject="bob" if number % 3 else "zoë")
        await ledger.record(record)
        receipts.append(await ledger.settle(its_settlement(record, Outcome.OK)))
        if number % 5 == 2:
            refused = a_record(decision=Verdict.REFUSED, reason="unknown")
            receipts.append(await ledger.record_settled(refused, its_settlement(refused, Outcome.DENIED)))
        if number % 4 == 1:
            change = a_change(number)
            await database.write_chained(partial(_insert, change))
        if number in {calls // 3, calls // 2, calls - 1}:
            made.append(key.sign(await store.where(), AT + timedelta(minutes=number)))
            await store.add(made[-1])
    await ledger.close()
    return key, made, receipts


def a_store(directory: Path, calls: int = 20) -> tuple[SigningKey, list[Checkpoint], list[Receipt]]:
    """Make a data directory with such a store, and `checkpoints.log` beside the directory."""
    from coatcheck.store.engines.sqlite import SqliteDatabase

    database = SqliteDatabase.open(directory)
    try:
        key, made, receipts = asyncio.run(fill(database, calls))
    finally:
        database.close()
    outside(directory).write_text("".join(one.note for one in made), "utf-8")
    return key, made, receipts


def outside(directory: Path) -> Path:
    return directory.parent / "checkpoints.log"


def judged(directory: Path, key: SigningKey, receipts: list[Presented] | None = None) -> Report:
    proof = Proof([key.public], outside(directory), may_lack=True)
    return verify_store(directory, None, proof, receipts or [])


def is_noticed(directory: Path, key: SigningKey) -> bool:
    try:
        return not judged(directory, key).sound
    except CoatcheckError:
        return True
