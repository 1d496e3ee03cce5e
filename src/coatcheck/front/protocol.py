"""The HTTP/1.1 connection: httptools parses, and here stand the watchdogs and refusals around it.

uvicorn accepts the connections and ends them. Its own protocols are not used: only here are the raw request
target, the time a head takes and a client that stops reading to be seen (docs/decisions/0004-http-front.md).
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import deque
from typing import Any, Final
from urllib.parse import unquote

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from coatcheck.front.turn import STATUS_LINES, Turn

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

MAX_TRAILER_BYTES: Final = 16 * 1024
"""Bytes after a head with no byte of a body among them: trailers, and what stands beside a chunk's size."""
_SLICE: Final = 16 * 1024
"""Bytes that are parsed before it is looked how many requests wait by then; there may be hundreds in them."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_PLAIN_TARGET: Final = re.compile(rb"/[A-Za-z0-9_/-]*\Z")
"""A request target that is a path and nothing else, which no two readers split differently."""
_NEVER: Final = math.inf


class GuardedProtocol(asyncio.Protocol):
    """One client connection. Slow heads, endless heads and clients that never read are cut off.

    What may take its time is one number, `_due`, and one timer that looks at it when it fires: requests come
    and go without one being set and cancelled for each.
    """

    transport: asyncio.Transport
    flow: FlowControl

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002 - uvicorn's signature
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._application = config.loaded_app
        self._keep_alive_seconds = config.timeout_keep_alive
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        # What comes behind a request that closes the connection gets no answer, and spoils none.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._local: tuple[str, int | None] | None = None
        self._peer: tuple[str, int] | None = None
        self._standing: list[tuple[bytes, bytes]] = []
        self._standing_lines = b""
        self._due = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = _NEVER
        self._stall_timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._timed = True
        self._head_bytes = 0
        self._beside = 0
        self._unparsed = b""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._running: Turn | None = None
        self._coming: Turn | None = None
        self._waiting: deque[Turn] = deque()

    # --- the transport ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        self.transport = transport
        self.flow = FlowControl(transport)
        self._server.connections.add(self)  # type: ignore[arg-type]
        self._local = get_local_addr(transport)
        self._peer = get_remote_addr(transport)
        self._close_in(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Stop every timer, and tell the request being answered that its client is gone."""
        self._server.connections.discard(self)
        for timer in (self._timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        if self._running is not None and not self._running.complete:
            self._running.leave()
        self.flow.resume_writing()
        # Each of these and the connection hold each other, and the garbage collector would have to find out.
        self._parser = self._running = self._coming = None
        self._unparsed = b""
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came, for as long as there are not too many requests that wait."""
        if self._unparsed:
            self._unparsed += data
        elif len(data) <= _SLICE:
            self._take(data)
        else:
            self._unparsed = data
            self._go_on()

    def _go_on(self) -> None:
        """Parse what is here already, slice by slice, until too many requests wait."""
        while self._unparsed and not self._crowded():
            data, self._unparsed = self._unparsed[:_SLICE], self._unparsed[_SLICE:]
            self._take(data)
        if self._unparsed:
            self.flow.pause_reading()

    def _take(self, data: bytes) -> None:
        """Parse, and count what belongs to a head, or follows one and is no body."""
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._beside += len(data)
        if not self._parse(data):
            self._turn_away(400, "The request is not well-formed HTTP/1.1.")
        elif self._in_head:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._turn_away(431, "More headers than are accepted.")
        elif self._beside > MAX_TRAILER_BYTES:
            self._turn_away(431, "More trailers than are accepted.")
        if not self._timed:
            self._time_the_rest()

    def _parse(self, data: bytes) -> bool:
        """Feed the parser; return whether it was HTTP."""
        if self._parser is None:
            return True  # lost already
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._coming is not None:
                self._coming.keep_alive = False  # what follows its head was taken for another protocol
        except httptools.HttpParserError:
            return False
        return True

    def _time_the_rest(self) -> None:
        """Give the rest of a head its time, or what still comes of a request that was answered."""
        if self._in_head:
            self._timed = True
            self._close_in(HEAD_SECONDS)
        elif self._running is not None and self._running.complete:
            self._timed = True
            self._close_in(REST_SECONDS)

    def pause_writing(self) -> None:
        """Give a client that does not read a while."""
        self.flow.pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self._loop.call_later(WRITE_STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        self.flow.resume_writing()

    def shutdown(self) -> None:
        """End after the answer that is under way (uvicorn calls this when it stops)."""
        last = self._coming
        if last is None or last.complete:
            self.transport.close()
        else:
            last.keep_alive = False

    # --- the parser ---

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a further head."""
        self._url = b""
        self._headers = []
        if not self._in_head:
            self._in_head = True
            self._timed = False
            self._head_bytes = 1  # what began it was counted as the end of the request before

    def on_url(self, url: bytes) -> None:
        """Take the request target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header. A trailer is dropped: nobody judged it with the head (RFC 9110 section 6.5.1)."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Accept a head of HTTP/1 in origin form; refuse the forms that proxies take (RFC 9112 section 3.2).

        HTTP/1.0 has no chunks (RFC 9112 section 6.1). An error raised here becomes our 400.
        """
        parser = self._parser
        if parser is None or not self._url.startswith(b"/") or b"#" in self._url:
            raise httptools.HttpParserError("absolute or authority form, or with a fragment")
        version = parser.get_http_version()
        if version != "1.1":
            chunked = any(name == b"transfer-encoding" for name, _ in self._headers)
            if version != "1.0" or chunked:
                raise httptools.HttpParserError("not HTTP/1")
        self._in_head = self._timed = False
        self._beside = 0
        self._due = _NEVER
        path, raw_path, query = _split(self._url)
        scope = {
            "type": "http",
            "asgi": _ASGI,
            "scheme": "http",
            "server": self._local,
            "client": self._peer,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
        }
        keep_alive = version == "1.1" and parser.should_keep_alive()
        self._queue(Turn(self, scope, keep_alive=keep_alive))

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._beside = 0
        if self._coming is not None:
            self._coming.body.add(body)

    def on_message_complete(self) -> None:
        """Take the end of a body."""
        if self._coming is not None:
            self._coming.body.finish()

    # --- requests ---

    def _queue(self, turn: Turn) -> None:
        self._coming = turn
        if self._running is None or self._running.complete:
            self._start(turn)
            return
        self._waiting.append(turn)
        if self._crowded():
            self.flow.pause_reading()
        else:
            self.flow.resume_reading()  # else nobody would see the client leave before its first answer

    def _crowded(self) -> bool:
        """Tell whether so many requests wait that no more are to be read."""
        return len(self._waiting) > MAX_PIPELINED

    def read_on(self) -> None:
        """Read, unless too many requests wait; first what is here already."""
        if self._crowded():
            return
        if self._unparsed:
            self._go_on()
            if self._in_head:
                self._close_in(HEAD_SECONDS)  # its rest was not asked for until now
        if not self._unparsed and not self._crowded():
            self.flow.resume_reading()

    def _start(self, turn: Turn) -> None:
        self._running = turn
        task = self._loop.create_task(turn.run(self._application))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def standing_lines(self) -> bytes:
        """Return the header lines that every answer has: uvicorn makes a new list of them each second."""
        if self._standing is not self._server.default_headers:
            self._standing = self._server.default_headers
            self._standing_lines = b"".join(b"%b: %b\r\n" % line for line in self._standing)
        return self._standing_lines

    def answered(self) -> None:
        """Answer the next request that waits, or wait for one."""
        if self.transport.is_closing():
            return
        if self._waiting:
            self._start(self._waiting.popleft())
        elif not self._in_head:
            self._close_in(self._keep_alive_seconds)
        self.read_on()

    def _turn_away(self, status: int, sentence: str) -> None:
        """Take no more, and refuse what was wrong; where that follows on whole requests, close behind them.

        Those were let in: a refusal in the place of an answer would say that nothing was done.
        """
        self._parser, self._unparsed = None, b""
        last = self._coming
        if last is not None and last in self._waiting and not last.body.has_come:
            self._waiting.remove(last)
            last = self._coming = self._waiting[-1] if self._waiting else self._running
        if last is None or last.complete or not last.body.has_come:
            self._refuse(status, sentence)
        else:
            last.keep_alive = False

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer outside of any request, if none is being answered, and close."""
        if self.transport.is_closing():
            return
        running = self._running
        is_rest = running is not None and running.complete and running is self._coming and not self._in_head
        if not is_rest and (running is None or running.complete or not running.started):
            body = json.dumps({"error": "bad_request", "error_description": sentence}).encode()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINES[status] + head % len(body) + body)
        self.transport.close()

    # --- time ---

    def _close_in(self, seconds: float) -> None:
        """Close the connection after so long, unless it is said otherwise until then."""
        self._due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer_at <= self._due:
                return  # it will look
            self._timer.cancel()
        self._set_timer()

    def _set_timer(self) -> None:
        self._timer_at = self._due
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due == _NEVER:
            return
        if self._loop.time() < self._due:
            self._set_timer()
        elif self._in_head and self._crowded():
            self._close_in(HEAD_SECONDS)  # it is not the client that makes us wait
        elif self._in_head and self._head_bytes:
            self._turn_away(408, "The head of the request did not come in time.")
        else:
            self.transport.close()  # opened in advance and never used, or not used any more


def _split(target: bytes) -> tuple[str, bytes, bytes]:
    """Return path, path as it came, and query of a request target in origin form."""
    if _PLAIN_TARGET.match(target):
        return target.decode("ascii"), target, b""
    parts = httptools.parse_url(target)
    path = parts.path.decode("ascii")
    return unquote(path) if "%" in path else path, parts.path, parts.query or b""
