"""`coatcheck server`: secrets are read here and now, and told to the gateway alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Canned, FakeApi, items, refusal
from cli.objects import ended, registered, tool
from cli.ran import Run
from cli.terminal import on_terminal

URL = "https://mcp.example.com/mcp"
SECRET = "canary-4471"


@pytest.fixture
def adding(api: FakeApi) -> FakeApi:
    tools = [tool("get_issue"), tool("make_issue", "write", "hidden"), tool("fork", "ambiguous", "hidden")]
    api.answers["POST /servers"] = Canned(
        {
            "server": registered("github"),
            "tools": tools,
            "error": "",
            "credentials": ["github-authorization"],
        },
        201,
    )
    return api


def body(api: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = api.asked[-1].json()
    return found


def test_a_remote_server(adding: FakeApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(SECRET + "\n")
    monkeypatch.setenv("ACCESS", SECRET + "-2")
    ran = run(
        *("server", "add", "github", "--url", URL, "--transport", "http", "--note", "n"),
        *("--header", "Authorization: Bearer @env:ACCESS", "--header", f"X-Api-Key: @{tmp_path / 'key'}"),
        *("--plain-header", "X-Team: a"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert body(adding) == {
        "name": "github",
        "url": URL,
        "transport": "http",
        "headers": {"Authorization": f"Bearer {SECRET}-2", "X-Api-Key": SECRET, "X-Team": "a"},
        "plain": ["X-Team"],
        "note": "n",
    }
    assert SECRET not in ran.out


def test_a_command(adding: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCESS", SECRET)
    monkeypatch.chdir(tmp_path)
    words = ("--env", "TOKEN=@env:ACCESS", "--plain-env", "LEVEL=1", "--", "./run", "--flag", "${x}")
    ran = run("server", "add", "git", *words)
    assert (ran.code, ran.err) == (0, "")
    assert body(adding) == {
        "name": "git",
        "command": str(tmp_path / "run"),
        "args": ["--flag", "${x}"],
        "env": {"TOKEN": SECRET, "LEVEL": "1"},
        "plain": ["LEVEL"],
    }


def test_values_as_they_stand_are_taken_and_warned_of(adding: FakeApi, run: Run) -> None:
    ran = run("server", "add", "github", "--url", URL, "--header", f"Authorization: Bearer ghp_{SECRET}")
    assert ran.code == 0
    assert body(adding)["headers"] == {"Authorization": f"Bearer ghp_{SECRET}"}
    assert "other accounts can read" in ran.err
    ran = run("server", "add", "github", "--url", URL, "--header", "X-Note: ${not} a reference")
    assert (ran.code, ran.err) == (0, "")
    assert body(adding)["headers"] == {"X-Note": "${not} a reference"}


def test_a_value_from_standard_input(adding: FakeApi) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "coatcheck", "server", "add", "x", "--url", URL]
    command += ["--header", "Authorization: Bearer @-"]
    ran = subprocess.run(
        command, input=SECRET + "\n", capture_output=True, text=True, check=False, timeout=20
    )
    assert ran.returncode == 0
    assert body(adding)["headers"] == {"Authorization": f"Bearer {SECRET}"}


@pytest.mark.parametrize(
    "words",
    [
        ["add", "x"],
        ["add", "x", "--url", URL, "--", "y"],
        ["add", "x", "--url", URL, "--env", "A=b"],
        ["add", "x", "--header", "A: b", "--", "y"],
        ["add", "x", "--", URL],
        ["add", "x", "--url", URL, "--header", "A: b", "--plain-header", "a: c"],
        ["add", "x", "--url", URL, "--header", "no colon"],
        ["add", "x", "--url", URL, "--header", "A: @env:NOT_SET_HERE"],
        ["add", "x", "--url", URL, "--header", "A: @/no/such/file"],
        ["add", "x", "--env", "A", "--", "y"],
        ["change", "github"],
    ],
)
def test_usage(adding: FakeApi, run: Run, words: list[str]) -> None:
    adding.answers["GET /servers/github"] = Canned(registered("github"))
    assert run("server", *words).code == 2
    assert {asked.method for asked in adding.asked} <= {"GET"}


def test_what_callers_will_see(adding: FakeApi) -> None:
    code, shown = on_terminal(["server", "add", "github", "--url", URL])
    assert code == 0
    assert "added github\n" in shown
    assert "route: /mcp/github/, and on /mcp as github__TOOL\n" in shown
    assert "default: read-only\nallows 1 tool: get_issue\nhides 1 tool: make_issue\n" in shown
    assert "hides 1 tool that cannot be classified: fork\n" in shown
    assert "to allow all: coatcheck server change github --default allow-all\n" in shown
    assert "readOnlyHint): coatcheck server change github --trusted\n" in shown
    assert "approve" not in shown
    again = "to give it another value: coatcheck credential rotate github-authorization"
    assert f"credential github-authorization; {again}\n" in shown


def test_how_credentials_are_looked_after(adding: FakeApi, run: Run) -> None:
    words = ("--probe", 'whoami {"deep": {"a": [1]}}', "--replace", "restart")
    assert run("server", "add", "github", "--url", URL, *words).code == 0
    assert body(adding)["upkeep"] == {
        "replace": "restart",
        "probe": {"tool": "whoami", "arguments": {"deep": {"a": [1]}}},
    }
    adding.answers["GET /servers/github"] = Canned(registered("github"))
    adding.answers["PATCH /servers/github"] = adding.answers["POST /servers"]
    ran = run("server", "change", "github", "--probe", "whoami")
    assert (ran.code, body(adding)) == (0, {"upkeep": {"probe": {"tool": "whoami", "arguments": {}}}})
    assert run("server", "change", "github", "--no-probe").code == 0
    assert body(adding) == {"upkeep": {"probe": None}}
    asked = len(adding.asked)
    for wrong in ("", '{"a": 1}', "whoami [1]", "whoami {", 'whoami {"a": 1} x'):
        assert run("server", "add", "github", "--url", URL, "--probe", wrong).code == 2
    assert run("server", "change", "github", "--probe", "a", "--no-probe").code == 2
    assert len(adding.asked) == asked


def test_a_credential_that_there_is_is_named(adding: FakeApi, run: Run) -> None:
    named = "Bearer ${credential:shared}"
    ran = run("server", "add", "github", "--url", URL, "--header", f"Authorization: {named}")
    assert (ran.code, ran.err) == (0, "")
    assert body(adding)["headers"] == {"Authorization": named}
    assert body(adding)["plain"] == ["Authorization"]
    ran = run("server", "add", "db", "--", "run", "--dsn", "${credential:dsn}")
    assert (ran.code, body(adding)["args"]) == (0, ["--dsn", "${credential:dsn}"])
    assert "can see the arguments" in ran.err


def test_a_server_that_wants_oauth(adding: FakeApi, run: Run) -> None:
    assert run("server", "add", "github", "--url", URL, "--oauth", "--oauth-scope", "repo").code == 0
    assert body(adding)["oauth"] == {"scopes": ["repo"]}
    code, shown = on_terminal(["server", "add", "github", "--url", URL, "--oauth"])
    assert code == 0
    assert (
        "credential github-authorization; next: coatcheck credential connect github-authorization\n" in shown
    )
    assert run("server", "add", "github", "--url", URL, "--oauth-scope", "repo").code == 2
    assert run("server", "add", "github", "--oauth", "--", "run").code == 2


def test_a_server_that_could_not_be_asked_is_added_all_the_same(api: FakeApi) -> None:
    failed: dict[str, Any] = {
        "server": registered("github"),
        "tools": None,
        "error": "it answered 401 to the credential",
        "credentials": [],
    }
    api.answers["POST /servers"] = Canned(failed, 201)
    code, shown = on_terminal(["server", "add", "github", "--url", URL])
    assert code == 0
    assert "added github\n" in shown
    assert "could not ask it for its tools: it answered 401" in shown
    assert "coatcheck server show github --tools\n" in shown
    assert "default: read-only\n" in shown


def test_what_a_server_allows_of_itself_is_said(adding: FakeApi, run: Run) -> None:
    words = ("--default", "deny-all", "--trusted", "--approve", "get_*", "--approve", "list_*")
    assert run("server", "add", "github", "--url", URL, *words).code == 0
    said = {"default": "deny-all", "approved": ["get_*", "list_*"], "trusted": True}
    assert {name: value for name, value in body(adding).items() if name in said} == said
    assert run("server", "add", "github", "--url", URL).code == 0
    assert not body(adding).keys() & said.keys()
    assert run("server", "add", "github", "--url", URL, "--default", "read").code == 2

    adding.answers["GET /servers/github"] = Canned(registered("github"))
    adding.answers["PATCH /servers/github"] = adding.answers["POST /servers"]
    patches: dict[str, dict[str, Any]] = {
        "--default allow-all": {"default": "allow-all"},
        "--approve get_*": {"approved": ["get_*"]},
        "--approve-all --no-trusted": {"approved": None, "trusted": False},
        "--trusted": {"trusted": True},
    }
    for said_so, patch in patches.items():
        assert run("server", "change", "github", *said_so.split()).code == 0
        assert body(adding) == patch
    assert run("server", "change", "github", "--approve", "x", "--approve-all").code == 2


@pytest.mark.parametrize(
    ("changes", "tools", "lines", "absent"),
    [
        ({}, [tool(f"get_{n:02}") for n in range(23)], ["allows 23 tools: get_00, get_01, ", "get_19, and 3 more\n"], "to allow"),
        ({}, [tool("a", "write", "hidden")], ["default: read-only\nhides 1 tool: a\n", "to allow some: "], "approve"),
        ({"approved": ["get_*"], "trusted": True}, [tool("b", "read", "hidden", default_rule="(approved)")], ["default: read-only, narrowed\n", "github --approve GLOB"], "to allow"),
        ({"default": "allow-all"}, [tool("c", "ambiguous", default_rule="(no policy)")], ["default: allow-all\nallows 1 tool that cannot be classified: c\n"], "to allow"),
        ({}, [tool("d", "write", "denied", default_rule="caps:/tools/d/outcome"), tool("e", "write", "hidden", default_rule="caps:/default")], ["used on it: the policy caps (default: read-only)\n", "denies 1 tool: d\n"], "to allow"),
        ({}, [], ["it offers no tools\n"], "to allow"),
    ],
)  # fmt: skip
def test_the_tools_of_a_server_as_its_default_has_them(
    api: FakeApi, run: Run, changes: dict[str, Any], tools: list[Any], lines: list[str], absent: str
) -> None:
    api.answers["GET /servers/github"] = Canned(registered("github", **changes))
    api.answers["GET /tools"] = Canned({"items": tools, "failing": [], "next": None})
    code, shown = on_terminal(["server", "show", "github", "--tools"])
    assert code == 0
    assert [line for line in lines if line not in shown] == [], shown
    assert absent not in shown
    assert json.loads(run("server", "show", "github", "--tools").out)["listed"] == tools
    assert "listed" not in json.loads(run("server", "show", "github").out)


def test_a_server_that_does_not_tell_its_tools(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers/github"] = Canned(registered("github"))
    failing = [{"server": "github", "error": "it is down"}]
    api.answers["GET /tools"] = Canned({"items": [], "failing": failing, "next": None})
    code, shown = on_terminal(["server", "show", "github", "--tools"])
    assert (code, "it does not tell its tools: it is down" in shown) == (0, True)
    told = json.loads(run("server", "show", "github", "--tools").out)
    assert (told["listed"], told["failing"]) == (None, "it is down")
    asked = len([one for one in api.asked if one.path == "/tools"])
    api.answers["GET /servers/github"] = Canned(registered("github", state="disabled"))
    assert json.loads(run("server", "show", "github", "--tools").out)["failing"] == "it is disabled"
    assert len([one for one in api.asked if one.path == "/tools"]) == asked


def test_change(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers/github"] = Canned(registered("github"))
    changed = {"server": registered("github"), "tools": [], "error": "", "credentials": []}
    api.answers["PATCH /servers/github"] = Canned(changed)
    words = ("--header", "Authorization: Bearer x", "--no-header", "X-Old", "--plain-header", "X-New: 1")
    assert run("server", "change", "github", *words).code == 0
    assert body(api) == {
        "headers": {"Authorization": "Bearer x", "X-New": "1", "X-Old": None},
        "plain": ["X-New", "X-Team"],
    }
    assert api.asked[-1].headers["if-match"] == '"4"'
    assert run("server", "change", "github", "--note", "n", "--url", URL).code == 0
    assert body(api) == {"url": URL, "note": "n"}
    assert run("server", "change", "github", "--header", "X-Team: hidden now").code == 0
    assert body(api) == {"headers": {"X-Team": "hidden now"}, "plain": []}
    assert run("server", "change", "github", "--", "run", "me").code == 0
    assert body(api) == {"command": "run", "args": ["me"]}


def test_list_and_show(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items(
        registered("github"), registered("time", source="file", state="disabled")
    )
    assert [each["name"] for each in json.loads(run("server", "list").out)["items"]] == ["github", "time"]
    code, shown = on_terminal(["server", "list"])
    assert code == 0
    assert re.search(r"time +file +auto +disabled", shown)
    api.answers["GET /servers/github"] = Canned(registered("github"))
    code, shown = on_terminal(["server", "show", "github"])
    assert code == 0
    assert re.search(r"secret +Authorization\n", shown)
    assert re.search(r"shown +X-Team=a\n", shown)


def test_endings(api: FakeApi, run: Run) -> None:
    api.answers["POST /servers/github/disable"] = Canned(ended())
    api.answers["DELETE /servers/github"] = Canned(ended())
    api.answers["POST /servers/github/enable"] = Canned(registered("github"))
    assert run("server", "disable", "github", "--because", "leak").code == 0
    assert body(api) == {"because": "leak"}
    assert run("server", "enable", "github").code == 0
    assert run("server", "remove", "github", "--because", "moved on").code == 0
    assert api.asked[-1].query == {"because": "moved on"}
    api.answers["DELETE /servers/gihub"] = refusal(404, "not_found", "There is no such server.")
    api.answers["GET /servers"] = items(registered("github"))
    assert "did you mean github" in run("server", "remove", "gihub").err


def test_without_a_gateway(data: object, run: Run) -> None:
    for words in (
        f"add x --url {URL}",
        "list",
        "show x",
        "change x --note n",
        "disable x",
        "enable x",
        "remove x",
    ):
        ran = run("server", *words.split())
        assert (ran.code, ran.out) == (69, ""), words
        assert "`coatcheck up`" in ran.err
