"""Compares what callers were told, what the server saw and what the record has: the four sets of a proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coatcheck.app.auditing import CHECKPOINTS_FILE, KEY_FILE, seed_in
from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.verifying import verify_store
from coatcheck.core.recording.notes import Broken, PublicKey, SigningKey, read_receipt
from coatcheck.core.recording.stored import record_of, settlement_of
from coatcheck.model.chain import EntryKind, Link, Presented, Report
from coatcheck.model.record import Outcome
from coatcheck.prove.load import Heard
from coatcheck.prove.server import mark_of
from coatcheck.store.engines.database import Database
from coatcheck.store.opening import open_to_read
from coatcheck.store.records.chained import links_after
from coatcheck.store.verifying import StoredChain

_PAGE: Final = 500


@dataclass(slots=True)
class Entry:
    """One recorded call: the number of its record, and of each of its outcomes."""

    seq: int
    outcomes: list[tuple[int, Outcome]] = field(default_factory=list)


@dataclass(slots=True)
class Recorded:
    """The record as it is on the disk. `again` are marks that have more than one record."""

    log: str
    entries: dict[str, Entry] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    strangers: int = 0
    """Outcomes of no record."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a proof saw. Every number from `forwarded_without_record` on must be 0.

    `seen_recorded` counts the calls whose record the server found in the database when the call came.
    """

    asked: int
    acknowledged: int
    seen: int
    seen_recorded: int
    recorded: int
    unknown: int
    forwarded_without_record: int
    answers_without_outcome: int
    acknowledged_lost: int
    phantom_records: int
    intents_without_outcome: int
    seen_twice: int
    findings: int

    @property
    def broken(self) -> dict[str, int]:
        """What is not 0 and should be."""
        return {name: count for name, count in self.told.items() if count and name in MUST_BE_NONE}

    @property
    def told(self) -> dict[str, int]:
        """All of them by name."""
        return {name: getattr(self, name) for name in self.__slots__}


MUST_BE_NONE: Final = {
    "forwarded_without_record": "calls that the server saw and the record does not have, or had not yet",
    "answers_without_outcome": "results that a caller got without a durable outcome",
    "acknowledged_lost": "results whose receipt the record does not honour",
    "phantom_records": "records of calls that nobody made, that are there twice, or went well unseen",
    "intents_without_outcome": "records without exactly one outcome",
    "seen_twice": "calls that the server saw more than once",
    "findings": "findings of `audit verify`, with every receipt that callers got",
}


def count(heard: Heard, seen: dict[str, str], data: Path) -> Counts:
    """Compare the four sets. No gateway may run, or be about to write."""
    recorded = read(data)
    entries = recorded.entries
    receipts = {mark: _presented(text) for mark, text in heard.acknowledged.items()}
    report = verify(data, key_of(data), tuple(one for one in receipts.values() if one is not None))
    return Counts(
        asked=len(heard.asked),
        acknowledged=len(heard.acknowledged),
        seen=len(seen),
        seen_recorded=sum(word == "recorded" for word in seen.values()),
        recorded=len(entries),
        unknown=sum(_is_unknown(entry) for entry in entries.values()),
        forwarded_without_record=len(
            {mark for mark, word in seen.items() if mark not in entries or word == "unrecorded"}
        ),
        answers_without_outcome=sum(not _ended_well(entries.get(mark)) for mark in receipts),
        acknowledged_lost=sum(not _honoured(recorded, mark, one) for mark, one in receipts.items()),
        phantom_records=sum(_is_phantom(recorded, mark, heard, seen) for mark in entries),
        intents_without_outcome=recorded.strangers
        + sum(len(entry.outcomes) != 1 for entry in entries.values()),
        seen_twice=sum(word == "twice" for word in seen.values()),
        findings=report.found,
    )


def verify(data: Path, key: PublicKey, receipts: tuple[Presented, ...] = ()) -> Report:
    """Verify the record as `coatcheck audit verify` does, with a public key and receipts.

    Raises:
        ConfigError: the database cannot be opened.
    """
    return verify_store(data, None, Proof([key], data / CHECKPOINTS_FILE, may_lack=True), receipts)


def key_of(data: Path) -> PublicKey:
    """Return the public key of a store that is sound."""
    database = open_to_read(data)
    try:
        return SigningKey(StoredChain(database).standing().beginning.log, seed_in(data / KEY_FILE)).public
    finally:
        database.close()


def read(data: Path) -> Recorded:
    """Return the record as the chain has it."""
    recorded: Recorded | None = None
    of: dict[int, Entry] = {}
    for log, link in _links(data):
        recorded = recorded or Recorded(log)
        if link.kind is EntryKind.RECORD:
            entry = of[link.seq] = Entry(link.seq)
            mark = mark_of(record_of(link.stored).request_id)
            if mark in recorded.entries:
                recorded.again.add(mark)
            recorded.entries[mark] = entry
        elif link.kind is EntryKind.SETTLEMENT:
            position, settlement = settlement_of(link.stored)
            if position in of:
                of[position].outcomes.append((link.seq, settlement.outcome))
            else:
                recorded.strangers += 1
    return recorded or Recorded("")


def _links(data: Path) -> Iterator[tuple[str, Link]]:
    database = open_to_read(data)
    try:
        beginning = StoredChain(database).standing().beginning
        after = beginning.seq
        while page := _page(database, after):
            for link in page:
                yield beginning.log, link
            after = page[-1].seq
    finally:
        database.close()


def _page(database: Database, after: int) -> list[Link]:
    return database.read_now(lambda reading: links_after(reading, after, _PAGE))


def _presented(text: str) -> Presented | None:
    try:
        return read_receipt(text)
    except Broken:
        return None


def _is_unknown(entry: Entry) -> bool:
    return any(outcome is Outcome.UNKNOWN for _, outcome in entry.outcomes)


def _ended_well(entry: Entry | None) -> bool:
    return entry is not None and any(outcome is Outcome.OK for _, outcome in entry.outcomes)


def _honoured(recorded: Recorded, mark: str, receipt: Presented | None) -> bool:
    """Tell whether a receipt names the outcome of its own call; its hash is for `verify` to judge."""
    entry = recorded.entries.get(mark)
    if entry is None or receipt is None or receipt.log != recorded.log:
        return False
    return any(seq == receipt.seq and outcome is Outcome.OK for seq, outcome in entry.outcomes)


def _is_phantom(recorded: Recorded, mark: str, heard: Heard, seen: dict[str, str]) -> bool:
    unseen_success = _ended_well(recorded.entries[mark]) and mark not in seen
    return mark not in heard.asked or mark in recorded.again or unseen_success
