"""Who may call what over the API: by subject, or by server and tool."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from coatcheck.admin.api.paging import MOST, Cursor, Limit, cursor_of, number_of
from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.tools import FailingShape
from coatcheck.admin.resources.values import Name
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.access import AccessRow, AccessRows, AccessViews
from coatcheck.operations.registry.views import GrantState


class AccessShape(Struct, kw_only=True):
    """Whether a subject with a grant may call a tool, and through which rule.

    `grant` empty: what an unrestricted grant of the subject would allow.
    """

    subject: str
    grant: str
    state: GrantState | None
    server: str
    tool: str
    allowed: bool
    rule: str
    because: str


class AccessPage(Struct):
    """A page of rows, and the servers whose tools nobody knows."""

    items: list[AccessShape]
    failing: list[FailingShape]
    next: str | None


class AccessQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of whom or of what: a subject (on one server), or a server (one tool of it)."""

    subject: Name | None = None
    server: Name | None = None
    tool: Name | None = None
    limit: Limit = MOST
    after: Cursor | None = None


class AccessRoutes:
    """Serves access."""

    def __init__(self, access: AccessViews) -> None:
        self._access = access

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/access",
                permission=Permission.ACCESS,
                summary="Tell who may call what and through which rule, by `subject` or by `server`.",
                answer=self.list,
                gives=AccessPage,
                query=AccessQuery,
                body=Nothing,
                errors=("bad_cursor", "not_found", "unfit"),
            )
        ]

    async def list(self, asking: Asking[AccessQuery, Nothing]) -> Reply:
        """Answer GET /access."""
        query = asking.query
        start = number_of("access", query.after) or 0
        rows = await self._rows(query)
        end = start + query.limit
        return Reply(
            AccessPage(
                [_shape(row) for row in rows.rows[start:end]],
                [FailingShape(*one) for one in rows.failing],
                cursor_of("access", str(end) if end < len(rows.rows) else None),
            )
        )

    async def _rows(self, query: AccessQuery) -> AccessRows:
        if query.subject is not None and query.tool is None:
            return await self._access.of_subject(query.subject, query.server)
        if query.subject is None and query.server is not None:
            return await self._access.of_tool(query.server, query.tool)
        raise problem(
            "bad_filter",
            "Name a subject (and perhaps a server), or a server (and perhaps a tool).",
            "",
            "subject",
        )


def _shape(row: AccessRow) -> AccessShape:
    return AccessShape(
        subject=row.subject,
        grant=row.grant,
        state=row.state,
        server=row.server,
        tool=row.tool,
        allowed=row.allowed,
        rule=row.rule,
        because=row.because,
    )
