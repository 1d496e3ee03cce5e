"""The data directory and the database in it: private, durable, for one process, and never a traceback."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from coatcheck.errors import ConfigError
from coatcheck.model.record import RecordFilter
from coatcheck.store.engines.directory import LOCK_FILE, create_private, prepare
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.engines.sqlite_connection import connect
from coatcheck.store.faults import DirectoryLocked
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.reading import list_entries
from ledgers import TickingClock, a_record


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_only_the_owner_can_read_what_is_there(directory: Path) -> None:
    database = SqliteDatabase.open(directory)
    ledger = await StoredLedger.open(database, TickingClock())
    await ledger.record(a_record())
    assert mode_of(directory) == 0o700
    assert {path.name: mode_of(path) for path in directory.iterdir()} == dict.fromkeys(
        ("coatcheck.lock", "coatcheck.sqlite3", "coatcheck.sqlite3-wal", "coatcheck.sqlite3-shm"), 0o600
    )
    await ledger.close()
    database.close()


def test_an_empty_directory_is_closed_to_others(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    SqliteDatabase.open(directory).close()
    assert mode_of(directory) == 0o700


def test_a_directory_with_other_files_keeps_its_mode(directory: Path) -> None:
    directory.mkdir(mode=0o755)
    (directory / "servers.json").write_text("{}")
    assert prepare(directory) == directory
    assert mode_of(directory) == 0o755
    directory.chmod(0o777)
    with pytest.raises(ConfigError, match="other users may write"):
        prepare(directory)


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="not a directory"):
        SqliteDatabase.open(tmp_path / "data")
    with pytest.raises(ConfigError, match="cannot be used"):
        SqliteDatabase.open(tmp_path / "data" / "below")


def test_a_link_in_place_of_the_database_is_refused(directory: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    create_private(prepare(directory) / "plain")
    (directory / "coatcheck.sqlite3").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=r"coatcheck\.sqlite3 cannot be opened"):
        SqliteDatabase.open(directory)
    assert elsewhere.read_text() == "precious"


def test_settings_of_a_connection(database: SqliteDatabase) -> None:
    connection = connect(database.path)
    names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "secure_delete", "busy_timeout")
    found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert found == ["wal", 2, 1, 0, 1, 5000]
    connection.close()
    with pytest.raises(OperationalError, match="readonly"):
        database.read_now(lambda reading: reading.exec_driver_sql("DELETE FROM record"))


# --- one process ----------------------------------------------------------------------------------

_OPEN = """
import sys
from pathlib import Path
from coatcheck.errors import ConfigError
from coatcheck.store.engines.sqlite import SqliteDatabase
try:
    SqliteDatabase.open(Path(sys.argv[1])).close()
except ConfigError as error:
    print(error.code, error.message)
print("alembic" in sys.modules)
"""


def open_elsewhere(directory: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(
        [sys.executable, "-c", _OPEN, str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()


def test_a_second_process_is_told_who_has_the_directory(database: SqliteDatabase, directory: Path) -> None:
    first, _ = open_elsewhere(directory)
    assert first == f"locked the data directory {directory} is in use by process {os.getpid()}"


def test_the_directory_is_free_after_closing_and_alembic_stays_unread(
    database: SqliteDatabase, directory: Path
) -> None:
    database.close()
    assert open_elsewhere(directory) == ["False"]
    SqliteDatabase.open(directory).close()


def test_removing_the_lock_file_lets_nobody_else_in(database: SqliteDatabase, directory: Path) -> None:
    (directory / LOCK_FILE).unlink()
    first, *_ = open_elsewhere(directory)
    assert first.startswith(f"locked the data directory {directory} is in use by ")
    database.close()
    assert open_elsewhere(directory) == ["False"]


def test_a_second_opening_in_one_process_is_refused_too(database: SqliteDatabase, directory: Path) -> None:
    with pytest.raises(DirectoryLocked) as refused:
        SqliteDatabase.open(directory)
    assert refused.value.pid == os.getpid()
    assert refused.value.fix


def test_a_failed_opening_frees_the_directory(directory: Path) -> None:
    prepare(directory)
    database = directory / "coatcheck.sqlite3"
    database.write_bytes(b"no database at all, " * 100)
    for _ in range(2):
        with pytest.raises(
            ConfigError, match=r"coatcheck\.sqlite3 cannot be opened: the file is not a database"
        ):
            SqliteDatabase.open(directory)
    database.unlink()
    SqliteDatabase.open(directory).close()


# --- damage ---------------------------------------------------------------------------------------


def test_a_damaged_file_is_named(directory: Path) -> None:
    SqliteDatabase.open(directory).close()
    path = directory / "coatcheck.sqlite3"
    content = bytearray(path.read_bytes())
    content[100:2000] = os.urandom(1900)  # the schema's page, behind a header that is whole
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        SqliteDatabase.open(directory)
    assert str(path) in refused.value.message
    assert "damaged" in refused.value.message
    assert "backup" in refused.value.fix


def test_a_database_of_another_program_is_left_alone(directory: Path) -> None:
    prepare(directory)
    path = directory / "coatcheck.sqlite3"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="another program"):
        SqliteDatabase.open(directory)
    assert path.read_bytes() == before


# --- reading only ---------------------------------------------------------------------------------


async def test_a_command_reads_without_a_gateway(directory: Path) -> None:
    database = SqliteDatabase.open(directory)
    ledger = await StoredLedger.open(database, TickingClock())
    await ledger.record(a_record())
    await ledger.close()
    database.close()
    reader = SqliteDatabase.open_to_read(directory)
    assert len(reader.read_now(lambda reading: list_entries(reading, RecordFilter()))) == 1
    with pytest.raises(OperationalError):
        reader.read_now(lambda reading: reading.exec_driver_sql("DELETE FROM record"))
    reader.close()


def test_reading_where_nothing_is(directory: Path) -> None:
    with pytest.raises(ConfigError, match="there is no database"):
        SqliteDatabase.open_to_read(directory)
    assert not directory.exists()
    prepare(directory)
    create_private(directory / "coatcheck.sqlite3")
    with pytest.raises(ConfigError, match="older schema"):
        SqliteDatabase.open_to_read(directory)
