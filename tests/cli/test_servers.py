"""`coatcheck list` and `coatcheck tools` against a gateway that runs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.fake_api import Canned, FakeApi, items, refusal
from cli.objects import due
from cli.ran import Run
from coatcheck.cli.looking.tools import arguments_of


def server(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "id": "0b6e64ab-6cd4-4a0f-8a4e-7a3f0f7e0f11",
        "transport": "stdio",
        "state": "ready",
        "degraded": False,
        "tools": 2,
        "prompts": 0,
        "resources": 0,
        "last_error": "",
        "in_flight": 0,
        "restarts": 0,
        "pid": 1,
        "stderr": [],
        "source": "file",
        "era": "legacy",
        "version": "1",
        "reach": "uvx",
        "quarantined": [],
        **changes,
    }


def tool(server_name: str, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "server": server_name,
        "name": name,
        "exposed_name": f"{server_name}__{name}",
        "title": "",
        "description": "Does it.",
        "access": "ambiguous",
        "access_reason": "the name has no verb that tells",
        "input_schema": {"type": "object"},
        **changes,
    }


def test_list_gives_the_items_as_they_are(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items(server("time"), server("git", state="failing", last_error="gone"))
    ran = run("list")
    assert ran.code == 0
    assert ran.err == ""
    answer = json.loads(ran.out)
    assert [each["name"] for each in answer["items"]] == ["time", "git"]
    assert answer["items"][1] == server("git", state="failing", last_error="gone")
    assert answer["next"] is None
    assert next(asked for asked in api.asked if asked.path == "/servers").query == {"probe": "true"}


def test_list_tells_of_credentials_that_fail(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items(server("time"))
    api.answers["GET /credentials/plan"] = items(
        due("time-key", "failing"), due("unused-key", "overdue", used_by=[]), due("git-key", "due")
    )
    ran = run("list")
    assert (ran.code, [each["name"] for each in json.loads(ran.out)["items"]]) == (0, ["time"])
    assert ran.err == "coatcheck: the credential time-key is failing; see `coatcheck credential plan`\n"


def test_tools_without_any_says_where_to_look(api: FakeApi, run: Run) -> None:
    api.answers["GET /tools"] = Canned(value={"items": [], "next": None, "failing": []})
    ran = run("tools", "--json")
    assert (ran.code, json.loads(ran.out)["items"]) == (0, [])
    assert "`coatcheck server add` and `coatcheck add` add one" in ran.err


def test_list_without_servers_says_how_to_add_one(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items()
    ran = run("list", "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == {"items": [], "next": None}
    assert "`coatcheck server add` registers one" in ran.err
    assert "`coatcheck add` writes one into servers.json" in ran.err


def test_tools_of_all_and_of_one(api: FakeApi, run: Run) -> None:
    api.answers["GET /tools"] = items(tool("time", "now"), failing=[])
    every = run("tools")
    assert every.code == 0
    assert json.loads(every.out) == {"items": [tool("time", "now")], "next": None, "failing": []}
    assert api.asked[-1].query == {}
    assert run("tools", "time").code == 0
    assert api.asked[-1].query == {"server": "time"}


def test_tools_tells_which_servers_failed_and_goes_on(api: FakeApi, run: Run) -> None:
    failing = [{"server": "git", "error": "did not start\x1b[31m"}]
    api.answers["GET /tools"] = items(tool("time", "now"), failing=failing)
    ran = run("tools")
    assert ran.code == 0
    assert json.loads(ran.out)["failing"] == failing
    assert "'git' does not answer: did not start[31m" in ran.err


def test_tools_when_nothing_could_be_listed(api: FakeApi, run: Run) -> None:
    api.answers["GET /tools"] = items(failing=[{"server": "git", "error": "did not start"}])
    ran = run("tools", "git")
    assert ran.code == 69
    assert json.loads(ran.out)["items"] == []
    assert "'git' does not answer" in ran.err
    assert "fix: " in ran.err


def test_tools_of_an_unknown_server_names_the_near_one(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items(server("time"), server("git"))
    api.answers["GET /tools"] = refusal(404, "unknown_server", "There is no server 'tmie'.")
    ran = run("tools", "tmie")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "coatcheck: there is no server 'tmie'\nfix: did you mean time?\n"


def test_an_empty_server_name_is_a_name_too(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items(server("time"))
    api.answers["GET /tools"] = refusal(404, "unknown_server", "There is no server ''.")
    assert run("tools", "").code == 1


def test_an_answer_of_another_shape_has_no_traceback(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items(server("time"))
    assert run("list").code == 0
    api.answers["GET /servers"] = Canned({"unlike": "anything"})
    ran = run("list")
    assert ran.code == 70
    assert "Traceback" not in ran.err
    assert ran.err.count("\n") == 1
    assert "COATCHECK_DEBUG=1" in ran.err


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"properties": {"a": {}, "b": {}}, "required": ["b"]}, "a b*"),
        ({"properties": {"a\x1b": {}}, "required": "a"}, "a"),
        ({"properties": []}, ""),
        ({"properties": {"a": 1}, "required": [1, {}, "a"]}, "a*"),
        ({}, ""),
        (None, ""),
        (True, ""),
        ([], ""),
    ],
)
def test_arguments_of_any_schema(schema: Any, shown: str) -> None:
    assert arguments_of(schema) == shown
