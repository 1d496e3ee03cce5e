"""The matrix: who may do what at which server, a part of it at a time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import link
from coatcheck.errors import CoatcheckError
from coatcheck.model.server import Server
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.access.judging import Cell, Reach
from coatcheck.operations.access.matrix import MatrixFilter, MatrixPage, MatrixRow
from coatcheck.operations.access.using import Usage, used_of_late
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases

ROWS: Final = 25
COLUMNS: Final = 10
DAYS: Final = 30
_SOME: Final = frozenset({Reach.ALL, Reach.WRITE, Reach.READ})


class MatrixQuery(Struct, kw_only=True):
    """What part of the matrix to show. `by`: empty for a row for each subject, or `grant`.

    `used`: mark what was not used of late. `col` is the place of the first server.
    """

    q: str = ""
    server: str = ""
    kind: SubjectKind | None = None
    only: bool = False
    by: str = ""
    used: bool = False
    col: int = 0
    after: str = ""


@dataclass(frozen=True, slots=True)
class Shade:
    """One cell as it is shown: in a word, and in a sentence. `unused`: allowed, and not used of late."""

    cell: Cell
    text: str
    label: str
    href: str
    unused: bool


class MatrixPages:
    """Serves the matrix."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/access", Permission.ACCESS, self.show, MatrixQuery)]

    async def show(self, asked: Asked[MatrixQuery, Nothing]) -> Answer:
        """Show a part of the matrix."""
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
        usage = await self._usage(page) if query.used else None
        here = _here(query)
        values: dict[str, Any] = {
            "query": query,
            "page": page,
            "rows": [(row, [_shade(row, *pair, usage) for pair in _pairs(page, row)]) for row in page.rows],
            "usage": usage,
            "failed": query.used and usage is None,
            "days": DAYS,
            "narrowed": any(value for name, value in here.items() if name not in {"by", "used"}),
            "export": link(
                "/access/export.csv", **{key: here[key] for key in ("q", "server", "kind", "only")}
            ),
            "first": link("/access", **here, col=query.col or None) if query.after else "",
            "next": link("/access", **here, col=query.col or None, after=page.next) if page.next else "",
            "left": _columns(query, here, page.column - COLUMNS) if page.column else "",
            "right": _columns(query, here, page.column + COLUMNS)
            if page.column + COLUMNS < page.all_servers
            else "",
        }
        return Shown("access/matrix.html", values)

    async def _usage(self, page: MatrixPage) -> Usage | None:
        """Return who of these used what; None where the record cannot be read."""
        with suppress(CoatcheckError):
            whose = [(row.subject.name, row.grant) for row in page.rows]
            return await used_of_late(self._cases.activity, self._cases.clock, whose, DAYS)
        return None


def _here(query: MatrixQuery) -> dict[str, Any]:
    return {
        "q": query.q,
        "server": query.server,
        "kind": query.kind.value if query.kind else None,
        "only": "yes" if query.only else "",
        "by": query.by,
        "used": "yes" if query.used else "",
    }


def _columns(query: MatrixQuery, here: dict[str, Any], place: int) -> str:
    return link("/access", **here, col=max(0, place) or None, after=query.after)


def _pairs(page: MatrixPage, row: MatrixRow) -> Sequence[tuple[Server, Cell]]:
    return list(zip(page.servers, row.cells, strict=True))


def _shade(row: MatrixRow, server: Server, cell: Cell, usage: Usage | None) -> Shade:
    used = usage.servers.get((row.subject.name, row.grant)) if usage is not None else None
    unused = used is not None and server.name not in used and cell.reach in _SOME
    who = f"{row.label} of {row.subject.name}" if row.grant else row.subject.name
    label = f"{who} at {server.name}: {_sentence(cell)}" + (f"; not used in {DAYS} days" if unused else "")
    href = link("/access/one", subject=row.subject.name, server=server.name, grant=row.grant)
    return Shade(cell, _word(cell), label, href, unused)


def _word(cell: Cell) -> str:
    match cell.reach:
        case Reach.ALL:
            return f"all {cell.tools}"
        case Reach.WRITE | Reach.READ:
            return f"{cell.reach.value} {cell.allowed}/{cell.tools}"
        case Reach.UNKNOWN:
            return "unknown"
        case _:
            return cell.reach.value


def _sentence(cell: Cell) -> str:
    match cell.reach:
        case Reach.ALL:
            return f"all {cell.tools} tools"
        case Reach.WRITE:
            return f"{cell.allowed} of {cell.tools} tools, some of which change something"
        case Reach.READ:
            return f"{cell.allowed} of {cell.tools} tools, which only read"
        case Reach.DENIED:
            return f"none of {cell.tools} tools, which they see: {cell.because}"
        case Reach.HIDDEN:
            return f"none, and they see none: {cell.because}"
        case _:
            return cell.because
