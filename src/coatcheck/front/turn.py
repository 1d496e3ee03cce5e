"""One request and its answer on a connection: what an application receives of the one and sends of the other.

Both are ASGI, for surfaces that are (HTTP connection scope 2.3), and both have a shorter way beside it for
what is nearly all traffic: a body that has come whole, and an answer that is all there is.
"""

from __future__ import annotations

import asyncio
import http
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, Protocol

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from coatcheck.mcp.outlets import AtOnce, Message, Receive, Send, Whole

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders = Iterable[tuple[bytes, bytes]]

STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in http.HTTPStatus
}
_JSON: Final = b"content-type: application/json\r\n"
_CLOSE: Final = b"connection: close\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_WITHOUT_BODY: Final = frozenset({204, 304})
_SMALL: Final = 64 * 1024
"""Up to here copying a body behind its head is cheaper than a second write."""
_BAD_NAME: Final = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_BAD_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Line(Protocol):
    """What a turn needs of its connection."""

    transport: asyncio.Transport
    flow: FlowControl

    def standing_lines(self) -> bytes:
        """Return the header lines that every answer has."""
        ...

    def answered(self) -> None:
        """Go on after an answer was written to its end."""
        ...

    def read_on(self) -> None:
        """Read what the client sends, if there is room for it."""
        ...


class Body(Whole):
    """What follows a head, for the application to receive."""

    __slots__ = ("_headers", "_held", "_invited", "_line", "_more", "_news", "_over", "_wake")

    def __init__(self, line: Line, headers: list[tuple[bytes, bytes]]) -> None:
        self._line = line
        self._headers = headers
        self._held: bytes | bytearray = b""
        self._more = True
        self._news = False
        self._over = False
        self._invited = False
        self._wake: asyncio.Event | None = None

    # --- the connection's side ---

    def add(self, part: bytes) -> None:
        """Take what came; more than is wanted waits in the socket until it is received."""
        if self._over:
            return
        if not self._held:
            self._held = part
        elif isinstance(self._held, bytearray):
            self._held += part
        else:
            self._held = bytearray(self._held + part)
        if len(self._held) > HIGH_WATER_LIMIT:
            self._line.flow.pause_reading()
        self._tell()

    def finish(self) -> None:
        """Take the end."""
        self._more = False
        self._tell()

    def answer_begins(self) -> None:
        """Ask the client for nothing any more."""
        self._invited = True

    def end(self) -> None:
        """Give nothing any more: the request was answered, or its client left."""
        self._over = True
        self._held = b""
        self._tell()

    def _tell(self) -> None:
        self._news = True
        if self._wake is not None:
            self._wake.set()

    @property
    def has_come(self) -> bool:
        """Whether all of it is here."""
        return not self._more

    # --- the application's side ---

    def whole(self) -> bytes | None:
        """Return the body if it has come to its end, without waiting."""
        return None if self._more or self._over else self._take()

    async def __call__(self) -> Message:
        """Return what came since the last time, or wait for it."""
        if self._more and not self._invited:
            self._invite()
        if not self._over:
            self._line.read_on()
        while not (self._news or self._over):
            if self._wake is None:
                self._wake = asyncio.Event()
            self._wake.clear()
            await self._wake.wait()
        if self._over:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": self._take(), "more_body": self._more}

    def _take(self) -> bytes:
        self._line.read_on()
        taken, self._held, self._news = bytes(self._held), b"", False
        return taken

    def _invite(self) -> None:
        """Ask for a body whose client waits to be asked; one that has come needs none (RFC 9110 10.1.1)."""
        self._invited = True
        expects = any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._headers)
        if expects and not self._line.transport.is_closing():
            self._line.transport.write(_CONTINUE)


class Turn(AtOnce):
    """One request with its answer, which the application sends."""

    __slots__ = ("_chunked", "_left", "_line", "_scope", "body", "complete", "gone", "keep_alive", "started")

    def __init__(self, line: Line, scope: Scope, *, keep_alive: bool) -> None:
        self._line = line
        self._scope = scope
        self._chunked = False
        self._left = 0
        self.body = Body(line, scope["headers"])
        self.keep_alive = keep_alive
        self.started = False
        self.complete = False
        self.gone = False

    async def run(self, application: Application) -> None:
        """Have the request answered, whatever goes wrong with it."""
        try:
            await application(self._scope, self.body, self)
        except BaseException as error:  # a request that was cancelled is owed an answer as well
            log.error("a request failed", exc_info=error)
        if self.complete or self.gone:
            return
        log.error("the answer to a request was %s", "cut" if self.started else "missing")
        if self.started:
            self._line.transport.close()  # all that tells the client so
            return
        await self(
            {
                "type": "http.response.start",
                "status": 500,
                "headers": [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", b"21"),
                    (b"connection", b"close"),
                ],
            }
        )
        await self({"type": "http.response.body", "body": b"Internal Server Error"})

    def leave(self) -> None:
        """Take note that the client is gone."""
        self.gone = True
        self.body.end()

    # --- at once ---

    async def answer(self, status: int, body: bytes, headers: RawHeaders) -> None:
        """Send a whole answer in one write; a body is JSON, an empty one has no media type."""
        line = self._line
        if line.flow.write_paused and not self.gone:
            await line.flow.drain()
        if self.gone:
            return
        if self.started:
            raise RuntimeError("an answer was begun already")
        lines = [STATUS_LINES[status], line.standing_lines(), b"content-length: %d\r\n" % len(body)]
        if body:
            lines.append(_JSON)
        self._write_head(lines, headers, b"" if self._scope["method"] == "HEAD" else body)
        self._complete()

    # --- in parts ---

    async def __call__(self, message: Message) -> None:
        """Send the next part of an answer: first its head, then its body."""
        line = self._line
        if line.flow.write_paused and not self.gone:
            await line.flow.drain()
        if self.gone:
            return
        expected = "http.response.body" if self.started else "http.response.start"
        if self.complete or message["type"] != expected:
            raise RuntimeError(f"{message['type']} is out of turn")
        if self.started:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._send_head(message["status"], list(message.get("headers", ())))

    def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        given = {name.lower(): value for name, value in headers}
        left, chunked, framing = 0, False, b""
        if b"content-length" in given:
            left = int(given[b"content-length"])
        elif given.get(b"transfer-encoding", b"").lower() == b"chunked":
            chunked = True
        elif self._scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            chunked, framing = True, b"transfer-encoding: chunked\r\n"
        self._write_head([STATUS_LINES[status], self._line.standing_lines()], headers, b"", framing)
        self._left, self._chunked = left, chunked

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self._scope["method"] == "HEAD":
            self._left = 0
        elif self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self._line.transport.write(framed if more else framed + b"0\r\n\r\n")
        else:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body has not the length that was announced")
            self._line.transport.write(body)
        if not more:
            self._complete()

    def _write_head(self, lines: list[bytes], headers: RawHeaders, body: bytes, framing: bytes = b"") -> None:
        said = False
        for name, value in headers:
            if _BAD_NAME.search(name) or _BAD_VALUE.search(value):
                raise RuntimeError("a header would break the head")
            if name.lower() == b"connection" and b"close" in value.lower():
                self.keep_alive, said = False, True
            lines.append(b"%b: %b\r\n" % (name.lower(), value))
        if not (self.keep_alive or said):
            lines.append(_CLOSE)
        lines += (framing, b"\r\n")
        self.started = True
        self.body.answer_begins()
        if len(body) > _SMALL:
            self._line.transport.writelines((b"".join(lines), body))
        else:
            lines.append(body)
            self._line.transport.write(b"".join(lines))

    def _complete(self) -> None:
        self.complete = True
        self.body.end()
        if not self.keep_alive:
            self._line.transport.close()
        self._line.answered()
