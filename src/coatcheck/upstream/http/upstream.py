"""A server over streamable HTTP, of either era, as an `Upstream` (MCP 2025-11-25 and 2026-07-28)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from coatcheck.core.wire import eras
from coatcheck.core.wire.notices import LISTEN
from coatcheck.core.wire.standing import STANDING
from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.call import Call, Caller, Fault, Notice, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.server import HttpReach, Server
from coatcheck.ports import Ask, Client, Hop, Notify, ProbeCall, State, UpstreamStatus
from coatcheck.upstream.http.awaited import unheard
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.replies import Forgotten
from coatcheck.upstream.http.linked import Linked
from coatcheck.upstream.http.linking import Linking
from coatcheck.upstream.own import own_call


class HttpUpstream:
    """Greets the server on first use, speaks for `client`, and lets go of the server when nobody uses it.

    A caller's request is sent a second time in one case only: the server refused the session or the
    version that it was sent under, and so cannot have acted on it.
    """

    def __init__(self, server: Server, egress: Egress, limits: HttpLimits, client: Client) -> None:
        if not isinstance(server.reach, HttpReach):
            raise TypeError("a server without a URL has no HttpUpstream")
        self._server = server
        self._limits = limits
        self._client = client
        self._linking = Linking(server.name, server.reach, egress, limits, client, self._note)
        self._state = State.IDLE
        self._last_error = ""
        self._in_flight = 0
        self._subscriptions = 0
        self._used_at = 0.0
        self._resting: asyncio.TimerHandle | None = None
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
        linked = self._linking.linked
        sessions = int(linked is not None and linked.link.session)
        expiry = linked.expiry.decode("ascii", "replace") if linked is not None else ""
        return UpstreamStatus(
            self._state, self._last_error, self._in_flight, sessions=sessions, expiry=expiry
        )

    async def greet(self) -> Greeting:
        """Return what the server said of itself, connecting first if need be."""
        self._enter()
        try:
            linked = self._linking.linked or await self._link()
        except UpstreamError as error:
            self._note(error)
            raise
        finally:
            self._leave()
        self._settle(State.READY, "")
        return linked.greeting

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply."""
        return await self._request(own_call(what, cursor), eras.OURSELVES, unheard, own=True)

    def forward(
        self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None
    ) -> Coroutine[Any, Any, Reply]:
        """Send the permitted call under an id of our own and return the server's reply."""
        if permit.call.method == LISTEN:
            return self._subscribe(permit, caller, notify, hop)
        return self._request(permit.call, caller, notify, own=False, hop=hop)

    async def _subscribe(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None) -> Reply:
        self._subscriptions += 1
        try:
            return await self._request(permit.call, caller, notify, own=False, hop=hop)
        finally:
            self._subscriptions -= 1
            self._look_drained()

    async def relay(self, notice: Notice) -> None:
        """Send the server a notification of the client's, if there is a session that it can be about."""
        linked = self._linking.linked
        if linked is None:
            return
        self._enter()
        try:
            await linked.relay(notice)
        except Forgotten:
            self._linking.forget(linked)
        except UpstreamError as error:
            self._note(error)
            raise
        finally:
            self._leave()

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes that belong to no request."""
        if not self._closing:
            self._linking.attend(wanted)
            self._rest_later()

    def kill(self) -> None:
        """Do nothing: the server is no child of ours."""

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then let go of everything.

        Subscriptions end at once: they have no end of their own.
        """
        if self._closing:
            return
        self._closing = True
        self._state = State.STOPPED
        if self._resting is not None:
            self._resting.cancel()
        self._linking.end_subscriptions()
        if self._in_flight:
            self._drained = asyncio.get_running_loop().create_future()
            self._look_drained()
            await asyncio.wait([self._drained], timeout=drain)
        await self._linking.close()

    # --- requests ------------------------------------------------------------------------------------------

    async def _request(
        self, call: Call, caller: Caller, notify: Notify, *, own: bool, hop: Hop | None = None
    ) -> Reply:
        self._enter()
        try:
            reply = await self._send(call, caller, notify, own=own, hop=hop)
        except UpstreamError as error:
            self._note(error)
            raise
        finally:
            self._leave()
        self._settle(State.READY, "")
        return reply

    async def _send(self, call: Call, caller: Caller, notify: Notify, *, own: bool, hop: Hop | None) -> Reply:
        linked = self._linking.linked or await self._link()
        try:
            reply = await linked.send(call, caller, notify, own=own, hop=hop)
            if not _is_version_refused(reply, linked):
                self._keep_standing(call, reply, linked)
                return reply
        except Forgotten:
            pass
        self._linking.forget(linked)
        linked = self._linking.linked or await self._link()
        reply = await linked.send(call, caller, notify, own=own, hop=hop)
        self._keep_standing(call, reply, linked)
        return reply

    def _keep_standing(self, call: Call, reply: Reply, linked: Linked) -> None:
        if call.method in STANDING and isinstance(reply, Result) and not linked.link.modern:
            self._client.standing.note(call)
            self._linking.keep()

    async def _link(self) -> Linked:
        if self._state is not State.READY:
            self._settle(State.STARTING, self._last_error)
        try:
            return await self._linking.get()
        except UpstreamError as error:
            error.reached = False  # what was to be sent after the handshake was not
            raise
        except asyncio.CancelledError:
            if self._linking.closed:
                raise self._closed() from None
            raise

    # --- counting ------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        if self._closing:
            raise self._closed()
        self._in_flight += 1

    def _leave(self) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._rest_later()
        if self._drained is not None:
            self._look_drained()

    def _look_drained(self) -> None:
        if self._drained is not None and not self._drained.done() and self._in_flight <= self._subscriptions:
            self._drained.set_result(None)

    def _rest_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._used_at = loop.time()
        if self._resting is None and not self._closing:
            self._resting = loop.call_at(self._used_at + self._limits.idle, self._rest)

    def _rest(self) -> None:
        """Let go of the server if nobody used it for long enough; else look again later."""
        self._resting = None
        loop = asyncio.get_running_loop()
        due = self._used_at + self._limits.idle
        if self._in_flight or self._linking.in_use:
            due = loop.time() + self._limits.idle
        if due > loop.time():
            self._resting = loop.call_at(due, self._rest)
            return
        self._linking.rest()
        if self._state is not State.FAILING:
            self._settle(State.IDLE, "")

    def _note(self, error: UpstreamError) -> None:
        words = f"{error.message} ({error.detail})" if error.detail else error.message
        self._settle(State.FAILING, f"{words}; {error.fix}" if error.fix else words)

    def _settle(self, state: State, last_error: str) -> None:
        if not self._closing:
            self._state, self._last_error = state, last_error

    def _closed(self) -> UpstreamUnreachable:
        return UpstreamUnreachable(f"the gateway is letting go of {self._server.name}", fix="call again")


def _is_version_refused(reply: Reply, linked: Linked) -> bool:
    return linked.link.modern and isinstance(reply, Fault) and reply.code == eras.UNSUPPORTED_VERSION
