"""A record entry as the line that `coatcheck logs`, the API and the sinks show: one flat JSON object.

Every field is told in `docs/reference/record.md`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

from coatcheck.core.recording.charges import shown_charges
from coatcheck.model.record import Outcome, RecordEntry, Settlement

FIELDS: Final = (
    "position",
    "id",
    "time",
    "request_id",
    "replica",
    "subject",
    "grant_id",
    "grant_label",
    "roles",
    "route",
    "server",
    "method",
    "tool",
    "credentials",
    "policy",
    "policy_version",
    "decision",
    "rule",
    "reason",
    "charges",
    "outcome",
    "detail",
    "duration_ms",
    "upstream_ms",
    "upstream_status",
    "request_bytes",
    "answer_bytes",
    "settled",
    "client_ip",
    "client_name",
    "client_version",
    "arguments",
    "argument_prints",
    "argument_values",
    "repeats",
)
"""The fields of a line, in their order. A line has all of them, always."""


def line_of(entry: RecordEntry, values: str | None = None) -> dict[str, Any]:
    """Return the fields of an entry as plain JSON values, in the order of `FIELDS`.

    `outcome` and all that comes with it are None while the request is under way. `values` are the arguments
    of the call, JSON, for who may see them; they and `arguments` are the JSON value, or its text where plain
    Python numbers would change it.
    """
    record, settlement = entry.record, entry.settlement
    return {
        "position": entry.position,
        "id": str(record.id),
        "time": rfc3339(record.at),
        "request_id": record.request_id,
        "replica": record.replica,
        "subject": record.subject,
        "grant_id": record.grant_id,
        "grant_label": record.grant_label,
        "roles": list(record.roles),
        "route": record.route,
        "server": record.server,
        "method": record.method,
        "tool": record.tool,
        "credentials": list(credentials_of(entry)),
        "policy": record.policy,
        "policy_version": record.policy_version,
        "decision": record.decision.value,
        "rule": record.rule,
        "reason": record.reason,
        "charges": shown_charges(record.charges),
        "outcome": settlement.outcome.value if settlement else None,
        "detail": settlement.detail if settlement else None,
        "duration_ms": _millis(settlement.seconds) if settlement else None,
        **_of_server(settlement),
        "settled": rfc3339(settlement.at) if settlement else None,
        "client_ip": record.client_ip,
        "client_name": record.client_name,
        "client_version": record.client_version,
        "arguments": _arguments(record.arguments),
        "argument_prints": _arguments(record.argument_prints),
        "argument_values": _arguments(values or ""),
        "repeats": record.repeats,
    }


def credentials_of(entry: RecordEntry) -> tuple[str, ...]:
    """Return the credentials that the server was given, as `name@version`.

    Where nobody can tell, since the request is under way or its outcome was lost, those that it had in reach.
    """
    settlement = entry.settlement
    if settlement is not None and (settlement.credentials or settlement.outcome is not Outcome.UNKNOWN):
        return settlement.credentials
    return entry.record.credentials


def _of_server(settlement: Settlement | None) -> dict[str, Any]:
    """Return what is known of the server's part; None for a server that was sent nothing."""
    sent = settlement if settlement is not None and settlement.request_bytes else None
    return {
        "upstream_ms": _millis(sent.upstream_seconds) if sent else None,
        "upstream_status": settlement.upstream_status if settlement else None,
        "request_bytes": sent.request_bytes if sent else None,
        "answer_bytes": sent.answer_bytes if sent else None,
    }


def _millis(seconds: float) -> float:
    return round(seconds * 1000, 3)


def json_line(entry: RecordEntry, values: str | None = None) -> bytes:
    """Return the line of an entry as ASCII JSON with one newline, at its end; `values` as for `line_of`.

    All but printable ASCII is escaped, so that no name or argument can break a line or steer a terminal.
    """
    line = line_of(entry, values)
    try:
        text = _ENCODER.encode(line)
    except RecursionError:
        texts = {"arguments": entry.record.arguments, "argument_values": values or None}
        text = _ENCODER.encode(line | texts)
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
