"""Notices about credentials: what begins to be due or to fail is told once, to people who are elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from coatcheck.model.credential import CredentialKind, Stage
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.showing import GRACE
from coatcheck.operations.credentials.views import CredentialView, VersionView
from coatcheck.ports import Notifier

log = logging.getLogger(__name__)

FIRST_LOOK: Final = 5.0
"""Seconds after the start: a gateway that cannot stay up does not repeat itself at each try."""
LOOK_EVERY: Final = 30.0
AGAIN: Final = timedelta(days=7)
"""After so long, what is still so is told again."""
SOON: Final = timedelta(days=7)
"""How long before an expiry it is told of."""
LINGERING: Final = timedelta(hours=1)
"""How long a version that can still be rolled back to may be in use after its time without a notice."""
MOST_LINES: Final = 20


class Kind(StrEnum):
    """What is told of a version."""

    FAILING = "failing"
    RECONNECT = "reconnect"
    EXPIRED = "expired"
    OVERDUE = "overdue"
    EXPIRING = "expiring"
    DUE = "due"
    LINGERING = "lingering"


Key = tuple[UUID, int, Kind]
"""Of which credential, which version, what; 0 where there is no version."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that is so, and the line that tells of it."""

    key: Key
    line: str


def notices_of(view: CredentialView, now: datetime) -> Iterator[Notice]:
    """Yield what there is to tell of a credential; the line names cause and remedy, and holds no secret."""
    name, active = view.name, view.at(Stage.ACTIVE)
    if active is not None and active.refused_at is not None:
        yield _notice(
            view, active, Kind.FAILING, f"{active.refused_by} refuses version {active.number}", _remedy(view)
        )
    if view.oauth is not None and view.oauth.reconnect:
        why = f"must be connected anew: {view.oauth.reconnect}"
        yield _notice(view, active, Kind.RECONNECT, why, f"coatcheck credential connect {name}")
    if active is not None and view.kind is CredentialKind.VALUE:
        yield from _of_time(view, active, now)
    for version in view.versions:
        if version.in_use and _lingers(version, now):
            some = f"{version.in_use} calls, sessions or children use"
            who = "1 call, session or child uses" if version.in_use == 1 else some
            why = f"{who} version {version.number} still, which is {version.stage}"
            yield _notice(view, version, Kind.LINGERING, why, f"coatcheck credential show {name}")


def _of_time(view: CredentialView, active: VersionView, now: datetime) -> Iterator[Notice]:
    expires, due = view.expires_at, view.due_at
    if expires is not None and expires <= now:
        yield _notice(view, active, Kind.EXPIRED, f"expired on {expires:%Y-%m-%d}", _remedy(view))
    elif expires is not None and expires <= now + SOON:
        yield _notice(view, active, Kind.EXPIRING, f"expires on {expires:%Y-%m-%d}", _remedy(view))
    if due is not None and due <= now:
        kind = Kind.OVERDUE if due + GRACE <= now else Kind.DUE
        yield _notice(view, active, kind, f"is {kind} for rotation since {due:%Y-%m-%d}", _remedy(view))


def _lingers(version: VersionView, now: datetime) -> bool:
    if version.stage is Stage.RETIRED:
        return True
    since = version.ended_at
    return version.stage is Stage.PREVIOUS and since is not None and since + LINGERING <= now


def _notice(view: CredentialView, version: VersionView | None, kind: Kind, why: str, remedy: str) -> Notice:
    number = 0 if version is None else version.number
    owner = f" (owner: {view.owner})" if view.owner else ""
    return Notice((view.id, number, kind), f"{view.name}{owner}: {why}. {remedy}")


def _remedy(view: CredentialView) -> str:
    if view.kind is CredentialKind.OAUTH:
        return f"coatcheck credential connect {view.name}"
    if view.custody == "store":
        return f"coatcheck credential rotate {view.name}"
    return f"Its value comes from the servers file ({view.custody}): change it there"


class Notices:
    """Looks at every credential, and tells what is new: once for each version and kind.

    It is told again after it was good in between, or after `AGAIN`. What was told is kept in memory alone:
    after a start, one message says all that is so. All of one look is one message.
    """

    def __init__(self, counter: Counter, notifier: Notifier) -> None:
        self._counter = counter
        self._notifier = notifier
        self._told: dict[Key, datetime] = {}

    async def run(self) -> None:
        """Look time and again, until cancelled."""
        pause = FIRST_LOOK
        while True:
            await asyncio.sleep(pause)
            pause = LOOK_EVERY
            try:
                self.look()
            except Exception:
                log.exception("notices about credentials could not be made")

    def look(self) -> list[Notice]:
        """Tell what is new, and return it."""
        now = self._counter.now()
        found = [notice for _, view in self._counter.every() for notice in notices_of(view, now)]
        keys = {notice.key for notice in found}
        self._told = {key: at for key, at in self._told.items() if key in keys and at + AGAIN > now}
        fresh = [notice for notice in found if notice.key not in self._told]
        if fresh:
            self._told |= {notice.key: now for notice in fresh}
            self._notifier.notify(_message(fresh))
        return fresh


def _message(notices: list[Notice]) -> str:
    """Return one message, the gravest first; with too many lines, how many are left out."""
    order = list(Kind)
    lines = [one.line for one in sorted(notices, key=lambda one: (order.index(one.key[2]), one.line))]
    shown = lines[:MOST_LINES]
    if len(lines) > len(shown):
        shown.append(f"and {len(lines) - len(shown)} more: coatcheck credential plan")
    return "\n".join(("Coatcheck, credentials:", *(f"- {line}" for line in shown)))
