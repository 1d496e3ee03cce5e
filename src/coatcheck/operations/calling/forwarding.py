"""The last step of a permitted call: to the server and back, with what the eras owe on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Final

import msgspec
from msgspec.structs import replace

from coatcheck.core.wire import eras, levels, messages, param_headers
from coatcheck.core.wire.standing import SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE
from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.call import Call, Caller, Fault, Kind, Notice, Reply, Result
from coatcheck.model.decision import Decision, Permit
from coatcheck.model.era import Era
from coatcheck.operations.calling.patience import CallTimes, Patience
from coatcheck.operations.calling.states import States, asks_for_input
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.reaching.served import Served
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Asked, Matter
from coatcheck.ports import Hop, Notify

_OF_RESOURCES: Final = frozenset({"resources/read", SUBSCRIBE, UNSUBSCRIBE})
"""Requests for resources that need not be listed: templates and links lead to more than a list holds."""
_UNLISTED: Final = _OF_RESOURCES | {SET_LEVEL}
"""Requests for what no list names."""
_NO_SUCH_RESOURCE: Final = frozenset({eras.LEGACY_RESOURCE_NOT_FOUND, messages.INVALID_PARAMS})
"""What servers of either era answer to the URI of nothing; a read has no other params to be invalid."""
_QUARANTINED: Final = "quarantined"
_PROGRESS: Final = "notifications/progress"
_NEEDS_ROUNDS: Final = Fault(
    eras.MISSING_CAPABILITY,
    "The server asks for input in a way that this client's protocol version does not have.",
)
_BAD_STATE: Final = Fault(messages.INTERNAL_ERROR, "The server gave a requestState that is no string.")


class NotForwarded(Exception):
    """The call does not go to the server, or its answer not to the caller. `fault` None: no such thing."""

    def __init__(self, detail: str, fault: Fault | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fault = fault


class Errand(msgspec.Struct, frozen=True):
    """A permitted call with all that belongs to it. `judge` decides again on the same call in other words.

    `hop` is filled in while it is forwarded.
    """

    asked: Asked
    matter: Matter
    permit: Permit
    judge: Callable[[Call], Decision]
    notify: Notify
    shown: str
    conversation: Conversation | None
    hop: Hop = msgspec.field(default_factory=Hop)

    @property
    def caller(self) -> Caller:
        """Who calls, with the log level that its session was set to."""
        return self.conversation.caller if self.conversation is not None else self.asked.caller


class Forwarding:
    """Forwards permitted calls."""

    def __init__(self, servers: Servers, times: CallTimes, states: States) -> None:
        self._servers = servers
        self._times = times
        self._states = states

    async def forward(self, errand: Errand) -> Reply:
        """Return the server's reply, fit for the caller.

        A server's own words for a thing that does not exist are not passed on: a hidden name must get what
        an unknown one gets.

        Raises:
            NotForwarded: no such thing, or headers or state are wrong.
            UpstreamError: the server fails.
            Busy: there is no place for a child of the client's own.
            TimeoutError: patience has run out.
        """
        permit, conversation = errand.permit, errand.conversation
        patience = Patience(self._times)
        waiting = (
            conversation.waiting(permit.server, permit.call.id, patience) if conversation else nullcontext()
        )
        with patience, waiting:
            return await self._forward(errand, _notifier(errand, patience))

    async def _forward(self, errand: Errand, notify: Notify) -> Reply:
        permit, call = errand.permit, errand.permit.call
        reach = errand.conversation or self._servers
        if call.method not in _UNLISTED and not await reach.of(permit.server).offers(permit.target):
            raise NotForwarded(_why_not_offered(reach.of(permit.server), permit))
        served = reach.of(permit.server)
        _check_headers(errand, served)
        permit = _with_headers(errand, served)
        try:
            reply = await served.forward(permit, errand.caller, notify, errand.hop)
        except UpstreamCredentialRefused:
            if not reach.renew(served):
                raise
            # Another credential is in force by now, and what is refused with 401 or 403 was not acted on.
            served = _still_shown(reach.of(permit.server), permit)
            permit = _with_headers(errand, served)
            reply = await served.forward(permit, errand.caller, notify, errand.hop)
        if _is_headers_refused(reply, call, served):
            await served.ask()
            renewed = _with_headers(errand, _still_shown(served, permit))
            if renewed.call.mirrored != permit.call.mirrored:  # refused before it was acted on
                reply = await reach.of(permit.server).forward(renewed, errand.caller, notify, errand.hop)
        if call.method in _OF_RESOURCES and isinstance(reply, Fault) and reply.code in _NO_SUCH_RESOURCE:
            raise NotForwarded("no such name")
        if isinstance(reply, Result) and asks_for_input(reply):
            return self._sealed(reply, errand)
        return reply

    def _sealed(self, result: Result, errand: Errand) -> Reply:
        permit, asked = errand.permit, errand.asked
        if asked.caller.era is Era.LEGACY:
            raise NotForwarded("the server asks for input", _NEEDS_ROUNDS)
        sealed = self._states.seal(result, permit.call, asked.principal, permit.server, permit.target)
        if sealed is None:
            raise NotForwarded("a requestState that is no string", _BAD_STATE)
        return sealed


def _why_not_offered(served: Served, permit: Permit) -> str:
    held_back = served.catalogue.held_back if served.catalogue is not None else {}
    is_held = permit.target.kind is Kind.TOOL and permit.target.name in held_back
    return _QUARANTINED if is_held else "no such name"


def _still_shown(served: Served, permit: Permit) -> Served:
    """Return the server for a second try, unless its lists came to hold the tool back since the first one.

    Raises:
        NotForwarded: they did.
    """
    detail = _why_not_offered(served, permit)
    if detail == _QUARANTINED:
        raise NotForwarded(detail)
    return served


def _notifier(errand: Errand, patience: Patience) -> Notify:
    """Return what takes the notices of a call: those that the caller asked for, each a sign of life."""
    caller, notify = errand.caller, errand.notify

    def take(notice: Notice) -> None:
        if notice.method == _PROGRESS:
            patience.renew()
        if notice.method != levels.MESSAGE or _wants(caller, notice):
            notify(notice)

    return take


def _wants(caller: Caller, notice: Notice) -> bool:
    """Tell whether a caller wants a log message: a modern one only those that it asked for (SEP-2575)."""
    if not caller.log_level:
        return caller.era is Era.LEGACY
    return levels.passes(notice, caller.log_level)


# --- headers of a tool's own (SEP-2243) ------------------------------------------------------------------


def _annotations(call: Call, errand: Errand, served: Served) -> param_headers.Annotations:
    if call.method != "tools/call" or served.catalogue is None:
        return {}
    return served.catalogue.mirrored.get(errand.permit.target.name, {})


def _check_headers(errand: Errand, served: Served) -> None:
    """Refuse a modern request over HTTP whose headers say something else than its arguments."""
    headers, call = errand.asked.headers, errand.permit.call
    if headers is None:
        return
    annotations = _annotations(call, errand, served)
    wrong = param_headers.mismatch(annotations, call.params.get("arguments", b"{}"), headers)
    if wrong:
        raise NotForwarded("headers that differ from the arguments", Fault(eras.HEADER_MISMATCH, wrong))


def _with_headers(errand: Errand, served: Served) -> Permit:
    """Return the permit for the call with the headers that the server wants beside it."""
    call = errand.permit.call
    annotations = _annotations(call, errand, served)
    if not annotations:
        return errand.permit
    headers = tuple(param_headers.headers_for(annotations, call.params.get("arguments", b"{}")))
    decision = errand.judge(replace(call, mirrored=headers))
    return decision if isinstance(decision, Permit) else errand.permit


def _is_headers_refused(reply: Reply, call: Call, served: Served) -> bool:
    if not isinstance(reply, Fault) or reply.code != eras.HEADER_MISMATCH or call.method != "tools/call":
        return False
    return served.catalogue is not None and served.catalogue.greeting.era is Era.MODERN
