"""Taking a server from several grants of one owner at once: what each is left with, and then doing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from coatcheck.console.pages.access.matrix import DAYS, span
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import link, plural
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases


class WithdrawQuery(Struct, kw_only=True):
    """Whose grants, and which server."""

    subject: str = ""
    server: str = ""


class WithdrawForm(Struct, kw_only=True):
    """The grants that are to reach a server no more: each its id, `@`, and the version that was shown."""

    subject: str
    server: str
    grant: list[str] = []


class WithdrawingPages:
    """Serves taking a server from grants."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        write = Permission.GRANTS_WRITE
        return [
            seen("/access/withdraw", write, self.ask, WithdrawQuery),
            done("/access/withdraw", write, self.withdraw, WithdrawForm, again=self.ask_again),
        ]

    async def ask(self, asked: Asked[WithdrawQuery, Nothing]) -> Answer:
        """Show the grants of an owner that reach a server, and what each is left with without it."""
        return await self._shown(asked.query.subject, asked.query.server, None)

    async def ask_again(self, asked: Asked[Any, Any]) -> Shown:
        """Show it anew."""
        grants = asked.typed.get("grant", ())
        return await self._shown(asked.said("subject"), asked.said("server"), grants)

    async def _shown(self, subject: str, server: str, ticked: Sequence[str] | None) -> Shown:
        found = await self._cases.narrowing.reaching(subject, server, DAYS)
        chosen = {one.partition("@")[0] for one in ticked or ()}
        values = {
            "subject": subject,
            "server": server,
            "found": found,
            "ticked": {
                one.grant.id
                for one in found.grants
                if one.can_be and (one.grant.id in chosen if ticked is not None else one.used.unused)
            },
            "span": span(found.known.since if found.known.sealed else None),
            "days": DAYS,
        }
        return Shown("access/withdraw.html", values)

    async def withdraw(self, asked: Asked[Nothing, WithdrawForm]) -> Answer:
        """Take a server from the grants that were chosen, all of them or none."""
        form = asked.form
        if not form.grant:
            raise BadField("grant", "Choose the grants that are not to reach it any more.")
        versions = dict(_read(one) for one in form.grant)
        labels = await self._cases.grants.withdraw(asked.actor, form.subject, form.server, versions)
        told = f"{labels[0]} does" if len(labels) == 1 else f"{plural(len(labels), 'grant')} do"
        return Moved(
            link("/access", q=form.subject),
            f"{told} not reach {form.server} any more. Open streams begin anew.",
        )


def _read(chosen: str) -> tuple[str, int]:
    id, _, version = chosen.rpartition("@")
    if not version.isascii() or not version.isdigit() or len(version) > 9:
        raise BadField("grant", "Choose from the grants that are listed.")
    return id, int(version)
