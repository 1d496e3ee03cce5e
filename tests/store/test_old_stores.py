"""Stores that earlier releases wrote are brought up with all that is in them, and nothing of it is damaged."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, ColumnElement, Connection, MetaData, insert, select, text, update

from coatcheck.core.sealing.keys import Purpose
from coatcheck.core.sealing.row_macs import row_mac
from coatcheck.core.tokens import Pepper
from coatcheck.model.change import ChangeFilter
from coatcheck.model.credential import Upkeep
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach
from coatcheck.store import schema, tables
from coatcheck.store.browsers import StoredBrowsers
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.directory import DATABASE_FILE
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.opening import open_database
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.registry.whole import sum_of
from older import make
from registered import (
    KEYS,
    SystemEntropy,
    a_credential,
    a_policy_use,
    a_policy_version,
    a_server,
    a_stored_policy,
    an_edit,
    an_operator,
)

R0002 = Path(__file__).with_name("old") / "r0002.sql"
"""What an earlier release left: one object of each kind, one of them changed; written by its own code."""
TOKEN = "a token of before"


@pytest.fixture
def old(directory: Path) -> Path:
    directory.mkdir(mode=0o700)
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as writing:
        writing.executescript(R0002.read_text(encoding="utf-8"))
        writing.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        writing.commit()
    return directory


async def check(database: Database) -> None:
    store = await StoredRegistry.open(database, KEYS, SystemEntropy())
    loaded = await store.load()
    assert (loaded.damaged, loaded.credentials, loaded.policies) == ((), {}, {})
    (grant,) = loaded.grants.values()
    assert store.pepper.fits(TOKEN, grant.proofs[0].hmac)
    assert [sorted(map(str, kept)) for kept in (loaded.subjects, loaded.operators)] == [["alice"], ["root"]]
    assert len(loaded.overrides) == 1
    first, second = loaded.servers[UUID(int=1)], loaded.servers[UUID(int=2)]
    assert (first.name, first.version, first.note, second.version) == ("github", 2, "edited", 1)
    assert isinstance(first.reach, HttpReach)
    assert first.reach.headers["Authorization"] == Secret("Bearer planted-header")
    assert all((dict(one.blanks), one.upkeep) == ({}, Upkeep()) for one in (first, second))
    assert {(one.default, one.approved, one.trusted) for one in (first, second)} == {
        (Default.ALLOW_ALL, None, False)
    }
    assert len(await store.list_changes(ChangeFilter())) == 2

    blanks = a_server().blanks
    policy, use, version = a_stored_policy(), a_policy_use(), a_policy_version()
    narrowed: dict[str, Any] = {"default": Default.READ_ONLY, "approved": ("get_*",), "trusted": True}
    edited = dataclasses.replace(first, version=3, blanks=blanks, **narrowed)
    await store.commit(an_edit([edited, a_credential(), policy, use, version]))
    again = await (await StoredRegistry.open(database, KEYS, SystemEntropy())).load()
    assert again.damaged == ()
    assert again.policies == {"caps": policy}
    assert list(again.policy_uses.values()) == [use]
    assert again.policy_versions == {("caps", 1): version}
    assert again.servers[UUID(int=1)] == edited
    assert again.servers[UUID(int=2)] == second

    for column in ("blanks", "upkeep", "allowing"):
        await attack(
            database, store, tables.server.c[column], tables.server.c.id == str(UUID(int=1)), "github"
        )
    await check_operator(database, store)


async def check_operator(database: Database, store: StoredRegistry) -> None:
    """An operator of before signs in by its token alone, until it has a password; then that cannot be hidden."""
    before = (await store.load()).operators["root"]
    assert (before.password, before.password_at, before.vouched) == ("", None, "")
    assert (before.invited_at, before.entered_at) == (None, None)
    edited = dataclasses.replace(before, version=before.version + 1, password="$argon2id$x", vouched="i#s")
    await store.commit(an_edit([edited]))
    assert (await store.load()).operators == {"root": edited}
    await attack(database, store, tables.operator.c.signing_in, tables.operator.c.name == "root", "root")


async def attack(
    database: Database, store: StoredRegistry, column: Column[Any], row: ColumnElement[bool], name: str
) -> None:
    """Take a column away from a row that was written with it: not a row of before, whatever it looks like."""
    before = database.read_now(lambda c: c.execute(select(column).where(row)).scalar_one())
    for value, damaged in ((None, (f"{column.table.name} {name}",)), (before, ())):
        database.write_now(
            lambda c, value=value: c.execute(update(column.table).where(row).values({column: value}))  # type: ignore[misc]
        )
        assert (await store.load()).damaged == damaged


async def test_a_store_of_r0002_with_rows(old: Path) -> None:
    assert SqliteDatabase.revision_at(old / DATABASE_FILE) == "0002"
    database = SqliteDatabase.open(old)
    try:
        await check(database)
    finally:
        database.close()


async def test_the_pepper_of_before_is_kept_from_the_first_opening_on(old: Path) -> None:
    database = SqliteDatabase.open(old)
    try:
        asked = select(tables.sealing_key.c.pepper)
        assert database.read_now(lambda c: c.execute(asked).scalar_one()) is None
        await StoredRegistry.open(database, KEYS, SystemEntropy())
        kept = database.read_now(lambda c: c.execute(asked).scalar_one())
        pepper = KEYS.of(Purpose.GRANT_PEPPER)
        assert pepper.hex() not in kept
        store = await StoredRegistry.open(database, KEYS, SystemEntropy())
        assert store.pepper.prove(TOKEN) == Pepper(pepper).prove(TOKEN)
        assert database.read_now(lambda c: c.execute(asked).scalar_one()) == kept
    finally:
        database.close()


async def test_a_store_of_r0002_on_postgresql(old: Path, emptied_url: Secret, tmp_path: Path) -> None:
    rows = rows_of(old / DATABASE_FILE)
    database = open_database(tmp_path / "here", emptied_url)

    def set_back(writing: Connection) -> None:
        writing.execute(text("DROP SCHEMA public CASCADE"))
        writing.execute(text("CREATE SCHEMA public"))
        make(writing, "0002")
        found = MetaData()
        found.reflect(writing)
        for name, some in rows.items():
            if some:
                writing.execute(insert(found.tables[name]), some)

    database.write_now(set_back)
    database.close()
    database = open_database(tmp_path / "here", emptied_url)
    try:
        await check(database)
    finally:
        database.close()


def rows_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    kept = ("grant", "subject", "server", "operator", "override", "sealing_key", "whole", "change")
    with closing(sqlite3.connect(path)) as reading:
        reading.row_factory = sqlite3.Row
        found = {name: [dict(row) for row in reading.execute(f'SELECT * FROM "{name}"')] for name in kept}
    for row in found["change"]:
        row["id"] = UUID(bytes=row["id"])
        del row["position"]  # the server counts by itself
    return found


async def test_a_store_of_r0001_gets_a_registry(old: Path) -> None:
    with closing(sqlite3.connect(old / DATABASE_FILE)) as writing:
        for table in ("grant", "subject", "server", "operator", "override", "change", "seen"):
            writing.execute(f'DROP TABLE "{table}"')
        for table in ("sealing_key", "whole"):
            writing.execute(f'DROP TABLE "{table}"')
        writing.execute("ALTER TABLE server_id DROP COLUMN mac")
        writing.execute("INSERT INTO server_id VALUES ('kept', 'kept', x'00112233445566778899aabbccddeeff')")
        writing.execute("UPDATE alembic_version SET version_num = '0001'")
        writing.commit()
    database = SqliteDatabase.open(old)
    try:
        store = await StoredRegistry.open(database, KEYS, SystemEntropy())
        await store.commit(an_edit([a_credential()]))
        assert (await store.load()).damaged == ()
        names = database.read_now(lambda c: c.execute(select(tables.server_id.c.name)).scalars().all())
        assert names == ["kept"]
    finally:
        database.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_store_of_r0008_gets_browsers(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What an operator was before is as it was, under the MAC of before; and browsers have their table."""
    url = request.getfixturevalue("emptied_url") if kind == "postgresql" else None
    folder = tmp_path / "here"
    database = open_database(folder, url)
    store = await StoredRegistry.open(database, KEYS, SystemEntropy())
    bare = an_operator(password="", password_at=None, vouched="", invited_at=None, entered_at=None)
    await store.commit(an_edit([bare]))

    def set_back(writing: Connection) -> None:
        row = dict(writing.execute(select(tables.operator)).mappings().one())
        del row["mac"], row["signing_in"]
        mac = row_mac(KEYS.of(Purpose.ROW_MAC), "operator", row, KEYS.id)
        found = store.sealing.whole
        writing.execute(update(tables.operator).values(mac=mac))
        found.start(writing, sum_of([mac]))
        writing.execute(text("ALTER TABLE operator DROP COLUMN signing_in"))
        writing.execute(text("DROP TABLE browser_session"))
        writing.execute(text("UPDATE alembic_version SET version_num = '0008'"))

    database.write_now(set_back)
    database.close()
    database = open_database(folder, url)
    try:
        store = await StoredRegistry.open(database, KEYS, SystemEntropy())
        loaded = await store.load()
        assert (loaded.damaged, loaded.operators) == ((), {"root": bare})
        await check_operator(database, store)
        assert await StoredBrowsers(database).list() == []
    finally:
        database.close()
