"""Who was not let in: grants that ended and still knock, wrong tokens and passwords, equal ones as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from coatcheck.console.pages.log.asking import TIMES, Matching, Position, Terms
from coatcheck.console.pages.log.calls import look, with_own
from coatcheck.console.pages.places import Places
from coatcheck.console.pages.reading import if_readable
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import paged
from coatcheck.console.web.words import reason_in_words
from coatcheck.model.record import KNOCKING, RecordEntry, Verdict
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.use_cases import UseCases
from coatcheck.ports import STRANGER

LOOKED: Final = 300
"""Refusals on record that one page folds."""
_USUAL: Final = timedelta(days=7)
_OPERATOR: Final = "operator:"


class RefusalQuery(Struct, kw_only=True):
    """Which refusals: a part of any field, an address, since when, and only of what was good once."""

    q: str = ""
    address: str = ""
    since: str = ""
    knocking: bool = False
    before: Position | None = None


@dataclass(slots=True)
class Fold:
    """Equal refusals as one: how often, first and last, and the entry of the last."""

    position: int
    trace: str
    label: str
    reason: str
    words: str
    address: str
    route: str
    times: int
    first: datetime
    last: datetime

    @property
    def knocks(self) -> bool:
        """Whether what was presented was good once."""
        return self.reason in KNOCKING

    @property
    def who(self) -> str:
        """Which operator's name was tried, or the grant; the empty text for strangers."""
        if self.trace.startswith(_OPERATOR):
            return self.trace.removeprefix(_OPERATOR)
        return "" if not self.trace or self.trace.startswith(STRANGER) else self.label or self.trace

    @property
    def is_grant(self) -> bool:
        """Whether it has a page of its own."""
        return bool(self.who) and not self.trace.startswith(_OPERATOR)


class RefusalPages:
    """Serves the refusals."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/log/refusals", Permission.RECORDS, self.list, RefusalQuery)]

    async def list(self, asked: Asked[RefusalQuery, Nothing]) -> Answer:
        """List who was not let in, equal tries as one."""
        query, now, complaint = asked.query, self._cases.clock.now(), ""
        terms = Terms(
            Matching(q=query.q, address=query.address, since=query.since, decision=Verdict.REFUSED.value)
        )
        said = {name: text for name, text in terms.said.items() if name != "decision"}
        said |= {"knocking": "yes"} if query.knocking else {}
        folds: Sequence[Fold] = ()
        found = None
        try:
            wanted = terms.wanted(now)
        except BadField as error:
            complaint = error.message
        else:
            wanted = replace(wanted, knocking=query.knocking, before=query.before)
            await self._cases.readers.look(asked.actor, ReadKind.LIST, {"decision": "refused", **said})
            found = await look(self._cases, wanted, LOOKED)
            folds = folded(found.entries)
        is_all = not said and query.before is None
        values = {
            "folds": folds,
            "places": Places(self._cases.directory.snapshot),
            "found": found,
            "complaint": complaint,
            "query": query,
            "narrowed": bool(said),
            "times": with_own(TIMES, query.since.strip()),
            "knocks": await if_readable(self._cases.activity.knocking(now - _USUAL)) if is_all else None,
            **paged("/log/refusals", said, query.before, found and found.older, "before"),
        }
        return Shown("log/refusals.html", values)


def folded(entries: Iterable[RecordEntry]) -> list[Fold]:
    """Return refusals, newest first, those that are equal as one."""
    folds: dict[tuple[str, ...], Fold] = {}
    for entry in entries:
        record = entry.record
        key = (record.grant_id, record.reason, record.client_ip, record.route)
        fold = folds.get(key)
        if fold is None:
            words = reason_in_words(record.reason)
            folds[key] = Fold(
                entry.position,
                record.grant_id,
                record.grant_label,
                record.reason,
                words,
                record.client_ip,
                record.route,
                record.repeats,
                record.at,
                record.at,
            )
        else:
            fold.times += record.repeats
            fold.first = min(fold.first, record.at)
    return list(folds.values())
