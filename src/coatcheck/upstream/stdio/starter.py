"""Starts a server's child and greets it, in the era that it spoke last time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from coatcheck.core.backoff import BackoffRules
from coatcheck.errors import UpstreamLost, UpstreamTimeout, UpstreamUnreachable
from coatcheck.model.era import Era
from coatcheck.upstream.stdio.child import Child, ChildLimits
from coatcheck.upstream.stdio.exchange import Exchange
from coatcheck.upstream.stdio.greet import negotiate
from coatcheck.upstream.stdio.spawn import Launch


@dataclass(frozen=True, slots=True)
class StdioLimits:
    """Seconds: for start and handshake, for the first question of the handshake, for a list of our own.

    `longest_wait` is the rest of a pause after a death that a call waits for; with more to go it fails.
    """

    connect_timeout: float = 60.0
    probe_timeout: float = 5.0
    ask_timeout: float = 30.0
    longest_wait: float = 2.0
    stderr_bytes: int = 64 * 1024
    child: ChildLimits = ChildLimits()
    backoff: BackoffRules = BackoffRules()


class Starter:
    """Opens one exchange after the other. `launch` and `exchange` make what each of them needs."""

    def __init__(
        self,
        name: str,
        limits: StdioLimits,
        launch: Callable[[], Launch],
        exchange: Callable[[], Exchange],
        discard: Callable[[Child], None],
    ) -> None:
        self._name = name
        self._limits = limits
        self._launch = launch
        self._exchange = exchange
        self._discard = discard
        self._era: Era | None = None

    async def open(self) -> Exchange:
        """Return an exchange with a child that was started and greeted. `discard` gets those that fail.

        Raises:
            UpstreamError: it did not start, not in time, or not as a server that we can speak with.
        """
        limit = self._limits.connect_timeout
        try:
            async with asyncio.timeout(limit):
                exchange = await self._open()
        except TimeoutError:
            raise UpstreamTimeout(f"{self._name} did not start within {limit:g} s") from None
        except UpstreamLost as error:
            raise UpstreamUnreachable(
                f"{self._name} stopped while it was starting",
                detail=error.detail,
                fix="read its last words in `coatcheck doctor`",
            ) from None
        self._era = exchange.greeting.era
        return exchange

    async def _open(self) -> Exchange:
        if self._era is not None:
            return await self._open_in(self._era)
        try:
            return await self._open_in(Era.MODERN)
        except UpstreamLost:
            return await self._open_in(Era.LEGACY)  # some end when asked anything before `initialize`

    async def _open_in(self, first: Era) -> Exchange:
        exchange = self._exchange()
        child = exchange.child = await Child.spawn(self._launch(), self._limits.child, exchange)
        try:
            exchange.greeting = await negotiate(exchange, first, self._limits.probe_timeout)
            exchange.refuse_if_gone()
        except BaseException:
            child.kill()
            self._discard(child)
            raise
        return exchange
