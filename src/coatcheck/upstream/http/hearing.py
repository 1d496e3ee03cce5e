"""Listens to what a server says of itself: the GET stream of a legacy one, a subscription at a modern one.

Sources: MCP 2025-11-25 (transports, listening for messages), MCP 2026-07-28 (`subscriptions/listen`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from coatcheck.core.wire import eras, messages, reopening, signs, sse
from coatcheck.core.wire.notices import ACKNOWLEDGED, LISTEN, announced_changes
from coatcheck.core.wire.signs import Refused
from coatcheck.errors import UpstreamBadReply, UpstreamCredentialRefused, UpstreamError
from coatcheck.model.call import Fault, Notice
from coatcheck.ports import Notify
from coatcheck.upstream.http.awaited import Subscribed
from coatcheck.upstream.http.handshake import Link
from coatcheck.upstream.http.hop import replies
from coatcheck.upstream.http.hop.connection import StreamEnded
from coatcheck.upstream.http.hop.reading import JSON, Received
from coatcheck.upstream.http.line import Line
from coatcheck.upstream.http.resuming import resume_line

_NEVER: Final = frozenset({messages.METHOD_NOT_FOUND, messages.INVALID_PARAMS, messages.INVALID_REQUEST})
"""Errors to a subscription that will be the same the next time."""


@dataclass(slots=True)
class Patience:
    """What is remembered of streams that ended, also over sessions: how many in a row were poor ones."""

    poor: int = 0

    def note(self, lasted: float, count: int) -> None:
        """Take note of the end of a stream that lasted so many seconds and brought so many events."""
        self.poor = 0 if count or lasted >= reopening.HEALTHY else self.poor + 1


class Source(Protocol):
    """A kind of stream."""

    def request(self) -> bytes:
        """Return the whole request that opens the next stream."""
        ...

    def take(self, event: sse.Event) -> bool:
        """Take one event; True if the server ends the stream with it. Never raises."""
        ...

    def refused(self, received: Received, *, opened: bool) -> Refused:
        """Say what it means that the server answered with no stream, or ended it properly."""
        ...

    def ended(self, ended: StreamEnded) -> None:
        """Take note of where to go on."""
        ...


class Hearing:
    """Keeps one stream open until told to stop, with pauses; gives up where the server has none.

    `lost` hears that the server does not know the session any more.
    """

    def __init__(self, line: Line, source: Source, patience: Patience, lost: Callable[[], None]) -> None:
        self._line = line
        self._source = source
        self._patience = patience
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._settled = asyncio.Event()
        self._opened_at: float | None = None
        self._opened = False
        self._retry: int | None = None
        self._task = self._loop.create_task(self._run())

    async def settled(self, wait: float) -> None:
        """Wait until the stream is open or refused, at most so many seconds."""
        try:
            async with asyncio.timeout(wait):
                await self._settled.wait()
        except TimeoutError:
            pass  # some servers send no head before the first event

    @property
    def over(self) -> bool:
        """Whether the server has nothing to be heard by."""
        return self._task.done()

    def stop(self) -> None:
        """Hang up."""
        self._task.cancel()

    async def _run(self) -> None:
        while (found := await self._hear()) is Refused.LATER:
            self._settled.set()
            spread = self._loop.time() * 1e4 % 1  # differs between those who lose their streams together
            pause = reopening.before_reopening(self._patience.poor, self._retry, spread)
            await asyncio.sleep(pause)
        self._settled.set()
        if found is Refused.LOST:
            self._lost()

    async def _hear(self) -> Refused:
        """Have one stream until its end, and say what to do then."""
        self._opened_at = None
        count = 0
        try:
            received = await self._line.hearing.exchange(
                self._source.request(), self._source.take, self._on_opened
            )
            return self._source.refused(received, opened=self._opened)
        except StreamEnded as ended:
            count = ended.count
            if ended.retry is not None:
                self._retry = ended.retry
            self._source.ended(ended)
        except UpstreamCredentialRefused:
            return Refused.LATER if self._opened else Refused.NONE
        except UpstreamError:
            pass  # it may be back later; whoever calls meanwhile hears what is wrong
        finally:
            lasted = 0.0 if self._opened_at is None else self._loop.time() - self._opened_at
            self._patience.note(lasted, count)
        return Refused.LATER

    def _on_opened(self) -> None:
        self._opened = True
        self._opened_at = self._loop.time()
        self._settled.set()


# --- the two kinds -----------------------------------------------------------------------------------------


class GetStream:
    """The GET stream of a session, resumed after the last event (MCP 2025-11-25, transports)."""

    def __init__(self, line: Line, link: Link, take: Callable[[bytes], None]) -> None:
        self._line = line
        self._link = link
        self._take = take
        self._resume_from = b""

    def request(self) -> bytes:
        """Return the GET, with the id to resume after."""
        head = self._link.head + resume_line(self._resume_from)
        return self._line.heads.bare(b"GET", head)

    def take(self, event: sse.Event) -> bool:
        """Take one event."""
        if event.type == sse.MESSAGE and event.data:
            self._take(event.data)
        return False

    def refused(self, received: Received, *, opened: bool) -> Refused:
        """Judge a status. What cannot be resumed is heard anew."""
        incoming = messages.read_incoming(received.body) if received.media == JSON else None
        lost = replies.is_forgotten(received, incoming, b"", session=self._link.session)
        found = signs.after_stream_refused(received.status, lost=lost, opened=opened)
        if found is Refused.NONE and self._resume_from:
            self._resume_from = b""
            return Refused.LATER
        return found

    def ended(self, ended: StreamEnded) -> None:
        """Go on after the last event."""
        self._resume_from = ended.resume_from or self._resume_from


class ListenStream:
    """Our own subscription to the list changes that a modern server announces (SEP-2575)."""

    def __init__(self, line: Line, link: Link, wanted: bytes, tell: Notify) -> None:
        self._line = line
        self._link = link
        self._wanted = wanted
        self._tell = tell
        self._subscribed = Subscribed(line.server, b"0", self._pass_on)

    def request(self) -> bytes:
        """Return the POST, under a new id."""
        version = self._link.greeting.version
        meta = messages.object_of(eras.stamp({}, self._link.greeting.era, version, None))
        params = {"notifications": self._wanted, "_meta": meta}
        self._subscribed = Subscribed(self._line.server, self._line.next_id(), self._pass_on)
        body = messages.request(self._subscribed.id, LISTEN, params)
        return self._line.heads.post(self._link.head_for(LISTEN, params), body)

    def take(self, event: sse.Event) -> bool:
        """Take one event."""
        return self._subscribed.take(event)

    def refused(self, received: Received, *, opened: bool) -> Refused:
        """Judge a refusal, or the proper end of the stream."""
        try:
            reply = self._subscribed.read(received)
        except replies.StatusReply as error:
            lost = isinstance(error, replies.Forgotten)
            return signs.after_stream_refused(error.status, lost=lost, opened=opened)
        except UpstreamBadReply:
            return Refused.NONE
        if isinstance(reply, Fault) and reply.code in _NEVER:
            return Refused.NONE
        return Refused.LATER

    def ended(self, ended: StreamEnded) -> None:
        """Nothing can be resumed."""

    def _pass_on(self, notice: Notice) -> None:
        if notice.method != ACKNOWLEDGED:
            self._tell(notice)


def source_of(line: Line, link: Link, take: Callable[[bytes], None], tell: Notify) -> Source | None:
    """Return the stream to hear a server by; None if it announces nothing to be heard."""
    if not link.modern:
        return GetStream(line, link, take)
    wanted = announced_changes(link.greeting.capabilities)
    return None if wanted is None else ListenStream(line, link, wanted, tell)
