"""The chain of a store, alike for SQLite and PostgreSQL: one head, no gap, no fork, whoever adds entries."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from chains import a_change, fill
from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.verifying import verify_store
from coatcheck.core.recording.chain import Judge
from coatcheck.core.recording.stored import change_of, record_of, settlement_of
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import EntryKind, FindingKind, Kept, Link, Presented, Report
from coatcheck.model.secret import Secret
from coatcheck.store.chain import beginning_in, head_in
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.opening import open_database
from coatcheck.store.records.chained import found_between, link_at, links_after
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.registry.changes import insert_changes
from coatcheck.store.verifying import StoredChain
from ledgers import TickingClock, a_record, its_settlement


def every_link(database: Database) -> list[Link]:
    return database.read_now(lambda reading: links_after(reading, 0, 100_000))


def require_sound(database: Database) -> list[Link]:
    judge = Judge(database.read_now(beginning_in))
    links = every_link(database)
    assert [judge.feed(link) for link in links] == [None] * len(links)
    assert judge.head == database.read_now(head_in)
    found = database.read_now(lambda reading: found_between(reading, 0, 100_000))
    assert [one.odd for one in found] == [""] * len(links)
    return links


def _run(statement: str, writing: Connection) -> None:
    writing.execute(text(statement))


async def test_every_kind_of_entry_is_in_one_chain(any_database: Database) -> None:
    _, made, receipts = await fill(any_database)
    links = require_sound(any_database)
    assert [link.seq for link in links] == list(range(1, len(links) + 1))
    assert {link.kind for link in links} == set(EntryKind)
    by_seq = {link.seq: link for link in links}
    for receipt in receipts:
        assert by_seq[receipt.seq].hash == receipt.hash
        of, settlement = settlement_of(by_seq[receipt.seq].stored)
        assert record_of(by_seq[of].stored).id == settlement.record_id
    assert all(by_seq[one.seq].hash == one.hash for one in made)
    assert [change_of(link.stored).actor for link in links if link.kind is EntryKind.CHANGE] == ["ann"] * 5
    assert any_database.read_now(lambda reading: link_at(reading, 3)) == by_seq[3]
    assert any_database.read_now(lambda reading: links_after(reading, 5, 7)) == links[5:12]
    spans = [found for span in StoredChain(any_database).spans(0, len(links)) for found in span]
    assert [found.link for found in spans] == links


async def test_calls_and_changes_at_once_never_fork_it(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())

    async def call() -> None:
        record = a_record()
        await ledger.record(record)
        await ledger.settle(its_settlement(record))

    async def change(number: int) -> None:
        await any_database.write_chained(
            lambda c, g: insert_changes(c, g, [a_change(number), a_change(number)])
        )

    await asyncio.gather(*(call() for _ in range(200)), *(change(number) for number in range(50)))
    await ledger.close()
    assert len(require_sound(any_database)) == 500


async def test_a_change_that_fails_leaves_the_chain_where_it_was(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())

    def breaking(writing: Any, growth: Any) -> None:
        insert_changes(writing, growth, [a_change(1)])
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await any_database.write_chained(breaking)
    record = a_record()
    await ledger.record_settled(record, its_settlement(record))
    await any_database.write_chained(lambda c, g: insert_changes(c, g, [a_change(2)]))
    await ledger.close()
    assert [link.kind for link in require_sound(any_database)] == ["record", "settlement", "change"]


async def test_what_a_crash_left_open_is_settled_in_the_chain(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    await ledger.record(a_record())
    await ledger.record(a_record())
    await ledger.close()
    again = await StoredLedger.open(any_database, TickingClock())
    record = a_record()
    await again.record_settled(record, its_settlement(record))
    await again.close()
    kinds = [link.kind.value[0] for link in require_sound(any_database)]
    assert kinds == ["r", "r", "s", "s", "r", "s"]


async def test_text_that_cannot_be_stored_is_chained_as_it_is_stored(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    odd = a_record(tool="a\ud800b\x00c")
    plain = a_record()
    await asyncio.gather(ledger.record(odd), ledger.record(plain))
    await ledger.settle(its_settlement(odd, detail="\udfff"))
    await ledger.settle(its_settlement(plain))
    await ledger.close()
    links = require_sound(any_database)
    assert len(links) == 4
    assert any("\\ud800" in record_of(link.stored).tool for link in links[:2])


async def test_whoever_is_mistaken_about_where_it_stands_writes_nothing(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    record = a_record()
    await ledger.record_settled(record, its_settlement(record))
    move = text("UPDATE chain SET hash = :hash")
    theirs = bytes(32)
    ours = any_database.read_now(head_in).hash
    any_database.write_now(lambda writing: writing.execute(move, {"hash": theirs}))
    with pytest.raises(StoreUnavailable, match="something else wrote"):
        await any_database.write_chained(lambda c, g: insert_changes(c, g, [a_change(1)]))
    any_database.write_now(lambda writing: writing.execute(move, {"hash": ours}))
    await any_database.write_chained(lambda c, g: insert_changes(c, g, [a_change(2)]))
    assert any_database.chain.head is not None
    any_database.write_now(lambda writing: writing.execute(move, {"hash": theirs}))
    refused = a_record()
    with pytest.raises(LedgerUnavailable, match="something else wrote"):
        await ledger.record(refused)
    await ledger.close()
    assert len(every_link(any_database)) == 3


async def test_links_and_swaps_are_told_apart(any_database: Database) -> None:
    await fill(any_database, 4)
    links = require_sound(any_database)
    for order, what in (
        ([0, 2, 1, *range(3, len(links))], FindingKind.MISSING),
        ([0, 0, *range(1, len(links))], FindingKind.INSERTED),
        ([0, *range(2, len(links))], FindingKind.MISSING),
    ):
        judge = Judge(any_database.read_now(beginning_in))
        findings = [found for place in order if (found := judge.feed(links[place])) is not None]
        assert findings[0].what is what


async def test_a_store_on_postgresql_is_verified(emptied_url: Secret, tmp_path: Path) -> None:
    database = open_database(tmp_path / "here", emptied_url)
    try:
        key, made, receipts = await fill(database)
        held = Presented(key.public.log, receipts[0].seq, receipts[0].hash[:16])

        def judged() -> Report:
            return verify_store(tmp_path / "here", emptied_url, Proof([key.public], None), [held])

        report = judged()  # while it is open
        assert (report.findings, report.entries, report.receipts) == ((), made[-1].seq, 1)
        assert report.checkpoints == len(made)
        for statement, what in (
            ("UPDATE record SET subject = 'eve' WHERE tool = 'tool3'", FindingKind.DERIVED),
            ("UPDATE change SET stored = stored || ' '::bytea WHERE position = 5", FindingKind.EDITED),
            ("DELETE FROM settlement WHERE sequence = 4", FindingKind.MISSING),
            ("DELETE FROM settlement WHERE sequence > 30", FindingKind.CUT),
        ):
            database.write_now(partial(_run, statement))
            assert what in {finding.what for finding in judged().findings}, statement
    finally:
        database.close()


async def test_checkpoints_are_counted_and_their_notes_read(any_database: Database) -> None:
    store = StoredCheckpoints(any_database)
    assert (await store.kept(), await store.notes()) == (Kept(), [])
    _, made, _ = await fill(any_database)
    assert await store.kept() == Kept(3, made[0].seq, made[-1].seq)
    assert await store.notes() == [one.note for one in made]
    before = await store.where()
    await store.note(a_change(99))
    assert (await store.where()).seq == before.seq + 1
