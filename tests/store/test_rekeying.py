"""Another key for the whole store: everything opens with it, nothing with the former one, no token is void."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from coatcheck.core.sealing.keys import Purpose
from coatcheck.core.tokens import Pepper
from coatcheck.errors import Damaged, Sealed
from coatcheck.model.change import ChangeFilter, ObjectKind
from coatcheck.model.credential import Stage
from coatcheck.store import tables
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.registry import store as module
from coatcheck.store.registry.rekeying import reseal
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.registry.whole import NOT_WHOLE
from coatcheck.store.server_ids import StoredServerIds
from registered import (
    KEYS,
    OTHER_KEYS,
    SystemEntropy,
    a_change,
    a_credential,
    a_grant,
    a_version,
    an_edit,
    one_of_each,
)

REGISTRY = (
    "grant",
    "subject",
    "server",
    "operator",
    "override",
    "credential",
    "server_id",
    "whole",
    "sealing_key",
)
TURN = a_change("key", action="key.rotate", kind=ObjectKind.KEY)


async def a_store(database: Database, keys: Any = KEYS) -> StoredRegistry:
    return await StoredRegistry.open(database, keys, SystemEntropy())


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    def read(reading: Connection) -> dict[str, list[dict[str, Any]]]:
        kept = [tables.metadata.tables[name] for name in REGISTRY]
        return {
            table.name: [dict(row) for row in reading.execute(select(table)).mappings()] for table in kept
        }

    return database.read_now(read)


async def test_everything_is_under_the_new_key(
    any_database: Database, open_any: Callable[[], Database]
) -> None:
    store = await a_store(any_database)
    await store.commit(an_edit(one_of_each()))
    ids = StoredServerIds(any_database, store, SystemEntropy())
    given = await ids.assign(["of-file"])
    before, rows = await store.load(), everything(any_database)
    assert store.key_id == KEYS.id
    await store.rekey(OTHER_KEYS, TURN)
    assert store.key_id == OTHER_KEYS.id
    assert await store.load() == before
    assert (await ids.assign(["of-file", "later"]))["of-file"] == given["of-file"]
    assert (await store.load()).damaged == ()

    later = everything(any_database)
    assert rows.keys() == later.keys()
    for name in set(REGISTRY) - {"sealing_key"}:
        assert {row["mac"] for row in rows[name]}.isdisjoint(row["mac"] for row in later[name]), name
    for table, column in (("server", "reach"), ("server", "blanks"), ("credential", "versions")):
        assert {row[column] for row in rows[table]}.isdisjoint(row[column] for row in later[table])
    assert later["sealing_key"][0]["key_id"] == OTHER_KEYS.id
    assert (await store.list_changes(ChangeFilter(limit=1)))[0].change == TURN

    pepper, prints = store.pepper.prove("token"), store.print_key
    assert pepper == Pepper(KEYS.of(Purpose.GRANT_PEPPER)).prove("token"), "no grant is void"
    await store.commit(an_edit([a_grant("after"), a_credential("after")]))
    any_database.close()
    database = open_any()
    with pytest.raises(Sealed, match=f"belongs to the key {OTHER_KEYS.id}"):
        await a_store(database)
    again = await a_store(database, OTHER_KEYS)
    loaded = await again.load()
    assert loaded.damaged == ()
    assert len(loaded.credentials) == len(before.credentials) + 1
    assert (again.pepper.prove("token"), again.print_key) == (pepper, prints)


async def test_there_and_back(any_database: Database) -> None:
    store = await a_store(any_database)
    await store.commit(an_edit(one_of_each()))
    before = await store.load()
    for turn, keys in enumerate((OTHER_KEYS, KEYS, OTHER_KEYS)):
        await store.rekey(keys, a_change(f"key {turn}"))
    assert await store.load() == before


async def damage_row(database: Database) -> str:
    database.write_now(lambda c: c.execute(update(tables.grant).values(note="edited")))
    return "grant alice-laptop"


async def damage_whole(database: Database) -> str:
    database.write_now(lambda c: c.execute(delete(tables.override)))
    return NOT_WHOLE


@pytest.mark.parametrize("damage", [damage_row, damage_whole])
async def test_nothing_is_vouched_for_that_was_damaged(any_database: Database, damage: Any) -> None:
    store = await a_store(any_database)
    await store.commit(an_edit(one_of_each()))
    named = await damage(any_database)
    before = everything(any_database)
    with pytest.raises(Damaged) as refused:
        await store.rekey(OTHER_KEYS, TURN)
    assert named in refused.value.message
    assert everything(any_database) == before
    assert store.key_id == KEYS.id
    assert named in (await store.load()).damaged
    assert TURN not in [entry.change for entry in await store.list_changes(ChangeFilter())]


async def test_what_was_changed_while_the_rows_were_computed_is_refused(
    any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else writes; if someone does, nothing of theirs is given a good MAC."""
    store = await a_store(any_database)
    await store.commit(an_edit(one_of_each()))

    def meddled(*given: Any) -> Any:
        made = reseal(*given)
        any_database.write_now(lambda c: c.execute(update(tables.whole).values(total="0" * 64)))
        return made

    monkeypatch.setattr(module, "reseal", meddled)
    before = everything(any_database)["grant"]
    with pytest.raises(Damaged):
        await store.rekey(OTHER_KEYS, TURN)
    assert everything(any_database)["grant"] == before
    assert store.key_id == KEYS.id


@pytest.mark.parametrize("happened", [True, False])
async def test_where_nobody_knows_whether_it_happened_the_store_is_asked(
    any_database: Database, monkeypatch: pytest.MonkeyPatch, *, happened: bool
) -> None:
    store = await a_store(any_database)
    await store.commit(an_edit(one_of_each()))
    before = await store.load()
    write, write_chained = any_database.write, any_database.write_chained
    broken = [True, True]

    def breaking(done: Any) -> Any:
        async def breaks(work: Any) -> Any:
            if happened and len(broken) == 2:
                await done(work)
            if broken:
                broken.pop()
                raise StoreUnavailable("the connection broke")
            return await done(work)

        return breaks

    monkeypatch.setattr(any_database, "write", breaking(write))
    monkeypatch.setattr(any_database, "write_chained", breaking(write_chained))
    with pytest.raises(StoreUnavailable):
        await store.rekey(OTHER_KEYS, TURN)
    assert await store.load() == before
    assert store.key_id == (OTHER_KEYS if happened else KEYS).id
    await store.commit(an_edit([a_grant("after")]))
    assert (await store.load()).damaged == ()


async def test_edits_and_changes_of_key_wait_for_each_other(any_database: Database) -> None:
    store = await a_store(any_database)
    credentials = [a_credential(f"c{number}") for number in range(20)]
    await store.commit(an_edit(credentials))

    async def edit() -> None:
        for number, one in enumerate(credentials):
            versions = (a_version(9), a_version(8, Stage.RETIRED))
            changed = dataclasses.replace(one, version=2, versions=versions)
            await store.commit(an_edit([changed, a_grant(f"g{number}")]))

    async def turn() -> None:
        for number in range(6):
            await store.rekey((OTHER_KEYS, KEYS)[number % 2], a_change(f"key {number}"))

    await asyncio.gather(edit(), turn())
    loaded = await store.load()
    assert loaded.damaged == ()
    assert {one.version for one in loaded.credentials.values()} == {2}
    assert len(loaded.grants) == 20


# --- what is left in the files -------------------------------------------------------------------------------


def sealed_in(database: Database) -> set[bytes]:
    """Return all that is sealed in the rows now."""
    text = json.dumps(everything(database), default=str)
    return {blob.encode() for blob in re.findall(r"v1:[A-Za-z0-9_=-]+", text)}


def left_in_files(directory: Path, blobs: set[bytes]) -> set[bytes]:
    held = b"".join(
        path.read_bytes() for path in directory.iterdir() if path.name.startswith("coatcheck.sqlite3")
    )
    return {blob for blob in blobs if blob in held}


async def test_nothing_of_the_former_key_is_left_in_the_files(
    database: SqliteDatabase, directory: Path
) -> None:
    store = await a_store(database)
    await store.commit(an_edit([*one_of_each(), *(a_credential(f"c{number}") for number in range(40))]))
    blobs = sealed_in(database)
    assert len(blobs) > 40
    assert left_in_files(directory, blobs) == blobs, "the positive path"
    await store.rekey(OTHER_KEYS, TURN)
    assert left_in_files(directory, blobs) == set()


async def test_nothing_of_a_retired_version_is_left_in_the_files(
    database: SqliteDatabase, directory: Path
) -> None:
    store = await a_store(database)
    credential = a_credential("gone", versions=(a_version(1),))
    await store.commit(an_edit([credential]))
    blobs = sealed_in(database)
    assert left_in_files(directory, blobs) == blobs, "the positive path"
    retired = dataclasses.replace(credential.versions[0], stage=Stage.RETIRED, material=None)
    await store.commit(an_edit([dataclasses.replace(credential, versions=(retired,), version=2)]))
    for _ in range(200):
        left = left_in_files(directory, blobs - sealed_in(database))
        if not left:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(left)
