"""The gateway without durable records, to measure what they cost: `python -m bench.lax KIND serve ...`.

There is no such setting: the product has no code for it, and here single functions of it are replaced before
it starts. `unsynced` does all that the gateway does, but its database never waits for the disk. `unwaited`
besides lets calls and answers go before their entries are written; entries are written all the same, later.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from coatcheck.cli import main
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import Receipt, Record, Settlement
from coatcheck.store.engines import sqlite_connection
from coatcheck.store.records.ledger import StoredLedger

UNSYNCED, UNWAITED = KINDS = ("unsynced", "unwaited")


def do_not_sync() -> None:
    """Have SQLite hand its writes to the system and go on."""
    pragmas = [
        "synchronous = OFF" if pragma.startswith("synchronous") else pragma
        for pragma in sqlite_connection._WRITER_PRAGMAS
    ]
    sqlite_connection._WRITER_PRAGMAS = tuple(pragmas)  # type: ignore[assignment,misc]


def do_not_wait() -> None:
    """Have the ledger take entries and say that they are written."""

    async def record(ledger: StoredLedger, record: Record) -> None:
        leave(ledger, record, None)

    async def settle(ledger: StoredLedger, settlement: Settlement) -> Receipt:
        leave(ledger, None, settlement)
        return Receipt(1, bytes(32))

    StoredLedger.record = record  # type: ignore[method-assign,assignment]
    StoredLedger.settle = settle  # type: ignore[method-assign,assignment]


def leave(ledger: StoredLedger, record: Record | None, settlement: Settlement | None) -> None:
    with suppress(LedgerUnavailable):  # too many wait: this one is not measured by being kept
        ledger._append(record, settlement).add_done_callback(forget)


def forget(done: asyncio.Future[Receipt | None]) -> None:
    if not done.cancelled():
        done.exception()


def begin(kind: str) -> None:
    """Take durability away. Raises `ValueError` for a kind that there is not."""
    if kind not in KINDS:
        raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
    do_not_sync()
    if kind == UNWAITED:
        do_not_wait()


if __name__ == "__main__":
    begin(sys.argv.pop(1))
    sys.exit(main())
