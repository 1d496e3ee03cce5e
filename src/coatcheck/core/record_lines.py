"""A record entry as the line that `coatcheck logs`, the API and the sinks show: one flat JSON object.

Every field is told in `docs/reference/record.md`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

from coatcheck.model.record import RecordEntry

FIELDS: Final = (
    "position",
    "id",
    "time",
    "subject",
    "grant_id",
    "grant_label",
    "route",
    "server",
    "method",
    "tool",
    "decision",
    "rule",
    "reason",
    "outcome",
    "detail",
    "duration_ms",
    "settled",
    "client_ip",
    "client_name",
    "client_version",
    "arguments",
    "repeats",
)
"""The fields of a line, in their order. A line has all of them, always."""


def line_of(entry: RecordEntry) -> dict[str, Any]:
    """Return the fields of an entry as plain JSON values, in the order of `FIELDS`.

    `outcome`, `detail`, `duration_ms` and `settled` are None while the request is under way. `arguments`
    is the JSON value that was recorded, or its text where plain Python numbers would change it.
    """
    record, settlement = entry.record, entry.settlement
    return {
        "position": entry.position,
        "id": str(record.id),
        "time": rfc3339(record.at),
        "subject": record.subject,
        "grant_id": record.grant_id,
        "grant_label": record.grant_label,
        "route": record.route,
        "server": record.server,
        "method": record.method,
        "tool": record.tool,
        "decision": record.decision.value,
        "rule": record.rule,
        "reason": record.reason,
        "outcome": settlement.outcome.value if settlement else None,
        "detail": settlement.detail if settlement else None,
        "duration_ms": round(settlement.seconds * 1000, 3) if settlement else None,
        "settled": rfc3339(settlement.at) if settlement else None,
        "client_ip": record.client_ip,
        "client_name": record.client_name,
        "client_version": record.client_version,
        "arguments": _arguments(record.arguments),
        "repeats": record.repeats,
    }


def json_line(entry: RecordEntry) -> bytes:
    """Return the line of an entry as ASCII JSON with one newline, at its end.

    All but printable ASCII is escaped, so that no name or argument can break a line or steer a terminal.
    """
    line = line_of(entry)
    try:
        text = _ENCODER.encode(line)
    except RecursionError:
        text = _ENCODER.encode(line | {"arguments": entry.record.arguments})
    return text.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def rfc3339(at: datetime) -> str:
    """Return an aware time in UTC with six decimals: `2026-11-03T09:08:07.060504Z` (RFC 3339)."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _arguments(text: str) -> Any:
    if not text:
        return None
    try:
        return _EXACT.decode(text)
    except (ValueError, ArithmeticError, RecursionError):
        return text


def _exact_float(lexeme: str) -> float:
    value = float(lexeme)
    if Decimal(lexeme) != Decimal(repr(value)):
        raise ValueError(lexeme)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_EXACT: Final = json.JSONDecoder(parse_float=_exact_float, parse_constant=_no_constant)
