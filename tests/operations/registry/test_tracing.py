"""Credentials that the file gives: their age and versions outlive edits and starts, their material is not kept."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from coatcheck.core.filling import read_blank
from coatcheck.model.credential import Credential, Custody, Stage, Upkeep
from coatcheck.model.declaration import Declaration, DeclaredServer
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach
from coatcheck.operations.registry.patches import NewServer
from doubles.declarations import FULL
from doubles.registries import ROOT, MemoryRegistryStore, Office

CANARY = "canary-4711"


def git(token: str | None = CANARY, custody: Custody = Custody.ENV) -> DeclaredServer:
    reach = HttpReach(
        Secret("https://git.example/"), "https://git.example/", {"Authorization": Secret(token or "-")}
    )
    given = {"headers/Authorization": custody} if token is not None else {}
    return DeclaredServer("git", reach, custody=MappingProxyType(given))


def naming(value: str, name: str = "time") -> DeclaredServer:
    blank = read_blank(value)
    assert blank is not None
    blanks, lines = MappingProxyType({"env/KEY": blank}), MappingProxyType({"env/KEY": 7})
    return DeclaredServer(name, StdioReach("x", env={"KEY": Secret("-")}), blanks=blanks, lines=lines)


def the_file(*servers: DeclaredServer) -> Declaration:
    return Declaration(servers)


def kept(office: Office) -> Any:
    return office.directory.snapshot.registry.credentials


def the_one(office: Office) -> Credential:
    (credential,) = kept(office).values()
    assert isinstance(credential, Credential)
    return credential


def stages(credential: Credential) -> list[tuple[int, Stage]]:
    assert all(one.material is None for one in credential.versions)
    return [(one.number, one.stage) for one in credential.versions]


async def an_office(*servers: DeclaredServer, store: MemoryRegistryStore | None = None) -> Office:
    return await Office(the_file(*servers), store).open()


# --- secrets of the file's own ------------------------------------------------------------------------------------


async def test_a_secret_of_the_file_is_a_credential_without_material() -> None:
    office = await an_office(git())
    credential = the_one(office)
    assert (credential.name, credential.custody, credential.created_by) == (
        "git-authorization",
        Custody.ENV,
        "file",
    )
    assert stages(credential) == [(1, Stage.ACTIVE)]
    server = office.directory.snapshot.servers["git"]
    assert [(use.place, use.credential, use.number) for use in server.uses] == [
        ("headers/Authorization", credential.id, 1)
    ]
    view = await office.registered.get("git")
    assert view.credentials == (("headers/Authorization", "git-authorization"),)
    assert CANARY not in repr((office.store.registry, office.store.changes))
    assert [one.action for one in office.store.changes] == ["credential.add"]


async def test_an_edit_is_a_new_version_in_the_same_commit_as_its_record() -> None:
    office = await an_office(git())
    commits = office.store.commits
    await office.edit(the_file(git("canary-4712")))
    assert office.store.commits == commits + 1
    assert [one.action for one in office.store.changes[1:]] == ["config.edit", "credential.activate"]
    assert stages(the_one(office)) == [(2, Stage.ACTIVE), (1, Stage.RETIRED)]
    server = office.directory.snapshot.servers["git"]
    assert isinstance(server.reach, HttpReach)
    assert (server.uses[0].number, server.reach.headers["Authorization"].reveal()) == (2, "canary-4712")


async def test_what_is_gone_is_ended_and_goes_on_when_it_is_back() -> None:
    office = await an_office(git())
    first = the_one(office)
    await office.edit(the_file())
    assert (the_one(office).ended_at is None, stages(the_one(office))) == (False, [(1, Stage.RETIRED)])
    await office.edit(the_file(git()))
    back = the_one(office)
    assert (back.id, back.ended_at, stages(back)) == (first.id, None, [(1, Stage.ACTIVE)])
    assert back.versions[0].activated_at == first.versions[0].activated_at
    await office.edit(the_file())
    await office.edit(the_file(git("canary-4712")))
    assert stages(the_one(office)) == [(2, Stage.ACTIVE), (1, Stage.RETIRED)]
    actions = [one.action for one in office.store.changes if one.action.startswith("credential")]
    assert actions == [f"credential.{verb}" for verb in ("add", "end", "restore", "end", "restore")]


async def test_a_start_finds_what_was_there_and_a_variable_that_is_another_now() -> None:
    office = await an_office(git())
    commits = office.store.commits
    again = await an_office(git(), store=office.store)
    assert (office.store.commits, stages(the_one(again))) == (commits, [(1, Stage.ACTIVE)])
    other = await an_office(git("canary-4712"), store=office.store)
    assert stages(the_one(other)) == [(2, Stage.ACTIVE), (1, Stage.RETIRED)]
    assert the_one(other).created_at == the_one(office).created_at


async def test_where_it_comes_from_may_change() -> None:
    office = await an_office(git())
    await office.edit(the_file(git(custody=Custody.FILE), naming("$${credential:x}")))
    assert (the_one(office).custody, stages(the_one(office))) == (Custody.FILE, [(1, Stage.ACTIVE)])


async def test_names_are_kept_apart_from_those_of_the_store() -> None:
    office = await an_office()
    hub = NewServer("git", Secret("https://hub.example/"), headers={"Authorization": Secret("first-one")})
    await office.registered.add(ROOT, hub)
    await office.registered.add(
        ROOT,
        NewServer(
            "twin",
            Secret("https://hub.example/2"),
            headers={"A": Secret("${credential:git-authorization}")},
            plain=frozenset({"A"}),
        ),
    )
    await office.registered.end(ROOT, "git", "moved to the file")
    await office.edit(the_file(git()))
    names = [one.name for one in kept(office).values() if one.ended_at is None]
    assert names == ["git-authorization", "git-authorization-2"]
    assert office.directory.snapshot.servers["git"].uses[0].name == "git-authorization-2"


async def test_an_edit_that_the_store_cannot_keep_waits() -> None:
    office = await an_office(git())
    office.store.failing = FULL
    await office.edit(the_file(git("canary-4712")))
    assert stages(the_one(office)) == [(1, Stage.ACTIVE)]
    assert office.directory.stale()
    office.store.failing = None
    await office.directory.refresh()
    assert stages(the_one(office)) == [(2, Stage.ACTIVE), (1, Stage.RETIRED)]


async def test_a_commit_whose_word_was_lost_is_found() -> None:
    office = await an_office(git())
    office.store.breaking = FULL
    await office.edit(the_file(git("canary-4712")))
    assert office.directory.stale()
    await office.directory.refresh()
    assert not office.directory.stale()
    assert stages(the_one(office)) == [(2, Stage.ACTIVE), (1, Stage.RETIRED)]


async def test_rows_that_cannot_be_used_do_not_keep_the_file_from_being_read() -> None:
    office = await an_office(git())

    class Lossy(MemoryRegistryStore):
        async def load(self) -> Any:
            whole = await super().load()
            return type(whole)(damaged=("credential git-authorization",))

    store = Lossy()
    store.registry = office.store.registry
    again = await an_office(git(), store=store)
    assert (dict(kept(again)), list(again.directory.snapshot.servers)) == ({}, ["git"])


# --- credentials that the file names -------------------------------------------------------------------------------


async def with_a_key(office: Office, name: str = "hub") -> None:
    await office.registered.add(ROOT, NewServer(name, command="x", env={"KEY": Secret(CANARY)}))


async def test_a_name_in_the_file_is_filled_in_from_the_store_and_follows_it() -> None:
    office = await an_office()
    await with_a_key(office)
    await office.edit(the_file(naming("k=${credential:hub-key}")))
    server = office.directory.snapshot.servers["time"]
    assert isinstance(server.reach, StdioReach)
    assert (server.reach.env["KEY"].reveal(), server.lacking) == (f"k={CANARY}", "")
    key = next(iter(kept(office).values()))
    assert [(use.place, use.credential, use.number) for use in server.uses] == [("env/KEY", key.id, 1)]
    assert CANARY not in repr(office.directory.snapshot.declared)


async def test_a_name_that_the_store_has_not_is_a_bad_edit_with_its_line() -> None:
    office = await an_office(git())
    await office.edit(the_file(git(), naming("${credential:hub-key}")))
    edit = office.directory.edit
    assert "line 7 /mcpServers/time/env/KEY: there is no credential 'hub-key'" in edit.error
    assert "coatcheck credential add hub-key" in edit.error
    assert [(one.line, one.where) for one in edit.problems] == [(7, "/mcpServers/time/env/KEY")]
    assert list(office.directory.snapshot.servers) == ["git"]
    assert not office.directory.stale()
    await with_a_key(office)
    assert office.directory.stale()  # what it waited for may be there now
    await office.directory.refresh()
    assert list(office.directory.snapshot.servers) == ["git", "time", "hub"]
    assert office.directory.edit.error == ""


async def test_a_credential_of_the_file_itself_cannot_be_named() -> None:
    office = await an_office(git())
    await office.edit(the_file(git(), naming("${credential:git-authorization}")))
    assert "no credential 'git-authorization'" in office.directory.edit.error


async def test_at_a_start_only_that_server_is_missing() -> None:
    office = await an_office(git(), naming("${credential:hub-key}"))
    server = office.directory.snapshot.servers["time"]
    assert server.lacking == "the credential hub-key of time is not in the store"
    assert [one.line for one in office.directory.edit.notices] == [7]
    await with_a_key(office)
    assert office.directory.snapshot.servers["time"].lacking == ""


@pytest.mark.parametrize("value", ["two\nlines"])
async def test_a_value_that_cannot_be_there_is_a_bad_edit_too(value: str) -> None:
    office = await an_office(git())
    await office.registered.add(ROOT, NewServer("hub", command="x", env={"KEY": Secret(value)}))
    blank = read_blank("${credential:hub-key}")
    assert blank is not None
    blanks = MappingProxyType({"headers/Authorization": blank})
    bad = DeclaredServer("git", git("-").reach, blanks=blanks)
    await office.edit(the_file(bad))
    assert "headers/Authorization" in office.directory.edit.error
    assert "lines" not in office.directory.edit.error


async def test_an_edit_of_a_probe_is_in_force() -> None:
    from coatcheck.model.credential import Probe

    office = await an_office(git())
    probed = DeclaredServer("git", git().reach, upkeep=Upkeep(probe=Probe("whoami")), custody=git().custody)
    old = office.directory.snapshot.servers["git"]
    await office.edit(the_file(probed))
    new = office.directory.snapshot.servers["git"]
    assert new.upkeep.probe == Probe("whoami")
    assert new == old  # nothing of it needs a new connection
