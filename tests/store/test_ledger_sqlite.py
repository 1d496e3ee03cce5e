"""What the ledger on SQLite owes beyond the contract: sharing a commit, failing whole, and coming back."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import Outcome, Record, RecordEntry, RecordFilter
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.engines.sqlite_driver import SqliteDriver
from coatcheck.store.records import reconciling, writer
from coatcheck.store.records.ledger import LEFT, StoredLedger
from ledgers import TickingClock, a_record, ended, its_settlement

ALL = RecordFilter(limit=1_000_000)


@pytest.fixture
async def ledger(database: SqliteDatabase) -> AsyncIterator[StoredLedger]:
    opened = await StoredLedger.open(database, TickingClock())
    yield opened
    await opened.close()


async def until_healthy(ledger: StoredLedger) -> None:
    async with asyncio.timeout(20):
        while not ledger.healthy:
            await asyncio.sleep(0.02)


async def present(ledger: StoredLedger) -> dict[UUID, RecordEntry]:
    return {entry.record.id: entry for entry in await ledger.list(ALL)}


def statements_of(ledger: StoredLedger) -> list[str]:
    seen: list[str] = []
    driver = ledger._writer._driver
    assert isinstance(driver, SqliteDriver)
    driver.connection.set_trace_callback(seen.append)
    return seen


async def test_callers_share_a_commit(ledger: StoredLedger) -> None:
    seen = statements_of(ledger)
    await ledger.record(a_record())
    assert seen.count("COMMIT") == 1
    await asyncio.gather(*(ledger.record(a_record()) for _ in range(400)))
    assert seen.count("BEGIN IMMEDIATE") == seen.count("COMMIT")
    assert (
        seen.count("COMMIT") <= 3
    )  # the first finds the writer idle, the others come in one turn of the loop
    assert len(await ledger.list(ALL)) == 401


async def test_a_batch_is_written_in_few_steps(ledger: StoredLedger) -> None:
    await ledger.record(a_record())  # so another call is under way, and the first is held back too
    seen, made = statements_of(ledger), [a_record() for _ in range(16 * 3 + 4 * 2 + 3)]
    await asyncio.gather(*(ledger.record(record) for record in made))
    inserts = [statement for statement in seen if statement.startswith("INSERT")]
    assert (seen.count("COMMIT"), len(inserts)) == (1, 3 + 2 + 3)
    assert [entry.record for entry in await ledger.list(ALL)][1:] == made


async def test_calls_of_turns_after_each_other_share_a_commit(ledger: StoredLedger) -> None:
    await ledger.record(a_record())
    seen = statements_of(ledger)

    async def after(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await ledger.record(a_record())

    await asyncio.gather(*(after(number) for number in range(20)))
    assert seen.count("COMMIT") == 1
    assert len(await ledger.list(ALL)) == 21


async def test_what_was_gathered_in_this_turn_is_written_before_the_ledger_closes(
    database: SqliteDatabase,
) -> None:
    ledger = await StoredLedger.open(database, TickingClock())
    made = [a_record() for _ in range(5)]
    calls = [asyncio.create_task(ledger.record(record)) for record in made]
    await asyncio.sleep(0)
    assert len(ledger._gathered) == 4  # the first was not held back
    await ledger.close()
    await asyncio.gather(*calls)
    assert (ledger.waiting, ledger._gathered) == (0, [])
    assert [entry.record for entry in await ledger.list(ALL)] == made


async def test_a_caller_who_leaves_while_waiting_has_its_record_settled(ledger: StoredLedger) -> None:
    record = a_record()
    call = asyncio.create_task(ledger.record(record))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with asyncio.timeout(20):
        while (entries := await ledger.list(ALL)) == [] or entries[0].settlement is None:
            await asyncio.sleep(0.005)
    assert entries[0].record == record
    assert ended(entries[0]).outcome is Outcome.CANCELLED
    assert ended(entries[0]).detail == LEFT
    assert ledger.waiting == 0


async def test_more_waiting_than_the_limit_is_refused(database: SqliteDatabase) -> None:
    ledger = await StoredLedger.open(database, TickingClock(), waiting=5)
    calls = [asyncio.create_task(ledger.record(a_record())) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None)] * 5 + [LedgerUnavailable] * 3
    assert len(await ledger.list(ALL)) == 5
    await ledger.record(a_record())
    await ledger.close()


async def test_text_that_is_no_text_is_spelt_out_not_lost(ledger: StoredLedger) -> None:
    good, bad = a_record(), a_record(client_name="x\udc80y", subject="ok")
    await asyncio.gather(ledger.record(good), ledger.record(bad))
    entries = await present(ledger)
    assert entries[good.id].record == good
    assert entries[bad.id].record.client_name == "x\\udc80y"
    assert ledger.healthy


async def test_one_bad_row_does_not_fail_its_batch(ledger: StoredLedger) -> None:
    records = [a_record() for _ in range(20)]
    records[7] = a_record(repeats=2**80)
    answers = await asyncio.gather(*(ledger.record(r) for r in records), return_exceptions=True)
    assert [index for index, answer in enumerate(answers) if answer is not None] == [7]
    assert isinstance(answers[7], LedgerUnavailable)
    await ledger.record(a_record())
    assert len(await ledger.list(ALL)) == 20
    assert ledger.healthy


async def test_one_row_that_the_database_refuses_does_not_fail_its_batch(ledger: StoredLedger) -> None:
    await ledger.record(a_record())
    records = [a_record() for _ in range(20)]
    records[18] = a_record(tool=None)
    answers = await asyncio.gather(*(ledger.record(r) for r in records), return_exceptions=True)
    assert [at for at, answer in enumerate(answers) if answer is not None] == [18]
    assert isinstance(answers[18], LedgerUnavailable)
    kept = [entry.record for entry in await ledger.list(ALL)][1:]
    assert kept == records[:18] + records[19:]
    await ledger.record(a_record())
    assert ledger.healthy


async def test_a_credential_that_is_told_twice_is_kept_once(ledger: StoredLedger) -> None:
    record = a_record()
    await ledger.record(record)
    await ledger.settle(its_settlement(record, credentials=("key@1", "key@1", "other@2")))
    for wanted in (RecordFilter(credential="key", version=1), RecordFilter(credential="other")):
        assert [entry.record for entry in await ledger.list(wanted)] == [record]


# --- the disk -------------------------------------------------------------------------------------


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size`: what a full disk does, without one."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


async def fill(ledger: StoredLedger) -> tuple[list[Record], list[Record]]:
    """Record and settle until the disk is full; return the ids acknowledged and those refused."""
    kept: list[Record] = []
    refused: list[Record] = []
    for _ in range(200):
        records = [a_record(reason="x" * 500) for _ in range(5)]
        answers = await asyncio.gather(*(ledger.record(r) for r in records), return_exceptions=True)
        for record, answer in zip(records, answers, strict=True):
            (refused if answer else kept).append(record)
            assert answer is None or isinstance(answer, LedgerUnavailable)
        if refused:
            return kept, refused
    raise AssertionError("the disk never got full")


async def test_a_full_disk_refuses_calls_and_everything_comes_back_with_space(
    ledger: StoredLedger, directory: Path
) -> None:
    before = a_record()
    await ledger.record(before)
    log = directory / "coatcheck.sqlite3-wal"
    with files_no_larger_than(log.stat().st_size + 150_000):
        kept, refused = await fill(ledger)
        assert kept
    with files_no_larger_than(1):
        with pytest.raises(LedgerUnavailable, match="cannot be written: the disk"):
            await ledger.settle(its_settlement(before))
        assert not ledger.healthy
        assert ledger.last_error.startswith("the disk")
    await until_healthy(ledger)
    assert ledger.last_error == ""
    entries = await present(ledger)
    assert entries.keys() >= {record.id for record in kept}
    for record in refused:
        if record.id in entries:  # it reached the disk all the same: then it is marked as not sent
            assert ended(entries[record.id]).detail == reconciling.UNCONFIRMED
    settled = ended(entries[before.id])
    assert settled.outcome is Outcome.UNKNOWN
    assert settled.detail == reconciling.WITHHELD.format(outcome="ok")
    await ledger.settle(its_settlement(kept[0]))
    last = a_record()
    await ledger.record_settled(last, its_settlement(last))
    assert len(await ledger.list(ALL)) == len(entries) + 1


async def test_a_settlement_that_failed_can_be_tried_once_more(ledger: StoredLedger, directory: Path) -> None:
    record = a_record()
    await ledger.record(record)
    with files_no_larger_than(1), pytest.raises(LedgerUnavailable):
        await ledger.settle(its_settlement(record, Outcome.TIMEOUT))
    await ledger.settle(its_settlement(record, Outcome.TIMEOUT))
    (entry,) = await ledger.list(ALL)
    assert entry.settlement == its_settlement(record, Outcome.TIMEOUT)


async def test_another_program_that_locks_the_database(
    ledger: StoredLedger, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = ledger._writer._driver
    assert isinstance(driver, SqliteDriver)
    driver.connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(directory / "coatcheck.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="another program keeps the database locked"):
        await ledger.record(a_record())
    other.execute("ROLLBACK")
    other.close()
    await until_healthy(ledger)
    record = a_record()
    await ledger.record(record)
    assert list(await present(ledger)) == [record.id]


@pytest.mark.parametrize("name", ["coatcheck.sqlite3", "coatcheck.sqlite3-wal"])
async def test_a_file_removed_under_the_gateway_is_noticed(
    ledger: StoredLedger, directory: Path, name: str
) -> None:
    await ledger.record(a_record())
    (directory / name).rename(directory / "moved")
    with pytest.raises(LedgerUnavailable, match="removed or replaced"):
        await ledger.record(a_record())
    assert not ledger.healthy


async def test_a_database_moved_away_and_back_is_used_again(ledger: StoredLedger, directory: Path) -> None:
    first = a_record()
    await ledger.record(first)
    (directory / "coatcheck.sqlite3").rename(directory / "moved")
    with pytest.raises(LedgerUnavailable):
        await ledger.record(a_record())
    with pytest.raises(LedgerUnavailable, match="cannot be opened"):
        await ledger.record(a_record())
    (directory / "moved").rename(directory / "coatcheck.sqlite3")
    second = a_record()
    await ledger.record(second)
    await ledger.settle(its_settlement(first))
    entries = await present(ledger)
    assert list(entries) == [first.id, second.id]
    assert ended(entries[first.id]).outcome is Outcome.OK


async def test_a_database_that_takes_no_writes_is_refused_at_start(
    database: SqliteDatabase, directory: Path
) -> None:
    other = sqlite3.connect(directory / "coatcheck.sqlite3")
    other.execute("DROP TABLE settled_through")
    other.close()
    with pytest.raises(LedgerUnavailable, match="the database failed"):
        await StoredLedger.open(database, TickingClock())


async def test_what_cannot_be_read_is_said(ledger: StoredLedger, database: SqliteDatabase) -> None:
    record = a_record()
    await ledger.record_settled(record, its_settlement(record))
    assert len(await ledger.list(ALL)) == 1
    await ledger.close()
    database.close()
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        await ledger.list(ALL)
    with pytest.raises(LedgerUnavailable, match="cannot be read"):
        await anext(ledger.follow(RecordFilter(after=0)))


# --- followers and starts -------------------------------------------------------------------------


async def test_followers_see_what_recovery_settled(ledger: StoredLedger) -> None:
    record = a_record()
    await ledger.record(record)
    stream = ledger.follow(RecordFilter())
    with files_no_larger_than(1), pytest.raises(LedgerUnavailable):
        await ledger.settle(its_settlement(record))
    async with asyncio.timeout(20):
        entry = await anext(stream)
    assert entry.record.id == record.id
    assert ended(entry).outcome is Outcome.UNKNOWN
    await stream.aclose()


async def test_a_start_reads_only_what_was_not_noted_as_settled(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "NOTE_EVERY", 10)
    ledger = await StoredLedger.open(database, TickingClock())
    left_open = a_record()
    for _ in range(25):
        record = a_record()
        await ledger.record_settled(record, its_settlement(record))
    noted = database.read_now(
        lambda c: c.exec_driver_sql("SELECT position FROM settled_through").scalar_one()
    )
    assert noted in range(10, 51)
    await ledger.record(left_open)
    for _ in range(25):
        record = a_record()
        await ledger.record_settled(record, its_settlement(record))
    await ledger.close()
    noted = database.read_now(
        lambda c: c.exec_driver_sql("SELECT position FROM settled_through").scalar_one()
    )
    assert noted == 50  # 25 records and their settlements, then what is open
    again = await StoredLedger.open(database, TickingClock())
    unknown = [e for e in await again.list(ALL) if ended(e).outcome is Outcome.UNKNOWN]
    assert [entry.record.id for entry in unknown] == [left_open.id]
    await again.close()
