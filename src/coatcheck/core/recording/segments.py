r"""What the chain says of its sealed parts: the table of segments is believed no further than that.

Each part is named by an admin change `record.seal`. Beside the part itself it has `all`, a digest that is
rolled over every part so far, and `note`, which signs that digest with the key that signs checkpoints. So the
newest such change, which is never in a file yet, vouches for the whole table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.core.recording.stored import change_of
from coatcheck.model.chain import EntryKind, Finding, FindingKind, Link
from coatcheck.model.change import Change
from coatcheck.model.segment import Segment

SEAL: Final = "record.seal"
"""The action of the change that seals a part."""

_FORM: Final = b"coatcheck segment 1\n"
_MARK: Final = f'"{SEAL}"'.encode("ascii")

WhyNot = Callable[[str, bytes], str]
"""Says why a note does not sign a digest; empty if it does."""


def outline_of(segment: Segment) -> dict[str, Any]:
    """Return a segment as the change says it, and as its digest is taken over."""
    return {
        "first": segment.first,
        "last": segment.last,
        "prev": segment.prev.hex(),
        "hash": segment.hash.hex(),
        "entries": segment.entries,
        "at": rfc3339(segment.at),
        "file": segment.file,
        "sha256": segment.sha256,
    }


def digest_of(prev: bytes, segments: Sequence[Segment]) -> bytes:
    """Return the digest over every part so far; `prev` is the hash that the chain begins with."""
    digest = prev
    for segment in segments:
        digest = rolled(digest, segment)
    return digest


def rolled(digest: bytes, segment: Segment) -> bytes:
    """Return a digest rolled on over one more part."""
    text = json.dumps(outline_of(segment), sort_keys=True, separators=(",", ":"))
    return sha256(_FORM + digest + text.encode("ascii")).digest()


def sealing_of(segment: Segment, digest: bytes, note: str) -> dict[str, Any]:
    """Return what the change of a sealing says: the part, the digest with it, and its signature."""
    return {**outline_of(segment), "all": digest.hex(), "note": note}


class Vouching:
    """Compares the rows of the table of segments with the sealings that the chain has, as they come by."""

    def __init__(self, prev: bytes, segments: Sequence[Segment], why_not: WhyNot) -> None:
        self._why_not = why_not
        self._rows: dict[int, tuple[Segment, bytes]] = {}
        digest = prev
        for segment in segments:
            digest = rolled(digest, segment)
            self._rows[segment.first] = (segment, digest)
        self.vouched = 0
        """The last entry that is in a file according to the chain."""

    def take(self, link: Link) -> Finding | None:
        """Take an entry that was found to be as it was written; say if it is a sealing that does not fit."""
        change = _sealing_in(link)
        if change is None:
            return None
        what, words = self._judged(link.seq, change)
        return None if what is None else Finding(link.seq, what, words)

    def end(self) -> Iterator[Finding]:
        """Yield the parts that no sealing in the chain speaks for."""
        for segment, _ in self._rows.values():
            if segment.last > self.vouched:
                words = (
                    f"entries {segment.first} to {segment.last} are said to be in a file, and no sealing that"
                    " was signed says so"
                )
                yield Finding(segment.first, FindingKind.MISSING, words)

    def _judged(self, seq: int, change: Change) -> tuple[FindingKind | None, str]:
        said = _said(change)
        row, digest = self._rows.get(said.get("first", -1), (None, b""))
        if row is None:
            words = f"change {seq} says that entries were sealed, and the store does not know of that part"
            return FindingKind.MISSING, words
        note = said.pop("note", "")
        if said != {**outline_of(row), "all": digest.hex()} or row.last >= seq:
            words = (
                f"the store does not say of the parts up to entry {row.last} what change {seq} says of them"
            )
            return FindingKind.DERIVED, words
        why = self._why_not(note, digest) if isinstance(note, str) else "is no text"
        if why:
            return (
                FindingKind.UNSIGNED,
                f"the sealing of the parts up to entry {row.last}, change {seq}, {why}",
            )
        self.vouched = max(self.vouched, row.last)
        return None, ""


def _sealing_in(link: Link) -> Change | None:
    if link.kind is not EntryKind.CHANGE or _MARK not in link.stored:
        return None
    try:
        change = change_of(link.stored)
    except ValueError:
        return None
    return change if change.action == SEAL else None


def _said(change: Change) -> dict[str, Any]:
    try:
        said = json.loads(change.after)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) and type(said.get("first")) is int else {}
