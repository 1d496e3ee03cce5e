"""The one chain that every entry of the ledger hangs on, and what a look at it can find."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EntryKind(StrEnum):
    """What an entry is: the intent of a request, its outcome, or a change that an operator made."""

    RECORD = "record"
    SETTLEMENT = "settlement"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Link:
    """One entry in the chain. `seq` is its place, `hash` the 32 bytes that bind it to all before.

    `stored` is the entry itself. Where it was left out of a file, `digest` has the 32 bytes of its SHA-256,
    which the chain needs no more than.
    """

    seq: int
    kind: EntryKind
    stored: bytes
    hash: bytes
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a chain begins: `prev` stands for the hash before its first entry, which is `seq` + 1.

    `log` names the chain, 16 hexadecimal digits; `before` counts the entries from before there were chains.
    """

    log: str
    seq: int
    before: int
    prev: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the number and the hash of its last entry."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Strange:
    """A chain that stands where the gateway did not leave it. `found` None: the store says nothing of it."""

    known: Head
    found: Head | None

    @property
    def words(self) -> str:
        """What is wrong, as a sentence for people."""
        left = f"this gateway left it at entry {self.known.seq} ({self.known.hash.hex()[:12]})"
        if self.found is None:
            return f"the store does not say any more where the record ends, and {left}: it was changed"
        at = f"entry {self.found.seq} ({self.found.hash.hex()[:12]})"
        return f"the record ends at {at}, and {left}: something else wrote to the store"


@dataclass(frozen=True, slots=True)
class Kept:
    """The checkpoints that a place has: of how many entries, the first of them and the last; -1 if none."""

    count: int = 0
    first: int = -1
    last: int = -1

    def and_one(self, seq: int) -> Kept:
        """Return the same with one more, if it is of a later entry."""
        if self.count and seq <= self.last:
            return self
        return Kept(self.count + 1, self.first if self.count else seq, seq)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the gateway signed of its chain at one time. `note` is the signed text, all the rest is in it."""

    log: str
    seq: int
    hash: bytes
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Presented:
    """A receipt as somebody brings it back. `start` is the first half of the hash of its entry, 16 bytes."""

    log: str
    seq: int
    start: bytes


class FindingKind(StrEnum):
    """What is wrong at one place of the chain."""

    EDITED = "edited"
    """The stored bytes, or the hash, are not those that were chained."""
    MISSING = "missing"
    """Entries were removed."""
    INSERTED = "inserted"
    """An entry is there that the chain has no place for."""
    DERIVED = "derived"
    """A column does not say what the stored bytes say."""
    CUT = "cut"
    """The chain ends before a place that it had reached."""
    FORKED = "forked"
    """The chain has another hash than the one that was signed, or was handed out."""
    FOREIGN = "foreign"
    """It is another chain."""
    UNSIGNED = "unsigned"
    """A checkpoint has no signature of the key."""
    DAMAGED = "damaged"
    """What should be read cannot be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `seq` is the place; `words` is a sentence for people."""

    seq: int
    what: FindingKind
    words: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a look at a whole chain came to. It is sound if there is no finding, and all of it is proven.

    `findings` has the first of them, `found` counts all. `unproven` counts the entries after the last
    checkpoint, which only the chain itself speaks for; `sealed` those that are in files; the beginning's
    `before` those that no chain covers. `lacking` says, a sentence each, what was not found wrong and is not
    proven either, and what to do about it.
    """

    beginning: Beginning
    head: Head
    entries: int
    left_out: int
    checkpoints: int
    unproven: int
    receipts: int
    sealed: int
    found: int
    findings: tuple[Finding, ...]
    lacking: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Tell whether nothing was found, and nothing is lacking."""
        return not self.found and not self.lacking
