"""A chain that something else moved is never gone on from, until it is as it was or an operator took it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text

from chains import a_change
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.chain import EntryKind, Head
from coatcheck.model.record import RecordFilter
from coatcheck.model.secret import Secret
from coatcheck.store.chain import Growth, head_in
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.driver import Driver
from coatcheck.store.engines.sqlite_connection import copy_to
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.opening import open_database
from coatcheck.store.records import writer
from coatcheck.store.records.chained import links_after
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.registry.changes import insert_changes
from coatcheck.store.tables import chain
from ledgers import TickingClock, a_record, its_settlement
from postgres import PostgresServer


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PROBE_SECONDS", 0.4)


@pytest.fixture
async def ledger(any_database: Database) -> AsyncIterator[StoredLedger]:
    opened = await StoredLedger.open(any_database, TickingClock())
    await record_one(opened)
    yield opened
    await opened.close()


async def record_one(ledger: StoredLedger) -> None:
    record = a_record()
    await ledger.record_settled(record, its_settlement(record))


def write(database: Database, statement: str, **values: Any) -> None:
    database.write_now(lambda writing: writing.execute(text(statement), values))


def head_of(database: Database) -> Head:
    return database.read_now(head_in)


def count(database: Database) -> int:
    return len(database.read_now(lambda reading: links_after(reading, 0, 1_000)))


def a_new_change(writing: Connection, growth: Growth, _: object = None) -> None:
    insert_changes(writing, growth, [a_change(7)])


def take_the_last_entry(database: Database) -> None:
    """Remove it and set the chain to the one before, which is sound as far as anybody can tell from it."""
    links = database.read_now(lambda reading: links_after(reading, 0, 1_000))
    write(database, "DELETE FROM settlement WHERE sequence = :seq", seq=links[-1].seq)
    write(database, "UPDATE chain SET seq = :seq, hash = :hash", seq=links[-2].seq, hash=links[-2].hash)


async def until(said: Any) -> None:
    async with asyncio.timeout(20):
        while not said():
            await asyncio.sleep(0.02)


async def test_a_head_that_somebody_else_wrote_is_never_adopted(
    ledger: StoredLedger, any_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    left = head_of(any_database)
    take_the_last_entry(any_database)
    before = count(any_database)
    for _ in range(3):
        with pytest.raises(LedgerUnavailable, match="something else wrote to the store"):
            await record_one(ledger)
        with pytest.raises(StoreUnavailable, match="something else wrote to the store"):
            await any_database.write_chained(a_new_change)
    await asyncio.sleep(0.6)  # the writer has tried some more by itself
    assert count(any_database) == before
    strange = any_database.chain.strange
    assert strange is not None
    assert (strange.known, strange.found) == (left, Head(1, head_of(any_database).hash))
    assert not ledger.healthy
    assert ledger.last_error == strange.words
    alarms = [
        one.message for one in caplog.records if one.levelno == logging.ERROR and "ALARM" in one.message
    ]
    assert alarms == [f"ALARM: {strange.words}"]


async def test_it_is_noticed_without_a_call(ledger: StoredLedger, any_database: Database) -> None:
    assert await any_database.look() == head_of(any_database)
    take_the_last_entry(any_database)
    with pytest.raises(StoreUnavailable, match="something else wrote"):
        await any_database.look()
    assert not ledger.healthy
    assert "entry 2" in ledger.last_error


@pytest.mark.parametrize(
    "damage", ["DELETE FROM chain", "UPDATE chain SET hash = :short", "UPDATE chain SET seq = seq + 1"]
)
async def test_no_head_or_an_odd_one_is_no_head_of_ours(
    ledger: StoredLedger, any_database: Database, damage: str
) -> None:
    was = any_database.read_now(lambda reading: reading.execute(select(chain)).one())._mapping
    write(any_database, damage, **({"short": b"x"} if ":short" in damage else {}))
    with pytest.raises(LedgerUnavailable):
        await record_one(ledger)
    with pytest.raises(StoreUnavailable):
        await any_database.look()
    assert any_database.chain.strange is not None
    assert not ledger.healthy
    write(any_database, "DELETE FROM chain")
    any_database.write_now(lambda writing: writing.execute(insert(chain).values(**was)))
    await until(lambda: ledger.healthy)


async def test_it_goes_on_by_itself_once_the_store_is_as_it_was(
    ledger: StoredLedger, any_database: Database
) -> None:
    left = head_of(any_database)
    write(any_database, "UPDATE chain SET hash = :hash", hash=bytes(32))
    with pytest.raises(LedgerUnavailable):
        await record_one(ledger)
    write(any_database, "UPDATE chain SET hash = :hash", hash=left.hash)
    await until(lambda: ledger.healthy)
    await record_one(ledger)
    assert any_database.chain.strange is None
    assert count(any_database) == 4


async def test_an_operator_can_take_it_as_it_is(ledger: StoredLedger, any_database: Database) -> None:
    with pytest.raises(StoreUnavailable):
        await any_database.accept(a_new_change)  # nothing is strange
    take_the_last_entry(any_database)
    with pytest.raises(LedgerUnavailable):
        await record_one(ledger)
    await any_database.accept(a_new_change)
    await until(lambda: ledger.healthy)
    await record_one(ledger)
    kinds = [link.kind.value for link in any_database.read_now(lambda c: links_after(c, 0, 1_000))]
    assert kinds[:2] == ["record", "change"]
    assert kinds[-2:] == ["record", "settlement"]


async def test_what_is_accepted_is_what_was_alarmed_of_and_nothing_newer(
    ledger: StoredLedger, any_database: Database
) -> None:
    left = head_of(any_database)
    write(any_database, "UPDATE chain SET hash = :hash", hash=bytes(32))
    with pytest.raises(LedgerUnavailable):
        await record_one(ledger)
    write(any_database, "UPDATE chain SET hash = :hash", hash=b"n" * 32)
    with pytest.raises(StoreUnavailable):
        await any_database.accept(a_new_change)
    strange = any_database.chain.strange
    assert strange is not None
    assert (strange.known, strange.found) == (left, Head(2, b"n" * 32))
    await any_database.accept(a_new_change)
    assert any_database.chain.strange is None


async def test_a_commit_of_which_nobody_heard_is_ours_when_it_is_there(
    ledger: StoredLedger, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ledger._writer._driver
    assert driver is not None
    commit = type(driver).commit

    def deaf(self: Driver) -> None:
        commit(self)
        raise ConnectionResetError

    monkeypatch.setattr(type(driver), "commit", deaf)
    with pytest.raises(LedgerUnavailable):
        await record_one(ledger)
    await asyncio.sleep(0.6)  # each try of the writer to reconcile goes the same way
    monkeypatch.undo()
    await until(lambda: ledger.healthy)
    assert any_database.chain.strange is None
    await record_one(ledger)
    assert count(any_database) == 6


async def test_a_commit_that_failed_and_shows_up_later_is_ours(
    ledger: StoredLedger, any_database: Database
) -> None:
    ours, before = any_database.chain, head_of(any_database)
    heads = []
    for number in range(3):  # none of them is there when it is looked at next
        with suppress(OSError), ours.growing(lambda: before) as growth:
            growth.add(EntryKind.CHANGE, b"%d" % number)
            heads.append(growth.head)
            raise OSError
    for head in [*heads, before]:
        assert ours.checked(head) == head
    assert ours.strange is None


async def test_a_server_stopped_in_the_middle_of_commits_leaves_nothing_strange(
    emptied_url: Secret, postgres: PostgresServer, directory: Path
) -> None:
    database = open_database(directory, emptied_url)
    ledger = await StoredLedger.open(database, TickingClock())
    acknowledged, stop = [], False

    async def call() -> None:
        while not stop:
            record = a_record()
            try:
                await ledger.record(record)
                acknowledged.append(record.id)
                await ledger.settle(its_settlement(record))
            except LedgerUnavailable:
                await asyncio.sleep(0.05)

    async def change() -> None:
        while not stop:
            with suppress(StoreUnavailable):
                await database.write_chained(a_new_change)
            await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(work()) for work in (call, call, call, call, change)]
    for number in range(3):
        goal = len(acknowledged) + 50 + 7 * number
        await until(lambda goal=goal: len(acknowledged) >= goal)
        await asyncio.to_thread(postgres.stop)
        await until(lambda: not ledger.healthy)
        assert database.chain.strange is None
        await asyncio.to_thread(postgres.start_again)
        await until(lambda: ledger.healthy)
    stop = True
    await asyncio.gather(*tasks)
    assert database.chain.strange is None
    kept = {one.record.id for one in await ledger.list(RecordFilter(limit=100_000))}
    assert kept >= set(acknowledged)
    await ledger.close()
    database.close()


async def test_a_file_that_was_renamed_over_ours_is_told_of_once_and_can_be_accepted(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(directory, None)
    ledger = await StoredLedger.open(database, TickingClock())
    await record_one(ledger)
    copy_to(directory / DATABASE_FILE, directory / "older")
    await record_one(ledger)
    await database.write_chained(a_new_change)
    left = await database.look()
    for end in ("-wal", "-shm"):
        (directory / f"{DATABASE_FILE}{end}").unlink()
    (directory / "older").rename(directory / DATABASE_FILE)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="something else wrote"):
            await database.look()
        with pytest.raises(LedgerUnavailable):
            await record_one(ledger)
    await asyncio.sleep(0.6)  # the writer has tried some more by itself
    strange = database.chain.strange
    assert strange is not None
    assert (strange.known, strange.found.seq if strange.found else None) == (left, 2)
    await database.accept(a_new_change)
    await until(lambda: ledger.healthy)
    await record_one(ledger)
    assert (await database.look()).seq == 5
    said = [one.message for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one for one in said if "ALARM" in one] == [f"ALARM: {strange.words}"]
    assert [one for one in said if "calls" in one][1:] == ["calls can be recorded again"]
    await ledger.close()
    database.close()


@pytest.mark.parametrize("alone", [False, True])
async def test_that_calls_can_be_recorded_again_is_said_when_one_was(
    ledger: StoredLedger, any_database: Database, caplog: pytest.LogCaptureFixture, alone: bool
) -> None:
    """As at the edge of a full disk, where the little that an opening writes still fits, and no call does."""
    full = (
        "CREATE TRIGGER full BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'full'); END",
        "DROP TRIGGER full",
    )
    if any_database.dialect == "postgresql":
        full = (
            "ALTER TABLE record ADD CONSTRAINT is_full CHECK (false) NOT VALID",
            "ALTER TABLE record DROP CONSTRAINT is_full",
        )
    write(any_database, full[0])
    for _ in range(3):
        with pytest.raises(LedgerUnavailable):
            await record_one(ledger)
        if not alone:
            await until(lambda: ledger.healthy)
    said = [one.message for one in caplog.records if one.message.startswith("calls ")]
    assert len(said) == 1
    assert "calls are refused" in said[0]
    write(any_database, full[1])
    await record_one(ledger)
    said = [one.message for one in caplog.records if one.message.startswith("calls ")]
    assert said[1:] == ["calls can be recorded again"]
