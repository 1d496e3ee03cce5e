"""The whole chain of a store, read in pages so that a running gateway is not held up, whoever wrote to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from coatcheck.core.recording.stored import moment_of
from coatcheck.model.chain import Beginning, Checkpoint, Head
from coatcheck.model.segment import Segment
from coatcheck.store.chain import beginning_in, head_in
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import explain
from coatcheck.store.records.chained import (
    SPAN,
    Found,
    checkpoints_after,
    count_until,
    found_between,
    last_checkpoint,
    link_at,
    next_after,
)
from coatcheck.store.records.segments import segments_in
from coatcheck.store.records.uses import odd_uses, stray_use, unsettled
from coatcheck.store.tables import chain, settled_through, sink_cursor

_CHECKPOINTS: Final = 500
_LOG: Final = re.compile("[0-9a-f]{16}")
_STRANGERS: Final = "SELECT type, name FROM sqlite_schema WHERE type NOT IN ('table', 'index') LIMIT 10"
_Read = TypeVar("_Read")


class Unreadable(Exception):
    """What should be read cannot be. The text says why, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store says of its chain at one moment.

    `beyond` is a number after the head that an entry has all the same; `before` counts the entries up to the
    chain's beginning; `signed` is the number of the last checkpoint; `chains` counts the rows of `chain`;
    `sealed` are the parts that are in files; up to `settled` every record is said to have its outcome,
    and up to `copied` a sink to have every entry.
    """

    beginning: Beginning
    head: Head
    beyond: int | None
    before: int
    signed: int
    chains: int
    sealed: tuple[Segment, ...]
    settled: int
    copied: int

    @property
    def sealed_through(self) -> int:
        """The last entry that is in a file; where the chain begins, if none is."""
        return max([self.beginning.seq, *(segment.last for segment in self.sealed)])


class StoredChain:
    """Reads the chain of an open database. Every method raises `Unreadable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self) -> Standing:
        """Return what the store says of its chain."""

        def read(reading: Connection) -> Standing:
            beginning, head = beginning_in(reading), head_in(reading)
            if not _LOG.fullmatch(beginning.log) or min(beginning.seq, beginning.before, head.seq) < 0:
                raise ValueError("no chain begins like that")
            return Standing(
                beginning,
                head,
                next_after(reading, head.seq),
                count_until(reading, beginning.seq),
                last_checkpoint(reading),
                int(reading.execute(select(func.count()).select_from(chain)).scalar_one()),
                tuple(segments_in(reading)),
                _most(reading, settled_through.c.position),
                _most(reading, sink_cursor.c.seq),
            )

        return self._read(read)

    def spans(self, after: int, through: int) -> Iterator[list[Found]]:
        """Yield the entries after one number and up to another, a thousand numbers at a time."""
        while after < through:
            found, after = self._read(partial(_span, after, through))
            if found:
                yield found

    def checkpoints(self, through: int) -> Iterator[Checkpoint]:
        """Yield the checkpoints in the store of entries up to a number."""
        after = -(1 << 63)
        while page := self._read(partial(_page, after)):
            for one in page:
                if one.seq > through:
                    return
                yield one
            after = page[-1].seq

    def odd_uses(self, after: int, through: int) -> Iterator[tuple[int, str]]:
        """Yield each record whose credentials the table `used` does not tell, or tells without an outcome."""
        for first, last in self._stretches(after, through):
            for seq in self._read(partial(odd_uses, first=first, last=last)):
                yield seq, f"the credentials of record {seq} are not what the search for them says"
        if (stray := self._read(stray_use)) is not None:
            yield (
                stray,
                f"the search for credentials has record {stray}, which is not there, or has no outcome",
            )

    def unsettled(self, after: int, through: int) -> Iterator[int]:
        """Yield each record after one number and up to another that has no outcome."""
        for first, last in self._stretches(after, through):
            yield from self._read(partial(unsettled, first=first, last=last))

    def moment(self, seq: int) -> datetime | None:
        """Return when an entry was made; None if it does not say, or is not there."""
        link = self._read(partial(link_at, seq=seq))
        return None if link is None else moment_of(link)

    def strangers(self) -> list[str]:
        """Return the triggers and views in the database. None is ours: they change what is read."""
        if self._database.dialect != "sqlite":
            return []

        def read(reading: Connection) -> list[str]:
            return [f"{row[0]} {row[1]}" for row in reading.exec_driver_sql(_STRANGERS)]

        return self._read(read)

    def damage(self) -> list[str]:
        """Return what the database itself says is damaged, such as an index that does not fit its table."""
        if self._database.dialect != "sqlite":
            return []

        def read(reading: Connection) -> list[str]:
            return [str(row[0]) for row in reading.exec_driver_sql("PRAGMA integrity_check(10)")]

        return [line for line in self._read(read) if line != "ok"]

    def _stretches(self, after: int, through: int) -> Iterator[tuple[int, int]]:
        """Yield the first and last of a thousand numbers at a time; where nothing is, none."""
        while after < through:
            first = self._read(partial(next_after, after=after))
            if first is None or first > through:
                return
            after = min(first + SPAN - 1, through)
            yield first, after

    def _read(self, read: Callable[[Connection], _Read]) -> _Read:
        try:
            return self._database.read_now(read)
        except DBAPIError as error:
            raise Unreadable(explain(error.orig or error)) from None
        except InvalidRequestError:
            raise Unreadable("the row that says where the chain stands is not there, or not alone") from None
        except (ValueError, TypeError, OverflowError) as error:
            raise Unreadable(f"a column holds what it never holds: {type(error).__name__}") from None


def _most(reading: Connection, column: ColumnElement[int]) -> int:
    return int(reading.execute(select(func.max(column))).scalar_one() or 0)


def _page(after: int, reading: Connection) -> list[Checkpoint]:
    return checkpoints_after(reading, after, _CHECKPOINTS)


def _span(after: int, through: int, reading: Connection) -> tuple[list[Found], int]:
    first = next_after(reading, after)
    if first is None or first > through:
        return [], through
    last = min(first + SPAN - 1, through)
    return found_between(reading, first, last), last
