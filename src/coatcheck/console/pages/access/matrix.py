"""The matrix: who may do what at which server, a part of it at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.reading import if_readable
from coatcheck.console.web.commands import Retold
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import link, paged, utc
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.server import Server
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.access.judging import Cell, Reach
from coatcheck.operations.access.matrix import MatrixFilter, MatrixPage, MatrixRow
from coatcheck.operations.access.using import Usage, Usages, servers_of_late
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.use_cases import UseCases

ROWS: Final = 25
COLUMNS: Final = 10
DAYS: Final = 30


class MatrixQuery(Struct, kw_only=True):
    """What part of the matrix to show. `by`: empty for a row for each subject, or `grant`.

    `mark`: empty to highlight what was not used of late, or `no`. `col` is the place of the first server.
    """

    q: str = ""
    server: str = ""
    kind: SubjectKind | None = None
    only: bool = False
    by: str = ""
    mark: str = ""
    col: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class Shade:
    """One cell as it is shown: in a word, and in a sentence. `unused`: allowed, and not used of late.

    `href` leads to what can be done about it: to narrowing what is not used, else to each tool, and why.
    """

    cell: Cell
    text: str
    label: str
    href: str
    unused: bool


@dataclass(frozen=True, slots=True)
class MarkedRow:
    """One row as it is shown. `narrow` leads to narrowing its one grant, if that has what is not used."""

    row: MatrixRow
    shades: Sequence[Shade]
    narrow: str


class MatrixPages:
    """Serves the matrix."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/access", Permission.ACCESS, self.show, MatrixQuery)]

    async def show(self, asked: Asked[MatrixQuery, Nothing]) -> Answer:
        """Show who may do what at which server, a part at a time, and what of it nobody used."""
        query = asked.query
        page = await self._cases.matrix.page(
            MatrixFilter(
                text=query.q,
                server=query.server,
                kind=query.kind,
                reaching=query.only,
                by_grant=query.by == "grant",
                rows=ROWS,
                columns=COLUMNS,
                column=max(0, query.col),
                after=query.after or None,
            )
        )
        is_marked = query.mark != "no"
        usages = await self._usages(page) if is_marked else None
        here = _here(query)
        writes = may(asked.actor.role, Permission.GRANTS_WRITE)
        place = {"col": query.col or None, "after": query.after}
        now = self._cases.clock.now()
        values: dict[str, Any] = {
            "query": query,
            "page": page,
            "rows": [_marked(page, row, usages, now, writes=writes) for row in page.rows],
            "usages": usages,
            "failed": is_marked and usages is None,
            "span": span(usages.sealed_since if usages is not None else None),
            "legend": _LEGEND,
            "here": link("/access", **here, **place),
            "narrowed": any(value for name, value in here.items() if name not in {"by", "mark"}),
            "export": link(
                "/access/export.csv", **{key: here[key] for key in ("q", "server", "kind", "only")}
            ),
            **paged("/access", {**here, "col": query.col or None}, query.after, page.next),
            "left": _columns(query, here, page.column - COLUMNS) if page.column else "",
            "right": _columns(query, here, page.column + COLUMNS)
            if page.column + COLUMNS < page.all_servers
            else "",
        }
        return Shown("access/matrix.html", values)

    async def _usages(self, page: MatrixPage) -> Usages | None:
        """Return who of these used what; None where the record cannot be read."""
        whose = [(row.subject.name, row.grant) for row in page.rows]
        return await if_readable(
            servers_of_late(self._cases.activity, self._cases.clock, whose, DAYS, soon=True)
        )


def _here(query: MatrixQuery) -> dict[str, Any]:
    return {
        "q": query.q,
        "server": query.server,
        "kind": query.kind.value if query.kind else None,
        "only": "yes" if query.only else "",
        "by": query.by,
        "mark": query.mark,
    }


def _columns(query: MatrixQuery, here: dict[str, Any], place: int) -> str:
    return link("/access", **here, col=max(0, place) or None, after=query.after)


def _marked(
    page: MatrixPage, row: MatrixRow, usages: Usages | None, now: datetime, *, writes: bool
) -> MarkedRow:
    usage = usages.by.get((row.subject.name, row.grant)) if usages is not None else None
    shades = [
        _shade(row, server, cell, usage if row.is_settled(server.id, now) else None, writes=writes)
        for server, cell in zip(page.servers, row.cells, strict=True)
    ]
    narrow = ""
    if writes and len(row.grants) == 1 and any(shade.unused for shade in shades):
        narrow = _narrowing(row, row.narrowable())
    return MarkedRow(row, shades, narrow)


def _shade(row: MatrixRow, server: Server, cell: Cell, usage: Usage | None, *, writes: bool) -> Shade:
    unused = usage is not None and cell.reach.is_some and usage.is_unused(server.name)
    who = f"{row.label} of {row.subject.name}" if row.grant else row.subject.name
    label = f"{who} at {server.name}: {_sentence(cell)}"
    href = link("/access/one", subject=row.subject.name, server=server.name, grant=row.grant)
    if unused and usage is not None:
        label += f"; not used {span(usage.since if usage.sealed else None)}"
        narrow = _narrowing(row, row.narrowable(server.id), server.name) if writes else ""
        label, href = (f"{label}: narrow it", narrow) if narrow else (label, href)
    return Shade(cell, _word(cell), label, href, unused)


def _narrowing(row: MatrixRow, grants: Sequence[IssuedGrant], server: str = "") -> str:
    """Return where grants are narrowed: one to what it used, several of them by taking a server."""
    if len(grants) > 1 and server:
        return link("/access/withdraw", subject=row.subject.name, server=server)
    return link("/access/narrow", grant=grants[0].id) if len(grants) == 1 else ""


def span(sealed_since: datetime | None, days: int = DAYS) -> str:
    """Return the time in which something was not used, in words: what is older than that is in files."""
    return f"since {utc(sealed_since)}" if sealed_since is not None else f"in {days} days"


def _word(cell: Cell) -> str:
    match cell.reach:
        case Reach.ALL:
            return f"all {cell.tools}"
        case Reach.WRITE | Reach.READ:
            return f"{cell.allowed} of {cell.tools} · {cell.reach.value}s"
        case _:
            return cell.reach.value


_LEGEND: Final = [
    (cell.reach, _word(cell), text)
    for cell, text in (
        (Cell(Reach.ALL, 8, 8), "every tool"),
        (Cell(Reach.WRITE, 7, 8), "some, which may change something"),
        (Cell(Reach.READ, 3, 8), "some, which only read"),
        (Cell(Reach.DENIED), "seen, not allowed"),
        (Cell(Reach.HIDDEN), "not even seen"),
        (Cell(Reach.NONE), "no grant reaches it"),
        (Cell(Reach.UNKNOWN), "its tools are not known yet"),
    )
]
"""One cell of each kind, as cells are shown, and what it means."""


def _sentence(cell: Cell) -> str:
    match cell.reach:
        case Reach.ALL:
            return f"all {cell.tools} tools"
        case Reach.WRITE:
            return f"{cell.allowed} of {cell.tools} tools, some of which change something"
        case Reach.READ:
            return f"{cell.allowed} of {cell.tools} tools, which only read"
        case Reach.DENIED:
            return f"none of {cell.tools} tools, which they see: {Retold.of(cell.because)}"
        case Reach.HIDDEN:
            return f"none, and they see none: {Retold.of(cell.because)}"
        case _:
            return Retold.of(cell.because)
