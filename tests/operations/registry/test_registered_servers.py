"""Servers that operators register: judged by the rules of the file, never told in full, taken away at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coatcheck.errors import CoatcheckError, ConfigError, Forbidden, Missing, Stale, Taken, Unfit
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Source, Transport
from coatcheck.operations.registry.patches import NewServer, ServerFilter, ServerPatch
from doubles.registries import KEEPER, ROOT, Office, a_file

CANARY = "canary-8812"
URL = f"https://mcp.example.com/mcp?key={CANARY}"


def remote(name: str = "crm", **more: Any) -> NewServer:
    fields: dict[str, Any] = {
        "url": Secret(URL),
        "headers": {"Authorization": Secret(f"Bearer {CANARY}"), "X-Team": Secret("blue")},
        "plain": frozenset({"X-Team"}),
    }
    return NewServer(name, **{**fields, **more})


def child(name: str = "kid", **more: Any) -> NewServer:
    fields: dict[str, Any] = {"command": "kid", "args": (Secret(CANARY),), "env": {"KEY": Secret(CANARY)}}
    return NewServer(name, **{**fields, **more})


async def test_a_registered_server_is_in_use_at_once_and_never_told_in_full() -> None:
    office = await Office().open()
    added = await office.registered.add(ROOT, remote())
    view = added.server
    assert (view.source, view.transport, view.reach) == (
        Source.STORE,
        Transport.AUTO,
        "https://mcp.example.com/mcp",
    )
    assert (view.plain, view.sealed) == ((("X-Team", "blue"),), ("Authorization",))
    server = office.directory.snapshot.servers["crm"]
    assert isinstance(server.reach, HttpReach)
    assert server.reach.url.reveal() == URL
    assert server.id == view.id
    assert CANARY not in repr((view, office.store.changes, office.store.registry))
    assert list(office.directory.snapshot.servers) == ["git", "time", "crm"]


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (remote("git"), Taken),
        (remote("GIT"), Taken),
        (remote("a__b"), Unfit),
        (remote(""), Unfit),
        (remote(url=Secret("ftp://x/")), Unfit),
        (remote(url=Secret(f"https://u:{CANARY}@x/")), Unfit),
        (remote(url=None), Unfit),
        (remote(headers={"Host": Secret("x")}, plain=frozenset()), Unfit),
        (remote(headers={"X": Secret("a\r\nb")}, plain=frozenset()), Unfit),
        (remote(headers={"X-A": Secret("1"), "x-a": Secret("2")}, plain=frozenset()), Unfit),
        (remote(plain=frozenset({"Nix"})), Unfit),
        (remote(command="x"), Unfit),
        (child(command=" "), Unfit),
        (child(env={"A=B": Secret("x")}), Unfit),
        (child(args=(Secret("a\x00"),)), Unfit),
        (child(cwd="~/x"), Unfit),
    ],
)
async def test_what_the_file_could_not_declare_is_not_registered(
    new: NewServer, error: type[CoatcheckError]
) -> None:
    office = await Office().open()
    with pytest.raises(error) as raised:
        await office.registered.add(ROOT, new)
    assert CANARY not in f"{raised.value.message} {raised.value.fix}"
    assert office.store.commits == 0


async def test_commands_are_for_admins_and_only_where_they_are_allowed() -> None:
    office = await Office().open()
    with pytest.raises(Forbidden):
        await office.registered.add(KEEPER, child())
    await office.registered.add(ROOT, child())
    for step in (office.registered.change(KEEPER, "kid", ServerPatch(args=()), None),):
        with pytest.raises(Forbidden):
            await step
    await office.registered.disable(KEEPER, "kid", "")
    with pytest.raises(Forbidden):
        await office.registered.enable(KEEPER, "kid")
    await office.registered.disable(KEEPER, "git", "")
    with pytest.raises(Forbidden):
        await office.registered.enable(KEEPER, "git")
    assert not (await office.registered.enable(ROOT, "git")).disabled  # the file's needs no permission here
    office.registered._allow_commands = False
    with pytest.raises(Forbidden, match="not taken here"):
        await office.registered.add(ROOT, child("other"))


async def test_what_a_command_allows_may_be_changed_by_those_who_may_not_change_the_command() -> None:
    office = await Office().open()
    named = {"args": (Secret("--key=${credential:kid-key}"),)}
    await office.registered.add(ROOT, child())
    await office.registered.change(ROOT, "kid", ServerPatch(**named), None)  # type: ignore[arg-type]
    office.registered._allow_commands = False
    before = office.directory.snapshot.servers["kid"]
    for patch in (
        ServerPatch(default=Default.DENY_ALL),
        ServerPatch(approved=("get_*",)),
        ServerPatch(trusted=True, note="looked at"),
    ):
        assert not patch.runs
        await office.registered.change(KEEPER, "kid", patch, None)
    after = office.directory.snapshot.servers["kid"]
    assert after == before, "what runs is the same"
    assert (after.default, after.approved, after.trusted) == (Default.DENY_ALL, ("get_*",), True)
    for patch in (ServerPatch(default=Default.ALLOW_ALL, args=()), ServerPatch(cwd="/"), ServerPatch(env={})):
        assert patch.runs
        with pytest.raises(Forbidden):
            await office.registered.change(KEEPER, "kid", patch, None)


async def test_what_a_server_allows_of_itself() -> None:
    office = await Office().open()
    view = (await office.registered.add(ROOT, remote())).server
    assert (view.default, view.approved, view.trusted) == (Default.READ_ONLY, None, False)
    wanted = {"default": Default.ALLOW_ALL, "approved": ("get_*", "get_*", "x"), "trusted": True}
    view = (await office.registered.add(ROOT, remote("second", **wanted))).server
    assert (view.default, view.approved, view.trusted) == (Default.ALLOW_ALL, ("get_*", "x"), True)

    async def changed(**patch: Any) -> tuple[Default, tuple[str, ...] | None, bool]:
        now = (await office.registered.change(ROOT, "second", ServerPatch(**patch), None)).server
        server = office.directory.snapshot.servers["second"]
        assert (now.default, now.approved, now.trusted) == (server.default, server.approved, server.trusted)
        return now.default, now.approved, now.trusted

    assert await changed(note="n") == (Default.ALLOW_ALL, ("get_*", "x"), True)
    assert await changed(default=Default.DENY_ALL) == (Default.DENY_ALL, ("get_*", "x"), True)
    assert await changed(approved=None, trusted=False) == (Default.DENY_ALL, None, False)
    assert await changed(approved=()) == (Default.DENY_ALL, (), False)
    outlines = [json.loads(change.after) for change in office.store.changes if change.object_name == "second"]
    assert [(one["default"], one["approved"], one["trusted"]) for one in outlines] == [
        ("allow-all", ["get_*", "x"], True),
        ("allow-all", ["get_*", "x"], True),
        ("deny-all", ["get_*", "x"], True),
        ("deny-all", None, False),
        ("deny-all", [], False),
    ]
    for unfit in (("",), ("a b",), ("x" * 257,), ("a\n",), tuple(f"t{n}" for n in range(201))):
        with pytest.raises(Unfit):
            await changed(approved=unfit)
        with pytest.raises(Unfit):
            await office.registered.add(ROOT, remote("third", approved=unfit))
    file_view = await office.registered.get("git")
    assert (file_view.default, file_view.approved, file_view.trusted) == (Default.ALLOW_ALL, None, False)
    with pytest.raises(Unfit, match="declared in the file"):
        await office.registered.change(ROOT, "git", ServerPatch(default=Default.DENY_ALL), None)


async def test_a_change_keeps_what_it_does_not_name() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, remote())
    with pytest.raises(Stale):
        await office.registered.change(ROOT, "crm", ServerPatch(note="x"), 9)
    patch = ServerPatch(headers={"X-Team": None, "X-New": Secret("n")}, note="renewed")
    view = (await office.registered.change(ROOT, "crm", patch, 1)).server
    assert (view.plain, view.sealed, view.note, view.version) == (
        (),
        ("Authorization", "X-New"),
        "renewed",
        2,
    )
    reach = office.directory.snapshot.servers["crm"].reach
    assert isinstance(reach, HttpReach)
    assert reach.headers["Authorization"].reveal() == f"Bearer {CANARY}"
    for patch in (ServerPatch(command="x"), ServerPatch(url=Secret("nix"))):
        with pytest.raises(Unfit):
            await office.registered.change(ROOT, "crm", patch, None)
    with pytest.raises(Unfit, match="declared in the file"):
        await office.registered.change(ROOT, "git", ServerPatch(note="x"), None)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example.com/mcp",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com:8443/mcp",
        "https://mcp.example.com.evil.net/mcp",
    ],
)
async def test_a_secret_is_not_sent_to_another_origin_by_those_who_do_not_know_it(url: str) -> None:
    office = await Office().open()
    await office.registered.add(ROOT, remote())
    for same in ("https://mcp.example.com/other?key=2", "https://MCP.example.com:443/mcp"):
        await office.registered.change(KEEPER, "crm", ServerPatch(url=Secret(same)), None)
    commits, moved = office.store.commits, Secret(url)
    for headers in ({}, {"X-Team": Secret("red")}, {"authorization": None}):
        patch = ServerPatch(url=moved, headers=headers, plain=frozenset({"X-Team"}))
        with pytest.raises(Unfit, match="not sent elsewhere") as raised:
            await office.registered.change(KEEPER, "crm", patch, None)
        assert "Authorization" in raised.value.fix
        assert CANARY not in f"{raised.value.message} {raised.value.fix}"
    assert office.store.commits == commits

    patch = ServerPatch(url=moved, headers={"Authorization": Secret("Bearer another")})
    view = (await office.registered.change(KEEPER, "crm", patch, None)).server
    assert (view.reach, view.plain) == (url, (("X-Team", "blue"),))
    back = ServerPatch(url=Secret(URL), headers={"Authorization": None})
    view = (await office.registered.change(KEEPER, "crm", back, None)).server
    assert (view.reach, view.sealed) == ("https://mcp.example.com/mcp", ())


@pytest.mark.parametrize(("new", "name"), [(remote(), "Authorization"), (child(), "KEY")])
async def test_a_value_that_was_given_as_a_secret_is_not_shown_later(new: NewServer, name: str) -> None:
    office = await Office().open()
    await office.registered.add(ROOT, new)
    with pytest.raises(Unfit, match="never shown"):
        await office.registered.change(ROOT, new.name, ServerPatch(plain=frozenset({name})), None)
    again: dict[str, Any] = {"headers" if new.url else "env": {name: Secret("shown")}}
    patch = ServerPatch(plain=frozenset({name}), **again)
    assert (await office.registered.change(ROOT, new.name, patch, None)).server.plain == ((name, "shown"),)
    hidden = await office.registered.change(ROOT, new.name, ServerPatch(plain=frozenset()), None)
    assert name in hidden.server.sealed


@pytest.mark.parametrize("name", ["git", "crm"])
async def test_a_disabled_server_is_not_in_reach_whatever_is_edited(name: str) -> None:
    office = await Office().open()
    await office.registered.add(ROOT, remote())
    await office.registered.disable(ROOT, name, "broken")
    assert name not in office.directory.snapshot.servers
    await office.edit(a_file("git", "time", "more"))
    assert name not in office.directory.snapshot.servers
    view = await office.registered.get(name)
    assert (view.disabled, view.because) == (True, "broken")
    again = await Office(store=office.store).open()
    assert name not in again.directory.snapshot.servers
    commits = office.store.commits
    await office.registered.disable(ROOT, name, "again")
    assert office.store.commits == commits
    assert not (await office.registered.enable(ROOT, name)).disabled
    assert name in office.directory.snapshot.servers


async def test_an_ended_server_frees_its_name_and_a_file_cannot_take_one_in_use() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, remote())
    await office.edit(a_file("git", "CRM"))
    assert "an operator" in office.directory.edit.error
    assert "time" in office.directory.snapshot.servers
    await office.registered.end(ROOT, "crm", "moved")
    with pytest.raises(Missing):
        await office.registered.get("crm")
    await office.directory.reread()
    assert (office.directory.edit.error, "CRM" in office.directory.snapshot.servers) == ("", True)
    with pytest.raises(Unfit, match="declared in the file"):
        await office.registered.end(ROOT, "git", "")


async def test_a_collision_at_the_start_is_an_error() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, remote())
    with pytest.raises(ConfigError, match="/mcpServers/crm"):
        await Office(a_file("crm"), office.store).open()


async def test_both_sources_are_listed_by_name() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, remote())
    page = await office.registered.list(ServerFilter(limit=2))
    assert [view.name for view in page.items] == ["crm", "git"]
    rest = await office.registered.list(ServerFilter(limit=2, after=page.next))
    assert ([view.name for view in rest.items], rest.next) == (["time"], None)
    of_store = await office.registered.list(ServerFilter(source="store"))
    assert [view.name for view in of_store.items] == ["crm"]
