"""A copy as a syslog message.

Sources: RFC 5424 (the message), RFC 5426 (UDP), RFC 6587 section 3.4.1 (counted octets), RFC 5425 (TLS).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.copies.cef import cef_of
from coatcheck.core.copies.lines import json_copy, line_of_copy
from coatcheck.core.copies.severities import event_of, weight_of
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry
from coatcheck.model.sink import Copy, Format

SD_ID: Final = "coatcheck@32473"
"""Names our structured data; 32473 is the number that RFC 5612 keeps for such use without a registration."""

_NIL: Final = "-"
_UNPRINTED: Final = re.compile(r"[^!-~]")
_BOM: Final = b"\xef\xbb\xbf"
_LEAST_VALUE: Final = 16


@dataclass(frozen=True, slots=True)
class Sender:
    """What the head of each message says of us (RFC 5424 sections 6.2.1 to 6.2.6)."""

    facility: int
    host: str
    app_name: str
    pid: int


def message_of(copy: Copy, sender: Sender, form: Format, most: int) -> bytes:
    """Return one message of at most `most` bytes where that can be had.

    JSON is shortened by members and says so, structured data by parameters, CEF at its end.
    """
    head = _head(copy, sender)
    if form is Format.STRUCTURED:
        return head + _structured(copy, most - len(head))
    if form is Format.CEF:
        text = _BOM + cef_of(copy)
        return head + b"- " + _cut_utf8(text, most - len(head) - 2)
    return head + b"- " + json_copy(copy, most - len(head) - 2)


def octet_counted(message: bytes) -> bytes:
    """Return a message framed for a stream: its length, a space, itself (RFC 6587 section 3.4.1)."""
    return b"%d %b" % (len(message), message)


def escaped_param(text: str) -> str:
    """Return a PARAM-VALUE: quote, backslash and closing bracket escaped (RFC 5424 section 6.3.3)."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _head(copy: Copy, sender: Sender) -> bytes:
    at = _time(copy)
    priority = sender.facility * 8 + weight_of(copy).syslog
    host, app = _word(sender.host, 255), _word(sender.app_name, 48)
    event = _word(event_of(copy), 32)
    return f"<{priority}>1 {at} {host} {app} {sender.pid} {event} ".encode("ascii")


def _time(copy: Copy) -> str:
    if isinstance(copy.of, RecordEntry):
        return rfc3339(copy.of.record.at)
    return rfc3339(copy.of.change.at if isinstance(copy.of, ChangeEntry) else copy.of.at)


def _word(text: str, most: int) -> str:
    return _UNPRINTED.sub("", text)[:most] or _NIL


def _structured(copy: Copy, room: int) -> bytes:
    """Return `[coatcheck@32473 kind="record" ...]`, with as many parameters as there is room for."""
    whole = f"[{SD_ID}".encode()
    for name, value in _params(line_of_copy(copy)):
        param = f' {name}="{escaped_param(value)}"'.encode("utf-8", "replace")
        if len(whole) + len(param) + 1 > room:
            param = f' {name}="{escaped_param(value[:_LEAST_VALUE])}"'.encode("utf-8", "replace")
        if len(whole) + len(param) + 1 <= room:
            whole += param
    return whole + b"]"


def _params(line: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in line.items():
        if value is None or value == "":
            continue
        text = value if isinstance(value, str) else _compact(value)
        yield name, text


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _cut_utf8(text: bytes, most: int) -> bytes:
    return text if len(text) <= most else text[: max(most, 0)].decode("utf-8", "ignore").encode()
