"""The rows by which people edit a policy beside its document: one for each entry, with one simple choice.

An entry that says more than a row can show stays as it is: its row is `CUSTOM`, and no row changes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from coatcheck.model.policy import CallLimit, Each, EntryOutcome, Per, Policy, PolicyEntry, Section

Place = tuple[Section, str]
"""Which entry: its section and its key."""


class Choice(StrEnum):
    """What a row says. `LIMIT` allows, so many times; `CAP` only bounds what others or the default allow."""

    NOTHING = "nothing"
    ALLOW = "allow"
    DENY = "deny"
    HIDE = "hide"
    LIMIT = "limit"
    CAP = "cap"
    CUSTOM = "custom"


LIMITING: Final = frozenset({Choice.LIMIT, Choice.CAP})
TELLING: Final = LIMITING | {Choice.DENY}
"""Choices with a sentence for whom they deny."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `most` calls in any window of `per` with a count for each of `each` (None: one for all)."""

    section: Section
    key: str
    choice: Choice = Choice.NOTHING
    message: str = ""
    most: int = 0
    per: Per = Per.HOUR
    each: Each | None = Each.GRANT

    @property
    def place(self) -> Place:
        """Which entry it is about."""
        return self.section, self.key

    def plain(self) -> Row:
        """Return it without what its choice has no use for: two rows that say the same are equal."""
        kept = self if self.choice in LIMITING else Row(self.section, self.key, self.choice, self.message)
        return kept if self.choice in TELLING else replace(kept, message="")


def row_of(entry: PolicyEntry) -> Row:
    """Return the row of an entry."""
    for choice in (Choice.ALLOW, Choice.DENY, Choice.HIDE, Choice.LIMIT, Choice.CAP):
        row = _as(entry, choice)
        if entry_of(row) == entry:
            return row
    return Row(entry.section, entry.key, Choice.CUSTOM)


def _as(entry: PolicyEntry, choice: Choice) -> Row:
    """Return the row that would come closest to an entry, with this choice."""
    limit = entry.limits[0] if entry.limits else None
    if not isinstance(limit, CallLimit):
        return Row(entry.section, entry.key, choice, entry.message).plain()
    each = limit.each[0] if limit.each else None
    return Row(entry.section, entry.key, choice, entry.message, limit.most, limit.per, each).plain()


def entry_of(row: Row) -> PolicyEntry | None:
    """Return the entry that a row makes; None for none.

    Raises:
        ValueError: the row is `CUSTOM`: what it stands for is in the document alone.
    """
    row = row.plain()
    match row.choice:
        case Choice.NOTHING:
            return None
        case Choice.CUSTOM:
            raise ValueError("a custom row makes no entry")
        case Choice.LIMIT | Choice.CAP:
            each = () if row.each is None else (row.each,)
            outcome = EntryOutcome.ALLOW if row.choice is Choice.LIMIT else None
            limits = (CallLimit(row.most, row.per, each),)
            return PolicyEntry(row.section, row.key, outcome, row.message, limits=limits)
        case _:
            return PolicyEntry(row.section, row.key, EntryOutcome(row.choice.value), row.message)


def rows_of(policy: Policy) -> Mapping[Place, Row]:
    """Return the rows of all entries, in the order of the document."""
    return {(entry.section, entry.key): row_of(entry) for entry in policy.entries}


def changed_rows(before: Mapping[Place, Row], rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return those rows that say something else than before; never one of an entry that is custom."""
    found = []
    for row in rows:
        known = before.get(row.place, Row(*row.place))
        if Choice.CUSTOM not in {known.choice, row.choice} and row.plain() != known.plain():
            found.append(row.plain())
    return tuple(found)


def with_rows(policy: Policy, rows: Iterable[Row]) -> Policy:
    """Return a policy with the entries that rows make; what they do not speak of stays in its place.

    A new entry comes last in its section. Entries that are custom stay whatever a row says.
    """
    wanted = {row.place: row for row in changed_rows(rows_of(policy), rows)}
    kept: list[PolicyEntry] = []
    for entry in policy.entries:
        row = wanted.pop((entry.section, entry.key), None)
        made = entry if row is None else entry_of(row)
        if made is not None:
            kept.append(made)
    kept += [made for made in map(entry_of, wanted.values()) if made is not None]
    order = list(Section)
    return replace(policy, entries=tuple(sorted(kept, key=lambda entry: order.index(entry.section))))
