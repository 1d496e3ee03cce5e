"""Sending one answer: as plain JSON if it is all there is, as an event stream once something comes before it.

The status line is held back until there is something to send, since a stream has lost the chance of a
status (MCP, streamable HTTP). A slow request gets a watcher for the client's going away, and comments that
keep proxies from closing a silent stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from coatcheck.core.wire import messages
from coatcheck.model.call import Notice

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WATCH_AFTER: Final = 0.02
"""Seconds after which a request is slow enough to be worth watching its client."""
KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a stream says something (the interval of the official SDKs)."""
MAX_WAITING_EVENTS: Final = 256
MAX_WAITING_BYTES: Final = 1024 * 1024

JSON_HEADERS: Final = (b"content-type", b"application/json")
_STREAM_HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Relay:
    """Carries notices and the final answer of one request to its client.

    `streams`: the client takes event streams. `on_gone` is called once if the client goes away.
    """

    def __init__(self, receive: Receive, send: Send, *, streams: bool, on_gone: Callable[[], None]) -> None:
        self._receive = receive
        self._send = send
        self._streams = streams
        self._on_gone = on_gone
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._ended = False
        self._answering = False
        self._pump: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start_watch)

    @property
    def streaming(self) -> bool:
        """Whether the stream has begun, so that no status can be sent any more."""
        return self._pump is not None

    def notify(self, notice: Notice) -> None:
        """Send a notification before the answer. Where the client is slow, the oldest are dropped."""
        if not self._streams or self._ended:
            return
        self._put(_event(messages.notification(notice.method, notice.params)))

    async def answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the answer and end: as JSON with its status, or as the last event of the stream.

        Once an answer has begun, another one is not sent.
        """
        if self._answering:
            return
        self._answering = True
        self._stop_watching()
        if not self.streaming:
            await send_json(self._send, status, body, headers)
            return
        self._put(_event(body))
        await self._finish()

    async def end(self) -> None:
        """End without an answer, as is owed for a request that was cancelled."""
        if self._answering:
            return  # what was cancelled is the sending: the connection closes on a cut answer
        self._answering = True
        self._stop_watching()
        if self.streaming:
            await self._finish()
        else:
            await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
            await self._send({"type": "http.response.body", "body": b""})

    def abandon(self) -> None:
        """Stop everything; nothing more is sent."""
        self._stop_watching()
        self._ended = True
        if self._pump is not None:
            self._pump.cancel()

    # --- the stream ---

    def _put(self, event: bytes) -> None:
        self._waiting.append(event)
        self._waiting_bytes += len(event)
        while len(self._waiting) > MAX_WAITING_EVENTS or (
            self._waiting_bytes > MAX_WAITING_BYTES and len(self._waiting) > 1
        ):
            self._waiting_bytes -= len(self._waiting.popleft())
        self._wake.set()
        if self._pump is None:
            self._pump = asyncio.create_task(self._run_pump())

    async def _finish(self) -> None:
        self._ended = True
        self._wake.set()
        if self._pump is not None:
            await self._pump

    async def _run_pump(self) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        while True:
            while self._waiting:
                event = self._waiting.popleft()
                self._waiting_bytes -= len(event)
                await self._send({"type": "http.response.body", "body": event, "more_body": True})
            if self._ended:
                break
            self._wake.clear()
            await self._wake.wait()
        await self._send({"type": "http.response.body", "body": b""})

    # --- the client ---

    def _start_watch(self) -> None:
        self._watch = asyncio.create_task(self._run_watch())

    def _stop_watching(self) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _run_watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    message = await self._receive()
            except TimeoutError:
                if self._streams:
                    self._put(b": still working\n\n")
                continue
            if message["type"] == "http.disconnect":
                self._on_gone()
                return


def _event(message: bytes) -> bytes:
    """Frame one JSON-RPC message; JSON has no raw line breaks, so one data line holds it."""
    return b"event: message\ndata: %b\n\n" % message.replace(b"\r", b" ").replace(b"\n", b" ")


async def send_json(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a complete answer; an empty body has no media type."""
    fixed = [(b"content-length", b"%d" % len(body))]
    if body:
        fixed.append(JSON_HEADERS)
    await send({"type": "http.response.start", "status": status, "headers": fixed + headers})
    await send({"type": "http.response.body", "body": body})
