"""What every store of the registry owes its callers, run on each database."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from coatcheck.errors import Sealed, Stale, Taken, Unfit
from coatcheck.model.change import ChangeFilter, ObjectKind
from coatcheck.model.credential import Credential, Custody, Stage, Upkeep
from coatcheck.model.grant import Seen
from coatcheck.model.policy import Default
from coatcheck.model.registry import Object, Registry
from coatcheck.model.secret import Secret
from coatcheck.model.server import StoredServer
from coatcheck.model.stored_policy import UseKind
from coatcheck.store import tables
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from coatcheck.store.registry.seen import CLIENTS
from coatcheck.store.registry.store import StoredRegistry
from ledgers import START
from registered import (
    KEYS,
    OTHER_KEYS,
    SystemEntropy,
    a_change,
    a_child,
    a_credential,
    a_grant,
    a_server,
    a_subject,
    a_version,
    an_edit,
    an_operator,
    an_override,
    one_of_each,
)


@pytest.fixture
async def store(any_database: Database) -> StoredRegistry:
    return await StoredRegistry.open(any_database, KEYS, SystemEntropy())


def all_of(registry: Registry) -> list[Object]:
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
    return [noun for nouns in kept for noun in nouns.values()]


async def test_what_was_committed_is_loaded_equal(
    store: StoredRegistry, any_database: Database, open_any: Callable[[], Database]
) -> None:
    assert await store.load() == Registry()
    puts = one_of_each()
    await store.commit(an_edit(puts))
    any_database.close()
    loaded = await (await StoredRegistry.open(open_any(), KEYS, SystemEntropy())).load()
    assert loaded.damaged == ()
    assert sorted(map(repr, all_of(loaded))) == sorted(map(repr, puts))
    assert all(one in all_of(loaded) for one in puts), "secrets are equal too"
    grant, subject, server, child, _, _, credential, oauth, policy, use, version, pin = puts
    assert loaded.grants == {grant.id: grant}  # type: ignore[union-attr]
    assert loaded.subjects == {"alice": subject}
    assert {one.id for one in loaded.servers.values()} == set(loaded.servers)
    assert list(loaded.operators) == ["root"]
    assert list(loaded.overrides) == [(ObjectKind.GRANT, "file-0123456789ab")]
    assert isinstance(server, StoredServer)
    assert isinstance(child, StoredServer)
    assert isinstance(credential, Credential)
    assert isinstance(oauth, Credential)
    assert loaded.credentials == {credential.id: credential, oauth.id: oauth}
    assert loaded.servers[server.id].upkeep.probe == server.upkeep.probe
    assert loaded.servers == {server.id: server, child.id: child}
    assert loaded.policies == {"caps": policy}
    assert loaded.policy_uses == {(UseKind.GRANT, "g1", UUID(int=7), "caps"): use}
    assert loaded.policy_versions == {("caps", 1): version}
    assert loaded.pins == {(UUID(int=7), "create_charge"): pin}


async def test_what_has_no_limits_is_kept_so(store: StoredRegistry) -> None:
    bare = a_grant(servers=None, tools=None, proofs=(), expires_at=None, claim=None)
    empty = a_grant("other", servers=frozenset(), tools=(), revoked_at=START, revoked_by="x", because="y")
    await store.commit(an_edit([bare, empty, a_child()]))
    loaded = await store.load()
    assert loaded.grants == {bare.id: bare, empty.id: empty}
    assert loaded.grants[empty.id].servers == frozenset()
    assert loaded.grants[bare.id].servers is None


@pytest.mark.parametrize("index", range(len(one_of_each())))
async def test_each_version_is_written_once(store: StoredRegistry, index: int) -> None:
    first: Any = one_of_each()[index]
    await store.commit(an_edit([first]))
    second = (
        dataclasses.replace(first, version=2, because="b")
        if hasattr(first, "because")
        else dataclasses.replace(first, version=2)
    )
    await store.commit(an_edit([second]))
    for late in (second, dataclasses.replace(first, version=4), dataclasses.replace(first, version=9)):
        with pytest.raises(Stale, match="was changed since it was read"):
            await store.commit(an_edit([late], a_change("late")))
    assert all_of(await store.load()) == [second]
    assert len(await store.list_changes(ChangeFilter())) == 2
    with pytest.raises((Stale, Taken)):
        await store.commit(an_edit([first]))
    with pytest.raises(ValueError, match="version"):
        await store.commit(an_edit([dataclasses.replace(first, version=0)]))


async def test_what_was_never_stored_cannot_be_changed(store: StoredRegistry) -> None:
    with pytest.raises(Stale):
        await store.commit(an_edit([a_grant(version=2)]))
    assert await store.load() == Registry()


async def test_labels_are_unique_among_live_grants(store: StoredRegistry) -> None:
    first = a_grant("ci")
    await store.commit(an_edit([first, a_grant("CI")]))
    with pytest.raises(Taken, match="the label 'ci' belongs to another grant"):
        await store.commit(an_edit([a_grant("ci")]))
    ended = dataclasses.replace(first, version=2, revoked_at=START)
    next_one = a_grant("ci")
    await store.commit(an_edit([next_one, ended]))  # in one edit, in whatever order
    with pytest.raises(Taken):
        await store.commit(an_edit([dataclasses.replace(ended, version=3, revoked_at=None)]))
    assert (await store.load()).grants[next_one.id] == next_one


async def test_names_of_live_servers_are_unique_without_case(store: StoredRegistry) -> None:
    first = a_server("GitHub")
    await store.commit(an_edit([first]))
    with pytest.raises(Taken, match="the name 'github' belongs to another server"):
        await store.commit(an_edit([a_server("github")]))
    await store.commit(an_edit([dataclasses.replace(first, version=2, ended_at=START)]))
    await store.commit(an_edit([a_server("github")]))


async def test_names_of_credentials_in_use_are_unique_without_case(store: StoredRegistry) -> None:
    first = a_credential("GitHub-Token")
    await store.commit(an_edit([first, a_server("github-token")]))
    with pytest.raises(Taken, match="the name 'github-token' belongs to another credential"):
        await store.commit(an_edit([a_credential("github-token")]))
    next_one = a_credential("github-token")
    await store.commit(an_edit([next_one, dataclasses.replace(first, version=2, ended_at=START)]))
    with pytest.raises(Taken):
        await store.commit(an_edit([dataclasses.replace(first, version=3, ended_at=None)]))
    assert (await store.load()).credentials[next_one.id] == next_one


@pytest.mark.parametrize("approved", [None, (), ("*",), ("a b", '"]', "caf\u00e9")])
@pytest.mark.parametrize("default", Default)
async def test_what_a_server_allows_of_itself_is_kept(
    store: StoredRegistry, default: Default, approved: tuple[str, ...] | None
) -> None:
    put = [
        a_server(f"s{trusted}", default=default, approved=approved, trusted=trusted)
        for trusted in (False, True)
    ]
    await store.commit(an_edit(put))
    assert (await store.load()).servers == {one.id: one for one in put}


async def test_a_default_that_was_widened_in_the_database_is_noticed(
    store: StoredRegistry, any_database: Database
) -> None:
    server = a_server(default=Default.READ_ONLY, approved=("get_*",), trusted=False)
    await store.commit(an_edit([server]))
    column = tables.server.c.allowing
    before = any_database.read_now(lambda reading: reading.execute(select(column)).scalar_one())
    wider = (
        '["allow-all",["get_*"],false]',
        '["read-only",null,false]',
        '["read-only",["*"],false]',
        '["read-only",["get_*"],true]',
        before.replace(",", ", "),
        None,
    )
    for text in (*wider, before):
        wanted = update(tables.server).values(allowing=text)
        any_database.write_now(lambda writing, wanted=wanted: writing.execute(wanted))  # type: ignore[misc]
        loaded = await store.load()
        if text == before:
            assert (loaded.servers, loaded.damaged) == ({server.id: server}, ())
        else:
            assert (loaded.servers, loaded.damaged) == ({}, ("server github",)), text


async def test_what_a_credential_lacks_stays_lacking(store: StoredRegistry) -> None:
    bare = Credential(uuid4(), "bare", Custody.ENV, (), START, "file", interval=None)
    await store.commit(an_edit([bare, a_server("none", blanks={}, upkeep=Upkeep())]))
    loaded = await store.load()
    assert loaded.credentials == {bare.id: bare}
    (server,) = loaded.servers.values()
    assert (dict(server.blanks), server.upkeep) == ({}, Upkeep())


async def test_a_retired_version_has_no_material_in_its_row(
    store: StoredRegistry, any_database: Database
) -> None:
    retired = a_version(1, Stage.RETIRED, material=Secret("planted-late"))
    credential = a_credential(versions=(a_version(2), retired))
    await store.commit(an_edit([credential]))
    loaded = (await store.load()).credentials[credential.id]
    assert [one.material for one in loaded.versions] == [Secret("planted-material-2"), None]
    (row,) = any_database.read_now(
        lambda reading: reading.execute(select(tables.credential.c.versions)).scalars().all()
    )
    assert [one["material"] is None for one in json.loads(row)] == [False, True]


@pytest.mark.parametrize("make", [a_subject, an_operator])
async def test_a_name_is_one_subject_or_operator(store: StoredRegistry, make: Callable[..., Object]) -> None:
    await store.commit(an_edit([make("zoe")]))
    with pytest.raises(Taken, match="'zoe'"):
        await store.commit(an_edit([make("zoe", version=1)]))


async def test_an_edit_is_whole_or_nothing(store: StoredRegistry) -> None:
    kept = a_grant("kept")
    await store.commit(an_edit([kept], a_change("kept")))
    puts: list[Object] = [a_grant("new"), a_subject("bob"), an_override(), a_grant("kept")]
    with pytest.raises(Taken):
        await store.commit(an_edit(puts, a_change("new"), a_change("bob")))
    assert all_of(await store.load()) == [kept]
    assert [entry.change.object_name for entry in await store.list_changes(ChangeFilter())] == ["kept"]
    twice = a_change("twice")
    with pytest.raises(StoreUnavailable):  # the log takes no change twice, so nothing is made
        await store.commit(an_edit([a_grant("other")], twice, twice))
    assert all_of(await store.load()) == [kept]


async def test_text_that_no_column_holds_is_refused(store: StoredRegistry) -> None:
    for bad in ("nul \x00", "half \udc80"):
        with pytest.raises(Unfit, match="label holds characters"):
            await store.commit(an_edit([a_grant(bad)]))
        with pytest.raises(Unfit, match="because holds"):
            await store.commit(an_edit([a_grant()], a_change(because=bad)))
    assert await store.load() == Registry()


async def test_the_store_belongs_to_its_first_key(any_database: Database, store: StoredRegistry) -> None:
    await StoredRegistry.open(any_database, KEYS, SystemEntropy())
    with pytest.raises(Sealed, match=f"belongs to the key {KEYS.id}, and the key given is {OTHER_KEYS.id}"):
        await StoredRegistry.open(any_database, OTHER_KEYS, SystemEntropy())


async def test_a_thousand_grants_in_one_edit(store: StoredRegistry) -> None:
    grants = [a_grant(f"g{number}") for number in range(1000)]
    await store.commit(an_edit(grants, *(a_change(one.label) for one in grants)))
    assert len((await store.load()).grants) == 1000
    assert len(await store.list_changes(ChangeFilter(limit=2000))) == 1000


# --- the log of changes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "positions"),
    [
        (ChangeFilter(), [5, 4, 3, 2, 1]),
        (ChangeFilter(limit=2), [5, 4]),
        (ChangeFilter(limit=2, before=4), [3, 2]),
        (ChangeFilter(limit=0), []),
        (ChangeFilter(actor="root"), [5, 3, 2, 1]),
        (ChangeFilter(actor="root' --"), []),
        (ChangeFilter(kind=ObjectKind.SERVER), [4]),
        (ChangeFilter(object="a"), [2, 1]),
        (ChangeFilter(object="id-of-b"), [3]),
        (ChangeFilter(since=START + timedelta(hours=2)), [5]),
    ],
)
async def test_changes_are_found(store: StoredRegistry, wanted: ChangeFilter, positions: list[int]) -> None:
    changes = [
        a_change("a"),
        a_change("a", before='{"x":1}'),
        a_change("b"),
        a_change("c", actor="file", kind=ObjectKind.SERVER),
        a_change("d", at=START + timedelta(hours=3)),
    ]
    for change in changes:
        await store.commit(an_edit([], change))
    found = await store.list_changes(wanted)
    assert [entry.position for entry in found] == positions
    assert [entry.change for entry in found] == [changes[position - 1] for position in positions]


# --- who was seen ----------------------------------------------------------------------------------


async def test_the_last_use_of_each_client_is_kept(store: StoredRegistry) -> None:
    def used(hour: int, client: str = "claude-code 2", grant: str = "g1", address: str = "10.0.0.1") -> Seen:
        return Seen(grant, START + timedelta(hours=hour), address, client)

    await store.note_seen([])
    await store.note_seen([used(1), used(3, address="::1"), used(2), used(5, grant="g2"), used(4, "cursor")])
    await store.note_seen([used(0), used(6, "x\x00y\udc80" + "z" * 500)])
    found = await store.list_seen(["g1", "nobody"])
    assert found[1:] == [used(4, "cursor"), used(3, address="::1")]
    assert found[0].client.startswith("xy\\udc80zz")
    assert len(found[0].client) == 200
    assert await store.list_seen([]) == []
    assert [one.grant_id for one in await store.list_seen(["g1", "g2"])] == ["g1", "g2", "g1", "g1"]
    hours = {"g1": timedelta(hours=6), "g2": timedelta(hours=5)}
    assert await store.last_uses() == {grant: START + after for grant, after in hours.items()}


async def test_a_client_that_changes_its_name_fills_no_disk(store: StoredRegistry) -> None:
    for start in (0, 20, 40):
        await store.note_seen(
            [Seen("g", START + timedelta(seconds=n), "::1", f"c{n}") for n in range(start, start + 20)]
        )
    found = await store.list_seen(["g"])
    assert [one.client for one in found] == [f"c{n}" for n in range(59, 59 - CLIENTS, -1)]


async def test_a_closed_store_says_so(any_database: Database, store: StoredRegistry) -> None:
    await store.commit(an_edit([a_grant()]))
    any_database.close()
    for asked in (store.load(), store.commit(an_edit([a_grant("b")])), store.list_changes(ChangeFilter())):
        with pytest.raises(StoreUnavailable):
            await asked
