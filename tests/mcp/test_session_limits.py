"""Sessions on a clock moved by hand: idleness, limits, whose they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from coatcheck.core.wire.messages import CallerNotice, CallerReply
from coatcheck.mcp.legacy import sessions as sessions_module
from coatcheck.mcp.legacy.sessions import MAX_NOTICES, Session, SessionLimits, Sessions
from coatcheck.mcp.legacy.streams import Stream
from coatcheck.mcp.legacy.voices import ENDED
from coatcheck.mcp.outlets import Outlet
from coatcheck.model.call import Caller, Question, Result
from coatcheck.model.era import Era
from coatcheck.operations.inflight import Cut, Inflight
from doubles.bench import a_principal
from doubles.clock import HandClock
from doubles.conversations import ScriptedConversation, scripted
from doubles.entropy import CountingEntropy
from doubles.responses import Client

CALLER = Caller(Era.LEGACY, "2025-11-25", "client", "1")


def made(clock: HandClock | None = None, **limits: float) -> Sessions:
    return Sessions(clock or HandClock(), CountingEntropy(), SessionLimits(**limits), scripted)  # type: ignore[arg-type]


def opened(sessions: Sessions, grant: str = "g", route: str = "/mcp") -> Session:
    session = sessions.open(replace(a_principal(), grant_id=grant), route)
    sessions.begin(session, CALLER, None)
    return session


def talk_of(session: Session) -> ScriptedConversation:
    found: Any = session.conversation
    assert isinstance(found, ScriptedConversation)
    return found


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


async def test_a_session_takes_over_the_roles_that_its_client_has_by_now() -> None:
    session = opened(made())
    former = session.principal
    session.renew(replace(former, roles=frozenset({"dev"})))
    assert (session.principal.roles, session.grant_id) == (frozenset({"dev"}), former.grant_id)
    assert talk_of(session).principal is session.principal


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


# --- clients that listen -------------------------------------------------------------------------------------


def listening(session: Session) -> tuple[Stream, Outlet]:
    outlet = Outlet(Client().send)
    return session.listen(outlet), outlet


async def test_a_session_whose_client_listens_is_not_idle() -> None:
    clock = HandClock()
    sessions = made(clock, idle=60.0)
    session, other = opened(sessions), opened(sessions)
    stream, outlet = listening(session)
    for _ in range(3):
        clock.advance(61)
        sessions.sweep()
        assert (len(sessions), session.ended, other.ended) == (1, False, True)
    clock.advance(59)
    sessions.sweep()
    session.let_go(stream, outlet)
    clock.advance(60)
    sessions.sweep()
    assert len(sessions) == 1  # the time counts from when it was last seen to listen
    clock.advance(1)
    sessions.sweep()
    assert session.ended


async def test_over_a_limit_those_that_do_nothing_go_first() -> None:
    sessions = made(per_grant=2)
    quiet, heard = opened(sessions), opened(sessions)
    listening(quiet)
    opened(sessions)
    assert (quiet.ended, heard.ended) == (False, True)
    third = sessions.find(next(reversed(sessions._sessions)), "g", "/mcp")
    assert third is not None
    listening(third)
    opened(sessions)
    assert (quiet.ended, third.ended, len(sessions)) == (True, False, 2)


async def test_the_conversation_is_told_whether_the_client_listens() -> None:
    sessions = made()
    session = opened(sessions)
    talk = talk_of(session)
    first, outlet = listening(session)
    second, newer = listening(session)
    session.let_go(first, outlet)
    assert talk.attended == [True, True, True]  # the newer stream stands
    session.let_go(second, newer)
    assert session.resume(second, 0, Outlet(Client().send))
    assert talk.attended == [True, True, True, False, True]
    sessions.end(session.id, "g", "/mcp")
    session.let_go(second, newer)
    assert len(talk.attended) == 5  # after the end it hears nothing more


async def test_a_transport_with_one_stream_listens_from_the_start() -> None:
    sessions = made()
    outlet = Outlet(Client().send)
    session = sessions.open(a_principal(), "/mcp/sse", outlet)
    assert session.conversation is None
    sessions.begin(session, CALLER, None)
    first = talk_of(session)
    assert first.attended == [True]
    sessions.begin(session, CALLER, None)  # a second handshake begins anew
    await asyncio.sleep(0)
    assert (first.closed, talk_of(session) is first) == (1, False)
    await sessions.drain()
    assert outlet.ended
    sessions.begin(session, CALLER, None)
    assert talk_of(session).closed == 1  # nothing begins after the end


# --- ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["end", "grant", "idle", "limit", "drain"])
async def test_however_a_session_ends_its_conversation_is_closed_once(way: str) -> None:
    clock = HandClock()
    sessions = made(clock, idle=60.0, per_grant=1)
    session = opened(sessions)
    asking = asyncio.create_task(session.voice.ask(Question("roots/list", b"{}"), None))
    await asyncio.sleep(0)
    if way == "end":
        sessions.end(session.id, "g", "/mcp")
    elif way == "grant":
        sessions.end_grants(frozenset({"g"}))
    elif way == "idle":
        clock.advance(61)
        assert sessions.find(session.id, "g", "/mcp") is None
    elif way == "limit":
        opened(sessions)
    await sessions.drain()
    assert (session.ended, talk_of(session).closed, len(sessions)) == (True, 1, 0)
    assert await asking == ENDED


async def test_a_conversation_that_does_not_close_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "CLOSE_SECONDS", 0.01)
    sessions = made()
    held, good = opened(sessions), opened(sessions)
    talk_of(held).held = True
    await asyncio.wait_for(sessions.drain(), 10)
    assert (talk_of(held).closed, talk_of(good).closed) == (0, 1)


# --- notifications -------------------------------------------------------------------------------------------


def said(number: int) -> CallerNotice:
    return CallerNotice("notifications/progress", {"n": b"%d" % number})


async def test_notifications_are_passed_on_in_order() -> None:
    session = opened(made())
    await asyncio.gather(*(session.relay(said(number)) for number in range(20)))
    assert [notice.params for notice in talk_of(session).relayed] == [b'{"n":%d}' % n for n in range(20)]


async def test_notifications_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "RELAY_SECONDS", 0.05)
    session = opened(made())
    talk_of(session).held = True
    waiting = [asyncio.create_task(session.relay(said(number))) for number in range(MAX_NOTICES)]
    await asyncio.sleep(0)
    await session.relay(said(-1))  # one too many is dropped at once
    assert not any(task.done() for task in waiting)
    await asyncio.gather(*waiting)  # and nothing waits for ever
    talk_of(session).held = False
    await session.relay(said(1))
    assert [notice.params for notice in talk_of(session).relayed] == [b'{"n":1}']


def test_replies_to_nothing_are_counted() -> None:
    async def run() -> int:
        session = opened(made())
        session.hear(CallerReply(b"1", Result(b"{}")))
        session.hear(CallerReply(b'"ask-1"', Result(b"{}")))
        return session.stray

    assert asyncio.run(run()) == 2
