"""A server's UUID is given at first sight and never changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from coatcheck.errors import ConfigError
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.registry.whole import NOT_WHOLE
from coatcheck.store.server_ids import StoredServerIds
from coatcheck.store.tables import server_id
from registered import KEYS, SystemEntropy, a_change


def ids_of(database: Database) -> StoredServerIds:
    return StoredServerIds(database, StoredRegistry(database, KEYS, SystemEntropy()), SystemEntropy())


async def test_a_uuid_stays_over_restarts_and_spellings(directory: Path) -> None:
    database = SqliteDatabase.open(directory)
    first = await ids_of(database).assign(["github", "Jira"])
    assert list(first) == ["github", "Jira"]
    assert len(set(first.values())) == 2
    assert {uuid.version for uuid in first.values()} == {4}
    database.close()
    database = SqliteDatabase.open(directory)
    ids = ids_of(database)
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
    ids = ids_of(database)
    answers = await asyncio.gather(*(ids.assign(["a", "b", f"own{number}"]) for number in range(8)))
    assert len({answer["a"] for answer in answers}) == 1
    assert len({answer["b"] for answer in answers}) == 1


async def test_a_stopped_store_says_so(directory: Path) -> None:
    database = SqliteDatabase.open(directory)
    ids = ids_of(database)
    await ids.assign(["a"])
    database.close()
    with pytest.raises(StoreUnavailable, match="stopping"):
        await ids.assign(["b"])


# --- edited outside of the gateway -----------------------------------------------------------------------


async def both(database: Database) -> tuple[StoredRegistry, StoredServerIds]:
    store = await StoredRegistry.open(database, KEYS, SystemEntropy())
    return store, StoredServerIds(database, store, SystemEntropy())


def swap(writing: Connection) -> None:
    """Give each of two names the UUID of the other."""
    rows = writing.execute(select(server_id.c.folded, server_id.c.uuid)).all()
    writing.execute(delete(server_id).where(server_id.c.folded.in_(["fa", "fb"])))
    macs = {row.folded: row for row in rows}
    for name, other in (("fa", "fb"), ("fb", "fa")):
        row = {"folded": name, "name": name, "uuid": macs[other].uuid, "mac": "0" * 64}
        writing.execute(insert(server_id), row)


def swap_macs_too(writing: Connection) -> None:
    """The same, each UUID with the MAC that it had under the other name."""
    rows = {row.folded: row for row in writing.execute(select(server_id)).all()}
    writing.execute(delete(server_id))
    for name, other in (("fa", "fb"), ("fb", "fa")):
        row = {"folded": name, "name": name, "uuid": rows[other].uuid, "mac": rows[other].mac}
        writing.execute(insert(server_id), row)


@pytest.mark.parametrize("edit", [swap, swap_macs_too])
async def test_a_name_with_the_uuid_of_another_lets_nobody_in(
    any_database: Database, edit: Callable[[Connection], None]
) -> None:
    store, ids = await both(any_database)
    await ids.assign(["fa", "fb"])
    assert not (await store.load()).uncertain, "the positive path"
    any_database.write_now(edit)
    loaded = await store.load()
    assert loaded.uncertain
    assert {"id of server fa", "id of server fb"} <= set(loaded.damaged)
    with pytest.raises(ConfigError, match="UUID of the server fa was changed"):
        await ids.assign(["fa"])


@pytest.mark.parametrize(
    "edit",
    [
        delete(server_id).where(server_id.c.folded == "fa"),
        update(server_id).where(server_id.c.folded == "fa").values(mac=None),
    ],
)
async def test_a_name_that_is_forgotten_lets_nobody_in(any_database: Database, edit: object) -> None:
    store, ids = await both(any_database)
    await ids.assign(["fa", "fb"])
    assert not (await store.load()).damaged, "the positive path"
    any_database.write_now(lambda writing: writing.execute(edit))  # type: ignore[call-overload]
    loaded = await store.load()
    assert loaded.uncertain
    assert NOT_WHOLE in loaded.damaged
    await ids.assign(["fa2"])
    assert (await store.load()).uncertain, "what is added later mends nothing"


async def test_what_was_given_before_there_was_a_key_is_kept(any_database: Database) -> None:
    uuid = (await ids_of(any_database).assign(["old"]))["old"]
    any_database.write_now(lambda writing: writing.execute(update(server_id).values(mac=None)))
    store, ids = await both(any_database)
    assert not (await store.load()).damaged
    assert await ids.assign(["old"]) == {"old": uuid}


async def test_an_operator_who_takes_the_damage_starts_anew(any_database: Database) -> None:
    store, ids = await both(any_database)
    before = await ids.assign(["fa", "fb"])
    any_database.write_now(swap)
    assert set(await store.accept(a_change())) == {"id of server fa", "id of server fb"}
    loaded = await store.load()
    assert (loaded.damaged, loaded.uncertain) == ((), False)
    assert before.items().isdisjoint((await ids.assign(["fa", "fb"])).items())
