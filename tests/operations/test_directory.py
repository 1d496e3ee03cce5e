"""The directory: a good edit is in force when `refresh` returns, a bad one changes nothing, none is lost."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any
from uuid import UUID

import pytest

from coatcheck.core.tokens import digest
from coatcheck.errors import ConfigError
from coatcheck.identity.chain import chain_for
from coatcheck.model.access import AccessList
from coatcheck.model.declaration import (
    AuditRules,
    Declaration,
    DeclaredServer,
    IdentityRules,
    Problem,
    Provider,
)
from coatcheck.model.grant import Grant, Principal
from coatcheck.model.known import Known
from coatcheck.model.registry import Registry
from coatcheck.model.server import StdioReach
from coatcheck.operations import directory as module
from coatcheck.operations.directory import Directory, Identify, Snapshot
from doubles.bench import SENTRY, a_principal, settle_down
from doubles.callers import ALICE, BOB, GONE, GRANTS, PEPPER, grant_of, request
from doubles.clock import HandClock
from doubles.declarations import FULL, EditedFile, MemoryServerIds


def identify_by(known: Known) -> Identify:
    return chain_for(known, PEPPER, HandClock()).identify


def a_file(*names: str, grants: tuple[Grant, ...] = GRANTS, **more: Any) -> Declaration:
    servers = tuple(DeclaredServer(name, StdioReach(name)) for name in names)
    return Declaration(servers, IdentityRules((Provider.BEARER,), grants), **more)


class Room:
    """A directory over a file in memory; `told` is what its listeners heard."""

    def __init__(self, content: Declaration | ConfigError) -> None:
        self.file = EditedFile(content)
        self.ids = MemoryServerIds()
        self.refused: set[str] = set()
        self.directory = Directory(self.file, self.ids, identify_by, self._check)
        self.told: list[tuple[int, frozenset[str]]] = []
        self.directory.subscribe(lambda snapshot, gone: self.told.append((snapshot.epoch, gone.grants)))

    def _check(self, declaration: Declaration, registry: Registry) -> None:
        if bad := {server.name for server in declaration.servers} & self.refused:
            raise ConfigError(f"{bad} may not be declared here")

    async def edit(self, content: Declaration | ConfigError) -> Snapshot:
        self.file.edit(content)
        await self.directory.refresh()
        return self.directory.snapshot

    def who(self, token: str) -> str:
        found = self.directory.snapshot.identify(request(f"Bearer {token}"))
        return found.subject if isinstance(found, Principal) else f"<{found.reason}>"


async def a_room(*names: str, grants: tuple[Grant, ...] = GRANTS) -> Room:
    room = Room(a_file(*(names or ("git", "time")), grants=grants))
    await room.directory.open()
    room.told.clear()
    return room


# --- good edits -------------------------------------------------------------------------------------------


async def test_the_first_snapshot_is_what_the_file_says() -> None:
    room = await a_room()
    snapshot = room.directory.snapshot
    assert (snapshot.epoch, list(snapshot.servers)) == (1, ["git", "time"])
    assert {server.id: server for server in snapshot.servers.values()} == snapshot.by_id
    assert snapshot.servers["git"].id == room.ids.ids["git"]
    assert (room.who(ALICE), room.who("x")) == ("alice", "<unknown>")
    assert not snapshot.ended
    assert room.directory.edit == module.Edit()


async def test_an_edit_is_in_force_when_refresh_returns_and_the_old_snapshot_stays_as_it_was() -> None:
    room = await a_room()
    old = room.directory.snapshot
    notice = Problem(3, "/mcpServers/git/timeout", "set aside")
    new = await room.edit(
        a_file("time", "sentry", access=AccessList(), audit=AuditRules(log_arguments=True), notices=(notice,))
    )
    assert (new.epoch, list(new.servers), new.audit.log_arguments) == (2, ["time", "sentry"], True)
    assert new.servers["time"] == old.servers["time"]
    assert (old.epoch, list(old.servers)) == (1, ["git", "time"])
    assert room.directory.edit == module.Edit(notices=(notice,))


async def test_a_server_keeps_its_uuid_while_it_comes_and_goes() -> None:
    room = await a_room("git")
    first = room.directory.snapshot.servers["git"].id
    await room.edit(a_file())
    assert (await room.edit(a_file("new", "git"))).servers["git"].id == first


async def test_without_an_edit_nothing_is_read() -> None:
    room = await a_room()
    for _ in range(5):
        await room.directory.refresh()
    assert (room.file.read_times, room.directory.snapshot.epoch, room.directory.stale()) == (1, 1, False)


async def test_many_who_find_an_edit_cause_one_reading() -> None:
    room = await a_room()
    room.ids.hold()
    room.file.edit(a_file("sentry"))
    waiting = [asyncio.create_task(room.directory.refresh()) for _ in range(50)]
    await settle_down()
    assert room.directory.snapshot.epoch == 1
    assert room.directory.stale()
    room.ids.let_go()
    await asyncio.gather(*waiting)
    assert (room.file.read_times, room.directory.snapshot.epoch, room.directory.stale()) == (2, 2, False)


async def test_an_edit_during_a_reading_is_read_too() -> None:
    room = await a_room()
    room.ids.hold()
    room.file.edit(a_file("one"))
    first = asyncio.create_task(room.directory.refresh())
    await settle_down()
    room.file.edit(a_file("two"))
    second = asyncio.create_task(room.directory.refresh())
    room.ids.let_go()
    await asyncio.gather(first, second)
    assert list(room.directory.snapshot.servers) == ["two"]
    assert not room.directory.stale()


# --- bad edits --------------------------------------------------------------------------------------------


async def test_a_bad_edit_changes_nothing_and_is_said() -> None:
    room = await a_room()
    old = room.directory.snapshot
    error = ConfigError("line 3: no such key")
    error.problems = [Problem(3, "/x", "no such key")]  # type: ignore[attr-defined]  # as the file's reader does
    assert await room.edit(error) is old
    assert (room.directory.edit.error, room.directory.edit.problems) == (
        "line 3: no such key",
        (Problem(3, "/x", "no such key"),),
    )
    assert room.told == []
    assert room.who(ALICE) == "alice"
    new = await room.edit(a_file("git"))
    assert (new.epoch, room.directory.edit) == (2, module.Edit())


async def test_an_edit_that_may_not_be_in_force_here_is_a_bad_one() -> None:
    room = await a_room()
    room.refused = {"open"}
    assert (await room.edit(a_file("open"))).epoch == 1
    assert "may not be declared here" in room.directory.edit.error
    assert "open" not in room.ids.ids


async def test_a_bad_file_at_the_start_is_an_error() -> None:
    room = Room(ConfigError("no such key"))
    with pytest.raises(ConfigError, match="no such key"):
        await room.directory.open()


async def test_a_good_edit_that_the_store_cannot_take_is_tried_again() -> None:
    """A revoked grant must not live on because the disk was full at the wrong moment."""
    room = await a_room()
    room.ids.failing = FULL
    assert (await room.edit(a_file("sentry", grants=()))).epoch == 1
    assert room.directory.edit.error == "the disk is full"
    assert room.directory.stale()
    room.ids.failing = None
    await room.directory.refresh()
    assert (room.directory.snapshot.epoch, room.directory.edit.error, room.directory.stale()) == (
        2,
        "",
        False,
    )
    assert room.who(ALICE) == "<revoked>"


async def test_an_edit_whose_reader_went_away_is_read_by_the_next() -> None:
    room = await a_room()
    room.ids.hold()
    room.file.edit(a_file("sentry"))
    reading = asyncio.create_task(room.directory.refresh())
    await settle_down()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    room.ids.let_go()
    assert room.directory.stale()
    await room.directory.refresh()
    assert list(room.directory.snapshot.servers) == ["sentry"]


# --- grants that end --------------------------------------------------------------------------------------


async def test_a_grant_that_an_edit_removes_is_told_so_and_listeners_hear_its_id() -> None:
    room = await a_room()
    await room.edit(a_file(grants=GRANTS[1:]))
    assert (room.who(ALICE), room.who(BOB), room.who("x")) == ("<revoked>", "bob", "<unknown>")
    assert room.told == [(2, frozenset({GRANTS[0].id}))]
    await room.edit(a_file("git", grants=GRANTS[1:]))
    assert room.told[1:] == [(3, frozenset())]
    assert room.who(ALICE) == "<revoked>"


async def test_a_grant_that_comes_back_lives_again() -> None:
    room = await a_room()
    await room.edit(a_file(grants=()))
    await room.edit(a_file())
    assert room.who(ALICE) == "alice"
    assert not room.directory.snapshot.ended
    assert [ended for _, ended in room.told] == [frozenset(grant.id for grant in GRANTS), frozenset()]


async def test_a_grant_whose_subject_or_scope_changes_does_not_end() -> None:
    room = await a_room()
    await room.edit(
        a_file(grants=(dataclasses.replace(GRANTS[0], subject="alicia", servers=frozenset()), *GRANTS[1:]))
    )
    assert room.who(ALICE) == "alicia"
    assert room.told == [(2, frozenset())]


async def test_ended_grants_are_remembered_up_to_a_number_the_newest_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_ENDED", 3)
    tokens = [f"token-{number}" for number in range(5)]
    room = await a_room(grants=tuple(grant_of(token, token) for token in tokens))
    for left in range(4, -1, -1):
        await room.edit(a_file(grants=tuple(grant_of(token, token) for token in tokens[5 - left :])))
    assert [room.who(token) for token in tokens] == ["<unknown>"] * 2 + ["<revoked>"] * 3
    assert room.who(GONE) == "<unknown>"


async def test_listeners_hear_before_anyone_is_judged_by_the_new_snapshot() -> None:
    room = await a_room()
    seen: list[tuple[int, int]] = []
    room.directory.subscribe(lambda snapshot, _: seen.append((snapshot.epoch, room.directory.snapshot.epoch)))
    room.file.edit(a_file())
    await room.directory.refresh()
    assert seen == [(2, 2)]


# --- looking things up --------------------------------------------------------------------------------------


async def test_servers_are_found_by_name_and_by_uuid_in_one_spelling() -> None:
    room = await a_room("git", "time")
    snapshot = room.directory.snapshot
    git = snapshot.servers["git"]
    assert snapshot.find_server("git") is snapshot.find_server(str(git.id)) is git
    for key in (
        "",
        "GIT",
        "git ",
        "g",
        str(git.id).upper() if str(git.id) != str(git.id).upper() else "x",
        git.id.hex,
        f"{{{git.id}}}",
        f"urn:uuid:{git.id}",
        str(UUID(int=9)),
        "x" * 36,
        "-" * 36,
    ):
        assert snapshot.find_server(key) is None


async def test_what_is_in_reach_is_the_scope_in_the_order_of_the_file() -> None:
    room = await a_room("time", "git", "sentry")
    snapshot = room.directory.snapshot
    assert [server.name for server in snapshot.reachable(a_principal())] == ["time", "git", "sentry"]
    scoped = a_principal(scope=(snapshot.servers["sentry"], snapshot.servers["time"], SENTRY))
    assert [server.name for server in snapshot.reachable(scoped)] == ["time", "sentry"]
    assert snapshot.reachable(a_principal(scope=())) == []
    assert digest(ALICE) in snapshot.live


# --- reading when told to ------------------------------------------------------------------------------------


async def test_a_reading_that_is_asked_for_is_done_although_nothing_looks_changed() -> None:
    room = await a_room("git")
    room.file._content = a_file("git", "time")  # as two writes within one tick of the clock leave it
    await room.directory.refresh()
    assert list(room.directory.snapshot.servers) == ["git"]
    await room.directory.reread()
    assert list(room.directory.snapshot.servers) == ["git", "time"]


async def test_the_same_content_again_is_no_new_snapshot_but_takes_a_bad_edit_back() -> None:
    room = await a_room("git")
    old = room.directory.snapshot
    await room.edit(ConfigError("line 1: no"))
    assert room.directory.edit.error
    assert await room.edit(a_file("git")) is old
    assert (room.directory.edit.error, room.told) == ("", [])
