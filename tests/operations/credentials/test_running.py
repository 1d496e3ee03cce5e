"""Long steps of rotations go on by themselves, are told to whoever began them, and are bounded."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.errors import Missing, NotVerified, Stale, Taken, Unavailable
from coatcheck.model.credential import Assurance, Stage
from coatcheck.model.secret import Secret
from coatcheck.operations.rotation import running
from coatcheck.operations.rotation.rotating import Rotations
from coatcheck.operations.rotation.running import Doing, Heard, Run, Runs
from doubles.bench import settle_down
from doubles.cloakrooms import BAD, NEW, Cloakroom
from doubles.registries import KEEPER, ROOT
from doubles.upstreams import ScriptedUpstream

NAME = "github-authorization"


async def a_room() -> tuple[Cloakroom, Runs]:
    room = await Cloakroom().open()
    assert await room.add() == NAME
    return room, Runs(room.counter, Rotations(room.counter, room.verifier, 0.0))


async def ended(runs: Runs, run: Run) -> Run:
    """Return a run when it has ended."""
    for _ in range(2_000):
        found = runs.find(ROOT, run.id)
        assert found is not None
        if not found.under_way:
            return found
        await asyncio.sleep(0)
    raise AssertionError("it does not end")


def hold_up(room: Cloakroom) -> None:
    """Let servers that are tried from now on wait."""

    def prepare(upstream: ScriptedUpstream) -> None:
        room.check(upstream)
        upstream.hold()

    room.upstreams.prepare = prepare


def let_go(room: Cloakroom) -> None:
    room.upstreams.prepare = room.check
    for one in room.upstreams.opened:
        one.let_go()


async def test_a_version_is_verified_and_each_server_is_told() -> None:
    room, runs = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(NEW))
    begun = runs.verify(ROOT, NAME)
    assert (begun.doing, begun.under_way, begun.heard, begun.by) == (Doing.VERIFY, True, (), ROOT.name)
    assert runs.under_way(begun.credential) == begun
    run = await ended(runs, begun)
    assert (run.number, run.assurance, run.activated, run.failure) == (2, Assurance.PROVEN, False, None)
    assert [(one.server, one.ok) for one in run.heard] == [("github", True)]
    assert "an obviously wrong one was refused" in run.heard[0].sentence
    assert runs.under_way(begun.credential) is None
    assert room.counter.show(NAME).at(Stage.STAGED) is not None


async def test_what_a_server_has_not_said_yet_is_shown_as_such() -> None:
    room, runs = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(NEW))
    hold_up(room)
    begun = runs.verify(ROOT, NAME)
    await settle_down()
    run = runs.find(ROOT, begun.id)
    assert run is not None
    assert (run.under_way, run.number, run.heard) == (True, 2, (Heard("github"),))
    with pytest.raises(Taken, match=f"being verified already, by {ROOT.name}"):
        runs.verify(KEEPER, NAME)
    let_go(room)
    assert (await ended(runs, begun)).heard[0].ok


async def test_a_refused_version_is_told_with_the_server_and_nothing_changes() -> None:
    room, runs = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(BAD))
    run = await ended(runs, runs.verify(ROOT, NAME))
    assert (run.assurance, run.failure) == (Assurance.NEVER, None)
    assert [one.server for one in run.refused] == ["github"]
    assert "401" in run.refused[0].sentence
    assert BAD not in repr(run)
    run = await ended(runs, runs.activate(ROOT, NAME, 2))
    assert (run.activated, [one.server for one in run.refused]) == (False, ["github"])
    assert run.failure is not None
    assert run.failure.code == NotVerified.code
    assert BAD not in repr(run)
    view = room.counter.show(NAME)
    assert {one.number: one.stage for one in view.versions} == {2: Stage.STAGED, 1: Stage.ACTIVE}


async def test_a_good_version_is_activated() -> None:
    room, runs = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(NEW))
    run = await ended(runs, runs.activate(ROOT, NAME, 2, "it was leaked"))
    assert (run.activated, run.number, run.former, run.assurance) == (True, 2, 1, Assurance.PROVEN)
    assert room.store.changes[-1].because == "it was leaked"
    assert runs.find(ROOT, run.id) == run


async def test_a_step_that_was_meant_for_another_version_is_not_made() -> None:
    room, runs = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(NEW))
    run = await ended(runs, runs.activate(ROOT, NAME, 3))
    assert run.failure is not None
    assert (run.failure.code, run.activated) == (Stale.code, False)
    with pytest.raises(Stale):
        await room.rotations.discard(ROOT, NAME, 3)
    await room.rotations.activate(ROOT, NAME, number=2)
    for step in (room.rotations.roll_back(ROOT, NAME, number=2), room.rotations.retire(ROOT, NAME, 2)):
        with pytest.raises(Stale, match="version 1 of github-authorization is previous now, not version 2"):
            await step
    await room.rotations.roll_back(ROOT, NAME, number=1)
    with pytest.raises(Stale):  # what is asked for twice is not done and undone
        await room.rotations.roll_back(ROOT, NAME, number=1)


async def test_a_run_is_told_to_whoever_began_it_alone() -> None:
    _room, runs = await a_room()
    run = await ended(runs, runs.verify(ROOT, NAME))
    assert runs.find(ROOT, run.id) is not None
    assert runs.find(KEEPER, run.id) is None
    assert runs.find(ROOT, "nothing") is None
    assert runs.latest(ROOT, run.credential) == run
    assert runs.latest(KEEPER, run.credential) is None
    again = await ended(runs, runs.verify(ROOT, NAME))
    assert runs.latest(ROOT, run.credential) == again
    with pytest.raises(Missing):
        runs.verify(ROOT, "nothing")


async def test_runs_are_forgotten_and_those_of_one_are_few() -> None:
    room, runs = await a_room()
    made = [await ended(runs, runs.verify(ROOT, NAME)) for _ in range(running.MOST_OF_ONE + 2)]
    assert [runs.find(ROOT, one.id) is None for one in made[:3]] == [True, True, False]
    room.clock.advance(running.SECONDS)
    assert all(runs.find(ROOT, one.id) is None for one in made)
    assert not any(runs.was_before_restart(one.id) for one in made)


async def test_at_once_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    room, runs = await a_room()
    assert await room.add("gitlab") == "gitlab-authorization"
    monkeypatch.setattr(running, "MOST_AT_ONCE", 1)
    hold_up(room)
    begun = runs.verify(ROOT, NAME)
    with pytest.raises(Unavailable, match="too many"):
        runs.verify(ROOT, "gitlab-authorization")
    let_go(room)
    await ended(runs, begun)
    await ended(runs, runs.verify(ROOT, "gitlab-authorization"))


async def test_what_is_under_way_ends_with_the_gateway_and_the_next_one_says_so() -> None:
    room, runs = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(NEW))
    hold_up(room)
    begun = runs.verify(ROOT, NAME)
    await settle_down()
    await runs.close()
    run = await ended(runs, begun)
    assert run.failure is not None
    assert run.failure.code == running.STOPPED
    with pytest.raises(Unavailable):
        runs.verify(ROOT, NAME)
    after = Runs(room.counter, room.rotations)
    assert after.find(ROOT, begun.id) is None
    assert after.was_before_restart(begun.id)
    assert not after.was_before_restart("")
    assert room.counter.show(NAME).at(Stage.STAGED) is not None, "it stays staged"
