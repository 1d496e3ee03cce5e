"""Starts a server's child and greets it, in the era that it spoke last time; the client's era comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from coatcheck.core.backoff import BackoffRules
from coatcheck.errors import UpstreamLost, UpstreamTimeout, UpstreamUnreachable
from coatcheck.model.era import Era
from coatcheck.upstream.duplex.greet import negotiate
from coatcheck.upstream.stdio.child import Child, ChildLimits
from coatcheck.upstream.stdio.recipe import Recipe
from coatcheck.upstream.stdio.talk import Gone, Talk


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
    """Starts one child after the other. `gone` hears of their ends; `discard` gets those that fail."""

    def __init__(
        self, recipe: Recipe, limits: StdioLimits, gone: Gone, discard: Callable[[Child], None]
    ) -> None:
        self._name = recipe.name
        self._recipe = recipe
        self._limits = limits
        self._gone = gone
        self._discard = discard
        self._era: Era | None = None
        self._first = recipe.client.era

    async def open(self) -> Talk:
        """Return the talk with a child that was started, greeted and told what the last one knew.

        Raises:
            UpstreamError: it did not start, not in time, or not as a server that we can speak with.
        """
        limit = self._limits.connect_timeout
        try:
            async with asyncio.timeout(limit):
                talk = await self._open()
        except TimeoutError:
            self._first = _other(self._first)  # some never speak again after a question of the other era
            raise UpstreamTimeout(f"{self._name} did not start within {limit:g} s") from None
        except UpstreamLost as error:
            raise UpstreamUnreachable(
                f"{self._name} stopped while it was starting",
                detail=error.detail,
                fix="read its last words in `coatcheck doctor`",
            ) from None
        self._era = talk.exchange.greeting.era
        return talk

    async def _open(self) -> Talk:
        if self._era is not None:
            return await self._open_in(self._era)
        try:
            return await self._open_in(self._first)
        except UpstreamLost:
            return await self._open_in(
                _other(self._first)
            )  # some end when asked anything before `initialize`

    async def _open_in(self, first: Era) -> Talk:
        recipe = self._recipe
        talk = recipe.talk(self._gone)
        exchange = talk.exchange
        child = talk.child = await Child.spawn(recipe.launch(), self._limits.child, talk)
        try:
            exchange.greeting = await negotiate(exchange, recipe.client, first, self._limits.probe_timeout)
            await recipe.restore(exchange)
            exchange.refuse_if_ended()
        except BaseException:
            child.kill()
            self._discard(child)
            raise
        return talk


def _other(era: Era) -> Era:
    return Era.LEGACY if era is Era.MODERN else Era.MODERN
