"""Keeps one session with a server over HTTP+SSE: opened when needed, kept while wanted, let go when idle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final

from coatcheck.core.backoff import NO_DEATHS, BackoffRules, after_death
from coatcheck.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from coatcheck.model.server import HttpReach, Server
from coatcheck.ports import Client, State
from coatcheck.upstream.duplex.greet import initialize
from coatcheck.upstream.duplex.lasting import restore
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.line import Line, open_line
from coatcheck.upstream.sse.session import Session

log = logging.getLogger(__name__)

_RULES: Final = BackoffRules()


class NoEndpoint(UpstreamTimeout):
    """The server did not name an address to post to, or did not greet us there, in time."""


class Keeper:
    """Keeps the session. Those who `use` it make it stay; who waits for changes makes it come back."""

    def __init__(self, server: Server, egress: Egress, limits: HttpLimits, client: Client) -> None:
        if not isinstance(server.reach, HttpReach):
            raise TypeError("a server without a URL has no session over HTTP+SSE")
        self.session: Session | None = None
        self.state = State.IDLE
        self.last_error = ""
        self.in_flight = 0
        self._name = server.name
        self._reach = server.reach
        self._egress = egress
        self._limits = limits
        self._client = client
        self._line: Line | None = None
        self._opening: asyncio.Task[Session] | None = None
        self._returning: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._attended = False
        self._idle: asyncio.TimerHandle | None = None
        self._deaths = NO_DEATHS
        self._last_used = self._ready_at = 0.0
        self._closing = False
        self._drained: asyncio.Future[None] | None = None

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    # --- use -----------------------------------------------------------------------------------------------

    @contextmanager
    def use(self) -> Iterator[None]:
        """Use the server: its session stays meanwhile, and how that goes becomes the state.

        Raises:
            UpstreamUnreachable: it is being closed.
        """
        if self._closing:
            raise self._closed()
        self.in_flight += 1
        try:
            yield
        except UpstreamError as error:
            self._note(error)
            raise
        else:
            if self.session is not None:
                self._settle(State.READY, "")
        finally:
            self.in_flight -= 1
            self._last_used = self._loop.time()
            if self.in_flight == 0 and self._drained is not None and not self._drained.done():
                self._drained.set_result(None)

    async def ready(self) -> Session:
        """Return the session, opened once for all who wait; one who gives up does not disturb the others.

        Raises:
            UpstreamError: there is none to be had.
        """
        if self.session is not None:
            return self.session
        opening = self._opening
        if opening is None or opening.done():
            self._opening = opening = self._loop.create_task(self._open())
            opening.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled() and self._closing:
                raise self._closed() from None
            raise

    def forget(self, session: Session) -> None:
        """Give up a session that the server does not know any more."""
        if self.session is session:
            self.session = None
            self._spawn(session.retire())

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes."""
        self._attended = wanted
        self._come_back()

    # --- opening -------------------------------------------------------------------------------------------

    async def _open(self) -> Session:
        self._settle(State.STARTING, self.last_error)
        try:
            if self._line is None:
                self._line = await open_line(self._name, self._reach, self._egress, self._limits)
            session = await self._greet(self._line)
        except BaseException:
            self._note_death(0.0)
            raise
        self.session = session
        self._settle(State.READY, "")
        self._last_used = self._ready_at = self._loop.time()
        self._watch_idleness()
        return session

    async def _greet(self, line: Line) -> Session:
        session = Session(self._reach, self._client, line, self._limits, self._on_gone)
        exchange = session.exchange
        limit = self._limits.connect
        try:
            async with asyncio.timeout(limit):
                await session.open()
                exchange.greeting = await initialize(exchange, self._client)
                await restore(exchange, self._client.standing)
                exchange.refuse_if_ended()
        except TimeoutError:
            self._end(session)
            raise NoEndpoint(
                f"{self._name} did not complete the handshake within {limit:g} seconds",
                fix="check that the server is an MCP server with HTTP+SSE and not overloaded",
            ) from None
        except BaseException:
            self._end(session)
            raise
        return session

    def _note_death(self, lived: float) -> None:
        self._deaths = after_death(self._deaths, self._loop.time(), lived, _RULES)

    def _on_gone(self, session: Session, error: UpstreamError) -> None:
        if session is self.session:  # else it was given up on purpose, or never got ready
            self.session = None
            self._note(error)
            self._note_death(self._loop.time() - self._ready_at)
            self._come_back()

    def _wanted(self) -> bool:
        return not self._closing and (self._attended or self._client.standing.watching)

    def _come_back(self) -> None:
        """Open a session without a call if one is wanted, after a pause if the last ones ended soon."""
        if self._wanted() and self.session is None and (self._returning is None or self._returning.done()):
            self._returning = self._loop.create_task(self._return())

    async def _return(self) -> None:
        while self._wanted() and self.session is None:
            await asyncio.sleep(self._deaths.pause_left(self._loop.time()))
            try:
                with self.use():
                    await self.ready()
            except UpstreamError as error:
                log.info("%s; it is asked again later", error.message)

    # --- the end -------------------------------------------------------------------------------------------

    def _watch_idleness(self) -> None:
        """Look in on the session when it may have been idle for long enough."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(self._limits.idle, self._look_in)

    def _look_in(self) -> None:
        """Let the session go if it is idle; if not, see whether its stream is alive, and look in again."""
        if self.session is None:
            return
        used = self.in_flight or self._wanted() or len(self.session.exchange.questions)
        left = self._limits.idle if used else self._last_used + self._limits.idle - self._loop.time()
        if used:
            self.session.check()
        if left > 0:
            self._idle = self._loop.call_later(left, self._look_in)
            return
        log.info("the session with %s is ended: no call for %.0f s", self._name, self._limits.idle)
        session, self.session = self.session, None
        self._settle(State.IDLE, "")
        self._end(session)

    def _end(self, session: Session) -> None:
        self._spawn(session.close())

    def _spawn(self, ending: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then let go of everything."""
        if self._closing:
            return
        self._closing = True
        self.state = State.STOPPED
        if self._returning is not None:
            self._returning.cancel()
        if self.in_flight:
            self._drained = self._loop.create_future()
            await asyncio.wait([self._drained], timeout=drain)
        await self._let_go()

    async def _let_go(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self.session is not None:
            session, self.session = self.session, None
            self._end(session)
        if self._ending:
            await asyncio.wait(self._ending)
        if self._line is not None:
            await self._line.close()

    def _note(self, error: UpstreamError) -> None:
        words = f"{error.message} ({error.detail})" if error.detail else error.message
        self._settle(State.FAILING, f"{words}; {error.fix}" if error.fix else words)

    def _settle(self, state: State, last_error: str) -> None:
        if not self._closing:
            self.state, self.last_error = state, last_error

    def _closed(self) -> UpstreamUnreachable:
        return UpstreamUnreachable(f"the gateway is letting go of {self._name}", fix="call again")


def _retrieve(task: asyncio.Task[Session]) -> None:
    if not task.cancelled():
        task.exception()  # those who waited have it; without this, asyncio logs it if all of them left
