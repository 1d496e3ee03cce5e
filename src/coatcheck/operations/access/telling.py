"""Who may call what, in full: the tools of one server, the callers of one tool, and all of it as rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import Missing
from coatcheck.model.access import Nature
from coatcheck.model.server import Server
from coatcheck.model.subject import SubjectKind
from coatcheck.model.verdict import Judgement
from coatcheck.operations.access.judging import Who, is_let_through, is_proxied, verdict_on, who_of
from coatcheck.operations.access.matrix import OVER, AccessMatrix, Line, MatrixFilter
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, state_of
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.registry.views import SubjectView
from coatcheck.operations.views import ToolView, Views

_TURN: Final = 100
"""Pairs that are judged until others have their turn."""


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
        return self.judgement in {Judgement.ALLOWED, Judgement.UNDECIDED}


@dataclass(frozen=True, slots=True)
class OneReach:
    """What somebody may do at one server. `grants` are those of theirs that are not over.

    `tools` None: nobody knows them, and `error` says why.
    """

    subject: SubjectView
    server: Server
    grants: Sequence[AnyGrant]
    tools: Sequence[ToolReach] | None
    error: str = ""


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
        return self.judgement in {Judgement.ALLOWED, Judgement.UNDECIDED}


@dataclass(frozen=True, slots=True)
class Callers:
    """Who gets what of one tool: a page, and the place of the next one; None: it was the last."""

    tool: ToolView
    server: Server
    rows: Sequence[CallerRow]
    next: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """One row of the matrix told in full."""

    subject: str
    kind: SubjectKind
    grant: str
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
        found = self._server(server)
        tools, error = await self._tools(found)
        snapshot = self._desk.snapshot
        grants = self._grants(snapshot, name)
        chosen = [one for one in grants if grant in {"", one.id}]
        if grant and not chosen:
            raise Missing(f"{name} has no such grant", fix="choose one of theirs that is live")
        if tools is None:
            return OneReach(subject, found, grants, None, error)
        proxied = is_proxied(snapshot) and not grant
        ways = [(one.label, who_of(snapshot, name, [one], proxied=False)) for one in chosen]
        ways += [("the proxy", who_of(snapshot, name, [], proxied=True))] if proxied else []
        whole = who_of(snapshot, name, chosen, proxied=proxied)
        reached = [_reach(snapshot, whole, ways, found, tool) for tool in tools]
        return OneReach(subject, found, grants, reached)

    async def callers(
        self, server: str, tool: str, *, text: str = "", every: bool = False, start: int = 0, limit: int = 50
    ) -> Callers:
        """Return who may call a tool, and with `every` who may not as well; from a place on.

        Raises:
            Missing: no such server or tool.
        """
        found = self._server(server)
        tools, error = await self._tools(found)
        view = next((one for one in tools or () if one.entry.name == tool), None)
        if view is None:
            raise Missing(f"{found.name} has no tool {tool!r}", fix=error or "choose one that it lists")
        snapshot = self._desk.snapshot
        rows: list[CallerRow] = []
        for place, line in enumerate(self._ways(snapshot, text)):
            if place < start:
                continue
            if len(rows) == limit:
                return Callers(view, found, rows, place)
            row = _caller(snapshot, line, found, view)
            if row.allowed or every:
                rows.append(row)
            if place % _TURN == 0:
                await asyncio.sleep(0)
        return Callers(view, found, rows, None)

    async def rows(self, wanted: MatrixFilter) -> AsyncIterator[Sequence[Told]]:
        """Yield all that a filter means, somebody at one server at a time: by name, and by label.

        Servers that have not told their tools are left out, and those that a grant does not reach at all.
        """
        servers = self._matrix.servers(wanted)
        for line in self._ways(self._desk.snapshot, wanted.text, wanted, servers):
            for server in servers:
                tools = self._views.tools_at_hand(server.id)
                if tools and _is_near(line, server):
                    yield _told(self._desk.snapshot, line, server, tools)
                await asyncio.sleep(0)

    # --- within ------------------------------------------------------------------------------------------

    def _server(self, key: str) -> Server:
        found = self._desk.snapshot.find_server(key)
        if found is None:
            raise Missing(f"there is no server {key!r} in use", fix="choose one that is listed")
        return found

    async def _tools(self, server: Server) -> tuple[Sequence[ToolView] | None, str]:
        try:
            tools, failing = await self._views.tools_soon(server.name)
        except KeyError:  # it went away meanwhile
            return None, "the server is not in use any more"
        if failing:
            return None, failing[0][1]
        return sorted(tools, key=lambda one: one.entry.name), ""

    def _grants(self, snapshot: Snapshot, name: str) -> Sequence[AnyGrant]:
        now, own = self._desk.now(), (one for one in all_grants(snapshot) if one.subject == name)
        grants = [one for one in own if state_of(snapshot, one, now) not in OVER]
        return sorted(grants, key=lambda one: (one.label, one.id))

    def _ways(
        self,
        snapshot: Snapshot,
        text: str,
        wanted: MatrixFilter | None = None,
        servers: Sequence[Server] = (),
    ) -> Sequence[Line]:
        """Return a row for each grant, and where a proxy vouches for people, for each of them as well."""
        kind, reaching = (wanted.kind, wanted.reaching) if wanted is not None else (None, False)
        asked = MatrixFilter(text=text, kind=kind, reaching=reaching, by_grant=True)
        found = list(self._matrix.lines(snapshot, asked, servers))
        if is_proxied(snapshot) and not reaching:
            found += self._matrix.lines(snapshot, MatrixFilter(text=text, kind=kind), servers)
        return sorted(found, key=lambda line: line.place)


def _is_near(line: Line, server: Server) -> bool:
    return not line.id or any(one.servers is None or server.id in one.servers for one in line.grants)


def _who(snapshot: Snapshot, line: Line) -> Who:
    return who_of(snapshot, line.subject.name, line.grants if line.id else (), proxied=not line.id)


def _reach(
    snapshot: Snapshot, whole: Who, ways: Sequence[tuple[str, Who]], server: Server, tool: ToolView
) -> ToolReach:
    verdict = verdict_on(snapshot, whole, server, tool)
    by = [label for label, who in ways if is_let_through(verdict_on(snapshot, who, server, tool))]
    return ToolReach(tool, verdict.judgement, verdict.rule, verdict.because, by)


def _caller(snapshot: Snapshot, line: Line, server: Server, tool: ToolView) -> CallerRow:
    verdict = verdict_on(snapshot, _who(snapshot, line), server, tool)
    return CallerRow(line.subject, line.id, line.label, verdict.judgement, verdict.rule, verdict.because)


def _told(snapshot: Snapshot, line: Line, server: Server, tools: Sequence[ToolView]) -> Sequence[Told]:
    return list(_each(snapshot, line, server, tools))


def _each(snapshot: Snapshot, line: Line, server: Server, tools: Sequence[ToolView]) -> Iterator[Told]:
    who, subject = _who(snapshot, line), line.subject
    for tool in tools:
        verdict = verdict_on(snapshot, who, server, tool)
        yield Told(
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
