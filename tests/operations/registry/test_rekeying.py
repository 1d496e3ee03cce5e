"""A change of keys over the registry in a database and real files: what is told, and what is left if it fails."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from coatcheck.app.unsealing.key_files import FORMER, NEXT_FILE, FilesOfKey, id_in
from coatcheck.app.unsealing.keys import KEY_FILE, write_key
from coatcheck.app.unsealing.opening import unseal
from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import Damaged, Unavailable, Unfit
from coatcheck.model.change import Change, ChangeFilter, ObjectKind
from coatcheck.operations.registry.patches import NewGrant
from coatcheck.operations.registry.rekeying import Rekeying
from coatcheck.store import tables
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.registry.store import StoredRegistry
from doubles.registries import ROOT, Office

OTHER = "17a0c55d2e9b8463fe01d7c82b6a4f9033b85e6cd4197a02ef65d83a1b0c7e92"
OTHER_ID = Keys(bytes.fromhex(OTHER)).id


class SystemEntropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


class Place:
    """A store in a directory, its key, and the use cases over both."""

    def __init__(self, home: Path, database: SqliteDatabase, store: StoredRegistry, office: Office) -> None:
        self.home, self.database, self.store, self.office = home, database, store, office
        self.desk = office.grants._desk

    def keys(self, **environment: str) -> Rekeying:
        return Rekeying(self.desk, FilesOfKey(self.home, environment, SystemEntropy()))

    def names(self) -> set[str]:
        return {path.name for path in self.home.glob("coatcheck.key*")}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    database = SqliteDatabase.open(tmp_path)
    _, store = await unseal(database, tmp_path, {}, SystemEntropy())
    office = await Office(store=store).open()  # type: ignore[arg-type]
    yield Place(tmp_path, database, store, office)
    database.close()


async def test_the_key_is_changed_and_all_of_it_is_told(place: Place) -> None:
    issued = await place.office.grants.issue(ROOT, NewGrant("a", "alice", None))
    keys = place.keys()
    before = keys.view()
    assert (before.id, before.origin) == (place.store.key_id, "")
    done = await keys.rotate(ROOT)
    assert (done.old_id, done.new_id) == (before.id, keys.view().id)
    assert done.rows == sum(
        len(kept)
        for kept in (
            place.office.book.registry.grants,
            place.office.book.registry.subjects,
            place.office.book.registry.credentials,
        )
    )
    assert done.former_path == str(place.home / f"{FORMER}{before.id}")
    assert done.former_path in done.advice
    assert "rm " in done.advice
    assert place.names() == {KEY_FILE, f"{FORMER}{before.id}"}
    assert (id_in(place.home / KEY_FILE), id_in(Path(done.former_path))) == (done.new_id, before.id)
    (entry,) = await place.store.list_changes(ChangeFilter(kind=ObjectKind.KEY))
    assert (entry.change.action, entry.change.actor, entry.change.object_id) == (
        "key.rotate",
        ROOT.name,
        done.new_id,
    )
    assert [json.loads(text) for text in (entry.change.before, entry.change.after)] == [
        {"id": before.id},
        {"id": done.new_id},
    ]
    assert issued.token is not None
    assert place.office.who(issued.token.reveal()) == "alice"


async def test_from_outside(place: Place, tmp_path: Path) -> None:
    given = (place.home / KEY_FILE).read_text().strip()
    (place.home / KEY_FILE).unlink()
    keys = place.keys(COATCHECK_KEY=given)
    with pytest.raises(Unfit, match="from outside, by COATCHECK_KEY"):
        await keys.rotate(ROOT)
    write_key(tmp_path / "new", OTHER)
    done = await keys.rotate(ROOT, str(tmp_path / "new"))
    assert (done.new_id, done.former_path) == (OTHER_ID, None)
    assert done.advice.startswith(f"before the next start, COATCHECK_KEY must give the new key {OTHER_ID}")
    assert place.names() == set()
    with pytest.raises(Unfit, match="is the one in use"):
        await keys.rotate(ROOT, str(tmp_path / "new"))
    assert given not in done.advice


async def test_a_former_key_that_is_gone_is_told(place: Place) -> None:
    old = place.store.key_id
    (place.home / KEY_FILE).unlink()
    done = await place.keys().rotate(ROOT)
    assert (done.former_path, place.names()) == (None, {KEY_FILE})
    assert f"the former key, {old}, was not in its file any more" in done.advice
    assert id_in(place.home / KEY_FILE) == done.new_id


async def test_what_was_damaged_is_not_vouched_for_and_no_key_is_left(place: Place) -> None:
    await place.office.grants.issue(ROOT, NewGrant("a", "alice", None))

    def edit(writing: Connection) -> None:
        writing.execute(update(tables.grant).values(note="x"))

    place.database.write_now(edit)
    old = place.store.key_id
    with pytest.raises(Damaged, match="grant a") as refused:
        await place.keys().rotate(ROOT)
    assert "accept-damage" in refused.value.fix
    assert (place.names(), place.store.key_id, id_in(place.home / KEY_FILE)) == ({KEY_FILE}, old, old)


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("happened", [True, False])
async def test_a_connection_that_breaks_in_the_commit_loses_no_key(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, happened: bool, readable: bool
) -> None:
    old, rekey = place.store.key_id, place.store.rekey
    unreadable: list[StoreUnavailable] = []

    async def breaking(keys: Keys, change: Change) -> None:
        if happened:
            await rekey(keys, change)
        if not readable:
            unreadable.append(StoreUnavailable("the server is away"))
        raise StoreUnavailable("the connection broke")

    async def unread() -> None:
        if unreadable:
            raise unreadable[0]

    monkeypatch.setattr(place.store, "rekey", breaking)
    monkeypatch.setattr(place.store, "_find_out", unread)
    if happened and readable:
        assert (await place.keys().rotate(ROOT)).old_id == old
    else:
        with pytest.raises(Unavailable):
            await place.keys().rotate(ROOT)
    assert place.office.book.behind == (not readable)
    if not readable:
        assert NEXT_FILE in place.names(), "it may be the one that is needed"
    monkeypatch.undo()
    unreadable.clear()
    key = place.store.key_id
    assert (key != old) == happened
    await place.keys().rotate(ROOT)  # which brings the files in line first
    assert id_in(place.home / KEY_FILE) == place.store.key_id != key
    assert NEXT_FILE not in place.names()
    assert (f"{FORMER}{old}" in place.names()) == (f"{FORMER}{key}" in place.names()) or not happened
    assert not place.office.book.behind


async def test_edits_and_a_change_of_keys_at_once(place: Place) -> None:
    issuing = [place.office.grants.issue(ROOT, NewGrant(f"g{number}", "dora", None)) for number in range(20)]
    keys = place.keys()
    await asyncio.gather(*issuing[:10], keys.rotate(ROOT), *issuing[10:], keys.rotate(ROOT))
    loaded = await place.store.load()
    assert loaded.damaged == ()
    assert len(loaded.grants) == 20
    assert id_in(place.home / KEY_FILE) == place.store.key_id
    assert len(place.names()) == 3
