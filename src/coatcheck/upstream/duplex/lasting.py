"""What outlives one child or session of a server: what it was told to keep, and our own subscription."""

from __future__ import annotations

import asyncio
from typing import Final

from coatcheck.core.wire import eras, notices
from coatcheck.core.wire.standing import Standing
from coatcheck.errors import UpstreamBadReply, UpstreamError
from coatcheck.model.call import Call, Fault, Notice, Reply, Result
from coatcheck.model.era import Era
from coatcheck.ports import Client
from coatcheck.upstream.duplex.exchange import Exchange

_AGAIN: Final = 5.0
"""Seconds after which a subscription that a server ended is asked for again."""


async def restore(exchange: Exchange, standing: Standing) -> None:
    """Tell a legacy server that was just greeted what the one before was told to keep.

    What it refuses now is passed over: the client hears of no answer twice.

    Raises:
        UpstreamError: it is gone.
    """
    for call in standing.calls() if exchange.greeting.era is Era.LEGACY else ():
        try:
            await exchange.call(call, eras.OURSELVES, own=True)
        except UpstreamBadReply:
            continue


def note(standing: Standing, call: Call, reply: Reply) -> None:
    """Take note of a call that the server answered, for `restore`."""
    if isinstance(reply, Result):
        standing.note(call)


class Attention:
    """Listens for the list changes that a modern server announces, while that is wanted.

    A legacy server is not asked: it says what changes by itself (SEP-2575).
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._exchange: Exchange | None = None
        self._listening: asyncio.Task[None] | None = None
        self.wanted = False

    def want(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes."""
        self.wanted = wanted
        self._settle()

    def follow(self, exchange: Exchange | None) -> None:
        """Turn to a server that was just greeted, or to none."""
        self._stop()
        self._exchange = exchange
        self._settle()

    def _settle(self) -> None:
        if not self.wanted:
            self._stop()
        elif self._listening is None and self._exchange is not None:
            self._listening = asyncio.get_running_loop().create_task(self._listen(self._exchange))

    def _stop(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _listen(self, exchange: Exchange) -> None:
        changes = notices.announced_changes(exchange.greeting.capabilities)
        if exchange.greeting.era is Era.LEGACY or changes is None:
            return
        call = Call(b"0", notices.LISTEN, {"notifications": changes})
        while True:
            try:
                reply = await exchange.call(call, eras.OURSELVES, self._tell, own=True)
            except UpstreamError:
                return  # gone: there will be another one to follow
            if isinstance(reply, Fault):
                return
            await asyncio.sleep(_AGAIN)

    def _tell(self, notice: Notice) -> None:
        if notice.method != notices.ACKNOWLEDGED:
            self._client.tell(notice)
