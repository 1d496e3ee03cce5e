"""The list of grants, and ending several of them at once with what dies of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.console.pages.endings import ended_words
from coatcheck.console.pages.grants.shapes import (
    GrantQuery,
    OwnerQuery,
    RevokeForm,
    RevokeQuery,
    Standing,
    filter_of,
)
from coatcheck.console.pages.grants.words import STANDINGS
from coatcheck.console.pages.log.calls import with_own
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import link, paged
from coatcheck.core.going import way_back
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.views import UseView
from coatcheck.operations.registry.views import GrantView
from coatcheck.operations.use_cases import UseCases

_LIST: Final = "/grants"
MOST_AT_ONCE: Final = 1_000
_LABELS_SAID: Final = 3
_PLACES: Final = frozenset({"after", "before"})


@dataclass(frozen=True, slots=True)
class Row:
    """One grant of the list."""

    view: GrantView
    uses: Sequence[UseView]
    automation: bool

    @property
    def ends(self) -> bool:
        """Whether there is something left to revoke."""
        return not self.view.state.is_over


class GrantListPages:
    """Serves the list."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        writing = Permission.GRANTS_WRITE
        return [
            seen(_LIST, Permission.GRANTS_READ, self.list, GrantQuery),
            seen("/grants/owners", Permission.SUBJECTS_READ, self.owners, OwnerQuery),
            seen("/grants/revoke", writing, self.ask, RevokeQuery),
            done("/grants/revoke", writing, self.revoke, RevokeForm, RevokeQuery, again=self.ask_again),
        ]

    async def list(self, asked: Asked[GrantQuery, Nothing]) -> Answer:
        """List grants by label."""
        query, cases = asked.query, self._cases
        page = await cases.grants.list(filter_of(query, cases.clock.now()))
        uses = cases.policy_uses.on_grants({view.id for view in page.items})
        offered = suggestions(cases)
        asks = {name: getattr(query, name) for name in query.__struct_fields__ if name not in _PLACES}
        policies = [("", "any"), *offered["pick_policies"][1:]]
        values = {
            "query": query,
            "rows": [self._row(view, uses.get(view.id, ())) for view in page.items],
            "found": page.found,
            **paged(_LIST, asks, page.previous or query.after, page.next),
            "previous": link(_LIST, **asks, before=page.previous) if page.previous else "",
            "here": link(_LIST, **asks, after=query.after, before=query.before),
            "filtered": any(asks.values()),
            "standings": [(one.value, STANDINGS[one]) for one in Standing],
            **offered,
            "pick_servers": with_own(offered["pick_servers"], query.server),
            "pick_policies": with_own(policies, query.policy),
        }
        return Shown("grants/list.html", values)

    async def owners(self, asked: Asked[OwnerQuery, Nothing]) -> Answer:
        """Suggest owners to a form while one types."""
        return Shown("grants/owners.html", {"owners": self._cases.people.names_like(asked.query.owner)})

    async def ask(self, asked: Asked[RevokeQuery, Nothing]) -> Answer:
        """Show what revoking the chosen grants would end."""
        return await self._ask(asked, asked.query.grant, asked.query.back)

    async def ask_again(self, asked: Asked[RevokeQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._ask(asked, asked.typed.get("grant", ()), asked.said("back"))

    async def revoke(self, asked: Asked[RevokeQuery, RevokeForm]) -> Answer:
        """Revoke the chosen grants, all of them or none."""
        form, refs, back = asked.form, _chosen(asked.form.grant), _list_at(asked.form.back)
        ended = await self._cases.grants.revoke(asked.actor, refs, form.because.strip())
        labels = [view.label for view in ended.grants if view.id in ended.revoked]
        if not labels:
            return Moved(back, "They were revoked before: nothing has changed.", "info")
        more = len(labels) - _LABELS_SAID
        named = ", ".join(labels[:_LABELS_SAID]) + (f" and {more} more" if more > 0 else "")
        return Moved(back, f"{named}: revoked. {ended_words(ended)}")

    def _row(self, view: GrantView, uses: Sequence[UseView]) -> Row:
        subject = self._cases.directory.snapshot.registry.subjects.get(view.subject)
        return Row(view, uses, subject is not None and subject.kind is SubjectKind.AUTOMATION)

    async def _ask(self, asked: Asked[Any, Any], refs: Sequence[str], back: str) -> Shown:
        grants = self._cases.grants
        views = [await grants.get(ref) for ref in _chosen(refs)]
        ending = [view for view in views if not view.state.is_over]
        values = {
            "views": views,
            "ending": ending,
            "open": grants.open_now([view.id for view in ending]),
            "because": asked.said("because"),
            "back": _list_at(back),
        }
        return Shown("grants/revoke.html", values)


def _chosen(refs: Sequence[str]) -> Sequence[str]:
    """Return which grants were chosen, each once.

    Raises:
        BadField: none, or too many.
    """
    chosen = list(dict.fromkeys(refs))
    if not 1 <= len(chosen) <= MOST_AT_ONCE:
        raise BadField("grant", "Choose the grants to revoke in the list first.")
    return chosen


def _list_at(text: str) -> str:
    """Return the list to go back to; nothing that is said leads elsewhere."""
    back = way_back(text)
    return back if back.startswith(f"{_LIST}?") else _LIST


def suggestions(cases: UseCases) -> dict[str, Any]:
    """Return what forms and filters offer, by name. Owners are suggested as one types."""
    servers = sorted(cases.directory.snapshot.servers)
    return {
        "servers": servers,
        "pick_servers": [("", "any server"), *((name, name) for name in servers)],
        "pick_policies": [("", "none"), *((name, name) for name in cases.policies.names())],
    }
