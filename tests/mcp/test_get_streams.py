"""The streams of a legacy session over HTTP: opening with GET, coming back for the rest, being asked, ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import new_grant
from journeys.running import Hall, Session, hall_at
from journeys.streams import ELICIT, Streamed, asks, get, posted
from journeys.wire import LEGACY, MODERN, Wire, frame, message


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hall, str]]:
    """A gateway before a legacy server that asks, and a second grant of another subject."""
    other, key = new_grant()
    peer = {"era": "legacy", "tools": {"asks": asks}}
    place = tmp_path_factory.mktemp("two") / "data"
    with hall_at(place, {"tokens": {key: {"subject": "bob"}}}, peer=peer) as hall:
        hall.good()
        yield hall, other


@pytest.fixture(scope="module")
def hall(two: tuple[Hall, str]) -> Hall:
    return two[0]


def progressing(hall: Hall, session: Session, count: int = 2) -> tuple[Streamed, list[str]]:
    """Begin a call that reports progress and then hangs; return its stream and the ids of its events."""
    hall.peer.release.clear()
    arguments = {"to": count, "hang": True}
    params = {"name": "srv__progress", "arguments": arguments, "_meta": {"progressToken": "p"}}
    wire = posted(session, message("tools/call", params, "slow"))
    assert wire.opened() == 200
    primed = session.version == LEGACY
    events = [wire.next() for _ in range(count + primed)]
    return wire, [event.id for event in events]


# --- opening -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [LEGACY, "2025-06-18", "2025-03-26"])
def test_get_opens_a_stream_and_only_new_clients_are_primed(hall: Hall, version: str) -> None:
    session = hall.session(version=version)
    with get(session) as wire:
        assert wire.opened() == 200
        assert wire.headers["content-type"] == "text/event-stream"
        assert "no-transform" in wire.headers["cache-control"]
        assert session.ask("ping").status == 200
        if version == LEGACY:
            event = wire.next()
            assert (event.id, event.retry, event.message) == ("1-0", 1000, None)
        assert session.end().status == 204
        assert wire.is_over()


def test_a_newer_stream_takes_the_place_of_the_older(hall: Hall) -> None:
    session = hall.session()
    with get(session) as older, get(session) as newer:
        assert (older.opened(), older.next().id) == (200, "1-0")
        assert (newer.opened(), newer.next().id) == (200, "2-0")
        assert older.is_over()
        session.end()
        assert newer.is_over()


@pytest.mark.parametrize("path", ["/mcp", "/mcp/srv"])
def test_who_may_open_one(two: tuple[Hall, str], path: str) -> None:
    hall, other = two
    session, stranger = hall.session(path), hall.session(path, other)
    elsewhere = hall.session("/mcp/srv" if path == "/mcp" else "/mcp")
    cases: list[tuple[Session, dict[str, str | None], int]] = [
        (session, {"Mcp_Session_Id": None}, 400),
        (session, {"Mcp_Session_Id": "made-up"}, 404),
        (stranger, {"Mcp_Session_Id": session.id}, 404),
        (elsewhere, {"Mcp_Session_Id": session.id}, 404),
        (session, {"MCP_Protocol_Version": "2025-06-18"}, 400),
        (session, {"MCP_Protocol_Version": "1999-01-01"}, 400),
        (session, {"MCP_Protocol_Version": MODERN}, 405),
        (session, {"Accept": "application/json"}, 406),
        (session, {"Accept": "text/event-stream;q=0.9, application/json"}, 200),
        (session, {"Accept": "*/*"}, 200),
        (session, {"Accept": None, "MCP_Protocol_Version": None}, 200),
        (session, {"Authorization": None}, 401),
    ]
    for who, headers, status in cases:
        with get(who, **headers) as wire:
            assert (headers, wire.opened()) == (headers, status)
            if status in {400, 404}:
                body = json.loads(wire._exactly(int(wire.headers["content-length"])))
                assert (body["id"], body["error"]["code"]) == (None, -32600)
    assert session.ask("ping").status == 200


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "OPTIONS", "HEAD"])
def test_other_methods_are_told_what_there_is(hall: Hall, verb: str) -> None:
    session = hall.session()
    for version, allowed in ((LEGACY, "GET, POST, DELETE"), (MODERN, "POST")):
        with Streamed(hall.gateway.port) as wire:
            fields = {**session.headers, "MCP-Protocol-Version": version, "Content-Length": None}
            wire.send(frame(b"", verb=verb.encode(), headers=fields))
            assert (wire.opened(), wire.headers["allow"]) == (405, allowed)


def test_openings_that_find_nothing_are_counted_and_another_grants_session_is_on_record(
    two: tuple[Hall, str],
) -> None:
    hall, other = two
    session, stranger = hall.session(), hall.session(grant=other)
    position = hall.last_position()
    for headers in ({"Mcp_Session_Id": None}, {"Accept": "application/json"}, {"Last_Event_ID": "9-9"}):
        with get(session, **headers) as wire:
            assert wire.opened() in {400, 406}
    assert hall.since(position) == []
    with get(stranger, Mcp_Session_Id=session.id) as wire:
        assert wire.opened() == 404
    assert [(entry["subject"], entry["decision"]) for entry in hall.since(position)] == [("bob", "denied")]


# --- coming back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [LEGACY, "2025-06-18"])
@pytest.mark.parametrize("released", ["before", "after"])
def test_a_client_that_lost_a_stream_comes_back_for_the_answer(
    hall: Hall, version: str, released: str
) -> None:
    session, position = hall.session(version=version), hall.last_position()
    wire, ids = progressing(hall, session)
    wire.close()
    if released == "before":
        hall.peer.until(lambda: hall.peer.hanging == 1)
        hall.peer.release.set()
        while hall.since(position)[0]["outcome"] is None:
            pass
    with get(session, Last_Event_ID=ids[-2]) as back:
        assert back.opened() == 200
        event = back.next()
        assert (event.id, event.message["params"]["progress"]) == (ids[-1], 1)
        hall.peer.release.set()
        answer = back.next()
        assert (answer.message["id"], answer.message["result"]["content"][0]["text"]) == ("slow", "done")
        assert back.is_over()
    with get(session, Last_Event_ID=answer.id) as nothing:
        assert nothing.opened() == 200
        assert nothing.is_over()
    assert [entry["outcome"] for entry in hall.since(position)] == ["ok"]


def test_coming_back_gives_the_events_of_that_stream_alone(hall: Hall) -> None:
    session = hall.session()
    first, first_ids = progressing(hall, session)
    second, second_ids = progressing(hall, session, 3)
    assert not set(first_ids) & set(second_ids)
    first.close()
    with get(session, Last_Event_ID=first_ids[0]) as back:
        assert back.opened() == 200
        assert [back.next().id for _ in range(2)] == first_ids[1:]
        hall.peer.release.set()
        assert back.next().message["id"] == "slow"
        assert back.is_over()
    assert second.next().message["id"] == "slow"
    assert second.is_over()
    second.close()


def test_coming_back_twice_leaves_the_stream_with_who_came_last(hall: Hall) -> None:
    session = hall.session()
    wire, ids = progressing(hall, session)
    with wire, get(session, Last_Event_ID=ids[0]) as one:
        assert one.opened() == 200
        assert [one.next().id for _ in range(2)] == ids[1:]
        assert wire.is_over()
        with get(session, Last_Event_ID=ids[-1]) as other:
            assert other.opened() == 200
            assert one.is_over()
            hall.peer.release.set()
            assert other.next().message["id"] == "slow"
            assert other.is_over()


@pytest.mark.parametrize("id", ["9-9", "1-99", "x", "1", "", "1-0 1-0"])
def test_an_event_that_was_never_given_is_400_and_the_session_goes_on(hall: Hall, id: str) -> None:
    session = hall.session()
    with get(session) as wire:
        assert wire.opened() == 200
        with get(session, Last_Event_ID=id) as back:
            assert back.opened() == 400
            error = json.loads(back._exactly(int(back.headers["content-length"])))["error"]
        assert "The session goes on" in error["message"]
        assert session.ask("ping").status == 200


def test_an_id_of_another_session_is_no_id_here(hall: Hall) -> None:
    session, other = hall.session(), hall.session()
    wire, ids = progressing(hall, session)
    with get(other, Last_Event_ID=ids[-1]) as back:
        assert back.opened() == 400
    hall.peer.release.set()
    assert wire.next().message["id"] == "slow"
    wire.close()


def test_fast_answers_are_plain_json_and_nothing_is_kept_of_them(hall: Hall) -> None:
    session = hall.session()
    for _ in range(5):
        got = session.ask("tools/call", {"name": "srv__echo", "arguments": {}})
        assert (got.status, got.headers["content-type"]) == (200, "application/json")
    with get(session) as wire:
        assert wire.opened() == 200
        assert wire.next().id == "1-0"  # no stream was opened before


# --- questions ---------------------------------------------------------------------------------------------


def able(hall: Hall, path: str = "/mcp/srv") -> Session:
    """Open a session that can be asked."""
    session = hall.session(path)
    opening = {
        "protocolVersion": LEGACY,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "journey", "version": "1"},
    }
    session.headers["Mcp-Session-Id"] = None
    session.headers["Mcp-Session-Id"] = session.post(message("initialize", opening)).headers["mcp-session-id"]
    return session


def reply(session: Session, asked: Any, **answer: Any) -> None:
    got = session.post(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode())
    assert (got.status, got.body) == (202, b"")


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"action": "accept", "content": {"name": "Ada"}}},
        {"error": {"code": -1, "message": "not now"}},
    ],
)
def test_a_server_asks_on_the_stream_of_the_request_and_hears_the_answer(
    hall: Hall, answer: dict[str, Any]
) -> None:
    session = able(hall)
    with get(session) as standing, posted(session, message("tools/call", {"name": "asks"}, 7)) as wire:
        assert standing.opened() == 200
        assert wire.opened() == 200
        assert wire.next().id
        asked = wire.message()
        assert (asked["method"], asked["params"]) == ("elicitation/create", ELICIT)
        reply(able(hall), asked, **answer)  # another session: nobody waits there
        reply(session, asked, **answer)
        answered = wire.message()
        told = json.loads(answered["result"]["content"][0]["text"])
        assert (answered["id"], told) == (7, {"id": "q", **answer})
        assert wire.is_over()
        reply(session, asked, **answer)  # too late, and no harm
        session.end()
        assert standing.next().message is None
        assert standing.is_over()


def test_a_question_survives_the_loss_of_its_stream(hall: Hall) -> None:
    session = able(hall)
    with posted(session, message("tools/call", {"name": "asks"}, 7)) as wire:
        assert wire.opened() == 200
        first = wire.next()
        asked = wire.message()
    with get(session, Last_Event_ID=first.id) as back:
        assert back.opened() == 200
        assert back.message() == asked
        reply(session, asked, result={"action": "cancel"})
        assert json.loads(back.message()["result"]["content"][0]["text"])["result"] == {"action": "cancel"}
        assert back.is_over()


# --- ends ----------------------------------------------------------------------------------------------------


def test_revoking_a_grant_cuts_its_streams_and_nobody_elses(tmp_path: Path) -> None:
    other, key = new_grant()
    with hall_at(tmp_path / "data", {"tokens": {key: {"subject": "bob"}}}) as hall:
        mine, bobs = hall.session(), hall.session(grant=other)
        slow, ids = progressing(hall, bobs)
        with get(mine) as staying, get(bobs) as cut:
            assert staying.opened() == cut.opened() == 200
            declaration = json.loads(json.dumps(hall.gateway.declaration))
            del declaration["serverAuth"]["bearer"]["tokens"][key]
            hall.gateway.change(declaration)
            assert cut.next().message is None
            assert cut.is_over()
            assert slow.is_over()
            with get(bobs, Last_Event_ID=ids[-1]) as back:
                assert back.opened() == 401
            assert mine.ask("ping").status == 200
            assert staying.next().id == "1-0"
        slow.close()


def test_a_stopping_gateway_waits_for_no_open_stream(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data", arguments=["--drain-timeout", "1h"]) as hall:
        session = hall.session()
        with get(session) as wire:
            assert (wire.opened(), wire.next().id) == (200, "1-0")
            hall.gateway.stop()  # fails if it takes longer than a stop may
            assert wire.is_over()


def test_ending_a_session_ends_what_was_gone_on_with(hall: Hall) -> None:
    session = hall.session()
    wire, ids = progressing(hall, session)
    with get(session, Last_Event_ID=ids[-1]) as back:
        assert back.opened() == 200
        assert session.end().status == 204
        assert back.is_over()
        assert wire.is_over()
    hall.peer.until(lambda: hall.peer.hanging == 0)
    with Wire(hall.gateway.port):
        assert session.ask("ping").status == 404
    wire.close()
