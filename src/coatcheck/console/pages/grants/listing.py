"""The list of grants, and ending several of them at once with what dies of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.console.pages.grants.shapes import (
    GrantQuery,
    RevokeForm,
    RevokeQuery,
    Standing,
    filter_of,
)
from coatcheck.console.pages.grants.words import STANDINGS, ended_words
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import link
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.views import PolicyFilter, UseView
from coatcheck.operations.registry.patches import SubjectFilter
from coatcheck.operations.registry.views import GrantState, GrantView
from coatcheck.operations.use_cases import UseCases

MOST_SUGGESTED: Final = 500
"""Owners that are suggested while one types."""
MOST_POLICIES: Final = 200
MOST_AT_ONCE: Final = 1_000
_LABELS_SAID: Final = 3
_OVER: Final = frozenset({GrantState.REVOKED, GrantState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Row:
    """One grant of the list."""

    view: GrantView
    uses: Sequence[UseView]
    automation: bool

    @property
    def ends(self) -> bool:
        """Whether there is something left to revoke."""
        return self.view.state not in _OVER


class GrantListPages:
    """Serves the list."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        writing = Permission.GRANTS_WRITE
        return [
            seen("/grants", Permission.GRANTS_READ, self.list, GrantQuery),
            seen("/grants/revoke", writing, self.ask, RevokeQuery),
            done("/grants/revoke", writing, self.revoke, RevokeForm, RevokeQuery, again=self.ask_again),
        ]

    async def list(self, asked: Asked[GrantQuery, Nothing]) -> Answer:
        """Show grants by label."""
        query, cases = asked.query, self._cases
        page = await cases.grants.list(filter_of(query, cases.clock.now()))
        uses = cases.policy_uses.on_grants({view.id for view in page.items})
        offered = await suggestions(cases)
        asks = {name: getattr(query, name) for name in query.__struct_fields__ if name != "after"}
        values = {
            "query": query,
            "rows": [self._row(view, uses.get(view.id, ())) for view in page.items],
            "next": link("/grants", **asks, after=page.next) if page.next else "",
            "first": link("/grants", **asks) if query.after else "",
            "filtered": any(asks.values()),
            "standings": [(one.value, STANDINGS[one]) for one in Standing],
            **offered,
            "pick_policies": [("", "any"), *offered["pick_policies"][1:]],
        }
        return Shown("grants/list.html", values)

    async def ask(self, asked: Asked[RevokeQuery, Nothing]) -> Answer:
        """Show what revoking would end."""
        return await self._ask(asked, asked.query.grant)

    async def ask_again(self, asked: Asked[RevokeQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._ask(asked, asked.typed.get("grant", ()))

    async def revoke(self, asked: Asked[RevokeQuery, RevokeForm]) -> Answer:
        """Revoke them."""
        form, refs = asked.form, _chosen(asked.form.grant)
        ended = await self._cases.grants.revoke(asked.actor, refs, form.because.strip())
        labels = [view.label for view in ended.grants if view.id in ended.revoked]
        if not labels:
            return Moved("/grants", "They were revoked before: nothing has changed.", "info")
        more = len(labels) - _LABELS_SAID
        named = ", ".join(labels[:_LABELS_SAID]) + (f" and {more} more" if more > 0 else "")
        return Moved("/grants", f"{named}: revoked. {ended_words(ended)}")

    def _row(self, view: GrantView, uses: Sequence[UseView]) -> Row:
        subject = self._cases.directory.snapshot.registry.subjects.get(view.subject)
        return Row(view, uses, subject is not None and subject.kind is SubjectKind.AUTOMATION)

    async def _ask(self, asked: Asked[Any, Any], refs: Sequence[str]) -> Shown:
        grants = self._cases.grants
        views = [await grants.get(ref) for ref in _chosen(refs)]
        ending = [view for view in views if view.state not in _OVER]
        values = {
            "views": views,
            "ending": ending,
            "open": grants.open_now([view.id for view in ending]),
            "because": (asked.typed.get("because") or ("",))[-1],
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


async def suggestions(cases: UseCases) -> dict[str, Any]:
    """Return what forms and filters offer: owners, servers and policies by name."""
    owners = await cases.subjects.list(SubjectFilter(limit=MOST_SUGGESTED))
    policies = await cases.policies.list(PolicyFilter(limit=MOST_POLICIES))
    servers = sorted(cases.directory.snapshot.servers)
    return {
        "owners": [view.name for view in owners.items],
        "servers": servers,
        "pick_servers": [("", "any server"), *((name, name) for name in servers)],
        "pick_policies": [("", "none"), *((view.name, view.name) for view in policies.items)],
    }
