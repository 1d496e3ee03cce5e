"""Streams that stay open: each on a connection of its own, counted apart from those that calls share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from coatcheck.errors import UpstreamUnreachable
from coatcheck.upstream.http.hop.bearing import Bearing
from coatcheck.upstream.http.hop.connection import Connection, Owner
from coatcheck.upstream.http.hop.reading import Endless, Listen, Received

Dial = Callable[[Owner], Awaitable[Connection]]
"""Connects; the connection belongs to the owner. Raises `UpstreamError`."""


class Streams:
    """At most so many streams of one server."""

    def __init__(self, server: str, most: int, dial: Dial, bearing: Bearing | None = None) -> None:
        self._server = server
        self._most = most
        self._dial = dial
        self._bearing = bearing
        self._dialling = 0
        self._open: set[Connection] = set()
        self._closed = False

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    async def exchange(
        self, request: bytes, listen: Listen, opened: Callable[[], None] | None = None
    ) -> Received:
        """Send a whole request and listen to the stream that answers it, then hang up.

        Returns once `listen` returned True, or at the end of a reply that is no stream. `opened` is called
        when the stream is there.

        Raises:
            StreamEnded: the stream ended before.
            UpstreamUnreachable: nothing was sent; also where too many streams are open.
            UpstreamError: any other failure.
        """
        endless = Endless(opened or _ignore)
        if self._bearing is None:
            return await self._exchange(request, listen, endless)
        return await self._bearing.send(request, lambda signed: self._exchange(signed, listen, endless))

    async def _exchange(self, request: bytes, listen: Listen, endless: Endless) -> Received:
        connection = await self._connect()
        self._open.add(connection)
        try:
            return await connection.send(request, listen, endless)
        finally:
            connection.close()

    async def _connect(self) -> Connection:
        if self._closed:
            raise UpstreamUnreachable(f"the connections to {self._server} are being closed")
        if len(self._open) + self._dialling >= self._most:
            raise UpstreamUnreachable(
                f"all {self._most} streams that {self._server} may keep open are in use",
                fix="end some of the subscriptions",
            )
        self._dialling += 1
        try:
            connection = await self._dial(self)
        finally:
            self._dialling -= 1
        if self._closed or not connection.usable:
            connection.close()
            raise UpstreamUnreachable(f"{self._server} closed a connection as soon as it was made")
        return connection

    def freed(self, connection: Connection) -> None:
        """Close a connection whose exchange is over: it is not used twice."""
        connection.close()

    def lost(self, connection: Connection) -> None:
        """Forget a closed connection."""
        self._open.discard(connection)

    def close(self) -> None:
        """Close all of them; those who listen hear that their stream is lost. Later ones are refused."""
        self._closed = True
        for connection in list(self._open):
            connection.close()


def _ignore() -> None:
    return
