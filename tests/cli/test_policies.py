"""Commands for policies: files are judged before anything is sent, cases are tried without a gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items, refusal
from cli.ran import Run
from cli.terminal import on_terminal, settled

CAPS = """\
coatcheck: 1
name: caps
default: read-only
description: Charges of up to 5000.
tools:
  create_charge:
    outcome: allow
    message: Ask finance.
    deny_if:
      - {path: /amount, op: gt, value: 5000.10}
    limits:
      - {calls: 3, per: minute, each: grant}
  delete_*: {outcome: deny}
"""
CASES = """\
coatcheck: 1
policy: caps
cases:
  - {name: small, tool: create_charge, arguments: {amount: 5000.1}, expect: allowed}
  - name: large
    tool: create_charge
    arguments: {amount: 5000.11}
    expect: denied
    rule: /tools/create_charge/deny_if/0
  - {name: absent, tool: create_charge, expect: denied}
  - {name: fourth in a minute, tool: create_charge, arguments: {amount: 1}, after: 3, expect: denied,
     rule: /tools/create_charge/limits/0}
  - {name: third, tool: create_charge, arguments: {amount: 1}, after: 2, expect: allowed}
  - {name: deleting, tool: delete_all, expect: denied, rule: /tools/delete_*/outcome}
  - {name: what writes, tool: put_x, access: write, expect: hidden, rule: /default}
  - {name: what reads, tool: get_x, access: read, expect: allowed}
  - {name: a page, resource: "file:///a", expect: allowed}
  - name: at night
    prompt: ask
    caller: {subject: alice, roles: [dev], grant: laptop, client: claude 2, ip: 10.1.2.3}
    at: "2026-11-18T23:00:00+01:00"
    expect: allowed
"""


@pytest.fixture
def caps(tmp_path: Path) -> Path:
    path = tmp_path / "caps.policy.yaml"
    path.write_text(CAPS)
    (tmp_path / "caps.cases.yaml").write_text(CASES)
    return path


def shown(*words: str) -> str:
    code, text = on_terminal(words)
    assert code == 0, text
    return settled(text).replace("\r", "")


# --- test --------------------------------------------------------------------------------------------


def test_cases_that_come_as_they_say(caps: Path, run: Run) -> None:
    plain = run("policy", "test", str(caps))
    assert (plain.code, plain.out.splitlines()[-1]) == (0, "10 cases, 0 failed"), plain
    done = run("policy", "test", "--json", str(caps))
    assert (done.code, done.err) == (0, ""), done
    told = json.loads(done.out)
    assert told["failed"] == 0
    assert [one["passed"] for one in told["items"]] == [True] * 10


def test_a_case_that_comes_otherwise_is_told_with_why(caps: Path, run: Run) -> None:
    cases = caps.with_name("caps.cases.yaml")
    cases.write_text(
        CASES.replace("expect: denied\n    rule: /tools/create_charge/deny_if/0", "expect: allowed")
    )
    assert "expected allowed, and it is denied by" in run("policy", "test", str(caps)).out
    done = run("policy", "test", "--json", str(caps))
    assert done.code == 1
    (failed,) = [one for one in json.loads(done.out)["items"] if not one["passed"]]
    assert (failed["case"], failed["expected"], failed["outcome"]) == ("large", "allowed", "denied")
    assert failed["rule"] == "caps:/tools/create_charge/deny_if/0"
    denying = [step["rule"] for step in failed["steps"] if step["denies"]]
    assert denying == ["caps:/tools/create_charge/deny_if/0"]
    cases.write_text(CASES.replace("deny_if/0", "deny_if/1"))
    assert run("policy", "test", str(caps)).code == 1, "another rule decided"


def test_everything_wrong_with_a_file_is_told_with_its_line(caps: Path, tmp_path: Path, run: Run) -> None:
    caps.write_text(CAPS.replace("default: read-only", "defualt: read-only").replace("op: gt", "op: above"))
    done = run("policy", "test", str(caps))
    assert done.code == 78
    assert f"{caps}:3: /defualt: is no known key" in done.err
    assert f"{caps}:10: /tools/create_charge/deny_if/0/op: is no known word" in done.err
    assert "has 3 problems" in done.err
    caps.write_text(CAPS + "x: yes\n")
    done = run("policy", "test", str(caps))
    assert (done.code, f"{caps}: line 14" in done.err) == (78, True)
    caps.write_text(CAPS)
    beside = tmp_path / "caps.cases.yaml"
    for wrong, said in (
        ("policy: caps", "policy: other"),
        ("expect: allowed", "expect: perhaps"),
        ("tool: put_x", "tool: put_x, prompt: x"),
        ("ip: 10.1.2.3", "ip: here"),
        ('at: "2026-11-18T23:00:00+01:00"', 'at: "2026-11-18T23:00:00"'),
        ("after: 3", "after: -1"),
    ):
        beside.write_text(CASES.replace(wrong, said, 1))
        done = run("policy", "test", str(caps))
        assert (done.code, str(beside) in done.err) == (78, True), said
    beside.unlink()
    done = run("policy", "test", str(caps))
    assert (done.code, "no cases beside" in done.err) == (1, True)


# --- put ---------------------------------------------------------------------------------------------


def a_policy(**changes: Any) -> dict[str, Any]:
    return {
        "name": "caps",
        "version": 3,
        "default": "read-only",
        "description": "Charges.",
        "entries": 2,
        "uses": [a_use()],
        "at": "2026-11-21T08:00:00Z",
        "by": "root",
        "because": "as agreed",
        "ended_at": None,
        **changes,
    }


def a_use(**changes: Any) -> dict[str, Any]:
    use = {"policy": "caps", "kind": "grant", "of": "g1", "shown": "bot", "server": "stripe"}
    told = {"at": "2026-11-21T08:00:00Z", "by": "root", "because": "", "instead_of": ""}
    return {**use, **told, **changes}


WHOLE = (
    b'{"policy": %s, "document": {"coatcheck": 1, "n": 5000.10, "big": 1E+400}}'
    % json.dumps(a_policy()).encode()
)


def test_a_policy_is_put_as_an_edit_of_what_there_is(api: FakeApi, caps: Path, run: Run) -> None:
    api.answers["GET /policies/caps"] = Canned(raw=WHOLE)
    api.answers["PUT /policies/caps"] = Canned({"policy": a_policy(version=4), "document": {}})
    done = run("policy", "put", str(caps), "--because", "less")
    assert (done.code, done.err) == (0, ""), done
    sent = api.asked[-1]
    assert (sent.method, sent.headers["if-match"]) == ("PUT", '"3"')
    assert b"5000.1," in sent.body or b"5000.1}" in sent.body.replace(b"\n", b"").replace(b" ", b"")
    assert sent.json()["because"] == "less"
    api.answers["GET /policies/caps"] = refusal(404, "not_found", "there is none")
    assert run("policy", "put", str(caps)).code == 0
    assert "if-match" not in api.asked[-1].headers
    asked = len(api.asked)
    caps.write_text("coatcheck: 1")
    assert run("policy", "put", str(caps)).code == 78
    assert len(api.asked) == asked, "nothing is sent"


def test_what_the_gateway_finds_wrong_is_told(api: FakeApi, caps: Path, run: Run) -> None:
    api.answers["GET /policies/caps"] = Canned(raw=WHOLE)
    problem = {"where": "/tools", "message": "is new to this gateway", "fix": ""}
    api.answers["PUT /policies/caps"] = Canned(
        {"code": "bad_policy", "detail": "The policy has 1 problem.", "fix": "", "problems": [problem]}, 422
    )
    done = run("policy", "put", str(caps))
    assert (done.code, "/tools: is new to this gateway" in done.err) == (2, True)


# --- looking -----------------------------------------------------------------------------------------


def test_lists_and_versions(api: FakeApi, run: Run) -> None:
    built_in = a_policy(name="read-only", version=0, uses=[], at=None)
    api.answers["GET /policies"] = items(a_policy(), built_in)
    done = run("policy", "list", "--name", "c*", "--ended")
    assert [one["name"] for one in json.loads(done.out)["items"]] == ["caps", "read-only"]
    assert api.asked[-1].query.items() >= {"name": "c*", "ended": "true"}.items()
    out = shown("policy", "list")
    assert "grant bot on" in out
    version = {"name": "caps", "number": 2, "at": "2026-11-21T08:00:00Z", "by": "root", "because": ""}
    api.answers["GET /policies/caps/versions"] = items(version)
    assert json.loads(run("policy", "history", "caps").out)["items"] == [version]


def test_numbers_are_shown_as_they_were_written(api: FakeApi, run: Run) -> None:
    api.answers["GET /policies/caps"] = Canned(raw=WHOLE)
    for out in (run("policy", "show", "caps").out, shown("policy", "show", "caps")):
        assert "5000.10" in out
        assert "1E+400" in out
    old = b'{"version": {"name": "caps", "number": 2, "at": "2026-11-21T08:00:00Z", "by": "x", "because": ""}, "document": {"n": 0.10}}'
    api.answers["GET /policies/caps/version"] = Canned(raw=old)
    out = shown("policy", "show", "caps", "--version", "2")
    assert ("0.10" in out, api.asked[-1].query) == (True, {"number": "2"})
    api.answers["GET /policies/caps/diff"] = Canned(
        raw=b'{"name":"caps","before":1,"after":2,"differences":[{"where":"/a","before":1.10,"after":2},{"where":"/b","after":[]}]}'
    )
    out = shown("policy", "diff", "caps", "1", "2")
    assert out.splitlines() == ["caps: version 1 -> 2", "- /a: 1.10", "+ /a: 2", "+ /b: []"]
    assert api.asked[-1].query == {"before": "1", "after": "2"}


def test_a_name_that_is_not_there_is_answered_with_those_that_are(api: FakeApi, run: Run) -> None:
    api.answers["GET /policies"] = items(a_policy())
    for words in (["show"], ["history"], ["diff"], ["remove"], ["revert"]):
        done = run("policy", *words, "cap", *(["1"] if words == ["revert"] else []))
        assert (done.code, "there is no policy 'cap'" in done.err, "caps" in done.err) == (1, True, True)


# --- using, ending -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--everything"], {"kind": "everything"}),
        (["--role", "dev"], {"kind": "role", "of": "dev"}),
        (["--grant", "bot"], {"kind": "grant", "of": "bot"}),
        (["--grant", "bot", "--server", "stripe"], {"kind": "grant", "of": "bot", "server": "stripe"}),
        (["--server", "stripe"], {"kind": "server", "of": "stripe"}),
    ],
)
def test_a_policy_is_used_and_taken_off(
    api: FakeApi, words: list[str], body: dict[str, str], run: Run
) -> None:
    for verb in ("use", "unuse"):
        api.answers[f"POST /policies/caps/{verb}"] = Canned(a_use())
        assert run("policy", verb, "caps", *words, "--because", "so").code == 0
        assert api.asked[-1].json() == {**body, "because": "so"}


def test_a_use_needs_one_place(api: FakeApi, run: Run) -> None:
    for words in ([], ["--everything", "--role", "x"], ["--role", "x", "--server", "y"]):
        assert run("policy", "use", "caps", *words).code == 2
    assert api.asked == []
    api.answers["POST /policies/caps/use"] = Canned(a_use(instead_of="old"))
    out = shown("policy", "use", "caps", "--grant", "bot")
    assert out.strip() == "caps is used on the grant bot on stripe, instead of old"


def test_reverting_and_removing(api: FakeApi, run: Run) -> None:
    api.answers["POST /policies/caps/revert"] = Canned({"policy": a_policy(version=5), "document": {}})
    assert "version 5" in shown("policy", "revert", "caps", "2")
    assert api.asked[-1].json() == {"number": 2, "because": ""}

    def removed(asked: Asked) -> Canned:
        assert asked.query == {"because": "gone"}
        return Canned(a_policy(ended_at="2026-11-21T09:00:00Z"))

    api.answers["DELETE /policies/caps"] = removed
    assert shown("policy", "remove", "caps", "--because", "gone").strip() == "removed caps"


# --- explaining --------------------------------------------------------------------------------------


def test_what_a_call_would_get_is_told_by_layers(api: FakeApi, run: Run) -> None:
    step = {
        "rule": "caps:/default",
        "says": "read-only",
        "truth": None,
        "because": "it hides it",
        "denies": True,
    }
    layers = [
        {
            "called": "the access rules",
            "outcome": "allowed",
            "rule": "(default)",
            "because": "none",
            "steps": [],
        },
        {
            "called": "the policy caps",
            "outcome": "hidden",
            "rule": "caps:/default",
            "because": "so",
            "steps": [step],
        },
    ]
    item = {
        "subject": "alice",
        "grant": "laptop",
        "access": "write",
        "why": "its name",
        "outcome": "hidden",
        "rule": "caps:/default",
        "because": "no entry allows it",
        "message": "",
        "layers": layers,
    }
    api.answers["POST /access/explain"] = items(item)
    words = ["policy", "explain", "--subject", "alice", "--server", "stripe", "--tool", "create"]
    done = run(*words, "--args", '{"n": 1.10}', "--ip", "10.0.0.1")
    assert json.loads(done.out)["items"] == [item]
    assert b'"arguments": {"n": 1.10}' in api.asked[-1].body
    assert api.asked[-1].json()["address"] == "10.0.0.1"
    out = shown(*words)
    assert "hidden" in out
    assert "x caps:/default read-only: it hides it" in out
    for wrong in ("[1]", "{", '{"a": 1, "a": 2}'):
        assert run(*words, "--args", wrong).code == 2
    for more in (("--prompt", "ask"), ("--at", "noon"), ("--ip", "here")):
        assert run(*words, *more).code == 2
    assert run(*words[:-2]).code == 2, "neither a tool nor a prompt nor a resource"
    run(*words[:-2], "--resource", "file:///a", "--at", "2026-11-18T12:00:00+01:00", "--client", "bot")
    assert api.asked[-1].json() == {
        "subject": "alice",
        "server": "stripe",
        "resource": "file:///a",
        "at": "2026-11-18T11:00:00Z",
        "client": "bot",
    }
    assert run(*words[:2], *words[4:]).code == 2
