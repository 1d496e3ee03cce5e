"""Follows the ledger into one sink, from its cursor: at least once, in order, at the receiver's own pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from coatcheck.errors import CoatcheckError
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry
from coatcheck.model.sink import Copy, SinkRules, SinkStatus, Trial
from coatcheck.ports import Clock, Copies, Sink

BATCH: Final = 200
"""Most copies in memory for one sink. An entry is bounded, so the memory is."""
PAUSES: Final = (0.5, 60.0)
"""Seconds: the first pause after a failure, and the longest, to which it doubles."""
HANGS_SECONDS: Final = 5.0
"""How long a delivery goes on before the status calls it hanging."""

log = logging.getLogger(__name__)


class Follower:
    """One sink and how far it has come. `cursor`: every entry up to it was delivered."""

    def __init__(
        self,
        rules: SinkRules,
        sink: Sink,
        copies: Copies,
        cursor: int,
        clock: Clock,
        *,
        batch: int = BATCH,
        pauses: tuple[float, float] = PAUSES,
    ) -> None:
        self.rules = rules
        self.cursor = cursor
        self.lag = 0
        """How many entries wait, as last counted."""
        self._last = cursor
        self._sink = sink
        self._copies = copies
        self._clock = clock
        self._batch = batch
        self._pauses = pauses
        self._news = asyncio.Event()
        self._free = asyncio.Lock()
        self._delivered = 0
        self._failures = 0
        self._failed_in_a_row = 0
        self._error = ""
        self._oldest: datetime | None = None
        self._began: float | None = None
        self._closing = asyncio.Event()

    @property
    def is_level(self) -> bool:
        """Whether the sink has everything that is known of."""
        return self.cursor >= self._last

    def heard(self, last: int) -> None:
        """Take note of the newest place in the ledger."""
        self._last = max(self._last, last)
        if not self.is_level:
            self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled, or until the sink is level once `finish` was called."""
        while True:
            if self.is_level:
                if self._closing.is_set():
                    return
                self._news.clear()
                await self._news.wait()
                continue
            why = await self._step()
            if why:
                await self._pause(why)

    def finish(self) -> None:
        """Let `run` end as soon as the sink has everything, without waiting out a pause first."""
        self._closing.set()
        self._news.set()

    async def close(self) -> None:
        """Let go of the receiver."""
        await self._sink.close()

    async def test(self, seconds: float) -> str:
        """Send an entry that stands for nothing; return why that failed, empty if it did not."""
        try:
            async with asyncio.timeout(seconds), self._free:
                await self._sink.deliver([Copy(0, Trial(self._clock.now()))])
        except TimeoutError:
            return f"it was not taken within {seconds:g} seconds"
        except Exception as error:  # noqa: BLE001  # whatever it is, the operator is to know
            return _words(error)
        return ""

    def status(self) -> SinkStatus:
        """Say how the sink does."""
        return SinkStatus(
            name=self.rules.name,
            kind=self.rules.kind,
            cursor=self.cursor,
            last=self._last,
            lag=self.lag,
            delivered=self._delivered,
            failures=self._failures,
            error=self._error or self._hanging(),
            since=self._oldest,
        )

    # --- one batch after the other ----------------------------------------------------------------------

    async def _step(self) -> str:
        """Deliver the next batch; return why that failed, empty if it did not."""
        try:
            page = await self._copies.page(self.cursor, self._batch)
            if page:
                self._oldest = _time_of(page[0])
                await self._deliver(page)
            self._moved(page)
        except Exception as error:  # noqa: BLE001  # whatever it is, the sink goes on from its cursor
            return _words(error)
        return ""

    async def _deliver(self, page: Sequence[Copy]) -> None:
        async with self._free:
            self._began = self._clock.monotonic()
            try:
                await self._sink.deliver(page)
            finally:
                self._began = None

    def _moved(self, page: Sequence[Copy]) -> None:
        if self._failed_in_a_row:
            log.info("the sink %s takes entries again", self.rules.name)
        self.cursor = page[-1].seq if page else self._last
        self._delivered += len(page)
        self._failed_in_a_row, self._error = 0, ""
        if self.is_level:
            self.lag, self._oldest = 0, None

    async def _pause(self, why: str) -> None:
        self._failures += 1
        self._failed_in_a_row += 1
        if why != self._error:
            log.warning("the sink %s falls behind: %s; the record has every entry", self.rules.name, why)
        self._error = why
        least, most = self._pauses
        pause = min(most, least * 2.0 ** min(self._failed_in_a_row - 1, 16))
        if self._closing.is_set():
            await asyncio.sleep(least)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._closing.wait()

    def _hanging(self) -> str:
        if self._began is None or self._clock.monotonic() - self._began < HANGS_SECONDS:
            return ""
        return "the receiver does not take what is sent"


def _words(error: Exception) -> str:
    """Return why something failed and what helps; of what nobody foresaw no more than its kind."""
    if isinstance(error, CoatcheckError):
        return f"{error.message} ({error.fix})" if error.fix else error.message
    return f"unforeseen {type(error).__name__}"


def _time_of(copy: Copy) -> datetime:
    if isinstance(copy.of, RecordEntry):
        return copy.of.record.at
    return copy.of.change.at if isinstance(copy.of, ChangeEntry) else copy.of.at
