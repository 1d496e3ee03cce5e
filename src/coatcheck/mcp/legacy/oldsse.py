"""The deprecated HTTP+SSE transport (MCP 2024-11-05): one stream for everything, messages posted beside it.

A session lives as long as its stream. Where messages go is the first event; answers, notifications and
questions all come on the stream, and a POST is only told that it arrived.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from coatcheck.core.wire import ladder, messages
from coatcheck.mcp import refusing
from coatcheck.mcp.admission import Admission, Visit
from coatcheck.mcp.bodies import check_accepts_streams, check_body_media, read_one
from coatcheck.mcp.exchange import Exchanges, opener_of
from coatcheck.mcp.legacy.holding import hold
from coatcheck.mcp.legacy.sessions import Session, Sessions
from coatcheck.mcp.legacy.voices import Outward
from coatcheck.mcp.methods import Methods
from coatcheck.mcp.outlets import CONTROL, Item, Outlet, Receive, Send, item_of
from coatcheck.mcp.refusing import Reject
from coatcheck.mcp.relay import send_json
from coatcheck.mcp.request import Request
from coatcheck.mcp.routes import Entrance
from coatcheck.model.call import Call, Fault, Notice, Reply

MAX_UNDER_WAY: Final = 64
"""Requests of one session whose answers are not written yet."""
_SESSION_QUERY: Final = re.compile(rb"sessionId=([A-Za-z0-9_-]{1,64})\Z")
WRONG_VERSION: Final = "MCP-Protocol-Version differs from the version negotiated."
_NOT_OPEN: Final = "Send `initialize` first."


@dataclass(eq=False, slots=True)
class _Line:
    """One open stream: its session and the requests that will be answered on it."""

    session: Session
    outlet: Outlet
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def open(self, call: Call, session: Session | None, on_gone: Callable[[], None]) -> Outward:  # noqa: ARG002
        """Answer on the one stream there is (`exchange.Carrier`)."""
        return _OnLine(self.outlet, call.id)

    def answer(self, id: bytes, reply: Reply) -> None:
        """Send an answer that needs no waiting for."""
        self.outlet.put(Item(messages.response(id, reply), answers=id))

    async def quiet(self) -> None:
        """Wait until every request is answered."""
        while self.tasks:
            await asyncio.wait(self.tasks)


class _OnLine:
    """The way of one request's answer on the one stream of a session; implements `voices.Outward`."""

    streaming = True

    def __init__(self, outlet: Outlet, request_id: bytes) -> None:
        self._outlet = outlet
        self._request_id = request_id

    @property
    def reachable(self) -> bool:
        """Whether the stream is open."""
        return self._outlet.reachable

    def put(self, item: Item) -> None:
        """Send a message."""
        self._outlet.put(item)

    def notify(self, notice: Notice) -> None:
        """Send a notification."""
        self._outlet.put(item_of(notice))

    def pause(self, retry: int | None) -> None:
        """Go on: without event ids no client can come back."""

    async def answer(self, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:  # noqa: ARG002
        """Send the answer; there is no status on a stream."""
        self._outlet.put(Item(body, answers=self._request_id))
        await self._outlet.flush()

    async def finish(self, *, flush: bool) -> None:
        """Leave a request unanswered, as is owed for one that was cancelled."""

    def abandon(self) -> None:
        """Leave the stream to the others."""


class OldSse:
    """Serves `sse` and `message` of every route."""

    def __init__(
        self,
        admission: Admission,
        methods: Methods,
        sessions: Sessions,
        exchanges: Exchanges,
        body_limit: int,
    ) -> None:
        self._admission = admission
        self._methods = methods
        self._sessions = sessions
        self._exchanges = exchanges
        self._body_limit = body_limit
        self._lines: dict[str, _Line] = {}

    async def serve(self, visit: Visit, receive: Receive, send: Send, *, stopping: bool) -> int:
        """Answer one request and return the HTTP status sent.

        Raises:
            Reject: for anything that is no stream to open and no message of an open one.
        """
        wanted = "GET" if visit.route.entrance is Entrance.SSE else "POST"
        if visit.arrival.method != wanted:
            raise refusing.wrong_method(wanted.encode())
        if wanted == "POST":
            return await self._take(visit, receive, send, stopping=stopping)
        if stopping:
            raise refusing.stopping()
        return await self._open(visit, receive, send)

    # --- the stream ---

    async def _open(self, visit: Visit, receive: Receive, send: Send) -> int:
        check_accepts_streams(visit.arrival.headers)
        outlet = Outlet(send)
        session = self._sessions.open(visit.principal, _route_of(visit), outlet)
        line = self._lines[session.id] = _Line(session, outlet)
        outlet.write(b"event: endpoint\ndata: %b\n\n" % _messages_at(visit, session).encode(), CONTROL)
        grant_id = visit.principal.grant_id
        try:
            await hold(
                outlet,
                receive,
                self._exchanges.inflight,
                grant_id,
                lasting=True,
                before_stop=line.quiet,
            )
        finally:
            del self._lines[session.id]
            self._sessions.end(session.id, grant_id, session.route)
        return 200

    # --- messages ---

    async def _take(self, visit: Visit, receive: Receive, send: Send, *, stopping: bool) -> int:
        headers = visit.arrival.headers
        check_body_media(headers)
        message = await read_one(receive, headers, self._body_limit)
        visit = await self._admission.again(visit)
        line = self._line_of(visit, message)
        if not isinstance(message, Call):
            return await self._exchanges.accept(line.session, message, send)
        if stopping:
            raise refusing.stopping()
        self._begin(visit, line, message)
        await send_json(send, 202, b"", [])
        return 202

    def _line_of(self, visit: Visit, message: messages.Message) -> _Line:
        match = _SESSION_QUERY.match(visit.arrival.query)
        if match is None:
            raise refusing.no_session(400, message, "The query must be `sessionId` of an open stream.")
        id = match[1].decode("ascii")
        session = self._sessions.find(id, visit.principal.grant_id, _route_of(visit))
        if session is None or id not in self._lines:
            raise refusing.no_session(404, message, "Session not found: open a new stream.")
        version = visit.arrival.headers.get(ladder.VERSION_HEADER)
        if version is not None and session.caller.version not in {"", version[0].strip()}:
            raise refusing.no_session(400, message, WRONG_VERSION)
        session.renew(visit.principal)
        return self._lines[id]

    def _begin(self, visit: Visit, line: _Line, call: Call) -> None:
        if len(line.tasks) >= MAX_UNDER_WAY:
            line.answer(call.id, Fault(messages.INTERNAL_ERROR, "Too many requests at once."))
            return
        task = asyncio.create_task(self._answer(visit, line, call))
        line.tasks.add(task)
        task.add_done_callback(line.tasks.discard)

    async def _answer(self, visit: Visit, line: _Line, call: Call) -> None:
        session = line.session
        if session.ended:
            return  # between the message and now; its stream is closed
        opening = call.method == "initialize"
        caller = opener_of(call) if opening else session.caller
        asked = visit.asked(caller, call)
        request = Request(asked, visit.snapshot, visit.server, call, _no_notice, session.conversation)
        try:
            if opening:
                await self._initialize(request, line)
                return
            if session.conversation is None:
                fault = Fault(messages.INVALID_REQUEST, _NOT_OPEN)
                raise refusing.rpc_call(400, fault, call)
            self._exchanges.check(request)
            await self._exchanges.answer(request, session, line)
        except Reject as reject:
            await self._admission.note(visit, reject)
            line.outlet.put(Item(reject.body, answers=call.id))

    async def _initialize(self, request: Request, line: _Line) -> None:
        caller = request.asked.caller
        reply = await self._methods.initialize(request, caller.version)
        if not isinstance(reply, Fault):
            self._sessions.begin(line.session, caller, request.server)
        line.answer(request.call.id, reply)


def _route_of(visit: Visit) -> str:
    """Return what a session is bound to: sessions of the two transports are never taken for each other."""
    return f"{visit.record_route}/{Entrance.SSE}"


def _messages_at(visit: Visit, session: Session) -> str:
    """Return where messages go, as the client spelled the route."""
    place = visit.arrival.path.rstrip("/").removesuffix(Entrance.SSE)
    return f"{place}{Entrance.MESSAGE}?sessionId={session.id}"


def _no_notice(notice: object) -> None:
    """Take a notice that has no stream to go to."""
