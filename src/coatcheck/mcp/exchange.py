"""One request being answered: noted as under way, cancellable, and ended with exactly one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from coatcheck.core.recording.receipts import receipt_of
from coatcheck.core.wire import eras, ladder, messages
from coatcheck.errors import LedgerUnavailable
from coatcheck.mcp import openings, refusing
from coatcheck.mcp.bodies import Streams
from coatcheck.mcp.legacy.sessions import Session
from coatcheck.mcp.legacy.voices import Outward
from coatcheck.mcp.methods import Methods
from coatcheck.mcp.outlets import Receive, Send
from coatcheck.mcp.refusing import RawHeaders
from coatcheck.mcp.relay import Relay, send_json
from coatcheck.mcp.request import Request
from coatcheck.model.call import Call, Caller, Fault, Reply
from coatcheck.model.era import Era
from coatcheck.operations.hearing.watches import LISTEN
from coatcheck.operations.inflight import Cut, Entry, Inflight
from coatcheck.ports import Refused

RECEIPT: Final = b"coatcheck-receipt"
UNRECORDED: Final = "The call could not be recorded, so it was not made. Try again later."
REVOKED: Final = "This grant was revoked, or the account that it belongs to was disabled."
EXPIRED: Final = "This grant has expired."
STOPPING: Final = "This gateway is stopping."

_OVER: Final = {Cut.REVOKED: Refused("revoked", REVOKED), Cut.EXPIRED: Refused("expired", EXPIRED)}
"""The grant is no good any more: what is under way is cut at once."""
_BAD_REQUEST: Final = frozenset({eras.MISSING_CAPABILITY, eras.HEADER_MISMATCH})
"""Errors that are HTTP 400 to a modern client (MCP 2026-07-28, streamable HTTP)."""


class Carrier(Protocol):
    """Makes the way on which one request is answered."""

    def open(self, call: Call, session: Session | None, on_gone: Callable[[], None]) -> Outward:
        """Return the way; `on_gone` is called if the client goes away and cannot come back."""
        ...


class Wire(msgspec.Struct, frozen=True):
    """The two directions of one HTTP request, and what its client makes of event streams."""

    receive: Receive
    send: Send
    streams: Streams

    def open(self, call: Call, session: Session | None, on_gone: Callable[[], None]) -> Outward:
        """Answer on the response to this very request."""
        kept = session.voice.streams if session is not None else None
        return Relay(
            self.receive,
            self.send,
            streams=self.streams is not Streams.REFUSED,
            preferred=kept is not None and self.streams is Streams.PREFERRED,
            on_gone=on_gone,
            session_streams=kept,
            request_id=call.id,
        )


class Exchanges:
    """Answers requests whose caller and server are known to be good, and takes what owes no answer.

    Answers that have a status of their own carry the receipt of their outcome, if `log` names the ledger.
    """

    def __init__(self, methods: Methods, inflight: Inflight, log: str = "") -> None:
        self._methods = methods
        self._log = log
        self.inflight = inflight

    def check(self, request: Request) -> None:
        """Refuse methods that are not served and params of the wrong shape.

        Raises:
            Reject: 404 (modern) or 200 (legacy), or 400.
        """
        call, era = request.call, request.asked.caller.era
        if not self._methods.knows(era, call.method) or not self._methods.offers(request):
            raise refusing.unknown_method(404 if era is Era.MODERN else 200, call)
        if wrong := ladder.check_params(call):
            raise refusing.rpc_call(400, wrong, call)

    async def accept(
        self, session: Session, message: messages.CallerNotice | messages.CallerReply, send: Send
    ) -> int:
        """Take a notification, or a reply to a question of ours, and return the HTTP status sent."""
        if isinstance(message, messages.CallerReply):
            session.hear(message)
        elif message.method == "notifications/cancelled":
            session.cancel(message.params.get("requestId", b""))
        await send_json(send, 202, b"", [])
        if isinstance(message, messages.CallerNotice):
            await session.relay(message)
        return 202

    async def answer(self, request: Request, session: Session | None, carrier: Carrier) -> int:
        """Answer one request and return the HTTP status sent. `session` None means a modern client."""
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        lasting = request.call.method == LISTEN
        route = request.server.id if request.server is not None else None
        entry = self.inflight.enter(request.asked.principal.grant_id, task, lasting=lasting, server_id=route)
        id = request.call.id

        def gone() -> None:
            if session is None:  # for a legacy client, going away is no cancellation
                entry.cancel(Cut.DISCONNECTED)

        way = carrier.open(request.call, session, gone)
        if session is not None:
            session.enter(id, entry, way)
        try:
            return await self._perform(request.with_notify(way.notify), way, entry)
        finally:
            way.abandon()
            self.inflight.leave(entry)
            if session is not None:
                session.leave(id, entry, way)

    def _headers(self, request: Request) -> RawHeaders:
        slip = request.asked.slip
        if not self._log or slip is None or slip.receipt is None:
            return []
        return [(RECEIPT, receipt_of(self._log, slip.receipt).encode("ascii"))]

    async def _perform(self, request: Request, way: Outward, entry: Entry) -> int:
        call = request.call
        try:
            reply = await self._methods.answer(request)
            status = _status_of(reply, request.asked.caller.era)
            await way.answer(status, messages.response(call.id, reply), self._headers(request))
        except LedgerUnavailable:
            return await _fail(way, call, UNRECORDED)
        except asyncio.CancelledError:
            if entry.cut is None:
                raise
            entry.task.uncancel()
            return await _cut_short(entry.cut, call, way)
        return status


async def _cut_short(cut: Cut, call: Call, way: Outward) -> int:
    """End a request that was cancelled: a grant that ended is told so where a status can still be sent."""
    if cut in _OVER and not way.streaming:
        refused = refusing.unauthorized(_OVER[cut])
        await way.answer(refused.status, refused.body, refused.headers)
        return refused.status
    if cut is Cut.STOPPING:
        return await _fail(way, call, STOPPING)
    await way.finish(flush=cut not in _OVER)
    return 200


async def _fail(way: Outward, call: Call, sentence: str) -> int:
    """Answer 503: nothing was done that the caller asked for, or its outcome is not known."""
    fault = Fault(messages.INTERNAL_ERROR, sentence)
    await way.answer(503, messages.response(call.id, fault), [])
    return 503


def _status_of(reply: Reply, era: Era) -> int:
    """Return the HTTP status of a reply: what a server or policy decides is 200 in both eras."""
    if isinstance(reply, Fault) and era is Era.MODERN and reply.code in _BAD_REQUEST:
        return 400
    return 200


def opener_of(call: Call) -> Caller:
    """Return who opens a session with `initialize`, in the version negotiated."""
    capabilities = call.params.get("capabilities", b"")
    declared = capabilities if capabilities.startswith(b"{") else b"{}"
    version = openings.negotiate(call)
    return ladder.caller_of(Era.LEGACY, version, call.params.get("clientInfo"), declared)
