"""A server over streamable HTTP, of either era, as an `Upstream` (MCP 2025-11-25 and 2026-07-28)."""

from __future__ import annotations

import asyncio

from coatcheck.core.wire import eras, messages
from coatcheck.core.wire.messages import Incoming
from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.call import Call, Caller, Fault, Notice, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import HttpReach, Server
from coatcheck.ports import Ask, Notify, State, UpstreamStatus
from coatcheck.upstream.http.egress import Egress
from coatcheck.upstream.http.handshake import Handshake, Link
from coatcheck.upstream.http.line import HttpLimits, Line, open_line
from coatcheck.upstream.http.replies import Awaited, Forgotten

_Linked = tuple[Line, Link]


class HttpUpstream:
    """Greets the server on first use, once for all who wait, and again when the server has forgotten us.

    A caller's request is sent a second time in one case only: the server refused the session or the
    version that it was sent under, and so cannot have acted on it.
    """

    def __init__(self, server: Server, egress: Egress, limits: HttpLimits | None = None) -> None:
        if not isinstance(server.reach, HttpReach):
            raise TypeError("a server without a URL has no HttpUpstream")
        self._server = server
        self._reach = server.reach
        self._egress = egress
        self._limits = limits or HttpLimits()
        self._line: Line | None = None
        self._linked: _Linked | None = None
        self._linking: asyncio.Task[_Linked] | None = None
        self._state = State.IDLE
        self._last_error = ""
        self._in_flight = 0
        self._closing = False
        self._drained: asyncio.Future[None] | None = None

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        return self._server

    @property
    def state(self) -> State:
        """Where the server stands."""
        return self._state

    def status(self) -> UpstreamStatus:
        """Say how the server does, without asking it."""
        return UpstreamStatus(self._state, self._last_error, self._in_flight)

    async def greet(self) -> Greeting:
        """Return what the server said of itself, connecting first if need be."""
        self._enter()
        try:
            _, link = self._linked or await self._link()
        except UpstreamError as error:
            self._note(error)
            raise
        finally:
            self._leave()
        self._settle(State.READY, "")
        return link.greeting

    async def ask(self, what: Ask, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply."""
        params = {} if cursor is None else {"cursor": messages.raw_of(cursor)}
        return await self._request(Call(b"0", what.value, params), _drop, own=True)

    async def forward(self, permit: Permit, caller: Caller, notify: Notify) -> Reply:  # noqa: ARG002
        """Send the permitted call under an id of our own and return the server's reply."""
        return await self._request(permit.call, notify, own=False)

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then let go of everything."""
        if self._closing:
            return
        self._closing = True
        self._state = State.STOPPED
        if self._in_flight:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._drained], timeout=drain)
        if self._linking is not None:
            self._linking.cancel()
        if self._linked is not None and self._linked[1].session:
            line, link = self._linked
            await line.end_session(link.head)
        if self._line is not None:
            await self._line.close()

    # --- requests ------------------------------------------------------------------------------------------

    async def _request(self, call: Call, notify: Notify, *, own: bool) -> Reply:
        self._enter()
        try:
            reply = await self._send(call, notify, own=own)
        except UpstreamError as error:
            self._note(error)
            raise
        finally:
            self._leave()
        self._settle(State.READY, "")
        return reply

    async def _send(self, call: Call, notify: Notify, *, own: bool) -> Reply:
        linked = self._linked or await self._link()
        try:
            reply = await self._send_once(linked, call, notify, own=own)
            if not _is_version_refused(reply, linked[1]):
                return reply
        except Forgotten:
            pass
        if self._linked is linked:
            self._linked = None
        linked = self._linked or await self._link()
        return await self._send_once(linked, call, notify, own=own)

    async def _send_once(self, linked: _Linked, call: Call, notify: Notify, *, own: bool) -> Reply:
        line, link = linked

        def tell(notice: Notice) -> None:
            notify(line.redactor.redact_notice(notice))

        def serve(incoming: Incoming) -> None:
            if not link.modern:  # a modern server must not ask, so it gets no answer (SEP-2575)
                line.refuse(incoming, link.head)

        id = line.next_id()
        awaited = Awaited(line.server, id, call, tell, serve)
        token = id if eras.PROGRESS in call.meta else None
        params = eras.request_params(call, link.greeting.era, link.greeting.version, token)
        body = messages.request(id, call.method, params)
        request = line.heads.post(link.head_for(call.method, params), body)
        try:
            received = await line.exchange(request, awaited.take, again=own)
        except asyncio.CancelledError:
            if not link.modern and not own:
                line.cancel(id, link.head)
            raise
        return line.redactor.redact_reply(awaited.read(received))

    # --- the link ------------------------------------------------------------------------------------------

    async def _link(self) -> _Linked:
        """Greet the server, once for all who wait; one who gives up does not disturb the others."""
        linking = self._linking
        if linking is None or linking.done():
            self._linking = linking = asyncio.get_running_loop().create_task(self._open())
            linking.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(linking)
        except asyncio.CancelledError:
            if linking.cancelled() and self._closing:
                raise self._closed() from None
            raise

    async def _open(self) -> _Linked:
        if self._state is not State.READY:
            self._settle(State.STARTING, self._last_error)
        if self._line is None:
            self._line = await open_line(self._server.name, self._reach, self._egress, self._limits)
        handshake = Handshake(self._server.name, self._reach.transport, self._line, self._limits.connect)
        self._linked = linked = (self._line, await handshake.open())
        return linked

    # --- counting ------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        if self._closing:
            raise self._closed()
        self._in_flight += 1

    def _leave(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0 and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _note(self, error: UpstreamError) -> None:
        words = f"{error.message} ({error.detail})" if error.detail else error.message
        self._settle(State.FAILING, f"{words}; {error.fix}" if error.fix else words)

    def _settle(self, state: State, last_error: str) -> None:
        if not self._closing:
            self._state, self._last_error = state, last_error

    def _closed(self) -> UpstreamUnreachable:
        return UpstreamUnreachable(f"the gateway is letting go of {self._server.name}", fix="call again")


def _is_version_refused(reply: Reply, link: Link) -> bool:
    return link.modern and isinstance(reply, Fault) and reply.code == eras.UNSUPPORTED_VERSION


def _drop(_notice: Notice) -> None:
    return


def _retrieve(task: asyncio.Task[_Linked]) -> None:
    if not task.cancelled():
        task.exception()  # those who waited have it; without this, asyncio logs it if all of them left
