"""The requests that a server makes of its client: `ping` is answered here, the others by the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from coatcheck.core.redact import Redactor
from coatcheck.core.wire import messages
from coatcheck.core.wire.messages import Incoming
from coatcheck.model.call import Fault, Notice, Question, Reply, Result
from coatcheck.ports import Client

MAX_OPEN: Final = 64
"""Questions of one server that may wait for their answers at once."""
CANCELLED: Final = "notifications/cancelled"
_PONG: Final = Result(b"{}")
_TOO_MANY: Final = Fault(messages.INTERNAL_ERROR, "Too many requests wait for the client.")

Answer = Callable[[bytes, Reply], None]
"""Sends the server the answer to its request of this id. Never blocks and never raises."""


class Questions:
    """The questions of one server that are open. What a server asks is cleaned of its secrets first."""

    def __init__(self, client: Client, redactor: Redactor, answer: Answer) -> None:
        self._client = client
        self._redactor = redactor
        self._answer = answer
        self._open: dict[bytes, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)

    def take(self, incoming: Incoming, within: bytes | None) -> None:
        """Take a request of the server's; `within` as for `Voice.ask`. One of an id still open is ignored."""
        id, method = incoming.id, incoming.method
        if id is None or method is None or id in self._open:
            return
        if method == "ping":
            self._answer(id, _PONG)
        elif len(self._open) >= MAX_OPEN:
            self._answer(id, _TOO_MANY)
        else:
            clean = self._redactor.redact_notice(Notice(method, incoming.params))
            question = Question(clean.method, clean.params)
            self._open[id] = asyncio.get_running_loop().create_task(self._ask(id, question, within))

    def cancel(self, params: bytes) -> None:
        """Take the server's `notifications/cancelled`: the client is told, and no answer is sent."""
        members = messages.members_of(params) or {}
        task = self._open.pop(members.get("requestId", b""), None)
        if task is not None:
            task.cancel()

    def end(self) -> None:
        """Cancel all of them: the server is gone."""
        for id in list(self._open):
            self._open.pop(id).cancel()

    async def _ask(self, id: bytes, question: Question, within: bytes | None) -> None:
        task = asyncio.current_task()
        try:
            reply = await self._client.ask(question, within)
        finally:
            still_open = self._open.get(id) is task
            if still_open:
                del self._open[id]
        if still_open:
            self._answer(id, reply)
