"""Credentials in `servers.json` and in servers that operators register: named, set apart, refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core import filling
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError, sentence
from coatcheck.declared.registering import parted_of
from coatcheck.declared.servers_json import load
from coatcheck.errors import Unfit
from coatcheck.model.credential import Custody, Probe, Replace, Upkeep
from coatcheck.model.declaration import DeclaredServer, Problem
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach
from coatcheck.operations.registry.patches import NewServer
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

SOURCES = Sources(
    EnvSource({"TOKEN": "canary-token", "SLY": "${credential:other}", "credential": "a variable"}),
    FileSource(),
)


def read(keys: dict[str, Any], path: Path | None = None) -> Any:
    return load(json.dumps({"mcpServers": {"s": keys}}, indent=1), path, SOURCES)


def server_of(**keys: Any) -> DeclaredServer:
    declared: DeclaredServer = read(keys).servers[0]
    return declared


def the_problem(**keys: Any) -> Problem:
    with pytest.raises(DeclarationError) as caught:
        read(keys)
    (problem,) = caught.value.problems
    return problem


def written(server: DeclaredServer) -> dict[str, str]:
    return {place: filling.written(blank) for place, blank in server.blanks.items()}


# --- names in the file ---------------------------------------------------------------------------------------


def test_a_header_a_variable_an_argument_and_a_url_can_name_credentials() -> None:
    remote = server_of(
        url="HTTPS://H.Example/${credential:path}/x?key=${credential:query}",
        headers={"Authorization": "Bearer ${credential:github}", "X-B": "${TOKEN}"},
    )
    assert written(remote) == {
        "url": "https://h.example/${credential:path}/x?key=${credential:query}",
        "headers/Authorization": "Bearer ${credential:github}",
    }
    assert isinstance(remote.reach, HttpReach)
    assert remote.reach.url.reveal() == "https://h.example/-/x?key=-"
    assert remote.reach.shown_url == "HTTPS://H.Example/${credential:path}/x"
    assert remote.reach.headers["Authorization"].reveal() == "-"
    child = server_of(
        command="x", args=["-k", "--key=${credential:a}"], env={"PASS": "${credential:a}:${credential:b}"}
    )
    assert written(child) == {
        "args/1": "--key=${credential:a}",
        "env/PASS": "${credential:a}:${credential:b}",
    }
    assert isinstance(child.reach, StdioReach)
    assert [arg.reveal() for arg in child.reach.args] == ["-k", "-"]


def test_each_blank_knows_its_line() -> None:
    server = server_of(command="x", env={"A": "${credential:a}", "B": "b"})
    assert server.lines == {"env/A": 6}
    assert server == server_of(env={"B": "b", "A": "${credential:a}"}, command="x")


def test_what_a_variable_or_file_holds_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "sly").write_text("${credential:other}")
    server = server_of(
        command="x", env={"A": "${SLY}", "B": f"${{file:{tmp_path}/sly}}", "C": "${SLY}${credential:mine}"}
    )
    assert [blank.names for blank in server.blanks.values()] == [("mine",)]
    assert [text.reveal() for text in server.blanks["env/C"].texts] == ["${credential:other}", ""]
    assert server.custody == {"env/A": Custody.ENV, "env/B": Custody.FILE}


def test_escapes_and_variables_of_that_name() -> None:
    server = server_of(command="x", args=["$${credential:a}", "${credential:-d}", "${NONE:-x}"])
    assert not server.blanks
    assert isinstance(server.reach, StdioReach)
    assert [arg.reveal() for arg in server.reach.args] == ["${credential:a}", "a variable", "x"]


def test_arguments_and_urls_are_seen_by_others() -> None:
    assert [one.where for one in read({"command": "x", "args": ["a", "${credential:a}"]}).notices] == [
        "/mcpServers/s/args/1"
    ]
    assert [one.where for one in read({"url": "https://h/${credential:a}"}).notices] == ["/mcpServers/s/url"]
    assert read({"url": "https://h/", "headers": {"A": "${credential:a}"}}).notices == ()


@pytest.mark.parametrize(
    ("keys", "where", "word"),
    [
        ({"command": "x", "env": {"A": "${credential:}"}}, "/env/A", "without the name"),
        ({"command": "x", "env": {"A": "${credential:Big}"}}, "/env/A", "without the name"),
        ({"command": "${credential:a}"}, "/command", "no credential"),
        ({"command": "x", "cwd": "/${credential:a}"}, "/cwd", "no credential"),
        ({"url": "https://${credential:a}/x"}, "/url", "host"),
        ({"url": "https://a${credential:a}b.example/x"}, "/url", "leads"),
        ({"url": "${credential:a}"}, "/url", "not a URL"),
        ({"url": "https://h", "headers": {"A": "${credential:a} "}}, "/headers/A", "ends with a space"),
        ({"url": "https://h", "headers": {"A": "ü${credential:a}"}}, "/headers/A", "ASCII"),
    ],
)
def test_where_no_credential_can_be(keys: Any, where: str, word: str) -> None:
    problem = the_problem(**keys)
    assert problem.where == f"/mcpServers/s{where}"
    assert word in sentence(problem)


def test_tokens_of_callers_are_no_credentials() -> None:
    text = {"serverAuth": {"providers": ["bearer"], "bearer": {"tokens": {"${credential:a}": "alice"}}}}
    with pytest.raises(DeclarationError, match="no credential"):
        load(json.dumps(text), None, SOURCES)


# --- secrets of the file's own ---------------------------------------------------------------------------------


def test_whence_secrets_come(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("from a file")
    both = f"${{TOKEN}}${{file:{tmp_path}/t}}${{TOKEN}}"
    assert server_of(
        url="https://h/${TOKEN}",
        headers={
            "Authorization": "Bearer literal",
            "User-Agent": "x",
            "A": "${TOKEN}",
            "B": both,
            "Accept": "*",
        },
    ).custody == {
        "url": Custody.ENV,
        "headers/Authorization": Custody.LITERAL,
        "headers/A": Custody.ENV,
        "headers/B": Custody.FILE,
    }
    assert server_of(
        command="x",
        args=["plain", "${TOKEN}"],
        env={"API_KEY": "k", "MODE": "fast", "DB_PASSWORD": "p", "HOST": "${TOKEN}", "TZ": "$${x}"},
    ).custody == {
        "args/1": Custody.ENV,
        "env/API_KEY": Custody.LITERAL,
        "env/DB_PASSWORD": Custody.LITERAL,
        "env/HOST": Custody.ENV,
    }


# --- upkeep ----------------------------------------------------------------------------------------------------


def test_upkeep() -> None:
    assert server_of(command="x").upkeep == Upkeep()
    keys = {"replace": "restart", "probe": {"tool": "whoami", "arguments": {"n": 1, "t": "${TOKEN}"}}}
    assert server_of(command="x", **keys).upkeep == Upkeep(
        Replace.RESTART, Probe("whoami", '{"n":1,"t":"${TOKEN}"}')
    )
    assert server_of(url="https://h", probe={"tool": "t"}).upkeep.probe == Probe("t")
    assert server_of(command="x", **keys) != server_of(command="x")


@pytest.mark.parametrize(
    ("keys", "where", "word"),
    [
        ({"replace": "both"}, "/replace", "not known"),
        ({"replace": True}, "/replace", "a string"),
        ({"probe": "whoami"}, "/probe", "an object"),
        ({"probe": {}}, "/probe", "no tool"),
        ({"probe": {"tool": ""}}, "/probe/tool", "1 to 128"),
        ({"probe": {"tool": "t", "arguments": []}}, "/probe/arguments", "an object"),
        ({"probe": {"tool": "t", "arguments": {"x": "y" * 20_000}}}, "/probe/arguments", "16 KiB"),
        ({"probe": {"tool": "t", "args": {}}}, "/probe/args", "unknown key"),
    ],
)
def test_no_upkeep(keys: Any, where: str, word: str) -> None:
    problem = the_problem(command="x", **keys)
    assert problem.where == f"/mcpServers/s{where}"
    assert word in problem.message


# --- servers that operators register ----------------------------------------------------------------------------


def test_secrets_are_set_apart_and_plain_values_may_name_credentials() -> None:
    parted = parted_of(
        NewServer(
            "s",
            Secret("HTTPS://H/${credential:p}?k=${credential:q}"),
            headers={
                "Authorization": Secret("Bearer canary"),
                "X-Team": Secret("blue"),
                "X-Key": Secret("k ${credential:key}"),
                "X-Odd": Secret("$${credential:key}"),
            },
            plain=frozenset({"X-Team", "X-Key", "X-Odd"}),
        )
    )
    assert isinstance(parted.reach, HttpReach)
    assert (parted.reach.url.reveal(), parted.reach.shown_url) == (
        "https://h/-?k=-",
        "https://h/${credential:p}",
    )
    assert {name: value.reveal() for name, value in parted.reach.headers.items()} == {
        "Authorization": "-",
        "X-Team": "blue",
        "X-Key": "-",
        "X-Odd": "${credential:key}",
    }
    assert {place: filling.written(one) for place, one in parted.blanks.items()} == {
        "url": "https://h/${credential:p}?k=${credential:q}",
        "headers/X-Key": "k ${credential:key}",
    }
    assert {place: one.reveal() for place, one in parted.secrets.items()} == {
        "headers/Authorization": "Bearer canary"
    }


def test_a_command_is_parted_too() -> None:
    parted = parted_of(
        NewServer(
            "s", command="x", args=(Secret("a"), Secret("${credential:b}")), env={"K": Secret("canary")}
        )
    )
    assert isinstance(parted.reach, StdioReach)
    assert [arg.reveal() for arg in parted.reach.args] == ["a", "-"]
    assert (list(parted.blanks), list(parted.secrets)) == (["args/1"], ["env/K"])


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"headers": {"A": Secret("Bearer ${credential:a}")}}, "names a credential"),
        ({"headers": {"A": Secret("${credential:A}")}, "plain": frozenset({"A"})}, "name of a credential"),
        ({"headers": {"A": Secret("${credential:a} ")}, "plain": frozenset({"A"})}, "space"),
        ({"url": Secret("https://a${credential:a}b.example/")}, "leads"),
        ({"url": Secret("https://h/${credential:}")}, "name of a credential"),
        ({"upkeep": Upkeep(probe=Probe(""))}, "tool"),
        ({"upkeep": Upkeep(probe=Probe("t", "[]"))}, "object"),
        ({"upkeep": Upkeep(probe=Probe("t", '{"a":1,"a":2}'))}, "probe"),
        ({"upkeep": Upkeep(probe=Probe("t", "x" * 20_000))}, "probe"),
    ],
)
def test_what_cannot_be_registered(fields: Any, word: str) -> None:
    good: dict[str, Any] = {"url": Secret("https://h/"), "upkeep": Upkeep(probe=Probe("t", '{"a":1}'))}
    parted_of(NewServer("s", **good))
    with pytest.raises(Unfit, match=word):
        parted_of(NewServer("s", **{**good, **fields}))
