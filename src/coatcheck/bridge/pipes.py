"""Standard input and output as the wire of the client that started us, read and written in threads.

Threads, since standard input may be a pipe, a file or a terminal on any system.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Final

WAITING_LINES: Final = 16

Write = Callable[[bytes], Awaitable[None]]
"""Writes one message on a line of its own, and returns when it is written."""


def take_stdout() -> int:
    """Keep standard output for the client alone: whatever else is written there goes to standard error."""
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


def lines_of_stdin(limit: int) -> asyncio.Queue[bytes | None]:
    """Return a queue of the lines of standard input, and None at its end.

    Of a line longer than `limit` bytes only the first `limit` + 1 are passed on.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_LINES)
    # A file of our own: the interpreter aborts if it finds its `sys.stdin` being read by a thread at the end.
    source = os.fdopen(os.dup(0), "rb")

    def put(line: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    def read() -> None:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):  # the loop has ended
            while line := source.readline(limit + 1):
                rest = line
                while rest and not rest.endswith(b"\n"):
                    rest = source.readline(limit + 1)
                put(line)
            put(None)

    threading.Thread(target=read, name="coatcheck-stdin", daemon=True).start()
    return lines


class Writer:
    """Writes messages in order. `gone` is set when the client has closed its side.

    Whoever writes waits until it is written, so that a client that reads slowly slows the gateway down
    and not our memory up.
    """

    def __init__(self, wire: int, gone: asyncio.Event) -> None:
        self._wire = wire
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="coatcheck-stdout", daemon=True).start()

    async def write(self, message: bytes) -> None:
        """Write one message, which has no line end in it."""
        written = self._loop.create_future()
        self._queue.put((message + b"\n", written))
        await written

    def _run(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            while True:
                message, written = self._queue.get()
                try:
                    rest = memoryview(message)
                    while rest:
                        rest = rest[os.write(self._wire, rest) :]
                except OSError:  # the client closed its side
                    self._loop.call_soon_threadsafe(self._gone.set)
                    return
                self._loop.call_soon_threadsafe(_settle, written)


def _settle(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)
