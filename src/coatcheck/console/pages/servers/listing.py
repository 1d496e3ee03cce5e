"""The list of servers: how each stands, what went on there in the last day, and what waits for somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from msgspec import Struct

from coatcheck.console.pages.reading import if_readable
from coatcheck.console.pages.servers.words import TONES
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import paged
from coatcheck.core.activity import Counts
from coatcheck.model.server import Source, Transport
from coatcheck.operations.credentials.views import CredentialState, CredentialView
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.serving.listing import Condition, RowFilter, ServerRow
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 50
DAY: Final = timedelta(days=1)
_GRAVITY: Final = (
    CredentialState.FAILING,
    CredentialState.LACKING,
    CredentialState.RECONNECT,
    CredentialState.OVERDUE,
    CredentialState.DUE,
)


class ListQuery(Struct, kw_only=True):
    """Which servers to list. `state` is a condition, or `trouble`, or `review`."""

    q: str = ""
    state: str = ""
    source: Source | None = None
    transport: Transport | None = None
    after: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the list. `counts` None: not known. `worst` is the gravest state of its credentials."""

    row: ServerRow
    tone: str
    counts: Counts | None
    credentials: int
    worst: CredentialState | None


class ServerListPages:
    """Serves the list."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [seen("/servers", Permission.SERVERS_READ, self.list, ListQuery)]

    async def list(self, asked: Asked[ListQuery, Nothing]) -> Answer:
        """List servers, with how each does."""
        query = asked.query
        conditions = {one.value: one for one in Condition}
        rows = await self._cases.server_lists.list(
            RowFilter(
                text=query.q.strip(),
                condition=conditions.get(query.state),
                troubled=query.state == "trouble",
                waiting=query.state == "review",
                source=query.source,
                transport=query.transport,
                limit=PAGE,
                after=query.after or None,
            )
        )
        counts = await self._counts()
        known = await self._cases.server_lists.credentials()
        lines = [_line(row, counts, known) for row in rows.page.items]
        here = {"q": query.q, "state": query.state, "source": query.source, "transport": query.transport}
        return Shown(
            "servers/list.html",
            {
                "lines": lines,
                "rows": rows,
                "query": query,
                "states": [("", "any"), ("trouble", "in trouble"), ("review", "tools to review")]
                + [(one.value, one.value) for one in Condition],
                "waiting": self._cases.reviewing.waiting(),
                **paged("/servers", here, query.after, rows.page.next),
                "narrowed": any(here.values()),
            },
        )

    async def _counts(self) -> Mapping[str, Counts] | None:
        """Return what each server did in the last day; None where the record cannot be read."""
        ranking = await if_readable(self._cases.activity.servers(self._cases.clock.now() - DAY))
        return None if ranking is None else {one.name: one.counts for one in ranking.items}


def _line(row: ServerRow, counts: Mapping[str, Counts] | None, known: Mapping[str, CredentialView]) -> Line:
    names = {name for _, name in row.view.credentials}
    states = {known[name].state for name in names if name in known}
    worst = next((state for state in _GRAVITY if state in states), None)
    found = None if counts is None else counts.get(row.view.name, Counts())
    return Line(row, TONES[row.condition], found, len(names), worst)
