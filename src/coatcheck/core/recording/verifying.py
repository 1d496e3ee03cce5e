"""Judges a whole chain as a stream: its entries, checkpoints signed of it, and receipts that clients have.

It holds no more than one entry and one checkpoint at a time, whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coatcheck.core.recording.chain import Judge, is_whole
from coatcheck.model.chain import (
    Beginning,
    Checkpoint,
    Finding,
    FindingKind,
    Head,
    Link,
    Presented,
    Report,
)
from coatcheck.model.segment import Segment

MOST_FINDINGS: Final = 100
"""Findings that are told one by one; all are counted."""


class Verifier:
    """Takes the entries in order, then says what it came to."""

    def __init__(self, beginning: Beginning, receipts: Sequence[Presented] = ()) -> None:
        self._beginning = beginning
        self._is_whole = is_whole(beginning)
        """Whether this is where the chain itself begins, and not a part of it."""
        self._judge = Judge(beginning)
        self._checkpoints: Iterator[Checkpoint] = iter(())
        self._next: Checkpoint | None = None
        self._receipts = sorted(receipts, key=lambda receipt: receipt.seq, reverse=True)
        self._findings: list[Finding] = []
        self._found = 0
        self._lacking: list[str] = []
        self._gone: list[Segment] = []
        """The parts that are in files, and are not looked at here."""
        self._met = 0
        self._last_met = -1
        self._received = 0
        self._proven = beginning.seq

    @property
    def head(self) -> Head:
        """The last entry so far."""
        return self._judge.head

    def expect(self, checkpoints: Iterator[Checkpoint]) -> None:
        """Take checkpoints in the order of their numbers, proven by the key; each is met by its entry."""
        self._checkpoints = checkpoints
        self._next = next(checkpoints, None)

    def skip(self, segment: Segment) -> None:
        """Go on after entries that were sealed in a file. Of their checkpoints, the last is met here."""
        finding = self._judge.skip(segment.first, segment.prev, Head(segment.last, segment.hash))
        if finding is not None:
            self.tell(finding)
        self._gone.append(segment)
        while self._next is not None and self._next.seq <= segment.last:
            self._meet_sealed(self._next, segment)
            self._next = next(self._checkpoints, None)
        while self._receipts and self._receipts[-1].seq <= segment.last:
            self._lost(self._receipts.pop())

    def feed(self, link: Link) -> bool:
        """Take the next entry; tell whether it is as it was written."""
        finding = self._judge.feed(link)
        if finding is not None:
            self.tell(finding)
        self._meet(link)
        return finding is None

    def lack(self, words: str) -> None:
        """Take what was not found wrong, and is not proven either."""
        self._lacking.append(words)

    def tell(self, finding: Finding) -> None:
        """Take what was found elsewhere."""
        self._found += 1
        if len(self._findings) < MOST_FINDINGS:
            self._findings.append(finding)

    def meet(self, checkpoint: Checkpoint) -> None:
        """Take a checkpoint that comes with the entries, right after its own or later."""
        if checkpoint.log != self._beginning.log or checkpoint.seq != self.head.seq:
            self._odd_checkpoint(checkpoint)
        else:
            self._compare(checkpoint, self.head)

    def end(self) -> None:
        """Take it that every entry was fed: what waits for one now waits in vain."""
        while self._next is not None:
            self._late(self._next)
            self._next = next(self._checkpoints, None)
        while self._receipts:
            self._lost(self._receipts.pop())

    def report(self, *, needs_proof: bool = False) -> Report:
        """Say what it came to, once every entry was fed.

        `needs_proof`: it is a finding if no checkpoint and no receipt speaks for any of it, and lacking if
        none speaks for the end.
        """
        self.end()
        judge, head = self._judge, self.head
        unproven = self.unproven
        if needs_proof and judge.entries and not self._met + self._received:
            words = "no checkpoint and no receipt proves any of it"
            self.tell(Finding(head.seq, FindingKind.UNSIGNED, words))
        elif needs_proof and unproven:
            self.lack(f"no checkpoint follows on the last {unproven} entries: the end was cut off")
        return Report(
            beginning=self._beginning,
            head=head,
            entries=judge.entries,
            left_out=judge.left_out,
            checkpoints=self._met,
            unproven=unproven,
            sealed=sum(max(0, one.last - one.first + 1) for one in self._gone),
            receipts=self._received,
            found=self._found,
            findings=tuple(self._findings),
            lacking=tuple(self._lacking),
        )

    @property
    def unproven(self) -> int:
        """How many entries there are after the last that a checkpoint, a receipt or a sealing speaks for."""
        return max(0, self.head.seq - max(self._proven, self._sealed))

    @property
    def met(self) -> int:
        """How many entries had a checkpoint so far."""
        return self._met

    @property
    def _sealed(self) -> int:
        return self._gone[-1].last if self._gone else self._beginning.seq

    # --- what meets an entry ----------------------------------------------------------------------------

    def _meet(self, link: Link) -> None:
        here = Head(link.seq, link.hash)
        while self._next is not None and self._next.seq <= link.seq:
            if self._next.seq == link.seq and self._next.log == self._beginning.log:
                self._compare(self._next, here)
            else:
                self._odd_checkpoint(self._next)
            self._next = next(self._checkpoints, None)
        while self._receipts and self._receipts[-1].seq <= link.seq:
            receipt = self._receipts.pop()
            if receipt.seq != link.seq or receipt.log != self._beginning.log:
                self._lost(receipt)
            elif receipt.start != link.hash[: len(receipt.start)]:
                words = f"the receipt of entry {receipt.seq} was given out for another one"
                self.tell(Finding(receipt.seq, FindingKind.FORKED, words))
            else:
                self._received += 1
                self._proven = max(self._proven, link.seq)

    def _meet_sealed(self, checkpoint: Checkpoint, segment: Segment) -> None:
        if checkpoint.log != self._beginning.log or checkpoint.seq <= self._beginning.seq:
            self._odd_checkpoint(checkpoint)
        elif checkpoint.seq == segment.last:
            self._compare(checkpoint, Head(segment.last, segment.hash))

    def _compare(self, checkpoint: Checkpoint, here: Head) -> None:
        if checkpoint.hash == here.hash:
            self._met += checkpoint.seq != self._last_met
            self._last_met = checkpoint.seq
            self._proven = max(self._proven, here.seq)
            return
        words = f"the chain up to entry {here.seq} is another one than was signed at {checkpoint.at}"
        self.tell(Finding(here.seq, FindingKind.FORKED, words))

    def _late(self, checkpoint: Checkpoint) -> None:
        if checkpoint.log != self._beginning.log or checkpoint.seq <= max(self._sealed, self._beginning.seq):
            self._odd_checkpoint(checkpoint)
            return
        words = (
            f"the chain ends at entry {self.head.seq}; entry {checkpoint.seq} was signed at {checkpoint.at}"
        )
        self.tell(Finding(checkpoint.seq, FindingKind.CUT, words))

    def _odd_checkpoint(self, checkpoint: Checkpoint) -> None:
        if checkpoint.log != self._beginning.log:
            words = f"a checkpoint is of the log {checkpoint.log}; this one is {self._beginning.log}"
            self.tell(Finding(checkpoint.seq, FindingKind.FOREIGN, words))
        elif checkpoint.seq == self._beginning.seq:
            self._compare(checkpoint, Head(self._beginning.seq, self._beginning.prev))
        elif checkpoint.seq < self._beginning.seq and self._is_whole:
            here = self._beginning.seq
            words = f"entry {checkpoint.seq} was signed at {checkpoint.at}, and the chain begins after {here}"
            self.tell(Finding(checkpoint.seq, FindingKind.MISSING, words))
        elif checkpoint.seq > self._sealed:
            words = f"entry {checkpoint.seq}, which was signed at {checkpoint.at}, is not there"
            self.tell(Finding(checkpoint.seq, FindingKind.MISSING, words))

    def _lost(self, receipt: Presented) -> None:
        if receipt.log != self._beginning.log:
            words = f"a receipt is of the log {receipt.log}; this one is {self._beginning.log}"
            self.tell(Finding(receipt.seq, FindingKind.FOREIGN, words))
        elif (segment := self._segment_of(receipt.seq)) is not None:
            self.lack(
                f"the receipt of entry {receipt.seq} can only be proven with the file {segment.file}: name"
                " its folder with --segments, or judge it by itself with --file"
            )
        else:
            words = f"entry {receipt.seq}, of which there is a receipt, is not there"
            what = FindingKind.CUT if receipt.seq > self.head.seq else FindingKind.MISSING
            self.tell(Finding(receipt.seq, what, words))

    def _segment_of(self, seq: int) -> Segment | None:
        return next((one for one in self._gone if one.first <= seq <= one.last), None)
