"""A policy is tried on the calls of a running gateway before it is put, and one is suggested by what was used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.policy.reading.document import read_policy
from coatcheck.declared.policies.yaml_text import read_yaml
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from gateway import new_grant
from journeys.policing import keep
from journeys.running import Hall, hall_at
from journeys.test_policies import PEER
from journeys.wire import control
from ledgers import START

BASE = {
    "tools": {
        "delete_*": {"outcome": "deny", "message": "No."},
        "purge_all": {"outcome": "hide"},
        "echo": {
            "deny_if": [{"path": "/n", "op": "gt", "value": 5, "if_present": True}],
            "limits": [{"calls": 4, "per": "hour", "each": "subject"}],
        },
    }
}


def document(name: str, **members: Any) -> dict[str, Any]:
    return {"coatcheck": 1, "name": name, "default": "allow-all", **members}


@dataclass
class Watched:
    """A gateway with a policy on everything, and calls of two subjects on its record."""

    hall: Hall
    grants: dict[str, str]

    def call(self, subject: str, tool: str, **arguments: Any) -> None:
        params = {"name": f"child__{tool}", "arguments": arguments}
        assert self.hall.ask("tools/call", params, grant=self.grants[subject]).status == 200

    def ask(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        socket = self.hall.gateway.directory / "coatcheck.sock"
        status, found = control(socket, method, f"/api/v1{path}", raw, **query)
        assert status == 200, found
        return found

    def replay(self, written: dict[str, Any], **more: Any) -> Any:
        return self.ask("POST", f"/policies/{written['name']}/replay", {"document": written, **more})


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched") / "data"
    base = StoredPolicy("base", read_policy(document("base", **BASE)), START, "ann")
    keep(folder, base, PolicyUse("base", UseKind.EVERYTHING, "", START, "ann"))
    pairs = {subject: new_grant() for subject in ("alice", "bob")}
    declared: dict[str, Any] = {
        "mcpServers": {"child": {"command": sys.executable, "args": [PEER]}},
        "tokens": {key: {"subject": subject, "roles": [subject]} for subject, (_, key) in pairs.items()},
    }
    with hall_at(folder, declared) as hall:
        made = Watched(hall, {subject: grant for subject, (grant, _) in pairs.items()})
        for subject in ("alice", "bob"):
            for tool in ("get_issue", "search", "delete_issue", "purge_all", "delete_owl", "nothing"):
                made.call(subject, tool)
            made.call(subject, "search")
            for _ in range(5):
                made.call(subject, "echo")
            hall.ask("prompts/get", {"name": "child__triage"}, grant=made.grants[subject])
            hall.ask("resources/read", {"uri": "note://public/1"}, grant=made.grants[subject])
        yield made


def test_what_is_in_force_changes_nothing(watched: Watched) -> None:
    found = watched.replay(document("base", **BASE))
    assert found["used_on"] == ["everything"]
    assert (found["looked_at"], found["same"], found["changes"]) == (28, 28, []), found
    assert (found["left_out"], found["undecided"], found["cut"]) == ([], 0, False)
    decisions = [one["decision"] for one in watched.hall.records()]
    assert {"allowed", "denied", "hidden"} <= set(decisions)


def test_what_is_denied_to_one_subject_shows_the_calls_of_that_one(watched: Watched) -> None:
    tools = {**BASE["tools"], "search": {"deny_if": [{"subject": "bob"}]}}
    found = watched.replay(document("base", tools=tools))
    assert (found["newly_denied"], found["newly_hidden"], found["newly_allowed"]) == (2, 0, 0)
    (change,) = found["changes"]
    assert (change["subject"], change["server"], change["name"], change["calls"]) == (
        "bob",
        "child",
        "search",
        2,
    )
    assert (change["before"], change["after"]) == ("allowed", "denied")
    assert change["after_rule"] == "base:/tools/search/deny_if/0"


def test_a_policy_is_tried_where_it_is_not_used_yet(watched: Watched) -> None:
    before = watched.hall.last_position()
    found = watched.replay(document("closed", default="read-only"), kind="role", of="alice")
    assert found["used_on"] == ["the role alice"]
    assert {one["subject"] for one in found["changes"]} == {"alice"}
    changed = {(one["name"], one["before"], one["after"]): one["calls"] for one in found["changes"]}
    assert changed == {
        ("echo", "allowed", "hidden"): 4,
        ("echo", "denied", "hidden"): 1,
        ("delete_issue", "denied", "hidden"): 1,
        ("nothing", "allowed", "hidden"): 1,
    }
    assert found["newly_hidden"] == sum(one["calls"] for one in found["changes"])
    assert watched.hall.since(before) == [], "nothing was called"


def test_a_limit_is_counted_by_the_recorded_times(watched: Watched) -> None:
    limited = document(
        "base", tools={**BASE["tools"], "search": {"limits": [{"calls": 3, "per": "day", "each": "all"}]}}
    )
    found = watched.replay(limited)
    (change,) = found["changes"]
    assert (change["subject"], change["calls"], change["after_rule"]) == (
        "bob",
        1,
        "base:/tools/search/limits/0",
    )


def test_what_was_not_recorded_is_undecided(watched: Watched) -> None:
    watched.call("alice", "get_asked", n=1, word="yes")
    watched.call("alice", "get_asked", word="no")
    for clause, undecided, denied in (
        ({"path": "/n", "op": "gt", "value": 0}, 1, 1),
        ({"path": "/n", "op": "gt", "value": 0, "if_present": True}, 1, 0),
        ({"path": "/n", "op": "exists"}, 0, 1),
        ({"path": "/word", "op": "eq", "value": "yes"}, 1, 1),
    ):
        found = watched.replay(document("base", tools={**BASE["tools"], "get_asked": {"deny_if": [clause]}}))
        assert (found["undecided"], found["newly_denied"]) == (undecided, denied), clause
        rules = [one["what"] for one in found["undecided_by"]]
        assert rules == ["base:/tools/get_asked/deny_if/0"] * undecided


def test_what_is_suggested_allows_what_was_used_and_is_put_as_it_is(watched: Watched, tmp_path: Path) -> None:
    labels = {one["subject"]: one["grant_label"] for one in watched.hall.records()}
    found = watched.ask("GET", "/access/suggest", grant=labels["bob"])
    (item,) = found["items"]
    written = read_yaml(item["yaml"]).value
    assert read_policy(written) == read_policy(item["document"])
    assert written["tools"] == {name: {"outcome": "allow"} for name in ("echo", "get_issue", "search")}
    assert written["prompts"] == {"triage": {"outcome": "allow"}}
    assert written["resources"] == {"note://public/1": {"outcome": "allow"}}
    assert set(item["unused"]) == {"get_and_lock", "glance", "get_asked"}
    found = watched.replay(written, kind="grant", of=labels["bob"], server="child")
    lost = {one["name"] for one in found["changes"] if one["before"] == "allowed"}
    assert lost == {"nothing"}, "which the server never had"
    assert found["newly_denied"] == found["newly_allowed"] == 0


def test_the_commands_lead_from_what_was_used_to_a_policy_in_force(watched: Watched, tmp_path: Path) -> None:
    label = next(one["grant_label"] for one in watched.hall.records() if one["subject"] == "bob")
    data = ("--data", str(watched.hall.gateway.directory))
    on = ("--grant", label, "--server", "child")

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "coatcheck", "policy", *words, *data]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        return done.stdout

    written = tmp_path / "bob.policy.yaml"
    written.write_text(run("suggest", *on, "--name", "least"))
    told = json.loads(run("replay", str(written), *on))
    assert {one["name"] for one in told["changes"] if one["before"] == "allowed"} == {"nothing"}
    run("put", str(written))
    run("use", "least", *on)
    for tool, decision in (("search", "allowed"), ("get_and_lock", "hidden")):
        watched.call("bob", tool)
        last = watched.hall.records(limit=1)[0]
        assert (last["tool"], last["decision"]) == (tool, decision)
    assert json.loads(run("replay", str(written)))["used_on"] == [f"the grant {label} on child"]
