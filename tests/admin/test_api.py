"""The REST API on the socket of a running gateway: what programs get, and what bad requests get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from journeys.running import Hall, hall_at
from journeys.wire import UnixConnection, control


def ask(
    hall: Hall, verb: str, path: str, body: bytes | None = None, /, **query: str | int
) -> tuple[int, Any]:
    return control(hall.gateway.directory / "coatcheck.sock", verb, path, body, **query)


def call(hall: Hall, server: str, tool: str, arguments: dict[str, Any] | None = None) -> tuple[int, Any]:
    body = {"server": server, "tool": tool, "arguments": arguments or {}}
    return ask(hall, "POST", "/api/v1/calls", json.dumps(body).encode())


def test_status_says_what_runs(hall: Hall) -> None:
    status, body = ask(hall, "GET", "/api/v1/status")
    assert status == 200
    assert body["pid"] == hall.gateway.pid
    assert body["ready"] is True
    assert body["config"] == {"path": str(hall.gateway.config), "error": None, "problems": [], "notices": []}
    assert body["ledger"] == {"healthy": True, "error": ""}
    assert body["http"] == hall.gateway.origin


def test_servers_are_told_without_what_they_are_given(hall: Hall) -> None:
    status, body = ask(hall, "GET", "/api/v1/servers", probe="true")
    assert (status, body["next"]) == (200, None)
    (server,) = body["items"]
    told = {
        name: server[name]
        for name in ("name", "transport", "reach", "state", "era", "version", "degraded", "source")
    }
    assert told == {
        "name": "srv", "transport": "auto", "reach": hall.peer.url, "state": "ready", "era": "modern", "version": "2026-07-28", "degraded": False,
        "source": "file",
    }  # fmt: skip
    assert "headers" not in server


def test_tools_are_told_with_both_names_and_their_schema(hall: Hall) -> None:
    status, body = ask(hall, "GET", "/api/v1/tools", server="srv")
    assert (status, body["failing"]) == (200, [])
    echo = next(tool for tool in body["items"] if tool["name"] == "echo")
    assert echo == {
        "server": "srv", "name": "echo", "exposed_name": "srv__echo", "title": "", "description": "", "access": "ambiguous", "access_reason": "the name has no verb that tells", "by_default": "allowed", "default_rule": "(no policy)", "input_schema": {"type": "object"},
    }  # fmt: skip
    assert "denied" in [tool["name"] for tool in body["items"]]  # the operator sees what a caller does not
    assert ask(hall, "GET", "/api/v1/tools", server="none")[0] == 404


def test_a_call_of_the_operator_is_a_call_like_any_other(hall: Hall) -> None:
    position = hall.last_position()
    status, body = call(hall, "srv", "echo", {"n": 2**70})
    assert (status, body["server"], body["tool"]) == (200, "srv", "echo")
    assert json.loads(body["result"]["content"][0]["text"]) == {"n": 2**70}
    assert body["result"]["x-kept"] == {"big": 2**70}
    (entry,) = hall.since(position)
    told = [entry[name] for name in ("subject", "route", "tool", "decision", "rule", "outcome", "arguments")]
    assert told == ["operator", "cli", "echo", "allowed", "(operator)", "ok", {"n": 22}]


def test_failures_of_calls_have_their_status(hall: Hall) -> None:
    assert call(hall, "srv", "tool_error")[0] == 200
    assert call(hall, "srv", "rpc_error")[1]["error"] == {
        "code": -32000,
        "message": "no, and the server says why",
    }
    status, body = call(hall, "srv", "html_error")
    assert status == 502
    assert "stack trace" not in json.dumps(body)
    assert call(hall, "srv", "absent")[0] == 404
    assert call(hall, "none", "echo")[0] == 404


BAD_CALLS = (
    b"", b"{", b"[]", b"1", b'"x"', b"{}", b'{"server":"srv"}', b'{"tool":"echo"}', b'{"server":1,"tool":"echo"}', b'{"server":"srv","tool":null}',
    b'{"server":"srv","tool":"echo","arguments":[]}', b'{"server":"srv","tool":"echo","arguments":null}', b'{"server":"srv","tool":"echo","arguments":"{}"}',
    b'{"server":"srv","server":"x","tool":"echo"}', b'{"server":"srv","tool":"echo","arguments":{"a":1,"a":2}}', b'{"server":"srv","tool":"\\ud800"}',
    b"\xff", b'{"server":"srv","tool":"echo","arguments":' + b'{"a":' * 70 + b"1" + b"}" * 71,
)  # fmt: skip


@pytest.mark.parametrize("body", BAD_CALLS, ids=[repr(body)[:40] for body in BAD_CALLS])
def test_a_bad_call_is_refused_and_reaches_no_server(hall: Hall, body: bytes) -> None:
    calls, position = len(hall.peer.forwarded), hall.last_position()
    status, told = ask(hall, "POST", "/api/v1/calls", body)
    assert status in {400, 422}
    assert told["code"] in {"bad_json", "ambiguous_json", "unfit", "unsupported_media_type"}
    assert told["detail"]
    assert len(hall.peer.forwarded) == calls
    assert hall.last_position() == position


def test_a_body_without_end_is_not_kept(hall: Hall) -> None:
    connection = UnixConnection(hall.gateway.directory / "coatcheck.sock")
    body = (b"x" * (1 << 20) for _ in range(8))
    try:
        connection.request(
            "POST", "/api/v1/calls", body, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "too_large")
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may close on a sender that does not stop
    finally:
        connection.close()
    hall.good()


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "-1"}, {"limit": "10001"}, {"limit": "x"}, {"limit": "1e3"}, {"limit": ""}, {"decision": "maybe"}, {"decision": "ALLOWED"},
     {"since": "yesterday"}, {"since": "2026-13-01"}, {"after": "x"},
     {"since": "9999-12-31T23:59:59-23:59"}, {"until": "0001-01-01T00:00:00+00:01"}, {"client_ip": "999.1.1.1"},
     {"since": "2026-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z"}, {"version": "9" * 30, "credential": "x"}],
)  # fmt: skip
def test_a_bad_filter_is_refused(hall: Hall, query: dict[str, str]) -> None:
    status, body = ask(hall, "GET", "/api/v1/records", **query)
    assert (status, body["code"]) == (400, "bad_filter")


@pytest.mark.parametrize("path", ["evidence", "export"])
def test_a_time_that_ends_before_it_begins_is_refused(hall: Hall, path: str) -> None:
    at = "2026-01-01T00:00:00Z"
    for until in (at, "2025-01-01T00:00:00Z"):
        status, body = ask(hall, "GET", f"/api/v1/records/{path}", since=at, until=until)
        assert (status, body["code"], body["field"]) == (400, "bad_filter", "until")
        assert "which is not after 2026-01-01T00:00:00.000000Z, where it begins" in body["detail"]


def test_records_are_found_from_a_position_on(hall: Hall) -> None:
    hall.call("echo")
    hall.call("allowed")
    *_, before, last = hall.records()
    status, body = ask(hall, "GET", "/api/v1/records", after=before["position"])
    assert (status, [one["position"] for one in body["items"]]) == (200, [last["position"]])


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [("GET", "/", 404), ("GET", "/api/v1", 404), ("GET", "/api/v1/secrets", 404), ("POST", "/mcp", 404), ("GET", "/api/v1/calls", 405), ("POST", "/api/v1/status", 405),
     ("DELETE", "/api/v1/servers", 405), ("PUT", "/api/v1/records", 405)],
)  # fmt: skip
def test_what_the_api_does_not_have_is_told_in_its_own_form(
    hall: Hall, verb: str, path: str, status: int
) -> None:
    found, body = ask(hall, verb, path)
    assert found == status
    assert (body["status"], body["code"]) == (status, {404: "not_found", 405: "method_not_allowed"}[status])


def test_a_grant_opens_no_door_here(hall: Hall) -> None:
    for path in ("/api/v1/status", "/api/v1/records", "/api/v1/servers"):
        answer = hall.gateway.request("GET", path, {"Authorization": f"Bearer {hall.grant}"})
        assert (answer.status, answer.json()["code"]) == (401, "bad_token")
        assert hall.gateway.request("GET", path, {}).status == 401


def test_a_servers_odd_words_do_not_break_its_list(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data") as hall:
        odd = {"type": "object", "description": "\u202e\x07", "maximum": 2**80, "x": 1e-300}
        hall.peer.extra = [{"name": "odd", "title": 7, "description": None, "inputSchema": odd}]
        status, body = ask(hall, "GET", "/api/v1/tools", server="srv")
        assert status == 200
        (tool,) = [tool for tool in body["items"] if tool["name"] == "odd"]
        assert (tool["input_schema"], tool["title"], tool["description"]) == (odd, "", "")
        assert hall.gateway.command("tools", "srv").returncode == 0


def test_a_list_with_half_a_character_is_no_list(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data") as hall:
        hall.peer.extra = [{"name": "odd", "description": "half \ud83d a pair", "inputSchema": {}}]
        status, body = ask(hall, "GET", "/api/v1/tools", server="srv")
        assert (status, body["items"]) == (200, [])
        assert body["failing"][0]["server"] == "srv"
