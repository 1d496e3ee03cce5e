"""The record: the row that each kind of request leaves, and what happens while no row can be written."""

from __future__ import annotations

import json
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from journeys.running import Hall, hall_at
from journeys.wire import META, UnixConnection, Wire, frame, message, modern_headers

SECRET = "s3cret-argument-value"


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_at(tmp_path_factory.mktemp("record") / "data") as running:
        running.good()
        yield running


INFO = {"io.modelcontextprotocol/clientInfo": {"name": "tester", "version": "2.1"}}
REQUESTS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "a call": (
        "tools/call", {"name": "srv__echo", "arguments": {"city": SECRET, "n": [1, 2]}}, "/mcp",
        {"server": "srv", "tool": "echo", "decision": "allowed", "rule": "/acl/default", "outcome": "ok", "arguments": {"city": 23, "n": 6}},
    ),
    "a call on one server": (
        "tools/call", {"name": "allowed", "arguments": {}}, "/mcp/srv/",
        {"route": "/mcp/srv", "server": "srv", "tool": "allowed", "decision": "allowed", "outcome": "ok", "arguments": {}},
    ),
    "a hidden tool": (
        "tools/call", {"name": "srv__denied", "arguments": {"k": SECRET}}, "/mcp",
        {"server": "srv", "tool": "denied", "decision": "hidden", "rule": "/acl/rules/0", "outcome": "denied", "arguments": {"k": 23}},
    ),
    "no such server": (
        "tools/call", {"name": "other__x", "arguments": {}}, "/mcp",
        {"server": "", "tool": "other__x", "decision": "hidden", "rule": "(unknown)", "outcome": "denied"},
    ),
    "a tool's error": ("tools/call", {"name": "srv__tool_error"}, "/mcp", {"tool": "tool_error", "decision": "allowed", "outcome": "tool_error"}),
    "a server's error": (
        "tools/call", {"name": "srv__rpc_error"}, "/mcp", {"decision": "allowed", "outcome": "tool_error", "detail": "error -32000"},
    ),
    "a server that fails": ("tools/call", {"name": "srv__html_error"}, "/mcp", {"decision": "allowed", "outcome": "upstream_error"}),
    "a list": ("tools/list", {}, "/mcp", {"server": "", "tool": "", "decision": "allowed", "rule": "(list)", "outcome": "ok", "arguments": None}),
    "a list of one server": ("prompts/list", {}, "/mcp/srv", {"server": "srv", "rule": "(list)", "outcome": "ok"}),
    "a cursor": ("resources/list", {"cursor": "x"}, "/mcp", {"decision": "denied", "rule": "(cursor)", "outcome": "denied"}),
    "a prompt": ("prompts/get", {"name": "srv__greet", "arguments": {"who": SECRET}}, "/mcp", {"tool": "greet", "outcome": "ok", "arguments": {"who": 23}}),
    "a resource": ("resources/read", {"uri": "peer://one"}, "/mcp", {"server": "srv", "tool": "peer://one", "outcome": "ok"}),
    "no such resource": ("resources/read", {"uri": "nowhere://x"}, "/mcp", {"tool": "nowhere://x", "decision": "hidden", "outcome": "denied"}),
    "a completion": (
        "completion/complete", {"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "who", "value": "v"}}, "/mcp/srv",
        {"server": "srv", "tool": "greet", "outcome": "ok"},
    ),
    "a bad reference": (
        "completion/complete", {"ref": {"type": "ref/tool"}, "argument": {"name": "a", "value": ""}}, "/mcp", {"decision": "denied", "rule": "(request)", "outcome": "denied"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_each_request_leaves_the_row_that_it_owes(hall: Hall, name: str) -> None:
    method, params, path, owed = REQUESTS[name]
    position = hall.last_position()
    hall.ask(method, {**params, "_meta": INFO}, path=path)
    (entry,) = hall.since(position)
    common = {
        "subject": "alice",
        "method": method,
        "client_ip": "127.0.0.1",
        "client_name": "tester",
        "client_version": "2.1",
        "repeats": 1,
    }
    assert {key: entry[key] for key in (*common, *owed)} == {**common, **owed}
    assert entry["grant_id"].startswith("file-")
    assert entry["grant_label"]
    assert entry["reason"]
    assert entry["duration_ms"] >= 0
    assert entry["settled"] >= entry["time"]
    assert SECRET not in json.dumps(entry)


def test_a_legacy_client_is_known_by_its_handshake(hall: Hall) -> None:
    session = hall.session("/mcp/srv")
    position = hall.last_position()
    session.ask("tools/call", {"name": "echo", "arguments": {}})
    (entry,) = hall.since(position)
    assert (entry["client_name"], entry["client_version"], entry["route"]) == ("journey", "1", "/mcp/srv")


def test_the_command_tells_the_same_lines(hall: Hall) -> None:
    hall.call("echo", {"b": 1})
    told = hall.gateway.logs("--limit", "5")
    assert told == hall.records(limit=5)
    assert {"tool", "server", "subject", "grant_label", "decision", "reason"} <= told[-1].keys()


def test_rows_are_found_by_what_they_are_about(hall: Hall) -> None:
    hall.call("echo")
    hall.call("denied")
    hall.call("html_error")
    assert {entry["tool"] for entry in hall.records(tool="echo")} == {"echo"}
    assert {entry["decision"] for entry in hall.records(decision="hidden")} == {"hidden"}
    assert "ok" not in {entry["outcome"] for entry in hall.records(errors="true")}
    assert hall.records(subject="nobody") == []
    assert hall.records(since="2999-01-01T00:00:00Z") == []


def test_a_call_is_on_record_before_its_server_hears_of_it(hall: Hall) -> None:
    hall.peer.release.clear()
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        wire.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
        hall.peer.until(lambda: hall.peer.hanging == 1)
        (entry,) = hall.since(position)
        assert (entry["tool"], entry["decision"], entry["outcome"], entry["settled"]) == (
            "hang",
            "allowed",
            None,
            None,
        )
        hall.peer.release.set()
        wire.read()
    hall.peer.release.clear()
    assert hall.since(position)[0]["outcome"] == "ok"


def test_following_gives_each_line_once_as_it_ends(hall: Hall) -> None:
    connection = UnixConnection(hall.gateway.directory / "coatcheck.sock")
    connection.request("GET", "/api/v1/records?follow=true")
    answer = connection.getresponse()
    for number in range(5):
        hall.call("echo", {"x" * number: 1})
    lines = [json.loads(answer.readline()) for _ in range(5)]
    connection.close()
    assert [line["arguments"] for line in lines] == [{"x" * number: 1} for number in range(5)]
    assert {line["outcome"] for line in lines} == {"ok"}


def test_arguments_are_kept_only_where_the_file_asks_for_it(hall: Hall) -> None:
    before = json.loads(json.dumps(hall.gateway.declaration))
    hall.gateway.write({**before, "audit": {"log_arguments": True}})
    position = hall.last_position()
    hall.call("echo", {"city": SECRET, "n": 2**70})
    hall.gateway.write(before)
    hall.call("echo", {"city": SECRET})
    kept, outlined = hall.records(after=position, arguments="true")
    assert kept["argument_values"] == {"city": SECRET, "n": 2**70}
    assert kept["arguments"] == {"city": 23, "n": 22}
    assert (outlined["arguments"], outlined["argument_values"]) == ({"city": 23}, None)
    assert kept["argument_prints"]["/city"] == outlined["argument_prints"]["/city"]
    assert SECRET not in json.dumps(hall.since(position))
    table = hall.gateway.command("logs", "--arguments", "--limit", "2", "--json").stdout
    assert [json.loads(line)["argument_values"] for line in table.splitlines()] == [
        kept["argument_values"],
        None,
    ]
    for file in hall.gateway.directory.glob("coatcheck.sqlite3*"):
        assert SECRET.encode() not in file.read_bytes()


@pytest.mark.parametrize("output", ["stdout", "stderr"])
def test_copies_go_where_the_file_asks_for_them(hall: Hall, output: str) -> None:
    before = json.loads(json.dumps(hall.gateway.declaration))
    hall.gateway.change({**before, "audit": {"output": output}})
    hall.call("echo", {f"mark-{output}": 1})
    for _ in range(1000):
        if f"mark-{output}" in hall.gateway.said():
            break
        threading.Event().wait(0.005)
    (line,) = [line for line in hall.gateway.said().splitlines() if f"mark-{output}" in line]
    told = json.loads(line)
    assert (told.pop("kind"), told.pop("seq") > 0) == ("record", True)
    assert told == hall.records(limit=1)[0]
    hall.gateway.change(before)


# --- no row can be written -------------------------------------------------------------------------------------


@contextmanager
def full_disk(hall: Hall) -> Iterator[None]:
    """Let every write of the gateway to a file fail, as on a disk that is full."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(hall.gateway.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(hall.gateway.pid, resource.RLIMIT_FSIZE, unlimited)


def recovered(hall: Hall) -> None:
    """Wait until the gateway says that it is ready."""
    for _ in range(1000):
        if hall.gateway.request("GET", "/readyz", {}).status == 200:
            return
        threading.Event().wait(0.01)
    raise AssertionError(hall.gateway.said())


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_at(tmp_path_factory.mktemp("fragile") / "data") as running:
        running.good()
        running.ask("tools/list")
        yield running


def test_without_a_record_nothing_is_forwarded_and_it_recovers_alone(fragile: Hall) -> None:
    hall = fragile
    calls, process = len(hall.peer.forwarded), hall.gateway.pid
    with full_disk(hall):
        session = hall.session()
        for got in (
            hall.call("echo"), hall.call("denied"), hall.ask("tools/list"), hall.ask("prompts/get", {"name": "srv__greet"}),
            hall.ask("resources/read", {"uri": "peer://one"}), session.ask("tools/call", {"name": "srv__echo", "arguments": {}}),
        ):  # fmt: skip
            assert (got.status, got.code) == (503, -32603), got
            assert "could not be recorded" in got.json()["error"]["message"]
        assert len(hall.peer.forwarded) == calls
        assert session.ask("ping").status == 200
        assert hall.call("echo", grant="wrong").status == 401  # strangers are refused all the same
        bad, _ = hall.raw(frame(b"{", headers={**hall.bearer, **modern_headers("tools/call")}))
        assert (bad.status, bad.code) == (400, -32700)
        ready = hall.gateway.request("GET", "/readyz", {})
        assert ready.status == 503
        assert "the record cannot be written" in ready.json()["detail"][0]
        assert hall.gateway.request("GET", "/livez", {}).status == 200
        assert "\ncoatcheck_ledger_healthy 0.0\n" in hall.gateway.request("GET", "/metrics", {}).body.decode()
    recovered(hall)
    position = hall.last_position()
    hall.good()
    assert len(hall.since(position)) == 1
    assert hall.gateway.pid == process


def test_an_outcome_that_cannot_be_recorded_withholds_the_answer(fragile: Hall) -> None:
    hall = fragile
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        hall.peer.release.clear()
        wire.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
        hall.peer.until(lambda: hall.peer.hanging == 1)
        with full_disk(hall):
            hall.peer.release.set()
            got = wire.read()
            assert got.code == -32603
            assert "do not repeat blindly" in got.json()["error"]["message"]
            assert b"released" not in got.body
            assert hall.call("echo").status == 503
    recovered(hall)
    (entry,) = hall.since(position)
    assert (entry["tool"], entry["outcome"]) == ("hang", "unknown")  # which is what the caller was told
    assert "ok" in entry["detail"]
    hall.good()


def test_an_edit_while_nothing_can_be_written_is_taken_up_later(fragile: Hall) -> None:
    hall = fragile
    declaration = json.loads(json.dumps(hall.gateway.declaration))
    declaration["mcpServers"]["more"] = hall.peer.declared()
    with full_disk(hall):
        new = hall.gateway.config.with_name("new")
        new.write_text(json.dumps(declaration))
        new.rename(hall.gateway.config)
        assert hall.call("echo").status == 503
    recovered(hall)
    hall.good()
    assert hall.ask("tools/call", {"name": "more__echo", "arguments": {}}).status == 200
    assert "result" in hall.ask("tools/call", {"name": "more__echo", "arguments": {}}).json()


def test_a_crash_leaves_what_was_under_way_as_unknown(fragile: Hall) -> None:
    hall = fragile
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        hall.peer.release.clear()
        wire.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
        hall.peer.until(lambda: hall.peer.hanging == 1)
        hall.gateway.stop(signal.SIGKILL)
    hall.gateway.start()
    (entry,) = hall.since(position)
    assert (entry["tool"], entry["decision"], entry["outcome"]) == ("hang", "allowed", "unknown")


def test_a_message_id_is_one_field_of_the_record(hall: Hall) -> None:
    position = hall.last_position()
    body = message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": META}, SECRET)
    hall.raw(frame(body, headers={**hall.bearer, **modern_headers("tools/call", "srv__echo")}))
    (entry,) = hall.since(position)
    assert entry.pop("request_id") == json.dumps(SECRET)
    assert SECRET not in json.dumps(entry)
