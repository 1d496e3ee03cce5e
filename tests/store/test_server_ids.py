"""A server's UUID is given at first sight and never changes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.server_ids import StoredServerIds
from coatcheck.store.tables import server_id


class SystemEntropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


async def test_a_uuid_stays_over_restarts_and_spellings(directory: Path) -> None:
    database = SqliteDatabase.open(directory)
    first = await StoredServerIds(database, SystemEntropy()).assign(["github", "Jira"])
    assert list(first) == ["github", "Jira"]
    assert len(set(first.values())) == 2
    assert {uuid.version for uuid in first.values()} == {4}
    database.close()
    database = SqliteDatabase.open(directory)
    ids = StoredServerIds(database, SystemEntropy())
    assert await ids.assign(["JIRA", "new", "github"]) == {
        "JIRA": first["Jira"],
        "github": first["github"],
        "new": (await ids.assign(["new"]))["new"],
    }
    rows = database.read_now(lambda c: [row.name for row in c.execute(server_id.select())])
    assert sorted(rows) == ["Jira", "github", "new"]
    assert await ids.assign([]) == {}
    database.close()


async def test_two_who_ask_at_once_get_the_same(database: SqliteDatabase) -> None:
    ids = StoredServerIds(database, SystemEntropy())
    answers = await asyncio.gather(*(ids.assign(["a", "b", f"own{number}"]) for number in range(8)))
    assert len({answer["a"] for answer in answers}) == 1
    assert len({answer["b"] for answer in answers}) == 1


async def test_a_stopped_store_says_so(directory: Path) -> None:
    database = SqliteDatabase.open(directory)
    ids = StoredServerIds(database, SystemEntropy())
    await ids.assign(["a"])
    database.close()
    with pytest.raises(StoreUnavailable, match="stopping"):
        await ids.assign(["b"])
