"""The matrix in full as a table, sent as it is judged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec import Struct

from coatcheck.console.web import sheets
from coatcheck.console.web.page import AnyPage, Asked, Nothing, Sent, saved
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.access.matrix import MatrixFilter
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases

_HEAD: Final = ("subject", "kind", "grant", "server", "tool", "nature", "outcome", "rule", "because")
_WRITE: Final = 64 * 1024


class ExportQuery(Struct, kw_only=True):
    """What to export, as on the page of the matrix."""

    q: str = ""
    server: str = ""
    kind: SubjectKind | None = None
    only: bool = False


class ExportPages:
    """Serves the export."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [saved("/access/export.csv", Permission.ACCESS, self.export, ExportQuery)]

    async def export(self, asked: Asked[ExportQuery, Nothing]) -> Sent:
        """Send all of it as CSV: a row for each grant and each tool."""
        query = asked.query
        wanted = MatrixFilter(text=query.q, server=query.server, kind=query.kind, reaching=query.only)
        return Sent(self._parts(wanted), sheets.CSV, "access.csv")

    async def _parts(self, wanted: MatrixFilter) -> AsyncIterator[bytes]:
        waiting, size = [sheets.lines([_HEAD])], 0
        async for rows in self._cases.telling.rows(wanted):
            part = sheets.lines(
                (
                    row.subject,
                    row.kind.value,
                    row.label,
                    row.server,
                    row.tool,
                    row.nature.value,
                    "allowed" if row.judgement.value == "undecided" else row.judgement.value,
                    row.rule,
                    row.because,
                )
                for row in rows
            )
            waiting.append(part)
            size += len(part)
            if size >= _WRITE:
                yield b"".join(waiting)
                waiting, size = [], 0
        yield b"".join(waiting)
