"""What decides a call is on record, found there and explained, by one pointer; and who sees another list is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from gateway import new_grant
from journeys.running import Hall, Session, hall_at
from journeys.streams import Streamed, get
from journeys.test_policies import PEER
from journeys.wire import Got, UnixConnection

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
API: Final = "/api/v1"
NEVER: Final = {"time": {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "zone": "UTC"}}
DOCUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "team": {
        "tools": {
            "purge_all": {"outcome": "hide"},
            "delete_*": {"outcome": "deny", "message": "Ask the owner."},
            "echo": {"deny_if": [{"path": "/n", "op": "gt", "value": 5, "if_present": True}]},
            "glance": {"limits": [{"sum": "/n", "most": 1000.5, "per": "day", "each": "grant"}]},
            "get_and_lock": {"deny_if": [NEVER]},
        },
        "prompts": {
            "summary": {"outcome": "hide"},
            "triage": {"deny_if": [{"path": "/repo", "op": "eq", "value": "core", "message": "Not that one."}]},
        },
        "resources": {"note://private/*": {"outcome": "hide"}, "note://public/1": {"outcome": "deny"}},
    },
    "modest": {"limits": [{"calls": 2, "per": "day", "each": "grant"}]},
}  # fmt: skip


@dataclass
class Team:
    hall: Hall
    grants: dict[str, str]
    sessions: dict[tuple[str, str], Session] = field(default_factory=dict)

    def api(self, verb: str, path: str, body: Any = None, tag: str = "") -> Any:
        connection = UnixConnection(self.hall.gateway.directory / "coatcheck.sock")
        headers = {"Content-Type": "application/json"} | ({"If-Match": tag} if tag else {})
        try:
            connection.request(verb, API + path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status < 300, told
        return told

    def session(self, who: str, path: str = "/mcp") -> Session:
        if (who, path) not in self.sessions:
            self.sessions[who, path] = self.hall.session(path, self.grants[who])
        return self.sessions[who, path]

    def ask(self, who: str, era: str, method: str, params: dict[str, Any] | None = None) -> Got:
        if era == "modern":
            return self.hall.ask(method, params, grant=self.grants[who])
        return self.session(who).ask(method, params)

    def put(self, name: str, members: Mapping[str, Any]) -> None:
        document = {"coatcheck": 1, "name": name, "default": "allow-all", **members}
        there = {one["name"]: one["version"] for one in self.api("GET", "/policies")["items"]}
        tag = f'"{there[name]}"' if name in there else ""
        self.api("PUT", f"/policies/{name}", {"document": document}, tag)

    def last(self, **query: Any) -> dict[str, Any]:
        return self.hall.records(limit=1, **query)[0]

    def explained(self, who: str, **body: Any) -> dict[str, Any]:
        told = self.api("POST", "/access/explain", {"subject": who, "server": "child", **body})
        (item,) = told["items"]
        found: dict[str, Any] = item
        return found


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    people = ("ann", "modest-modern", "modest-legacy", "free", "watched", "other")
    pairs = {who: new_grant() for who in people}
    tokens: dict[str, Any] = {key: {"subject": who} for who, (_, key) in pairs.items()}
    tokens[pairs["ann"][1]]["roles"] = ["team"]
    tokens[pairs["watched"][1]]["roles"] = ["watched"]
    declared = {"mcpServers": {"child": {"command": sys.executable, "args": [PEER]}}, "tokens": tokens}
    declared["acl"] = {"default": "allow", "rules": [{"policy": "deny", "tools": ["child__get_asked"]}]}
    with hall_at(tmp_path_factory.mktemp("team") / "data", declared) as hall:
        team = Team(hall, {who: grant for who, (grant, _) in pairs.items()})
        issued = team.api("POST", "/grants", {"label": "narrow", "subject": "narrow", "servers": ["srv"]})
        team.grants["narrow"] = issued["token"]
        for name, members in DOCUMENTS.items():
            team.put(name, members)
        team.api("POST", "/policies/team/use", {"kind": "role", "of": "team"})
        for grant in team.api("GET", "/grants")["items"]:
            if grant["subject"].startswith("modest"):
                team.api(
                    "POST", "/policies/modest/use", {"kind": "grant", "of": grant["id"], "server": "child"}
                )
        for era in ("modern", "legacy"):
            assert (
                team.ask("free", era, "tools/call", {"name": "child__echo", "arguments": {}}).text == '"echo"'
            )
        yield team


# --- one pointer --------------------------------------------------------------------------------------------

Case = tuple[str, str, dict[str, Any], str, str, tuple[str, str]]
FILE: Final = ("acl", "*")
CASES: Final[tuple[Case, ...]] = (
    ("free", "tool", {"name": "echo"}, "allowed", "/acl/default", FILE),
    ("free", "tool", {"name": "get_asked"}, "hidden", "/acl/rules/0", FILE),
    ("narrow", "tool", {"name": "echo"}, "hidden", "(scope)", ("*", "*")),
    ("ann", "tool", {"name": "echo", "arguments": {"n": 5}}, "allowed", "team:/default", ("team", "1")),
    ("ann", "tool", {"name": "echo", "arguments": {"n": 6}}, "denied", "team:/tools/echo/deny_if/0", ("team", "1")),
    ("ann", "tool", {"name": "get_and_lock"}, "denied", "team:/tools/get_and_lock/deny_if/0", ("team", "1")),
    ("ann", "tool", {"name": "delete_issue"}, "denied", "team:/tools/delete_*/outcome", ("team", "1")),
    ("ann", "tool", {"name": "purge_all"}, "hidden", "team:/tools/purge_all/outcome", ("team", "1")),
    ("ann", "tool", {"name": "glance", "arguments": {"n": -1}}, "denied", "team:/tools/glance/limits/0", ("team", "1")),
    ("ann", "tool", {"name": "glance", "arguments": {"n": 2000}}, "denied", "team:/tools/glance/limits/0", ("team", "1")),
    ("ann", "prompt", {"name": "summary"}, "hidden", "team:/prompts/summary/outcome", ("team", "1")),
    ("ann", "prompt", {"name": "triage"}, "denied", "team:/prompts/triage/deny_if/0", ("team", "1")),
    ("ann", "prompt", {"name": "triage", "arguments": {"repo": "core"}}, "denied", "team:/prompts/triage/deny_if/0", ("team", "1")),
    ("ann", "prompt", {"name": "triage", "arguments": {"repo": "docs"}}, "allowed", "team:/default", ("team", "1")),
    ("ann", "resource", {"uri": "note://private/1"}, "hidden", "team:/resources/note:~1~1private~1*/outcome", ("team", "1")),
    ("ann", "resource", {"uri": "note://public/1"}, "denied", "team:/resources/note:~1~1public~11/outcome", ("team", "1")),
)  # fmt: skip
METHODS: Final = {"tool": "tools/call", "prompt": "prompts/get", "resource": "resources/read"}


@ERAS
def test_the_sentence_that_a_denied_caller_is_told_is_on_record(team: Team, era: str) -> None:
    denied = {"name": "child__delete_issue", "arguments": {}}
    assert "Ask the owner." in team.ask("ann", era, "tools/call", denied).text
    last = team.last(subject="ann")
    assert (last["decision"], last["detail"]) == ("denied", "Ask the owner.")
    assert last["reason"] == "the policy team denies it by tools/delete_*"
    team.ask("ann", era, "tools/call", {"name": "child__purge_all", "arguments": {}})
    last = team.last(subject="ann")
    assert (last["decision"], last["detail"]) == ("hidden", ""), "it was told what a stranger is told"


@ERAS
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2].get('name') or case[2]['uri']}")
def test_record_and_explanation_name_the_same_rule(team: Team, era: str, case: Case) -> None:
    who, kind, params, decision, rule, (policy, version) = case
    own = params.get("name") or params["uri"]
    asked = {**params, "name": f"child__{own}"} if "name" in params else params
    team.ask(who, era, METHODS[kind], asked)
    record = team.last(subject=who)
    assert (record["tool"], record["server"]) == (own, "child")
    assert (record["decision"], record["rule"]) == (decision, rule)
    assert policy in {"*", record["policy"]}
    assert version in {"*", record["policy_version"]}
    arguments = {"arguments": params["arguments"]} if "arguments" in params else {}
    told = team.explained(who, **{kind: own}, **arguments)
    assert (told["outcome"], told["rule"], told["because"]) == (decision, rule, record["reason"])
    found = team.hall.records(subject=who, decision=decision, rule=rule)
    assert found[-1]["id"] == record["id"]
    assert {one["decision"] for one in found} == {decision}


@ERAS
def test_a_limit_that_is_used_up_is_on_record_and_explained(team: Team, era: str) -> None:
    who, call = f"modest-{era}", {"name": "child__echo", "arguments": {}}
    rule = "modest:/limits/0"

    def limit() -> tuple[str, str, str, bool]:
        told = team.explained(who, tool="echo")
        (use,) = told["layers"][-1]["limits"]
        assert (use["rule"], use["takes"], use["most"], use["per"]) == (rule, "1", "2", "day")
        assert use["fits"] is (told["outcome"] == "allowed")
        return told["outcome"], told["rule"], use["taken"], use["fits"]

    for taken in ("0", "1"):
        assert limit() == ("allowed", "modest:/default", taken, True)
        assert team.ask(who, era, "tools/call", call).text == '"echo"'
        record = team.last(subject=who)
        (charge,) = record["charges"]
        assert (charge["rule"], charge["per"], charge["took"]) == ("modest:/limits", "day", "1")
        assert charge["each"] == {"grant": record["grant_id"]}
    assert limit() == ("denied", rule, "2", False)
    got = team.ask(who, era, "tools/call", call)
    assert got.result["isError"]
    record, told = team.last(subject=who), team.explained(who, tool="echo")
    assert (record["decision"], record["rule"], record["charges"]) == ("denied", rule, [])
    assert (record["policy"], record["policy_version"]) == ("modest", "1")
    assert told["because"] == record["reason"]
    assert told["message"].partition("Try again")[0] == got.text.partition("Try again")[0]
    step = next(step for step in told["layers"][-1]["steps"] if step["rule"] == rule)
    assert (step["denies"], step["because"]) == (True, "this call takes 1, and 2 of 2 are taken")


def test_the_command_line_finds_and_explains_them(team: Team) -> None:
    team.ask("ann", "modern", "tools/call", {"name": "child__purge_all"})
    team.ask("ann", "modern", "tools/call", {"name": "child__delete_issue"})

    def explained(subject: str, *words: str) -> tuple[str, str]:
        done = team.hall.gateway.command(
            "policy", "explain", "--subject", subject, "--server", "child", *words
        )
        assert done.returncode == 0, done.stderr
        (item,) = json.loads(done.stdout)["items"]
        return item["outcome"], item["rule"]

    for decision, rule in (("hidden", "purge_all"), ("denied", "delete_*")):
        pointer = f"team:/tools/{rule}/outcome"
        lines = team.hall.gateway.logs("--decision", decision, "--rule", pointer, "--subject", "ann")
        assert lines
        assert {(one["decision"], one["rule"], one["policy"]) for one in lines} == {
            (decision, pointer, "team")
        }
    echo = ("--tool", "echo", "--at", "2026-11-18T12:00:00Z", "--args", '{"n": 6.0}')
    assert explained("ann", *echo) == ("denied", "team:/tools/echo/deny_if/0")
    assert explained("free", "--prompt", "triage") == ("allowed", "/acl/default")
    hidden = ("hidden", "team:/resources/note:~1~1private~1*/outcome")
    assert explained("ann", "--resource", "note://private/1") == hidden


def test_a_new_version_is_on_the_record_of_the_next_call(team: Team) -> None:
    for version in (1, 2):
        team.put("versioned", {"tools": {"echo": {"outcome": "deny", "message": f"No {version}."}}})
        if version == 1:
            team.api("POST", "/policies/versioned/use", {"kind": "role", "of": "watched"})
        got = team.ask("watched", "modern", "tools/call", {"name": "child__echo", "arguments": {}})
        assert got.text == f"No {version}."
        record = team.last(subject="watched")
        assert (record["policy"], record["policy_version"]) == ("versioned", str(version))
    team.api("POST", "/policies/versioned/unuse", {"kind": "role", "of": "watched"})


def test_a_scene_can_be_said(team: Team) -> None:
    at_night = {
        "allow_if": [{"time": {"from": "08:00", "to": "18:00", "zone": "UTC"}}, {"ip": ["10.0.0.0/8"]}]
    }
    team.put("office", {"tools": {"echo": {**at_night, "deny_if": [{"client": ["bot*"]}]}}})
    team.api("POST", "/policies/office/use", {"kind": "role", "of": "watched"})

    def explained(**scene: str) -> str:
        rule: str = team.explained("watched", tool="echo", **scene)["rule"]
        return rule

    noon, night = "2026-11-18T12:00:00Z", "2026-11-18T23:00:00+02:00"
    assert explained(at=noon, address="10.1.2.3", client="agent") == "office:/default"
    assert explained(at=night, address="10.1.2.3", client="agent") == "office:/tools/echo/allow_if/0"
    assert explained(at=noon, address="192.0.2.1", client="agent") == "office:/tools/echo/allow_if/1"
    assert explained(at=noon, address="10.1.2.3", client="bot 1") == "office:/tools/echo/deny_if/0"
    team.api("POST", "/policies/office/unuse", {"kind": "role", "of": "watched"})


# --- completions --------------------------------------------------------------------------------------------


@ERAS
def test_completions_are_judged_as_what_they_complete(team: Team, era: str) -> None:
    def complete(who: str, name: str, value: str = "d", uri: str = "", **context: str) -> Any:
        ref = (
            {"type": "ref/resource", "uri": uri} if uri else {"type": "ref/prompt", "name": f"child__{name}"}
        )
        params: dict[str, Any] = {"ref": ref, "argument": {"name": "repo", "value": value}}
        if context:
            params["context"] = {"arguments": context}
        return team.ask(who, era, "completion/complete", params).json()

    assert complete("free", "triage")["result"]["completion"]["values"] == ["triage"]
    assert complete("free", "summary")["result"]["completion"]["values"] == ["summary"]
    assert complete("ann", "triage")["result"]["completion"]["values"] == ["triage"]
    denied = complete("ann", "triage", "core")["error"]
    assert (denied["code"], denied["message"]) == (-32602, "Not that one.")
    record = team.last(subject="ann")
    assert (record["method"], record["decision"]) == ("completion/complete", "denied")
    assert (record["rule"], record["arguments"]) == ("team:/prompts/triage/deny_if/0", {"repo": 6})
    assert complete("ann", "triage", "core", repo="docs")["error"]["message"], "said twice: it cannot be told"
    hidden, unknown = (complete("ann", name)["error"] for name in ("summary", "nothing"))
    assert (hidden["code"], hidden["message"]) == (-32602, "Unknown prompt: child__summary")
    assert unknown == {**hidden, "message": "Unknown prompt: child__nothing"}
    template = "note://private/{id}"
    assert complete("free", "", uri=template)["result"]["completion"]["values"] == [template]
    refused = complete("ann", "", uri=template)["error"]
    assert refused["message"] == "Resource not found"
    assert team.last(subject="ann")["rule"] == "team:/resources/note:~1~1private~1*/outcome"


# --- who is told --------------------------------------------------------------------------------------------


def listening(team: Team, who: str, path: str) -> Streamed:
    """Open a stream of the modern era for all lists; what acknowledges it is read."""
    wire = Streamed(team.hall.gateway.port)
    wanted = {f"{kind}ListChanged": True for kind in ("tools", "prompts", "resources")}
    data = team.hall.request(
        "subscriptions/listen", {"notifications": wanted}, grant=team.grants[who], path=path
    )
    wire.send(data)
    assert wire.opened() == 200
    assert wire.message()["params"]["notifications"] == wanted
    return wire


def hearing(team: Team, who: str, path: str) -> Streamed:
    """Open the stream of a legacy session that has seen all lists."""
    session = team.session(who, path)
    announced = session.opened.result["capabilities"]
    assert all(announced[kind]["listChanged"] is True for kind in ("tools", "prompts", "resources"))
    for kind in ("tools", "prompts", "resources"):
        assert session.ask(f"{kind}/list").status == 200
    wire = get(session)
    assert wire.opened() == 200
    return wire


@pytest.mark.parametrize("path", ["/mcp", "/mcp/child"])
@pytest.mark.parametrize("open_stream", [listening, hearing], ids=["modern", "legacy"])
def test_who_sees_another_list_is_told_and_nobody_else(team: Team, path: str, open_stream: Any) -> None:
    name = f"told-{path.count('/')}-{open_stream.__name__}"
    place = {"kind": "role", "of": "watched"}

    def use(verb: str) -> None:
        team.api("POST", f"/policies/{name}/{verb}", place)

    with open_stream(team, "watched", path) as hit, open_stream(team, "other", path) as other:
        team.put(name, {"tools": {"echo": {"outcome": "hide"}}})
        use("use")
        assert hit.message()["method"] == "notifications/tools/list_changed"
        team.put(name, {"tools": {"echo": {"outcome": "hide"}, "glance": {"deny_if": [NEVER]}}})
        team.put(name, {"tools": {"echo": {"outcome": "hide"}}, "prompts": {"triage": {"outcome": "hide"}}})
        assert hit.message()["method"] == "notifications/prompts/list_changed", "of the tools nothing changed"
        team.api("POST", f"/policies/{name}/revert", {"number": 1})
        assert hit.message()["method"] == "notifications/prompts/list_changed"
        team.put(name, {"resources": {"note://public/*": {"outcome": "hide"}}})
        assert {hit.message()["method"] for _ in range(2)} == {
            "notifications/tools/list_changed",
            "notifications/resources/list_changed",
        }
        use("unuse")
        assert hit.message()["method"] == "notifications/resources/list_changed"
        # What others see changes last, so that all that came before it was for somebody else.
        everything = {"kind": "everything"}
        team.put(name, {"tools": {"search": {"outcome": "hide"}}})
        team.api("POST", f"/policies/{name}/use", everything)
        for wire in (hit, other):
            assert wire.message()["method"] == "notifications/tools/list_changed"
        team.api("POST", f"/policies/{name}/unuse", everything)
        for wire in (hit, other):
            assert wire.message()["method"] == "notifications/tools/list_changed"
