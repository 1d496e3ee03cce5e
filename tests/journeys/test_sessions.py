"""Sessions of legacy clients over HTTP: whose they are, how they end, what they bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import new_grant
from journeys.running import Hall, hall_at
from journeys.wire import Wire, frame, message


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Hall, str]]:
    """A gateway with a second grant, of another subject."""
    other, key = new_grant()
    with hall_at(tmp_path_factory.mktemp("two") / "data", {"tokens": {key: {"subject": "bob"}}}) as hall:
        yield hall, other


def test_ids_are_opaque_long_and_never_the_same(two: tuple[Hall, str]) -> None:
    hall, _ = two
    ids = [hall.session().id for _ in range(20)]
    assert len(set(ids)) == 20
    assert all(re.fullmatch(r"[!-~]{22,}", id) for id in ids)
    assert not any(hall.grant[17:] in id for id in ids)


def test_a_session_is_of_one_grant_and_one_route(two: tuple[Hall, str]) -> None:
    hall, other = two
    session = hall.session()
    assert session.ask("ping").status == 200
    for grant, path in ((other, "/mcp"), (hall.grant, "/mcp/srv")):
        stranger = hall.session(path, grant)
        assert stranger.ask("ping").status == 200
        position = hall.last_position()
        stranger.headers["Mcp-Session-Id"] = session.id
        got = stranger.ask("ping", id="mine")
        assert (got.status, got.code, got.json()["id"]) == (404, -32600, "mine")
        (entry,) = hall.since(position)
        assert (entry["decision"], entry["method"]) == ("denied", "ping")
    assert session.ask("ping").status == 200  # untouched by all that


@pytest.mark.parametrize("id", ["made-up", "", "A" * 32, "..", "0", "null"])
def test_an_unknown_session_is_404(two: tuple[Hall, str], id: str) -> None:
    hall, _ = two
    session = hall.session()
    session.headers["Mcp-Session-Id"] = id
    assert session.ask("tools/list").status == 404


def test_a_request_without_a_session_is_400_and_says_what_to_do(two: tuple[Hall, str]) -> None:
    hall, _ = two
    for method in ("tools/list", "tools/call", "ping"):
        got, _ = hall.raw(frame(message(method, {"name": "srv__echo"}), headers=hall.bearer))
        assert (got.status, got.code) == (400, -32600)
        assert "initialize" in got.json()["error"]["message"]


def test_delete_ends_a_session_for_its_owner_only(two: tuple[Hall, str]) -> None:
    hall, other = two
    session = hall.session()
    stranger = hall.session(grant=other)
    stranger.headers["Mcp-Session-Id"] = session.id
    assert stranger.end().status == 204  # says nothing of what exists
    assert session.ask("ping").status == 200
    assert session.end().status == 204
    assert session.ask("ping").status == 404
    assert session.end().status == 204
    assert session.end(Mcp_Session_Id=None).status == 204


@pytest.mark.parametrize("version", ["2025-06-18", "2024-11-05"])
def test_a_version_header_must_be_the_one_negotiated(two: tuple[Hall, str], version: str) -> None:
    hall, _ = two
    session = hall.session()
    body = message("ping")
    assert session.post(body).status == 200
    assert session.post(body, MCP_Protocol_Version=None).status == 200  # older clients send none
    assert session.post(body, MCP_Protocol_Version=version).status == 400


def test_replies_and_unknown_notifications(two: tuple[Hall, str]) -> None:
    hall, _ = two
    session = hall.session()
    for method in (
        "notifications/initialized",
        "notifications/roots/list_changed",
        "notifications/cancelled",
        "notifications/x",
    ):
        got = session.notify(method)
        assert (got.status, got.body) == (202, b"")
    got = session.post(b'{"jsonrpc":"2.0","id":5,"result":{}}')  # nobody asked, or nobody waits any more
    assert (got.status, got.body) == (202, b"")
    assert session.notify("notifications/cancelled", {"requestId": {"a": 1}}).status == 202


def test_initialize_in_a_session_opens_another(two: tuple[Hall, str]) -> None:
    hall, _ = two
    session = hall.session()
    opening = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    }
    again = session.post(message("initialize", opening))
    assert again.status == 200
    assert again.headers["mcp-session-id"] != session.id
    assert session.ask("ping").status == 200


def test_opening_and_ping_are_counted_and_not_recorded(two: tuple[Hall, str]) -> None:
    hall, _ = two
    hall.ask("tools/list")
    position = hall.last_position()
    session = hall.session()
    session.ask("ping")
    session.notify("notifications/initialized")
    hall.ask("server/discover")
    session.end()
    assert hall.since(position) == []


def test_ending_a_session_cancels_what_it_waits_for(two: tuple[Hall, str]) -> None:
    hall, _ = two
    session = hall.session()
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        wire.send(session.frame(message("tools/call", {"name": "srv__hang", "arguments": {}})))
        hall.peer.until(lambda: hall.peer.hanging == 1)
        assert session.end().status == 204
        got = wire.read()
    assert (got.status, got.body) == (200, b"")
    hall.peer.until(lambda: hall.peer.hanging == 0)
    assert [(entry["tool"], entry["outcome"]) for entry in hall.since(position)] == [("hang", "cancelled")]


def test_over_the_limit_the_session_unused_for_longest_ends(tmp_path: Path) -> None:
    other, key = new_grant()
    limits = {
        "COATCHECK_SESSIONS_PER_GRANT": "3",
        "COATCHECK_SESSIONS_TOTAL": "4",
        "COATCHECK_SESSION_IDLE": "1h",
    }
    with hall_at(tmp_path / "data", {"tokens": {key: {"subject": "bob"}}}, env=limits) as hall:
        first, second, third = (hall.session() for _ in range(3))
        assert first.ask("ping").status == 200
        fourth = hall.session()
        assert [one.ask("ping").status for one in (first, second, third, fourth)] == [200, 404, 200, 200]
        bobs = [hall.session(grant=other) for _ in range(2)]  # the total holds four
        assert [one.ask("ping").status for one in (*bobs, first, third, fourth)] == [200, 200, 404, 200, 200]
        page = hall.gateway.request("GET", "/metrics", {}).body.decode()
        assert "\ncoatcheck_sessions 4.0\n" in page
