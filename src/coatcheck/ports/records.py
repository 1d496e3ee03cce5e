"""The durable record, and who gets copies or is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from coatcheck.model.change import Change
from coatcheck.model.reading import Looked
from coatcheck.model.record import Receipt, Record, RecordEntry, RecordFilter, Settlement


class Ledger(Protocol):
    """The durable record. A method that returns has made its entry survive a crash.

    Raises `LedgerUnavailable` if it cannot; nothing is half-written then.
    """

    async def record(self, record: Record) -> None:
        """Make a record durable before the request is acted on."""
        ...

    async def settle(self, settlement: Settlement) -> Receipt:
        """Make the outcome durable before the caller hears of the request's end; return its receipt."""
        ...

    async def record_settled(self, record: Record, settlement: Settlement) -> Receipt:
        """Make a record and its outcome durable at once, for what was answered without a server.

        The receipt returned is that of the outcome.
        """
        ...

    async def list(self, wanted: RecordFilter) -> Sequence[RecordEntry]:
        """Return matching entries, oldest first."""
        ...

    async def look(self, wanted: RecordFilter) -> Looked:
        """Do the same in bounded time: what is hard to find is looked for in the newest entries only."""
        ...

    def follow(self, wanted: RecordFilter) -> AsyncIterator[RecordEntry]:
        """Yield matching entries as they are settled, until the caller stops asking."""
        ...


class ChangeLog(Protocol):
    """What operators did, in the same chain as the calls."""

    async def add(self, change: Change) -> None:
        """Make an entry durable that stands for itself.

        Raises:
            LedgerUnavailable: it could not be written.
        """
        ...


class Notifier(Protocol):
    """Tells people of what they should look at. Never blocks and never raises; what it loses, it logs."""

    def notify(self, text: str) -> None:
        """Take a few lines of plain text, free of secrets."""
        ...
