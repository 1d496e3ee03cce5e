"""The pipes to and from a child, on the event loop: output is always read, input never blocks anyone.

The loop's own pipe transports are not used: uvloop's closes a file descriptor twice (once in libuv, once
in Python), and between the two another thread may have been given the same number for a file of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Final

from coatcheck.upstream.pace import Pace

_CHUNK: Final = 8 * 1024
"""Bytes that are read in one turn: there may be two hundred messages in them."""


class Backlogged(Exception):
    """The child has stopped reading, and too much waits for it already."""


class Output:
    """One of a child's outputs: read at its server's pace, until its end or until `close`.

    `take` gets what was read and returns how many units of the pace that took.
    """

    __slots__ = ("_end", "_fd", "_loop", "_pace", "_pipe", "_take", "is_open")

    def __init__(
        self, pipe: IO[bytes], take: Callable[[bytes], float], end: Callable[[], None], pace: Pace
    ) -> None:
        self._pipe = pipe
        self._take = take
        self._end = end
        self._fd = pipe.fileno()
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self.is_open = True
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._read)

    def _read(self) -> None:
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if chunk:
            if units := self._take(chunk):
                self._slow_down(units)
            return
        self.close()
        self._end()

    def _slow_down(self, units: float) -> None:
        """Read no more while the server is ahead of its pace: the pipe fills, and the child has to wait."""
        self._pace.spend(units)
        if self._pace.spent and self.is_open:
            self._loop.remove_reader(self._fd)
            self._pace.wait(self._read_on)

    def _read_on(self) -> None:
        if self.is_open:
            self._loop.add_reader(self._fd, self._read)
            self._read()

    def close(self) -> None:
        """Read no more. `end` is not called."""
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._fd)
            self._pipe.close()


class Input:
    """A child's input. Lines that the child does not read yet wait here, up to `limit` bytes."""

    __slots__ = ("_fd", "_limit", "_loop", "_lost", "_pipe", "_queue", "_queued", "_unsent", "is_open")

    def __init__(self, pipe: IO[bytes], limit: int, lost: Callable[[], None]) -> None:
        self._pipe = pipe
        self._limit = limit
        self._lost = lost
        self._fd = pipe.fileno()
        self._loop = asyncio.get_running_loop()
        self._queue: list[bytes] = []
        self._queued = 0
        self._unsent = memoryview(b"")
        self.is_open = True
        os.set_blocking(self._fd, False)

    @property
    def waiting(self) -> int:
        """The number of bytes that wait for the child to read."""
        return self._queued + len(self._unsent)

    def write(self, line: bytes) -> None:
        """Send one line; the LF is added here.

        One line that is longer than the limit is taken if nothing else waits.

        Raises:
            Backlogged: too much waits already, or the input is closed; nothing of the line was sent.
        """
        waiting = self.waiting
        if not self.is_open or (waiting and waiting + len(line) >= self._limit):
            raise Backlogged
        if not waiting:  # one write for all the lines of this turn of the loop
            self._loop.call_soon(self._flush)
        self._queue += (line, b"\n")
        self._queued += len(line) + 1

    def _flush(self) -> None:
        if self._unsent or not self.is_open:
            return
        self._take_queue()
        self._send()
        if self.waiting and self.is_open:
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        self._send()
        if not self._unsent and self._queue:
            self._take_queue()
            self._send()
        if self.is_open and not self.waiting:
            self._loop.remove_writer(self._fd)

    def _take_queue(self) -> None:
        self._unsent = memoryview(b"".join(self._queue))
        self._queue.clear()
        self._queued = 0

    def _send(self) -> None:
        try:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[os.write(self._fd, self._unsent) :]
        except OSError:
            self.close()
            self._lost()

    def close(self) -> None:
        """Close the pipe and drop what waits. `lost` is not called."""
        if not self.is_open:
            return
        self._flush()
        if self.is_open:
            self.is_open = False
            self._loop.remove_writer(self._fd)
            self._queue.clear()
            self._queued = 0
            self._unsent = memoryview(b"")
            self._pipe.close()
