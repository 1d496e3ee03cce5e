"""Sending one answer: as plain JSON if it is all there is, as an event stream once something comes before it.

The status line is held back until there is something to send, since a stream has lost the chance of a
status (MCP, streamable HTTP). A slow request gets a watcher for the client's going away, and becomes a
stream after some silence: proxies close silent connections, and only a stream can be resumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coatcheck.core.wire import sse
from coatcheck.mcp import outlets
from coatcheck.mcp.legacy.streams import Stream, Streams
from coatcheck.mcp.outlets import CONTROL, STREAM_HEADERS, AtOnce, Item, Outlet, Receive, Send, Way, item_of
from coatcheck.model.call import Notice

WATCH_AFTER: Final = 0.25
"""Seconds after which a request is slow enough to be worth a task that watches its client."""

JSON_HEADERS: Final = (b"content-type", b"application/json")


class Relay:
    """Carries notices, questions and the final answer of one request to its client.

    `streams`: the client takes event streams; `preferred`: it wants its answer on one even where plain JSON
    would do. `session_streams` are those of a session whose client may come
    back for the rest of a stream. `on_gone` is called once if the client goes away for good.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        streams: bool,
        on_gone: Callable[[], None],
        preferred: bool = False,
        session_streams: Streams | None = None,
        request_id: bytes = b"null",
    ) -> None:
        self._receive = receive
        self._send = send
        self._streams = streams
        self._preferred = preferred
        self._on_gone = on_gone
        self._session_streams = session_streams
        self._request_id = request_id
        self._stream: Stream | None = None
        self._outlet: Outlet | None = None
        self._gone = False
        self._ended = False
        self._answering = False
        self._watch: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start_watch)

    @property
    def streaming(self) -> bool:
        """Whether the stream has begun, so that no status can be sent any more."""
        return self._outlet is not None

    @property
    def reachable(self) -> bool:
        """Whether the client can be asked something on this request's stream."""
        if not self._streams or self._ended or self._answering:
            return False
        return not self._gone if self._stream is None else self._stream.reachable

    def notify(self, notice: Notice) -> None:
        """Send a notification before the answer. Where the client is slow, the oldest are dropped."""
        self.put(item_of(notice))

    def put(self, item: Item) -> None:
        """Send a message before the answer."""
        if not self._streams or self._ended:
            return
        if self._gone and self._stream is None:
            return  # nobody there, and nobody who could come back
        self._begin().put(item)
        if self._outlet is not None and self._outlet.ended and not self._gone and self._stream is None:
            self._leave()  # more waited than fits: a client that does not read is as good as gone

    def pause(self, retry: int | None) -> None:
        """Let the client come back for the rest later, if it can (SEP-1699)."""
        able = self._session_streams is not None and self._session_streams.primes
        if not able or not self._streams or self._ended or self._answering or self._gone:
            return
        self._begin()
        if self._stream is not None:
            self._stop_watching()  # the response ends, and the client does not leave by that
            self._stream.pause(retry)

    async def answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the answer and end: as JSON with its status, or as the last event of the stream.

        Once an answer has begun, another one is not sent.
        """
        if self._answering:
            return
        self._answering = True
        self._stop_watching()
        if self._outlet is None and not (self._preferred and status == 200):
            await send_json(self._send, status, body, headers)
            return
        self._begin().put(Item(body, answers=self._request_id))
        if self._outlet is not None:
            await self._end(self._outlet)

    async def finish(self, *, flush: bool) -> None:
        """End without an answer, as is owed for a request that was cancelled."""
        if self._outlet is not None and not flush:
            self._outlet.cut()
            if self._stream is not None:
                self._stream.cut()
        if self._answering:
            return  # what was cancelled is the sending: the connection closes on a cut answer
        self._answering = True
        self._stop_watching()
        if self._outlet is not None:
            await self._end(self._outlet)
        else:
            await self._send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            await self._send({"type": "http.response.body", "body": b""})

    def abandon(self) -> None:
        """Stop everything; nothing more is sent."""
        self._stop_watching()
        self._ended = True
        if self._outlet is not None:
            self._outlet.abandon()
        if self._stream is not None:
            self._stream.end()

    # --- the stream ---

    def _begin(self) -> Way:
        """Commit to a stream, unless that is done."""
        if self._outlet is None:
            self._outlet = Outlet(self._send)
            if self._session_streams is not None:
                self._stream = self._session_streams.open()
                self._stream.begin(self._outlet)
            self._outlet.start()
        return self._outlet if self._stream is None else self._stream

    async def _end(self, outlet: Outlet) -> None:
        self._ended = True
        if self._stream is not None:
            self._stream.end()
        outlet.end()
        await asyncio.wait({outlet.start()})

    # --- the client ---

    def _start_watch(self) -> None:
        self._watch = asyncio.create_task(self._run_watch())
        if self._streams:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(outlets.KEEP_ALIVE, self._break_silence)

    def _break_silence(self) -> None:
        if self._outlet is None and not self._gone:
            self._begin()
            self._say(sse.KEEP_ALIVE)

    def _say(self, comment: bytes) -> None:
        if self._outlet is not None:
            self._outlet.write(comment, CONTROL)

    def _stop_watching(self) -> None:
        self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    async def _run_watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self._gone = True
        if self._outlet is not None:
            self._outlet.cut()
            if self._stream is not None:
                self._stream.leave(self._outlet)
        self._on_gone()


async def send_json(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Send a complete answer; an empty body has no media type."""
    if isinstance(send, AtOnce):
        await send.answer(status, body, headers)
        return
    fixed = [(b"content-length", b"%d" % len(body))]
    if body:
        fixed.append(JSON_HEADERS)
    await send({"type": "http.response.start", "status": status, "headers": fixed + headers})
    await send({"type": "http.response.body", "body": body})
