"""Gives the tests of this folder a data directory and opened databases, and closes what they open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coatcheck.store.engine import Database
from coatcheck.store.ledger import SqliteLedger
from ledgers import MemoryLedger, TickingClock

OpenLedger = Callable[[], Awaitable[SqliteLedger | MemoryLedger]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def database(directory: Path) -> Iterator[Database]:
    opened = Database.open(directory)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "memory"])
def open_ledger(request: pytest.FixtureRequest, directory: Path) -> Iterator[OpenLedger]:
    """Every adapter of `ports.Ledger`; one more is one more name here."""
    with ExitStack() as opened:

        async def sqlite() -> SqliteLedger:
            database = Database.open(directory)
            opened.callback(database.close)
            return await SqliteLedger.open(database, TickingClock())

        async def memory() -> MemoryLedger:
            return MemoryLedger()

        openers: dict[str, OpenLedger] = {"sqlite": sqlite, "memory": memory}
        yield openers[request.param]
