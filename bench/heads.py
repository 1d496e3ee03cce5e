"""Reads the heads of answers for the load, each different one once: programs repeat theirs."""

from __future__ import annotations

import re
from typing import NamedTuple

END = b"\r\n\r\n"
MOST_KEPT = 1000


class Framing(NamedTuple):
    """The status of an answer and its bytes, head and body together."""

    status: int
    whole: int


class Heads:
    """Heads read before, by their bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, Framing] = {}

    def read(self, received: bytes) -> Framing | None:
        """Return how the answer is framed, or None while its head is not whole.

        Raises `ValueError` for an answer that does not tell its length.
        """
        end = received.find(END)
        if end < 0:
            return None
        head = received[:end]
        framing = self._known.get(head)
        if framing is None:
            framing = read_head(head)
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[head] = framing
        return framing


def read_head(head: bytes) -> Framing:
    """Return the framing that a head, without the empty line, tells."""
    status = re.match(rb"HTTP/1\.1 (\d{3})\b", head)
    body = re.search(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*(?:\r\n|\Z)", head, re.IGNORECASE)
    if status is None or body is None:
        raise ValueError(f"no HTTP/1.1 answer with a Content-Length: {head[:300]!r}")
    return Framing(int(status[1]), len(head) + len(END) + int(body[1]))
