"""`migrate` says where a schema stands, keeps a copy of what was there, and does nothing twice."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret
from coatcheck.store import schema
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import DirectoryLocked
from coatcheck.store.migrating import migrate_now, standing
from older import make_sqlite


def set_back(path: Path) -> None:
    """Make the database what the first release made."""
    make_sqlite(path, "0001")
    writing = sqlite3.connect(path)
    writing.execute("INSERT INTO server_id VALUES ('kept', 'kept', x'00112233445566778899aabbccddeeff')")
    writing.commit()
    writing.close()


def test_an_older_database_is_copied_and_brought_up(directory: Path) -> None:
    SqliteDatabase.open(directory).close()
    path = directory / DATABASE_FILE
    set_back(path)
    before = standing(directory)
    assert (before.revision, before.head, before.is_current) == ("0001", schema.HEAD, False)
    done = migrate_now(directory)
    assert done.before == before
    assert done.copy is not None
    assert stat.S_IMODE(done.copy.stat().st_mode) == 0o600
    assert SqliteDatabase.revision_at(done.copy) == "0001"
    assert standing(directory).is_current
    for file in (path, done.copy):
        with sqlite3.connect(file) as reading:
            assert reading.execute("SELECT name FROM server_id").fetchall() == [("kept",)]
        reading.close()
    assert migrate_now(directory).copy is None


def test_a_start_keeps_a_copy_too(directory: Path) -> None:
    SqliteDatabase.open(directory).close()
    assert [path.name for path in directory.iterdir() if "before" in path.name] == []
    set_back(directory / DATABASE_FILE)
    with pytest.raises(ConfigError, match="older schema") as refused:
        SqliteDatabase.open_to_read(directory)
    assert "coatcheck migrate" in refused.value.fix
    SqliteDatabase.open(directory).close()
    assert [path.name for path in directory.iterdir() if "before" in path.name] == [
        f"coatcheck.before-{schema.HEAD}.sqlite3"
    ]


def test_where_nothing_is(directory: Path) -> None:
    assert standing(directory).revision is None
    assert not directory.exists()
    assert migrate_now(directory).copy is None
    assert standing(directory).is_current


def test_a_newer_database_and_one_in_use_are_left_alone(directory: Path, database: SqliteDatabase) -> None:
    assert standing(directory).is_current, "reading disturbs no gateway"
    with pytest.raises(DirectoryLocked):
        migrate_now(directory)
    database.write_now(
        lambda writing: writing.exec_driver_sql("UPDATE alembic_version SET version_num = '9'")
    )
    database.close()
    assert standing(directory).revision == "9"
    with pytest.raises(ConfigError, match="newer version"):
        migrate_now(directory)
    assert standing(directory).revision == "9"


def test_on_postgresql(directory: Path, postgres_url: Secret) -> None:
    assert standing(directory, postgres_url).revision is None
    done = migrate_now(directory, postgres_url)
    assert (done.before.revision, done.copy) == (None, None)
    now = standing(directory, postgres_url)
    assert now.is_current
    assert now.name.startswith("postgresql://")
