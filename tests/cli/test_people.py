"""`coatcheck subject`, `operator` and `access`, and the record of changes."""

from __future__ import annotations

import json
import re

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items, refusal
from cli.objects import ended, subject
from cli.ran import Run
from cli.terminal import on_terminal
from coatcheck.cli.looking.changes import difference

CHANGE = {
    "position": 1,
    "id": "00000000-0000-4000-8000-000000000001",
    "time": "2026-11-21T08:00:00Z",
    "actor": "bob",
    "role": "admin",
    "origin": "10.0.0.1",
    "action": "grant.revoke",
    "kind": "grant",
    "object_id": "x",
    "object_name": "alice-laptop",
    "before": {"state": "live", "note": "n"},
    "after": {"state": "revoked", "note": "n"},
    "because": "left",
}


# --- subjects ----------------------------------------------------------------------------------------------


def test_subjects_are_added_and_changed(api: FakeApi, run: Run) -> None:
    api.answers["POST /subjects"] = Canned(subject("ci"), 201)
    assert run("subject", "add", "ci", "--kind", "automation", "--role", "b", "--role", "a").code == 0
    assert api.asked[-1].json() == {"name": "ci", "kind": "automation", "roles": ["a", "b"]}
    api.answers["GET /subjects/ci"] = Canned(subject("ci"))
    api.answers["PATCH /subjects/ci"] = Canned(subject("ci"))
    assert run("subject", "change", "ci", "--no-roles", "--note", "n").code == 0
    assert (api.asked[-1].json(), api.asked[-1].headers["if-match"]) == ({"note": "n", "roles": []}, '"2"')
    assert run("subject", "change", "ci").code == 2
    assert run("subject", "change", "ci", "--role", "a", "--no-roles").code == 2


def test_subjects_are_listed_and_shown(api: FakeApi, run: Run) -> None:
    api.answers["GET /subjects"] = items(subject("alice"), subject("bob", disabled=True, because="away"))
    assert len(json.loads(run("subject", "list", "--disabled", "--kind", "person").out)["items"]) == 2
    assert (api.asked[-1].query["disabled"], api.asked[-1].query["kind"]) == ("true", "person")
    code, shown = on_terminal(["subject", "list"])
    assert code == 0
    assert re.search(r"bob +person +dev +disabled +1 +store +away", shown)
    api.answers["GET /subjects/alice"] = Canned(subject("alice"))
    assert json.loads(run("subject", "show", "alice").out)["name"] == "alice"
    api.answers["GET /subjects/alcie"] = refusal(404, "not_found", "There is no such subject.")
    assert (
        run("subject", "show", "alcie").err
        == "coatcheck: there is no subject 'alcie'\nfix: did you mean alice?\n"
    )


def test_leaving(api: FakeApi, run: Run) -> None:
    api.answers["GET /subjects/alice"] = Canned(subject("alice"))
    for verb in ("disable", "offboard"):
        api.answers[f"POST /subjects/alice/{verb}"] = Canned(ended("a", "b", browsers=2))
    api.answers["POST /subjects/alice/enable"] = Canned(subject("alice"))
    assert run("subject", "disable", "alice", "--because", "away").code == 0
    assert api.asked[-1].json() == {"because": "away"}
    assert run("subject", "enable", "alice").code == 0
    code, shown = on_terminal(["subject", "offboard", "alice", "--because", "left"])
    assert (code, shown) == (
        0,
        "offboarded alice, with 2 grants, in 12 ms: 2 calls cancelled, 1 stream closed, 0 sessions ended, 2 browsers signed out\ngrants: a, b\n",
    )


def test_a_name_that_nobody_has_is_said_to_be_one(api: FakeApi, run: Run) -> None:
    api.answers["GET /subjects"] = items(subject("alice"))
    api.answers["GET /subjects/alcie"] = refusal(404, "not_found", "There is no such subject.")
    for verb in ("disable", "offboard"):
        api.answers[f"POST /subjects/alcie/{verb}"] = Canned(ended())
        told = run("subject", verb, "alcie", "--because", "left")
        assert (told.code, told.err) == (
            0,
            "coatcheck: nobody was known as alcie until now; it is refused from here on (did you mean alice?)\n",
        )


# --- operators ---------------------------------------------------------------------------------------------

BOB = {"name": "bob", "role": "auditor", "state": "invited", "created_at": None, "expires_at": None, "code_until": "2026-11-22T08:00:00Z", "ended_at": None, "version": 1}  # fmt: skip


def test_operators(api: FakeApi, run: Run) -> None:
    api.answers["POST /operators"] = Canned({"operator": BOB, "code": "cckb_x"}, 201)
    told = json.loads(run("operator", "add", "bob", "--role", "auditor", "--expires", "never").out)
    assert told["login"] == "coatcheck login --url http://127.0.0.1:8080 --code cckb_x"
    assert api.asked[-1].json() == {"name": "bob", "role": "auditor", "expires_at": None}
    code, shown = on_terminal(["operator", "add", "bob", "--role", "auditor"])
    assert (code, shown.splitlines()[0]) == (0, told["login"])
    api.answers["GET /operators"] = items(BOB)
    assert json.loads(run("operator", "list").out)["items"][0]["state"] == "invited"
    api.answers["DELETE /operators/bob"] = Canned({**BOB, "state": "ended"})
    assert run("operator", "end", "bob").code == 0
    api.answers["DELETE /operators/bop"] = refusal(404, "not_found", "There is no such operator.")
    assert "did you mean bob" in run("operator", "end", "bop").err
    api.answers["POST /operators/bob/role"] = Canned({"operator": {**BOB, "role": "admin"}, "code": "cckb_x"})
    assert json.loads(run("operator", "role", "bob", "admin").out)["login"] == told["login"]
    assert api.asked[-1].json() == {"role": "admin"}
    code, shown = on_terminal(["operator", "role", "bob", "admin"])
    assert (code, shown.splitlines()[0]) == (0, told["login"])
    api.answers["POST /operators/bop/role"] = refusal(404, "not_found", "There is no such operator.")
    assert "did you mean bob" in run("operator", "role", "bop", "admin").err
    assert run("operator", "role", "bob", "king").code == 2
    assert run("operator", "add", "bob").code == 2
    assert run("operator", "add", "bob", "--role", "king").code == 2


# --- access ------------------------------------------------------------------------------------------------

ROW = {"subject": "alice", "grant": "a", "state": "live", "server": "github", "tool": "get", "allowed": True, "rule": "/acl/rules/0", "because": "it is allowed"}  # fmt: skip


def test_access(api: FakeApi, run: Run) -> None:
    refused = {**ROW, "tool": "delete", "allowed": False}

    def rows(asked: Asked) -> Canned:
        if "after" in asked.query:
            return Canned({"items": [refused], "failing": [], "next": None})
        failing = [{"server": "down", "error": "it does not answer"}]
        return Canned({"items": [ROW], "failing": failing, "next": "c"})

    api.answers["GET /access"] = rows
    ran = run("access", "--subject", "alice")
    assert [each["tool"] for each in json.loads(ran.out)["items"]] == ["get", "delete"]
    assert "'down' are not known" in ran.err
    told = json.loads(run("access", "--subject", "alice", "--allowed").out)
    assert [each["tool"] for each in told["items"]] == ["get"]
    told = json.loads(run("access", "--subject", "alice", "--server", "github", "--tool", "delete").out)
    assert [each["tool"] for each in told["items"]] == ["delete"]
    assert api.asked[-1].query["server"] == "github"
    run("access", "--server", "github", "--tool", "get")
    assert api.asked[-2].query == {"server": "github", "tool": "get"}
    code, shown = on_terminal(["access", "--subject", "alice"])
    assert code == 0
    assert re.search(r"alice +a +github +delete +denied +/acl/rules/0", shown)


@pytest.mark.parametrize(
    ("words", "items", "failing", "said"),
    [
        ("--subject zoe", [{**ROW, "subject": "zoe", "grant": ""}], [], "zoe has no grant in force"),
        ("--subject alice --allowed", [{**ROW, "allowed": False}], [], "nothing of this may be called"),
        ("--subject alice", [], [], "`coatcheck server list`"),
        ("--subject alice", [], [{"server": "down", "error": "x"}], "nothing is known to judge"),
        ("--server github", [], [], "`coatcheck grant list`"),
    ],
)
def test_access_says_why_there_is_nothing(
    api: FakeApi, words: str, items: list[object], failing: list[object], said: str
) -> None:
    api.answers["GET /access"] = Canned({"items": items, "failing": failing, "next": None})
    code, shown = on_terminal(["access", *words.split()])
    assert code == 0
    assert said in shown


@pytest.mark.parametrize("words", ["", "--tool x", "--subject a --tool x"])
def test_access_needs_someone_or_something(api: FakeApi, run: Run, words: str) -> None:
    assert run("access", *words.split()).code == 2


# --- the record of changes -----------------------------------------------------------------------------------


def test_the_record_of_changes(api: FakeApi, run: Run) -> None:
    api.answers["GET /changes"] = items(CHANGE, {**CHANGE, "position": 2, "before": None})
    ran = run(
        "logs",
        "--admin",
        "--actor",
        "bob",
        "--kind",
        "grant",
        "--object",
        "alice-laptop",
        "--since",
        "2026-11-20",
    )
    assert [json.loads(line)["position"] for line in ran.out.splitlines()] == [1, 2]
    assert api.asked[-1].query == {
        "actor": "bob",
        "kind": "grant",
        "object": "alice-laptop",
        "since": "2026-11-20T00:00:00Z",
        "limit": "100",
    }
    code, shown = on_terminal(["logs", "--admin"])
    assert code == 0
    assert re.search(
        r"bob +10.0.0.1 +grant.revoke +alice-laptop +state: live > +left", " ".join(shown.split())
    ) or ("state: live" in shown)


def test_older_pages_come_before(api: FakeApi, run: Run) -> None:
    def page(asked: Asked) -> Canned:
        if "before" in asked.query:
            return items({**CHANGE, "position": 1})
        return Canned({"items": [{**CHANGE, "position": 2}], "next": "p"})

    api.answers["GET /changes"] = page
    lines = run("logs", "--admin").out.splitlines()
    assert [json.loads(line)["position"] for line in lines] == [1, 2]


def test_following_loses_and_repeats_nothing(api: FakeApi, run: Run) -> None:
    readings = iter([[1, 2], [2, 3]])

    def answer(asked: Asked) -> Canned:
        if "follow" in asked.query:
            return Canned(lines=[{**CHANGE, "position": position} for position in (4, 5)])
        return items(*({**CHANGE, "position": position} for position in next(readings)))

    api.answers["GET /changes"] = answer
    ran = run("logs", "--admin", "-f")
    assert ran.code == 69
    assert [json.loads(line)["position"] for line in ran.out.splitlines()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--admin --server x", "--server belongs to the record of calls"),
        ("--admin --errors", "--errors belongs to"),
        ("--actor x", "--actor needs --admin"),
        ("--kind grant", "--kind needs --admin"),
    ],
)
def test_options_of_the_other_record(api: FakeApi, run: Run, words: str, said: str) -> None:
    ran = run("logs", *words.split())
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, {"a": 1}, ""),
        ({"a": 1}, None, ""),
        ({"a": 1, "b": "x"}, {"a": 2, "b": "x"}, "a: 1 > 2"),
        ({"a": ["x"]}, {"c": "new"}, 'a: ["x"] > -, c: - > new'),
    ],
)
def test_differences(before: object, after: object, told: str) -> None:
    assert difference(before, after) == told
