"""Taking note of servers that refuse a credential: the version is flagged, or rolled back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from coatcheck.core.credentials import stages
from coatcheck.errors import CoatcheckError, UpstreamCredentialRefused
from coatcheck.model.credential import (
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    OnRefusal,
    Stage,
    Use,
)
from coatcheck.model.operator import GATEWAY_ACTOR
from coatcheck.model.registry import Edit
from coatcheck.model.server import Server
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.reaching.served import Heed

log = logging.getLogger(__name__)

FRESH: Final = timedelta(minutes=10)
"""How long after an activation a refusal is taken as a sign that the new version is bad."""
QUIET_SECONDS: Final = 60.0
"""Without a refusal for so long, calls that succeed say that a version is good after all."""
_IN_USE: Final = frozenset({Stage.ACTIVE, Stage.PREVIOUS})
_AUTHORIZATION: Final = "headers/authorization"
Change = Callable[[Credential, CredentialVersion], tuple[str, Credential, str] | None]
"""Returns an action, what becomes of a credential, and why; None: nothing."""


class Refusing(Heed):
    """Notes refusals in the background, once for each version. Nothing here delays a call."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._last: dict[tuple[UUID, int], float] = {}
        """When a version was refused last, monotonic."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[tuple[UUID, int]] = set()

    def refused(self, server: Server, error: UpstreamCredentialRefused) -> None:
        """Flag the version that a server refused, and roll back if that is set."""
        for use in _suspects(server):
            self._last[use.credential, use.number] = self._counter.desk.clock.monotonic()
            found = self._version(use)
            if found is not None and found.stage in _IN_USE and found.refused_at is None:
                log.warning("%s; credential %s, version %d", error.message, use.name, use.number)
                self._spawn(use, lambda before, version: self._flagged(before, version, server.name))

    def taken(self, server: Server) -> bool:
        """Take the flag back if the server was content for a while; tell whether that is all."""
        settled = True
        for use in _suspects(server):
            found = self._version(use)
            if found is None or found.refused_at is None or found.refused_by != server.name:
                settled = settled and (use.credential, use.number) not in self._busy
                continue
            settled = False
            last = self._last.get((use.credential, use.number), float("-inf"))
            if self._counter.desk.clock.monotonic() - last >= QUIET_SECONDS:
                self._spawn(use, lambda before, version: self._cleared(before, version, server.name))
        return settled

    async def close(self) -> None:
        """Wait until what was noted is kept."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    # --- within --------------------------------------------------------------------------------------------

    def _version(self, use: Use) -> CredentialVersion | None:
        credential = self._counter.snapshot.registry.credentials.get(use.credential)
        if credential is None or credential.kind is CredentialKind.OAUTH:
            return None
        return stages.version_of(credential, use.number)

    def _flagged(
        self, before: Credential, version: CredentialVersion, server: str
    ) -> tuple[str, Credential, str] | None:
        if version.refused_at is not None or version.stage not in _IN_USE:
            return None
        now = self._counter.now()
        flagged = stages.changed(
            before, version.number, lambda one: replace(one, refused_at=now, refused_by=server)
        )
        if not self._is_to_roll_back(flagged):
            return "credential.refused", flagged, ""
        log.warning(
            "credential %s is rolled back: %s refused version %d", before.name, server, version.number
        )
        back = replace(stages.rolled_back(flagged, now), version=flagged.version)
        return "credential.roll_back", back, f"{server} refused version {version.number}"

    def _is_to_roll_back(self, credential: Credential) -> bool:
        """Tell whether the active version is fresh and refused, and the one before was good."""
        active, previous = credential.active, credential.at(Stage.PREVIOUS)
        if credential.on_refusal is not OnRefusal.ROLL_BACK or credential.custody is not Custody.STORE:
            return False
        if active is None or active.refused_at is None or active.activated_at is None:
            return False
        if previous is None or previous.material is None or previous.refused_at is not None:
            return False
        return self._counter.now() - active.activated_at < FRESH

    def _cleared(
        self, before: Credential, version: CredentialVersion, server: str
    ) -> tuple[str, Credential, str] | None:
        if version.refused_at is None or version.refused_by != server:
            return None
        after = stages.changed(
            before, version.number, lambda one: replace(one, refused_at=None, refused_by="")
        )
        return "credential.accepted", after, f"{server} takes it again"

    def _spawn(self, use: Use, change: Change) -> None:
        key = (use.credential, use.number)
        if key in self._busy:
            return
        self._busy.add(key)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._edit(use, change))
        self._tasks.add(task)

        def done(ended: asyncio.Task[Any]) -> None:
            self._tasks.discard(ended)
            self._busy.discard(key)

        task.add_done_callback(done)

    async def _edit(self, use: Use, change: Change) -> None:
        def make(snapshot: Snapshot) -> Edit | None:
            before = snapshot.registry.credentials.get(use.credential)
            version = stages.version_of(before, use.number) if before is not None else None
            made = change(before, version) if before is not None and version is not None else None
            if before is None or made is None:
                return None
            action, after, because = made
            return self._counter.step(GATEWAY_ACTOR, action, before, after, (), because, number=use.number)

        try:
            await self._counter.desk.book.edit(make)
        except CoatcheckError as error:
            log.error("what a server said to credential %s cannot be kept: %s", use.name, error.message)


def _suspects(server: Server) -> tuple[Use, ...]:
    """Return the credentials that a server refuses with 401 or 403: that of Authorization, else all."""
    named = tuple(use for use in server.uses if use.place.lower() == _AUTHORIZATION)
    return named or server.uses
