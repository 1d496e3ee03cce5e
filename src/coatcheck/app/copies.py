"""Copies of the record on standard output or error, where the file asks for them."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import suppress
from typing import Final

from coatcheck.audit.stream import StreamSink
from coatcheck.errors import CoatcheckError
from coatcheck.model.declaration import Output
from coatcheck.model.record import RecordFilter
from coatcheck.operations.directory import Snapshot
from coatcheck.ports import Ledger

log = logging.getLogger(__name__)

_ENDING_SECONDS: Final = 1.0


class Copies:
    """Follows the ledger into one stream; the file can change which while we run."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._output = Output.FILE
        self._task: asyncio.Task[None] | None = None

    def follow(self, snapshot: Snapshot) -> None:
        """Write to what the snapshot asks for from now on."""
        if snapshot.audit.output is self._output:
            return
        self._output = snapshot.audit.output
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._output is not Output.FILE:
            self._task = asyncio.create_task(self._copy(self._output))

    async def close(self) -> None:
        """Stop following; the last entries of a ledger that was just closed are copied first."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_ENDING_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _copy(self, output: Output) -> None:
        sink = StreamSink((sys.stdout if output is Output.STDOUT else sys.stderr).fileno())
        try:
            async for entry in self._ledger.follow(RecordFilter()):
                sink.write(entry)
        except CoatcheckError as error:
            log.warning("copies of the record to %s ended: %s", output, error.message)
        finally:
            sink.close()
