"""One child and the exchange with it: lines become messages, and its death the end of every request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coatcheck.core.redact import Redactor
from coatcheck.core.wire.lines import Tail
from coatcheck.errors import UpstreamBadReply, UpstreamError, UpstreamLost, UpstreamUnreachable
from coatcheck.model.call import Reply
from coatcheck.ports import Client
from coatcheck.upstream.duplex.exchange import Exchange
from coatcheck.upstream.stdio.child import Child
from coatcheck.upstream.stdio.pipes import Backlogged

_JUNK_SHOWN: Final = 200

Gone = Callable[["Talk", str], None]
"""Hears that the child of a talk is gone, and why."""


class Talk:
    """Carries the messages of one exchange, and hears what its child does.

    `junk` counts the lines that were no message.
    """

    def __init__(self, name: str, client: Client, redactor: Redactor, tail: Tail, gone: Gone) -> None:
        self.child: Child | None = None
        self.exchange = Exchange(name, client, redactor, self, self._on_odd)
        self.junk = 0
        self.on_line = self.exchange.take
        """Takes one line of the child's standard output."""
        self.on_stderr = tail.feed
        """Keeps the last of what the child writes to its standard error."""
        self._name = name
        self._tail = tail
        self._tell_gone = gone

    # --- towards the child -------------------------------------------------------------------------------

    def send(self, message: bytes, reply: asyncio.Future[Reply]) -> None:  # noqa: ARG002 - see `Carrier`
        """Send a request.

        Raises:
            UpstreamUnreachable: the child does not read.
        """
        self._write(message)

    def recall(self, message: bytes, reply: asyncio.Future[Reply]) -> None:  # noqa: ARG002 - see `Carrier`
        """Send the cancellation of a request, if the child reads."""
        self.drop(message)

    def drop(self, message: bytes) -> bool:
        """Send an answer or a notification, if the child reads; tell whether it does."""
        try:
            self._write(message)
        except UpstreamUnreachable:
            return False
        return True

    async def deliver(self, message: bytes) -> None:
        """Send a notification.

        Raises:
            UpstreamUnreachable: the child does not read.
        """
        self._write(message)

    def _write(self, message: bytes) -> None:
        if b"\n" in message or b"\r" in message:  # between values only: within strings they are escaped
            message = message.replace(b"\r", b" ").replace(b"\n", b" ")
        try:
            if self.child is None:
                raise Backlogged
            self.child.write(message)
        except Backlogged:
            raise UpstreamUnreachable(f"{self._name} has stopped reading requests") from None

    # --- from the child ----------------------------------------------------------------------------------

    def _on_odd(self, line: bytes) -> None:
        self.junk += 1
        self._tail.add_line(b"(stdout, no message) " + line[:_JUNK_SHOWN])

    def on_gone(self, cause: str, *, oversized: bool) -> None:
        """Fail every request under way: the child will not answer."""
        name, detail = self._name, f"{self._name} {cause}"

        def failure() -> UpstreamError:
            if oversized:
                return UpstreamBadReply(
                    f"{name} sent an answer that is too large", detail=detail, reached=True
                )
            return UpstreamLost(f"{name} stopped before it answered", detail=detail, reached=True)

        def refusal() -> UpstreamError:
            return UpstreamLost(f"{name} stopped before the request was sent", detail=detail)

        self.exchange.end(failure, refusal)
        self._tell_gone(self, cause)
