"""Whether an entry is one that a filter asks for: the same question that `reading` asks in SQL."""

from __future__ import annotations

from coatcheck.model.record import Outcome, RecordEntry, RecordFilter, Verdict


def matches(entry: RecordEntry, wanted: RecordFilter) -> bool:
    """Tell whether the entry passes every condition but `limit`."""
    record = entry.record
    return (
        (wanted.server is None or record.server == wanted.server)
        and (wanted.tool is None or record.tool == wanted.tool)
        and (wanted.subject is None or record.subject == wanted.subject)
        and (wanted.decision is None or record.decision is wanted.decision)
        and (wanted.since is None or record.at >= wanted.since)
        and (wanted.after is None or entry.position > wanted.after)
        and (wanted.before is None or entry.position < wanted.before)
        and (not wanted.errors or is_error(entry))
    )


def is_error(entry: RecordEntry) -> bool:
    """Tell whether an entry was not allowed or did not end well. One still under way is no error yet."""
    if entry.record.decision is not Verdict.ALLOWED:
        return True
    return entry.settlement is not None and entry.settlement.outcome is not Outcome.OK
