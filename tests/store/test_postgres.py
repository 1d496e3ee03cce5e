"""PostgreSQL: one gateway at a time, durable, never a traceback or a password, and back by itself."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.exc import DBAPIError

from coatcheck.errors import ConfigError, LedgerUnavailable
from coatcheck.model.record import Outcome, RecordFilter
from coatcheck.model.secret import Secret
from coatcheck.store.engines.elsewhere import NOTE_FILE
from coatcheck.store.engines.postgres import PostgresDatabase
from coatcheck.store.engines.postgres_connection import application_name, name_of
from coatcheck.store.engines.postgres_driver import PostgresDriver
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import DatabaseTaken, DirectoryLocked, StoreUnavailable
from coatcheck.store.migrating import standing
from coatcheck.store.records import reconciling
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.tables import metadata
from ledgers import TickingClock, a_record, ended, its_settlement
from postgres import PostgresServer
from registered import KEYS, SystemEntropy, a_grant, an_edit

ALL = RecordFilter(limit=1_000_000)


@pytest.fixture
def opened(emptied_url: Secret) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase.open(emptied_url)
    yield database
    database.close()


def count_of(database: PostgresDatabase, table: str) -> Any:
    return database.read_now(lambda c: c.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


# --- schema ------------------------------------------------------------------------------------------


def test_the_migrated_schema_is_the_one_in_the_tables(
    opened: PostgresDatabase, postgres: PostgresServer
) -> None:
    def compare(reading: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(reading), metadata)

    assert opened.read_now(compare) == []
    url = postgres.new_database()
    direct = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    metadata.create_all(direct)

    def indexes(reading: Connection) -> dict[str, Any]:
        found = inspect(reading)
        return {
            table: sorted(
                (str(one["name"]), one["unique"], str(one.get("dialect_options")))
                for one in found.get_indexes(table)
            )
            for table in metadata.tables
        }

    with direct.connect() as connection:
        assert opened.read_now(indexes) == indexes(connection)
    direct.dispose()


def test_a_database_of_another_program_or_a_newer_one_is_left_alone(
    postgres: PostgresServer, postgres_url: Secret
) -> None:
    name = postgres_url.reveal().partition("@/")[2].partition("?")[0]
    postgres.sql("CREATE TABLE theirs (x int)", name)
    with pytest.raises(ConfigError, match="another program") as refused:
        PostgresDatabase.open(postgres_url)
    assert "of its own" in refused.value.fix
    postgres.sql("DROP TABLE theirs", name)
    PostgresDatabase.open(postgres_url).close()
    postgres.sql("UPDATE alembic_version SET version_num = '9999'", name)
    for opening in (PostgresDatabase.open, PostgresDatabase.open_to_read):
        with pytest.raises(ConfigError, match="newer version"):
            opening(postgres_url)


def test_readers_read_only(opened: PostgresDatabase, emptied_url: Secret) -> None:
    with pytest.raises(DBAPIError, match="read-only"):
        opened.read_now(lambda reading: reading.exec_driver_sql("DELETE FROM record"))
    reader = PostgresDatabase.open_to_read(emptied_url)  # beside the gateway
    assert count_of(reader, "record") == 0
    reader.close()


# --- durable -----------------------------------------------------------------------------------------


def test_commits_are_synchronous_whatever_the_database_says(
    postgres: PostgresServer, postgres_url: Secret
) -> None:
    name = postgres_url.reveal().partition("@/")[2].partition("?")[0]
    postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = PostgresDatabase.open(postgres_url)
    asked = "SELECT current_setting('synchronous_commit')"
    assert database.write_now(lambda c: c.exec_driver_sql(asked).scalar_one()) == "on"
    driver = database.open_driver()
    assert list(driver.run(asked)) == [("on",)]
    driver.close()
    database.close()


def test_a_database_that_cannot_hold_all_text_is_refused(postgres: PostgresServer) -> None:
    postgres.sql("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    with pytest.raises(ConfigError, match="server_encoding = SQL_ASCII"):
        PostgresDatabase.open(Secret(postgres.url("ascii")))


# --- one gateway -------------------------------------------------------------------------------------

_OPEN = """
import sys
import threading
from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret
from coatcheck.store.engines.postgres import PostgresDatabase
try:
    PostgresDatabase.open(Secret(sys.argv[1])).close()
except ConfigError as error:
    print(error.code, error.message)
"""


def opened_elsewhere(url: Secret) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    words = [sys.executable, "-c", _OPEN, url.reveal()]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_second_gateway_is_told_who_has_the_database(opened: PostgresDatabase, emptied_url: Secret) -> None:
    assert opened_elsewhere(emptied_url) == (
        f"locked the database {opened.name} is in use by {application_name()} at this machine\n"
    )
    with pytest.raises(DatabaseTaken):
        PostgresDatabase.open(emptied_url)
    driver = opened.open_driver()  # the lock goes with the writer
    with pytest.raises(DatabaseTaken):
        PostgresDatabase.open(emptied_url)
    driver.close()
    opened.close()
    assert opened_elsewhere(emptied_url) == ""


def test_whoever_is_just_leaving_is_waited_for(opened: PostgresDatabase, emptied_url: Secret) -> None:
    with pytest.raises(DatabaseTaken):
        PostgresDatabase.open(emptied_url)
    leaving = threading.Timer(0.3, opened.close)
    leaving.start()
    PostgresDatabase.open(emptied_url).close()
    leaving.join()


def test_the_data_directory_is_held_too(emptied_url: Secret, directory: Path) -> None:
    database = PostgresDatabase.open(emptied_url, directory)
    with pytest.raises(DirectoryLocked):
        PostgresDatabase.open(emptied_url, directory)
    database.close()
    PostgresDatabase.open(emptied_url, directory).close()


def test_a_directory_whose_store_is_on_a_server_gets_no_file(emptied_url: Secret, directory: Path) -> None:
    SqliteDatabase.open(directory).close()
    PostgresDatabase.open(emptied_url, directory).close()
    note = directory / NOTE_FILE
    assert note.read_text() == f"{name_of(emptied_url)}\n"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    for use in (SqliteDatabase.open, SqliteDatabase.open_to_read, standing):
        with pytest.raises(ConfigError, match="whose URL is not given") as refused:
            use(directory)
        assert str(note) in refused.value.fix
    PostgresDatabase.open(emptied_url, directory).close()
    note.unlink()
    SqliteDatabase.open(directory).close()


async def test_a_gateway_that_lost_its_connection_takes_the_database_back(
    opened: PostgresDatabase, postgres: PostgresServer
) -> None:
    ledger = await StoredLedger.open(opened, TickingClock())
    first = a_record()
    await ledger.record(first)
    driver = ledger._writer._driver
    assert isinstance(driver, PostgresDriver)
    postgres.sql(f"SELECT pg_terminate_backend({driver.connection.info.backend_pid}, 5000)")
    with pytest.raises(LedgerUnavailable, match=r"the database is being stopped|cannot be reached"):
        await ledger.record(a_record())
    assert not ledger.healthy
    await until_healthy(ledger)
    await ledger.settle(its_settlement(first))
    with pytest.raises(DatabaseTaken):
        PostgresDatabase.open(opened._url)
    await ledger.close()


async def test_a_gateway_whose_place_was_taken_records_nothing_more(
    opened: PostgresDatabase, emptied_url: Secret, postgres: PostgresServer
) -> None:
    ledger = await StoredLedger.open(opened, TickingClock())
    await ledger.record(a_record())
    driver = ledger._writer._driver
    assert isinstance(driver, PostgresDriver)
    driver.connection.close()
    other = PostgresDatabase.open(emptied_url)
    for _ in range(2):
        with pytest.raises(LedgerUnavailable):
            await ledger.record(a_record())
    assert "in use by" in ledger.last_error
    assert count_of(other, "record") == 1
    other.close()
    await until_healthy(ledger)
    await ledger.close()


def test_a_dead_connection_of_our_own_is_ended(opened: PostgresDatabase, emptied_url: Secret) -> None:
    dead = opened.open_driver()  # the server believes that it lives
    again = opened.open_driver()
    assert list(again.run("SELECT 1")) == [(1,)]
    with pytest.raises(psycopg.OperationalError):
        list(dead.run("SELECT 1"))
    again.close()
    dead.close()


# --- trouble -----------------------------------------------------------------------------------------


async def until_healthy(ledger: StoredLedger) -> None:
    async with asyncio.timeout(20):
        while not ledger.healthy:
            await asyncio.sleep(0.02)


async def test_a_server_that_crashes_loses_nothing_and_everything_comes_back(
    opened: PostgresDatabase, postgres: PostgresServer
) -> None:
    ledger = await StoredLedger.open(opened, TickingClock())
    store = await StoredRegistry.open(opened, KEYS, SystemEntropy())
    grant, records = a_grant(), [a_record() for _ in range(50)]
    await store.commit(an_edit([grant]))
    await asyncio.gather(*(ledger.record(record) for record in records))
    postgres.stop()  # at once: it writes nothing more
    try:
        with pytest.raises(LedgerUnavailable, match="cannot be written"):
            await ledger.settle(its_settlement(records[0]))
        with pytest.raises(StoreUnavailable):
            await store.commit(an_edit([a_grant("lost")]))
        with pytest.raises(StoreUnavailable):
            await store.load()
    finally:
        postgres.start_again()
    await until_healthy(ledger)
    assert list((await store.load()).grants) == [grant.id]
    entries = {entry.record.id: entry for entry in await ledger.list(ALL)}
    assert entries.keys() == {record.id for record in records}
    assert ended(entries[records[0].id]).detail == reconciling.WITHHELD.format(outcome="ok")
    await ledger.settle(its_settlement(records[1]))
    await ledger.close()


async def test_one_bad_row_does_not_fail_its_batch(opened: PostgresDatabase) -> None:
    ledger = await StoredLedger.open(opened, TickingClock())
    records = [a_record() for _ in range(20)]
    records[7] = a_record(repeats=2**80)
    answers = await asyncio.gather(*(ledger.record(one) for one in records), return_exceptions=True)
    assert [index for index, answer in enumerate(answers) if answer is not None] == [7]
    assert ledger.healthy
    assert len(await ledger.list(ALL)) == 19
    await ledger.close()


async def test_text_that_is_no_text_is_spelt_out_not_lost(opened: PostgresDatabase) -> None:
    ledger = await StoredLedger.open(opened, TickingClock())
    good, bad = a_record(), a_record(client_name="x\udc80y\x00z")
    await asyncio.gather(ledger.record(good), ledger.record(bad))
    entries = {entry.record.id: entry.record for entry in await ledger.list(ALL)}
    assert entries[good.id] == good
    assert entries[bad.id].client_name == "x\\udc80y\\x00z"
    await ledger.close()


async def test_records_left_open_are_settled_at_the_next_start(
    opened: PostgresDatabase, emptied_url: Secret
) -> None:
    ledger = await StoredLedger.open(opened, TickingClock())
    record = a_record()
    await ledger.record(record)
    await ledger.close()
    again = await StoredLedger.open(opened, TickingClock())
    (entry,) = await again.list(ALL)
    assert ended(entry).outcome is Outcome.UNKNOWN
    other = a_record()
    await again.record_settled(other, its_settlement(other))
    assert len(await again.list(ALL)) == 2
    await again.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:planted-secret@127.0.0.1:1/db?connect_timeout=2", "cannot be reached"),
        ("postgresql://me:planted-secret@/nowhere?host={folder}", "there is no|refused|cannot be reached"),
        ("mysql://me:planted-secret@h/db", "not given as a URL"),
        ("postgresql://me:planted-secret@h:port/db?nonsense=1", "not given as a URL|cannot be"),
        ("host=/tmp password=planted-secret", "not given as a URL"),
    ],
)
def test_what_cannot_be_reached_is_said_without_the_password(
    postgres: PostgresServer, url: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as refused:
        PostgresDatabase.open(Secret(url.format(folder=postgres.url("x").partition("host=")[2])))
    assert "planted" not in f"{refused.value.message} {refused.value.fix} {refused.value.__cause__}"
    assert refused.value.fix


def test_a_name_holds_nothing_that_opens_it() -> None:
    assert (
        name_of(Secret("postgresql://u:p@db.example.com:6432/cc?sslmode=verify-full&password=q"))
        == "postgresql://db.example.com:6432/cc"
    )
    assert name_of(Secret("postgres://u@h")) == "postgresql://h:5432/u"


def test_without_psycopg_the_install_line_is_given(directory: Path) -> None:
    blocked = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path\n"
        "from coatcheck.model.secret import Secret\n"
        "from coatcheck.store.opening import open_database\n"
        "try: open_database(Path(sys.argv[1]), Secret('postgresql://h/d'))\n"
        "except Exception as error: print(type(error).__name__, error.message, '|', error.fix)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(
        [sys.executable, "-c", blocked, str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        ran.stdout
        == "ConfigError PostgreSQL needs psycopg, which is not installed | run: pip install 'coatcheck[postgres]'\n"
    )
