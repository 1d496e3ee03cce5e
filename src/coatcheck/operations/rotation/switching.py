"""The switch itself: one edit, in force for the next call, and the wait for calls with the old version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

from coatcheck.core.credentials import stages
from coatcheck.core.credentials.making import warnings_on
from coatcheck.errors import Stale
from coatcheck.model.credential import Assurance, CredentialVersion, Stage
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.showing import find_credential
from coatcheck.operations.credentials.views import Activated, CredentialView, Verdict
from coatcheck.operations.directory import Snapshot

DRAIN_WAIT: Final = 30.0
"""How long an activation waits for calls with the old version to end before it says what is left."""


def changed_meanwhile(name: str) -> Stale:
    """Return what is said to the slower of two operators."""
    return Stale(f"the credential {name} was changed meanwhile", fix="look at it, then begin again")


class Switching:
    """Switches versions, and says how that went."""

    def __init__(self, counter: Counter, drain_wait: float) -> None:
        self._counter = counter
        self._drain_wait = drain_wait

    async def switched(
        self,
        actor: Actor,
        id: str,
        number: int,
        assurance: Assurance,
        verdicts: Sequence[Verdict],
        because: str,
    ) -> Activated:
        """Make a staged version the active one."""
        numbers: list[int | None] = []

        def make(snapshot: Snapshot) -> Edit:
            before = self._counter.stored(snapshot, id)
            staged = before.at(Stage.STAGED)
            if staged is None or staged.number != number:
                raise changed_meanwhile(before.name)
            former = before.active
            numbers[:] = [number, former.number if former is not None else None]
            after = stages.activated(before, self._counter.now(), assurance)
            return self._counter.step(
                actor,
                "credential.activate",
                before,
                after,
                verdicts,
                because,
                number=number,
                assurance=assurance.value,
            )

        return await self.published(id, make, numbers, assurance, tuple(verdicts))

    async def published(
        self,
        ref: str,
        make: Callable[[Snapshot], Edit],
        numbers: list[int | None],
        assurance: Assurance | None = None,
        verdicts: tuple[Verdict, ...] = (),
    ) -> Activated:
        """Make an edit that switches, and say how it went. `numbers` holds new and old when it is made."""
        clock, servers = self._counter.desk.clock, self._counter.servers
        began = clock.monotonic()
        await self._counter.desk.book.edit(make)
        effect = clock.monotonic()
        number, former = numbers
        found = find_credential(self._counter.snapshot, ref)
        left = 0
        if former is not None:
            draining = servers.draining(found.id, former)
            if draining:
                await asyncio.wait(draining, timeout=self._drain_wait)
            left = servers.in_use().get(found.id, {}).get(former, 0)
        version = stages.version_of(found, number or 0)
        view = self._counter.show(ref)
        return Activated(
            credential=view,
            number=number or 0,
            former=former,
            assurance=assurance or (version.assurance if version is not None else Assurance.NEVER),
            verdicts=verdicts,
            seconds_to_effect=effect - began,
            drained=not left,
            left=left,
            seconds_to_drain=clock.monotonic() - effect,
            warnings=tuple(_warnings(view, version, self._counter.now())),
        )


def _warnings(view: CredentialView, version: CredentialVersion | None, now: datetime) -> Iterator[str]:
    """Yield what is to be said of the version that is in use now."""
    if version is not None and version.material is not None:
        yield from warnings_on(version.material)
    if version is not None and version.expires_at is not None and version.expires_at <= now:
        yield f"version {version.number} has expired"
    if version is not None and version.refused_at is not None:
        yield f"{version.refused_by} refused version {version.number} before"
    if not view.used_by:
        yield "no server uses this credential"
