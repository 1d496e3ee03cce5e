"""What a server that operators added allows of itself, over HTTP: hidden is unknown, and edits hold at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from journeys.operating import Office
from journeys.running import Session, hall_at
from journeys.wire import Got, message

PEER = str(Path(__file__).parent / "children" / "roles_peer.py")
TOOLS = ("get_issue", "search", "get_and_lock", "delete_issue", "purge_all", "echo", "glance", "get_asked")
READING = {"get_issue", "search", "get_asked"}
SAID = {"echo", "purge_all"}
"""What the server says only reads, and nothing else says so; of one it is a lie."""
ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])


@dataclass
class Room:
    office: Office
    grant: str
    session: Session

    def ask(self, era: str, method: str, params: dict[str, Any] | None = None) -> Got:
        if era == "legacy":
            return self.session.ask(method, params)
        return self.office.hall.ask(method, params, grant=self.grant, path="/mcp/")

    def listed(self, era: str, server: str = "added") -> set[str]:
        found = self.ask(era, "tools/list").result["tools"]
        return {tool["name"].removeprefix(f"{server}__") for tool in found if tool["name"].startswith(server)}

    def call(self, era: str, tool: str, server: str = "added") -> Got:
        return self.ask(era, "tools/call", {"name": f"{server}__{tool}", "arguments": {}})

    def called(self) -> int:
        """Return how many calls the child has seen; it is the same child all the time."""
        return len(json.loads(self.call("legacy", "get_asked").text))

    def change(self, **patch: Any) -> dict[str, Any]:
        before = self.office.ask("GET", "/servers/added")
        told = self.office.ask("PATCH", "/servers/added", body=patch, headers=before.tag)
        assert told.status == 200, told
        found: dict[str, Any] = told.body
        return found

    def check(self, visible: set[str], rule: str) -> None:
        """Lists and calls of both eras show just these tools; others are refused like unknown ones."""
        for era in ("modern", "legacy"):
            assert self.listed(era) == visible
            for tool in TOOLS:
                got = self.call(era, tool)
                if tool in visible:
                    assert "isError" not in got.result, tool
                    continue
                unknown = self.call(era, "x" * len(tool))
                assert got.body.replace(tool.encode(), b"x" * len(tool)) == unknown.body, tool
                assert got.json()["error"]["message"] == f"Unknown tool: added__{tool}"
                record = self.office.hall.records(limit=1, tool=tool)[0]
                assert (record["decision"], record["rule"], record["request_bytes"]) == ("hidden", rule, None)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    """A gateway with the same child from the file and from an operator, and a caller in the midst of a session."""
    declared = {
        "mcpServers": {"declared": {"command": sys.executable, "args": [PEER]}},
        "acl": {"default": "allow"},
    }
    with hall_at(tmp_path / "data", declared, arguments=["--allow-commands"]) as hall:
        office = Office(hall)
        office.tokens["admin"] = office.hire("the-admin", "admin")
        grant = office.locally("POST", "/grants", {"label": "l", "subject": "dora", "servers": None})["token"]
        session = hall.session("/mcp", grant)
        assert session.ask("tools/list").status == 200
        body = {"name": "added", "command": sys.executable, "args": [PEER]}
        told = office.ask("POST", "/servers", body=body)
        assert (told.status, told.body["server"]["default"], told.body["server"]["trusted"]) == (
            201,
            "read-only",
            False,
        )
        outcomes = {tool["name"]: tool["by_default"] for tool in told.body["tools"]}
        assert {name for name, outcome in outcomes.items() if outcome == "allowed"} == READING
        assert {outcomes[name] for name in TOOLS if name not in READING} == {"hidden"}
        yield Room(office, grant, session)


def test_an_added_server_is_read_only_and_one_of_the_file_is_not(room: Room) -> None:
    room.check(READING, "read-only:/default")
    assert room.listed("legacy", "declared") == set(TOOLS)
    assert room.call("modern", "purge_all", "declared").text == '"purge_all"'
    asked = json.loads(room.call("legacy", "get_asked").text)
    assert {name for one in asked if (name := one.split()[-1]) in TOOLS} == {"get_issue", "search"}


def test_every_edit_holds_for_the_next_request_of_an_open_session(room: Room) -> None:
    before = room.called()
    room.change(trusted=True)
    room.check(READING | SAID, "read-only:/default")
    room.change(trusted=False)
    room.check(READING, "read-only:/default")
    room.change(default="allow-all")
    room.check(set(TOOLS), "")
    room.change(default="read-only", approved=["get_*"])
    assert room.listed("legacy") == {"get_issue", "get_asked"}
    assert room.office.hall.records(limit=1, tool="search")[0]["decision"] == "allowed"
    assert room.call("legacy", "search").json()["error"]["message"] == "Unknown tool: added__search"
    assert room.office.hall.records(limit=1, tool="search")[0]["rule"] == "(approved)"
    room.change(default="allow-all", approved=["get_*", "purge_all"])
    room.check({"get_issue", "get_and_lock", "get_asked", "purge_all"}, "(approved)")
    room.change(default="deny-all", approved=None)
    room.check(set(), "deny-all:/default")
    room.change(default="read-only")
    room.check(READING, "read-only:/default")
    assert room.called() > before, "the child was the same all the time"


def test_an_edit_holds_for_a_client_with_a_child_of_its_own(room: Room) -> None:
    hall = room.office.hall
    session = hall.session("/mcp", room.grant)
    opening = {
        "protocolVersion": session.version,
        "capabilities": {"sampling": {}},
        "clientInfo": {"name": "journey", "version": "1"},
    }
    for name in ("Mcp-Session-Id", "MCP-Protocol-Version"):
        del session.headers[name]
    opened = session.post(message("initialize", opening, 0))
    session.headers |= {
        "Mcp-Session-Id": opened.headers["mcp-session-id"],
        "MCP-Protocol-Version": session.version,
    }
    own = Room(room.office, room.grant, session)
    assert room.call("legacy", "get_issue").text == '"get_issue"'
    assert own.called() == 0 < room.called(), "each has a child of its own"
    calls = 0
    edits: list[tuple[dict[str, Any], set[str]]] = [
        ({"trusted": True}, READING | SAID),
        ({"approved": ["get_*", "echo"]}, {"get_issue", "get_asked", "echo"}),
        ({"trusted": False}, {"get_issue", "get_asked"}),
    ]
    for patch, seen in edits:
        room.change(**patch)
        assert own.listed("legacy") == seen
        for tool in ("get_issue", "echo", "purge_all"):
            calls += tool in seen
            assert ("error" in own.call("legacy", tool).json()) is (tool not in seen), tool
        assert own.called() == calls, "it is the same child through every edit"


def test_a_policy_takes_the_place_of_the_default(room: Room) -> None:
    room.change(approved=["search"])
    room.check({"search"}, "(approved)")
    office = room.office
    mine = {"kind": "grant", "of": "l", "server": "added"}
    assert office.ask("POST", "/policies/allow-all/use", body=mine).status == 200
    assert room.listed("legacy") == set(TOOLS)
    assert office.ask("POST", "/policies/allow-all/unuse", body=mine).status == 200
    assert room.listed("legacy") == {"search"}
    theirs = {"kind": "server", "of": "added"}
    assert office.ask("POST", "/policies/deny-all/use", body=theirs).status == 200
    room.check(set(), "deny-all:/default")
    shown = office.locally("GET", "/tools", server="added")["items"]
    assert {(one["by_default"], one["default_rule"]) for one in shown} == {("hidden", "deny-all:/default")}
    assert office.ask("POST", "/policies/deny-all/unuse", body=theirs).status == 200
    room.check({"search"}, "(approved)")


def test_the_default_outlives_a_restart(room: Room) -> None:
    room.change(approved=["get_*"], trusted=True)
    gateway = room.office.hall.gateway
    gateway.stop()
    gateway.start()
    shown = room.office.locally("GET", "/servers/added")
    assert (shown["default"], shown["approved"], shown["trusted"]) == ("read-only", ["get_*"], True)
    assert room.listed("modern") == {"get_issue", "get_asked"}
    changes = room.office.locally("GET", "/changes")["items"]
    change = next(one for one in changes if one["action"] == "server.change")
    assert (change["before"]["approved"], change["after"]["approved"]) == (None, ["get_*"])


@ERAS
def test_prompts_and_resources_stay_with_a_default_that_is_narrowed(room: Room, era: str) -> None:
    room.change(approved=["search"])
    prompts = [one["name"] for one in room.ask(era, "prompts/list").result["prompts"]]
    assert [name for name in prompts if name.startswith("added__")] == ["added__triage", "added__summary"]
    assert room.ask(era, "prompts/get", {"name": "added__triage"}).result["messages"]
