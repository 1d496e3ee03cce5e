"""The connections to one server: a bounded number, reused last in first out, never an old one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coatcheck.errors import UpstreamUnreachable
from coatcheck.upstream.http.hop.connection import Connection


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections at once, how many calls may wait for one, and idle seconds before one is closed.

    Four seconds, since common servers (uvicorn, Node) close theirs after five: whoever closes first while
    the other sends loses a request.
    """

    size: int = 256
    waiting: int = 1024
    idle: float = 4.0


class Pool:
    """Connections that `dial` makes. The one used last is used next, so that spare ones grow old and go."""

    def __init__(self, server: str, limits: PoolLimits, dial: Callable[[], Awaitable[Connection]]) -> None:
        self._server = server
        self._limits = limits
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._dialling = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    def take(self) -> Connection | None:
        """Return an idle connection that can be used, or None."""
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_until > now:
                return connection
            connection.close()
        return None

    async def acquire(self) -> Connection:
        """Return a connection that can be used: an idle one, a new one, or the next that is freed.

        Raises:
            UpstreamUnreachable: there is none to be had; the subclass and message say why.
        """
        while True:
            found = self.take()
            if found is not None:
                return found
            if self._closed:
                raise UpstreamUnreachable(f"the connections to {self._server} are being closed")
            if len(self._open) + self._dialling < self._limits.size:
                return await self._dial_one()
            freed = await self._wait()
            if freed is not None and freed.usable:
                return freed

    def drop_idle(self) -> None:
        """Close the idle connections: where one was stale, the others are likely to be."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def _dial_one(self) -> Connection:
        self._dialling += 1
        try:
            connection = await self._dial()
        except BaseException:
            self._dialling -= 1
            self._wake(None)
            raise
        self._dialling -= 1
        if self._closed or not connection.usable:
            connection.close()
            self._wake(None)
            raise UpstreamUnreachable(f"{self._server} closed a connection as soon as it was made")
        self._open.add(connection)
        return connection

    async def _wait(self) -> Connection | None:
        """Wait for a freed connection, or for None: one was closed, so another may be dialled."""
        if len(self._waiting) >= self._limits.waiting:
            raise UpstreamUnreachable(
                f"all {self._limits.size} connections to {self._server} are in use and too many calls wait",
                fix="send fewer calls at once",
            )
        turn: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._pass_on(turn.result())
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _pass_on(self, connection: Connection | None) -> None:
        if connection is None:
            self._wake(None)
        elif connection.usable:
            self.freed(connection)

    def _wake(self, connection: Connection | None) -> bool:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return True
        return False

    # --- told by connections -------------------------------------------------------------------------------

    def freed(self, connection: Connection) -> None:
        """Give a connection whose exchange is over to whoever waits longest, or keep it for a while."""
        if self._closed:
            connection.close()
            return
        if self._waiting and self._wake(connection):
            return
        idle = self._limits.idle
        if connection.keep is not None:
            idle = min(idle, connection.keep - 1)
        if idle <= 0:
            connection.close()
            return
        connection.idle_until = self._loop.time() + idle
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._limits.idle, self._drop_old)

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection and let a waiting call dial another."""
        self._open.discard(connection)
        self._wake(None)

    def _drop_old(self) -> None:
        self._sweep = None
        now = self._loop.time()
        kept: list[Connection] = []
        for connection in self._idle:
            if connection.usable and connection.idle_until > now:
                kept.append(connection)
            else:
                connection.close()
        self._idle = kept
        if kept:
            self._sweep = self._loop.call_later(self._limits.idle, self._drop_old)

    def close(self) -> None:
        """Close every connection; exchanges under way are lost. Later calls are refused."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for connection in list(self._open):
            connection.close()
        self._idle = []
        while self._wake(None):
            pass
