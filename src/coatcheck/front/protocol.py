"""The HTTP/1.1 connection: uvicorn's httptools protocol, with the watchdogs and refusals it lacks.

Why a subclass: only here are the raw request target, the time a head takes and a client that stops reading
to be seen. h11 is never used: it served smuggled requests (docs/decisions/0004-http-front.md).
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS: Final = 10.0
"""Seconds from the first byte of a head to its last."""
WRITE_STALL_SECONDS: Final = 60.0
"""Seconds that a client may leave a full buffer unread."""
REST_SECONDS: Final = 30.0
"""Seconds for the rest of a request that was answered already, and for bytes that begin no new one."""
MAX_PIPELINED: Final = 16
"""Requests that may wait behind the one being answered before no more are read."""
MAX_HEAD_BYTES: Final = 96 * 1024
"""More than the limit on headers, so that a head just over it gets its 431 instead of a closed door."""


class GuardedProtocol(HttpToolsProtocol):
    """One client connection. Slow heads, endless heads and clients that never read are cut off."""

    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None
    _running: RequestResponseCycle | None = None
    _head_bytes = 0
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop every timer, and tell the request being answered that its client is gone.

        The base class tells the last request that came, which behind a pipelined one is another.
        """
        self._clear(self._head_timer)
        self._clear(self._stall_timer)
        self._clear(self._rest_timer)
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Parse what came, and count it while it belongs to a head."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._answer(431, "More headers than are accepted.")
        elif self.cycle is not None and self.cycle.response_complete and self._rest_timer is None:
            # The base class has just stopped its keep-alive timer and starts it after answers only.
            self._rest_timer = self.loop.call_later(REST_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a further head."""
        super().on_message_begin()
        self._clear(self._rest_timer)
        self._rest_timer = None
        if not self._in_head:
            self._expect_head()
            self._head_bytes = 1  # what began it was counted as the end of the request before

    def on_headers_complete(self) -> None:
        """Accept a head of HTTP/1 in origin form; refuse the forms that proxies take (RFC 9112 section 3.2).

        HTTP/1.0 has no chunks (RFC 9112 section 6.1). An error raised here becomes our 400.
        """
        self._in_head = False
        self._clear(self._head_timer)
        if not self.url.startswith(b"/"):
            raise httptools.HttpParserError("absolute or authority form")
        version = self.parser.get_http_version()
        if version != "1.1":
            chunked = any(name == b"transfer-encoding" for name, _ in self.headers)
            if version != "1.0" or chunked:
                raise httptools.HttpParserError("not HTTP/1")
        super().on_headers_complete()
        if len(self.pipeline) <= MAX_PIPELINED:
            self.flow.resume_reading()  # else nobody would see the client leave before its first answer

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours is the text
        """Answer what the parser refused."""
        self._answer(400, "The request is not well-formed HTTP/1.1.")

    def pause_writing(self) -> None:
        """Give a client that does not read a while."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(WRITE_STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._clear(self._stall_timer)
        self._stall_timer = None
        super().resume_writing()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._clear(self._head_timer)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        if not self._head_bytes:
            self.transport.close()  # opened in advance and never used
            return
        self._answer(408, "The head of the request did not come in time.")

    def _answer(self, status: int, sentence: str) -> None:
        """Answer outside of any request, if none is being answered, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = json.dumps({"error": "bad_request", "error_description": sentence}).encode()
            head = (
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n"
            )
            self.transport.write(head % (status, _REASONS[status], len(body)) + body)
        self.transport.close()

    @staticmethod
    def _clear(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()


_REASONS: Final[dict[int, bytes]] = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
}
