"""Long steps of rotations that somebody began and looks at: kept in memory, a few, none beyond a restart."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from coatcheck.core import defects
from coatcheck.errors import CoatcheckError, NotVerified, Taken, Unavailable
from coatcheck.model.credential import Assurance
from coatcheck.model.operator import Actor
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.views import Activated, Verdict, Verdicts
from coatcheck.operations.rotation.rotating import Progress, Rotations

log = logging.getLogger(__name__)

SECONDS: Final = 3_600.0
"""How long a run is told of after its end."""
MOST: Final = 200
MOST_OF_ONE: Final = 20
MOST_AT_ONCE: Final = 16
STOPPED: Final = "stopped"
"""The code of a run that ended because the gateway did."""
_DEFECT: Final = "defect"


class Doing(StrEnum):
    """What a run does."""

    VERIFY = "verify"
    ACTIVATE = "activate"
    """The staged version is verified if it was not, and activated if it is good."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one server said to a version. `ok` None: nothing yet."""

    server: str
    ok: bool | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run came to nothing; `code` is that of the error."""

    code: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One long step. `number` is the version that it is about, 0 as long as that is not known.

    `ended_at` None: it is under way. `assurance` is what the verdicts amount to. `former`: the version that
    was active before, where another was activated.
    """

    id: str
    by: str
    credential: UUID
    doing: Doing
    began_at: datetime
    number: int = 0
    heard: tuple[Heard, ...] = ()
    ended_at: datetime | None = None
    assurance: Assurance | None = None
    activated: bool = False
    former: int | None = None
    failure: Failure | None = None

    @property
    def under_way(self) -> bool:
        """Whether it goes on."""
        return self.ended_at is None

    @property
    def refused(self) -> tuple[Heard, ...]:
        """The servers that did not take the version."""
        return tuple(one for one in self.heard if one.ok is False)


Work = Callable[[Progress], Awaitable[Verdicts | Activated]]


class Runs:
    """Begins runs and tells how they are, each to whoever began it. One at a time of each credential."""

    def __init__(self, counter: Counter, rotations: Rotations) -> None:
        """`rotations` wait for no call with the former version."""
        self._counter = counter
        self._rotations = rotations
        self._boot = counter.desk.entropy.token(6).hex()
        self._count = 0
        self._held: OrderedDict[str, Run] = OrderedDict()
        self._ended: dict[str, float] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def verify(self, actor: Actor, ref: str) -> Run:
        """Begin to try the staged version, or else the active one, at every server that uses it.

        Raises:
            Missing: no such credential.
            Taken: a step of it is under way.
            Unavailable: too many are.
        """
        return self._begin(
            actor, ref, Doing.VERIFY, lambda heard: self._rotations.verify(actor, ref, progress=heard)
        )

    def activate(self, actor: Actor, ref: str, number: int, because: str = "") -> Run:
        """Begin to use the staged version, which must be this one; it is verified first if it was not.

        Raises:
            Missing, Taken, Unavailable: as `verify`.
        """

        def work(heard: Progress) -> Awaitable[Activated]:
            return self._rotations.activate(actor, ref, number=number, because=because, progress=heard)

        return self._begin(actor, ref, Doing.ACTIVATE, work)

    def find(self, actor: Actor, id: str) -> Run | None:
        """Return a run of an operator; None: there is none, or it is forgotten."""
        self._forget()
        found = self._held.get(id)
        return found if found is not None and found.by == actor.name else None

    def latest(self, actor: Actor, credential: UUID) -> Run | None:
        """Return what an operator began last with a credential, if it is told of yet."""
        self._forget()
        own = (one for one in reversed(self._held.values()) if one.by == actor.name)
        return next((one for one in own if one.credential == credential), None)

    def under_way(self, credential: UUID) -> Run | None:
        """Return what is going on with a credential, whoever began it."""
        return next((self._held[id] for id in self._tasks if self._held[id].credential == credential), None)

    def was_before_restart(self, id: str) -> bool:
        """Tell whether a run was begun by a gateway that ended since."""
        return bool(id) and not id.startswith(f"{self._boot}-")

    async def close(self) -> None:
        """End what is under way; a version that was staged stays so."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- within --------------------------------------------------------------------------------------------

    def _begin(self, actor: Actor, ref: str, doing: Doing, work: Work) -> Run:
        view = self._counter.show(ref)
        other = self.under_way(view.id)
        if other is not None:
            words = f"{view.name} is being verified already, by {other.by}"
            raise Taken(words, fix="wait until that has ended")
        if self._closed or len(self._tasks) >= MOST_AT_ONCE:
            raise Unavailable("too many credentials are being verified at once", fix="wait a little")
        self._forget(actor.name)
        self._count += 1
        id = f"{self._boot}-{self._count}"
        run = self._held[id] = Run(id, actor.name, view.id, doing, self._counter.now())
        task = asyncio.get_running_loop().create_task(self._follow(id, work))
        self._tasks[id] = task
        return run

    async def _follow(self, id: str, work: Work) -> None:
        try:
            done = await work(lambda step, told: self._note(id, step, told))
        except NotVerified as error:
            self._say(id, error.verdicts)
            self._end(id, failure=Failure(error.code, error.message, error.fix))
        except CoatcheckError as error:
            self._end(id, failure=Failure(error.code, error.message, error.fix))
        except asyncio.CancelledError:
            self._end(id, failure=Failure(STOPPED, "the gateway was stopped"))
            raise
        except Exception as error:  # noqa: BLE001 - a defect, told without what it was about
            log.error("a step of a rotation failed with %s", defects.told(error))
            self._end(id, failure=Failure(_DEFECT, "this is a defect of Coatcheck; the log tells more"))
        else:
            self._say(id, done.verdicts)
            if isinstance(done, Activated):
                self._end(
                    id, number=done.number, assurance=done.assurance, activated=True, former=done.former
                )
            else:
                self._end(id, number=done.number, assurance=done.assurance)
        finally:
            self._tasks.pop(id, None)

    def _note(self, id: str, step: str, told: Mapping[str, Any]) -> None:
        run = self._held[id]
        if step == "verifying":
            heard = tuple(Heard(server) for server in told["servers"])
            self._held[id] = replace(run, number=told["number"], heard=heard)
        elif step == "verdict":
            self._hear(id, Heard(told["server"], told["ok"], told["sentence"]))

    def _hear(self, id: str, said: Heard) -> None:
        run = self._held[id]
        heard = tuple(said if one.server == said.server else one for one in run.heard)
        self._held[id] = replace(run, heard=heard)

    def _say(self, id: str, verdicts: Sequence[Verdict]) -> None:
        for one in verdicts:
            self._hear(id, Heard(one.server, one.ok, one.sentence))

    def _end(self, id: str, **more: Any) -> None:
        self._held[id] = replace(self._held[id], ended_at=self._counter.now(), **more)
        self._ended[id] = self._counter.desk.clock.monotonic()

    def _forget(self, by: str = "") -> None:
        """Forget what ended long ago; and room is made for one more of an operator."""
        now = self._counter.desk.clock.monotonic()
        over = [id for id, ended in self._ended.items() if now - ended >= SECONDS]
        if by:
            own = [id for id, run in self._held.items() if run.by == by]
            over += [id for id in own[: max(0, len(own) + 1 - MOST_OF_ONE)] if id in self._ended]
            over += [id for id in self._held if id in self._ended][: max(0, len(self._held) + 1 - MOST)]
        for id in over:
            self._held.pop(id, None)
            self._ended.pop(id, None)
