"""A sink on standard output or standard error: one line for each entry."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import Final

from coatcheck.audit.lane import Lane
from coatcheck.core.copies.lines import json_copy
from coatcheck.errors import SinkFailed
from coatcheck.model.sink import Copy

CHUNK: Final = 65_536
"""Bytes after which lines are written rather than gathered further."""

Write = Callable[[Copy], bytes]
"""Returns an entry as one line, without its newline."""


class StreamSink:
    """Implements `ports.Sink` on a file descriptor, which stays the caller's: it is never closed here.

    A reader that hangs holds up the sink's own thread, and the copies wait in the ledger.
    """

    def __init__(self, descriptor: int, write: Write = json_copy) -> None:
        self._descriptor = descriptor
        self._write = write
        self._lane = Lane("stream-sink")
        self._closed = threading.Event()

    async def deliver(self, copies: Sequence[Copy]) -> None:
        """Write one line for each copy; returns when the system has taken all of them."""
        await self._lane.run(lambda: self._write_out(copies))

    async def close(self) -> None:
        """Write no more; what was given already is written if the reader takes it."""
        self._closed.set()
        self._lane.close()

    def _write_out(self, copies: Sequence[Copy]) -> None:
        lines: list[bytes] = []
        size = 0
        try:
            for copy in copies:
                lines.append(self._write(copy) + b"\n")
                size += len(lines[-1])
                if size >= CHUNK:
                    self._write_all(b"".join(lines))
                    lines, size = [], 0
            self._write_all(b"".join(lines))
        except OSError as error:
            raise SinkFailed(f"the stream cannot be written ({error.strerror})") from None

    def _write_all(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # someone else made the descriptor non-blocking
                if self._closed.is_set():
                    raise SinkFailed("the gateway is stopping") from None
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                ready.poll(1_000)
