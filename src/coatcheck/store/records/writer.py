"""The one thread that writes the ledger: whatever waits when it is idle becomes one transaction, one fsync.

It commits when it has nothing better to do, not on a timer: under load the batches grow by themselves.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import RecordEntry, Settlement
from coatcheck.ports import Clock
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.driver import Driver
from coatcheck.store.faults import Unwritable, explain, is_fault_of_a_row
from coatcheck.store.records.journal import Append, Book, Plan
from coatcheck.store.records.reconciling import head_of, move_on, note_through, reconcile
from coatcheck.store.records.statements import statements_for

log = logging.getLogger(__name__)

BATCH: Final = 512
"""So many appends are a full transaction; what was submitted together stays together."""

PROBE_SECONDS: Final = 1.0
"""How often a failing writer tries again by itself, so that readiness comes back without a call."""

NOTE_EVERY: Final = 4_096
"""Records between two notes of how far everything is settled; a start after a crash reads that many."""

NICE: Final = 5
"""The thread gives way to the event loop, which shares the interpreter lock with it."""

Deliver = Callable[[Sequence[Append], Sequence[tuple[int, RecordEntry]], int, int], None]
"""Takes a batch that is through, what it settled in order, the newest sequence, and how many there were.

Called in the thread.
"""


class Writer:
    """Owns the writing connection. `submit` may be called from anywhere; the rest happens in the thread."""

    def __init__(self, database: Database, clock: Clock, deliver: Deliver) -> None:
        self.healthy = True
        self.last_error = ""
        self._database = database
        self._say = statements_for(database.dialect)
        self._clock = clock
        self._deliver = deliver
        self._queue: queue.SimpleQueue[Sequence[Append] | None] = queue.SimpleQueue()
        self._driver: Driver | None = None
        self._book = Book(0, 0)
        self._owed: dict[UUID, Settlement] = {}
        self._noted = 0
        self._fresh = True
        self._refusing = False  # as far as the log says
        self._thread = threading.Thread(target=self._run, name="coatcheck-ledger", daemon=True)

    def start(self) -> int:
        """Open the database, settle what a crash left open, start the thread; return the newest sequence.

        Raises:
            LedgerUnavailable: the database takes no writes.
        """
        try:
            self._open()
        except self._database.faults as error:
            self._give_up()
            raise _unavailable(explain(error)) from None
        self._thread.start()
        return self._book.sequence

    @property
    def under_way(self) -> int:
        """How many records are durable and have no outcome yet; another thread may change it."""
        return len(self._book.open)

    def submit(self, appends: Sequence[Append]) -> None:
        """Queue appends. The order of submission is the order of positions."""
        self._queue.put(appends)

    def stop(self) -> None:
        """Write everything queued so far, close the connection and end the thread; blocks until then."""
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    # --- the thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere this would slow the whole process
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        more = True
        while more:
            batch, more = self._collect()
            if batch:
                self._take(batch)
            elif more:
                self._probe()
        self._finish()

    def _collect(self) -> tuple[list[Append], bool]:
        batch: list[Append] = []
        try:
            appends = self._queue.get(timeout=None if self.healthy else PROBE_SECONDS)
            while appends is not None:
                batch += appends
                if len(batch) >= BATCH:
                    return batch, True
                appends = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _take(self, batch: list[Append]) -> None:
        settled = self._attempt(batch)
        self._deliver(batch, settled, self._book.sequence, self._book.settled)

    def _attempt(self, batch: Sequence[Append]) -> list[tuple[int, RecordEntry]]:
        try:
            return self._write(batch)
        except Exception as error:  # noqa: BLE001  # a dead thread would leave every caller waiting for ever
            if is_fault_of_a_row(error) and len(batch) > 1 and self._rolled_back():
                return [settled for append in batch for settled in self._attempt([append])]
            self._fail(batch, error)
            return []

    def _write(self, batch: Sequence[Append]) -> list[tuple[int, RecordEntry]]:
        driver = self._driver or self._reopen(batch)
        driver.check()
        with self._database.turn:
            driver.begin()
            try:
                plan = self._add(driver, batch, None)
            except (Unwritable, UnicodeEncodeError):
                driver.roll_back()
                driver.begin()
                plan = self._add(driver, batch, driver.spelt)
        self._book.apply(plan)
        if self._refusing:  # only now: on a disk that is all but full an opening succeeds, and no call does
            self._refusing = False
            log.warning("calls can be recorded again")
        return plan.settled

    def _add(self, driver: Driver, batch: Sequence[Append], spelt: Callable[[str], str] | None) -> Plan:
        with self._database.chain.growing(lambda: head_of(driver, self._say)) as growth:
            plan = Plan(growth, spelt)
            self._book.plan(batch, plan)
            self._insert(driver, plan)
            move_on(driver, self._say, growth)
            driver.commit()
        return plan

    def _insert(self, driver: Driver, plan: Plan) -> None:
        if plan.records:
            driver.run_many(self._say.insert_record, plan.records)
        if plan.settlements:
            driver.run_many(self._say.insert_settlement, plan.settlements)
        if plan.used:
            driver.run_many(self._say.insert_used, plan.used)
        if self._book.position - self._noted >= NOTE_EVERY:
            self._noted = self._book.position
            note_through(driver, self._say, self._book.settled_through)

    # --- failing and recovering ---------------------------------------------------------------------------

    def _fail(self, batch: Sequence[Append], error: Exception) -> None:
        if not self._refusing:
            log.error("calls are refused, since they cannot be recorded: %s", explain(error))
        self._refusing, self.healthy = True, False
        self.last_error = explain(error)
        self._give_up()
        for append in batch:
            if append.refusal is None:
                append.refusal = _unavailable(self.last_error)
            settlement = append.settlement
            if append.record is None and settlement is not None and settlement.record_id in self._book.open:
                self._owed[settlement.record_id] = settlement

    def _rolled_back(self) -> bool:
        return self._driver is not None and self._driver.roll_back()

    def _give_up(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.close()  # what was not committed is rolled back

    def _probe(self) -> None:
        if self._driver is not None:
            return
        try:
            self._open()
        except Exception as error:  # noqa: BLE001  # as above
            self.last_error = explain(error)
            self._give_up()
            return
        self._deliver((), (), self._book.sequence, self._book.settled)

    def _reopen(self, batch: Sequence[Append]) -> Driver:
        for append in batch:  # its caller tries once more: nothing is owed for it
            if append.settlement is not None:
                self._owed.pop(append.settlement.record_id, None)
        return self._open()

    def _open(self) -> Driver:
        if not self._fresh:
            self._database.forget()
        self._driver = driver = self._database.open_driver()
        with self._database.turn:
            self._database.chain.head = None  # what this process knows may never have reached the disk
            now, chain = self._clock.now(), self._database.chain
            reconcile(driver, self._say, chain, self._book, self._owed, now, fresh=self._fresh)
        driver.check()
        self._noted = self._book.position
        self._owed.clear()
        self._fresh = False
        self.healthy, self.last_error = True, ""
        return driver

    def _finish(self) -> None:
        if self._driver is not None:
            with suppress(*self._database.faults):
                note_through(self._driver, self._say, self._book.settled_through)
        self._give_up()


def _unavailable(reason: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"the record cannot be written: {reason}", fix="see `coatcheck doctor`; calls go on once it can be"
    )
