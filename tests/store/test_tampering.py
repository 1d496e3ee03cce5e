"""Whoever edits rows of the registry without the key is noticed: nothing of such a row is used."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, insert, select, update

from coatcheck.errors import Taken
from coatcheck.model.change import ChangeFilter
from coatcheck.model.registry import Registry
from coatcheck.store import tables
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.registry.whole import NOT_WHOLE
from registered import KEYS, OTHER_KEYS, SystemEntropy, a_change, a_grant, a_server, an_edit, one_of_each

EDITS = 1_000
GRANTS = 50
COLUMNS = [column for column in tables.grant.columns if column.name != "id"]


async def a_store(database: Database) -> StoredRegistry:
    return await StoredRegistry.open(database, KEYS, SystemEntropy())


def edited(value: Any, chance: random.Random) -> Any:
    """Return another value, such as someone would write who wants more, or as a failing disk makes."""
    if value is None:
        return chance.choice([0, 1, 10**15])
    if isinstance(value, int):
        return value + chance.choice([-1, 1, 10**12, -(10**9), 1 << 20])
    place = chance.randrange(len(value) + 1)
    more = chance.choice(["", "a", "*", '"', "\u00e9", " "])
    cut = chance.randrange(2) if more else 1
    return value[:place] + more + value[place + cut :]


async def test_a_thousand_random_edits_are_all_refused(any_database: Database) -> None:
    store = await a_store(any_database)
    rounds = EDITS // GRANTS if any_database.dialect == "sqlite" else 1
    chance = random.Random(20261121)
    refused = 0
    for turn in range(rounds):
        grants = {one.id: one for one in (a_grant(f"g{turn}-{number}") for number in range(GRANTS))}
        await store.commit(an_edit(list(grants.values())))
        assert dict((await store.load()).grants).items() >= grants.items(), "the positive path"
        for id in grants:
            any_database.write_now(lambda writing, id=id: only_edit(writing, id, chance))  # type: ignore[misc]
        loaded = await store.load()
        assert loaded.grants.keys().isdisjoint(grants)
        refused += GRANTS
        assert len(rows_damaged(loaded)) == GRANTS * (turn + 1)
        any_database.write_now(
            lambda writing: writing.execute(update(tables.grant).values(label=tables.grant.c.id))
        )
    assert refused == rounds * GRANTS


def only_edit(writing: Connection, id: str, chance: random.Random) -> None:
    while True:
        column = chance.choice(COLUMNS)
        row = tables.grant.c.id == id
        before = writing.execute(select(column).where(row)).scalar_one()
        after = (
            None
            if column.nullable and before is not None and chance.random() < 0.3
            else edited(before, chance)
        )
        if before is None and column.name in {"servers", "tools", "claim"}:
            after = "[]"
        if column.name == "version":
            after = abs(int(after or 0)) % 2**31
        if column.name == "label":
            after = f"{after}{id}"  # the index would refuse a label that is taken
        if after != before:
            writing.execute(update(tables.grant).where(row).values({column.name: after}))
            return


TABLES = [
    tables.grant,
    tables.subject,
    tables.server,
    tables.operator,
    tables.override,
    tables.credential,
    tables.policy,
    tables.policy_use,
    tables.policy_version,
    tables.pin,
]


@pytest.mark.parametrize(
    ("table", "column"), [(table, column.name) for table in TABLES for column in table.columns]
)
async def test_no_column_of_any_table_is_outside_the_mac(
    database: SqliteDatabase, table: Table, column: str
) -> None:
    store = await a_store(database)
    await store.commit(an_edit(one_of_each()))
    whole = await store.load()
    assert whole.damaged == ()
    rows = database.read_now(lambda reading: reading.execute(select(table)).mappings().all())
    before = rows[0][column]
    key = [each == rows[0][each.name] for each in table.primary_key.columns]
    for after in (5, "edited", "", None, before + 1 if isinstance(before, int) else f"{before}x"):
        if after == before or (after is None and not table.c[column].nullable):
            continue
        with database._writers.connect() as writing:
            writing.execute(update(table).where(*key).values({column: after}))
            loaded = store._load(writing)
            writing.rollback()
        assert len(rows_damaged(loaded)) == 1, (column, after)
        assert (NOT_WHOLE in loaded.damaged) == (column == "mac")
        assert count(loaded) == count(whole) - 1
    assert await store.load() == whole


def rows_damaged(registry: Registry) -> list[str]:
    return sorted(name for name in registry.damaged if name != NOT_WHOLE)


def count(registry: Registry) -> int:
    kept = (
        registry.grants,
        registry.subjects,
        registry.servers,
        registry.operators,
        registry.overrides,
        registry.credentials,
        registry.policies,
        registry.policy_uses,
        registry.policy_versions,
        registry.pins,
    )
    return sum(len(nouns) for nouns in kept)


async def test_a_row_cannot_be_made_from_others(database: SqliteDatabase) -> None:
    store = await a_store(database)
    await store.commit(an_edit([a_grant("narrow"), a_grant("wide", servers=None, tools=None)]))

    def forge(writing: Connection) -> None:
        wide = writing.execute(select(tables.grant).where(tables.grant.c.label == "wide")).mappings().one()
        writing.execute(insert(tables.grant).values({**wide, "id": "forged", "label": "forged"}))
        writing.execute(update(tables.grant).where(tables.grant.c.label == "narrow").values(mac=wide["mac"]))

    database.write_now(forge)
    loaded = await store.load()
    assert [one.label for one in loaded.grants.values()] == ["wide"]
    assert rows_damaged(loaded) == ["grant forged", "grant narrow"]
    assert NOT_WHOLE in loaded.damaged


@pytest.mark.parametrize("value", ["5", "x'ff'", "5.5", "'5'", "NULL", "true"])
async def test_a_value_of_another_type_is_refused_too(database: SqliteDatabase, value: str) -> None:
    store = await a_store(database)
    await store.commit(an_edit([a_grant()]))
    database.write_now(
        lambda c: c.exec_driver_sql(
            f'UPDATE "grant" SET expires_at = {value}, note = {value if value != "NULL" else 7}'
        )
    )
    assert (await store.load()).grants == {}


async def test_a_sealed_value_moved_to_another_place_is_refused(
    any_database: Database, open_any: Callable[[], Database]
) -> None:
    """Even one who could make MACs cannot move the secret of one server to the address of another."""
    from coatcheck.core.sealing.keys import Purpose
    from coatcheck.core.sealing.row_macs import row_mac

    store = await a_store(any_database)
    first, second = a_server("first"), a_server("second")
    await store.commit(an_edit([first, second]))

    def move(writing: Connection) -> None:
        rows = {row["name"]: dict(row) for row in writing.execute(select(tables.server)).mappings()}
        moved = {**rows["second"], "reach": rows["first"]["reach"]}
        del moved["mac"]
        moved["mac"] = row_mac(KEYS.of(Purpose.ROW_MAC), "server", moved, KEYS.id)
        writing.execute(update(tables.server).where(tables.server.c.id == moved["id"]).values(moved))

    any_database.write_now(move)
    loaded = await store.load()
    assert loaded.servers == {first.id: first}
    assert rows_damaged(loaded) == ["server second"]


async def test_another_key_reads_nothing(database: SqliteDatabase) -> None:
    await (await a_store(database)).commit(an_edit(one_of_each()))
    loaded = await StoredRegistry(database, OTHER_KEYS, SystemEntropy()).load()
    assert count(loaded) == 0
    assert len(rows_damaged(loaded)) == len(one_of_each())


# --- the whole ---------------------------------------------------------------------------------------


async def test_a_row_that_was_removed_is_missed(any_database: Database) -> None:
    store = await a_store(any_database)
    await store.commit(an_edit(one_of_each()))
    assert (await store.load()).damaged == ()
    any_database.write_now(lambda writing: writing.execute(delete(tables.override)))
    loaded = await store.load()
    assert loaded.damaged == (NOT_WHOLE,)
    assert loaded.overrides == {}
    await store.commit(an_edit([a_grant("next")]))
    assert (await store.load()).damaged == (NOT_WHOLE,), "no edit covers it up"


async def test_an_old_row_that_was_put_back_is_noticed(any_database: Database) -> None:
    store = await a_store(any_database)
    grant = a_grant()
    await store.commit(an_edit([grant]))
    asked = select(tables.grant)
    old = any_database.read_now(lambda reading: dict(reading.execute(asked).mappings().one()))
    await store.commit(an_edit([dataclasses.replace(grant, version=2, revoked_at=grant.issued_at)]))
    assert (await store.load()).damaged == ()
    any_database.write_now(lambda writing: writing.execute(update(tables.grant).values(old)))
    loaded = await store.load()
    assert loaded.grants == {grant.id: grant}, "every check of the row itself is passed"
    assert loaded.damaged == (NOT_WHOLE,)


@pytest.mark.parametrize(
    "forgery",
    [
        "UPDATE whole SET rows = rows - 1",
        "UPDATE whole SET total = 'x'",
        "UPDATE whole SET mac = ''",
        "DELETE FROM whole",
        "UPDATE whole SET rows = 0, total = '0'",
    ],
)
async def test_the_sum_cannot_be_edited_either(any_database: Database, forgery: str) -> None:
    store = await a_store(any_database)
    await store.commit(an_edit([a_grant()]))
    assert (await store.load()).damaged == ()
    any_database.write_now(lambda writing: writing.exec_driver_sql(forgery))
    assert (await store.load()).damaged == (NOT_WHOLE,)
    await store.commit(an_edit([a_grant("next")]))
    assert (await store.load()).damaged == (NOT_WHOLE,)


async def test_every_way_of_editing_keeps_the_sum(any_database: Database) -> None:
    store = await a_store(any_database)
    grants = [a_grant(f"g{number}") for number in range(5)]
    await store.commit(an_edit([*grants, a_server()]))
    for version in (2, 3):
        edits = [dataclasses.replace(one, version=version, note=f"{version}") for one in grants]
        await store.commit(an_edit([*edits, a_grant(f"new{version}")]))
    with pytest.raises(Taken):
        await store.commit(an_edit([a_grant("other"), a_grant("g1")]))
    loaded = await store.load()
    assert loaded.damaged == ()
    assert len(loaded.grants) == 7


async def test_what_is_damaged_can_be_accepted_as_lost(any_database: Database) -> None:
    store = await a_store(any_database)
    kept, lost = a_grant("kept"), a_grant("lost")
    await store.commit(an_edit([kept, lost]))

    def edit(writing: Connection) -> None:
        writing.execute(update(tables.grant).where(tables.grant.c.label == "lost").values(servers=None))
        writing.execute(delete(tables.whole))

    any_database.write_now(edit)
    assert sorted((await store.load()).damaged) == ["grant lost", NOT_WHOLE]
    with pytest.raises(Taken):
        await store.commit(an_edit([a_grant("lost")]))
    change = a_change("registry", action="registry.accept")
    assert await store.accept(change) == ("grant lost",)
    loaded = await store.load()
    assert loaded.grants == {kept.id: kept}
    assert loaded.damaged == ()
    assert [entry.change for entry in await store.list_changes(ChangeFilter(limit=1))] == [change]
    await store.commit(an_edit([a_grant("lost")]))
    assert (await store.load()).damaged == ()
