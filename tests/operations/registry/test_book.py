"""The book and the store under it: the double keeps the promises that the databases keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import Stale, Taken, Unavailable
from coatcheck.model.change import ChangeFilter
from coatcheck.model.grant import Seen
from coatcheck.model.registry import Edit, Registry
from coatcheck.model.secret import Secret
from coatcheck.operations.cutting import Ending
from coatcheck.operations.inflight import Entry
from coatcheck.operations.registry.patches import NewGrant, NewServer
from coatcheck.ports import RegistryStore
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.registry.store import StoredRegistry
from doubles.callers import issued
from doubles.clock import START
from doubles.entropy import CountingEntropy
from doubles.registries import ROOT, MemoryRegistryStore, Office

KEYS = Keys(bytes(range(7, 39)))


class BreakingRegistry(StoredRegistry):
    """Loses the word of the next commit, as a connection does that breaks in it; see the double."""

    breaking: Unavailable | None = None
    unreadable: Unavailable | None = None

    async def load(self) -> Registry:
        if self.unreadable is not None:
            raise self.unreadable
        return await super().load()

    async def commit(self, edit: Edit) -> None:
        await super().commit(edit)
        if self.breaking is not None:
            broken, self.breaking = self.breaking, None
            raise broken


AnyStore = MemoryRegistryStore | BreakingRegistry


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyStore]:
    if request.param == "memory":
        yield MemoryRegistryStore()
        return
    database: Database
    if request.param == "postgresql":
        from coatcheck.store.engines.postgres import PostgresDatabase

        database = PostgresDatabase.open(request.getfixturevalue("emptied_url"))
    else:
        database = SqliteDatabase.open(tmp_path)
    yield await BreakingRegistry.open(database, KEYS, CountingEntropy())
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


# --- nobody knows whether a commit happened ---------------------------------------------------------------

LOST = Unavailable("the connection to the database broke")


def kept(registry: Registry) -> list[object]:
    return [registry.grants, registry.subjects, registry.servers, registry.operators, registry.overrides]


async def begun(store: AnyStore) -> tuple[Office, str]:
    """Open an office over a store, with a live grant `a` of `x`; return its token."""
    office = await Office(store=store).open()  # type: ignore[arg-type]
    made = await office.grants.issue(ROOT, NewGrant("a", "x", None))
    assert made.token is not None
    token = made.token.reveal()
    assert office.who(token) == "x"
    return office, token


async def test_an_edit_that_happened_is_in_force_although_its_word_was_lost(store: AnyStore) -> None:
    office, token = await begun(store)
    grant = await office.grants.get("a")
    store.breaking = LOST
    ended = await office.grants.revoke(ROOT, ["a"], "left")
    assert [one.id for one in ended.grants] == [grant.id]
    assert office.sessions.ended == [grant.id]
    assert office.who(token) == "<revoked>"
    store.breaking = LOST
    again = await office.grants.issue(ROOT, NewGrant("a", "y", None))
    assert again.token is not None
    assert office.who(again.token.reveal()) == "y"
    assert kept(office.book.registry) == kept(await store.load())
    assert not office.book.behind


async def test_what_ended_meanwhile_is_cut_off(store: AnyStore) -> None:
    office, token = await begun(store)
    bystander = await office.grants.issue(ROOT, NewGrant("b", "y", None))
    assert bystander.token is not None
    held = office.book.registry.grants[(await office.grants.get("a")).id]
    over = replace(held, revoked_at=START, version=held.version + 1)
    await store.commit(Edit((over,), ()))  # behind the book's back
    assert office.who(token) == "x"
    with pytest.raises(Stale):
        await office.grants.revoke(ROOT, ["a"], "left")
    assert office.who(token) == "<revoked>"
    assert office.sessions.ended == [held.id]
    assert office.who(bystander.token.reveal()) == "y"
    assert kept(office.book.registry) == kept(await store.load())
    with pytest.raises(Taken):
        await taken_behind(office, store)
    assert "c's" in {one.label for one in office.book.registry.grants.values()}
    assert len((await office.grants.revoke(ROOT, ["c's"], "now it can be")).grants) == 1


async def taken_behind(office: Office, store: AnyStore) -> None:
    """Issue a grant whose label somebody else took, in the store alone."""
    _, other = issued("c")
    await store.commit(Edit((other,), ()))
    await office.grants.issue(ROOT, NewGrant("c's", "z", None))


async def test_servers_and_people_too(store: AnyStore) -> None:
    office, token = await begun(store)
    store.breaking = LOST
    await office.registered.add(ROOT, NewServer("far", url=Secret("https://far.example/mcp")))
    assert "far" in office.directory.snapshot.servers
    store.breaking = LOST
    await office.subjects.disable(ROOT, "x", "leave")
    assert office.who(token) == "<disabled>"
    store.breaking = LOST
    await office.registered.end(ROOT, "far", "old")
    assert "far" not in office.directory.snapshot.servers
    store.breaking = LOST
    await office.grants.revoke(ROOT, ["alice's"], "of the file")
    assert all(one.label != "alice's" for one in office.directory.snapshot.live.values())
    assert kept(office.book.registry) == kept(await store.load())


async def test_while_the_store_cannot_be_read_nobody_is_let_in(store: AnyStore) -> None:
    office, token = await begun(store)
    store.breaking = store.unreadable = LOST
    with pytest.raises(Unavailable):
        await office.grants.revoke(ROOT, ["a"], "left")
    assert (office.book.behind, office.book.registry.uncertain) == (True, True)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await office.book.catch_up()
    with pytest.raises(Unavailable):
        await office.grants.issue(ROOT, NewGrant("b", "x", None))
    store.unreadable = None
    await office.book.catch_up()
    assert (office.book.behind, office.book.registry.uncertain) == (False, False)
    assert office.who(token) == "<revoked>"
    assert office.sessions.ended == [(await office.grants.get("a")).id]
    epoch = office.directory.snapshot.epoch
    await office.book.catch_up()
    assert office.directory.snapshot.epoch == epoch, "there is nothing owed"


async def test_the_next_edit_is_judged_by_what_the_store_holds(store: AnyStore) -> None:
    office, _ = await begun(store)
    store.breaking = store.unreadable = LOST
    with pytest.raises(Unavailable):
        await office.grants.issue(ROOT, NewGrant("b", "x", None))
    store.unreadable = None
    with pytest.raises(Taken):
        await office.grants.issue(ROOT, NewGrant("b", "x", None))
    assert not office.book.behind


async def test_a_commit_that_did_not_happen_changes_nothing() -> None:
    office = await Office().open()
    before = office.directory.snapshot
    office.store.failing = LOST
    with pytest.raises(Unavailable):
        await office.grants.issue(ROOT, NewGrant("a", "x", None))
    assert office.directory.snapshot is before
    office.store.failing = None
    await office.grants.issue(ROOT, NewGrant("a", "x", None))


async def test_what_the_store_holds_no_more_is_in_force_no_more() -> None:
    office, token = await begun(MemoryRegistryStore())
    await office.registered.add(ROOT, NewServer("far", url=Secret("https://far.example/mcp")))
    (server,) = office.book.registry.servers
    grant = (await office.grants.get("a")).id
    office.store.registry = Registry(damaged=("grant a",))
    office.store.failing = LOST
    with pytest.raises(Unavailable):
        await office.grants.issue(ROOT, NewGrant("b", "x", None))
    assert office.who(token) == "<unknown>"
    assert "far" not in office.directory.snapshot.servers
    assert office.sessions.ended == [grant, "forwarded:x", str(server)]
    assert office.book.registry.damaged == ("grant a",)
