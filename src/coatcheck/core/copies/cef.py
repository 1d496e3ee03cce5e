"""A copy in the Common Event Format.

Source: ArcSight Common Event Format, revision 26: header fields escape backslash and bar, values of the
extension backslash, equals sign and line breaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Address, ip_address
from typing import Final

from coatcheck import __version__
from coatcheck.core.copies.severities import event_of, weight_of, words_of
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry, Settlement
from coatcheck.model.sink import Copy

_MOST_CHARS: Final = 1023
"""The largest value of the texts that CEF's dictionary bounds (most at 1,023 characters)."""
_STEERING: Final = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BREAKS: Final = re.compile("[\r\n]+")

Field = tuple[str, str | int | None]


def cef_of(copy: Copy) -> bytes:
    """Return one line of CEF as UTF-8, without a newline. Empty fields are left out."""
    header = (
        "Coatcheck",
        "Coatcheck",
        __version__,
        event_of(copy),
        words_of(copy),
        str(weight_of(copy).cef),
    )
    extension = " ".join(f"{name}={escaped_value(str(value))}" for name, value in _fields(copy) if _is(value))
    return f"CEF:0|{'|'.join(map(escaped_header, header))}|{extension}".encode()


def escaped_header(text: str) -> str:
    r"""Return a field of the header: one line, `\` and `|` escaped."""
    line = _STEERING.sub("", _BREAKS.sub(" ", text))[:_MOST_CHARS]
    return line.replace("\\", "\\\\").replace("|", "\\|")


def escaped_value(text: str) -> str:
    r"""Return a value of the extension: `\`, `=`, and line breaks escaped; other controls left out."""
    plain = _STEERING.sub("", text)[:_MOST_CHARS]
    plain = plain.replace("\\", "\\\\").replace("=", "\\=")
    return plain.replace("\r", "\\r").replace("\n", "\\n")


def _fields(copy: Copy) -> Iterable[Field]:
    if isinstance(copy.of, RecordEntry):
        return _record_fields(copy.seq, copy.of)
    if isinstance(copy.of, ChangeEntry):
        return _change_fields(copy.seq, copy.of)
    return [("rt", _millis(copy.of.at)), ("externalId", copy.seq), ("cat", "test")]


def _record_fields(seq: int, entry: RecordEntry) -> Iterable[Field]:
    record, settlement = entry.record, entry.settlement
    yield from (("rt", _millis(record.at)), ("externalId", seq), ("cat", "record"), ("app", "MCP"))
    yield from (("suser", record.subject), *_source(record.client_ip))
    yield from (("act", record.decision.value), ("reason", record.reason), ("request", record.route))
    if settlement is not None:
        yield ("outcome", settlement.outcome.value)
        yield ("msg", settlement.detail)
        yield from (("end", _millis(settlement.at)), *_volumes(settlement))
        yield from (("cn1", round(settlement.seconds * 1000)), ("cn1Label", "durationMs"))
    yield ("cnt", record.repeats)
    client = " ".join(part for part in (record.client_name, record.client_version) if part)
    yield ("requestClientApplication", client)
    yield from _custom(
        (
            ("grant", record.grant_id),
            ("server", record.server),
            ("tool", record.tool),
            ("method", record.method),
            ("rule", record.rule),
            ("recordId", str(record.id)),
        )
    )
    yield ("dvchost", record.replica)
    used = settlement.credentials if settlement else record.credentials
    yield from _custom((("credentials", ",".join(used)), ("requestId", record.request_id)), "flexString")


def _change_fields(seq: int, entry: ChangeEntry) -> Iterable[Field]:
    change = entry.change
    yield from (("rt", _millis(change.at)), ("externalId", seq), ("cat", "change"))
    yield from (("suser", change.actor), ("spriv", change.role), ("act", change.action))
    yield ("reason", change.because)
    yield from _custom(
        (
            ("objectKind", change.kind.value),
            ("objectId", change.object_id),
            ("objectName", change.object_name),
            ("before", change.before),
            ("after", change.after),
            ("origin", change.origin),
        )
    )


def _volumes(settlement: Settlement) -> Iterable[Field]:
    """Yield what the server was sent, what it gave, and its HTTP status, as far as it was reached."""
    if settlement.request_bytes:
        yield from (("out", settlement.request_bytes), ("in", settlement.answer_bytes))
    if settlement.upstream_status is not None:
        yield from (("cn2", settlement.upstream_status), ("cn2Label", "upstreamStatus"))


def _custom(fields: Iterable[tuple[str, str]], kind: str = "cs") -> Iterable[Field]:
    """Yield the numbered custom strings, which have a label each."""
    for number, (label, value) in enumerate(fields, 1):
        if value:
            yield from ((f"{kind}{number}", value), (f"{kind}{number}Label", label))


def _source(address: str) -> Iterable[Field]:
    try:
        found = ip_address(address)
    except ValueError:  # none, or a unix socket
        return []
    if isinstance(found, IPv4Address):
        return [("src", address)]
    return [("c6a2", str(found)), ("c6a2Label", "Source IPv6 Address")]


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _is(value: str | int | None) -> bool:
    return value is not None and value != ""
