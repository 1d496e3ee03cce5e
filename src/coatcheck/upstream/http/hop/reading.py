"""Reads the replies on one HTTP/1.1 connection: parser callbacks, limits, event streams (RFC 9112)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httptools

from coatcheck.core.wire import sse
from coatcheck.errors import UpstreamBadReply, UpstreamError
from coatcheck.upstream import pace

JSON: Final = b"application/json"
EVENTS: Final = b"text/event-stream"
EXPIRY: Final = b"github-authentication-token-expiration"
"""Where GitHub says when the token that it was sent expires."""
_LONGEST_EXPIRY: Final = 40

Listen = Callable[[sse.Event], bool]
"""Takes one event; True ends the exchange. Raises an `UpstreamError` to break it off."""


def head_only(_event: sse.Event) -> bool:
    """Listen to nothing: where only the status matters, a stream is left as soon as its head is there."""
    return True


@dataclass(frozen=True, slots=True)
class Endless:
    """A stream that may go on for ever. `opened` is called when its head is there."""

    opened: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """Bounds on what a server may send: bytes of head, of a body or event, and of a whole stream.

    `linger` is how many seconds a stream may stay open after the reply it was opened for.
    """

    head: int = 64 * 1024
    body: int = 16 * 1024 * 1024
    stream: int = 256 * 1024 * 1024
    linger: float = 1.0


@dataclass(slots=True)
class Received:
    """A reply: its status, the headers that matter, and its body (empty where events were listened to).

    `bearer` is the number of the version whose access token it was asked with; 0 where there was none.
    """

    status: int = 0
    media: bytes = b""
    encoding: bytes = b""
    session: bytes = b""
    challenge: bytes = b""
    expiry: bytes = b""
    body: bytes = b""
    bearer: int = 0


_KEPT: Final = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"transfer-encoding",
        b"keep-alive",
        b"mcp-session-id",
        b"www-authenticate",
        EXPIRY,
    }
)
_TIMEOUT: Final = re.compile(rb"timeout\s*=\s*([0-9]{1,6})", re.IGNORECASE)
_AFTER_ANSWER: Final = 64 * 1024


class ReplyReader:
    """Reads one reply after another; `begin` before each.

    `failure` is set to what breaks the exchange off, `answered` once the listener has what it wanted,
    `complete` at the end of the reply; `surplus` tells of bytes beyond it, which nobody asked for.
    """

    def __init__(self, server: str, limits: ReplyLimits) -> None:
        self._server = server
        self._limits = limits
        self._parser = httptools.HttpResponseParser(self)
        self.keep: int | None = None
        """Seconds that the server keeps an idle connection, if it said so."""
        self.reusable = False
        self.effort = 0.0
        """Units of `pace` that the reading took; whoever settles them sets it back."""
        self.begin(None)

    def begin(self, listen: Listen | None, endless: Endless | None = None) -> None:
        """Get ready for the next reply on the connection."""
        self.failure: UpstreamError | None = None
        self.touched = self.answered = self.complete = self.surplus = False
        self.received = Received()
        self._listen = listen
        self._endless = endless
        self._headers: dict[bytes, bytes] = {}
        self._head_done = False
        self._head_size = 0
        self._body = b""
        self._further = bytearray()
        self._fed = 0
        self._size = 0
        self._size_answered = 0
        self.events: sse.Reader | None = None
        self.count = 0
        """How many events were read."""

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes."""
        self.touched = True
        self._fed += len(chunk)
        try:
            self._parser.feed_data(chunk)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail("answered with something that is no HTTP/1.1 reply")
        # The parser joins the pieces of an unfinished header without a limit. Besides the head, only the
        # sizes of chunks come on top of the body: five bytes for each if they are as small as can be.
        if self._fed > 2 * self._limits.head + 8 * self._size:
            self._fail(f"sent more than {self._limits.head} bytes of headers")

    def end(self) -> None:
        """Take note that the connection ended: the end of a reply that has no other (RFC 9112 6.3)."""
        headers = self._headers
        framed = b"content-length" in headers or b"transfer-encoding" in headers
        if self._head_done and not framed and not self.complete:
            self._finish()

    def _fail(self, sentence: str) -> None:
        if self.failure is None:
            self.failure = bad_reply(self._server, sentence)

    # --- called by the parser ------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Notice a reply to no request."""
        self.surplus = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the headers that matter. A trailer is counted and dropped."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._limits.head:
            self._fail(f"sent more than {self._limits.head} bytes of headers")
        elif not self._head_done:
            lowered = name.lower()
            if lowered in _KEPT:
                seen = self._headers.get(lowered)
                self._headers[lowered] = value if seen is None else b"%b, %b" % (seen, value)

    def on_headers_complete(self) -> None:
        """Judge the head and choose how to read the body."""
        status = self._parser.get_status_code()
        headers = self._headers
        if status < 200:
            headers.clear()  # an interim reply (RFC 9110 section 15.2); the real one follows
            return
        if self.complete:
            return
        self._head_done = True
        received = self.received
        received.status = status
        received.media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        received.encoding = headers.get(b"content-encoding", b"").strip().lower()
        received.session = headers.get(b"mcp-session-id", b"")
        received.challenge = headers.get(b"www-authenticate", b"")
        received.expiry = headers.get(EXPIRY, b"")[:_LONGEST_EXPIRY]
        if timeout := _TIMEOUT.search(headers.get(b"keep-alive", b"")):
            self.keep = int(timeout[1])
        if self._listen is not None and status < 300 and received.media == EVENTS and not received.encoding:
            self.events = sse.Reader(self._limits.body)
            self.answered = self._listen is head_only
            if self._endless is not None:
                self._endless.opened()
        elif int(headers.get(b"content-length", b"0")) > self._limits.body:
            self._too_large()

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body, within its limit."""
        if self.failure is not None or self.complete:
            return
        self._size += len(chunk)
        if self.events is not None:
            self._read_events(self.events, chunk)
        elif self._size > self._limits.body:
            self._too_large()
        elif self._body:
            self._further += chunk  # not a list: a piece may be of one byte
            self.effort += pace.of_body(1, len(chunk))
        else:
            self._body = chunk

    def on_message_complete(self) -> None:
        """Note the end of the reply."""
        if self._head_done and not self.complete:
            self.reusable = self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        self.complete = True
        self.received.body = self._body + self._further if self._further else self._body

    def _read_events(self, reader: sse.Reader, chunk: bytes) -> None:
        if self.answered:
            if self._size - self._size_answered > _AFTER_ANSWER:
                self._fail("did not end its stream after the answer")
            return
        if self._endless is None and self._size > self._limits.stream:
            self._fail(f"sent more than {self._limits.stream} bytes on one stream")
            return
        self.effort += pace.of_stream(1 + chunk.count(b"\n") + chunk.count(b"\r"), len(chunk))
        try:
            for event in reader.feed(chunk):
                self.count += 1
                if self._listen is not None and self._listen(event):
                    self.answered = True
                    self._size_answered = self._size
                    return
                self.effort += pace.MESSAGE
        except sse.OversizedEvent:
            self._too_large()
        except UpstreamError as error:
            self.failure = error

    def _too_large(self) -> None:
        self._fail(f"sent a reply of more than {self._limits.body} bytes")


def bad_reply(server: str, sentence: str, fix: str = "", *, reached: bool = True) -> UpstreamBadReply:
    """Make the error for a reply that is none. `sentence` is fixed text: nothing the server wrote."""
    return UpstreamBadReply(f"{server} {sentence}", fix=fix, reached=reached)
