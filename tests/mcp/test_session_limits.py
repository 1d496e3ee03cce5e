"""Sessions on a clock moved by hand: idleness, limits, whose they are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from coatcheck.mcp.sessions import Session, SessionLimits, Sessions
from coatcheck.model.call import Caller
from coatcheck.model.era import Era
from coatcheck.operations.inflight import Cut, Inflight
from doubles.bench import a_principal
from doubles.clock import HandClock
from doubles.conversations import scripted
from doubles.entropy import CountingEntropy

CALLER = Caller(Era.LEGACY, "2025-11-25", "client", "1")


def made(clock: HandClock | None = None, **limits: float) -> Sessions:
    return Sessions(clock or HandClock(), CountingEntropy(), SessionLimits(**limits), scripted)  # type: ignore[arg-type]


def opened(sessions: Sessions, grant: str = "g", route: str = "/mcp") -> Session:
    session = sessions.open(replace(a_principal(), grant_id=grant), route)
    sessions.begin(session, CALLER, single=False)
    return session


async def test_a_session_is_found_by_its_own_grant_and_route_alone() -> None:
    sessions = made()
    session = opened(sessions)
    assert sessions.find(session.id, "g", "/mcp") is session
    for id, grant, route in (
        (session.id, "other", "/mcp"),
        (session.id, "g", "/mcp/x"),
        ("none", "g", "/mcp"),
        ("", "g", "/mcp"),
    ):
        assert sessions.find(id, grant, route) is None
        sessions.end(id, grant, route)
    assert len(sessions) == 1


async def test_an_idle_session_ends_and_a_used_one_does_not() -> None:
    clock = HandClock()
    sessions = made(clock, idle=60.0)
    used, idle = opened(sessions), opened(sessions)
    for _ in range(3):
        clock.advance(30)
        assert sessions.find(used.id, "g", "/mcp") is used
    assert sessions.find(idle.id, "g", "/mcp") is None
    assert len(sessions) == 1


async def test_opening_clears_away_what_is_idle() -> None:
    clock = HandClock()
    sessions = made(clock, idle=60.0)
    for number in range(10):
        opened(sessions, f"g{number}")
    clock.advance(61)
    opened(sessions)
    assert len(sessions) == 1


async def test_a_session_with_a_request_under_way_is_not_idle() -> None:
    clock = HandClock()
    sessions = made(clock, idle=60.0)
    session = opened(sessions)
    task = asyncio.create_task(asyncio.sleep(60))
    session.under_way[b"1"] = Inflight().enter("g", task)
    clock.advance(600)
    assert sessions.find(session.id, "g", "/mcp") is session
    session.under_way.clear()
    clock.advance(600)
    assert sessions.find(session.id, "g", "/mcp") is None
    task.cancel()


async def test_a_grant_has_so_many_and_the_one_unused_for_longest_goes() -> None:
    sessions = made(per_grant=3)
    first, second, third = (opened(sessions) for _ in range(3))
    other = opened(sessions, "other")
    sessions.find(first.id, "g", "/mcp")
    opened(sessions)
    assert sessions.find(second.id, "g", "/mcp") is None
    assert sessions.find(first.id, "g", "/mcp") is first
    assert sessions.find(third.id, "g", "/mcp") is third
    assert sessions.find(other.id, "other", "/mcp") is other


async def test_all_have_so_many_together() -> None:
    sessions = made(total=3)
    first = opened(sessions, "a")
    for grant in "bcd":
        opened(sessions, grant)
    assert sessions.find(first.id, "a", "/mcp") is None
    assert len(sessions) == 3


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_any_number_of_openings_keeps_the_books_straight(limit: int) -> None:
    sessions = made(per_grant=limit, total=limit * 2)
    for number in range(100):
        opened(sessions, f"g{number % 7}")
        assert len(sessions) <= limit * 2
    sessions.end_grants(frozenset(f"g{number}" for number in range(7)))
    assert len(sessions) == 0
    assert opened(sessions).id


async def test_ending_cancels_what_is_under_way_and_nothing_else() -> None:
    sessions = made()
    ending, staying = opened(sessions), opened(sessions, "other")
    inflight = Inflight()
    tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2)]
    entries = [inflight.enter("g", task) for task in tasks]
    ending.under_way[b"1"], staying.under_way[b"1"] = entries
    sessions.end_grants(frozenset({"g"}))
    await asyncio.sleep(0)
    assert [entry.cut for entry in entries] == [Cut.CANCELLED, None]
    assert tasks[0].cancelled() or tasks[0].cancelling()
    assert not tasks[1].cancelling()
    staying.cancel(b"2")
    assert not tasks[1].cancelling()
    staying.cancel(b"1")
    assert tasks[1].cancelling()
    await asyncio.gather(*tasks, return_exceptions=True)
