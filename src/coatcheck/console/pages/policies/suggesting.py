"""Suggests the least policy for what a grant really used, which opens in the editor as a draft."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.policies.shapes import DAYS
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.refusing import Refusal
from coatcheck.core.policy.trying.suggesting import yaml_of
from coatcheck.errors import CoatcheckError, Missing
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.suggesting import Suggested, SuggestQuestion
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.use_cases import UseCases

_MOST_TOLD: Final = 100


class SuggestQuery(Struct):
    """A grant, by label or id; a server, or each that it used; how many days back, 0 for all there is."""

    grant: str = ""
    server: str = ""
    days: str = ""


class SuggestPages:
    """Serves suggestions. Who asks is noted as one who reads the record."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/policies/suggest", Permission.RECORDS, self.suggest, SuggestQuery)]

    async def suggest(self, asked: Asked[SuggestQuery, Nothing]) -> Answer:
        """Show what a grant really used, and the least policy that covers it."""
        values: dict[str, Any] = {
            "query": asked.query,
            "servers": sorted(self._cases.directory.snapshot.servers),
            "found": None,
            "items": [],
            "most": _MOST_TOLD,
        }
        if asked.query.grant.strip():
            try:
                found = await self._suggested(asked)
                values |= {"found": found, "items": await self._items(found)}
            except CoatcheckError as error:
                values["fault"] = Refusal.of(error)
        return Shown("policies/suggest.html", values)

    async def _suggested(self, asked: Asked[SuggestQuery, Nothing]) -> Suggested:
        query = asked.query
        grant, days = query.grant.strip(), DAYS.get(query.days)
        since = None if days is None else self._cases.clock.now() - timedelta(days=days)
        told: dict[str, Any] = {"suggest": True, "grant": grant, "server": query.server, "since": since}
        await self._cases.readers.look(asked.actor, ReadKind.LIST, told)
        question = SuggestQuestion(grant=grant, server=query.server, since=since)
        return await self._cases.suggestions.suggest(question)

    async def _items(self, found: Suggested) -> list[dict[str, Any]]:
        return [
            {
                "server": one.server,
                "suggestion": one.suggestion,
                "text": yaml_of(one.suggestion),
                "version": await self._version(one.suggestion.policy.name),
            }
            for one in found.items
        ]

    async def _version(self, name: str) -> int | None:
        """Return the version of the policy that has a name already."""
        try:
            return (await self._cases.policies.get(name)).version
        except Missing:
            return None
