"""The whole chain of a store, read in pages so that a running gateway is not held up, whoever wrote to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError, InvalidRequestError

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
    next_after,
)
from coatcheck.store.records.segments import segments_in
from coatcheck.store.records.uses import odd_uses, stray_use
from coatcheck.store.tables import chain

_CHECKPOINTS: Final = 500
_Read = TypeVar("_Read")


class Unreadable(Exception):
    """What should be read cannot be. The text says why, and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store says of its chain at one moment.

    `beyond` is a number after the head that an entry has all the same; `before` counts the entries up to the
    chain's beginning; `signed` is the number of the last checkpoint; `chains` counts the rows of `chain`;
    `sealed` are the parts that are in files.
    """

    beginning: Beginning
    head: Head
    beyond: int | None
    before: int
    signed: int
    chains: int
    sealed: tuple[Segment, ...]


class StoredChain:
    """Reads the chain of an open database. Every method raises `Unreadable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self) -> Standing:
        """Return what the store says of its chain."""

        def read(reading: Connection) -> Standing:
            beginning, head = beginning_in(reading), head_in(reading)
            return Standing(
                beginning,
                head,
                next_after(reading, head.seq),
                count_until(reading, beginning.seq),
                last_checkpoint(reading),
                int(reading.execute(select(func.count()).select_from(chain)).scalar_one()),
                tuple(segments_in(reading)),
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
        after = -1
        while page := self._read(partial(_page, after)):
            for one in page:
                if one.seq > through:
                    return
                yield one
            after = page[-1].seq

    def odd_uses(self, after: int, through: int) -> Iterator[tuple[int, str]]:
        """Yield each record whose credentials the table `used` does not tell, or tells without an outcome."""
        while after < through:
            last = min(after + SPAN, through)
            for seq in self._read(partial(odd_uses, first=after + 1, last=last)):
                yield seq, f"the credentials of record {seq} are not what the search for them says"
            after = last
        if (stray := self._read(stray_use)) is not None:
            yield stray, f"the search for credentials has record {stray}, which has no outcome"

    def damage(self) -> list[str]:
        """Return what the database itself says is damaged, such as an index that does not fit its table."""
        if self._database.dialect != "sqlite":
            return []

        def read(reading: Connection) -> list[str]:
            return [str(row[0]) for row in reading.exec_driver_sql("PRAGMA integrity_check(10)")]

        return [line for line in self._read(read) if line != "ok"]

    def _read(self, read: Callable[[Connection], _Read]) -> _Read:
        try:
            return self._database.read_now(read)
        except DBAPIError as error:
            raise Unreadable(explain(error.orig or error)) from None
        except InvalidRequestError:
            raise Unreadable("the row that says where the chain stands is not there, or not alone") from None
        except (ValueError, TypeError, OverflowError) as error:
            raise Unreadable(f"a column holds what it never holds: {type(error).__name__}") from None


def _page(after: int, reading: Connection) -> list[Checkpoint]:
    return checkpoints_after(reading, after, _CHECKPOINTS)


def _span(after: int, through: int, reading: Connection) -> tuple[list[Found], int]:
    first = next_after(reading, after)
    if first is None or first > through:
        return [], through
    last = min(first + SPAN - 1, through)
    return found_between(reading, first, last), last
