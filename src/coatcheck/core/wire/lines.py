"""The output of a child as text: one message a line, and the last lines of what it complains about."""

from __future__ import annotations

import re
from typing import Final

from coatcheck.errors import CoatcheckError

_SHOWN_LINES: Final = 200
_SHOWN_CHARS: Final = 2_000
_ESCAPE_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
_NOT_SHOWN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)


class OversizedLine(CoatcheckError):
    """A line is longer than the reader was told to accept."""

    code = "oversized_line"


class LineReader:
    """Takes a stream of bytes in pieces of any size and gives the lines that they complete.

    Memory is bounded by `limit` bytes and one piece. After `OversizedLine` it must not be fed again.
    """

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end within `chunk`, without their LF.

        Raises:
            OversizedLine: a line is longer than the limit, whether it has ended or not.
        """
        lines = chunk.split(b"\n")
        if self._held:
            self._held += lines[0]  # not a list of pieces: each may be of one byte
            self._limit_size(len(self._held))
            if len(lines) == 1:
                return []
            lines[0] = bytes(self._held)
            self._held.clear()
        rest = lines.pop()
        self._held += rest
        if len(chunk) > self._limit:  # else no line within it can be too long
            self._limit_size(max(map(len, (*lines, rest))))
        return lines

    def _limit_size(self, size: int) -> None:
        if size > self._limit:
            raise OversizedLine(f"a line is longer than {self._limit} bytes")


class Tail:
    """Keeps the last bytes of a stream of text, as a child writes to its standard error."""

    __slots__ = ("_bytes", "_cut", "_limit", "taken")

    def __init__(self, limit: int) -> None:
        self.taken = 0
        """Bytes that were ever taken: while that is the same, so is `text`."""
        self._limit = limit
        self._bytes = bytearray()
        self._cut = False

    def __len__(self) -> int:
        return len(self._bytes)

    def feed(self, chunk: bytes) -> None:
        """Take a piece of the stream."""
        self.taken += len(chunk)
        self._bytes += chunk[-self._limit :]
        over = len(self._bytes) - self._limit
        if over > 0 or len(chunk) > self._limit:
            self._cut = True
            del self._bytes[: max(over, 0)]

    def add_line(self, line: bytes) -> None:
        """Take a line of another origin, on a line of its own."""
        start = b"" if not self._bytes or self._bytes.endswith(b"\n") else b"\n"
        self.feed(start + line + b"\n")

    def text(self) -> str:
        """Return what is kept, without a first line of which the start is lost."""
        kept = bytes(self._bytes)
        if self._cut:
            kept = kept.partition(b"\n")[2] or kept
        return kept.decode("utf-8", "replace")


def shown(text: str) -> tuple[str, ...]:
    """Return the last lines of a text, safe to show on a terminal: no control or direction characters."""
    plain = _ESCAPE_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    lines = [_NOT_SHOWN.sub("", line).replace("\t", " ").rstrip() for line in plain.split("\n")]
    return tuple(line[:_SHOWN_CHARS] for line in lines if line)[-_SHOWN_LINES:]
