"""Whoever edits rows of credentials gains nothing: what is changed, moved or put back is refused."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, select, update

from coatcheck.core.sealing.keys import Purpose
from coatcheck.core.sealing.row_macs import row_mac
from coatcheck.model.credential import Credential, Stage
from coatcheck.model.registry import Registry
from coatcheck.model.secret import Secret
from coatcheck.store import tables
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.registry.whole import NOT_WHOLE
from registered import (
    KEYS,
    SystemEntropy,
    a_child,
    a_credential,
    a_server,
    a_version,
    an_edit,
    an_oauth_credential,
    one_of_each,
)

EDITS = 1_000
TABLE = tables.credential
COLUMNS = [column for column in TABLE.columns if column.name != "id"]


async def a_store(database: Database) -> StoredRegistry:
    return await StoredRegistry.open(database, KEYS, SystemEntropy())


def rows_damaged(registry: Registry) -> list[str]:
    return sorted(name for name in registry.damaged if name != NOT_WHOLE)


# --- edits of rows -----------------------------------------------------------------------------------


async def test_a_thousand_random_edits_are_all_refused(any_database: Database) -> None:
    store = await a_store(any_database)
    kept = [a_credential(f"c{number}") for number in range(20)] + [an_oauth_credential()]
    await store.commit(an_edit(kept))
    whole = await store.load()
    assert whole.credentials == {one.id: one for one in kept}, "the positive path"
    chance = random.Random(20261121)
    for _ in range(EDITS if any_database.dialect == "sqlite" else 50):
        id = str(chance.choice(kept).id)
        with any_database._writers.connect() as writing:
            one_edit(writing, id, chance)
            loaded = store._load(writing)
            writing.rollback()
        assert len(rows_damaged(loaded)) == 1
        assert {str(one) for one in whole.credentials.keys() - loaded.credentials.keys()} == {id}
    assert await store.load() == whole


def one_edit(writing: Connection, id: str, chance: random.Random) -> None:
    row = TABLE.c.id == id
    while True:
        column = chance.choice(COLUMNS)
        before = writing.execute(select(column).where(row)).scalar_one()
        after = edited(before, chance) if before is not None else chance.choice(["{}", 0, 7])
        if column.nullable and before is not None and chance.random() < 0.3:
            after = None
        if column.name in {"version", "interval_days"} and isinstance(after, int):
            after = abs(after) % 2**31
        if isinstance(column.type, type(TABLE.c.version.type)) or column.name.endswith("_at"):
            after = after if not isinstance(after, str) else 5
        elif after is not None:
            after = str(after)
        if column.name == "folded":
            after = f"{after}{id}"  # the index would refuse a name that is taken
        if after != before:
            writing.execute(update(TABLE).where(row).values({column.name: after}))
            return


def edited(value: Any, chance: random.Random) -> Any:
    if isinstance(value, int):
        return value + chance.choice([-1, 1, 10**6, -(10**9), 1 << 20])
    place = chance.randrange(len(value) + 1)
    more = chance.choice(["", "a", "*", '"', "\u00e9", " "])
    return value[:place] + more + value[place + (chance.randrange(2) if more else 1) :]


# --- what one who could make MACs gains ----------------------------------------------------------------


def forged(database: Database, change: Callable[[dict[str, dict[str, Any]]], dict[str, Any]]) -> None:
    """Write one row with a MAC that fits it, as the key of MACs alone would allow."""

    def forge(writing: Connection) -> None:
        rows = {row["name"]: dict(row) for row in writing.execute(select(TABLE)).mappings()}
        row = change(rows)
        del row["mac"]
        row["mac"] = row_mac(KEYS.of(Purpose.ROW_MAC), TABLE.name, row, KEYS.id)
        writing.execute(update(TABLE).where(TABLE.c.id == row["id"]).values(row))

    database.write_now(forge)


def with_versions(row: dict[str, Any], versions: list[dict[str, Any]]) -> dict[str, Any]:
    return {**row, "versions": json.dumps(versions)}


def swapped_rows(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {**rows["second"], "versions": rows["first"]["versions"]}


def moved_to_another_credential(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    first, second = (json.loads(rows[name]["versions"]) for name in ("first", "second"))
    second[1]["material"] = first[1]["material"]
    return with_versions(rows["second"], second)


def moved_to_another_version(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    versions = json.loads(rows["second"]["versions"])
    versions[1]["material"] = versions[2]["material"]
    return with_versions(rows["second"], versions)


def swapped_versions(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    versions = json.loads(rows["second"]["versions"])
    versions[1]["number"], versions[2]["number"] = versions[2]["number"], versions[1]["number"]
    return with_versions(rows["second"], versions)


def moved_to_the_terms(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    terms = json.loads(rows["oauth"]["oauth"])
    terms["client_secret"] = json.loads(rows["oauth"]["versions"])[0]["material"]
    return {**rows["oauth"], "oauth": json.dumps(terms)}


FORGERIES = (
    swapped_rows,
    moved_to_another_credential,
    moved_to_another_version,
    swapped_versions,
    moved_to_the_terms,
)


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_sealed_material_opens_in_its_own_place_alone(
    any_database: Database, forgery: Callable[..., dict[str, Any]]
) -> None:
    store = await a_store(any_database)
    kept = [a_credential("first"), a_credential("second"), an_oauth_credential("oauth")]
    await store.commit(an_edit(kept))
    forged(any_database, lambda rows: {**rows["second"], "note": "forged"})
    assert (await store.load()).credentials.keys() == {one.id for one in kept}, "the MAC itself is good"
    forged(any_database, forgery)
    loaded = await store.load()
    (lost,) = {one.id for one in kept} - loaded.credentials.keys()
    name = "oauth" if forgery is moved_to_the_terms else "second"
    assert [one.name for one in kept if one.id == lost] == [name]
    assert rows_damaged(loaded) == [f"credential {name}"]


async def test_the_texts_around_a_credential_stay_in_their_place(any_database: Database) -> None:
    store = await a_store(any_database)
    first, second = a_server("first"), a_server("second")
    await store.commit(an_edit([first, second]))

    def move(writing: Connection) -> None:
        rows = {row["name"]: dict(row) for row in writing.execute(select(tables.server)).mappings()}
        row = {**rows["second"], "blanks": rows["first"]["blanks"]}
        del row["mac"]
        row["mac"] = row_mac(KEYS.of(Purpose.ROW_MAC), "server", row, KEYS.id)
        writing.execute(update(tables.server).where(tables.server.c.id == row["id"]).values(row))

    any_database.write_now(move)
    assert (await store.load()).servers == {first.id: first}


# --- rows of before --------------------------------------------------------------------------------------


async def test_the_row_of_an_old_backup_is_refused(any_database: Database) -> None:
    """A rotation cannot be undone behind the gateway's back."""
    store = await a_store(any_database)
    credential = a_credential(versions=(a_version(1),))
    await store.commit(an_edit([credential]))
    old = any_database.read_now(lambda reading: dict(reading.execute(select(TABLE)).mappings().one()))
    rotated = dataclasses.replace(credential, version=2, versions=(a_version(2), a_version(1, Stage.RETIRED)))
    await store.commit(an_edit([rotated]))
    assert (await store.load()).damaged == ()
    any_database.write_now(lambda writing: writing.execute(update(TABLE).values(old)))
    assert (await store.load()).damaged == (NOT_WHOLE,)


# --- at rest -----------------------------------------------------------------------------------------------


def spellings(secret: bytes) -> Iterator[bytes]:
    """Yield what a secret looks like in five encodings, however it is aligned."""
    yield secret
    yield secret.hex().encode()
    yield quote(secret, safe="").encode()
    yield secret.decode().encode("utf-16-le")
    for pad in range(3):
        coded = base64.b64encode(b"\x00" * pad + secret).rstrip(b"=")
        yield coded[(0, 2, 3)[pad] : -1]


async def test_no_secret_is_in_any_file(database: SqliteDatabase) -> None:
    store = await a_store(database)
    puts = one_of_each()
    await store.commit(an_edit(puts))
    first = next(one for one in puts if isinstance(one, Credential))
    versions = (a_version(5, material=Secret("planted:rotated/5?x")), a_version(4, Stage.RETIRED))
    await store.commit(an_edit([dataclasses.replace(first, version=2, versions=versions)]))
    await store.commit(an_edit([a_child("more"), a_server("again")]))
    assert (await store.load()).damaged == ()
    database.close()
    planted = [
        "planted-material-",
        "planted-client-secret",
        "planted-before",
        "planted-header",
        "planted-env",
    ]
    planted += ["planted-url", "planted-arg", "planted:rotated/5?x"]
    files = [path for path in database.path.parent.rglob("*") if path.is_file()]
    assert database.path in files
    for path in files:
        found = path.read_bytes()
        for secret in planted:
            for spelt in spellings(secret.encode()):
                assert spelt not in found, (path, secret)
