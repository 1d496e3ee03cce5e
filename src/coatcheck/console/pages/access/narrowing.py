"""Narrowing a grant to what it was used for: what it reaches before and after, and then doing it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.access.matrix import span
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Shown, done, seen
from coatcheck.console.web.page import Nothing as NoForm
from coatcheck.console.web.paths import grant_page
from coatcheck.console.web.rendering import plural
from coatcheck.operations.access.narrowing import Proposal
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.patches import UNSAID, GrantPatch
from coatcheck.operations.use_cases import UseCases

DAYS: Final = (7, 14, 30)


class NarrowQuery(Struct, kw_only=True):
    """Which grant, by its id, and of how many days what was used counts; `tools`: narrow it to tools, too.

    `keep` are the servers that were chosen; `chosen` tells that they were, and that it may be none.
    """

    grant: str = ""
    days: int = 30
    tools: bool = False
    keep: list[str] = []
    chosen: bool = False


class NarrowForm(Struct, kw_only=True):
    """A grant as it is to be: exactly what was shown. `every`: the tools stay as they are."""

    grant: str
    version: int
    keep: list[str] = []
    tool: list[str] = []
    every: bool = False


class NarrowingPages:
    """Serves narrowing."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        write = Permission.GRANTS_WRITE
        return [
            seen("/access/narrow", write, self.ask, NarrowQuery),
            done("/access/narrow", write, self.narrow, NarrowForm, NarrowQuery, again=self.ask_again),
        ]

    async def ask(self, asked: Asked[NarrowQuery, NoForm]) -> Answer:
        """Show what a grant reaches and used, and what it would reach if it were narrowed to that."""
        return await self._shown(asked.query, asked.query.grant)

    async def ask_again(self, asked: Asked[NarrowQuery, Any]) -> Shown:
        """Show it anew."""
        return await self._shown(asked.query, asked.said("grant", asked.query.grant))

    async def _shown(self, query: NarrowQuery, ref: str) -> Shown:
        days = query.days if query.days in DAYS else DAYS[-1]
        found = await self._cases.narrowing.propose(ref, days, tools=query.tools)
        keep = (
            [one.server for one in found.reaches if one.server in query.keep] if query.chosen else found.kept
        )
        tools = _kept(found, keep) if query.tools else None
        values: dict[str, Any] = {
            "found": found,
            "span": span(found.known.since if found.known.sealed else None, days),
            "grant": found.grant,
            "query": query,
            "days": days,
            "choices": [(str(one), f"the last {one} days") for one in DAYS],
            "keep": keep,
            "tools": tools,
            "lines": _lines(found, keep, tools),
            "same": len(keep) == len(found.reaches) and tools is None and found.grant.servers is not None,
        }
        return Shown("access/narrow.html", values)

    async def narrow(self, asked: Asked[NarrowQuery, NarrowForm]) -> Answer:
        """Narrow a grant to what was shown."""
        form = asked.form
        if not form.keep:
            raise BadField("keep", "A grant that reaches nothing is of no use: revoke it in place of this.")
        tools = UNSAID if form.every else tuple(form.tool)
        patch = GrantPatch(servers=frozenset(form.keep), tools=tools)
        view = await self._cases.grants.change(asked.actor, form.grant, patch, form.version)
        servers = plural(len(form.keep), "server")
        return Moved(grant_page(view.id), f"{view.label} reaches {servers} now. Its open streams begin anew.")


def _kept(found: Proposal, keep: Sequence[str]) -> Sequence[str] | None:
    """Return the tools that were used at the servers that are kept; None if it is not known, or none was."""
    tools = [one for one in found.tools or () if one.partition("__")[0] in keep]
    return tools or None


def _lines(found: Proposal, keep: Sequence[str], tools: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return what changes, line by line."""
    grant = found.grant
    lines = [("@", "Servers")]
    if grant.servers is None:
        lines += [("-", "every server, those that are added later among them")]
        lines += [("+", server) for server in keep]
    else:
        lines += [(" " if one.server in keep else "-", one.server) for one in found.reaches]
    if tools is not None:
        before = grant.tools if grant.tools is not None else ("every tool",)
        lines += [("@", "Tools"), *((" " if one in tools else "-", one) for one in before)]
        lines += [("+", one) for one in tools if one not in before]
    return lines
