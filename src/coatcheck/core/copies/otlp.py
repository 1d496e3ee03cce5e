"""Copies as OpenTelemetry logs in OTLP/HTTP with JSON.

Source: OpenTelemetry Protocol 1.9, "JSON Protobuf Encoding": 64-bit integers are decimal texts, and
`opentelemetry/proto/logs/v1/logs.proto`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from coatcheck import __version__
from coatcheck.core.copies.lines import line_of_copy
from coatcheck.core.copies.severities import event_of, weight_of, words_of
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry
from coatcheck.model.sink import Copy

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INT64: Final = 1 << 63


def logs_request(copies: Sequence[Copy], observed: datetime, resource: Mapping[str, str]) -> bytes:
    """Return the body of an `ExportLogsServiceRequest` with one log record for each copy.

    `observed` is the time of sending. `resource` are attributes beside `service.name`.
    """
    attributes = {"service.name": "coatcheck", "service.version": __version__, **resource}
    scope = {"name": "coatcheck.ledger", "version": __version__}
    records = [_log_record(copy, observed) for copy in copies]
    request = {
        "resourceLogs": [
            {
                "resource": {"attributes": [_attribute(*each) for each in attributes.items()]},
                "scopeLogs": [{"scope": scope, "logRecords": records}],
            }
        ]
    }
    return json.dumps(request, separators=(",", ":")).encode("ascii")


def _log_record(copy: Copy, observed: datetime) -> dict[str, Any]:
    weight = weight_of(copy)
    return {
        "timeUnixNano": _nanos(_time_of(copy)),
        "observedTimeUnixNano": _nanos(observed),
        "severityNumber": weight.otlp,
        "severityText": weight.word,
        "eventName": f"coatcheck.{event_of(copy)}",
        "body": {"stringValue": words_of(copy)},
        "attributes": list(_attributes(copy)),
    }


def _attributes(copy: Copy) -> Iterator[dict[str, Any]]:
    for name, value in line_of_copy(copy).items():
        if value is not None and value != "" and name != "time":
            yield _attribute(f"coatcheck.{name}", value)


def _attribute(name: str, value: Any) -> dict[str, Any]:
    return {"key": name, "value": _any_value(value)}


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -_INT64 <= value < _INT64:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": json.dumps(value, ensure_ascii=True, separators=(",", ":"))}


def _time_of(copy: Copy) -> datetime:
    if isinstance(copy.of, RecordEntry):
        return copy.of.record.at
    return copy.of.change.at if isinstance(copy.of, ChangeEntry) else copy.of.at


def _nanos(at: datetime) -> str:
    passed = at - _EPOCH
    return str(((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000)
