"""The event streams of one session: every event has an id, and what was sent is kept for those who come back.

A client whose connection broke asks for the rest of a stream by the id of the last event that it saw
(MCP 2025-11-25, streamable HTTP, resumability). What is kept is bounded for the whole session.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from coatcheck.core.wire import messages
from coatcheck.mcp.outlets import CONTROL, REPLAYED, Item, Outlet, frame
from coatcheck.model.call import Fault

RETRY_MS: Final = 1000
"""Milliseconds after which a client should come back, unless a server says otherwise."""
MAX_RETRY_MS: Final = 60_000
FORGET_SECONDS: Final = 300.0
"""Seconds for which the events of a stream that is over are kept."""
_EVENT_ID: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})\Z")


@dataclass(frozen=True, slots=True)
class EventLimits:
    """How many events of one session are kept, and how many bytes of them."""

    count: int = 256
    size: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Kept:
    stream: Stream
    number: int
    event: bytes
    light: bool


class Stream:
    """One stream, whoever carries it now: the response that opened it, one that resumes it, or none.

    `last` is the number of the newest event. `floor` is the newest event that matters and is not kept any
    more: who saw less cannot be told the rest.
    """

    def __init__(self, streams: Streams, number: int) -> None:
        self.number = number
        self.last = 0
        self.floor = 0
        self.over_since: float | None = None
        self.paused = False
        self._streams = streams
        self._outlet: Outlet | None = None

    @property
    def over(self) -> bool:
        """Whether nothing comes any more."""
        return self.over_since is not None

    @property
    def attached(self) -> bool:
        """Whether a response carries the stream."""
        return self._outlet is not None and not self._outlet.ended

    @property
    def reachable(self) -> bool:
        """Whether a client reads the stream, or was sent away to come back for it."""
        return not self.over and (self.paused or self.attached)

    def begin(self, outlet: Outlet) -> None:
        """Have a response carry the stream from its first event on."""
        if self._streams.primes:
            outlet.write(b"id: %d-0\nretry: %d\ndata: \n\n" % (self.number, RETRY_MS), CONTROL)
        self._outlet = outlet

    def resume(self, outlet: Outlet, after: int) -> None:
        """Have another response carry the stream, beginning with what came after an event."""
        older, self._outlet = self._outlet, outlet
        self.paused = False
        if older is not None:
            older.cut()
        for kept in self._streams.after(self, after):
            outlet.write(kept.event, REPLAYED)
        if self.over:
            outlet.end()

    def leave(self, outlet: Outlet) -> None:
        """Let go of a response whose client went away; another one's is left alone."""
        if self._outlet is outlet:
            self._outlet = None

    def put(self, item: Item) -> None:
        """Send a message, or keep it until the client comes back."""
        if self.over or (item.key and self._outlet is not None and self._outlet.has(item.key)):
            return
        self.last += 1
        event = frame(item.message, self._id())
        self._streams.keep(self, event, item)
        if self._outlet is not None:
            self._outlet.write(event, item)

    def pause(self, retry: int | None) -> None:
        """End the response and have the client come back for the rest (SEP-1699)."""
        wait = RETRY_MS if retry is None else min(max(retry, 0), MAX_RETRY_MS)
        outlet, self._outlet = self._outlet, None
        self.paused = True
        if outlet is not None:
            outlet.write(b"retry: %d\n\n" % wait, CONTROL)
            outlet.end()

    def end(self) -> None:
        """End the stream when what was sent is written."""
        if not self.over:
            self.over_since = self._streams.finish(self)
        if self._outlet is not None:
            self._outlet.end()

    def cut(self) -> None:
        """End the stream at once."""
        if self._outlet is not None:
            self._outlet.cut()
        self.end()

    def _id(self) -> bytes:
        return b"%d-%d" % (self.number, self.last)

    def too_large(self, item: Item) -> bytes:
        """Return what is kept in place of an answer that is too large to be kept."""
        fault = Fault(messages.INTERNAL_ERROR, "The answer was larger than what is kept for resumption.")
        return frame(messages.response(item.answers, fault), self._id())


class Streams:
    """All streams of one session that can be resumed. `primes`: the client takes events without data."""

    def __init__(self, limits: EventLimits, now: Callable[[], float]) -> None:
        self.primes = False
        self._limits = limits
        self._now = now
        self._opened = 0
        self._serial = 0
        self._streams: dict[int, Stream] = {}
        self._over: dict[int, Stream] = {}
        self._kept: dict[int, _Kept] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._streams)

    @property
    def kept(self) -> tuple[int, int]:
        """How many events are kept, and how many bytes."""
        return len(self._kept), self._bytes

    def open(self) -> Stream:
        """Return a new stream, which nothing carries yet."""
        self._opened += 1
        stream = self._streams[self._opened] = Stream(self, self._opened)
        return stream

    def find(self, event_id: str) -> tuple[Stream, int] | None:
        """Return the stream of an event and its number there; None if the rest cannot be told."""
        match = _EVENT_ID.match(event_id)
        stream = self._streams.get(int(match[1])) if match else None
        if match is None or stream is None:
            return None
        number = int(match[2])
        return (stream, number) if stream.floor <= number <= stream.last else None

    def after(self, stream: Stream, number: int) -> list[_Kept]:
        """Return what is kept of a stream after an event, oldest first."""
        return [kept for kept in self._kept.values() if kept.stream is stream and kept.number > number]

    def keep(self, stream: Stream, event: bytes, item: Item) -> None:
        """Keep the newest event of a stream."""
        if len(event) > self._limits.size and item.answers:
            event = stream.too_large(item)
        if len(event) > self._limits.size:
            if not item.light:
                stream.floor = stream.last
            return
        self._serial += 1
        self._kept[self._serial] = _Kept(stream, stream.last, event, item.light)
        self._bytes += len(event)
        while len(self._kept) > self._limits.count or self._bytes > self._limits.size:
            self._drop()

    def finish(self, stream: Stream) -> float:
        """Note that a stream is over, and return when."""
        self._over[stream.number] = stream
        while len(self._over) > self._limits.count:
            self._forget(next(iter(self._over.values())))
        return self._now()

    def sweep(self) -> None:
        """Forget the streams that have been over for long."""
        before = self._now() - FORGET_SECONDS
        while self._over:
            stream = next(iter(self._over.values()))
            if stream.over_since is None or stream.over_since >= before:
                return
            self._forget(stream)

    def close(self) -> None:
        """End every stream at once and forget all of them."""
        for stream in list(self._streams.values()):
            stream.cut()
            self._forget(stream)

    def _drop(self) -> None:
        """Drop what matters least: a stream that is over, a light event, the oldest event."""
        if self._over:
            self._forget(next(iter(self._over.values())))
            return
        light = (serial for serial, kept in self._kept.items() if kept.light)
        kept = self._take(next(light, next(iter(self._kept))))
        if not kept.light:
            kept.stream.floor = max(kept.stream.floor, kept.number)

    def _take(self, serial: int) -> _Kept:
        kept = self._kept.pop(serial)
        self._bytes -= len(kept.event)
        return kept

    def _forget(self, stream: Stream) -> None:
        self._over.pop(stream.number, None)
        self._streams.pop(stream.number, None)
        for serial in [serial for serial, kept in self._kept.items() if kept.stream is stream]:
            self._take(serial)
