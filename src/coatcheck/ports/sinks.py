"""Where copies of the ledger go, and what those who follow it read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from coatcheck.model.sink import Copy, SinkStatus


class Sink(Protocol):
    """Takes copies of entries, one batch after the other. No call ever waits for it."""

    async def deliver(self, copies: Sequence[Copy]) -> None:
        """Return once the receiver has all of them, as well as that can be told.

        Raises:
            SinkFailed: not all were taken; the same are given again later.
        """
        ...

    async def close(self) -> None:
        """Let go of the receiver at once. Safe to call twice."""
        ...


class Copies(Protocol):
    """The ledger as sinks read it: settled records and changes, in the order of their places.

    Raises `LedgerUnavailable` while it cannot be read.
    """

    async def last(self) -> int:
        """Return the place of the newest entry; 0 if there is none."""
        ...

    async def page(self, after: int, most: int) -> Sequence[Copy]:
        """Return the next entries after a place, about `most` of them; empty if there are no more.

        Entries of one place are never on two pages.
        """
        ...

    async def count(self, after: int, most: int) -> int:
        """Return how many entries are after a place, counted up to `most`."""
        ...


class SinkCursors(Protocol):
    """How far each sink has come. Raises `LedgerUnavailable` while it cannot be read or kept."""

    async def list(self) -> Mapping[str, int]:
        """Return the cursor of every sink."""
        ...

    async def keep(self, cursors: Mapping[str, int]) -> None:
        """Make cursors durable; others stay as they are."""
        ...

    async def forget(self, names: Sequence[str]) -> None:
        """Remove the cursors of sinks that are no more, so that nothing waits for them."""
        ...


class Sinks(Protocol):
    """The sinks that follow."""

    def statuses(self) -> Sequence[SinkStatus]:
        """Say how each sink does."""
        ...

    def shown(self) -> Mapping[str, Mapping[str, str | int | float | bool]]:
        """Return the options of each sink by name, secrets masked."""
        ...

    async def test(self, name: str) -> str:
        """Send a test entry through a sink; return why that failed, empty if it did not.

        Raises:
            Missing: there is no such sink.
        """
        ...
