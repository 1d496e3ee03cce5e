"""Single entries of the chain: one call with its links, and whether a stretch is as it was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from coatcheck.core.recording.chain import Judge
from coatcheck.core.recording.notes import PublicKey, opener
from coatcheck.core.recording.receipts import receipt_of
from coatcheck.errors import Missing
from coatcheck.model.chain import Beginning, Checkpoint, Head, Link
from coatcheck.model.reading import Stretch
from coatcheck.model.record import Receipt, RecordEntry, RecordFilter
from coatcheck.ports import Reading

MOST: Final = 5_000
"""Entries that one look judges: more than there are between two checkpoints."""
MOST_FINDINGS: Final = 20
_MAX_POSITION: Final = 2**53 - 1
_ALL: Final = RecordFilter()


@dataclass(frozen=True, slots=True)
class CallOnRecord:
    """One call. `intent` is its own link, `ended` number and hash of its outcome, once there is one.

    Both are None for calls from before there was a chain. `receipt` is what its answer was sent along.
    """

    entry: RecordEntry
    intent: Head | None
    ended: Head | None
    receipt: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at the entries `first` to `last` came to.

    `findings` says, a sentence each, what is not as it was written. `checkpoint` is the signed one that the
    last of them leads up to; None: none was signed since, or it is too far away.
    """

    first: int
    last: int
    entries: int
    findings: Sequence[str]
    checkpoint: Checkpoint | None

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Entries:
    """Looks at single entries. `keys` are those that checkpoints may be signed with, the one of now first."""

    def __init__(self, reading: Reading, keys: Sequence[PublicKey]) -> None:
        self._reading = reading
        self.keys = keys

    async def call(self, ref: str) -> CallOnRecord:
        """Return a call by its number in the chain, or by its id.

        Raises:
            Missing: there is none in the store; one by its id is looked for among the newest only.
            LedgerUnavailable: the record cannot be read.
        """
        position = await self._position(ref)
        held = await self._reading.held(RecordFilter(before=position + 1), position - 1, 1)
        if not held or held[0].entry.position != position:
            raise _no_entry()
        links, _ = await self._reading.links(position - 1, position, None)
        own = next((one.link for one in links if one.link.seq == position), None)
        intent = None if own is None else Head(own.seq, own.hash)
        found = held[0]
        is_chained = bool(found.hash) and found.entry.settlement is not None
        ended = Head(found.seq, found.hash) if is_chained else None
        receipt = ""
        if ended is not None:
            log = (await self._reading.stretch(_ALL)).log
            receipt = receipt_of(log, Receipt(ended.seq, ended.hash))
        return CallOnRecord(found.entry, intent, ended, receipt)

    async def check(self, seq: int, through: int | None = None) -> Checked:
        """Judge an entry and those after it, up to `through`, and on to the next checkpoint.

        At most `MOST` are judged, each by its bytes, its columns and the hash before it.

        Raises:
            Missing: the entry is not in the store.
            LedgerUnavailable: the record cannot be read.
        """
        stretch = await self._reading.stretch(_ALL)
        if not stretch.after < seq <= stretch.through:
            raise _no_entry()
        last = min(max(seq, through or seq), stretch.through)
        signed = next(iter(await self._reading.checkpoints(last - 1, 1)), None)
        if signed is not None and signed.seq - seq >= MOST:
            signed = None
        end = min(signed.seq if signed is not None else last, seq + MOST - 1)
        judge = Judge(Beginning(stretch.log, seq - 1, 0, await self._hash_before(seq, stretch)))
        findings = await self._judged(judge, seq, end)
        if signed is not None:
            findings += self._compared(signed, judge.head)
        return Checked(seq, judge.head.seq, judge.entries, findings[:MOST_FINDINGS], signed)

    async def newest(self) -> Checked | None:
        """Judge the newest entries; None: there are none. Raises as `check`."""
        stretch = await self._reading.stretch(_ALL)
        if stretch.through <= stretch.after:
            return None
        return await self.check(max(stretch.after + 1, stretch.through - MOST + 1), stretch.through)

    async def _position(self, ref: str) -> int:
        if ref.isascii() and ref.isdecimal() and len(ref) <= 16 and 0 < int(ref) <= _MAX_POSITION:
            return int(ref)
        try:
            found = await self._reading.find(UUID(ref))
        except ValueError:
            found = None
        if found is None:
            raise _no_entry()
        return found

    async def _hash_before(self, seq: int, stretch: Stretch) -> bytes:
        if seq == stretch.after + 1:
            return stretch.prev
        links, _ = await self._reading.links(seq - 2, seq - 1, None)
        return links[-1].link.hash if links else b""  # what follows on nothing is found to be edited

    async def _judged(self, judge: Judge, first: int, last: int) -> list[str]:
        findings: list[str] = []
        after = first - 1
        while after < last and len(findings) < MOST_FINDINGS:
            page, after = await self._reading.links(after, last, _ALL, judged=True)
            for one in page:
                findings += _findings(judge, one.link, one.odd)
        return findings

    def _compared(self, signed: Checkpoint, head: Head) -> list[str]:
        """Return what does not fit with a checkpoint."""
        key, why = opener(self.keys, lambda key: key.open(signed.note))
        if key is None:
            words = why or "cannot be proven: there is no key for it"
            return [f"the checkpoint of entry {signed.seq} {words}"]
        if (signed.seq, signed.hash) != (head.seq, head.hash):
            return [f"the checkpoint of entry {signed.seq} signs another hash than the record has there"]
        return []


def _findings(judge: Judge, link: Link, odd: str) -> list[str]:
    finding = judge.feed(link)
    return [words for words in (finding.words if finding else "", odd) if words]


def _no_entry() -> Missing:
    return Missing(
        "there is no such entry in the store",
        fix="a number finds every entry that is not sealed in a file, an id only one of the newest",
    )
