"""The matrix of who may do what at which server: a page of it at a time, and only that is judged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from coatcheck.errors import Unfit
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.server import Server
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.access.judging import Cell, Judge, is_proxied, who_of
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, is_settled, state_of
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.registry.views import SubjectView
from coatcheck.operations.views import ToolView, Views

MOST_STEPS: Final = 12_000
"""Steps of judging, each a way in at a tool, after which a page ends once it has some rows."""
LEAST_ROWS: Final = 5
MOST_EVER: Final = 60_000
"""Steps after which it ends with any row."""
_MOMENT: Final = 2.0
"""Seconds for which it is known who is there while nothing is changed: only time ends a grant then."""
_Everybody = tuple[Sequence[SubjectView], Mapping[str, list[AnyGrant]]]


@dataclass(frozen=True, slots=True)
class MatrixFilter:
    """What part of the matrix is looked at.

    `text` and `server` are parts of names, in any case. `reaching`: only those with a live grant that reaches
    one of the servers that were asked for. `by_grant`: a row for each live grant in place of each subject.
    `column` is the place of the first server that is shown, from 0.
    """

    text: str = ""
    server: str = ""
    kind: SubjectKind | None = None
    reaching: bool = False
    by_grant: bool = False
    rows: int = 25
    columns: int = 12
    column: int = 0
    after: str | None = None


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One subject, or one grant of it, and what it may do at each server of the page.

    `grant` is the id of a grant and `label` what it is called; both empty in rows of subjects. `grants` are
    those that are not over, or this one.
    """

    subject: SubjectView
    grant: str
    label: str
    cells: Sequence[Cell]
    grants: Sequence[AnyGrant] = ()

    def narrowable(self, server: UUID | None = None) -> Sequence[IssuedGrant]:
        """Return those that can be narrowed here, since the store has them; with a server, that reach it."""
        return [
            one
            for one in self.grants
            if isinstance(one, IssuedGrant) and (server is None or one.may_reach(server))
        ]

    def is_settled(self, server: UUID, now: datetime) -> bool:
        """Tell whether somebody could have used a server for long: not only by grants that are new."""
        near = [one for one in self.grants if one.may_reach(server)]
        return not near or any(is_settled(one, now) for one in near)


@dataclass(frozen=True, slots=True)
class MatrixPage:
    """A part of the matrix. `found` counts all rows that were asked for, `all_servers` all columns."""

    servers: Sequence[Server]
    rows: Sequence[MatrixRow]
    next: str | None
    found: int
    column: int
    all_servers: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row before it is judged: somebody with some of their grants."""

    subject: SubjectView
    grants: tuple[AnyGrant, ...]
    label: str = ""
    id: str = ""

    @property
    def place(self) -> tuple[str, ...]:
        """Where it stands among all."""
        return self.subject.name.casefold(), self.subject.name, self.label.casefold(), self.id


class AccessMatrix:
    """Judges parts of the matrix by the same decision as calls, and by the tools that servers last told."""

    def __init__(self, desk: Desk, subjects: Subjects, views: Views) -> None:
        self._desk = desk
        self._subjects = subjects
        self._views = views
        self._kept: tuple[Snapshot, float, _Everybody] | None = None

    async def page(self, wanted: MatrixFilter) -> MatrixPage:
        """Return a part of the matrix, by name both ways.

        Raises:
            Unfit: a cursor or a number that cannot be.
        """
        if not 1 <= wanted.columns <= 50 or wanted.column < 0:
            raise Unfit("a page has 1 to 50 servers, from one of them on")
        snapshot = self._desk.snapshot
        servers = self.servers(wanted)
        shown = servers[wanted.column : wanted.column + wanted.columns]
        tools = {}
        for server in shown:
            tools[server.id] = self._views.tools_at_hand(server.id)
            await asyncio.sleep(0)  # others have their turn: calls come first
        lines = self.lines(snapshot, wanted, servers)
        page = page_of(lines, lambda line: line.place, wanted.rows, wanted.after)
        rows, judge = list[MatrixRow](), Judge(snapshot)
        for line in page.items:
            rows.append(await _row(snapshot, line, shown, tools, judge))
            await asyncio.sleep(0)
            if _is_full(len(rows), judge.steps):
                break
        if len(rows) < len(page.items):
            page = page_of(lines, lambda line: line.place, len(rows), wanted.after)
        return MatrixPage(shown, rows, page.next, len(lines), wanted.column, len(servers))

    def servers(self, wanted: MatrixFilter) -> Sequence[Server]:
        """Return the servers in use that were asked for, by name."""
        words = wanted.server.casefold().split()
        found = [
            server
            for server in self._desk.snapshot.servers.values()
            if all(word in server.name.casefold() for word in words)
        ]
        return sorted(found, key=lambda server: (server.name.casefold(), server.name))

    def lines(self, snapshot: Snapshot, wanted: MatrixFilter, servers: Sequence[Server]) -> Sequence[Line]:
        """Return all rows that were asked for, in no order; nothing is judged for that."""
        all_of_them, standing = self._everybody(snapshot)
        words, ids = wanted.text.casefold().split(), frozenset(server.id for server in servers)
        everybody = [one for one in all_of_them if wanted.kind in {None, one.kind}]
        found = _by_grant(everybody, standing) if wanted.by_grant else _by_subject(everybody, standing)
        return [
            line
            for line in found
            if _is_named(line, words) and not (wanted.reaching and not _reaches(line, ids))
        ]

    def _everybody(self, snapshot: Snapshot) -> _Everybody:
        """Return all subjects, and the grants that are not over by their owners; a moment old at the most."""
        now = self._desk.clock.monotonic()
        kept = self._kept
        if kept is not None and kept[0] is snapshot and now - kept[1] < _MOMENT:
            return kept[2]
        told = self._subjects.every(), self._standing(snapshot)
        self._kept = snapshot, now, told
        return told

    def _standing(self, snapshot: Snapshot) -> Mapping[str, list[AnyGrant]]:
        now, found = self._desk.now(), defaultdict[str, list[AnyGrant]](list)
        for grant in all_grants(snapshot):
            if not state_of(snapshot, grant, now).is_over:
                found[grant.subject].append(grant)
        return found


def _is_full(rows: int, steps: int) -> bool:
    return steps >= (MOST_STEPS if rows >= LEAST_ROWS else MOST_EVER)


async def _row(
    snapshot: Snapshot,
    line: Line,
    servers: Sequence[Server],
    tools: Mapping[UUID, Sequence[ToolView] | None],
    judge: Judge,
) -> MatrixRow:
    proxied = is_proxied(snapshot) and not line.id
    who = who_of(snapshot, line.subject.name, line.grants, proxied=proxied)
    cells = [await judge.cell(who, server, tools[server.id]) for server in servers]
    return MatrixRow(line.subject, line.id, line.label, cells, line.grants)


def _by_subject(everybody: Sequence[SubjectView], standing: Mapping[str, list[AnyGrant]]) -> Iterator[Line]:
    return (Line(one, tuple(standing.get(one.name, ()))) for one in everybody)


def _by_grant(everybody: Sequence[SubjectView], standing: Mapping[str, list[AnyGrant]]) -> Iterator[Line]:
    for one in everybody:
        for grant in standing.get(one.name, ()):
            yield Line(one, (grant,), grant.label, grant.id)


def _is_named(line: Line, words: Sequence[str]) -> bool:
    if not words:
        return True
    text = "\n".join((line.subject.name, line.label, *line.subject.roles)).casefold()
    return all(word in text for word in words)


def _reaches(line: Line, servers: frozenset[UUID]) -> bool:
    if line.subject.disabled:
        return False
    return any(grant.servers is None or grant.servers & servers for grant in line.grants)
