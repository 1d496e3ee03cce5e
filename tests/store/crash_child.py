"""A gateway in small, to be killed: records and settles, and notes what was acknowledged in a synced file."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.ledger import StoredLedger
from ledgers import TickingClock, a_record, its_settlement


async def main(directory: Path, notes: int) -> None:
    ledger = await StoredLedger.open(SqliteDatabase.open(directory), TickingClock())

    def note(kind: str, id: object) -> None:
        os.write(notes, f"{kind} {id}\n".encode())
        os.fdatasync(notes)

    async def caller() -> None:
        while True:
            record = a_record()
            note("tried", record.id)
            await ledger.record(record)
            note("recorded", record.id)
            await ledger.settle(its_settlement(record))
            note("settled", record.id)

    await asyncio.gather(*(caller() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)))
