"""The HTTP endpoint of the MCP routes: from an accepted head to one answer, in the order that leaks least.

Path, caller, server, method, media type, size, body, era, method table: the first check that fails answers.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from coatcheck.core.wire import eras, ladder, messages
from coatcheck.core.wire.framing import Arrival, Headers
from coatcheck.mcp import refusing
from coatcheck.mcp.admission import Admission, Visit
from coatcheck.mcp.bodies import check_accepts_streams, check_media, read_one
from coatcheck.mcp.exchange import Exchanges, Wire, opener_of
from coatcheck.mcp.legacy.holding import serve_stream
from coatcheck.mcp.legacy.oldsse import WRONG_VERSION, OldSse
from coatcheck.mcp.legacy.sessions import Session, Sessions
from coatcheck.mcp.methods import Methods
from coatcheck.mcp.outlets import Receive, Send
from coatcheck.mcp.refusing import RawHeaders, Reject
from coatcheck.mcp.relay import send_json
from coatcheck.mcp.request import Request
from coatcheck.mcp.routes import Entrance
from coatcheck.model.call import Call, Caller, Fault
from coatcheck.model.era import MODERN_VERSIONS, Era
from coatcheck.operations.tally import Tally

_SESSION_HEADER: Final = "mcp-session-id"
_EVENT_HEADER: Final = "last-event-id"


class Endpoint:
    """Serves `/mcp` and `/mcp/<server>`, and what stands beside them for clients of the old transport."""

    def __init__(
        self,
        admission: Admission,
        methods: Methods,
        sessions: Sessions,
        exchanges: Exchanges,
        tally: Tally,
        body_limit: int,
    ) -> None:
        self._admission = admission
        self._methods = methods
        self._sessions = sessions
        self._exchanges = exchanges
        self._tally = tally
        self._body_limit = body_limit
        self._old = OldSse(admission, methods, sessions, exchanges, body_limit)
        self.stopping = False

    async def serve(self, arrival: Arrival, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            visit = await self._admission.admit(arrival)
            status = await self._receive(visit, receive, send)
        except Reject as reject:
            status = reject.status
            await send_json(send, status, reject.body, reject.headers)
        self._tally.answered("mcp", status)

    # --- what ---

    async def _receive(self, visit: Visit, receive: Receive, send: Send) -> int:
        try:
            if visit.lost:
                raise refusing.no_server()
            if visit.route.entrance is not Entrance.STREAMABLE:
                return await self._old.serve(visit, receive, send, stopping=self.stopping)
            return await self._serve_method(visit, receive, send)
        except Reject as reject:
            await self._admission.note(visit, reject)
            raise

    async def _serve_method(self, visit: Visit, receive: Receive, send: Send) -> int:
        arrival = visit.arrival
        if arrival.method != "POST":
            if _says_modern(arrival.headers):
                raise refusing.wrong_method(b"POST")
            return await self._serve_session(visit, receive, send)
        streams = check_media(arrival.headers)
        message = await read_one(receive, arrival.headers, self._body_limit)
        visit = await self._admission.again(visit)
        if visit.lost:
            raise refusing.no_server()
        if self.stopping and isinstance(message, Call):
            raise refusing.stopping()  # replies and cancelling still help what is under way to its end
        wire = Wire(receive, send, streams)
        if ladder.is_modern(arrival.headers, message):
            return await self._serve_modern(visit, message, wire)
        return await self._serve_legacy(visit, message, wire)

    async def _serve_modern(self, visit: Visit, message: messages.Message, wire: Wire) -> int:
        if isinstance(message, messages.CallerReply):
            fault = Fault(messages.INVALID_REQUEST, "This protocol version has no requests to reply to.")
            raise refusing.rpc(400, fault, message.id)
        if isinstance(message, messages.CallerNotice):
            version = visit.arrival.headers.get(ladder.VERSION_HEADER, ("",))[0].strip()
            if version not in MODERN_VERSIONS:
                raise refusing.rpc(400, eras.unsupported(version))
            await send_json(wire.send, 202, b"", [])  # nothing a client may notify of concerns us
            return 202
        caller = ladder.climb(visit.arrival.headers, message)
        if isinstance(caller, ladder.Rejection):
            known = self._methods.knows(Era.MODERN, message.method)
            if caller.fault.code == eras.HEADER_MISMATCH and not known:
                raise refusing.unknown_method(404, message)  # whatever its headers say
            raise refusing.rpc_call(caller.status, caller.fault, message)
        return await self._answer(visit, caller, message, None, wire)

    # --- legacy sessions ---

    async def _serve_session(self, visit: Visit, receive: Receive, send: Send) -> int:
        arrival = visit.arrival
        if arrival.method == "DELETE":
            self._end_session(visit)
            await send_json(send, 204, b"", [])
            return 204
        if arrival.method != "GET":
            raise refusing.wrong_method(b"GET, POST, DELETE")
        check_accepts_streams(arrival.headers)
        session = self._session_of(visit, None)
        event_id = arrival.headers.get(_EVENT_HEADER)
        seen = event_id[0].strip() if event_id is not None else None
        if self.stopping and seen is None:
            raise refusing.stopping()
        return await serve_stream(session, self._exchanges.inflight, receive, send, seen)

    async def _serve_legacy(self, visit: Visit, message: messages.Message, wire: Wire) -> int:
        if isinstance(message, Call) and message.method == "initialize":
            return await self._open_session(visit, message, wire.send)
        session = self._session_of(visit, message)
        if not isinstance(message, Call):
            return await self._exchanges.accept(session, message, wire.send)
        return await self._answer(visit, session.caller, message, session, wire)

    async def _open_session(self, visit: Visit, call: Call, send: Send) -> int:
        caller = opener_of(call)
        reply = await self._methods.initialize(self._request(visit, caller, call, None), caller.version)
        headers: RawHeaders = []
        if not isinstance(reply, Fault):
            visit = await self._admission.again(visit)
            session = self._sessions.open(visit.principal, visit.record_route)
            self._sessions.begin(session, caller, visit.server)
            headers.append((_SESSION_HEADER.encode(), session.id.encode()))
        await send_json(send, 200, messages.response(call.id, reply), headers)
        return 200

    def _session_of(self, visit: Visit, message: messages.Message | None) -> Session:
        headers = visit.arrival.headers
        id = headers.get(_SESSION_HEADER)
        if id is None:
            sentence = "Mcp-Session-Id is missing: open a session with `initialize` first."
            missing = refusing.no_session(400, message, sentence)
            raise refusing.counted(missing) if message is None else missing
        session = self._sessions.find(id[0].strip(), visit.principal.grant_id, visit.record_route)
        if session is None:
            raise refusing.no_session(404, message, "Session not found: open a new one with `initialize`.")
        version = headers.get(ladder.VERSION_HEADER)
        if version is not None and version[0].strip() != session.caller.version:
            raise refusing.no_session(400, message, WRONG_VERSION)
        session.renew(visit.principal)
        return session

    def _end_session(self, visit: Visit) -> None:
        id = visit.arrival.headers.get(_SESSION_HEADER, ("",))[0].strip()
        self._sessions.end(id, visit.principal.grant_id, visit.record_route)

    # --- answering ---

    def _request(self, visit: Visit, caller: Caller, call: Call, session: Session | None) -> Request:
        conversation = session.conversation if session is not None else None
        headers = visit.arrival.headers if caller.era is Era.MODERN else None
        asked = visit.asked(caller, call, headers)
        return Request(asked, visit.snapshot, visit.server, call, _no_notice, conversation)

    def _answer(
        self,
        visit: Visit,
        caller: Caller,
        call: Call,
        session: Session | None,
        wire: Wire,
    ) -> Awaitable[int]:
        request = self._request(visit, caller, call, session)
        self._exchanges.check(request)
        return self._exchanges.answer(request, session, wire)


def _says_modern(headers: Headers) -> bool:
    return headers.get(ladder.VERSION_HEADER, ("",))[0].strip() in MODERN_VERSIONS


def _no_notice(notice: object) -> None:
    """Take a notice that has no stream to go to."""
