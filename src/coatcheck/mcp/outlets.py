"""The way of messages out of one event stream: a bounded queue before one HTTP response.

Where the client is slow, what it can do without is dropped first (progress, log messages); if the rest does
not fit either, the stream ends. Comments keep proxies from closing a silent one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from coatcheck.core.wire import messages, sse
from coatcheck.model.call import Notice

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Whole:
    """A `Receive` that also gives a body which has come whole, without waiting."""

    __slots__ = ()

    async def __call__(self) -> Message:
        """Return the next part."""
        raise NotImplementedError

    def whole(self) -> bytes | None:
        """Return the body, or what is left of it; None while it has not come to its end."""
        raise NotImplementedError


class AtOnce:
    """A `Send` that also takes an answer which is all there is, head and body."""

    __slots__ = ()

    async def __call__(self, message: Message) -> None:
        """Send the next part."""
        raise NotImplementedError

    async def answer(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send an answer whose body is JSON; an empty one has no media type."""
        raise NotImplementedError


KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a stream says something (the interval of the official SDKs)."""
MAX_WAITING_EVENTS: Final = 256
MAX_WAITING_BYTES: Final = 1024 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024
"""What may wait of messages that must not be dropped: a question can carry pictures."""
CLOSE_SECONDS: Final = 1.0

STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_LIGHT: Final = frozenset({"notifications/progress", "notifications/message"})
_UPDATED: Final = "notifications/resources/updated"


@dataclass(frozen=True, slots=True)
class Item:
    """One message for a client.

    `light`: it may be dropped. `key`: while one of the same key waits, no second one is needed. `answers` is
    the id of the request that it answers, empty for anything else. `bounded`: what waits of it is bounded
    elsewhere.
    """

    message: bytes
    light: bool = False
    key: bytes = b""
    answers: bytes = b""
    bounded: bool = False


CONTROL: Final = Item(b"")
"""Stands for what is no message: lines that steer the client."""
REPLAYED: Final = Item(b"", bounded=True)
"""Stands for an event that was sent before, and is kept in a bounded place."""


class Way(Protocol):
    """Where messages to a client can go."""

    @property
    def reachable(self) -> bool:
        """Whether what is put there can be expected to arrive."""
        ...

    def put(self, item: Item) -> None:
        """Send a message. Never blocks and never raises."""
        ...


class StandingWay(Way, Protocol):
    """A way that belongs to no request."""

    def end(self) -> None:
        """End when what waits is sent."""
        ...

    def cut(self) -> None:
        """End at once, without what still waits."""
        ...


def item_of(notice: Notice) -> Item:
    """Return a notification as a message, with what may be done to it where the client is slow."""
    method = notice.method
    key = b""
    if method == _UPDATED:
        key = method.encode() + (messages.members_of(notice.params) or {}).get("uri", b"")
    elif method.endswith("/list_changed"):
        key = method.encode()
    return Item(messages.notification(method, notice.params), method in _LIGHT, key)


def frame(message: bytes, id: bytes = b"") -> bytes:
    """Frame one JSON-RPC message; JSON has no raw line breaks, so one data line holds it."""
    head = b"event: message\nid: %b\n" % id if id else b"event: message\n"
    return b"%bdata: %b\n\n" % (head, message.replace(b"\r", b" ").replace(b"\n", b" "))


class Outlet:
    """Writes events to one HTTP response, in order, as fast as its client reads."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[tuple[bytes, Item]] = deque()
        self._count = 0
        self._bytes = 0
        self._wake = asyncio.Event()
        self._flushed = asyncio.Event()
        self._flushed.set()
        self._pump: asyncio.Task[None] | None = None
        self.ended = False

    @property
    def reachable(self) -> bool:
        """Whether the stream is open."""
        return not self.ended

    def has(self, key: bytes) -> bool:
        """Tell whether a message of this key waits to be written."""
        return any(item.key == key for _, item in self._waiting)

    def put(self, item: Item) -> None:
        """Send a message without an event id."""
        if item.key and self.has(item.key):
            return
        self.write(frame(item.message), item)

    def write(self, event: bytes, item: Item) -> None:
        """Send an event that is framed already. Answers are not counted: each ends a request."""
        if self.ended:
            return
        self._waiting.append((event, item))
        self._flushed.clear()
        if _is_counted(item):
            self._count += 1
            self._bytes += len(event)
            self._make_room()
        self._wake.set()

    def end(self) -> None:
        """End when what waits is written."""
        self.ended = True
        self._wake.set()

    def cut(self) -> None:
        """End at once, without what still waits."""
        self._waiting.clear()
        self._count = self._bytes = 0
        self.end()

    # --- room ---

    def _make_room(self) -> None:
        while (self._count > MAX_WAITING_EVENTS or self._bytes > MAX_WAITING_BYTES) and self._shed():
            pass
        if self._count > MAX_WAITING_EVENTS or (self._bytes > MOST_BYTES and self._count > 1):
            self.cut()  # it does not read: whatever can be resumed is kept elsewhere

    def _shed(self) -> bool:
        for index, (event, item) in enumerate(self._waiting):
            if item.light:
                del self._waiting[index]
                self._forget(event, item)
                return True
        return False

    def _forget(self, event: bytes, item: Item) -> None:
        if _is_counted(item):
            self._count -= 1
            self._bytes -= len(event)

    # --- writing ---

    def start(self) -> asyncio.Task[None]:
        """Begin to write, beginning with the head of the response; return what ends with the stream."""
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        return self._pump

    async def serve(self, receive: Receive) -> None:
        """Write until the stream ends or the client goes away, in which case the stream ends too."""
        pump = self.start()
        watch = asyncio.create_task(self._watch(receive))
        try:
            await asyncio.wait({pump})
        finally:
            watch.cancel()

    async def flush(self) -> None:
        """Wait until nothing waits to be written, or nothing will be any more."""
        await self._flushed.wait()

    async def close(self) -> None:
        """Wait for the end of a stream that was told to end, for a moment."""
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=CLOSE_SECONDS)
            self._pump.cancel()

    def abandon(self) -> None:
        """Stop everything; nothing more is written."""
        self.cut()
        self._flushed.set()
        if self._pump is not None:
            self._pump.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut()

    async def _run(self) -> None:
        try:
            await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            while True:
                while self._waiting:
                    event, item = self._waiting.popleft()
                    self._forget(event, item)
                    await self._write(event)
                self._flushed.set()
                if self.ended:
                    break
                await self._wait()
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            self._flushed.set()

    async def _wait(self) -> None:
        """Wait for something to write, and break the silence where it takes long."""
        self._wake.clear()
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await self._wake.wait()
        except TimeoutError:
            await self._write(sse.KEEP_ALIVE)

    async def _write(self, event: bytes) -> None:
        await self._send({"type": "http.response.body", "body": event, "more_body": True})


def _is_counted(item: Item) -> bool:
    return not item.answers and not item.bounded
