"""What grants could be narrowed to: the servers, and the tools, that they were really used for of late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from coatcheck.core import names
from coatcheck.model.grant import IssuedGrant
from coatcheck.operations.access.using import Usage, servers_of_late, tools_of_late
from coatcheck.operations.activity import Activity
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk, server_in_use, server_name_of
from coatcheck.operations.registry.fitness import MAX_TOOLS
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.granting.making import scope_without
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, state_of, view_of
from coatcheck.operations.registry.views import GrantView
from coatcheck.ports import Clock

MOST_ASKED: Final = 20
"""Servers of which it is asked which tools were used."""
MOST_AT_ONCE: Final = 100
"""Grants of one owner that are looked at together."""


@dataclass(frozen=True, slots=True)
class Used:
    """A server that a grant reaches, and what got through to it; `calls` counts lists as well as calls.

    `unused`: it is known that nothing did. Without calls and without that, it is not known.
    """

    server: str
    calls: int
    last: datetime | None
    unused: bool


@dataclass(frozen=True, slots=True)
class Known:
    """From when on it is known what was used; the rest is still being counted, or in files (`sealed`)."""

    since: datetime
    counting: bool
    sealed: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A grant, all servers that it reaches, and what it used.

    `tools` are `server__tool`, as grants are narrowed to; None where there are too many, or it was not asked.
    """

    grant: GrantView
    reaches: Sequence[Used]
    tools: Sequence[str] | None
    known: Known

    @property
    def kept(self) -> Sequence[str]:
        """The servers that were used, and those of which it is not known."""
        return [one.server for one in self.reaches if not one.unused]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A grant that reaches a server, how it used it, and the servers that it is left if that one is taken.

    `fixed`: it cannot be narrowed here, since the file declares it.
    """

    grant: GrantView
    used: Used
    left: Sequence[str]
    fixed: bool

    @property
    def can_be(self) -> bool:
        """Whether the server can be taken from it. One that is left with nothing is to be revoked."""
        return bool(self.left) and not self.fixed


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """The grants of somebody that reach a server, at most `MOST_AT_ONCE`; `found` counts all.

    Those that it can be taken from are first, so that the others hide none of them.
    """

    grants: Sequence[Withdrawal]
    found: int
    known: Known


class Narrowing:
    """Proposes; nothing is changed here."""

    def __init__(self, desk: Desk, grants: Grants, activity: Activity, clock: Clock) -> None:
        self._desk = desk
        self._grants = grants
        self._activity = activity
        self._clock = clock

    async def propose(self, ref: str, days: int, *, tools: bool = False) -> Proposal:
        """Return what a grant used in the last days; `tools`: of which tools, too.

        Raises:
            Missing: no such grant.
            LedgerUnavailable: the record cannot be read.
        """
        grant = await self._grants.get(ref)
        usage = (await self._usages([grant.id], days))[grant.id]
        scope = sorted(self._desk.snapshot.servers) if grant.servers is None else grant.servers
        reaches = [_used(server, usage) for server in scope]
        told = [usage]
        called: Sequence[str] | None = None
        if tools:
            used = [one.server for one in reaches if one.calls]
            called, more = await self._called(grant.id, used, days)
            told += more
        return Proposal(grant, reaches, called, _known(told, self._since(days)))

    async def reaching(self, subject: str, server: str, days: int) -> Withdrawals:
        """Return the grants of somebody that reach a server, and what would be left of each without it.

        Raises:
            Missing: no such server.
            LedgerUnavailable: the record cannot be read.
        """
        snapshot, now = self._desk.snapshot, self._desk.now()
        found = server_in_use(snapshot, server)
        near = sorted(
            (
                one
                for one in all_grants(snapshot)
                if one.subject == subject
                and one.may_reach(found.id)
                and not state_of(snapshot, one, now).is_over
            ),
            key=lambda one: (not _can_lose(snapshot, one, found.id), one.label, one.id),
        )
        shown = near[:MOST_AT_ONCE]
        usages = await self._usages([one.id for one in shown], days)
        grants = [
            Withdrawal(
                view_of(snapshot, one, now),
                _used(found.name, usages[one.id]),
                sorted(server_name_of(snapshot, id) for id in scope_without(snapshot, one.servers, found.id)),
                not isinstance(one, IssuedGrant),
            )
            for one in shown
        ]
        return Withdrawals(grants, len(near), _known(usages.values(), self._since(days)))

    # --- within ------------------------------------------------------------------------------------------

    def _since(self, days: int) -> datetime:
        return self._clock.now() - timedelta(days=days)

    async def _usages(self, ids: Sequence[str], days: int) -> Mapping[str, Usage]:
        found = await servers_of_late(self._activity, self._clock, [("", id) for id in ids], days)
        return {id: found.by["", id] for id in ids}

    async def _called(
        self, grant: str, servers: Sequence[str], days: int
    ) -> tuple[Sequence[str] | None, Sequence[Usage]]:
        if len(servers) > MOST_ASKED:
            return None, ()
        by = await tools_of_late(self._activity, self._clock, servers, ("", grant), days)
        found = [names.full(server, tool) for server, usage in by.items() for tool in usage.names]
        return (sorted(found) if len(found) <= MAX_TOOLS else None), list(by.values())


def _can_lose(snapshot: Snapshot, grant: AnyGrant, server: UUID) -> bool:
    """Tell whether a server can be taken from a grant, as `Withdrawal.can_be` does of what is shown."""
    return isinstance(grant, IssuedGrant) and bool(scope_without(snapshot, grant.servers, server))


def _used(server: str, usage: Usage) -> Used:
    through = usage.names.get(server)
    calls, last = (through.calls, through.last) if through is not None else (0, None)
    return Used(server, calls, last, usage.is_unused(server))


def _known(all_of: Iterable[Usage], since: datetime) -> Known:
    """Return from when on all of it is known, which was asked for since a time."""
    told = list(all_of)
    known_since = max((one.since for one in told), default=since)
    return Known(known_since, any(one.counting for one in told), any(one.sealed for one in told))
