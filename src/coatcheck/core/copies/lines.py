"""A copy as one flat JSON object: `kind` tells records of calls, changes by operators and trials apart.

Every field is told in `docs/reference/sinks.md`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from coatcheck.core.recording.record_lines import line_of, rfc3339
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry
from coatcheck.model.sink import Copy

RECORD: Final = "record"
CHANGE: Final = "change"
TRIAL: Final = "test"

CHANGE_FIELDS: Final = (
    "kind",
    "seq",
    "id",
    "time",
    "actor",
    "role",
    "origin",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "before",
    "after",
    "because",
)
"""The fields of a change, in their order."""

TRIAL_TEXT: Final = "a test entry of coatcheck: it stands for nothing that happened"

_CUT: Final = "cut"
_CUT_FIRST: Final = ("argument_prints", "arguments", "charges", "before", "after")
_CUT_CHARS: Final = 64
"""Characters that are left of a text when an object is too large for its message."""
_WHOLE: Final = frozenset({"kind", "seq", "position", "id", "time", "settled", "request_id", "grant_id"})
"""Fields that are never cut: by them the whole entry is found in the ledger."""


def line_of_copy(copy: Copy) -> dict[str, Any]:
    """Return a copy as plain JSON values; `kind` and `seq` are first."""
    if isinstance(copy.of, RecordEntry):
        return {"kind": RECORD, "seq": copy.seq, **line_of(copy.of)}
    if isinstance(copy.of, ChangeEntry):
        return _change_line(copy.seq, copy.of)
    return {"kind": TRIAL, "seq": copy.seq, "time": rfc3339(copy.of.at), "text": TRIAL_TEXT}


def _change_line(seq: int, entry: ChangeEntry) -> dict[str, Any]:
    change = entry.change
    return {
        "kind": CHANGE,
        "seq": seq,
        "id": str(change.id),
        "time": rfc3339(change.at),
        "actor": change.actor,
        "role": change.role,
        "origin": change.origin,
        "action": change.action,
        "object_kind": change.kind.value,
        "object_id": change.object_id,
        "object_name": change.object_name,
        "before": _object(change.before),
        "after": _object(change.after),
        "because": change.because,
    }


def json_copy(copy: Copy, most: int | None = None) -> bytes:
    """Return a copy as ASCII JSON without a newline, at most `most` bytes where that can be had.

    All but printable ASCII is escaped, so that no name can break a line or steer a terminal. What was left
    out or shortened to fit is named in the member `cut`.
    """
    line = line_of_copy(copy)
    text = _encoded(line)
    if most is not None and len(text) > most:
        text = _encoded(_fitted(line, most))
    return text


def json_copy_line(copy: Copy) -> bytes:
    """Return a copy as one line of JSON Lines."""
    return json_copy(copy) + b"\n"


def _fitted(line: dict[str, Any], most: int) -> dict[str, Any]:
    """Return what fits: first without the large members, then with short texts, then by what finds it."""
    cut: list[str] = []
    small = {**line, _CUT: cut}
    for name in (name for name in _CUT_FIRST if line.get(name)):
        small[name] = None
        cut.append(name)
        if len(_encoded(small)) <= most:
            return small
    for name in [name for name in line if name not in _WHOLE and name not in cut]:
        if isinstance(line[name], str) and len(line[name]) <= _CUT_CHARS:
            continue
        if isinstance(line[name], str | list | dict) and line[name]:
            small[name] = line[name][:_CUT_CHARS] if isinstance(line[name], str) else None
            cut.append(name)
        if len(_encoded(small)) <= most:
            return small
    if len(_encoded(small)) <= most:
        return small
    return {name: value for name, value in line.items() if name in _WHOLE} | {_CUT: ["all"]}


def _object(text: str) -> Any:
    return json.loads(text) if text else None


def _encoded(line: dict[str, Any]) -> bytes:
    try:
        text = _ENCODER.encode(line)
    except RecursionError:
        text = _ENCODER.encode(line | {"arguments": None, _CUT: ["arguments"]})
    return text.replace("\x7f", "\\u007f").encode("ascii")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
