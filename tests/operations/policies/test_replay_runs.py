"""Replays that somebody looks at: how far they are, one of each operator, and none that nobody looks at."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from coatcheck.errors import Unavailable, Unfit
from coatcheck.model.operator import Actor
from coatcheck.operations.policies import replay_runs
from coatcheck.operations.policies.replay_runs import ReplayRuns
from coatcheck.operations.policies.replaying import Note, Progress, Replay, ReplayQuestion
from doubles.registries import ROOT, Office

ASKED = ReplayQuestion(name="p", document={})
DONE = cast("Replay", object())
OTHERS = ("dora", "emil", "fay", "gus", "hal")


@dataclass
class Gated:
    """Replays nothing, and no faster than it is let."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    under_way: int = 0
    ended_early: int = 0
    fails: bool = False

    async def replay(self, _: ReplayQuestion, note: Note) -> Replay:
        self.under_way += 1
        try:
            note(Progress(3, 10))
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended_early += 1
            raise
        finally:
            self.under_way -= 1
        if self.fails:
            raise Unfit("it took too long")
        return DONE


async def made(gated: Gated) -> tuple[ReplayRuns, Office]:
    office = await Office().open()
    return ReplayRuns(office.desk, gated), office  # type: ignore[arg-type]


def named(name: str) -> Actor:
    return Actor(name, ROOT.role, ROOT.origin)


async def test_one_who_looks_hears_how_far_it_is_and_then_what_came_of_it() -> None:
    gated = Gated()
    runs, _ = await made(gated)
    run = runs.begin(ROOT, ASKED)
    assert run.progress is None
    await runs.wait(run, 0.01)
    found = runs.find(ROOT, run.id)
    assert found is not None
    assert (found.under_way, found.progress) == (True, Progress(3, 10))
    assert runs.find(named("dora"), run.id) is None
    gated.gate.set()
    await runs.wait(run, 30.0)
    assert (found.under_way, found.found) == (False, DONE)


async def test_another_replay_of_the_same_operator_ends_the_one_before() -> None:
    gated = Gated()
    runs, _ = await made(gated)
    first, other = runs.begin(ROOT, ASKED), runs.begin(named("dora"), ASKED)
    await runs.wait(first, 0.01)
    assert gated.under_way == 2
    second = runs.begin(ROOT, ASKED)
    await runs.wait(second, 0.01)
    assert (gated.under_way, gated.ended_early) == (2, 1)
    assert runs.find(ROOT, first.id) is None
    assert other.under_way


async def test_no_more_than_so_many_are_under_way() -> None:
    runs, _ = await made(Gated())
    for name in OTHERS[: replay_runs.MOST_AT_ONCE]:
        runs.begin(named(name), ASKED)
    with pytest.raises(Unavailable):
        runs.begin(ROOT, ASKED)
    runs.begin(named(OTHERS[0]), ASKED)  # in place of one's own there is room
    await runs.close()


async def test_what_came_of_the_last_is_kept_while_there_is_no_room_for_another() -> None:
    gated = Gated()
    runs, _ = await made(gated)
    gated.gate.set()
    ended = runs.begin(ROOT, ASKED)
    await runs.wait(ended, 30.0)
    gated.gate.clear()
    others = [runs.begin(named(name), ASKED) for name in OTHERS[: replay_runs.MOST_AT_ONCE]]
    with pytest.raises(Unavailable):
        runs.begin(ROOT, ASKED)
    assert (runs.find(ROOT, ended.id), ended.found) == (ended, DONE)
    runs.stop(named(others[0].by), others[0].id)
    runs.begin(ROOT, ASKED)
    assert runs.find(ROOT, ended.id) is None
    await runs.close()


def test_one_that_is_looked_at_in_another_tab_is_not_taken_for_left() -> None:
    """Browsers let a tab that nobody sees ask once a minute."""
    assert replay_runs.UNASKED >= 2 * 60 + replay_runs._LOOK


async def test_one_is_stopped_by_whoever_began_it_alone() -> None:
    gated = Gated()
    runs, _ = await made(gated)
    run = runs.begin(ROOT, ASKED)
    await runs.wait(run, 0.01)
    runs.stop(named("dora"), run.id)
    assert run.under_way
    runs.stop(ROOT, run.id)
    await asyncio.sleep(0.01)
    assert (run.under_way, run.stopped, gated.ended_early) == (False, True, 1)


async def test_one_that_nobody_looks_at_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_runs, "_LOOK", 0.005)
    gated = Gated()
    runs, office = await made(gated)
    run = runs.begin(ROOT, ASKED)
    for _ in range(3):  # as long as somebody looks, it goes on
        office.clock.advance(replay_runs.UNASKED - 1)
        assert runs.find(ROOT, run.id) is run
        await asyncio.sleep(0.02)
    assert (run.under_way, gated.ended_early) == (True, 0)
    office.clock.advance(replay_runs.UNASKED + 1)
    async with asyncio.timeout(30):
        while not run.stopped or gated.under_way:
            await asyncio.sleep(0.005)
    assert (run.stopped, gated.ended_early) == (True, 1)
    office.clock.advance(replay_runs.KEPT)
    assert runs.find(ROOT, run.id) is None


async def test_why_one_came_to_nothing_is_told() -> None:
    gated = Gated(fails=True)
    runs, _ = await made(gated)
    run = runs.begin(ROOT, ASKED)
    gated.gate.set()
    await runs.wait(run, 30.0)
    assert (run.under_way, str(run.error)) == (False, "it took too long")


async def test_the_end_of_the_gateway_ends_them() -> None:
    gated = Gated()
    runs, _ = await made(gated)
    run = runs.begin(ROOT, ASKED)
    await runs.wait(run, 0.01)
    await runs.close()
    assert (gated.ended_early, run.under_way) == (1, False)
