"""What a grant could be narrowed to: the servers, and the tools, that it was really used for of late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from coatcheck.core import names
from coatcheck.operations.activity import Activity
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.fitness import MAX_TOOLS
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.views import GrantView
from coatcheck.ports import Clock

MOST_ASKED: Final = 20
"""Servers of which it is asked which tools were used."""


@dataclass(frozen=True, slots=True)
class Used:
    """A server that a grant reaches, and what got through to it; `calls` counts lists as well as calls."""

    server: str
    calls: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """A grant, all servers that it reaches, and what it used since a time.

    `tools` are `server__tool`, as grants are narrowed to; None where there are too many, or it was not asked.
    `complete`: all of the time is on record and counted; else what looks unused may have been used.
    """

    grant: GrantView
    reaches: Sequence[Used]
    tools: Sequence[str] | None
    since: datetime
    complete: bool

    @property
    def used(self) -> Sequence[str]:
        """The servers that were used."""
        return [one.server for one in self.reaches if one.calls]


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
        since = self._clock.now() - timedelta(days=days)
        ranking = await self._activity.servers(since, grant=grant.id)
        counts = {one.name: one.counts for one in ranking.items}
        scope = sorted(self._desk.snapshot.servers) if grant.servers is None else grant.servers
        reaches = []
        for server in scope:
            found = counts.get(server)
            through = found.calls - found.refused if found is not None else 0
            reaches.append(Used(server, through, found.last if found is not None and through else None))
        complete = ranking.complete
        called: Sequence[str] | None = None
        if tools:
            called, known = await self._called(grant.id, [one.server for one in reaches if one.calls], since)
            complete = complete and known
        return Proposal(grant, reaches, called, since, complete)

    async def _called(
        self, grant: str, servers: Sequence[str], since: datetime
    ) -> tuple[Sequence[str] | None, bool]:
        if len(servers) > MOST_ASKED:
            return None, True
        found: list[str] = []
        complete = True
        for server in servers:
            ranking = await self._activity.tools(server, since, grant=grant)
            complete = complete and ranking.complete
            through = (one for one in ranking.items if one.name and one.counts.calls > one.counts.refused)
            found += [names.full(server, one.name) for one in through]
        return (sorted(found) if len(found) <= MAX_TOOLS else None), complete
