"""The one thread that writes the ledger: whatever waits when it is idle becomes one transaction, one fsync.

It commits when it has nothing better to do, not on a timer: under load the batches grow by themselves.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import RecordEntry, Settlement
from coatcheck.ports import Clock
from coatcheck.store.engine import Database, connect
from coatcheck.store.faults import DatabaseGone, explain
from coatcheck.store.journal import Append, Book, Plan
from coatcheck.store.reconciling import note_through, reconcile
from coatcheck.store.rows import INSERT_RECORD, INSERT_SETTLEMENT, writable

BATCH: Final = 512
"""So many appends are a full transaction; what was submitted together stays together."""

PROBE_SECONDS: Final = 1.0
"""How often a failing writer tries again by itself, so that readiness comes back without a call."""

NOTE_EVERY: Final = 4_096
"""Records between two notes of how far everything is settled; a start after a crash reads that many."""

NICE: Final = 5
"""The thread gives way to the event loop, which shares the interpreter lock with it."""

Deliver = Callable[[Sequence[Append], Sequence[tuple[int, RecordEntry]], int], None]
"""Takes a batch that is through, what it settled in order, and the newest sequence. Called in the thread."""

_Key = tuple[int, int]

_FAULTS_OF_A_ROW: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    ArithmeticError,
    AttributeError,
    TypeError,
    ValueError,
)
"""What one bad row can cause; the others of its batch are then written without it."""


class Writer:
    """Owns the writing connection. `submit` may be called from anywhere; the rest happens in the thread."""

    def __init__(self, database: Database, clock: Clock, deliver: Deliver) -> None:
        self.healthy = True
        self.last_error = ""
        self._database = database
        self._path = database.path
        self._log = database.path.with_name(f"{database.path.name}-wal")
        self._clock = clock
        self._deliver = deliver
        self._queue: queue.SimpleQueue[Sequence[Append] | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._files: tuple[_Key, _Key] | None = None
        self._book = Book(0, 0)
        self._owed: dict[UUID, Settlement] = {}
        self._noted = 0
        self._fresh = True
        self._thread = threading.Thread(target=self._run, name="coatcheck-ledger", daemon=True)

    def start(self) -> int:
        """Open the database, settle what a crash left open, start the thread; return the newest sequence.

        Raises:
            LedgerUnavailable: the database takes no writes.
        """
        try:
            self._open()
        except (sqlite3.Error, OSError, DatabaseGone) as error:
            self._give_up()
            raise _unavailable(explain(error)) from None
        self._thread.start()
        return self._book.sequence

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
        self._deliver(batch, self._attempt(batch), self._book.sequence)

    def _attempt(self, batch: Sequence[Append]) -> list[tuple[int, RecordEntry]]:
        try:
            return self._write(batch)
        except Exception as error:  # noqa: BLE001  # a dead thread would leave every caller waiting for ever
            if isinstance(error, _FAULTS_OF_A_ROW) and len(batch) > 1 and self._rolled_back():
                return [settled for append in batch for settled in self._attempt([append])]
            self._fail(batch, error)
            return []

    def _write(self, batch: Sequence[Append]) -> list[tuple[int, RecordEntry]]:
        connection = self._connection or self._reopen(batch)
        if self._stamp() != self._files:
            raise DatabaseGone
        plan = self._book.plan(batch)
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._insert(connection, plan)
        except UnicodeEncodeError:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            plan.records = [writable(row) for row in plan.records]
            plan.settlements = [writable(row) for row in plan.settlements]
            self._insert(connection, plan)
        connection.execute("COMMIT")
        self._book.apply(plan)
        return plan.settled

    def _insert(self, connection: sqlite3.Connection, plan: Plan) -> None:
        if plan.records:
            connection.executemany(INSERT_RECORD, plan.records)
        if plan.settlements:
            connection.executemany(INSERT_SETTLEMENT, plan.settlements)
        if self._book.position - self._noted >= NOTE_EVERY:
            self._noted = self._book.position
            note_through(connection, self._book.settled_through)

    # --- failing and recovering ---------------------------------------------------------------------------

    def _fail(self, batch: Sequence[Append], error: Exception) -> None:
        self.healthy = False
        self.last_error = explain(error)
        self._give_up()
        for append in batch:
            if append.refusal is None:
                append.refusal = _unavailable(self.last_error)
            settlement = append.settlement
            if append.record is None and settlement is not None and settlement.record_id in self._book.open:
                self._owed[settlement.record_id] = settlement

    def _rolled_back(self) -> bool:
        if self._connection is None:
            return False
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return True

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()  # what was not committed is rolled back

    def _probe(self) -> None:
        if self._connection is not None:
            return
        try:
            self._open()
        except Exception as error:  # noqa: BLE001  # as above
            self.last_error = explain(error)
            self._give_up()
            return
        self._deliver((), (), self._book.sequence)

    def _reopen(self, batch: Sequence[Append]) -> sqlite3.Connection:
        for append in batch:  # its caller tries once more: nothing is owed for it
            if append.settlement is not None:
                self._owed.pop(append.settlement.record_id, None)
        return self._open()

    def _open(self) -> sqlite3.Connection:
        if not self._fresh:
            self._database.forget_readers()
        self._connection = connection = connect(self._path)
        reconcile(connection, self._book, self._owed, self._clock.now(), fresh=self._fresh)
        self._files = self._stamp()
        self._noted = self._book.position
        self._owed.clear()
        self._fresh = False
        self.healthy, self.last_error = True, ""
        return connection

    def _stamp(self) -> tuple[_Key, _Key]:
        """Identify the files we write to: one that was removed or replaced takes writes, and loses them."""
        try:
            main, log = self._path.stat(), self._log.stat()
        except FileNotFoundError:
            raise DatabaseGone from None
        return (main.st_dev, main.st_ino), (log.st_dev, log.st_ino)

    def _finish(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                note_through(self._connection, self._book.settled_through)
        self._give_up()


def _unavailable(reason: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"the record cannot be written: {reason}", fix="see `coatcheck doctor`; calls go on once it can be"
    )
