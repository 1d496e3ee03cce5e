"""Credentials by themselves: added, changed, listed and ended, what is due, and servers of before adopted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from coatcheck.errors import Missing, Stale, Taken, Unfit
from coatcheck.model.credential import Assurance, CredentialKind, Custody, OauthTerms, OnRefusal
from coatcheck.model.declaration import DeclaredServer
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, StoredServer
from coatcheck.operations.credentials.adopting import Adopting
from coatcheck.operations.credentials.patches import CredentialFilter, CredentialPatch, NewCredential
from coatcheck.operations.credentials.views import CredentialState, Reason
from coatcheck.operations.registry.patches import NewServer
from doubles.cloakrooms import NEW, OLD, Cloakroom
from doubles.clock import START
from doubles.registries import ROOT, a_file


async def a_room(**more: Any) -> Cloakroom:
    return await Cloakroom(**more).open()


async def test_a_credential_is_added_changed_and_ended() -> None:
    room = await a_room()
    new = NewCredential("shared", Secret("Bearer hunter22"), owner="platform", note="for all", interval=30)
    view = await room.credentials.add(ROOT, new)
    assert (view.name, view.custody, view.owner, view.interval) == ("shared", Custody.STORE, "platform", 30)
    assert view.due_at == START + timedelta(days=30)
    assert view.warnings == ()
    assert "hunter22" not in repr(view)
    patch = CredentialPatch(
        interval=None, on_refusal=OnRefusal.ROLL_BACK, expires_at=START + timedelta(days=3)
    )
    changed = await room.credentials.change(ROOT, "shared", patch, view.version)
    assert (changed.interval, changed.due_at, changed.on_refusal) == (None, None, OnRefusal.ROLL_BACK)
    assert (changed.state, changed.owner) == (CredentialState.DUE, "platform")
    with pytest.raises(Stale):
        await room.credentials.change(ROOT, "shared", CredentialPatch(note="x"), view.version)
    same = await room.credentials.change(ROOT, str(view.id), CredentialPatch(note="for all"), None)
    assert same.version == changed.version
    ended = await room.credentials.end(ROOT, "shared", "no longer")
    assert ended.ended_at == START
    assert not any(one.kept for one in ended.versions)
    with pytest.raises(Missing):
        await room.credentials.get("shared")
    assert room.actions() == ["credential.add", "credential.change", "credential.end"]
    assert "hunter22" not in str(room.store.changes)
    await room.credentials.add(ROOT, NewCredential("shared"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "No"}, {"interval": 0}, {"interval": 99_999}, {"material": Secret("a\x00")}, {"owner": "*"}, {"note": "x" * 2_000},
        {"expires_at": START - timedelta(days=1)}, {"kind": CredentialKind.OAUTH}, {"oauth": OauthTerms("client_credentials", "https://x.test")},
    ],
    ids=str,
)  # fmt: skip
async def test_what_cannot_be_added(wrong: dict[str, Any]) -> None:
    room = await a_room()
    fields: dict[str, Any] = {"name": "good", "material": Secret("some-material")}
    await room.credentials.add(ROOT, NewCredential(**fields))
    with pytest.raises(Unfit):
        await room.credentials.add(ROOT, NewCredential(**{**fields, "name": "other", **wrong}))
    with pytest.raises(Taken):
        await room.credentials.add(ROOT, NewCredential(**fields))


async def test_one_that_is_used_cannot_be_ended() -> None:
    room = await a_room()
    name = await room.add()
    with pytest.raises(Unfit, match="github-authorization is used by github"):
        await room.credentials.end(ROOT, name, "")
    assert (await room.credentials.get(name)).used_by == (("github", "headers/Authorization"),)


async def test_a_server_waits_for_its_credential() -> None:
    room = await a_room()
    await room.credentials.add(ROOT, NewCredential("late"))
    blank = {"X-Key": Secret("${credential:late}")}
    new = NewServer("waits", Secret("https://waits.test/mcp"), headers=blank, plain=frozenset({"X-Key"}))
    await room.registered.add(ROOT, new)
    assert room.directory.snapshot.servers["waits"].lacking
    assert (await room.credentials.get("late")).state is CredentialState.LACKING
    done = await room.rotations.rotate(ROOT, "late", Secret(NEW))
    assert (done.number, done.former, done.assurance) == (1, None, Assurance.PROVEN)
    assert not room.directory.snapshot.servers["waits"].lacking


async def test_lists_are_narrowed() -> None:
    room = await a_room(declaration=replace(a_file("git"), servers=(a_literal(),)))
    name = await room.add()
    await room.credentials.add(ROOT, NewCredential("aside", Secret("aside-material"), owner="ops"))

    async def named(**wanted: Any) -> list[str]:
        return [one.name for one in (await room.credentials.list(CredentialFilter(**wanted))).items]

    assert await named() == ["aside", name, "written-x-key"]
    assert await named(name="*-x-*") == ["written-x-key"]
    assert await named(custody=Custody.LITERAL) == ["written-x-key"]
    assert await named(server="github") == [name]
    assert await named(server=str(room.directory.snapshot.servers["github"].id)) == [name]
    assert await named(owner="ops") == ["aside"]
    assert await named(state=CredentialState.FAILING) == []
    page = await room.credentials.list(CredentialFilter(limit=1))
    assert (await room.credentials.list(CredentialFilter(limit=1, after=page.next))).items[0].name == name


def a_literal() -> DeclaredServer:
    reach = HttpReach(Secret("https://w.test/mcp"), "https://w.test/mcp", {"X-Key": Secret(OLD)})
    return DeclaredServer("written", reach, custody={"headers/X-Key": Custody.LITERAL})


async def test_the_file_s_credentials_are_verified_but_not_rotated() -> None:
    room = await a_room(declaration=replace(a_file("git"), servers=(a_literal(),)))
    name = "written-x-key"
    assert (await room.credentials.get(name)).used_by == (("written", "headers/X-Key"),)
    verdicts = await room.rotations.verify(ROOT, name)
    assert (verdicts.assurance, verdicts.ok) == (Assurance.PROVEN, True)
    view = await room.credentials.get(name)
    assert view.versions[0].assurance is Assurance.PROVEN
    assert "written out in the servers file" in view.warnings[0]
    with pytest.raises(Unfit, match="comes from the servers file"):
        await room.rotations.rotate(ROOT, name, Secret(NEW))
    with pytest.raises(Unfit):
        await room.credentials.end(ROOT, name, "")


async def test_the_plan_says_what_is_to_be_done() -> None:
    room = await a_room()
    name = await room.add()
    assert [(one.credential.name, one.reasons) for one in await room.credentials.plan()] == [
        (name, (Reason.NEVER_VERIFIED,))
    ]
    await room.rotations.verify(ROOT, name)
    assert await room.credentials.plan() == []
    room.clock.advance(timedelta(days=90).total_seconds())
    assert (await room.credentials.plan())[0].reasons == (Reason.DUE,)
    assert (await room.credentials.get(name)).state is CredentialState.DUE
    room.clock.advance(timedelta(days=14).total_seconds())
    (overdue,) = await room.credentials.plan()
    assert (overdue.reasons, overdue.since) == ((Reason.OVERDUE,), START + timedelta(days=90))
    await room.rotations.stage(ROOT, name, Secret(NEW))
    await room.credentials.add(ROOT, NewCredential("aside", Secret("aside-material")))
    assert [one.reasons for one in await room.credentials.plan()] == [
        (Reason.OVERDUE, Reason.STAGED),
        (Reason.NEVER_VERIFIED, Reason.UNUSED),
    ]
    await room.rotations.activate(ROOT, name)
    assert [one.credential.name for one in await room.credentials.plan()] == ["aside"]


@pytest.mark.parametrize(("days", "reason"), [(13, Reason.EXPIRING), (0.001, Reason.EXPIRING), (15, None)])
async def test_what_ends_soon_is_in_the_plan(days: float, reason: Reason | None) -> None:
    room = await a_room()
    end = START + timedelta(days=days)
    await room.credentials.add(ROOT, NewCredential("ends", Secret("some-material"), expires_at=end))
    (due,) = await room.credentials.plan()
    assert (reason in due.reasons) is (reason is not None)
    room.clock.advance(timedelta(days=days).total_seconds())
    assert (await room.credentials.plan())[0].reasons[0] is Reason.EXPIRED


# --- servers of before ----------------------------------------------------------------------------------------


def stored(number: int, name: str, reach: HttpReach | StdioReach, plain: str = "") -> StoredServer:
    return StoredServer(
        UUID(int=number), name, reach, START, "root", plain=frozenset({plain} if plain else ())
    )


async def test_secrets_of_stored_servers_become_credentials() -> None:
    room = Cloakroom()
    url = "https://old.test/mcp"
    headers = {"Authorization": Secret(f"Bearer {OLD}"), "X-Team": Secret("blue")}
    old = stored(7, "old", HttpReach(Secret(url), url, headers), "X-Team")
    child = stored(8, "child", StdioReach("run", (Secret("-v"),), {"KEY": Secret(OLD)}))
    gone = replace(stored(9, "gone", StdioReach("run", (), {"KEY": Secret(OLD)})), ended_at=START)
    await room.store.commit(Edit((old, child, gone), ()))
    await room.open()
    before = {name: one.reach for name, one in room.directory.snapshot.servers.items()}
    adopting = Adopting(room.desk)
    assert await adopting.run() == 2
    assert await adopting.run() == 0
    servers = room.directory.snapshot.servers
    assert {name: one.reach for name, one in servers.items()} == before, "callers see no difference"
    assert [use.name for use in servers["old"].uses] == ["old-authorization"]
    assert [use.name for use in servers["child"].uses] == ["child-key"]
    kept = room.store.registry.servers[UUID(int=7)].reach
    assert isinstance(kept, HttpReach)
    assert {name: value.reveal() for name, value in kept.headers.items()} == {
        "Authorization": "-",
        "X-Team": "blue",
    }
    assert OLD not in str(room.store.changes)
    assert (await room.rotations.rotate(ROOT, "child-key", Secret(NEW))).assurance is Assurance.PROVEN
