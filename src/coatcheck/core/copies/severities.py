"""How much a copy matters, in the scales of syslog, CEF and OpenTelemetry; and its name in a few words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coatcheck.core.copies.lines import TRIAL_TEXT
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import Outcome, RecordEntry, Verdict
from coatcheck.model.sink import Copy


@dataclass(frozen=True, slots=True)
class Weight:
    """The same weight on three scales: RFC 5424 (lower is worse), CEF (0 to 10), OpenTelemetry (1 to 24)."""

    syslog: int
    cef: int
    otlp: int
    word: str


_PLAIN: Final = Weight(6, 3, 9, "INFO")
_NOTABLE: Final = Weight(5, 5, 10, "INFO2")
_REFUSED: Final = Weight(4, 6, 13, "WARN")
_FAILED: Final = Weight(4, 4, 13, "WARN")
_UNKNOWN: Final = Weight(3, 7, 17, "ERROR")


def weight_of(copy: Copy) -> Weight:
    """Return how much a copy matters: refusals more than failures, unknown outcomes most."""
    if isinstance(copy.of, ChangeEntry):
        return _NOTABLE
    if not isinstance(copy.of, RecordEntry):
        return _PLAIN
    if copy.of.record.decision is not Verdict.ALLOWED:
        return _REFUSED
    outcome = copy.of.settlement.outcome if copy.of.settlement else Outcome.UNKNOWN
    if outcome is Outcome.UNKNOWN:
        return _UNKNOWN
    return _PLAIN if outcome is Outcome.OK else _FAILED


def event_of(copy: Copy) -> str:
    """Return the stable name of what happened: `call.allowed`, `call.refused`, `grant.issue`, `test`."""
    if isinstance(copy.of, ChangeEntry):
        return copy.of.change.action
    if isinstance(copy.of, RecordEntry):
        return f"call.{copy.of.record.decision.value}"
    return "test"


def words_of(copy: Copy) -> str:
    """Return the event in a few words for people."""
    if isinstance(copy.of, ChangeEntry):
        change = copy.of.change
        return f"{change.action} {change.object_name or change.object_id} by {change.actor}"
    if isinstance(copy.of, RecordEntry):
        record = copy.of.record
        asked = " ".join(part for part in (record.method, record.server, record.tool) if part)
        return f"{asked or 'request'} {record.decision.value}"
    return TRIAL_TEXT
