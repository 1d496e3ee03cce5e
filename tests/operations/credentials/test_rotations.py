"""A rotation is a transaction: verified beside the old, switched in one edit, told truthfully whatever happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from coatcheck.errors import (
    Missing,
    NotVerified,
    Stale,
    Taken,
    Unavailable,
    Unfit,
    Unproven,
    UpstreamUnreachable,
)
from coatcheck.model.call import Fault, Result
from coatcheck.model.credential import Assurance, Probe, Replace, Stage, Upkeep
from coatcheck.model.secret import Secret
from coatcheck.model.server import Server
from coatcheck.operations.credentials.views import Control, CredentialState, CredentialView
from coatcheck.operations.registry.patches import NewServer, ServerPatch
from doubles.bench import settle_down
from doubles.cloakrooms import BAD, NEW, OLD, Cloakroom
from doubles.registries import KEEPER, ROOT
from doubles.upstreams import ScriptedUpstream

NAME = "github-authorization"


async def a_room(**more: Any) -> Cloakroom:
    room = await Cloakroom().open()
    assert await room.add(**more) == NAME
    return room


def stages_of(view: CredentialView) -> dict[int, str]:
    return {one.number: one.stage.value for one in view.versions}


def in_force(room: Cloakroom, name: str = "github") -> str:
    return room.presented(room.servers.of(server(room, name)).upstream)  # type: ignore[arg-type]


def server(room: Cloakroom, name: str = "github") -> Server:
    return room.directory.snapshot.servers[name]


# --- the good way -------------------------------------------------------------------------------------------


async def test_one_command_switches_the_next_call() -> None:
    room = await a_room()
    old = room.servers.of(server(room))
    steps: list[str] = []
    done = await room.rotations.rotate(
        ROOT, NAME, Secret(NEW), progress=lambda step, told: steps.append(step)
    )
    assert in_force(room) == f"Bearer {NEW}", "the scheme stays"
    assert (done.number, done.former, done.assurance, done.drained, done.left) == (
        2,
        1,
        Assurance.PROVEN,
        True,
        0,
    )
    assert stages_of(done.credential) == {2: "active", 1: "previous"}
    assert done.credential.state is CredentialState.OK
    assert [(one.server, one.ok, one.tools, one.control) for one in done.verdicts] == [
        ("github", True, 2, Control.REFUSED)
    ]
    assert steps == ["staged", "verifying", "verdict", "activated"]
    assert room.actions() == [
        "credential.add",
        "credential.stage",
        "credential.verify",
        "credential.activate",
    ]
    assert room.servers.of(server(room)) is not old
    assert old.upstream.drained == [30.0]  # type: ignore[attr-defined]


async def test_what_verified_is_what_is_used_from_then_on() -> None:
    room = await a_room()
    before = len(room.upstreams.opened)
    await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    candidate, control = room.upstreams.opened[before:]
    assert room.servers.of(server(room)).upstream is candidate
    assert not candidate.drained, "the connection stays"
    assert control.drained == [0.0]
    assert "coatcheck-wrong-secret-" in room.presented(control)
    assert room.presented(control).startswith("Bearer ")
    assert room.servers.of(server(room)).catalogue is not None


async def test_the_steps_one_by_one() -> None:
    room = await a_room()
    staged = await room.rotations.stage(KEEPER, NAME, Secret(NEW))
    assert stages_of(staged) == {2: "staged", 1: "active"}
    assert in_force(room) == f"Bearer {OLD}"
    verdicts = await room.rotations.verify(KEEPER, NAME)
    assert (verdicts.ok, verdicts.number, verdicts.assurance) == (True, 2, Assurance.PROVEN)
    assert in_force(room) == f"Bearer {OLD}", "verifying switches nothing"
    done = await room.rotations.activate(KEEPER, NAME)
    assert (done.number, done.assurance) == (2, Assurance.PROVEN)
    assert in_force(room) == f"Bearer {NEW}"
    back = await room.rotations.roll_back(KEEPER, NAME, "the new one lacks a scope")
    assert (back.number, back.former) == (1, 2)
    assert in_force(room) == f"Bearer {OLD}"
    assert room.store.changes[-1].because == "the new one lacks a scope"
    forth = await room.rotations.roll_back(KEEPER, NAME)
    assert in_force(room) == f"Bearer {NEW}"
    assert stages_of(forth.credential) == {2: "active", 1: "previous"}
    retired = await room.rotations.retire(KEEPER, NAME)
    assert stages_of(retired) == {2: "active", 1: "retired"}
    assert [one.kept for one in retired.versions] == [True, False]
    with pytest.raises(Unfit, match="no previous version"):
        await room.rotations.roll_back(KEEPER, NAME)


async def test_a_second_rotation_leaves_one_to_go_back_to() -> None:
    room = await a_room()
    await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    room.good.add("ghp_third")
    done = await room.rotations.rotate(ROOT, NAME, Secret("ghp_third"))
    assert stages_of(done.credential) == {3: "active", 2: "previous", 1: "retired"}


async def test_activating_verifies_what_was_not() -> None:
    room = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(BAD))
    with pytest.raises(NotVerified):
        await room.rotations.activate(ROOT, NAME)
    assert stages_of(await room.credentials.get(NAME)) == {2: "staged", 1: "active"}
    asked: tuple[dict[str, Any], ...] = ({"unverified": True}, {"accept_unproven": True, "because": " "})
    for anyway in asked:
        with pytest.raises(Unfit, match="say why") as lacking:
            await room.rotations.activate(ROOT, NAME, **anyway)
        assert lacking.value.field == "because"
    assert stages_of(await room.credentials.get(NAME)) == {2: "staged", 1: "active"}
    done = await room.rotations.activate(ROOT, NAME, unverified=True, because=" it is down ")
    assert (done.assurance, in_force(room)) == (Assurance.SKIPPED, f"Bearer {BAD}")
    assert room.store.changes[-1].because == "it is down"
    assert json.loads(room.store.changes[-1].after)["assurance"] == "skipped"


# --- the bad ways -------------------------------------------------------------------------------------------


async def test_a_refused_version_changes_nothing() -> None:
    room = await a_room()
    old = room.servers.of(server(room))
    with pytest.raises(NotVerified) as caught:
        await room.rotations.rotate(ROOT, NAME, Secret(BAD))
    (verdict,) = caught.value.verdicts
    assert verdict.sentence == ("github refused the credential (401): Bad credentials: Bearer [redacted]")
    assert room.servers.of(server(room)) is old
    assert not old.upstream.drained  # type: ignore[attr-defined]
    view = await room.credentials.get(NAME)
    assert stages_of(view) == {2: "retired", 1: "active"}
    assert view.state is CredentialState.OK, "the version in use was not refused"
    assert not any(one.kept for one in view.versions if one.number == 2)
    assert room.actions()[-2:] == ["credential.stage", "credential.verify"], "failed tries are on record"
    assert json.loads(room.store.changes[-1].after)["assurance"] == "refused"
    assert BAD not in str(room.store.changes)


async def test_a_server_that_takes_anything_proves_nothing() -> None:
    room = await a_room()
    room.good.clear()
    with pytest.raises(Unproven, match="obviously wrong"):
        await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    assert in_force(room) == f"Bearer {OLD}"
    before = room.actions()
    for anyway in ({"accept_unproven": True}, {"verify": False}):
        with pytest.raises(Unfit, match="say why"):
            await room.rotations.rotate(ROOT, NAME, Secret(NEW), **anyway)  # type: ignore[arg-type]
    assert room.actions() == before, "nothing was staged"
    why = "it lists its tools to everyone"
    done = await room.rotations.rotate(ROOT, NAME, Secret(NEW), accept_unproven=True, because=why)
    assert (done.assurance, done.verdicts[0].control) == (Assurance.UNPROVEN, Control.ACCEPTED)
    assert room.store.changes[-1].because == why
    assert json.loads(room.store.changes[-1].after)["assurance"] == "unproven"


async def test_a_probe_proves_it() -> None:
    room = await a_room()
    room.good.clear()
    upkeep = Upkeep(probe=Probe("whoami", '{"deep":1}'))
    await room.registered.change(ROOT, "github", ServerPatch(upkeep=upkeep), None)

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        if NEW not in room.presented(upstream):
            upstream.to_probe = Result(b'{"isError":true,"content":[{"type":"text","text":"who are you?"}]}')

    room.upstreams.prepare = prepare
    done = await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    assert (done.assurance, done.verdicts[0].probe) == (Assurance.PROVEN, True)
    (probed,) = room.servers.of(server(room)).upstream.probed  # type: ignore[attr-defined]
    assert (probed.tool, probed.arguments) == ("whoami", b'{"deep":1}')
    with pytest.raises(NotVerified) as caught:
        await room.rotations.rotate(ROOT, NAME, Secret(BAD))
    assert "who are you?" in caught.value.verdicts[0].sentence


@pytest.mark.parametrize(
    "reply",
    [Fault(-32000, f"no such key {BAD}"), Result(b'{"isError":true,"content":[]}')],
    ids=["fault", "bare"],
)
async def test_a_probe_that_fails_is_a_refusal(reply: Fault | Result) -> None:
    room = await a_room()
    room.good.add(BAD)
    await room.registered.change(ROOT, "github", ServerPatch(upkeep=Upkeep(probe=Probe("whoami"))), None)

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        upstream.to_probe = reply

    room.upstreams.prepare = prepare
    with pytest.raises(NotVerified) as caught:
        await room.rotations.rotate(ROOT, NAME, Secret(BAD))
    assert "answered the probe 'whoami' with an error" in caught.value.verdicts[0].sentence
    assert BAD not in caught.value.verdicts[0].sentence


async def test_a_probe_of_a_tool_that_is_not_there_fails() -> None:
    room = await a_room()
    await room.registered.change(ROOT, "github", ServerPatch(upkeep=Upkeep(probe=Probe("nothing"))), None)
    with pytest.raises(NotVerified, match=r"offers no tool 'nothing'"):
        await room.rotations.rotate(ROOT, NAME, Secret(NEW))


async def test_a_server_that_hangs_is_not_waited_for_long() -> None:
    room = await Cloakroom(seconds=0.05).open()
    await room.add()

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        upstream.hold()

    room.upstreams.prepare = prepare
    with pytest.raises(NotVerified, match=r"did not answer within 0\.05 s"):
        await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    assert in_force(room) == f"Bearer {OLD}"


async def test_one_of_two_servers_that_refuses_is_enough() -> None:
    room = await a_room()
    blank = Secret("${credential:github-authorization}")
    await room.registered.add(
        ROOT,
        NewServer(
            "other", Secret("https://github.test/other"), headers={"X-Key": blank}, plain=frozenset({"X-Key"})
        ),
    )

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        if upstream.server.name == "other" and OLD not in room.presented(upstream):
            upstream.failing = UpstreamUnreachable("other cannot be reached")

    room.upstreams.prepare = prepare
    with pytest.raises(NotVerified) as caught:
        await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    assert {one.server: one.ok for one in caught.value.verdicts} == {"github": True, "other": False}
    assert in_force(room) == f"Bearer {OLD}"
    await settle_down()
    candidates = [one for one in room.upstreams.opened if NEW in room.presented(one)]
    assert len(candidates) == 2
    assert all(one.drained == [0.0] for one in candidates), "nothing that was tried is left"


async def test_nothing_is_staged_twice_and_nothing_twice_the_same() -> None:
    room = await a_room()
    with pytest.raises(Unfit, match="has already"):
        await room.rotations.stage(ROOT, NAME, Secret(OLD))
    with pytest.raises(Unfit, match="no staged version"):
        await room.rotations.activate(ROOT, NAME)
    await room.rotations.stage(KEEPER, NAME, Secret(NEW))
    with pytest.raises(Taken, match="version 2 of github-authorization is staged by keeper"):
        await room.rotations.rotate(ROOT, NAME, Secret(BAD))
    assert stages_of(await room.rotations.discard(ROOT, NAME)) == {2: "retired", 1: "active"}
    with pytest.raises(Missing):
        await room.rotations.discard(ROOT, "nothing")


async def test_the_slower_of_two_operators_is_told() -> None:
    room = await a_room()
    asked = asyncio.Event()

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        if NEW in room.presented(upstream):
            upstream.hold()
            asked.set()

    room.upstreams.prepare = prepare
    slow = asyncio.ensure_future(room.rotations.rotate(ROOT, NAME, Secret(NEW)))
    await asked.wait()
    await room.rotations.discard(KEEPER, NAME)
    for upstream in room.upstreams.opened:
        upstream.let_go()
    with pytest.raises(Stale, match="changed meanwhile"):
        await slow
    assert in_force(room) == f"Bearer {OLD}"


@pytest.mark.parametrize("commits", [0, 1, 2])
@pytest.mark.parametrize("lost", [False, True], ids=["not written", "word lost"])
async def test_a_store_that_fails_at_any_step_leaves_old_or_new(commits: int, lost: bool) -> None:
    room = await a_room()
    target = room.store.commits + commits
    commit = room.store.commit

    async def failing(edit: object) -> None:
        if room.store.commits == target and lost:
            room.store.breaking = Unavailable("the connection broke")
        elif room.store.commits == target:
            raise Unavailable("the disk is full")
        await commit(edit)  # type: ignore[arg-type]

    room.store.commit = failing  # type: ignore[method-assign]
    failed = False
    try:
        await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    except Unavailable:
        failed = True
    view = await room.credentials.get(NAME)
    assert [one.stage for one in view.versions].count(Stage.ACTIVE) == 1
    active = view.at(Stage.ACTIVE)
    assert active is not None
    assert in_force(room) == f"Bearer {NEW if active.number == 2 else OLD}"
    assert failed is (active.number == 1)
    restarted = await Cloakroom(store=room.store).open()
    assert in_force(restarted) == in_force(room), "and a start finds the same"
    if view.at(Stage.STAGED) is not None:
        room.store.commit = commit  # type: ignore[method-assign]
        await room.rotations.activate(ROOT, NAME)
        assert in_force(room) == f"Bearer {NEW}", "what was left behind can be activated"


# --- servers that cannot run twice ----------------------------------------------------------------------------


def restarting() -> Upkeep:
    return Upkeep(replace=Replace.RESTART)


async def test_a_server_that_cannot_run_twice_never_does() -> None:
    room = await a_room(upkeep=restarting())
    living: list[int] = []

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        living.append(sum(not one.drained for one in room.upstreams.opened))

    room.upstreams.prepare = prepare
    await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    assert in_force(room) == f"Bearer {NEW}"
    with pytest.raises(NotVerified):
        await room.rotations.rotate(ROOT, NAME, Secret(BAD))
    assert await room.servers.of(server(room)).ask()
    assert set(living) == {1}, "only git runs besides it"
    state = room.servers.of(server(room)).upstream.status().state
    assert state.value == "ready", "the old one was started again"
    await room.rotations.roll_back(ROOT, NAME)
    await settle_down()
    assert await room.servers.of(server(room)).ask()
    assert set(living) == {1}


async def test_calls_wait_while_it_is_restarted() -> None:
    room = await a_room(upkeep=restarting())
    gate = asyncio.Event()

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        if NEW in room.presented(upstream):
            upstream.hold()
            gate.set()

    room.upstreams.prepare = prepare
    rotating = asyncio.ensure_future(room.rotations.rotate(ROOT, NAME, Secret(NEW)))
    await gate.wait()
    greeting = asyncio.ensure_future(room.servers.of(server(room)).upstream.greet())
    await settle_down()
    assert not greeting.done()
    room.upstreams.of("github").let_go()
    assert await greeting
    assert (await rotating).assurance is Assurance.PROVEN
