"""Access by role over HTTP: what each role sees is what it may use, on both routes, for clients of both eras."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from gateway import new_grant
from journeys.running import Hall, Session, hall_at
from journeys.wire import Got

PEER = str(Path(__file__).parent / "children" / "roles_peer.py")
SERVERS = ("child", "web")
TOOLS = ("get_issue", "search", "get_and_lock", "delete_issue", "purge_all", "echo", "glance", "get_asked")
PROMPTS = ("triage", "summary")
RESOURCES = ("note://public/1", "note://private/1")
TEMPLATES = ("note://public/{id}", "note://private/{id}", "note://{space}/{id}")
READING = {"get_issue", "search", "glance", "get_asked"}
ALL = {*TOOLS, *PROMPTS, *RESOURCES, *TEMPLATES}
ROLES: Final = {
    "all": [{"server": "*", "access": "*"}],
    "read": [{"server": ["child", "web"], "access": "read"}],
    "write": [{"server": "*", "access": "write"}],
    "narrow": [
        {"server": "*", "access": "*", "tools": ["*_issue"]},
        {"server": "*", "access": "read", "prompts": ["triage"], "resources": ["note://public/*"]},
    ],
    "late": [{"server": "web", "access": "read"}],
    "careful/all": [
        {"server": "*", "access": "*"},
        {"server": "*", "access": "write", "deny": True},
        {"server": "*", "access": "read", "resources": ["note://private/*"], "deny": True},
    ],
}
SEEN: Final[dict[str, set[str]]] = {
    "all": ALL,
    "read": ALL - set(TOOLS) | READING,
    "write": set(TOOLS) - READING,
    "narrow": {"get_issue", "delete_issue", "triage", "note://public/1", "note://public/{id}"},
    "careful/all": (ALL - set(TOOLS) | READING) - {"note://private/1", "note://private/{id}"},
    "none": set(),
}


@dataclass
class Team:
    hall: Hall
    grants: dict[str, str]
    sessions: dict[tuple[str, str], Session] = field(default_factory=dict)

    def ask(self, role: str, era: str, path: str, method: str, params: dict[str, Any] | None = None) -> Got:
        """Ask as a caller with one role, in one era; a legacy client has a session for each path."""
        grant = self.grants[role]
        if era == "modern":
            return self.hall.ask(method, params, path=path, grant=grant)
        if (role, path) not in self.sessions:
            self.sessions[role, path] = self.hall.session(path, grant)
        return self.sessions[role, path].ask(method, params)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    pairs = {role: new_grant() for role in ROLES | SEEN}
    web = subprocess.Popen(
        [sys.executable, PEER, "http"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert web.stdout is not None
        marks = {"tool_acl": {"read": ["glance"]}}
        declared: dict[str, Any] = {
            "mcpServers": {
                "child": {"command": sys.executable, "args": [PEER], **marks},
                "web": {"url": f"http://127.0.0.1:{int(web.stdout.readline())}/mcp", **marks},
            },
            "tokens": {
                key: {"subject": f"{role}-person", "roles": [role, "elsewhere"]}
                for role, (_, key) in pairs.items()
            },
            "acl": {
                "default": "deny",
                "roles": ROLES,
                "subjects": {"alice": {"roles": ["read"], "extra": [{"server": "srv", "access": "*"}]}},
            },
        }
        with hall_at(tmp_path_factory.mktemp("team") / "data", declared) as hall:
            hall.good()
            yield Team(hall, {role: grant for role, (grant, _) in pairs.items()})
    finally:
        web.terminate()
        web.communicate()


ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
EVERY_ROLE = pytest.mark.parametrize("role", SEEN)
OFFERED = {"tools": TOOLS, "prompts": PROMPTS, "resources": RESOURCES, "resourceTemplates": TEMPLATES}
LISTS = (
    ("tools/list", "tools", "name"),
    ("prompts/list", "prompts", "name"),
    ("resources/list", "resources", "uri"),
    ("resources/templates/list", "resourceTemplates", "uriTemplate"),
)


# --- the first call of all: before anything was listed ------------------------------------------------------------


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_never_heard_from_is_asked_before_a_call_is_judged(team: Team, server: str) -> None:
    shown = {one["name"]: one["tools"] for one in team.hall.control("/api/v1/servers")["items"]}
    assert shown[server] is None
    hidden = f"{server}__get_and_lock"  # whose name reads, and whose annotations say otherwise
    got = team.ask("read", "modern", "/mcp", "tools/call", {"name": hidden, "arguments": {}})
    assert got.json()["error"] == {"code": -32602, "message": f"Unknown tool: {hidden}"}
    asked = team.ask(
        "read", "modern", "/mcp", "tools/call", {"name": f"{server}__get_asked", "arguments": {}}
    )
    assert json.loads(asked.text) == []


# --- lists --------------------------------------------------------------------------------------------------------


@ERAS
@pytest.mark.parametrize(
    ("role", "servers"), [("all", SERVERS), ("read", SERVERS), ("late", ("web",)), ("none", ())]
)
def test_what_a_server_says_of_itself_is_for_those_who_may_use_it(
    team: Team, era: str, role: str, servers: tuple[str, ...]
) -> None:
    def told(path: str) -> str:
        if era == "modern":
            opening = team.ask(role, era, path, "server/discover").result
        else:
            opening = team.hall.session(path, team.grants[role]).opened.result
        return str(opening.get("instructions", ""))

    for server in SERVERS:
        team.ask("all", era, f"/mcp/{server}", "tools/list")  # known by now, to whoever may know
        assert told(f"/mcp/{server}") == ("Purge with care." if server in servers else "")
    assert told("/mcp").count("Purge with care.") == len(servers)
    assert all((f"## {server}" in told("/mcp")) is (server in servers) for server in SERVERS)


@ERAS
@EVERY_ROLE
def test_each_role_sees_its_part_of_every_list(team: Team, role: str, era: str) -> None:
    for method, member, key in LISTS:
        for server in SERVERS:
            result = team.ask(role, era, f"/mcp/{server}/", method).result
            listed = [entry[key] for entry in result[member]]
            assert listed == [name for name in OFFERED[member] if name in SEEN[role]], (method, server)
        joined = [entry[key] for entry in team.ask(role, era, "/mcp", method).result[member]]
        alone = [
            entry[key] if key != "name" else f"{server}__{entry[key]}"
            for server in ("srv", *SERVERS)
            for entry in team.ask(role, "modern", f"/mcp/{server}/", method).result[member]
        ]
        assert joined == alone


# --- use ----------------------------------------------------------------------------------------------------------


def uses(server: str) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Yield every way to use what a server has: what is used, the method, the params, and an unknown name."""
    for name in TOOLS:
        yield name, "tools/call", {"name": name, "arguments": {}}, "x" * len(name)
    for name in PROMPTS:
        yield name, "prompts/get", {"name": name}, "x" * len(name)
        reference = {"ref": {"type": "ref/prompt", "name": name}, "argument": {"name": "a", "value": ""}}
        yield name, "completion/complete", reference, "x" * len(name)
    for uri in RESOURCES:
        yield (
            uri,
            "resources/read",
            {"uri": uri},
            uri[:7] + "nothing"[: len(uri) - 7].ljust(len(uri) - 7, "x"),
        )
    for uri in TEMPLATES:
        reference = {"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "id", "value": ""}}
        yield uri, "completion/complete", reference, "x" * len(uri)


def renamed(params: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """Return params about another name."""
    changed: dict[str, Any] = json.loads(json.dumps(params).replace(json.dumps(old), json.dumps(new)))
    return changed


def asked_of(team: Team, server: str) -> list[str]:
    """Return what reached a server."""
    got = team.ask("all", "modern", f"/mcp/{server}/", "tools/call", {"name": "get_asked", "arguments": {}})
    found: list[str] = json.loads(got.text)
    return found


def same_but_for_the_name(hidden: Got, unknown: Got, name: str, other: str) -> bool:
    """Tell whether two answers are one, byte for byte; each names what was asked for, in as many letters.

    But for the receipt: each answer has its own, and its number goes on by the same for both.
    """
    own = {"date", "coatcheck-receipt"}
    assert hidden.headers.keys() == unknown.headers.keys()
    heads = [{key: one for key, one in got.headers.items() if key not in own} for got in (hidden, unknown)]
    bodies = hidden.body.replace(name.encode(), other.encode()), unknown.body
    return hidden.status == unknown.status and heads[0] == heads[1] and bodies[0] == bodies[1]


@ERAS
@EVERY_ROLE
@pytest.mark.parametrize("server", SERVERS)
def test_what_is_seen_can_be_used_and_what_is_not_is_unknown(
    team: Team, role: str, era: str, server: str
) -> None:
    path = f"/mcp/{server}/"
    before = len(asked_of(team, server))
    used = 0
    for name, method, params, other in uses(server):
        got = team.ask(role, era, path, method, params)
        if name in SEEN[role]:
            assert "result" in got.json(), (method, name, got)
            used += name != "get_asked"
            continue
        unknown = team.ask("all", era, path, method, renamed(params, name, other))
        assert "error" in unknown.json()
        assert same_but_for_the_name(got, unknown, name, other), (got, unknown)
        used += method == "resources/read"  # the unknown one is asked for: more can be read than is listed
    assert len(asked_of(team, server)) == before + used


@ERAS
@EVERY_ROLE
def test_the_same_on_the_route_to_all_servers(team: Team, role: str, era: str) -> None:
    for name, method, params, other in uses("web"):
        if name.startswith("note:"):
            prefixed, shown, lost = params, name, other
        else:
            prefixed, shown, lost = renamed(params, name, f"web__{name}"), f"web__{name}", f"web__{other}"
        got = team.ask(role, era, "/mcp", method, prefixed)
        if name in SEEN[role]:
            assert "result" in got.json(), (method, name, got)
            continue
        unknown = team.ask(role, era, "/mcp", method, renamed(prefixed, shown, lost))
        assert same_but_for_the_name(got, unknown, shown, lost), (got, unknown)


@ERAS
def test_a_server_whose_resource_is_hidden_does_not_stand_before_one_that_is_listed(
    team: Team, era: str
) -> None:
    """Both have the same URIs, and the first of the file has none for this caller."""
    listed = team.ask("late", era, "/mcp", "resources/list").result["resources"]
    assert [entry["uri"] for entry in listed] == list(RESOURCES)
    position = team.hall.last_position()
    for uri in (*RESOURCES, "note://public/99"):
        assert (
            team.ask("late", era, "/mcp", "resources/read", {"uri": uri}).result["contents"][0]["uri"] == uri
        )
    for uri in TEMPLATES:
        reference = {"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "id", "value": ""}}
        assert team.ask("late", era, "/mcp", "completion/complete", reference).result["completion"]
    assert {entry["server"] for entry in team.hall.since(position)} == {"web"}
    assert team.ask("late", era, "/mcp/child/", "resources/read", {"uri": RESOURCES[0]}).code is not None


@ERAS
def test_reading_goes_by_the_uri_and_not_by_another_spelling_of_it(team: Team, era: str) -> None:
    for uri, allowed in (
        ("note://public/7", True),
        ("note://private/7", False),
        ("note://public/../private/7", False),
        ("note://public/%2e%2e/private/7", False),
        ("NOTE://private/7", False),
    ):
        for role in ("narrow", "careful/all"):
            got = team.ask(role, era, "/mcp/web/", "resources/read", {"uri": uri})
            assert ("result" in got.json()) is allowed, (role, uri, got)
        assert "result" in team.ask("all", era, "/mcp/web/", "resources/read", {"uri": uri}).json()


# --- the record, and what operators see -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "tool", "decision", "rule"),
    [
        ("read", "get_issue", "allowed", "/acl/roles/read/0"),
        ("read", "delete_issue", "hidden", "/acl/default"),
        ("write", "delete_issue", "allowed", "/acl/roles/write/0"),
        ("narrow", "get_issue", "allowed", "/acl/roles/narrow/0"),
        ("careful/all", "get_issue", "allowed", "/acl/roles/careful~1all/0"),
        ("careful/all", "delete_issue", "hidden", "/acl/roles/careful~1all/1"),
        ("none", "get_issue", "hidden", "/acl/default"),
    ],
)
def test_the_record_names_the_entry_that_decided(
    team: Team, role: str, tool: str, decision: str, rule: str
) -> None:
    position = team.hall.last_position()
    team.ask(role, "modern", "/mcp/child/", "tools/call", {"name": tool, "arguments": {}})
    (entry,) = team.hall.since(position)
    assert (entry["decision"], entry["rule"]) == (decision, rule)
    assert (entry["subject"], entry["tool"]) == (f"{role}-person", tool)


def test_operators_see_what_each_tool_is_taken_for_and_why(team: Team) -> None:
    items = team.hall.control("/api/v1/tools", server="web")["items"]
    assert {one["name"]: one["access"] for one in items} == {
        "get_issue": "read",
        "search": "read",
        "get_and_lock": "write",
        "delete_issue": "write",
        "purge_all": "write",
        "echo": "ambiguous",
        "glance": "read",
        "get_asked": "read",
    }
    why = {one["name"]: one["access_reason"] for one in items}
    assert why["get_and_lock"] == "the server says destructiveHint"
    assert why["purge_all"] == "the server says readOnlyHint, but the name has the verb purge"
    assert why["glance"] == "tool_acl.read has glance"
    shown = json.loads(team.hall.gateway.command("tools", "web", "--json").stdout)
    assert shown["items"] == items


# --- edits --------------------------------------------------------------------------------------------------------


def test_roles_subjects_marks_and_strictness_are_live_with_the_next_call(team: Team) -> None:
    declared = team.hall.gateway.declaration
    acl = declared["serverAuth"]["acl"]

    def tools_of(role: str) -> set[str]:
        found = team.ask(role, "legacy", "/mcp/web/", "tools/list").result["tools"]
        return {entry["name"] for entry in found}

    def edit(**changes: Any) -> None:
        auth = {**declared["serverAuth"], "acl": {**acl, **changes}}
        team.hall.gateway.change({**declared, "serverAuth": auth})

    assert tools_of("none") == set()
    edit(
        subjects={
            "none-person": {
                "roles": ["write"],
                "extra": [{"server": "web", "access": "*", "tools": ["search"]}],
            }
        }
    )
    assert tools_of("none") == set(TOOLS) - READING | {"search"}
    edit(strictClassification=True)
    assert tools_of("none") == set()
    assert tools_of("all") == set(TOOLS) - {"echo"}
    got = team.ask("all", "modern", "/mcp/web/", "tools/call", {"name": "echo", "arguments": {}})
    assert got.json()["error"]["message"] == "Unknown tool: echo"
    assert team.hall.records(limit=1)[0]["rule"] == "/acl/strictClassification"
    servers = {**declared["mcpServers"]}
    servers["web"] = {**servers["web"], "tool_acl": {"read": ["delete_issue"], "write": ["search"]}}
    team.hall.gateway.change({**declared, "mcpServers": servers})
    assert tools_of("read") == READING - {"search", "glance"} | {"delete_issue"}
    team.hall.gateway.change(declared)
    assert tools_of("read") == READING
