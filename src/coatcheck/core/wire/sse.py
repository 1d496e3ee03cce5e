"""Server-sent events: an incremental reader of frames and a writer (WHATWG HTML section 9.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import CoatcheckError

MESSAGE: Final = b"message"
_BOM: Final = b"\xef\xbb\xbf"
_FOLDED: Final = 256
"""Lines of one event that are kept apart: each may be of one byte, and cost fifty."""
_LINE_END: Final = re.compile(rb"\r\n|\r|\n")


class OversizedEvent(CoatcheckError):
    """An event, or a line of one, is longer than the reader was told to accept."""

    code = "oversized_event"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data with lines joined by LF, its type, and the last id seen on the stream."""

    data: bytes
    type: bytes = MESSAGE
    id: bytes = b""


class Reader:
    """Takes the bytes of one stream in pieces of any size and gives the events that they complete.

    Memory is bounded by `limit` bytes for the event under way; comments and unknown fields are dropped.
    After `OversizedEvent` the reader must not be fed again.
    """

    __slots__ = (
        "_after_cr", "_data", "_held", "_id", "_limit", "_line", "_started", "_type", "last_id", "retry",
    )  # fmt: skip

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = bytearray()
        self._data: list[bytes | bytearray] = []
        self._held = 0
        self._type = MESSAGE
        self._id = b""
        self._after_cr = False
        self._started = False
        self.retry: int | None = None
        """Milliseconds that the stream asks to wait before a new connection, if it said so."""
        self.last_id = b""
        """The id after which to resume: that of the last event which is complete, with data or without."""

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that end within `chunk`.

        Raises:
            OversizedEvent: the event under way is longer than the limit.
        """
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *lines = chunk.split(b"\n")
        self._line += first
        self._limit_size(len(self._line))
        if not lines:
            return []
        lines.insert(0, bytes(self._line))
        self._line = bytearray(lines.pop())
        events = self._read(lines)
        self._limit_size(len(self._line))
        return events

    def _limit_size(self, line: int) -> None:
        if self._held + line > self._limit:
            raise OversizedEvent(f"an event is longer than {self._limit} bytes")

    def _read(self, lines: list[bytes]) -> list[Event]:
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[Event] = []
        for line in lines:
            if line:
                self._read_line(line)
                continue
            self.last_id = self._id
            if self._data:
                events.append(Event(b"\n".join(self._data), self._type, self._id))
                self._data = []
                self._held = 0
            self._type = MESSAGE
        return events

    def _read_line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._limit_size(len(value))
            self._data.append(value)
            if len(self._data) == _FOLDED:
                self._fold()
            self._held += len(value) + 1
        elif name == b"event":
            self._type = value or MESSAGE
        elif name == b"id":
            if b"\0" not in value:
                self._id = value
        elif name == b"retry" and value.isdigit() and len(value) <= 9:
            self.retry = int(value)

    def _fold(self) -> None:
        first, *others = self._data
        folded = first if isinstance(first, bytearray) else bytearray(first)
        folded += b"\n"
        folded += b"\n".join(others)
        self._data = [folded]


# --- writing -------------------------------------------------------------------------------------------

KEEP_ALIVE: Final = b": keep-alive\n\n"
"""A comment: keeps idle connections open and means nothing to the reader."""


def event(data: bytes, type: bytes = MESSAGE, id: bytes = b"") -> bytes:
    """Write one event. `type` and `id` must have no line end; data may have any."""
    head = b"" if type == MESSAGE else b"event: %b\n" % type
    if id:
        head += b"id: %b\n" % id
    if b"\n" not in data and b"\r" not in data:
        return b"%bdata: %b\n\n" % (head, data)
    lines = b"\n".join([b"data: %b" % line for line in _LINE_END.split(data)])
    return b"%b%b\n\n" % (head, lines)
