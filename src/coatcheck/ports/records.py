"""The durable record, and who gets copies or is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from coatcheck.model.record import Record, RecordEntry, RecordFilter, Settlement


class Ledger(Protocol):
    """The durable record. A method that returns has made its entry survive a crash.

    Raises `LedgerUnavailable` if it cannot; nothing is half-written then.
    """

    async def record(self, record: Record) -> None:
        """Make a record durable before the request is acted on."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Make the outcome of a recorded request durable before the caller hears of it."""
        ...

    async def record_settled(self, record: Record, settlement: Settlement) -> None:
        """Make a record and its outcome durable at once, for what was answered without a server."""
        ...

    async def list(self, wanted: RecordFilter) -> Sequence[RecordEntry]:
        """Return matching entries, oldest first."""
        ...

    def follow(self, wanted: RecordFilter) -> AsyncIterator[RecordEntry]:
        """Yield matching entries as they are settled, until the caller stops asking."""
        ...


class Sink(Protocol):
    """Takes copies of settled entries. Never blocks a call and never raises."""

    def write(self, entry: RecordEntry) -> None:
        """Take one entry."""
        ...


class Notifier(Protocol):
    """Tells people of what they should look at. Never blocks and never raises; what it loses, it logs."""

    def notify(self, text: str) -> None:
        """Take a few lines of plain text, free of secrets."""
        ...
