r"""The hash chain of the ledger: what each entry's hash is taken over, and the judge of a stream of entries.

`hash = SHA-256("coatcheck chain 1\n" + seq (8 bytes, big endian) + kind (1 byte) + hash before
+ SHA-256(stored))`. Over the digest of the entry, not the entry, so that a chain can still be proven where
entries are left out.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from coatcheck.model.chain import Beginning, EntryKind, Finding, FindingKind, Head, Link

HASH_BYTES: Final = 32

_FORM: Final = b"coatcheck chain 1\n"
_BEGINNING: Final = b"coatcheck chain begins 1\n"
_KINDS: Final = {EntryKind.RECORD: b"r", EntryKind.SETTLEMENT: b"s", EntryKind.CHANGE: b"c"}


def entry_hash(seq: int, kind: EntryKind, prev: bytes, stored: bytes) -> bytes:
    """Return the hash of an entry, 32 bytes, from the hash before and its stored bytes."""
    return link_hash(seq, kind, prev, sha256(stored).digest())


def link_hash(seq: int, kind: EntryKind, prev: bytes, digest: bytes) -> bytes:
    """Return the same where only the SHA-256 of the stored bytes is known."""
    return sha256(b"%b%b%b%b%b" % (_FORM, seq.to_bytes(8, "big"), _KINDS[kind], prev, digest)).digest()


def begin(log: str, seq: int, before: int) -> Beginning:
    """Return where the chain of a log begins: after number `seq`, with `before` older entries not in it."""
    text = f"{log}\n{seq}\n{before}\n".encode("ascii")
    return Beginning(log, seq, before, sha256(_BEGINNING + text).digest())


def is_whole(beginning: Beginning) -> bool:
    """Tell whether a chain itself begins here, and not a part of it, which may have lost its head."""
    return beginning == begin(beginning.log, beginning.seq, beginning.before)


class Judge:
    """Takes the entries of a chain in their order, one at a time, and says what is wrong with each.

    After a finding it goes on from what it was given, so that one edit is one finding, not one for each entry
    that follows.
    """

    def __init__(self, beginning: Beginning) -> None:
        self.head = Head(beginning.seq, beginning.prev)
        self.entries = 0
        self.left_out = 0

    def skip(self, first: int, prev: bytes, head: Head) -> Finding | None:
        """Go on after entries kept elsewhere, from `first` to `head`; `prev` is the hash before them.

        Whether `head` is right, the next entry tells, whose hash is over it.
        """
        before, self.head = self.head, head
        if (first, prev) == (before.seq + 1, before.hash):
            return None
        words = f"entries {first} to {head.seq}, which were sealed, do not follow on entry {before.seq}"
        return Finding(first, FindingKind.MISSING, words)

    def feed(self, link: Link) -> Finding | None:
        """Take the next entry; return what is wrong with it, or None."""
        due = self.head.seq + 1
        if link.seq < due:
            return Finding(link.seq, FindingKind.INSERTED, f"entry {link.seq} has no place in the chain")
        prev, self.head = self.head.hash, Head(link.seq, link.hash)
        self.entries += 1
        self.left_out += bool(link.digest)
        if link.seq > due:
            return Finding(due, FindingKind.MISSING, f"{_entries(due, link.seq - 1)} not there any more")
        digest = link.digest or sha256(link.stored).digest()
        if link_hash(link.seq, link.kind, prev, digest) != link.hash:
            words = f"entry {link.seq}, or the hash before it, is not as it was written"
            return Finding(link.seq, FindingKind.EDITED, words)
        return None


def _entries(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"
