"""Keeps at most one child of a server alive: started when needed, again when it died, stopped when idle."""

from __future__ import annotations

import asyncio
import logging
import math

from coatcheck.core.backoff import NO_DEATHS, after_death
from coatcheck.core.idle import CallTimes, idle_after
from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.server import IdlePolicy
from coatcheck.ports import Clock, State
from coatcheck.upstream.stdio.child import Child
from coatcheck.upstream.stdio.recipe import Recipe
from coatcheck.upstream.stdio.starter import Starter, StdioLimits
from coatcheck.upstream.stdio.talk import Talk

log = logging.getLogger(__name__)


class Supervisor:
    """Supervises one server. Callers `enter`, get a `ready` talk, use it, and `leave`."""

    def __init__(self, recipe: Recipe, idle: IdlePolicy, clock: Clock, limits: StdioLimits) -> None:
        self.name = recipe.name
        self.live: Talk | None = None
        self.in_flight = 0
        self.restarts = 0
        self.last_error = ""
        self._idle = idle
        self._clock = clock
        self._limits = limits
        self._recipe = recipe
        self._starter = Starter(recipe, limits, self._on_gone, self._discard)
        self._calls = CallTimes()
        self._last_used = clock.monotonic()
        self._ready_at = 0.0
        self._deaths = NO_DEATHS
        self._failing = False
        self._start: asyncio.Future[Talk] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._idle_timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._drained: asyncio.Event | None = None

    @property
    def state(self) -> State:
        """Where the server stands."""
        if self._closing is not None:
            return State.STOPPED
        if self.live is not None:
            return State.READY
        if self._start is not None:
            return State.STARTING
        return State.FAILING if self._failing else State.IDLE

    # --- use -----------------------------------------------------------------------------------------

    def enter(self, *, counts: bool) -> None:
        """Begin to use the server; `leave` must follow. `counts`: it is a call, as the idle policy counts.

        Raises:
            UpstreamUnreachable: it is being closed.
        """
        if self._closing is not None:
            raise UpstreamUnreachable(f"{self.name} was just stopped or changed; try again")
        self.in_flight += 1
        if counts:
            self._calls.add(self._clock.monotonic())

    def leave(self) -> None:
        """End the use that `enter` began."""
        self.in_flight -= 1
        self._last_used = self._clock.monotonic()
        if self._drained is not None and not self.in_flight:
            self._drained.set()

    async def ready(self) -> Talk:
        """Return the talk with the running child, starting one if need be, once for all who wait.

        Raises:
            UpstreamError: it does not start, or it died too often to be tried again just now.
        """
        if self.live is not None:
            return self.live
        if self._start is None:
            self._refuse_if_pausing()
            self._start = asyncio.get_running_loop().create_future()
            self._start.add_done_callback(_retrieve)
            self._starting = asyncio.create_task(self._run_start(self._start))
        return await asyncio.shield(self._start)

    def _refuse_if_pausing(self) -> None:
        left = self._deaths.pause_left(self._clock.monotonic())
        if left > self._limits.longest_wait:
            when = f"it is tried again in {math.ceil(left)} s"
            raise UpstreamUnreachable(
                f"{self.name} keeps failing; {when}: see `coatcheck doctor`", detail=self.last_error
            )

    # --- start ---------------------------------------------------------------------------------------

    async def _run_start(self, start: asyncio.Future[Talk]) -> None:
        try:
            await asyncio.sleep(self._deaths.pause_left(self._clock.monotonic()))
            if self._ending:
                await asyncio.wait(self._ending)  # the one before must be gone: there is one at a time
            if self._failing:
                self.restarts += 1
            talk = await self._starter.open()
        except UpstreamError as error:
            self._note_death(0.0, _told(error))
            start.set_exception(error)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            start.set_exception(UpstreamUnreachable(f"{self.name} was stopped") if cancelled else error)
            raise
        else:
            self._note_ready(talk)
            start.set_result(talk)
        finally:
            self._start = None

    def _note_ready(self, talk: Talk) -> None:
        self._set_live(talk)
        self._failing = False
        self._ready_at = self._last_used = self._clock.monotonic()
        self._watch_idleness()

    # --- end -----------------------------------------------------------------------------------------

    def _set_live(self, talk: Talk | None) -> None:
        self.live = talk
        self._recipe.change(talk)

    def _on_gone(self, talk: Talk, cause: str) -> None:
        if talk is self.live:  # else it was stopped on purpose, or never got ready
            self._set_live(None)
            self._note_death(self._clock.monotonic() - self._ready_at, f"{self.name} {cause}")

    def _note_death(self, lived: float, told: str) -> None:
        now = self._clock.monotonic()
        self._deaths = after_death(self._deaths, now, lived, self._limits.backoff)
        self._failing = True
        self.last_error = told
        log.warning("%s; next start in %.0f s at the earliest", told, self._deaths.pause_left(now))

    def _discard(self, child: Child) -> None:
        task = asyncio.create_task(child.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _stop_live(self) -> None:
        talk = self.live
        if talk is not None:
            self._set_live(None)
            if talk.child is not None:
                self._discard(talk.child)

    def _watch_idleness(self) -> None:
        """Look again when the server may have been idle for long enough; stop it if it has."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self.live is None:
            return
        now = self._clock.monotonic()
        after = idle_after(self._idle, self._calls.in_hour(now))
        if after is None:
            return
        used = self.in_flight or self._recipe.needs(self.live)
        left = after if used else self._last_used + after - now
        if left <= 0:
            log.info("%s is stopped: no call for %.0f s", self.name, after)
            self._stop_live()
        else:
            self._idle_timer = asyncio.get_running_loop().call_later(left, self._watch_idleness)

    def kill(self) -> None:
        """End the child at once."""
        if self.live is not None and self.live.child is not None:
            self.live.child.kill()

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then stop the child."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(drain))
        await asyncio.shield(self._closing)

    async def _close(self, drain: float) -> None:
        if self.live is not None:
            self.live.exchange.end_listening()
        if self.in_flight:
            self._drained = asyncio.Event()
            try:
                async with asyncio.timeout(drain):
                    await self._drained.wait()
            except TimeoutError:
                log.warning("%s is stopped with %d calls in flight", self.name, self.in_flight)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self._stop_live()
        if self._ending:
            await asyncio.wait(self._ending)


def _told(error: UpstreamError) -> str:
    """Return what the operator is told of a failure."""
    return "; ".join(part for part in (error.message, error.detail, error.fix) if part)


def _retrieve(start: asyncio.Future[Talk]) -> None:
    """Take the exception of a start that nobody waits for any more."""
    if not start.cancelled():
        start.exception()
