"""The list of people and automations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import link, paged
from coatcheck.model.server import Source
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.people.listing import PeopleFilter, PersonStanding
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 50
_ROLES: Final = 200


class ListQuery(Struct, kw_only=True):
    """Whom to list."""

    q: str = ""
    kind: SubjectKind | None = None
    state: PersonStanding | None = None
    role: str = ""
    source: Source | None = None
    after: str = ""
    before: str = ""


class PeopleListPages:
    """Serves the list."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/people", Permission.SUBJECTS_READ, self.list, ListQuery)]

    async def list(self, asked: Asked[ListQuery, Nothing]) -> Answer:
        """List people and automations."""
        query = asked.query
        rows = await self._cases.people.list(
            PeopleFilter(
                text=query.q,
                kind=query.kind,
                standing=query.state,
                role=query.role,
                source=query.source,
                limit=PAGE,
                after=query.after or None,
                before=query.before or None,
            )
        )
        page = rows.page
        narrowing = {"q": query.q, "state": query.state, "role": query.role, "source": query.source}
        here = {**narrowing, "kind": query.kind}
        everybody = sum(rows.kinds.values())
        tabs = [
            ("Everybody", link("/people", **narrowing), query.kind is None, everybody),
            *(
                (label, link("/people", **narrowing, kind=kind), query.kind is kind, rows.kinds[kind])
                for label, kind in (("People", SubjectKind.PERSON), ("Automations", SubjectKind.AUTOMATION))
            ),
        ]
        return Shown(
            "people/list.html",
            {
                "rows": rows,
                "query": query,
                "tabs": tabs,
                "everybody": everybody,
                "roles": [("", "any"), *((role, role) for role in rows.roles[:_ROLES])],
                "narrowed": any(here.values()),
                **paged("/people", here, page.previous or query.after, page.next),
                "previous": link("/people", **here, before=page.previous) if page.previous else "",
            },
        )
