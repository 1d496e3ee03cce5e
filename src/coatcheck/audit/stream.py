"""A sink on standard output or standard error: one JSON line for each settled entry.

Writing happens in a thread of its own behind a bounded queue. A reader that hangs costs copies, which are
counted and told in the log once it reads again; it never costs a call, and the ledger has every entry.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading
from contextlib import suppress
from typing import Final

from coatcheck.core.record_lines import json_line
from coatcheck.model.record import RecordEntry

WAITING: Final = 10_000
"""Most entries that wait for the reader of the stream."""

CHUNK: Final = 65_536
"""Bytes after which lines are written rather than gathered further."""

CLOSE_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class StreamSink:
    """Implements `ports.Sink` on a file descriptor, which stays the caller's: it is never closed here."""

    def __init__(self, descriptor: int, *, waiting: int = WAITING) -> None:
        self._descriptor = descriptor
        self._queue: queue.Queue[RecordEntry | None] = queue.Queue(waiting)
        self._refused = 0  # counted by the event loop
        self._lost = 0  # counted by the thread
        self._told = 0
        self._broken = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coatcheck-stream-sink", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many entries were not copied because the reader hung or went away."""
        return self._refused + self._lost

    def write(self, entry: RecordEntry) -> None:
        """Take one entry; drop it if the queue is full."""
        if self._broken or self._stop.is_set():
            self._refused += 1
            return
        try:
            self._queue.put_nowait(entry)
        except queue.Full:
            self._refused += 1

    def close(self, timeout: float = CLOSE_SECONDS) -> None:
        """Write what waits; blocks for `timeout` seconds, twice that if the reader hangs. Safe to repeat."""
        if not self._thread.is_alive():
            return
        self._stop.set()
        with suppress(queue.Full):
            self._queue.put(None, timeout=timeout)
        self._thread.join(timeout)

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        more = True
        while more:
            lines, more = self._gather()
            if lines:
                self._write_out(lines)
            self._tell_dropped()

    def _gather(self) -> tuple[list[bytes], bool]:
        """Wait for an entry and take what else is there; False once this was the last."""
        lines: list[bytes] = []
        size = 0
        try:
            entry = self._queue.get()
            while entry is not None:
                line = json_line(entry)
                lines.append(line)
                size += len(line)
                if size >= CHUNK:
                    return lines, True
                entry = self._queue.get_nowait()
        except queue.Empty:
            return lines, True
        return lines, False

    def _write_out(self, lines: list[bytes]) -> None:
        if self._broken:
            self._lost += len(lines)
            return
        try:
            self._write_all(b"".join(lines))
        except OSError as error:
            self._broken = True
            self._lost += len(lines)
            _log.warning("the audit stream is closed (%s): no more copies are written to it", error.strerror)

    def _write_all(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # someone else made the descriptor non-blocking
                ready = select.poll()
                ready.register(self._descriptor, select.POLLOUT)
                ready.poll(1_000)

    def _tell_dropped(self) -> None:
        """Say what was lost, from this thread, since the log may go to the stream that hung."""
        dropped = self.dropped
        if dropped != self._told and not self._broken:
            _log.warning(
                "the reader of the audit stream was too slow: %d copies were dropped so far; "
                "the record itself has them all (`coatcheck logs`)",
                dropped,
            )
            self._told = dropped
