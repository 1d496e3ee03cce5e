"""What the rest of the store may ask of a database, whichever it is, and the threads in which it is asked."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import ClassVar, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from coatcheck.model.chain import Head, Strange
from coatcheck.store.chain import Chain, Growth, found_in, move, settled_head_in
from coatcheck.store.engines.driver import Driver
from coatcheck.store.faults import ChainMoved, StoreUnavailable, explain

READERS: Final = 2
"""Reading connections, each with its thread. Reads are rare and short; calls never wait for one."""

_Read = TypeVar("_Read")


class Database(ABC):
    """The one database of a gateway. Reads and small writes go through SQLAlchemy in threads of ours.

    Threads with the plain driver, not an asyncio adapter: such an adapter is a thread too, or a loop's
    callback for each row, with a hand-over for each fetch on top and greenlet as one more dependency.
    `name` is what messages may call it: a path, or a host and a database, never what opens it.
    """

    dialect: ClassVar[str]
    """`sqlite` or `postgresql`."""

    faults: tuple[type[Exception], ...]
    """What opening and using a driver can raise."""

    def __init__(
        self, name: str, readers: Engine, writers: Engine, turn: AbstractContextManager[object]
    ) -> None:
        self.name = name
        self.turn = turn
        """What a writer holds from begin to commit: the chain of entries takes one writer at a time."""
        self.chain = Chain()
        self._readers = readers
        self._writers = writers
        self._threads = ThreadPoolExecutor(READERS + 1, thread_name_prefix="coatcheck-store")

    @abstractmethod
    def open_driver(self) -> Driver:
        """Open a connection of its own for the ledger's writer; raises what `faults` says."""

    def read_now(self, read: Callable[[Connection], _Read]) -> _Read:
        """Run `read` on a read-only connection, blocking; for commands and tests."""
        with self._readers.connect() as connection:
            return read(connection)

    def write_now(self, write: Callable[[Connection], _Read]) -> _Read:
        """Run `write` in one durable transaction, blocking; for commands and tests."""
        with self.turn, self._writers.begin() as connection:
            return write(connection)

    def write_chained_now(self, write: Callable[[Connection, Growth], _Read]) -> _Read:
        """Run `write` in one durable transaction that adds entries to the chain, blocking."""
        with self.turn:
            return self._write_chained(write)

    def accept_now(self, write: Callable[[Connection, Growth, Strange], _Read]) -> _Read:
        """Take a chain that is `strange` as it is, and run `write` as `write_chained_now` does, blocking."""
        with self.turn, self.chain.accepting() as strange:
            return self._write_chained(lambda writing, growth: write(writing, growth, strange))

    def look_now(self) -> Head:
        """Return where the chain stands, if that is where this process left it, blocking."""
        with self.turn:
            return self.chain.checked(self.read_now(found_in))

    def _write_chained(self, write: Callable[[Connection, Growth], _Read]) -> _Read:
        with self.chain.growing(self._head) as growth, self._writers.begin() as connection:
            answer = write(connection, growth)
            move(connection, growth)
            return answer

    def _head(self) -> Head | None:
        with self._writers.begin() as connection:
            return settled_head_in(connection)

    async def read(self, read: Callable[[Connection], _Read]) -> _Read:
        """Run `read` on a read-only connection, off the event loop.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        return await self._run(lambda: self.read_now(read))

    async def write(self, write: Callable[[Connection], _Read]) -> _Read:
        """Run `write` in one durable transaction, off the event loop. What `write` raises undoes it.

        Raises:
            StoreUnavailable: nothing was written; or, if the connection broke while it was committed,
                nobody can tell until the database is read again.
        """
        return await self._run(lambda: self.write_now(write))

    async def write_chained(self, write: Callable[[Connection, Growth], _Read]) -> _Read:
        """Do as `write`, and move the chain on by the entries that `write` adds.

        Raises:
            StoreUnavailable: as for `write`.
        """
        return await self._run(lambda: self.write_chained_now(write))

    async def accept(self, write: Callable[[Connection, Growth, Strange], _Read]) -> _Read:
        """Do as `write_chained` on a chain that is `strange`, which is ours from then on.

        Raises:
            StoreUnavailable: as for `write`; or there is nothing that could be accepted.
        """
        return await self._run(lambda: self.accept_now(write))

    async def look(self) -> Head:
        """Return where the chain stands.

        Raises:
            StoreUnavailable: the database cannot be read, or that is not where this process left it.
        """
        return await self._run(self.look_now)

    async def _run(self, work: Callable[[], _Read]) -> _Read:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except DBAPIError as error:
            raise StoreUnavailable(explain(error.orig or error), fix="see `coatcheck doctor`") from None
        except ChainMoved as error:
            raise StoreUnavailable(explain(error), fix="see `coatcheck doctor`") from None
        except RuntimeError as error:
            if "shutdown" not in str(error):
                raise
            raise StoreUnavailable("the gateway is stopping") from None

    async def scrub(self) -> bool:
        """See to it that nothing of what was replaced or removed is left in files of ours; tell whether so.

        What a server of its own keeps, in its write-ahead log or in copies, is beyond us.
        """
        return True

    def forget(self) -> None:
        """Let whoever reads or writes open the database anew: the one that is open may have been replaced."""
        with self.turn:
            self._readers.dispose()
            self._writers.dispose()

    def close(self) -> None:
        """Close every connection and let go of the database. Safe to call twice."""
        self._threads.shutdown(wait=True)
        self._readers.dispose()
        self._writers.dispose()
