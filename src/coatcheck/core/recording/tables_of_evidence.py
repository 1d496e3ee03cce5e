"""The tables of a bundle of evidence as they follow from the entries in it: to make, and to check them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.core.recording.stored import change_of
from coatcheck.core.recording.tables_of_records import csv_rows
from coatcheck.model.chain import EntryKind, Link, Report
from coatcheck.model.change import Change
from coatcheck.model.record import Verdict

MOST_NAMES: Final = 100_000
"""Grants, servers, subjects and credentials that are kept in mind while a bundle is made."""

_ROTATIONS: Final = ("grant.rotate", "credential.stage", "credential.activate", "credential.roll_back")
_ENDINGS: Final = (
    "grant.revoke",
    "subject.disable",
    "subject.offboard",
    "credential.retire",
    "credential.end",
)
_VERDICTS: Final = tuple(each.value for each in Verdict)


class ByGrant:
    """Counts calls by grant and decision."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], dict[str, int]] = {}

    @property
    def ids(self) -> set[str]:
        """The ids of the grants that called."""
        return {id for id, _, _ in self._counts}

    def note(self, id: str, label: str, subject: str, decision: str, repeats: int) -> None:
        """Count one entry."""
        key = (id, label, subject)
        if key in self._counts or len(self._counts) < MOST_NAMES:
            counts = self._counts.setdefault(key, {})
            counts[decision] = counts.get(decision, 0) + repeats

    def table(self) -> bytes:
        """Return the table as CSV."""
        rows = [
            (*key, *(counts.get(verdict, 0) for verdict in _VERDICTS)) for key, counts in self._counts.items()
        ]
        return csv_rows([("grant_id", "grant_label", "subject", *_VERDICTS), *sorted(rows)])


def change_in(link: Link) -> dict[str, Any] | None:
    """Return what a bundle tells of an entry that is a change; None for others, and those left out.

    Raises:
        ValueError: it cannot be read.
    """
    if link.kind is not EntryKind.CHANGE or not link.stored:
        return None
    change = change_of(link.stored)
    told = {name: getattr(change, name) for name in Change.__slots__ if name not in {"id", "at", "kind"}}
    return {
        "seq": link.seq,
        "hash": link.hash.hex(),
        "id": str(change.id),
        "time": rfc3339(change.at),
        "kind": change.kind.value,
        **told,
        "before": json.loads(change.before or "null"),
        "after": json.loads(change.after or "null"),
    }


def tables_of_changes(changes: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Return the members of a bundle that tell of changes, by their names."""
    return {
        "changes.jsonl": _lines(changes),
        "rotations.jsonl": _lines(one for one in changes if one["action"] in _ROTATIONS),
        "revocations.jsonl": _lines(one for one in changes if one["action"] in _ENDINGS),
    }


def report_told(report: Report) -> dict[str, Any]:
    """Return what a bundle tells of a look at its entries."""
    return {
        "sound": report.sound,
        "first": report.beginning.seq + 1,
        "last": report.head.seq,
        "entries": report.entries,
        "left_out": report.left_out,
        "checkpoints": report.checkpoints,
        "unproven": report.unproven,
        "found": report.found,
        "findings": [{"seq": one.seq, "what": one.what.value, "words": one.words} for one in report.findings],
        "lacking": list(report.lacking),
    }


def _lines(values: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=True).encode("ascii") + b"\n" for value in values)
