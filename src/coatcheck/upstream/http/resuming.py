"""Resumes the stream of a call that a legacy server closed before the answer (MCP 2025-11-25, SEP-1699)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from coatcheck.core.wire import reopening, signs
from coatcheck.errors import UpstreamLost, UpstreamUnreachable
from coatcheck.upstream.http.awaited import Awaited
from coatcheck.upstream.http.hop.connection import StreamEnded
from coatcheck.upstream.http.hop.reading import Received
from coatcheck.upstream.http.line import Line

_FAILED_MOST: Final = 3
"""Resumptions in a row that may come to nothing: the server is down, or says 503."""
_SENDABLE: Final = re.compile(rb"[!-~\x80-\xff](?:[ -~\x80-\xff]{0,1022}[!-~\x80-\xff])?\Z")

Pause = Callable[[int | None], None]
"""Hears each time that the server closed the stream; `retry` in milliseconds, if it named any."""


def resume_line(id: bytes) -> bytes:
    """Return the header line that asks for what came after an event; empty if its id cannot be sent."""
    return b"Last-Event-ID: %b\r\n" % id if _SENDABLE.match(id) else b""


class Resuming:
    """The rest of one stream, asked for until it has the reply."""

    def __init__(self, line: Line, head: bytes, awaited: Awaited, ended: StreamEnded) -> None:
        self._line = line
        self._head = head
        self._awaited = awaited
        self._sentence = ended.message
        self._resume_from = ended.resume_from
        self._retry = ended.retry
        self._empty = 0
        self._failed = 0

    async def run(self, most: int, pause: Pause) -> Received:
        """Ask at most so many times; between two times, wait as long as the server wants.

        Raises:
            UpstreamLost: the server named no event to resume after, or does not resume.
        """
        for _ in range(most):
            after = resume_line(self._resume_from)
            if not after or self._failed > _FAILED_MOST:
                break
            if not self._failed:
                pause(self._retry)
            await asyncio.sleep(self._pause())
            received = await self._ask(self._line.heads.bare(b"GET", self._head + after))
            if received is not None and self._awaited.reply is not None:
                return received
            if received is not None and received.status not in signs.MAY_PASS:
                break
        raise UpstreamLost(self._sentence, reached=True)

    def _pause(self) -> float:
        if self._failed:
            return reopening.before_resuming(self._failed - 1, None)
        return reopening.before_resuming(self._empty, self._retry)

    async def _ask(self, request: bytes) -> Received | None:
        """Listen to one more piece of the stream; None if it ended before the reply."""
        try:
            received = await self._line.exchange(request, self._awaited.take, again=True)
        except StreamEnded as ended:
            self._failed = 0
            self._empty = 0 if ended.count else self._empty + 1
            self._resume_from = ended.resume_from or self._resume_from
            self._retry = self._retry if ended.retry is None else ended.retry
            return None
        except (UpstreamLost, UpstreamUnreachable):
            self._failed += 1
            return None
        self._failed += 1
        return received
