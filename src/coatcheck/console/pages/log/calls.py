"""The log itself: calls, newest first, filtered, growing while one looks, paged back to the oldest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from coatcheck.console.pages.log.asking import DECISIONS, ENDINGS, TIMES, LogQuery, Terms
from coatcheck.console.pages.places import Places
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import paged
from coatcheck.errors import Unavailable
from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 50
LIVE_SECONDS: Final = 2
LIVE_SLOWLY: Final = 10
"""The same where each look reads through a part of the record."""


@dataclass(frozen=True, slots=True)
class Found:
    """Calls, newest first. `older` is the position that the next page is before, None after the last.

    `back_to` is how far was looked for what no index finds; `why_not` says why nothing can be shown.
    """

    entries: Sequence[RecordEntry] = ()
    older: int | None = None
    back_to: datetime | None = None
    why_not: str = ""


class CallPages:
    """Serves the list."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/log", Permission.RECORDS, self.list, LogQuery)]

    async def list(self, asked: Asked[LogQuery, Nothing]) -> Answer:
        """List calls, newest first, live or by conditions."""
        terms, before = Terms(asked.query), asked.query.before
        complaint, found = "", Found()
        try:
            wanted = terms.wanted(self._cases.clock.now())
        except BadField as error:
            complaint = error.message
        else:
            await self._cases.readers.look(asked.actor, ReadKind.LIST, terms.said)
            found = await look(self._cases, replace(wanted, before=before))
        values = {
            "terms": terms,
            "found": found,
            "complaint": complaint,
            "decisions": DECISIONS,
            "outcomes": ENDINGS,
            "times": with_own(TIMES, terms.of("since")),
            "servers": with_own(_servers(self._cases), terms.of("server")),
            "is_live": before is None and not complaint,
            "every": LIVE_SECONDS if found.back_to is None else LIVE_SLOWLY,
            "places": Places(self._cases.directory.snapshot),
            "here": terms.href("/log", before=before),
            **paged("/log", terms.said, before, found.older, "before"),
        }
        return Shown("log/calls.html", values)


async def look(cases: UseCases, wanted: RecordFilter, most: int = PAGE) -> Found:
    """Return a page of calls, newest first."""
    try:
        looked = await cases.ledger.look(replace(wanted, limit=most + 1))
    except Unavailable as error:
        return Found(why_not=error.message)
    entries = list(reversed(looked.entries))
    if len(entries) > most:
        return Found(entries[:most], entries[most - 1].position)
    return Found(entries, looked.before, looked.back_to)


def with_own(options: Sequence[tuple[str, str]], value: str) -> Sequence[tuple[str, str]]:
    """Return options with the present one among them, whatever it is."""
    known = any(option == value for option, _ in options)
    return options if known else [*options, (value, value)]


def _servers(cases: UseCases) -> Sequence[tuple[str, str]]:
    return [("", "Any server"), *((name, name) for name in sorted(cases.directory.snapshot.servers))]
