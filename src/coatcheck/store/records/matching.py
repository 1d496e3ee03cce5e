"""Whether an entry is one that a filter asks for: the same question that `reading` asks in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from coatcheck.core.recording.record_lines import credentials_of
from coatcheck.model.record import KNOCKING, SEARCHED, Outcome, RecordEntry, RecordFilter, Verdict

_SMALL: Final = str.maketrans(ascii_uppercase, ascii_lowercase)


def matches(entry: RecordEntry, wanted: RecordFilter) -> bool:
    """Tell whether the entry passes every condition but `limit`."""
    record = entry.record
    return (
        all(wish is None or wish == found for wish, found in _pairs(entry, wanted))
        and (wanted.grant is None or wanted.grant in {record.grant_id, record.grant_label})
        and (wanted.credential is None or used(entry, wanted.credential, wanted.version))
        and (wanted.since is None or record.at >= wanted.since)
        and (wanted.until is None or record.at < wanted.until)
        and (wanted.after is None or entry.position > wanted.after)
        and (wanted.before is None or entry.position < wanted.before)
        and (not wanted.errors or is_error(entry))
        and (not wanted.not_allowed or record.decision is not Verdict.ALLOWED)
        and (not wanted.failed or (record.decision is Verdict.ALLOWED and is_error(entry)))
        and (wanted.text is None or has_text(entry, wanted.text))
        and (not wanted.knocking or (record.decision is Verdict.REFUSED and record.reason in KNOCKING))
    )


def used(entry: RecordEntry, credential: str, version: int | None = None) -> bool:
    """Tell whether a server was given this credential, or may have been, as far as anybody can tell."""
    for use in credentials_of(entry):
        name, _, number = use.rpartition("@")
        if name == credential and (version is None or number == str(version)):
            return True
    return False


def _pairs(entry: RecordEntry, wanted: RecordFilter) -> Iterable[tuple[object, object]]:
    record, settlement = entry.record, entry.settlement
    return (
        (wanted.server, record.server),
        (wanted.tool, record.tool),
        (wanted.subject, record.subject),
        (wanted.decision, record.decision),
        (wanted.rule, record.rule),
        (wanted.client_ip, record.client_ip),
        (wanted.method, record.method),
        (wanted.client, record.client_name),
        (wanted.outcome, settlement.outcome if settlement is not None else ""),
    )


def has_text(entry: RecordEntry, text: str) -> bool:
    """Tell whether a text is part of one that an entry is searched by, letters of ASCII in either case."""
    texts = [getattr(entry.record, name) for name in SEARCHED]
    texts.append(entry.settlement.detail if entry.settlement is not None else "")
    part = folded(text)
    return any(part in folded(one) for one in texts)


def folded(text: str) -> str:
    """Return a text with the capital letters of ASCII made small, as SQLite's LIKE compares.

    All of Unicode would be folded by another table in each database, and then a list and its export would
    not be of the same calls.
    """
    return text.lower() if text.isascii() else text.translate(_SMALL)


def is_error(entry: RecordEntry) -> bool:
    """Tell whether an entry was not allowed or did not end well. One still under way is no error yet."""
    if entry.record.decision is not Verdict.ALLOWED:
        return True
    return entry.settlement is not None and entry.settlement.outcome is not Outcome.OK
