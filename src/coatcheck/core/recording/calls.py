"""Puts calls together from the entries of the chain, by nothing but what these say themselves.

So an export and whoever checks it come to the same calls, whatever was done to the columns of a table.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from coatcheck.core.recording.stored import record_of, settlement_of
from coatcheck.model.chain import EntryKind, Link
from coatcheck.model.reading import Held
from coatcheck.model.record import Record, RecordEntry

MOST_OPEN: Final = 20_000
"""Calls without an outcome that are kept in mind; of more, the oldest is told as under way."""


class Calls:
    """Takes entries in their order and gives back calls in the order of their outcomes.

    `since` is the first time of a call, `until` the first after the last.
    """

    def __init__(self, since: datetime | None = None, until: datetime | None = None) -> None:
        self._since = since
        self._until = until
        self._open: dict[int, tuple[bytes, Record]] = {}

    def take(self, link: Link) -> list[Held]:
        """Return the call that an entry ends; an entry that was left out, or is no part of a call, ends none.

        Raises:
            ValueError: the entry cannot be read.
        """
        if not link.stored or link.kind is EntryKind.CHANGE:
            return []
        if link.kind is EntryKind.RECORD:
            return self._begin(link, record_of(link.stored))
        of, settlement = settlement_of(link.stored)
        begun = self._open.pop(of, None)
        return [] if begun is None else [Held(link.seq, link.hash, RecordEntry(of, begun[1], settlement))]

    def rest(self) -> list[Held]:
        """Return the calls that have no outcome, oldest first."""
        return [self._unfinished(seq) for seq in list(self._open)]

    def _begin(self, link: Link, record: Record) -> list[Held]:
        if self._since is not None and record.at < self._since:
            return []
        if self._until is not None and record.at >= self._until:
            return []
        self._open[link.seq] = link.hash, record
        return [self._unfinished(next(iter(self._open)))] if len(self._open) > MOST_OPEN else []

    def _unfinished(self, seq: int) -> Held:
        hash, record = self._open.pop(seq)
        return Held(seq, hash, RecordEntry(seq, record, None))
