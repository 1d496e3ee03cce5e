"""Issuing grants, one or many; the token or the claim link is shown once, with what each client is given."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coatcheck.console.pages.grants.listing import suggestions
from coatcheck.console.pages.grants.shapes import (
    ManyForm,
    NewForm,
    NewQuery,
    begins_new,
    filled_of,
    lines_of,
    new_of,
)
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, done, seen
from coatcheck.core.client_pieces import VARIABLE, pastes, route_of
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.views import GrantView, Issued
from coatcheck.operations.use_cases import UseCases


@dataclass(frozen=True, slots=True)
class Made:
    """A grant with what is shown of it once; the other of the two is empty."""

    grant: GrantView
    token: str
    claim_url: str


class IssuingPages:
    """Serves issuing."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        writing = Permission.GRANTS_WRITE
        one, many = "/grants/new", "/grants/new/many"
        return [
            seen(one, writing, self.ask, NewQuery),
            done(one, writing, self.issue, NewForm, NewQuery, again=self.ask_again, once="/grants"),
            seen(many, writing, self.ask_many, NewQuery),
            done(
                many,
                writing,
                self.issue_many,
                ManyForm,
                NewQuery,
                again=self.ask_many_again,
                once="/grants",
            ),
        ]

    async def ask(self, asked: Asked[NewQuery, Nothing]) -> Answer:
        """Show the form for a new grant."""
        return await self._ask(asked, many=False)

    async def ask_again(self, asked: Asked[NewQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._ask(asked, many=False)

    async def ask_many(self, asked: Asked[NewQuery, Nothing]) -> Answer:
        """Show the form for the same grant to many owners."""
        return await self._ask(asked, many=True)

    async def ask_many_again(self, asked: Asked[NewQuery, Any]) -> Shown:
        """Show it once more."""
        return await self._ask(asked, many=True)

    async def issue(self, asked: Asked[NewQuery, NewForm]) -> Answer:
        """Issue a grant, and show its claim link or token, once."""
        form = asked.form
        owner = form.owner.strip()
        label = form.label.strip() or self._cases.grants.labels_for([owner])[0]
        new = new_of(form, owner, label, self._cases.clock.now())
        issued = await self._cases.grants.issue(asked.actor, new)
        return self.shown(issued, form.policy)

    async def issue_many(self, asked: Asked[NewQuery, ManyForm]) -> Answer:
        """Issue grants to many owners, all of them or none, and show their links or tokens, once."""
        form, now = asked.form, self._cases.clock.now()
        lines = lines_of(form)
        proposed = self._cases.grants.labels_for([owner for owner, _ in lines])
        news = [
            new_of(form, owner, label or free, now)
            for (owner, label), free in zip(lines, proposed, strict=True)
        ]
        issued = await self._cases.grants.issue_many(asked.actor, news)
        made = [self._made(one) for one in issued]
        return Shown("grants/issued_many.html", {"made": made, "table": _table(made), "policy": form.policy})

    def shown(self, issued: Issued, policy: str = "", *, again: bool = False) -> Shown:
        """Return the page that shows a token or a claim link once; `again`: after a rotation."""
        made, token = self._made(issued), issued.token
        route = route_of(self._cases.origin(), issued.grant.servers)
        values = {
            "made": made,
            "policy": policy,
            "again": again,
            "shell": f"export {VARIABLE}='{made.token}'",
            "pastes": pastes(*route, indent=2, token=token) if token is not None else (),
        }
        return Shown("grants/issued.html", values)

    async def _ask(self, asked: Asked[NewQuery, Any], *, many: bool) -> Shown:
        values = {
            "many": many,
            "filled": filled_of(asked.typed, begins_new(asked.query)),
            **suggestions(self._cases),
        }
        return Shown("grants/new.html", values)

    def _made(self, issued: Issued) -> Made:
        code = issued.claim_code.reveal() if issued.claim_code is not None else ""
        link = f"{self._cases.origin()}/claim/{code}" if code else ""
        return Made(issued.grant, issued.token.reveal() if issued.token is not None else "", link)


def _table(made: Sequence[Made]) -> str:
    """Return grants as CSV, as `coatcheck grant issue --from` writes them."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(("label", "subject", "id", "token", "claim_url"))
    rows.writerows(
        (one.grant.label, one.grant.subject, one.grant.id, one.token, one.claim_url) for one in made
    )
    return written.getvalue()
