"""Replays that somebody began at the console and looks at: in memory, one of each operator, few at once."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from coatcheck.core import defects
from coatcheck.errors import CoatcheckError, Unavailable
from coatcheck.model.operator import Actor
from coatcheck.operations.policies.replaying import Progress, Replay, ReplayQuestion, Replays
from coatcheck.operations.registry.desk import Desk

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 4
"""Replays that are under way or wait for their turn; one is judged at a time."""
UNASKED: Final = 150.0
"""Seconds after the last look at which a replay that nobody looks at is ended. A page that is in another tab
looks, too, but browsers may let it do so once a minute only."""
KEPT: Final = 900.0
"""Seconds for which what came of one is told, from the last look on."""
_LOOK: Final = 5.0


@dataclass(slots=True)
class ReplayRun:
    """One replay. `progress` None: it waits for its turn. `error` says why it came to nothing."""

    id: str
    by: str
    name: str
    asked_at: float
    progress: Progress | None = None
    found: Replay | None = None
    error: CoatcheckError | None = None
    stopped: bool = False

    @property
    def under_way(self) -> bool:
        """Whether it goes on."""
        return self.found is None and self.error is None and not self.stopped


class ReplayRuns:
    """Begins replays and tells how far they are, each to whoever began it."""

    def __init__(self, desk: Desk, replays: Replays) -> None:
        self._desk = desk
        self._replays = replays
        self._held: OrderedDict[str, ReplayRun] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, actor: Actor, question: ReplayQuestion) -> ReplayRun:
        """Begin a replay; one that this operator began before is ended, and forgotten.

        Raises:
            Unavailable: too many are under way.
        """
        self._forget()
        own = [one for one in self._held.values() if one.by == actor.name]
        if len(self._tasks.keys() - {one.id for one in own}) >= MOST_AT_ONCE:
            raise Unavailable("too many replays are under way", fix="wait until one of them has ended")
        for former in own:
            self._end(former)
            del self._held[former.id]
        id = self._desk.entropy.token(9).hex()
        run = self._held[id] = ReplayRun(id, actor.name, question.name, self._now())
        task = self._tasks[id] = asyncio.get_running_loop().create_task(self._follow(run, question))
        watch = asyncio.get_running_loop().create_task(self._watch(run))
        task.add_done_callback(lambda _: (self._tasks.pop(id, None), watch.cancel()))
        return run

    async def wait(self, run: ReplayRun, seconds: float) -> None:
        """Wait until a run has ended, but not for longer."""
        task = self._tasks.get(run.id)
        if task is not None:
            await asyncio.wait({task}, timeout=seconds)

    def find(self, actor: Actor, id: str) -> ReplayRun | None:
        """Return a run of an operator, who looks at it; None: there is none, or it is forgotten."""
        self._forget()
        run = self._held.get(id)
        if run is None or run.by != actor.name:
            return None
        run.asked_at = self._now()
        return run

    def stop(self, actor: Actor, id: str) -> None:
        """End a run of an operator, if it goes on."""
        run = self.find(actor, id)
        if run is not None:
            self._end(run)

    async def close(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- within --------------------------------------------------------------------------------------------

    async def _follow(self, run: ReplayRun, question: ReplayQuestion) -> None:
        def note(progress: Progress) -> None:
            run.progress = progress

        try:
            run.found = await self._replays.replay(question, note)
        except CoatcheckError as error:
            run.error = error
        except asyncio.CancelledError:
            run.stopped = True
            raise
        except Exception as error:  # noqa: BLE001 - a defect, told without what it was about
            log.error("a replay failed with %s", defects.told(error))
            run.error = Unavailable("this is a defect of Coatcheck; the log tells more")

    async def _watch(self, run: ReplayRun) -> None:
        """End a run that nobody looks at any more."""
        while self._now() - run.asked_at < UNASKED:  # noqa: ASYNC110 - it is a time that is waited for
            await asyncio.sleep(min(_LOOK, UNASKED))
        self._end(run)

    def _end(self, run: ReplayRun) -> None:
        task = self._tasks.pop(run.id, None)
        if task is not None:
            run.stopped = True
            task.cancel()

    def _forget(self) -> None:
        now = self._now()
        for run in [one for one in self._held.values() if not one.under_way and now - one.asked_at >= KEPT]:
            del self._held[run.id]

    def _now(self) -> float:
        return self._desk.clock.monotonic()
