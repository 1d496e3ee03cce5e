"""Gives the tests of this folder data directories and opened databases of both kinds, and closes them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.ledger import StoredLedger
from ledgers import MemoryLedger, TickingClock

OpenLedger = Callable[[], Awaitable[StoredLedger | MemoryLedger]]
OpenDatabase = Callable[[], Database]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def database(directory: Path) -> Iterator[SqliteDatabase]:
    opened = SqliteDatabase.open(directory)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def open_any(request: pytest.FixtureRequest, directory: Path) -> Iterator[OpenDatabase]:
    """Opens the same database each time, on each kind; the one opened before is to be closed first."""
    with ExitStack() as opened:

        def sqlite() -> Database:
            database = SqliteDatabase.open(directory)
            opened.callback(database.close)
            return database

        def postgresql() -> Database:
            from coatcheck.store.engines.postgres import PostgresDatabase

            database = PostgresDatabase.open(url)
            opened.callback(database.close)
            return database

        if request.param == "postgresql":
            url = request.getfixturevalue("emptied_url")
        yield {"sqlite": sqlite, "postgresql": postgresql}[request.param]


@pytest.fixture
def any_database(open_any: OpenDatabase) -> Database:
    return open_any()


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def open_ledger(request: pytest.FixtureRequest, directory: Path) -> Iterator[OpenLedger]:
    """Every adapter of `ports.Ledger`; one more is one more name here."""
    with ExitStack() as opened:

        async def sqlite() -> StoredLedger:
            database = SqliteDatabase.open(directory)
            opened.callback(database.close)
            return await StoredLedger.open(database, TickingClock())

        async def postgresql() -> StoredLedger:
            from coatcheck.store.engines.postgres import PostgresDatabase

            database = PostgresDatabase.open(request.getfixturevalue("emptied_url"))
            opened.callback(database.close)
            return await StoredLedger.open(database, TickingClock())

        async def memory() -> MemoryLedger:
            return MemoryLedger()

        openers: dict[str, OpenLedger] = {"sqlite": sqlite, "postgresql": postgresql, "memory": memory}
        yield openers[request.param]
