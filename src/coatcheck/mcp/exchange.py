"""One request being answered: noted as under way, cancellable, and ended with exactly one answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.wire import eras, messages
from coatcheck.errors import LedgerUnavailable
from coatcheck.mcp import refusing
from coatcheck.mcp.methods import Methods, Request
from coatcheck.mcp.relay import Receive, Relay, Send
from coatcheck.mcp.sessions import Session
from coatcheck.model.call import Call, Fault, Reply
from coatcheck.model.era import Era
from coatcheck.operations.inflight import Cut, Entry, Inflight
from coatcheck.ports import Refused

UNRECORDED: Final = "The call could not be recorded, so it was not made. Try again later."
REVOKED: Final = "This grant was revoked."
STOPPING: Final = "This gateway is stopping."


@dataclass(frozen=True, slots=True)
class Wire:
    """The two directions of one HTTP request, and whether its client takes event streams."""

    receive: Receive
    send: Send
    streams: bool


class Exchanges:
    """Answers requests whose caller, server, method and params are known to be good."""

    def __init__(self, methods: Methods, inflight: Inflight) -> None:
        self._methods = methods
        self._inflight = inflight

    async def answer(self, request: Request, session: Session | None, wire: Wire) -> int:
        """Answer one request and return the HTTP status sent. `session` None means a modern client."""
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        entry = self._inflight.enter(request.asked.principal.grant_id, task)
        id = request.call.id
        if session is not None:
            session.under_way[id] = entry

        def gone() -> None:
            if session is None:  # for a legacy client, going away is no cancellation
                entry.cancel(Cut.DISCONNECTED)

        relay = Relay(wire.receive, wire.send, streams=wire.streams, on_gone=gone)
        try:
            return await self._perform(request.with_notify(relay.notify), relay, entry)
        finally:
            relay.abandon()
            self._inflight.leave(entry)
            if session is not None and session.under_way.get(id) is entry:
                del session.under_way[id]

    async def _perform(self, request: Request, relay: Relay, entry: Entry) -> int:
        call = request.call
        try:
            reply = await self._methods.answer(request)
            status = _status_of(reply, request.asked.caller.era)
            await relay.answer(status, messages.response(call.id, reply), [])
        except LedgerUnavailable:
            return await _fail(relay, call, UNRECORDED)
        except asyncio.CancelledError:
            if entry.cut is None:
                raise
            entry.task.uncancel()
            return await _cut_short(entry.cut, call, relay)
        return status


async def _cut_short(cut: Cut, call: Call, relay: Relay) -> int:
    """End a request that was cancelled: a revoked grant is told so where a status can still be sent."""
    if cut is Cut.REVOKED and not relay.streaming:
        refused = refusing.unauthorized(Refused("revoked", REVOKED))
        await relay.answer(refused.status, refused.body, refused.headers)
        return refused.status
    if cut is Cut.STOPPING:
        return await _fail(relay, call, STOPPING)
    await relay.end()
    return 200


async def _fail(relay: Relay, call: Call, sentence: str) -> int:
    """Answer 503: nothing was done that the caller asked for, or its outcome is not known."""
    fault = Fault(messages.INTERNAL_ERROR, sentence)
    await relay.answer(503, messages.response(call.id, fault), [])
    return 503


def _status_of(reply: Reply, era: Era) -> int:
    """Return the HTTP status of a reply: what a server or policy decides is 200 in both eras."""
    if isinstance(reply, Fault) and era is Era.MODERN and reply.code == eras.MISSING_CAPABILITY:
        return 400
    return 200
