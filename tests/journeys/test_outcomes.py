"""However a call ends, its record says so: over real HTTP, with what the server was given, and a receipt."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from journeys.operating import Office, office_at
from journeys.running import Hall, hall_at
from journeys.wire import META, Wire, frame, message, modern_headers

KEY = "Bearer s3cret-of-the-server"


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_at(tmp_path_factory.mktemp("outcomes") / "data", arguments=["--call-timeout", "1s"]) as running:
        guarded = {**running.peer.declared(), "headers": {"Authorization": KEY}}
        declaration = running.gateway.declaration
        running.gateway.change({**declaration, "mcpServers": {"srv": guarded}})
        running.good()
        yield running


def settled(hall: Hall, position: int) -> dict[str, Any]:
    """Return the one entry after a position, once it has its outcome."""
    for _ in range(2000):
        found = hall.since(position)
        if len(found) == 1 and found[0]["outcome"]:
            return found[0]
        threading.Event().wait(0.005)
    raise AssertionError(found)


def begin(hall: Hall, wire: Wire) -> None:
    """Send a call that hangs, and return once the server has it."""
    hall.peer.release.clear()
    wire.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
    hall.peer.until(lambda: hall.peer.hanging == 1)


@pytest.mark.parametrize(
    ("tool", "outcome", "status"),
    [
        ("echo", "ok", 200),
        ("tool_error", "tool_error", 200),
        ("rpc_error", "tool_error", 200),
        ("html_error", "upstream_error", 500),
    ],
)
def test_an_answer_says_what_the_server_was_given_and_gave(
    hall: Hall, tool: str, outcome: str, status: int
) -> None:
    position, asked = hall.last_position(), len(hall.peer.forwarded)
    got = hall.call(tool, {"user": {"id": 7}}, id="mine-1")
    entry = settled(hall, position)
    assert (entry["outcome"], entry["upstream_status"]) == (outcome, status)
    (credential,) = entry["credentials"]
    assert credential.endswith("@1")
    assert entry["request_bytes"] == len(hall.peer.forwarded[asked].raw)
    assert (entry["answer_bytes"] > 0) == (status == 200)
    assert 0 < entry["upstream_ms"] <= entry["duration_ms"]
    assert (entry["request_id"], entry["policy"], len(entry["policy_version"])) == ('"mine-1"', "acl", 12)
    assert entry["replica"]
    assert list(entry["argument_prints"]) == ["/user/id"]
    assert got.status == 200


def test_receipts_name_the_outcome_on_record(hall: Hall) -> None:
    position = hall.last_position()
    receipts = [
        got.headers["coatcheck-receipt"].split("/")
        for got in (hall.call("echo"), hall.call("denied"), hall.ask("tools/list"))
    ]
    entries = hall.since(position)
    assert len({log for log, _, _ in receipts}) == 1
    assert [int(seq) for _, seq, _ in receipts] == [entry["position"] + 1 for entry in entries]
    assert all(len(hash) == 32 and int(hash, 16) for _, _, hash in receipts)
    assert "coatcheck-receipt" not in hall.ask("ping").headers  # counted, and not on record


def test_a_client_that_hangs_up(hall: Hall) -> None:
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        begin(hall, wire)
    entry = settled(hall, position)
    assert (entry["outcome"], entry["answer_bytes"]) == ("cancelled", 0)
    assert entry["credentials"]


def test_a_legacy_client_that_cancels(hall: Hall) -> None:
    session = hall.session("/mcp/srv")
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        hall.peer.release.clear()
        body = message("tools/call", {"name": "hang", "arguments": {}}, 5)
        fields = {**session.headers, "Accept": "application/json, text/event-stream"}
        wire.send(frame(body, path=b"/mcp/srv", headers=fields))
        hall.peer.until(lambda: hall.peer.hanging == 1)
        session.notify("notifications/cancelled", {"requestId": 5})
        assert settled(hall, position)["outcome"] == "cancelled"


def test_a_server_that_is_late(hall: Hall) -> None:
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        begin(hall, wire)
        assert wire.read().code == -32603
    entry = settled(hall, position)
    assert (entry["outcome"], entry["upstream_status"]) == ("timeout", None)
    assert entry["upstream_ms"] >= 900
    assert entry["credentials"]


def test_a_gateway_that_is_killed(hall: Hall) -> None:
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        begin(hall, wire)
        (entry,) = hall.since(position)
        assert entry["outcome"] is None
        hall.gateway.stop(signal.SIGKILL)
    hall.peer.release.set()
    hall.gateway.start()
    after = settled(hall, position)
    assert (after["outcome"], after["detail"]) == (
        "unknown",
        "the gateway stopped before the outcome was recorded",
    )
    assert after["credentials"] == entry["credentials"] != []  # it may have been used
    assert after["upstream_ms"] is None
    hall.good()


def test_a_gateway_that_is_stopped(hall: Hall) -> None:
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        begin(hall, wire)
        hall.gateway.stop()
        assert wire.read().status in {200, 503}
    hall.gateway.start()
    assert settled(hall, position)["outcome"] in {"timeout", "cancelled"}
    hall.peer.release.set()


# --- refused attempts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path", "body", "reason"),
    [
        ({"Host": "evil.example"}, b"/mcp", None, "bad_host"),
        ({"Origin": "https://evil.example"}, b"/mcp/srv", None, "bad_origin"),
        ({"Authorization": "Bearer cckg_broken"}, b"/mcp", None, "malformed"),
        ({"Authorization": "Basic eA=="}, b"/mcp/srv", None, "malformed"),
        ({}, b"/mcp/nosuch", None, "This grant reaches no server of this name."),
        ({}, b"/mcp", b"[]", "-32600"),
    ],
)
def test_what_is_not_let_in_is_on_record(
    hall: Hall, changes: dict[str, str], path: bytes, body: bytes | None, reason: str
) -> None:
    data = body or message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": META}, 1)
    headers = {**hall.bearer, **modern_headers("tools/call", "srv__echo"), **changes}
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    got, _ = hall.raw(frame(data, path=path, headers=headers))
    assert got.status in {400, 401, 403, 404, 421}
    entry = settled(hall, position)
    assert entry["reason"].startswith(reason), entry
    assert (entry["outcome"], entry["client_ip"]) == ("denied", "127.0.0.1")
    assert entry["route"] in {"/mcp", "/mcp/srv", "/mcp/nosuch"}
    assert len(hall.peer.forwarded) == calls


def test_a_flood_of_strangers_is_a_handful_of_entries(hall: Hall) -> None:
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        for number in range(300):
            headers = {"Authorization": f"Bearer ghp_{number:036}", **modern_headers("tools/list")}
            wire.send(frame(message("tools/list", {"_meta": META}, 1), headers=headers))
            assert wire.read().status in {401, 429}
    assert len(hall.since(position)) <= 30
    hall.good()


@pytest.fixture
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office_at(tmp_path_factory.mktemp("knocking") / "data") as running:
        yield running


def test_a_revoked_grant_that_still_knocks_is_one_query(office: Office) -> None:
    hall = office.hall
    issued = office.locally("POST", "/grants", {"subject": "alice", "label": "laptop", "servers": None})
    mine = replace(hall, grant=issued["token"])
    mine.good()
    office.locally("POST", "/grants/laptop/revoke", {"because": "left"})
    assert [mine.call("echo").status for _ in range(3)] == [401] * 3
    assert hall.call("echo", grant="wrong").status == 401
    (knock,) = hall.records(knocking="true")
    assert (knock["reason"], knock["grant_id"], knock["client_ip"]) == (
        "revoked",
        issued["grant"]["id"],
        "127.0.0.1",
    )
    told = hall.gateway.command("logs", "--knocking", "--json").stdout
    assert [json.loads(line)["id"] for line in told.splitlines()] == [knock["id"]]
    hall.gateway.stop()
    offline = hall.gateway.command("logs", "--knocking", "--json").stdout
    assert knock["id"] in offline
    hall.gateway.start()
    page = [entry["repeats"] for entry in hall.records(knocking="true")]
    assert page == [1, 2]


def test_only_admins_and_auditors_see_arguments(office: Office) -> None:
    hall = office.hall
    hall.gateway.change({**hall.gateway.declaration, "audit": {"log_arguments": True}})
    hall.call("echo", {"city": "Graz"})
    for role, status in (("admin", 200), ("auditor", 200), ("policy_manager", 403), ("viewer", 403)):
        told = office.ask("GET", "/records?arguments=true&limit=1", role)
        assert told.status == status
        if status == 200:
            assert told.body["items"][0]["argument_values"] == {"city": "Graz"}


def test_receipts_can_be_left_out(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data", arguments=["--receipts", "false"]) as hall:
        hall.good()
        assert "coatcheck-receipt" not in hall.call("echo").headers
