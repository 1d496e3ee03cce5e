"""The migrations lead to the tables that the code uses, and nothing newer or half-done is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Inspector, create_engine, inspect

from coatcheck.errors import ConfigError
from coatcheck.store import schema
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.tables import metadata


def indexes_of(inspector: Inspector, table: str) -> list[Any]:
    found: list[Any] = list(inspector.get_indexes(table))
    for index in found:
        options = index.setdefault("dialect_options", {})
        options.update({name: str(value) for name, value in options.items()})
    return found


def shape_of(inspector: Inspector) -> dict[str, Any]:
    return {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)],
            inspector.get_pk_constraint(table),
            inspector.get_foreign_keys(table),
            sorted(
                (i["name"], i["column_names"], str(i["dialect_options"]))
                for i in indexes_of(inspector, table)
            ),
            inspector.get_unique_constraints(table),
        )
        for table in sorted(set(inspector.get_table_names()) - {"alembic_version"})
    }


def test_the_migrated_schema_is_the_one_in_the_tables(database: SqliteDatabase) -> None:
    direct = create_engine("sqlite://")
    metadata.create_all(direct)
    migrated = database.read_now(lambda reading: shape_of(inspect(reading)))
    assert migrated.keys() == metadata.tables.keys()
    assert migrated == shape_of(inspect(direct))
    direct.dispose()


def test_alembic_finds_nothing_to_generate(database: SqliteDatabase) -> None:
    def compare(reading: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(reading), metadata)

    assert database.read_now(compare) == []


def test_positions_are_never_reused(database: SqliteDatabase) -> None:
    written = "SELECT sql FROM sqlite_master WHERE name IN ('record', 'settlement')"
    found = database.read_now(lambda reading: reading.exec_driver_sql(written).scalars().all())
    assert ["AUTOINCREMENT" in sql for sql in found] == [True, True]


def test_head_is_the_newest_revision(database: SqliteDatabase) -> None:
    assert ScriptDirectory(str(schema._MIGRATIONS)).get_current_head() == schema.HEAD
    assert database.read_now(lambda reading: schema.revision_of(reading, "it")) == schema.HEAD


def test_a_newer_database_is_refused_and_left_alone(directory: Path) -> None:
    SqliteDatabase.open(directory).close()
    path = directory / "coatcheck.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    for opening in (SqliteDatabase.open, SqliteDatabase.open_to_read):
        with pytest.raises(ConfigError, match="newer version of Coatcheck"):
            opening(directory)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    connection.close()


def test_a_migration_happens_whole_or_not_at_all(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic.runtime.migration import HeadMaintainer

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("the plug was pulled")

    monkeypatch.setattr(HeadMaintainer, "update_to_step", fail)
    with pytest.raises(ConfigError, match="cannot be opened"):
        SqliteDatabase.open(directory)
    connection = sqlite3.connect(directory / "coatcheck.sqlite3")
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    monkeypatch.undo()
    SqliteDatabase.open(directory).close()
