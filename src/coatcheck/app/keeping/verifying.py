"""Verifies the record of a store, whether its gateway runs or not; nothing in it is believed unproven."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from coatcheck.app.keeping.files import read_sealed
from coatcheck.app.keeping.proof import Proof, Tell
from coatcheck.app.real import SystemClock
from coatcheck.core.recording.chain import Judge
from coatcheck.core.recording.segments import Vouching
from coatcheck.core.recording.verifying import Verifier
from coatcheck.model.chain import Beginning, Checkpoint, Finding, FindingKind, Head, Presented, Report
from coatcheck.model.secret import Secret
from coatcheck.model.segment import Segment
from coatcheck.store.opening import open_to_read
from coatcheck.store.records.chained import Found
from coatcheck.store.verifying import Standing, StoredChain, Unreadable

GRACE: Final = timedelta(minutes=3)
"""A gateway that runs signs what is new within a minute. What is unsigned for longer is told of."""

_TRIALS: Final = 3
"""Times that a store is read where a gateway seals a part of it meanwhile."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The folder of sealed parts. They are read from there if a receipt asks for it, or all if `whole`."""

    folder: Path
    whole: bool = False


def verify_store(
    directory: Path,
    url: Secret | None,
    proof: Proof,
    receipts: Sequence[Presented] = (),
    *,
    archive: Archive | None = None,
    now: datetime | None = None,
) -> Report:
    """Verify the record of a store, in constant memory; nothing is changed, and no gateway held up.

    Raises:
        ConfigError: there is no store, it cannot be read as it is, or the checkpoints outside cannot be.
    """
    at = now or SystemClock().now()
    with ExitStack() as opened:
        database = open_to_read(directory, url)
        opened.callback(database.close)
        stored = StoredChain(database)
        try:
            for _ in range(_TRIALS):
                judging = _Judging(stored, proof, receipts, archive)
                report = judging.report(at)
                if report.sound or stored.standing().sealed == judging.standing.sealed:
                    break
        except Unreadable as error:
            return _unreadable(error)
        return report


class _Judging:
    """One look at a whole store. Raises `Unreadable` only where nothing can be said of it."""

    def __init__(
        self,
        stored: StoredChain,
        proof: Proof,
        receipts: Sequence[Presented],
        archive: Archive | None,
    ) -> None:
        self._stored = stored
        self._proof = proof
        self._receipts = receipts
        self._archive = archive
        self.standing = stored.standing()
        self._verifier = Verifier(self.standing.beginning, receipts)
        self._tell = self._verifier.tell

    def report(self, now: datetime) -> Report:
        """Read all of it; say what it came to."""
        verifier = self._verifier
        with ExitStack() as opened:
            outside = self._proof.outside(opened, self.standing.beginning.log, self._tell)
            # after the file was looked at: it never says more than the store
            self.standing = self._stored.standing()
            inside = _inside(self._stored, self.standing, self._proof, self._tell)
            verifier.expect(
                _both(inside, outside, self._proof.place, self.standing.head.seq, now, self._tell)
            )
            try:
                self._read()
                verifier.end()
                self._judge_end(now)
            except Unreadable as error:
                words = f"reading broke off after entry {verifier.head.seq}: {error}"
                self._tell(Finding(verifier.head.seq, FindingKind.DAMAGED, words))
                verifier.expect(iter(()))
            return verifier.report()

    def _read(self) -> None:
        standing, verifier = self.standing, self._verifier
        for finding in _damage(self._stored):
            self._tell(finding)
        vouching = Vouching(standing.beginning.prev, standing.sealed, self._proof.why_not)
        for segment in standing.sealed:
            self._read_sealed(segment)
        self._judge_left()
        for found in self._rows(standing.sealed_through, standing.head.seq):
            if found.link is not None and verifier.feed(found.link):
                odd = vouching.take(found.link)
                if odd is not None:
                    self._tell(odd)
            if found.odd:
                what = FindingKind.DERIVED if found.link is not None else FindingKind.INSERTED
                self._tell(Finding(found.seq, what, found.odd))
        for finding in (*vouching.end(), *_odd_rest(self._stored, standing), *_ends(standing, verifier.head)):
            self._tell(finding)

    def _rows(self, after: int, through: int) -> Iterator[Found]:
        for span in self._stored.spans(after, through):
            yield from span

    def _read_sealed(self, segment: Segment) -> None:
        archive = self._archive
        asked = any(segment.first <= receipt.seq <= segment.last for receipt in self._receipts)
        if archive is not None and (
            archive.whole or (asked and (archive.folder / Path(segment.file).name).is_file())
        ):
            read_sealed(archive.folder, segment, self.standing.beginning.log, self._proof, self._verifier)
        else:
            self._verifier.skip(segment)

    def _judge_left(self) -> None:
        """Judge what of sealed parts is still in the store, because their removal is not at its end."""
        standing = self.standing
        hashes = {segment.last: segment.hash for segment in standing.sealed}
        judge: Judge | None = None
        first = 0
        for found in self._rows(standing.beginning.seq, standing.sealed_through):
            link = found.link
            fits = link is not None and not found.odd and hashes.get(link.seq, link.hash) == link.hash
            if link is not None and judge is None:
                first, judge = link.seq, Judge(Beginning(standing.beginning.log, link.seq, 0, link.hash))
            elif link is not None and judge is not None:
                fits = judge.feed(link) is None and fits
            if not fits:
                words = f"entry {found.seq} is in a file, and what has its number in the store is another"
                self._tell(Finding(found.seq, FindingKind.INSERTED, words))
        if judge is None:
            return
        last = judge.head.seq
        if last != standing.sealed_through:
            words = f"entries {first} to {last} are in a file, and were put into the store again"
            self._tell(Finding(first, FindingKind.INSERTED, words))
        self._verifier.lack(
            f"entries {first} to {last} are in a file and not yet removed from the store, where they are not"
            " proven: a gateway removes them within a minute of its start"
        )

    def _judge_end(self, now: datetime) -> None:
        """Say what is lacking where no checkpoint follows on entries, though there was time for one."""
        verifier, standing = self._verifier, self.standing
        count, head = verifier.unproven, verifier.head.seq
        if head == standing.beginning.seq and not verifier.met:
            verifier.lack("nothing is recorded and nothing was signed yet: start the gateway")
            return
        if not count and verifier.met:
            return
        at = self._stored.moment(head - count + 1)
        is_late = at is None or abs(now - at) > GRACE
        is_new = not verifier.met or count == head - standing.beginning.seq
        if not verifier.met and is_late:
            places = " and none in ".join(one for one in ("the store", self._proof.place) if one)
            words = f"no checkpoint of this record is left: there is none in {places}"
            self._tell(Finding(head, FindingKind.UNSIGNED, words))
        elif is_new and not is_late:
            but = " (the one that there is was made before the first)" if verifier.met else ""
            verifier.lack(
                f"no checkpoint of any entry was made yet{but}: a gateway that runs makes one within a"
                " minute, and `coatcheck audit checkpoint` at once"
            )
        elif is_late:
            since = f"since {at:%Y-%m-%d %H:%M:%S} UTC" if at else "for long"
            verifier.lack(
                f"no checkpoint follows on the last {count} entries, {since}: the gateway was killed, or"
                " checkpoints were removed; when it starts it signs what is there, so look at them first"
            )


def _damage(stored: StoredChain) -> Iterator[Finding]:
    for words in stored.damage():
        yield Finding(0, FindingKind.DAMAGED, f"the database is damaged: {words}")
    for name in stored.strangers():
        words = (
            f"the database has a {name}, which is not ours and may show or write other rows than there are"
        )
        yield Finding(0, FindingKind.INSERTED, words)


def _odd_rest(stored: StoredChain, standing: Standing) -> Iterator[Finding]:
    """Yield what is wrong in the tables beside the chain that follow from it."""
    for seq, words in stored.odd_uses(standing.beginning.seq, standing.head.seq):
        yield Finding(seq, FindingKind.DERIVED, words)
    settled = standing.settled
    if settled > standing.head.seq:
        words = f"the store says that all up to entry {settled} have an outcome, and it ends before"
        yield Finding(settled, FindingKind.DERIVED, words)
    if standing.copied > standing.head.seq:
        words = f"a sink is said to have every entry up to {standing.copied}, and would not get those to come"
        yield Finding(standing.copied, FindingKind.DERIVED, words)
    for seq in stored.unsettled(standing.beginning.seq, min(settled, standing.head.seq)):
        words = f"record {seq} has no outcome, and the store says that all up to {settled} have one"
        yield Finding(seq, FindingKind.DERIVED, words)


def _ends(standing: Standing, head: Head) -> Iterator[Finding]:
    """Compare where the chain ends with where the store says it does, and what is around it."""
    said, beginning = standing.head, standing.beginning
    if head.seq < said.seq:
        words = f"the chain ends at entry {head.seq}, and the store says at {said.seq}"
        yield Finding(said.seq, FindingKind.CUT, words)
    elif head.hash != said.hash:
        words = "the hash of the last entry is not the one that the store says"
        yield Finding(head.seq, FindingKind.EDITED, words)
    if standing.beyond is not None:
        words = f"entry {standing.beyond} is beyond the end of the chain, which is {said.seq}"
        yield Finding(standing.beyond, FindingKind.INSERTED, words)
    if standing.signed > said.seq:
        words = f"the chain ends at entry {said.seq}, and the store has a checkpoint of {standing.signed}"
        yield Finding(standing.signed, FindingKind.CUT, words)
    if standing.before != beginning.before:
        words = f"{beginning.before} entries were there before the chain, and {standing.before} are now"
        yield Finding(beginning.seq, FindingKind.MISSING, words)
    if standing.chains != 1:
        yield Finding(0, FindingKind.INSERTED, f"the store says of {standing.chains} chains that it has them")


def _inside(stored: StoredChain, standing: Standing, proof: Proof, tell: Tell) -> Iterator[Checkpoint]:
    for kept in stored.checkpoints(standing.head.seq):
        found = proof.open(kept.note, "the store", tell)
        if found is None:
            continue
        if (found.seq, found.hash, found.at) != (kept.seq, kept.hash, kept.at):
            words = f"the columns of checkpoint {kept.seq} do not say what was signed"
            tell(Finding(kept.seq, FindingKind.DERIVED, words))
        elif found.log != standing.beginning.log:
            tell(Finding(kept.seq, FindingKind.FOREIGN, f"checkpoint {kept.seq} is of the log {found.log}"))
        else:
            yield found


def _both(
    inside: Iterator[Checkpoint],
    outside: Iterator[Checkpoint],
    place: str,
    head: int,
    now: datetime,
    tell: Tell,
) -> Iterator[Checkpoint]:
    """Yield the checkpoints of both places in their order; tell of those that one place lacks.

    Each is kept in the store first, and then outside.
    """
    last, lacking = -1, _Lacking(place, now, tell)
    ours, theirs = ((one, True) for one in inside), ((one, False) for one in outside)
    for checkpoint, is_ours in heapq.merge(ours, theirs, key=lambda pair: pair[0].seq):
        seq = checkpoint.seq
        if is_ours:
            last = seq
            lacking.is_inside(checkpoint)
        else:
            lacking.is_outside(checkpoint)
            if last != seq <= head:
                words = f"the checkpoint of entry {seq}, which is in {place}, is not in the store any more"
                tell(Finding(seq, FindingKind.MISSING, words))
        yield checkpoint
    if place:
        lacking.end()


class _Lacking:
    """Tells of checkpoints that are in the store and not outside; of those in a row at once."""

    def __init__(self, place: str, now: datetime, tell: Tell) -> None:
        self._place = place
        self._now = now
        self._tell = tell
        self._newest: Checkpoint | None = None  # of the store, while none outside was its like
        self._row: list[Checkpoint] = []  # the first and the last that are lacking
        self._count = 0
        self._any = False

    def is_inside(self, checkpoint: Checkpoint) -> None:
        """Take the next one in the store."""
        self._miss()
        self._newest = checkpoint

    def is_outside(self, checkpoint: Checkpoint) -> None:
        """Take the next one outside; of one entry it comes after that of the store."""
        self._any = True
        if self._newest is not None and self._newest.seq != checkpoint.seq:
            self._miss()
        self._newest = None
        self._tell_row()

    def end(self) -> None:
        """Tell of the rest, but for what may be on its way there."""
        self._miss()
        if self._row and (not self._any or abs(self._now - self._row[0].at) > GRACE):
            self._tell_row()

    def _miss(self) -> None:
        if self._newest is not None:
            self._row = [*self._row[:1], self._newest]
            self._count += 1
            self._newest = None

    def _tell_row(self) -> None:
        row, count = self._row, self._count
        self._row, self._count = [], 0
        if not row:
            return
        words = (
            f"{count} checkpoints of the store, of entries {row[0].seq} to {row[-1].seq}, are not in"
            f" {self._place}: they were removed there, or it took none"
        )
        if not self._any:
            words = (
                f"the store has checkpoints, and there is none of this record in {self._place}: they were"
                " removed, or are kept in another file, which --checkpoints names"
            )
        self._tell(Finding(row[0].seq if self._any else 0, FindingKind.MISSING, words))


def _unreadable(error: Unreadable) -> Report:
    finding = Finding(0, FindingKind.DAMAGED, f"the chain cannot be read: {error}")
    nowhere = Beginning("", 0, 0, b"")
    return Report(nowhere, Head(0, b""), 0, 0, 0, 0, 0, 0, 1, (finding,))
