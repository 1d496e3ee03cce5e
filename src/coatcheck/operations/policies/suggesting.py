"""Suggests the least policies that cover what a grant really used, by the record."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final

from coatcheck.core.access.decide import foresee
from coatcheck.core.policy.reading.document import is_name
from coatcheck.core.policy.trying.replaying import KINDS
from coatcheck.core.policy.trying.suggesting import Suggestion, Used, name_for, suggest
from coatcheck.errors import Missing, Unfit
from coatcheck.model.call import Kind, Target
from coatcheck.model.record import Outcome, RecordEntry, RecordFilter, Settlement, Verdict
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.access import principal_of
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, find_grant
from coatcheck.operations.registry.serving.servers import Probe
from coatcheck.operations.views import ToolView

MOST_CALLS: Final = 500_000
"""Calls of the grant that are looked through, the newest first."""
MOST_NAMES: Final = 20_000
PAGE: Final = 1_000

List = Callable[[RecordFilter], Awaitable[Sequence[RecordEntry]]]
"""Returns the newest calls that match, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestQuestion:
    """A grant, by label or id; the server, or empty for each that it used; a name for the policy, or none."""

    grant: str
    server: str = ""
    since: datetime | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class OnServer:
    """A suggestion for one server, by its name."""

    server: str
    suggestion: Suggestion


@dataclass(frozen=True, slots=True)
class Suggested:
    """Suggestions for a grant, by server. `back_to` is the time of the oldest call that counts.

    `cut`: there are more calls, or names, than are looked at. `failing` are servers, with their errors, whose
    tools nobody knows.
    """

    grant: str
    items: tuple[OnServer, ...]
    back_to: datetime | None
    cut: bool
    failing: Sequence[tuple[str, str]]


class Suggestions:
    """Reads the record backwards; writes nothing."""

    def __init__(self, desk: Desk, probe: Probe, list_calls: List) -> None:
        self._desk = desk
        self._probe = probe
        self._list = list_calls

    async def suggest(self, asked: SuggestQuestion) -> Suggested:
        """Return a policy for each server that the grant used, or for the one that is named.

        Raises:
            Missing: no such grant or server.
            Unfit: a name that cannot be, or one name for several policies.
            LedgerUnavailable: the record cannot be read.
        """
        if asked.name and not is_name(asked.name):
            raise Unfit(f"{asked.name!r} is no name of a policy", fix="use small letters, digits and -")
        snapshot = self._desk.snapshot
        grant = find_grant(snapshot, asked.grant, self._desk.now())
        server = _server(snapshot, asked.server)
        tally = _Tally()
        await self._read(tally, RecordFilter(grant=grant.id, server=server, since=asked.since))
        servers = sorted({server} if server is not None else {where for where, _, _ in tally.found})
        if asked.name and len(servers) > 1:
            raise Unfit(
                f"{grant.label} used {len(servers)} servers: {', '.join(servers[:10])}",
                fix="name one with --server, or leave the name of the policy out",
            )
        views, failing = await self._probe.tools(server)
        names = _names(grant.label, servers, asked.name)
        items = []
        for where, name in zip(servers, names, strict=True):
            used = [one for (on, _, _), one in tally.found.items() if on == where]
            listed = _of(views, failing, where)
            unused = None if listed is None else _unused(snapshot, grant, where, listed, used)
            words = f"What the grant {grant.label} used of {where}."
            # Of thousands of names it takes a while, in which others have their turn.
            found = await asyncio.to_thread(suggest, name, words if words.isprintable() else "", used, unused)
            items.append(OnServer(where, found))
        return Suggested(grant.label, tuple(items), tally.back_to, tally.cut, failing)

    async def _read(self, tally: _Tally, wanted: RecordFilter) -> None:
        before: int | None = None
        for _ in range(0, MOST_CALLS, PAGE):
            entries = await self._list(_page(wanted, before))
            for entry in reversed(entries):
                tally.take(entry)
            if len(entries) < PAGE:
                return
            before = entries[0].position
        tally.cut = True


def _page(wanted: RecordFilter, before: int | None) -> RecordFilter:
    return RecordFilter(
        grant=wanted.grant,
        server=wanted.server,
        since=wanted.since,
        decision=Verdict.ALLOWED,
        before=before,
        limit=PAGE,
    )


def _server(snapshot: Snapshot, ref: str) -> str | None:
    if not ref:
        return None
    found = snapshot.find_server(ref)
    if found is None:
        raise Missing(f"there is no server {ref!r} in use", fix="`coatcheck list` names the servers")
    return found.name


def _was_used(settlement: Settlement | None) -> bool:
    """Tell whether something came of a call: not where there was no such thing, or nobody could be asked.

    A call of any name at all is allowed by some policies, and fails while the server cannot be reached.
    """
    if settlement is None or settlement.outcome in _ANSWERED:
        return True
    return settlement.outcome is not Outcome.DENIED and settlement.request_bytes > 0


_ANSWERED: Final = frozenset((Outcome.OK, Outcome.TOOL_ERROR, Outcome.UNKNOWN))
"""Also without a request: a resource that the gateway itself watches."""


@dataclass(slots=True)
class _Tally:
    """What was used: by server, kind and name, how often and when last. Calls come newest first."""

    found: dict[tuple[str, Kind, str], Used] = field(default_factory=dict)
    back_to: datetime | None = None
    cut: bool = False

    def take(self, entry: RecordEntry) -> None:
        record, settlement = entry.record, entry.settlement
        kind = KINDS.get(record.method)
        if kind is None or not _was_used(settlement):
            return
        key = (record.server, kind, record.tool)
        before = self.found.get(key)
        if before is None and len(self.found) >= MOST_NAMES:
            self.cut = True
            return
        self.back_to = record.at
        calls, last = (before.calls, before.last) if before is not None else (0, record.at)
        self.found[key] = Used(kind, record.tool, calls + 1, last)


def _of(
    views: Sequence[ToolView], failing: Sequence[tuple[str, str]], server: str
) -> Sequence[ToolView] | None:
    """Return the tools of a server; None if nobody knows them."""
    if any(name == server for name, _ in failing):
        return None
    return [view for view in views if view.server == server]


def _names(grant: str, servers: Sequence[str], wanted: str) -> list[str]:
    """Return a name for the policy of each server, no two alike."""
    found: list[str] = []
    for server in servers:
        name = first = wanted or name_for(grant, server)
        others = count(2)
        while name in found:
            name = f"{first[:55]}-{next(others)}"
        found.append(name)
    return found


def _unused(
    snapshot: Snapshot, grant: AnyGrant, name: str, views: Sequence[ToolView], used: Sequence[Used]
) -> list[str] | None:
    """Return the tools that the grant may call now and did not; None for a server that is gone."""
    server = snapshot.servers.get(name)
    if server is None:
        return None
    known = {one.name for one in used if one.kind is Kind.TOOL}
    principal = principal_of(snapshot, grant, grant.subject)

    def may(view: ToolView) -> bool:
        target = Target(Kind.TOOL, view.entry.name)
        held_back = view.held_back
        return foresee(target, principal, server, snapshot.rules, view.nature, held_back=held_back).allow

    return [view.entry.name for view in views if view.entry.name not in known and may(view)]
