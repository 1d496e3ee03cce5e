"""Policies over HTTP: hidden, denied and limited, alike in lists and calls, for clients of both eras."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from coatcheck.model.credential import NO_BLANKS
from coatcheck.model.secret import Secret
from coatcheck.model.server import AccessMarks, StdioReach
from coatcheck.model.stored_policy import PolicyUse, UseKind
from gateway import new_grant
from journeys.policing import keep, on_roles
from journeys.running import Hall, Session, hall_at
from journeys.wire import Got
from ledgers import START
from registered import a_server

PEER = str(Path(__file__).parent / "children" / "roles_peer.py")
TOOLS = ("get_issue", "search", "get_and_lock", "delete_issue", "purge_all", "echo", "glance", "get_asked")
READING = {"get_issue", "search", "get_asked"}
ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
DOCUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "taken": {
        "tools": {
            "delete_*": {"outcome": "deny", "message": "Ask the owner."},
            "purge_all": {"outcome": "hide"},
            "echo": {
                "deny_if": [{"path": "/n", "op": "gt", "value": 5, "if_present": True, "message": "Too much."}]
            },
        },
        "prompts": {"triage": {"outcome": "deny", "message": "No triage today."}, "summary": {"outcome": "hide"}},
        "resources": {
            "note://private/*": {"outcome": "hide"},
            "note://public/1": {"outcome": "deny", "message": "Not this one."},
        },
    },
    "reads": {"default": "read-only"},
    "limited-modern": {"tools": {"echo": {"limits": [{"calls": 2, "per": "day", "each": "grant"}]}}},
    "limited-legacy": {"tools": {"echo": {"limits": [{"calls": 2, "per": "day", "each": "grant"}]}}},
    "killed": {"tools": {"echo": {"limits": [{"calls": 3, "per": "day", "each": "grant"}]}}},
}  # fmt: skip


@dataclass
class Team:
    hall: Hall
    grants: dict[str, str]
    sessions: dict[str, Session] = field(default_factory=dict)

    def ask(self, role: str, era: str, method: str, params: dict[str, Any] | None = None) -> Got:
        """Ask as a caller with one role, in one era."""
        if era == "modern":
            return self.hall.ask(method, params, grant=self.grants[role])
        if role not in self.sessions:
            self.sessions[role] = self.hall.session("/mcp", self.grants[role])
        return self.sessions[role].ask(method, params)

    def call(self, role: str, era: str, tool: str, arguments: dict[str, Any] | None = None) -> Got:
        return self.ask(role, era, "tools/call", {"name": tool, "arguments": arguments or {}})

    def listed(self, role: str, era: str, method: str = "tools/list", server: str = "child") -> list[str]:
        member, key = {
            "tools/list": ("tools", "name"),
            "prompts/list": ("prompts", "name"),
            "resources/list": ("resources", "uri"),
        }[method]
        found = [entry[key] for entry in self.ask(role, era, method).result[member]]
        own = f"{server}__"
        return [name.removeprefix(own) for name in found if name.startswith((own, "note:"))]

    def last(self, **query: Any) -> dict[str, Any]:
        return self.hall.records(limit=1, **query)[0]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team") / "data"
    added = a_server(
        "added", reach=StdioReach(sys.executable, (Secret(PEER),)), blanks=NO_BLANKS, marks=AccessMarks()
    )
    read_only = PolicyUse("read-only", UseKind.SERVER, str(added.id), START, "ann")
    keep(folder, added, read_only, *on_roles(DOCUMENTS))
    pairs = {role: new_grant() for role in (*DOCUMENTS, "free")}
    declared: dict[str, Any] = {
        "mcpServers": {"child": {"command": sys.executable, "args": [PEER]}},
        "tokens": {key: {"subject": role, "roles": [role]} for role, (_, key) in pairs.items()},
    }
    with hall_at(folder, declared) as hall:
        yield Team(hall, {role: grant for role, (grant, _) in pairs.items()})


# --- hidden and denied ----------------------------------------------------------------------------------------


@ERAS
def test_what_is_hidden_is_on_no_list_and_unknown_to_a_call(team: Team, era: str) -> None:
    assert team.listed("free", era) == list(TOOLS)
    assert team.listed("taken", era) == [tool for tool in TOOLS if tool != "purge_all"]
    assert team.call("free", era, "child__purge_all").text == '"purge_all"'
    hidden, unknown = (team.call("taken", era, f"child__{tool}") for tool in ("purge_all", "purge_owl"))
    assert hidden.body.replace(b"purge_all", b"purge_owl") == unknown.body
    assert (hidden.status, hidden.json()["error"]["message"]) == (200, "Unknown tool: child__purge_all")
    record = team.last(tool="purge_all")
    assert (record["decision"], record["rule"]) == ("hidden", "taken:/tools/purge_all/outcome")


@ERAS
def test_what_is_denied_is_listed_and_told_in_one_sentence(team: Team, era: str) -> None:
    assert team.call("free", era, "child__delete_issue").text == '"delete_issue"'
    got = team.call("taken", era, "child__delete_issue")
    assert (got.status, got.text, got.result["isError"]) == (200, "Ask the owner.", True)
    record = team.last(tool="delete_issue")
    assert (record["decision"], record["rule"]) == ("denied", "taken:/tools/delete_*/outcome")
    assert (record["policy"], record["policy_version"], record["outcome"]) == ("taken", "1", "denied")
    assert record["request_bytes"] is None
    unlisted = team.call("taken", era, "child__delete_owl")
    assert unlisted.json()["error"]["message"] == "Unknown tool: child__delete_owl"


@ERAS
def test_conditions_on_arguments(team: Team, era: str) -> None:
    right: tuple[dict[str, Any], ...] = ({}, {"n": 5}, {"n": 5.0})
    for arguments in right:
        assert team.call("taken", era, "child__echo", arguments).text == '"echo"'
    wrong: tuple[dict[str, Any], ...] = ({"n": 6}, {"n": "6"}, {"n": [6]}, {"n": None})
    for arguments in wrong:
        got = team.call("taken", era, "child__echo", arguments)
        assert (got.text, got.result["isError"]) == ("Too much.", True)
        assert team.last(tool="echo")["rule"] == "taken:/tools/echo/deny_if/0"


@ERAS
def test_prompts_and_resources(team: Team, era: str) -> None:
    assert team.listed("taken", era, "prompts/list") == ["triage"]
    assert set(team.listed("taken", era, "resources/list")) == {"note://public/1"}
    denied = team.ask("taken", era, "prompts/get", {"name": "child__triage"})
    assert denied.json()["error"]["message"] == "No triage today."
    denied = team.ask("taken", era, "resources/read", {"uri": "note://public/1"})
    assert denied.json()["error"]["message"] == "Not this one."
    hidden, unknown = (
        team.ask("taken", era, "prompts/get", {"name": f"child__{name}"}) for name in ("summary", "nothing")
    )
    assert hidden.body.replace(b"summary", b"nothing") == unknown.body
    hidden, unknown = (
        team.ask("taken", era, "resources/read", {"uri": f"note://{name}"})
        for name in ("private/1", "nothing")
    )
    assert hidden.body.replace(b"private/1", b"nothing") == unknown.body
    assert team.ask("free", era, "resources/read", {"uri": "note://private/1"}).status == 200


@ERAS
def test_lists_and_calls_agree_for_every_role_and_tool(team: Team, era: str) -> None:
    for role in ("free", "taken", "reads"):
        for server in ("child", "added"):
            listed = team.listed(role, era, server=server)
            for tool in TOOLS:
                got = team.call(role, era, f"{server}__{tool}").json()
                unknown = got.get("error", {}).get("message") == f"Unknown tool: {server}__{tool}"
                assert unknown is (tool not in listed), (role, server, tool)


@ERAS
def test_a_server_that_is_read_only_by_default(team: Team, era: str) -> None:
    assert set(team.listed("free", era, server="added")) == READING
    assert team.call("free", era, "added__get_issue").text == '"get_issue"'
    assert team.call("free", era, "added__delete_issue").code == -32602
    record = team.last(tool="delete_issue", server="added")
    assert (record["rule"], record["policy"], record["policy_version"]) == (
        "read-only:/default",
        "read-only",
        "built-in",
    )
    assert set(team.listed("reads", era)) == READING


# --- limits ---------------------------------------------------------------------------------------------------


@ERAS
def test_a_limit_is_told_and_the_tool_stays_listed(team: Team, era: str) -> None:
    role = f"limited-{era}"
    assert team.call(role, era, "child__nothing").code == -32602
    for _ in range(2):
        assert team.call(role, era, "child__echo").text == '"echo"'
    got = team.call(role, era, "child__echo")
    assert got.result["isError"]
    assert "Try again in " in got.text
    assert "echo" in team.listed(role, era)
    record = team.last(tool="echo")
    assert (record["decision"], record["rule"]) == ("denied", f"{role}:/tools/echo/limits/0")
    assert team.call("free", era, "child__echo").text == '"echo"'


def test_a_limit_is_kept_when_the_gateway_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    keep(folder, *on_roles({"killed": DOCUMENTS["killed"]}))
    grant, key = new_grant()
    with hall_at(folder, {"tokens": {key: {"subject": "eve", "roles": ["killed"]}}}) as hall:

        def texts(count: int) -> list[bool]:
            return [hall.call("echo", grant=grant).result.get("isError", False) for _ in range(count)]

        assert texts(2) == [False, False]
        for killed in (True, False):
            hall.gateway.stop(signal.SIGKILL if killed else signal.SIGTERM)
            hall.gateway.start()
            assert texts(2) == ([False, True] if killed else [True, True])
        assert json.loads(hall.call("echo", grant=grant).body)["result"]["isError"]
