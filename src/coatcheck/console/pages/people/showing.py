"""One person or automation: grants, clients, what they do, what is known of them, and what changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages import plots
from coatcheck.console.pages.reading import if_readable
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.core.activity import Series, Step
from coatcheck.model.browser import Whose
from coatcheck.model.change import ChangeEntry, ChangeFilter, ObjectKind
from coatcheck.model.grant import Seen
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.registry.patches import GrantFilter
from coatcheck.operations.registry.views import GrantState, GrantView
from coatcheck.operations.signing_in.sessions import BrowserSessions, BrowserView
from coatcheck.operations.use_cases import UseCases

DAYS: Final = 30
_GRANTS: Final = 200
_SHOWN: Final = 25
_CLIENTS: Final = 10
_CHANGES: Final = 8
_ORDER: Final = (
    GrantState.LIVE,
    GrantState.UNCLAIMED,
    GrantState.DISABLED,
    GrantState.EXPIRED,
    GrantState.REVOKED,
)


class OneQuery(Struct):
    """Who; a query, since names hold any character."""

    name: str = ""


class PersonPages:
    """Serves the page of one subject."""

    def __init__(self, cases: UseCases, sessions: BrowserSessions) -> None:
        self._cases = cases
        self._sessions = sessions

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/people/one", Permission.SUBJECTS_READ, self.one, OneQuery)]

    async def one(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show a person: grants, clients, calls, and what operators changed."""
        name = asked.query.name
        row = await self._cases.people.get(name)
        pages = [
            await self._cases.grants.list(GrantFilter(subject=name, over=over, limit=_GRANTS))
            for over in (False, True)
        ]
        owned = (one for page in pages for one in page.items)
        grants = sorted(owned, key=lambda one: (_ORDER.index(one.state), one.label))
        series = await self._series(name)
        values: dict[str, Any] = {
            "row": row,
            "view": row.view,
            "grants": grants[:_SHOWN],
            "grants_all": len(grants),
            "grants_more": any(page.next is not None for page in pages),
            "clients": _clients(grants),
            "series": series,
            "points": plots.counts(series),
            "days": DAYS,
            "browsers": self._browsers(asked, name),
            "changes": await self._changes(asked, name),
            "would": await self._cases.offboarding.would_end(name),
        }
        return Shown("people/one.html", values)

    async def _series(self, name: str) -> Series | None:
        """Return what somebody did of late; None where the record cannot be read."""
        since = self._cases.clock.now() - timedelta(days=DAYS)
        return await if_readable(self._cases.activity.over(since, step=Step.DAY, subject=name))

    def _browsers(self, asked: Asked[Any, Any], name: str) -> Sequence[BrowserView] | None:
        """Return where somebody is signed in, to those who may see that of everybody; None: to others."""
        if not may(asked.actor.role, Permission.OPERATORS_WRITE):
            return None
        return self._sessions.list(Whose.SUBJECT, name)

    async def _changes(self, asked: Asked[Any, Any], name: str) -> Sequence[ChangeEntry] | None:
        """Return the last changes of somebody; None: whoever asks may not see them."""
        if not may(asked.actor.role, Permission.CHANGES):
            return None
        return await self._cases.changes(ChangeFilter(kind=ObjectKind.SUBJECT, object=name, limit=_CHANGES))


def _clients(grants: Sequence[GrantView]) -> Sequence[tuple[Seen, str]]:
    """Return the last use by each client with the label of the grant that it used, newest first."""
    newest: dict[str, tuple[Seen, str]] = {}
    for grant in grants:
        for use in grant.clients:
            before = newest.get(use.client)
            if before is None or before[0].at < use.at:
                newest[use.client] = use, grant.label
    return sorted(newest.values(), key=lambda one: one[0].at, reverse=True)[:_CLIENTS]
