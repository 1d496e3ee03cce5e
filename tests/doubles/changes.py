"""Stands for the log of changes: keeps them in memory."""

from __future__ import annotations

from collections.abc import Collection

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.change import Change


class KeptChanges:
    """Implements `ports.ChangeLog`; fails while `failing`, and at the tries of these numbers, from 0."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.failing = False
        self.fails_at: Collection[int] = ()
        self._tries = 0

    async def add(self, change: Change) -> None:
        self._tries += 1
        if self.failing or self._tries - 1 in self.fails_at:
            raise LedgerUnavailable("the disk is full")
        self.changes.append(change)

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(one.actor, one.action) for one in self.changes]
