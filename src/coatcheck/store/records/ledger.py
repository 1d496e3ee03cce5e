"""The ledger on a database: appends by the writer's thread, reads on connections of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Self, TypeVar

from sqlalchemy import Connection

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.reading import Looked
from coatcheck.model.record import Outcome, Receipt, Record, RecordEntry, RecordFilter, Settlement
from coatcheck.ports import Clock
from coatcheck.store.chain import beginning_in
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.records.journal import Append
from coatcheck.store.records.reading import first_sequence_beyond, list_entries, look_back, page_settled
from coatcheck.store.records.tail import Settled, Tail
from coatcheck.store.records.writer import BATCH, Writer

WAITING: Final = 10_000
"""Most appends that may wait for the disk; beyond, calls are refused rather than queued."""

QUIET: Final = 3
"""After so many turns of the loop with no more appends an idle writer is woken: microseconds, if it idles."""

_Read = TypeVar("_Read")

LEFT: Final = "the caller left before the request was sent"


class StoredLedger:
    """Implements `ports.Ledger`. Belongs to the event loop it was opened on.

    A record is in one transaction with whatever else waits, and the caller goes on when that transaction
    is on the disk. A caller who is cancelled while waiting has its record settled as cancelled, since it
    will not come back to do so.
    """

    def __init__(self, database: Database, clock: Clock, *, waiting: int = WAITING) -> None:
        self._database = database
        self._clock = clock
        self._limit = waiting
        self._waiting = 0
        self._gathered: list[Append] = []
        self._closed = False
        self.log = ""
        """The name of the chain that the entries hang on."""
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(database, clock, self._deliver)
        self._tail = Tail(0)

    @classmethod
    async def open(cls, database: Database, clock: Clock, *, waiting: int = WAITING) -> Self:
        """Start the writer. Records that a crash left open are settled as unknown first.

        Raises:
            LedgerUnavailable: the database takes no writes.
        """
        ledger = cls(database, clock, waiting=waiting)
        ledger._tail.last = await asyncio.to_thread(ledger._writer.start)
        ledger.log = (await ledger._read(beginning_in)).log
        return ledger

    @property
    def healthy(self) -> bool:
        """Whether records can be written: the last write succeeded, and the chain is ours.

        A failing writer tries again every second.
        """
        return self._writer.healthy and not self._closed and self._database.chain.strange is None

    @property
    def last(self) -> int:
        """The place of the entry that was settled last."""
        return self._tail.last

    @property
    def last_error(self) -> str:
        """Why writing fails; empty while it does not."""
        strange = self._database.chain.strange
        return self._writer.last_error if strange is None else strange.words

    @property
    def waiting(self) -> int:
        """How many appends wait for the disk."""
        return self._waiting

    async def record(self, record: Record) -> None:
        """Make a record durable before the request is acted on."""
        await self._append(record, None)

    async def settle(self, settlement: Settlement) -> Receipt:
        """Make the outcome of a recorded request durable before the caller hears of it."""
        return _receipt(await self._append(None, settlement))

    async def record_settled(self, record: Record, settlement: Settlement) -> Receipt:
        """Make a record and its outcome durable at once, for what was answered without a server."""
        return _receipt(await self._append(record, settlement))

    async def list(self, wanted: RecordFilter) -> Sequence[RecordEntry]:
        """Return matching entries, oldest first; those under way have no settlement yet."""
        return await self._read(lambda reading: list_entries(reading, wanted))

    async def look(self, wanted: RecordFilter) -> Looked:
        """Do the same in bounded time."""
        return await self._read(lambda reading: look_back(reading, wanted))

    def follow(self, wanted: RecordFilter) -> AsyncGenerator[RecordEntry, None]:
        """Yield matching entries once each, in the order of settling, from this call on.

        With `after`, entries beyond that position come whether they are settled already or not yet, and
        none up to it. `limit` does not apply. Ends when the ledger is closed.
        """
        return self._tail.follow(wanted, self._tail.last, self._first, self._page)

    async def close(self) -> None:
        """Write what waits, then take no more. Safe to call twice; the database stays open."""
        if self._closed:
            return
        self._closed = True
        self._flush()
        await asyncio.to_thread(self._writer.stop)  # its last batch reaches the loop before this returns
        self._tail.close()

    # --- to and from the writer -----------------------------------------------------------------------------

    def _append(self, record: Record | None, settlement: Settlement | None) -> asyncio.Future[Receipt | None]:
        if self._closed:
            raise LedgerUnavailable("the record cannot be written: the gateway is stopping")
        if self._waiting >= self._limit:
            raise LedgerUnavailable(
                f"the record cannot be written: {self._waiting} entries wait for the disk",
                fix="the disk is too slow for this many calls, or it hangs",
            )
        done = self._loop.create_future()
        self._submit(Append(done, record, settlement))
        return done

    def _submit(self, append: Append) -> None:
        """Give an append to the writer: at once if its caller is alone, else together with those of others.

        Each batch costs a transaction, and each time the writer is woken it takes the interpreter lock from
        the loop. So a busy writer is given what came in one turn of the loop, and an idle one what came
        until a few turns brought nothing more; a caller on its own does not wait for the end of a turn.
        """
        self._waiting += 1
        self._gathered.append(append)
        if self._waiting == 1 and self._writer.under_way <= (append.record is None):
            self._flush()
        elif len(self._gathered) == 1:
            self._loop.call_soon(self._gather, 1, 0)

    def _gather(self, before: int, quiet: int) -> None:
        count = len(self._gathered)
        quiet = quiet + 1 if count == before else 0
        is_idle = self._waiting == count
        if is_idle and quiet < QUIET and count < BATCH:
            self._loop.call_soon(self._gather, count, quiet)
        else:
            self._flush()

    def _flush(self) -> None:
        appends, self._gathered = self._gathered, []
        if appends:
            self._writer.submit(appends)

    def _deliver(self, batch: Sequence[Append], settled: Sequence[Settled], last: int, count: int) -> None:
        try:
            self._loop.call_soon_threadsafe(self._through, batch, settled, last, count)
        except RuntimeError:
            return  # the loop is closed: no one waits any more

    def _through(self, batch: Sequence[Append], settled: Sequence[Settled], last: int, count: int) -> None:
        self._waiting -= len(batch)
        for append in batch:
            if append.done.cancelled():
                self._abandoned(append)
            elif append.refusal is None:
                append.done.set_result(append.receipt)
            else:
                append.done.set_exception(append.refusal)
        self._tail.publish(settled, last, count)

    def _abandoned(self, append: Append) -> None:
        record = append.record
        if record is None or append.settlement is not None or append.refusal is not None or self._closed:
            return
        now = self._clock.now()
        seconds = max(0.0, (now - record.at).total_seconds())
        settlement = Settlement(record.id, now, Outcome.CANCELLED, seconds, LEFT)
        self._submit(Append(self._loop.create_future(), None, settlement))

    async def _first(self, position: int) -> int | None:
        return await self._read(lambda reading: first_sequence_beyond(reading, position))

    async def _page(self, wanted: RecordFilter, after: int, through: int) -> Sequence[Settled]:
        return await self._read(lambda reading: page_settled(reading, wanted, after, through))

    async def _read(self, read: Callable[[Connection], _Read]) -> _Read:
        try:
            return await self._database.read(read)
        except StoreUnavailable as error:
            raise LedgerUnavailable(f"the record cannot be read: {error.message}", fix=error.fix) from None


def _receipt(receipt: Receipt | None) -> Receipt:
    if receipt is None:
        raise LedgerUnavailable("the record has no receipt")
    return receipt
