"""The book and the store under it: the double keeps the promises that the databases keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from coatcheck.core.keys import Keys
from coatcheck.errors import Stale, Taken
from coatcheck.model.change import ChangeFilter
from coatcheck.model.grant import Seen
from coatcheck.model.registry import Edit
from coatcheck.operations.cutting import Ending
from coatcheck.operations.inflight import Entry
from coatcheck.operations.registry.patches import NewGrant
from coatcheck.ports import RegistryStore
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.registry.store import StoredRegistry
from doubles.callers import issued
from doubles.clock import START
from doubles.entropy import CountingEntropy
from doubles.registries import ROOT, MemoryRegistryStore, Office

KEYS = Keys(bytes(range(7, 39)))


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RegistryStore]:
    if request.param == "memory":
        yield MemoryRegistryStore()
        return
    database = SqliteDatabase.open(tmp_path)
    yield await StoredRegistry.open(database, KEYS, CountingEntropy())
    database.close()


async def test_an_edit_is_whole_or_not_at_all(store: RegistryStore) -> None:
    _, one = issued("one")
    _, two = issued("two")
    await store.commit(Edit((one,), ()))
    for puts in ((two, one), (two, replace(one, version=3)), (replace(two, label=one.label),)):
        with pytest.raises((Stale, Taken)):
            await store.commit(Edit(puts, ()))
    assert dict((await store.load()).grants) == {one.id: one}
    over = replace(one, revoked_at=START, version=2)
    await store.commit(Edit((over, replace(two, label=one.label)), ()))
    assert set((await store.load()).grants) == {one.id, two.id}


async def test_what_the_use_cases_write_is_read_back_equal(store: RegistryStore) -> None:
    office = Office(store=store)  # type: ignore[arg-type]
    await office.open()
    await office.grants.issue_many(ROOT, [NewGrant("a", "x", None), NewGrant("b", "y", frozenset({"git"}))])
    await office.grants.rotate(ROOT, "a", 60)
    await office.grants.revoke(ROOT, ["b", "alice's"], "left")
    await office.subjects.disable(ROOT, "x", "leave")
    await office.operators.bootstrap()
    loaded, held = await store.load(), office.directory.snapshot.registry
    for kind in ("grants", "subjects", "servers", "operators", "overrides"):
        assert dict(getattr(loaded, kind)) == dict(getattr(held, kind)), kind
    actions = [one.change.action for one in await store.list_changes(ChangeFilter())]
    assert actions[0] == "operator.add"
    assert actions.count("grant.issue") == 2
    office.seen.note("a", "192.0.2.1", "claude 1")
    await office.seen.flush()
    assert await store.list_seen(["a"]) == [Seen("a", START, "192.0.2.1", "claude 1")]


async def test_edits_wait_for_each_other_and_none_is_lost() -> None:
    office = await Office().open()
    many = [office.grants.issue(ROOT, NewGrant(f"g{number}", "dora", None)) for number in range(40)]
    await asyncio.gather(*many)
    assert len(office.directory.snapshot.issued) == 40
    assert office.store.registry.subjects["dora"].version == 1


async def test_a_snapshot_that_was_taken_does_not_change() -> None:
    office = await Office().open()
    before = office.directory.snapshot
    await office.grants.issue(ROOT, NewGrant("a", "x", None))
    after = office.directory.snapshot
    assert (len(before.issued), len(after.issued), after.epoch) == (0, 1, before.epoch + 1)
    assert after.servers is before.servers
    assert after.live is before.live


async def test_waiting_for_what_never_says_that_it_ended_is_bounded() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                if release.is_set():
                    raise

    release = asyncio.Event()
    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    ending = Ending(entries=[Entry("a", task)])
    ending.entries[0].task.cancel()
    assert await ending.wait(0.05) == 1
    release.set()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
