"""Who may call what, in full: the tools of one server, the callers of one tool, and all of it as rows."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from coatcheck.errors import Missing
from coatcheck.model.access import Nature
from coatcheck.model.server import Server
from coatcheck.model.subject import SubjectKind
from coatcheck.model.verdict import Judgement, PolicyVerdict
from coatcheck.operations.access.judging import (
    DISABLED,
    Barrier,
    Judge,
    Who,
    barrier_of,
    best_of,
    is_proxied,
    who_of,
)
from coatcheck.operations.access.matrix import AccessMatrix, Line, MatrixFilter
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk, server_in_use
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, state_of, view_of
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.registry.views import GrantView, SubjectView
from coatcheck.operations.views import ToolView, Views

PROXY: Final = "the proxy"
"""What the way in is called of those for whom a proxy vouches."""


@dataclass(frozen=True, slots=True)
class ToolReach:
    """What somebody gets who calls a tool, by which rule and why. `by` are labels of grants that allow it."""

    tool: ToolView
    judgement: Judgement
    rule: str
    because: str
    by: Sequence[str]

    @property
    def allowed(self) -> bool:
        """Whether some calls of it get through."""
        return self.judgement.lets_through


@dataclass(frozen=True, slots=True)
class OneReach:
    """What somebody may do at one server, with `grants`: those of theirs that are not over.

    `barrier` says why they reach nothing, whatever the tools; `last` is then the grant of theirs that ended
    last, if they have none that is not over. `tools` None: nobody knows them, and `error` says why.
    """

    subject: SubjectView
    server: Server
    grants: Sequence[GrantView]
    tools: Sequence[ToolReach] | None
    error: str = ""
    barrier: Barrier | None = None
    last: GrantView | None = None


@dataclass(frozen=True, slots=True)
class CallerRow:
    """What one grant gets that calls a tool; `grant` and `label` are empty for whom a proxy vouches for."""

    subject: SubjectView
    grant: str
    label: str
    judgement: Judgement
    rule: str
    because: str

    @property
    def allowed(self) -> bool:
        """Whether some calls get through."""
        return self.judgement.lets_through


@dataclass(frozen=True, slots=True)
class Callers:
    """Who gets what of one tool: a page, and the place of the next one; None: it was the last."""

    tool: ToolView
    server: Server
    rows: Sequence[CallerRow]
    next: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """One row of the matrix told in full; `label` is the grant's, and empty for whom a proxy vouches for."""

    subject: str
    kind: SubjectKind
    label: str
    server: str
    tool: str
    nature: Nature
    judgement: Judgement
    rule: str
    because: str


class AccessTelling:
    """Tells parts of the matrix in full."""

    def __init__(self, desk: Desk, subjects: Subjects, matrix: AccessMatrix, views: Views) -> None:
        self._desk = desk
        self._subjects = subjects
        self._matrix = matrix
        self._views = views

    async def one(self, name: str, server: str, grant: str = "") -> OneReach:
        """Return what somebody may do at a server, with each of their grants or with one (its id).

        Raises:
            Missing: nobody of this name, no such server or grant.
        """
        subject = await self._subjects.get(name)
        found = server_in_use(self._desk.snapshot, server)
        tools, error = await self._tools(found)
        snapshot, now = self._desk.snapshot, self._desk.now()
        own = [one for one in all_grants(snapshot) if one.subject == name]
        grants = sorted(
            (one for one in own if not state_of(snapshot, one, now).is_over),
            key=lambda one: (one.label, one.id),
        )
        chosen = [one for one in grants if grant in {"", one.id}]
        if grant and not chosen:
            raise Missing(f"{name} has no such grant", fix="choose one of theirs that is live")
        proxied = is_proxied(snapshot) and not grant
        who = who_of(snapshot, name, chosen, proxied=proxied)
        labels = [one.label for one in chosen] + ([PROXY] if proxied else [])
        reached = await _reached(Judge(snapshot), who, labels, found, tools) if tools is not None else None
        return OneReach(
            subject,
            found,
            [view_of(snapshot, one, now) for one in grants],
            reached,
            error,
            barrier_of(who, found),
            _last(snapshot, own, now) if not grants else None,
        )

    async def callers(
        self, server: str, tool: str, *, text: str = "", every: bool = False, start: int = 0, limit: int = 50
    ) -> Callers:
        """Return who may call a tool, and with `every` who may not as well; from a place on.

        Raises:
            Missing: no such server or tool.
        """
        found = server_in_use(self._desk.snapshot, server)
        tools, error = await self._tools(found)
        view = next((one for one in tools or () if one.entry.name == tool), None)
        if view is None:
            raise Missing(f"{found.name} has no tool {tool!r}", fix=error or "choose one that it lists")
        judge, kept = Judge(self._desk.snapshot), dict[Hashable, PolicyVerdict]()
        lines = self._ways(judge.snapshot, MatrixFilter(text=text))
        waiting = [(one.place, number, one) for number, one in enumerate(lines)]
        heapq.heapify(waiting)  # sorted only as far as they are looked at; no two have the same number
        rows: list[CallerRow] = []
        for place in range(len(waiting)):
            line = heapq.heappop(waiting)[-1]
            if place < start:
                continue
            if len(rows) == limit:
                return Callers(view, found, rows, place)
            row = await _caller(judge, kept, line, found, view)
            if row.allowed or every:
                rows.append(row)
        return Callers(view, found, rows, None)

    async def rows(self, wanted: MatrixFilter) -> AsyncIterator[Sequence[Told]]:
        """Yield all that a filter means, somebody at one server at a time: by name, and by label.

        It is judged as things stood when it began. Servers that have not told their tools are left out, and
        those that a grant does not reach at all.
        """
        judge, servers = Judge(self._desk.snapshot), self._matrix.servers(wanted)
        tools: dict[UUID, Sequence[ToolView]] = {}
        for line in sorted(self._ways(judge.snapshot, wanted, servers), key=lambda one: one.place):
            for server in servers:
                if not _is_near(line, server):
                    continue
                if server.id not in tools:
                    tools[server.id] = self._views.tools_at_hand(server.id) or ()
                if tools[server.id]:
                    yield await _told(judge, line, server, tools[server.id])
            await asyncio.sleep(0)  # others have their turn: calls come first

    # --- within ------------------------------------------------------------------------------------------

    async def _tools(self, server: Server) -> tuple[Sequence[ToolView] | None, str]:
        try:
            tools, failing = await self._views.tools_soon(server.name)
        except KeyError:  # it went away meanwhile
            return None, "the server is not in use any more"
        if failing:
            return None, failing[0][1]
        return sorted(tools, key=lambda one: one.entry.name), ""

    def _ways(
        self, snapshot: Snapshot, wanted: MatrixFilter, servers: Sequence[Server] = ()
    ) -> Sequence[Line]:
        """Return a row for each grant, and where a proxy vouches, for each subject; in no order."""
        asked = MatrixFilter(text=wanted.text, kind=wanted.kind)
        by_grant = replace(asked, reaching=wanted.reaching, by_grant=True)
        found = list(self._matrix.lines(snapshot, by_grant, servers))
        if is_proxied(snapshot) and not wanted.reaching:
            found += self._matrix.lines(snapshot, asked, servers)
        return found


def _is_near(line: Line, server: Server) -> bool:
    return not line.id or any(one.may_reach(server.id) for one in line.grants)


def _who(snapshot: Snapshot, line: Line) -> Who:
    return who_of(snapshot, line.subject.name, line.grants if line.id else (), proxied=not line.id)


def _last(snapshot: Snapshot, own: Sequence[AnyGrant], now: datetime) -> GrantView | None:
    """Return what ended last of grants that are all over."""
    ended = [
        (min(filter(None, (one.revoked_at, one.expires_at))), one.id, one)
        for one in (view_of(snapshot, grant, now) for grant in own)
    ]
    return max(ended)[-1] if ended else None  # no two have the same id, so grants are never compared


async def _reached(
    judge: Judge, who: Who, labels: Sequence[str], server: Server, tools: Sequence[ToolView]
) -> Sequence[ToolReach]:
    """Return what somebody gets of each tool; `labels` are what each of their ways in is called."""
    if who.disabled:
        return [_tool_reach(tool, DISABLED, ()) for tool in tools]
    ways = await judge.ways(who, server)
    places = {key: place for place, key in enumerate(ways)}
    labelled = [
        (places[judge.key_of(one, server)], label) for one, label in zip(who.principals, labels, strict=True)
    ]
    found = []
    for tool in tools:
        verdicts = await judge.each(ways, server, tool)
        passes = [one.judgement.lets_through for one in verdicts]
        by = [label for place, label in labelled if passes[place]]
        found.append(_tool_reach(tool, best_of(verdicts), by))
        await asyncio.sleep(0)
    return found


def _tool_reach(tool: ToolView, verdict: PolicyVerdict, by: Sequence[str]) -> ToolReach:
    return ToolReach(tool, verdict.judgement, verdict.rule, verdict.because, by)


async def _caller(
    judge: Judge, kept: dict[Hashable, PolicyVerdict], line: Line, server: Server, tool: ToolView
) -> CallerRow:
    """Return what a line gets of a tool; `kept` are verdicts on those who were alike."""
    who = _who(judge.snapshot, line)
    ways = await judge.ways(who, server)
    key = tuple(ways)
    if not who.disabled and key not in kept:
        kept[key] = await judge.best(ways, server, tool)
    verdict = DISABLED if who.disabled else kept[key]
    return CallerRow(line.subject, line.id, line.label, verdict.judgement, verdict.rule, verdict.because)


async def _told(judge: Judge, line: Line, server: Server, tools: Sequence[ToolView]) -> Sequence[Told]:
    who, subject = _who(judge.snapshot, line), line.subject
    ways = await judge.ways(who, server)
    found = []
    for tool in tools:
        verdict = DISABLED if who.disabled else await judge.best(ways, server, tool)
        found.append(
            Told(
                subject.name,
                subject.kind,
                line.label,
                server.name,
                tool.entry.name,
                tool.nature,
                verdict.judgement,
                verdict.rule,
                verdict.because,
            )
        )
    return found
