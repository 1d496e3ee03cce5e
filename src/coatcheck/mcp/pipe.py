"""The surface for one local client that speaks one message a line (MCP, stdio transport)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from coatcheck.core.wire import ladder, messages
from coatcheck.core.wire.eras import META_VERSION
from coatcheck.errors import LedgerUnavailable
from coatcheck.mcp.admission import Admission, caller_of
from coatcheck.mcp.exchange import REVOKED, STOPPING, UNRECORDED, opener_of
from coatcheck.mcp.legacy.sessions import Session, Sessions
from coatcheck.mcp.methods import Methods
from coatcheck.mcp.outlets import Item
from coatcheck.mcp.request import Request
from coatcheck.model.call import Call, Caller, Fault, Notice, Reply
from coatcheck.model.era import Era
from coatcheck.model.grant import Principal
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.hearing.watches import LISTEN
from coatcheck.operations.inflight import Cut, Entry, Inflight
from coatcheck.operations.records import Asked
from coatcheck.ports import Presented, Refused

ROUTE: Final = "stdio"
"""The route on records of this surface."""
MAX_UNDER_WAY: Final = 256
_NOT_OPEN: Final = "Send `initialize` first."
_TOLD: Final = {
    Cut.STOPPING: Fault(messages.INTERNAL_ERROR, STOPPING),
    Cut.REVOKED: Fault(messages.INVALID_REQUEST, REVOKED),
}
"""What a client is told of its requests that were cut short."""


class _Line:
    """The pipe as the one way to its client (`outlets.StandingWay`)."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self.reachable = True

    def put(self, item: Item) -> None:
        """Write a message."""
        if self.reachable:
            self._write(item.message)

    def end(self) -> None:
        """Write no more of one's own accord; answers still come."""
        self.reachable = False

    def cut(self) -> None:
        """End."""
        self.end()


class Pipe:
    """Answers the lines of one client on the aggregated route. `write` takes a message without its newline.

    `presented` is what the client's environment brings: every request is judged by it anew, so that ending
    the grant ends the client's access.
    """

    def __init__(
        self,
        admission: Admission,
        methods: Methods,
        sessions: Sessions,
        inflight: Inflight,
        presented: Presented,
        write: Callable[[bytes], None],
    ) -> None:
        self._admission = admission
        self._methods = methods
        self._sessions = sessions
        self._inflight = inflight
        self._presented = presented
        self._write = write
        self._caller: Caller | None = None
        self._session: Session | None = None
        self._under_way: dict[bytes, Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._relaying: set[asyncio.Task[None]] = set()
        self._gone = False

    def receive(self, line: bytes) -> None:
        """Take one line; the answer is written when it is there, in whatever order."""
        try:
            message: messages.Message | messages.Unreadable = messages.read_message(line)
        except messages.Unreadable as error:
            message = error
        if isinstance(message, Call | messages.Unreadable):
            if len(self._tasks) >= MAX_UNDER_WAY:
                fault = Fault(messages.INTERNAL_ERROR, "Too many requests at once.")
                self._answer(message.id or b"null", fault)
                return
            _keep(self._tasks, self._serve(message))
        elif self._session is not None and isinstance(message, messages.CallerReply):
            self._session.hear(message)
        elif isinstance(message, messages.CallerNotice):
            self._take_notice(message)

    def _take_notice(self, notice: messages.CallerNotice) -> None:
        if notice.method == "notifications/cancelled":
            entry = self._under_way.get(notice.params.get("requestId", b""))
            if entry is not None:
                entry.cancel(Cut.CANCELLED)
        elif self._session is not None:
            _keep(self._relaying, self._session.relay(notice))

    async def drain(self) -> None:
        """Wait for every answer under way; the client may have closed its side after its last question."""
        session, self._gone = self._session, True
        if session is not None:
            session.voice.close()  # it answers nothing any more
        for entry in list(self._under_way.values()):
            if entry.lasting:
                entry.cancel(Cut.DISCONNECTED)
        while self._tasks or self._relaying:
            await asyncio.wait(self._tasks | self._relaying)
        if session is not None:
            self._sessions.end(session.id, session.grant_id, ROUTE)

    async def _serve(self, message: Call | messages.Unreadable) -> None:
        snapshot, who = await self._admission.identify(self._presented)
        if isinstance(who, Refused):
            await self._admission.note_refused(who, ROUTE, "")
            self._answer(message.id or b"null", Fault(messages.INVALID_REQUEST, who.sentence))
        elif isinstance(message, Call):
            await self._serve_call(message, who, snapshot)
        else:
            fault = Fault(message.number, message.message)
            await self._admission.note_fault(
                Asked(who, caller_of(None), ROUTE, "", policy=snapshot.policy), None, fault
            )
            self._answer(message.id or b"null", fault)

    async def _serve_call(self, call: Call, who: Principal, snapshot: Snapshot) -> None:
        caller = self._caller_of(call)
        known = caller_of(call) if isinstance(caller, Fault) else caller
        asked = Asked(who, known, ROUTE, "", None, call.id, snapshot.policy)
        conversation = self._session.conversation if self._session is not None else None
        if asked.caller.era is Era.MODERN:
            conversation = None
        request = Request(asked, snapshot, None, call, self._notify, conversation)
        fault = caller if isinstance(caller, Fault) else self._wrong(request)
        if fault is not None:
            await self._admission.note_fault(asked, call, fault)
            self._answer(call.id, fault)
            return
        await self._perform(request)

    def _caller_of(self, call: Call) -> Caller | Fault:
        """Return who the client says it is: in the request itself (modern) or in the handshake (legacy)."""
        if call.method == "initialize":
            self._caller = opener_of(call)
            return self._caller
        if META_VERSION in call.meta:
            caller = ladder.climb(None, call)
            return caller.fault if isinstance(caller, ladder.Rejection) else caller
        return self._caller or Fault(messages.INVALID_REQUEST, _NOT_OPEN)

    def _wrong(self, request: Request) -> Fault | None:
        """Return what is wrong with a request before anything is done for it."""
        call, era = request.call, request.asked.caller.era
        if call.method == "initialize":
            return None
        if not self._methods.knows(era, call.method) or not self._methods.offers(request):
            return Fault(messages.METHOD_NOT_FOUND, f"Unknown method: {call.method[:100]}")
        return ladder.check_params(call)

    async def _perform(self, request: Request) -> None:
        call = request.call
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        lasting = call.method == LISTEN
        if lasting and self._gone:
            return
        entry = self._inflight.enter(request.asked.principal.grant_id, task, lasting=lasting)
        self._under_way[call.id] = entry
        try:
            self._answer(call.id, await self._reply(request))
        except LedgerUnavailable:
            self._answer(call.id, Fault(messages.INTERNAL_ERROR, UNRECORDED))
        except asyncio.CancelledError:
            if entry.cut is None:
                raise
            if entry.cut in _TOLD:  # what the client itself cancelled gets no answer
                self._answer(call.id, _TOLD[entry.cut])
        finally:
            self._inflight.leave(entry)
            if self._under_way.get(call.id) is entry:
                del self._under_way[call.id]

    async def _reply(self, request: Request) -> Reply:
        if request.call.method != "initialize":
            return await self._methods.answer(request)
        caller = request.asked.caller
        reply = await self._methods.initialize(request, caller.version)
        if not isinstance(reply, Fault):
            self._begin(request.asked.principal, caller)
        return reply

    def _begin(self, principal: Principal, caller: Caller) -> None:
        """Open the client's session; what it had at servers before ends."""
        if self._session is None or self._session.ended:
            self._session = self._sessions.open(principal, ROUTE, _Line(self._write))
        self._sessions.begin(self._session, caller, None)

    def _notify(self, notice: Notice) -> None:
        self._write(messages.notification(notice.method, notice.params))

    def _answer(self, id: bytes, reply: Reply) -> None:
        self._write(messages.response(id, reply))


def _keep(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
