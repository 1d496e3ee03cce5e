"""The HTTP endpoint of the MCP routes: from an accepted head to one answer, in the order that leaks least.

Path, caller, server, method, media type, size, body, era, method table: the first check that fails answers.
"""

from __future__ import annotations

from typing import Final

from coatcheck.core.wire import eras, ladder, messages
from coatcheck.core.wire.framing import Arrival, Headers
from coatcheck.mcp import openings, refusing
from coatcheck.mcp.admission import Admission, Visit
from coatcheck.mcp.bodies import check_media, read_body
from coatcheck.mcp.exchange import Exchanges, Wire
from coatcheck.mcp.methods import Methods, Request
from coatcheck.mcp.refusing import RawHeaders, Reject
from coatcheck.mcp.relay import Receive, Send, send_json
from coatcheck.mcp.sessions import Session, Sessions
from coatcheck.model.call import Call, Caller, Fault
from coatcheck.model.era import MODERN_VERSIONS, Era
from coatcheck.operations.records import Asked
from coatcheck.operations.tally import Tally

_SESSION_HEADER: Final = "mcp-session-id"


class Endpoint:
    """Serves `/mcp` and `/mcp/<server>`."""

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
            return await self._serve_method(visit, receive, send)
        except Reject as reject:
            await self._admission.note(visit, reject)
            raise

    async def _serve_method(self, visit: Visit, receive: Receive, send: Send) -> int:
        arrival = visit.arrival
        if arrival.method == "DELETE" and not _says_modern(arrival.headers):
            self._end_session(visit)
            await send_json(send, 204, b"", [])
            return 204
        if arrival.method != "POST":
            raise refusing.wrong_method(b"POST" if _says_modern(arrival.headers) else b"POST, DELETE")
        if self.stopping:
            raise refusing.stopping()
        streams = check_media(arrival.headers)
        body = await read_body(receive, arrival.headers, self._body_limit)
        try:
            message = messages.read_message(body)
        except messages.Unreadable as error:
            raise refusing.rpc(400, Fault(error.number, error.message), error.id) from None
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

    async def _serve_legacy(self, visit: Visit, message: messages.Message, wire: Wire) -> int:
        if isinstance(message, Call) and message.method == "initialize":
            return await self._open_session(visit, message, wire.send)
        session = self._session_of(visit, message)
        if isinstance(message, messages.CallerReply):
            fault = Fault(messages.INVALID_REQUEST, "No request of this session waits for this reply.")
            raise refusing.rpc(400, fault, message.id)
        if isinstance(message, messages.CallerNotice):
            if message.method == "notifications/cancelled":
                session.cancel(message.params.get("requestId", b""))
            await send_json(wire.send, 202, b"", [])
            return 202
        return await self._answer(visit, session.caller, message, session, wire)

    async def _open_session(self, visit: Visit, call: Call, send: Send) -> int:
        version = openings.negotiate(call)
        caller = ladder.caller_of(Era.LEGACY, version, call.params.get("clientInfo"))
        reply = await self._methods.initialize(self._request(visit, caller, call), version)
        headers: RawHeaders = []
        if not isinstance(reply, Fault):
            session = self._sessions.open(visit.principal.grant_id, visit.record_route, caller)
            headers.append((_SESSION_HEADER.encode(), session.id.encode()))
        await send_json(send, 200, messages.response(call.id, reply), headers)
        return 200

    def _session_of(self, visit: Visit, message: messages.Message) -> Session:
        headers = visit.arrival.headers
        id = headers.get(_SESSION_HEADER)
        if id is None:
            raise _no_session(
                400, message, "Mcp-Session-Id is missing: open a session with `initialize` first."
            )
        session = self._sessions.find(id[0].strip(), visit.principal.grant_id, visit.record_route)
        if session is None:
            raise _no_session(404, message, "Session not found: open a new one with `initialize`.")
        version = headers.get(ladder.VERSION_HEADER)
        if version is not None and version[0].strip() != session.caller.version:
            raise _no_session(400, message, "MCP-Protocol-Version differs from the version negotiated.")
        return session

    def _end_session(self, visit: Visit) -> None:
        id = visit.arrival.headers.get(_SESSION_HEADER, ("",))[0].strip()
        self._sessions.end(id, visit.principal.grant_id, visit.record_route)

    # --- answering ---

    def _request(self, visit: Visit, caller: Caller, call: Call) -> Request:
        asked = Asked(visit.principal, caller, visit.record_route, visit.arrival.address)
        return Request(asked, visit.snapshot, visit.server, call, _no_notice)

    async def _answer(
        self,
        visit: Visit,
        caller: Caller,
        call: Call,
        session: Session | None,
        wire: Wire,
    ) -> int:
        request = self._request(visit, caller, call)
        if not self._methods.knows(caller.era, call.method) or not self._methods.offers(request):
            raise refusing.unknown_method(404 if session is None else 200, call)
        if wrong := ladder.check_params(call):
            raise refusing.rpc_call(400, wrong, call)
        return await self._exchanges.answer(request, session, wire)


def _says_modern(headers: Headers) -> bool:
    return headers.get(ladder.VERSION_HEADER, ("",))[0].strip() in MODERN_VERSIONS


def _no_session(status: int, message: messages.Message, sentence: str) -> Reject:
    fault = Fault(messages.INVALID_REQUEST, sentence)
    return (
        refusing.rpc_call(status, fault, message)
        if isinstance(message, Call)
        else refusing.rpc(status, fault)
    )


def _no_notice(notice: object) -> None:
    """Take a notice that has no stream to go to."""
