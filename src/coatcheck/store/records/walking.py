"""Walks through the chain page by page, and finds in it what a filter means by the stored bytes themselves.

Columns that are searched by may have been edited, so that a search leaves a call out. Here they are looked at
for two things only: to begin near the right place, and to tell of the rows whose columns do not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from coatcheck.core.recording.stored import change_of, moment_of, record_of, settlement_of
from coatcheck.model.chain import EntryKind, Link
from coatcheck.model.reading import Wanted
from coatcheck.model.record import Record, RecordEntry, RecordFilter, Settlement
from coatcheck.store.records.chained import SPAN, found_between, links_after, next_after
from coatcheck.store.records.conditions import ids_of_grant
from coatcheck.store.records.matching import matches
from coatcheck.store.tables import record, settlement

EDGE: Final = 1_000
"""Entries beyond the ends of a stretch that are looked at for some that belong to it."""

_EVERYTHING: Final = RecordFilter()


def is_narrow(wanted: RecordFilter) -> bool:
    """Tell whether a filter asks for more than times."""
    return replace(wanted, since=None, until=None, limit=_EVERYTHING.limit) != _EVERYTHING


def plain_page(reading: Connection, after: int, through: int, *, asked: bool) -> tuple[list[Wanted], int]:
    """Return the next entries as they are, and the number that they go to."""
    links = [link for link in links_after(reading, after, SPAN) if link.seq <= through]
    return [Wanted(link, asked) for link in links], links[-1].seq if links else through


def judged_page(
    reading: Connection, after: int, through: int, wanted: RecordFilter, about: Set[str] = frozenset()
) -> tuple[list[Wanted], int]:
    """Return the next entries, each compared with its columns and with the filter."""
    first = next_after(reading, after)
    if first is None or first > through:
        return [], through
    last = min(first + SPAN - 1, through)
    found = found_between(reading, first, last)
    links = [one.link for one in found if one.link is not None]
    asked = _asked(reading, links, wanted, about) if is_narrow(wanted) else {link.seq for link in links}
    return [Wanted(one.link, one.seq in asked, one.odd) for one in found if one.link is not None], last


def first_of(reading: Connection, first: int, since: datetime) -> int:
    """Return where a stretch begins that the columns let begin at `first`: there, or a little before."""
    for link in links_after(reading, max(0, first - 1 - EDGE), EDGE):
        if link.seq >= first:
            break
        at = _time_of(link)
        if at is not None and at >= since:
            return link.seq
    return first


def last_of(reading: Connection, calls: range, through: int, until: datetime) -> int:
    """Return where it ends, outcomes included: at `through`, or a little after.

    `calls` goes from the first entry to the last call, as far as the columns tell.
    """
    last, more = through, set[int]()
    for link in links_after(reading, through, EDGE):
        at, of = _time_of(link), _of(link)
        if at is not None and at < until:
            more.add(link.seq)
        if link.seq in more or of in calls or of in more:
            last = link.seq
    return last


def _asked(reading: Connection, links: Sequence[Link], wanted: RecordFilter, about: Set[str]) -> set[int]:
    """Return the numbers of the entries that a filter means: calls with their outcomes, and changes."""
    records = {link.seq: made for link in links if (made := _record(link.stored, link.kind))}
    outcomes = {link.seq: said for link in links if (said := _settlement(link.stored, link.kind))}
    ended = dict(outcomes.values())
    if _needs_outcome(wanted):
        ended |= _outcomes(reading, records.keys() - ended.keys())
    records |= _records(reading, {of for of, _ in outcomes.values()} - records.keys())
    ids = ids_of_grant(reading, wanted.grant) if wanted.grant is not None else frozenset()
    mine = {
        seq for seq, said in records.items() if _means(RecordEntry(seq, said, ended.get(seq)), wanted, ids)
    }
    named = {wanted.grant, wanted.subject, wanted.server, wanted.credential, *about} - {None}
    changes = {link.seq for link in links if _is_about(link, named)}
    return mine | {seq for seq, (of, _) in outcomes.items() if of in mine} | changes


def _needs_outcome(wanted: RecordFilter) -> bool:
    return bool(
        wanted.outcome is not None
        or wanted.errors
        or wanted.failed
        or wanted.text is not None
        or wanted.credential is not None
    )


def _means(entry: RecordEntry, wanted: RecordFilter, ids: Set[str]) -> bool:
    """Tell whether a filter means a call; a label is the one it had then, or the one of its grant now."""
    return (
        wanted.grant is None or entry.record.grant_id in ids or entry.record.grant_label == wanted.grant
    ) and matches(entry, replace(wanted, grant=None))


def _records(reading: Connection, seqs: Iterable[int]) -> dict[int, Record]:
    rows = reading.execute(
        select(record.c.position, record.c.stored).where(record.c.position.in_(list(seqs)))
    )
    return {int(seq): said for seq, stored in rows if (said := _record(stored, EntryKind.RECORD))}


def _outcomes(reading: Connection, of: Iterable[int]) -> dict[int, Settlement]:
    rows = reading.execute(select(settlement.c.stored).where(settlement.c.position.in_(list(of))))
    return dict(said for (stored,) in rows if (said := _settlement(stored, EntryKind.SETTLEMENT)))


def _record(stored: object, kind: EntryKind) -> Record | None:
    """Return what bytes say, if they are a record's; None also for bytes that somebody broke."""
    if kind is not EntryKind.RECORD or not isinstance(stored, bytes):
        return None
    try:
        return record_of(stored)
    except ValueError:
        return None


def _settlement(stored: object, kind: EntryKind) -> tuple[int, Settlement] | None:
    if kind is not EntryKind.SETTLEMENT or not isinstance(stored, bytes):
        return None
    try:
        return settlement_of(stored)
    except ValueError:
        return None


def _is_about(link: Link, names: Set[str | None]) -> bool:
    """Tell whether a change is of an object with one of these names or ids."""
    if link.kind is not EntryKind.CHANGE:
        return False
    try:
        made = change_of(link.stored)
    except ValueError:  # spoilt; it is told of as such
        return False
    return made.object_id in names or made.object_name in names


def _time_of(link: Link) -> datetime | None:
    """Return when a request was made, or a change; an outcome belongs to its request."""
    return None if link.kind is EntryKind.SETTLEMENT else moment_of(link)


def _of(link: Link) -> int:
    said = _settlement(link.stored, link.kind)
    return said[0] if said is not None else 0
