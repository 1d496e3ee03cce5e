"""A gateway that is broken: it goes on, and answers, before the ledger has written anything."""

from __future__ import annotations

import asyncio
import sys

from coatcheck.model.record import Receipt, Record, Settlement
from coatcheck.prove.child import main
from coatcheck.store.records.ledger import StoredLedger

waiting: set[asyncio.Task[object]] = set()
really_record, really_settle = StoredLedger.record, StoredLedger.settle


def later(work: object) -> None:
    async def quietly() -> None:
        await asyncio.gather(work, return_exceptions=True)  # type: ignore[call-overload]

    task: asyncio.Task[object] = asyncio.create_task(quietly())
    waiting.add(task)
    task.add_done_callback(waiting.discard)


async def record(ledger: StoredLedger, record: Record) -> None:
    later(really_record(ledger, record))


async def settle(ledger: StoredLedger, settlement: Settlement) -> Receipt:
    later(really_settle(ledger, settlement))
    return Receipt(1, bytes(32))


StoredLedger.record = record  # type: ignore[method-assign,assignment]
StoredLedger.settle = settle  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
