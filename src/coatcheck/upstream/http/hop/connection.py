"""One connection to a server: a request is one write, its reply one future, and no task in between."""

from __future__ import annotations

import asyncio
import socket
from typing import Final, Protocol, cast

from coatcheck.errors import UpstreamError, UpstreamLost
from coatcheck.upstream.http.hop.reading import Endless, Listen, Received, ReplyLimits, ReplyReader
from coatcheck.upstream.pace import MESSAGE, Pace

_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""Seconds of silence before a probe, between probes, and how many go unanswered (RFC 9293 section 3.8.4)."""
_SLICE: Final = 8 * 1024
"""Bytes of a stream that are read in one turn: there may be two hundred messages in them."""
_NOTHING: Final = memoryview(b"")


class StaleConnection(UpstreamLost):
    """A connection that had served before ended without a byte of reply: most likely it was idle too long."""


class StreamEnded(UpstreamLost):
    """An event stream ended before what was listened for.

    `resume_from` is the id of its last event, empty for none; `retry` the milliseconds after which the server
    wants to be asked for the rest, if it said so; `count` how many events came.
    """

    def __init__(self, sentence: str, resume_from: bytes, retry: int | None, count: int) -> None:
        super().__init__(sentence, reached=True)
        self.resume_from = resume_from
        self.retry = retry
        self.count = count


class Owner(Protocol):
    """Who keeps the connections."""

    def freed(self, connection: Connection) -> None:
        """Take back an open connection whose exchange is over."""
        ...

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        ...


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection with one exchange at a time, read at the pace that its server has."""

    def __init__(self, server: str, owner: Owner, limits: ReplyLimits, pace: Pace) -> None:
        self.served = 0
        """How many exchanges ended well."""
        self.idle_until = 0.0
        """For the owner: the loop time after which an idle connection is not used again."""
        self._server = server
        self._owner = owner
        self._linger = limits.linger
        self._pace = pace
        self._reading = ReplyReader(server, limits)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Received] | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._unread = _NOTHING
        self._resting = False
        self._busy = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._transport is not None and not self._busy and not self._transport.is_closing()

    @property
    def keep(self) -> int | None:
        """Seconds that the server keeps an idle connection, if it said so."""
        return self._reading.keep

    def send(
        self, request: bytes, listen: Listen | None = None, endless: Endless | None = None
    ) -> asyncio.Future[Received]:
        """Write a whole request and return the future of its reply. The connection must be usable.

        A reply that is an event stream is given to `listen`, event by event, until that returns True. The
        future fails with `UpstreamLost` or `UpstreamBadReply`, or with what `listen` raised.
        """
        self._busy = True
        if endless is not None:
            self._notice_silence()
        self._reading.begin(listen, endless)
        self._waiter = waiter = self._loop.create_future()
        cast("asyncio.Transport", self._transport).write(request)
        return waiter

    def close(self) -> None:
        """Close at once, whatever is under way; a reply still awaited is lost."""
        self._unread = _NOTHING
        if self._transport is not None:
            self._transport.abort()

    def _notice_silence(self) -> None:
        """Let the system find out that the other side is gone: nothing is sent on such a stream."""
        transport = cast("asyncio.Transport", self._transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE.items():
                if (option := getattr(socket, name, None)) is not None:  # not every system has them
                    sock.setsockopt(socket.IPPROTO_TCP, option, value)

    # --- called by the transport ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on; answer the waiter as soon as there is an answer."""
        if not self._busy:
            self.close()  # nobody asked: whatever this is, it must not become the reply to a later request
        elif len(data) > _SLICE or (self._reading.touched and self._pace.spent):
            self._unread = memoryview(data)
            self._read_slice()
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        reading = self._reading
        reading.feed(data)
        if reading.effort > MESSAGE:
            self._pace.spend(reading.effort)
            reading.effort = 0.0
        if reading.failure is not None:
            self._break(reading.failure)
        elif reading.complete:
            self._complete()
        elif reading.answered and self._lingering is None:
            self._answer()
            self._lingering = self._loop.call_later(self._linger, self.close)

    def _read_slice(self) -> None:
        """Read some of what is here, if the pace allows it; the rest in another turn of the loop."""
        if not self._pace.spent:
            data, self._unread = self._unread[:_SLICE], self._unread[_SLICE:]
            self._read(bytes(data))
        if self._unread and self._busy and self._reading.events is None and not self._pace.spent:
            data, self._unread = self._unread, _NOTHING  # a body: nothing is done with it before its end
            self._read(bytes(data))
        if self._unread and self._busy:
            self._rest()

    def _rest(self) -> None:
        """Read no more for now: so TCP makes the server wait."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.pause_reading()
        self._resting = True
        if self._pace.spent:
            self._pace.wait(self._read_on)
        else:
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._resting:
            return  # the connection is gone
        self._resting = False
        self._read_slice()
        if not self._resting and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Fail what is awaited, unless the end of the connection is the end of the reply."""
        if self._busy and self._unread:
            self._read(bytes(self._unread))
        self._unread, self._resting = _NOTHING, False
        self._stop_linger()
        if self._busy:
            self._reading.end()
            if self._reading.complete:
                self._answer()
            else:
                self._fail(self._loss())
        self._busy = False
        self._transport = None
        self._owner.lost(self)

    # --- ends of an exchange -------------------------------------------------------------------------------

    def _complete(self) -> None:
        reading = self._reading
        self._stop_linger()
        self._answer()
        self._busy = False
        if reading.reusable and not reading.surplus and not self._unread and self.usable:
            self.served += 1
            self._owner.freed(self)
        else:
            self.close()

    def _answer(self) -> None:
        reading = self._reading
        if reading.events is not None and not reading.answered:
            self._fail(self._ended("ended its stream before the answer"))
            return
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(reading.received)

    def _break(self, error: UpstreamError) -> None:
        self._fail(error)
        self.close()

    def _fail(self, error: UpstreamError) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _loss(self) -> UpstreamLost:
        if self._reading.events is not None:
            return self._ended("closed the connection in the middle of its reply")
        if self._reading.touched:
            return UpstreamLost(
                f"{self._server} closed the connection in the middle of its reply", reached=True
            )
        kind = StaleConnection if self.served else UpstreamLost
        return kind(f"{self._server} closed the connection before it answered", reached=True)

    def _ended(self, how: str) -> StreamEnded:
        events, count = self._reading.events, self._reading.count
        if events is None:
            return StreamEnded(f"{self._server} {how}", b"", None, count)
        return StreamEnded(f"{self._server} {how}", events.last_id, events.retry, count)

    def _stop_linger(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
