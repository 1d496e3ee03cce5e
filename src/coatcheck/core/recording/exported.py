"""The lines of an exported chain: one JSON object each, from which the chain can be proven without the store.

The first line says where the chain begins (`log`, `first`, `before`), or where this part of it does (`log`,
`after`, `prev`). A line with `checkpoint` is a signed note of the entry before it. Every other line is an
entry: `seq`, `kind`, `hash` and either `stored`, its own text, or `digest`, its SHA-256, where it was left
out; `odd`, if it is there, says that the store's columns did not fit with it. Other members are for readers,
and are not looked at.
"""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from hashlib import sha256
from typing import Any, Final, NoReturn, TypeGuard

from coatcheck.core.recording.chain import HASH_BYTES, begin
from coatcheck.model.chain import Beginning, Checkpoint, EntryKind, Link

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a character."""


class NoLine(ValueError):
    """A line that no export has."""


def first_line(beginning: Beginning) -> dict[str, Any]:
    """Return the members of the first line of a whole chain."""
    return {"log": beginning.log, "first": beginning.seq, "before": beginning.before}


def first_line_of_part(log: str, after: int, prev: bytes) -> dict[str, Any]:
    """Return the members of the first line of a part that begins after an entry, whose hash is `prev`."""
    return {"log": log, "after": after, "prev": prev.hex()}


def entry_line(link: Link, *, leave_out: bool = False, odd: str = "") -> dict[str, Any]:
    """Return the members that chain an entry; with `leave_out`, nothing of what it says."""
    line: dict[str, Any] = {"seq": link.seq, "kind": link.kind.value, "hash": link.hash.hex()}
    if odd:
        line["odd"] = odd
    if leave_out or link.digest:
        return line | {"digest": (link.digest or sha256(link.stored).digest()).hex()}
    return line | {"stored": link.stored.decode("utf-8")}


def checkpoint_line(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the member of a checkpoint's line."""
    return {"checkpoint": checkpoint.note}


def read_first(line: bytes) -> Beginning:
    """Return where a file begins.

    Raises:
        NoLine: the line says nothing of it.
    """
    found = _object(line)
    log, after = found.get("log"), found.get("after", found.get("first"))
    before, prev = found.get("before", 0), found.get("prev")
    if not _is_log(log) or not _is_number(after) or not _is_number(before):
        raise NoLine("the first line does not say where the chain begins")
    if "after" not in found:
        return begin(log, after, before)
    return Beginning(log, after, 0, _hash(prev))


def read_line(line: bytes) -> Link | str:
    """Return the entry of a line, or the note of a checkpoint.

    Raises:
        NoLine: the line is neither.
    """
    found = _object(line)
    if isinstance(note := found.get("checkpoint"), str):
        return note
    seq, stored = found.get("seq"), found.get("stored")
    try:
        kind = EntryKind(found.get("kind", ""))
    except ValueError:
        raise NoLine("has no kind") from None
    if not _is_number(seq):
        raise NoLine("has no number")
    if isinstance(stored, str):
        try:
            return Link(seq, kind, stored.encode("utf-8"), _hash(found.get("hash")))
        except UnicodeEncodeError:
            raise NoLine("holds text that is none") from None
    if "stored" in found:
        raise NoLine("holds a text that is none")
    return Link(seq, kind, b"", _hash(found.get("hash")), _hash(found.get("digest")))


def odd_in(line: bytes) -> str:
    """Return what a line says of the columns of its entry: empty if they fitted.

    Raises:
        NoLine: as for the line itself.
    """
    if b'"odd"' not in line:
        return ""
    return str(_object(line).get("odd", ""))


def _object(line: bytes) -> dict[str, Any]:
    """Return the members of a line. What two readers could take differently, wherever it stands, is none."""
    try:
        text = line.decode("utf-8")
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse_constant)
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except NoLine:
        raise
    except UnicodeDecodeError:
        raise NoLine("is not UTF-8") from None
    except UnicodeEncodeError:
        raise NoLine("holds text that is none") from None
    except (ValueError, RecursionError):
        raise NoLine("begins with a byte order mark" if line.startswith(BOM_UTF8) else "is no JSON") from None
    if not isinstance(found, dict):
        raise NoLine("is no JSON object")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise NoLine(f"has {name}, which is no number of JSON")


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose members are each there once: a reader may take one, and a judge the other."""
    found = dict(members)
    if len(found) != len(members):
        raise NoLine("has a member twice")
    return found


def _hash(text: object) -> bytes:
    try:
        found = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        found = b""
    if len(found) != HASH_BYTES:
        raise NoLine("has no hash of 64 hexadecimal digits")
    return found


def _is_number(found: object) -> TypeGuard[int]:
    return type(found) is int and 0 <= found < 1 << 63


def _is_log(found: object) -> TypeGuard[str]:
    return isinstance(found, str) and len(found) == 16 and all(one in "0123456789abcdef" for one in found)
