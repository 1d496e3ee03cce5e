"""One part of the matrix in full: each tool of a server for somebody, and who may call one tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.access.matrix import DAYS, span
from coatcheck.console.pages.reading import if_readable
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import paged
from coatcheck.model.verdict import Judgement
from coatcheck.operations.access.telling import CallerRow, OneReach, ToolReach
from coatcheck.operations.access.using import Usage, tools_of_late
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


@dataclass(frozen=True, slots=True)
class Reason:
    """What a call gets, and why: told once where it is the same for all."""

    judgement: Judgement
    rule: str
    because: str


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
        """Show what somebody may do at a server, tool by tool, and why; or what keeps them out."""
        query = asked.query
        found = await self._cases.telling.one(query.subject, query.server, query.grant)
        usage = await self._usage(found, query.grant)
        tools = found.tools or ()
        fitting = [one for one in tools if _fits(one, query, usage)]
        page = page_of(fitting, lambda one: (one.tool.entry.name,), PAGE, query.after or None)
        here = {name: getattr(query, name) for name in ("subject", "server", "grant", "q", "show")}
        values: dict[str, Any] = {
            "found": found,
            "query": query,
            "tools": page.items,
            "fitting": len(fitting),
            "reason": _reason_of_all(page.items),
            "usage": usage,
            "span": span(usage.since if usage is not None and usage.sealed else None),
            "days": DAYS,
            "allowed": sum(one.allowed for one in tools),
            "unused": sum(_is_unused(one, usage) for one in tools) if usage and usage.complete else None,
            **paged("/access/one", here, query.after, page.next),
        }
        return Shown("access/one.html", values)

    async def _usage(self, found: OneReach, grant: str) -> Usage | None:
        """Return what was called of late, by tool; None where the record cannot be read."""
        server, whose = found.server.name, (found.subject.name, grant)
        by = await if_readable(tools_of_late(self._cases.activity, self._cases.clock, [server], whose, DAYS))
        return None if by is None else by[server]

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
            "reason": _reason_of_all(found.rows),
            **paged("/access/tool", here, query.start or None, found.next, "start"),
        }
        return Shown("access/tool.html", values)


def _reason_of_all(rows: Sequence[ToolReach | CallerRow]) -> Reason | None:
    """Return what all rows of a page get, if it is the same for all of several, for the same reason."""
    reasons = {Reason(one.judgement, one.rule, one.because) for one in rows}
    return reasons.pop() if len(reasons) == 1 and len(rows) > 1 else None


def _is_unused(one: ToolReach, usage: Usage | None) -> bool:
    return usage is not None and one.allowed and usage.is_unused(one.tool.entry.name)


def _fits(one: ToolReach, query: OneQuery, usage: Usage | None) -> bool:
    if query.q.strip() and query.q.strip().casefold() not in one.tool.entry.name.casefold():
        return False
    match query.show:
        case "allowed":
            return one.allowed
        case "refused":
            return not one.allowed
        case "unused":
            return _is_unused(one, usage)
        case _:
            return True
