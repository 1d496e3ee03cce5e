"""One part of the matrix in full: each tool of a server for somebody, and who may call one tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.access.matrix import DAYS
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import link
from coatcheck.core.activity import Counts
from coatcheck.errors import CoatcheckError
from coatcheck.operations.access.telling import OneReach, ToolReach
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 100
_CALLERS: Final = 50


class OneQuery(Struct, kw_only=True):
    """Whose access to which server; with all grants, or one by its id. `show` narrows the tools."""

    subject: str = ""
    server: str = ""
    grant: str = ""
    q: str = ""
    show: str = ""
    after: str = ""


class ToolQuery(Struct, kw_only=True):
    """Which tool of which server, and whose access to it; `every`: those who may not call it, too."""

    server: str = ""
    tool: str = ""
    q: str = ""
    every: bool = False
    start: int = 0


class TellingPages:
    """Serves access in full."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [
            seen("/access/one", Permission.ACCESS, self.one, OneQuery),
            seen("/access/tool", Permission.ACCESS, self.tool, ToolQuery),
        ]

    async def one(self, asked: Asked[OneQuery, Nothing]) -> Answer:
        """Show what somebody may do at a server."""
        query = asked.query
        found = await self._cases.telling.one(query.subject, query.server, query.grant)
        used = await self._used(found, query.grant)
        tools = found.tools or ()
        fitting = [one for one in tools if _fits(one, query, used)]
        page = page_of(fitting, lambda one: (one.tool.entry.name,), PAGE, query.after or None)
        here = {name: getattr(query, name) for name in ("subject", "server", "grant", "q", "show")}
        values: dict[str, Any] = {
            "found": found,
            "query": query,
            "tools": page.items,
            "fitting": len(fitting),
            "used": used,
            "days": DAYS,
            "allowed": sum(one.allowed for one in tools),
            "unused": sum(_is_unused(one, used) for one in tools) if used is not None else None,
            "first": link("/access/one", **here) if query.after else "",
            "next": link("/access/one", **here, after=page.next) if page.next else "",
        }
        return Shown("access/one.html", values)

    async def _used(self, found: OneReach, grant: str) -> Mapping[str, Counts] | None:
        """Return what was called of late, by tool; None where that is not known, or not yet."""
        since = self._cases.clock.now() - timedelta(days=DAYS)
        with suppress(CoatcheckError):
            ranking = await self._cases.activity.tools(
                found.server.name, since, subject=found.subject.name, grant=grant or None
            )
            if ranking.complete or ranking.sealed:
                return {
                    one.name: one.counts for one in ranking.items if one.counts.calls > one.counts.refused
                }
        return None

    async def tool(self, asked: Asked[ToolQuery, Nothing]) -> Answer:
        """Show who may call a tool."""
        query = asked.query
        found = await self._cases.telling.callers(
            query.server,
            query.tool,
            text=query.q,
            every=query.every,
            start=max(0, query.start),
            limit=_CALLERS,
        )
        here = {
            "server": query.server,
            "tool": query.tool,
            "q": query.q,
            "every": "yes" if query.every else "",
        }
        values = {
            "found": found,
            "query": query,
            "first": link("/access/tool", **here) if query.start else "",
            "next": link("/access/tool", **here, start=found.next) if found.next is not None else "",
        }
        return Shown("access/tool.html", values)


def _is_unused(one: ToolReach, used: Mapping[str, Counts] | None) -> bool:
    return used is not None and one.allowed and one.tool.entry.name not in used


def _fits(one: ToolReach, query: OneQuery, used: Mapping[str, Counts] | None) -> bool:
    if query.q.strip() and query.q.strip().casefold() not in one.tool.entry.name.casefold():
        return False
    match query.show:
        case "allowed":
            return one.allowed
        case "refused":
            return not one.allowed
        case "unused":
            return _is_unused(one, used)
        case _:
            return True
