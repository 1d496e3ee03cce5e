"""Servers added to `servers.json` and taken out: what is refused, what stays, and who reads the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.declared.edit import BadEntry, NameTaken, NameUnknown, add_server, remove_server
from coatcheck.declared.editing.draft import NotWritten
from coatcheck.declared.reading.expand import Expander, Sources, escaped
from coatcheck.declared.reading.problems import DeclarationError, Findings
from coatcheck.declared.servers_json import load
from coatcheck.model.declaration import Declaration
from coatcheck.model.server import HttpReach, StdioReach
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

SOURCES = Sources(EnvSource({"SET": "value-of-set"}), FileSource())
ENTRY = {"url": "https://x.example/mcp"}
FILE = """// ours
{
  "mcpServers": {
    "time": {"command": "uvx", "idle_timeout": "never"}, // the clock
    "Git": {
      "command": "uvx",
      /* where */ "args": ["mcp-server-git"],
      "tool_acl": {"write": ["git_*"]}
    }
  },
  "serverAuth": {"providers": ["none"]}
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "servers.json"
    path.write_bytes(FILE.encode())
    return path


def names(declaration: Declaration) -> list[str]:
    return [server.name for server in declaration.servers]


def test_added_and_removed_again(file: Path) -> None:
    edited = add_server(file, "web", ENTRY, SOURCES)
    assert (edited.file, edited.kept, edited.notices, edited.absences) == (file, None, (), ())
    assert names(edited.declaration) == ["time", "Git", "web"]
    assert load(file.read_bytes(), file, SOURCES) == edited.declaration
    assert file.read_text().startswith(FILE.partition('"Git"')[0])
    assert file.read_text() != FILE
    assert names(remove_server(file, "web", SOURCES).declaration) == ["time", "Git"]
    assert file.read_text() == FILE


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    path = tmp_path / "data" / "servers.json"
    edited = add_server(path, "web", ENTRY, SOURCES)
    assert names(edited.declaration) == ["web"]
    assert path.read_text() == (
        '{\n  "mcpServers": {\n    "web": {\n      "url": "https://x.example/mcp"\n    }\n  }\n}\n'
    )
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    remove_server(path, "web", SOURCES)
    assert path.read_text() == '{\n  "mcpServers": {}\n}\n'


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("{}", "mcpServers"),
        ('{"serverAuth": {"providers": ["none"]}}', "mcpServers"),
        ('{"servers": {}, "inputs": []}', "servers"),
        ('{"servers": {"a": {"command": "x"}}}', "servers"),
        ('{"mcpServers": {}}', "mcpServers"),
        ('\n/* a */ {\t"mcpServers" : { "a" : { "command" : "x" } } } // b', "mcpServers"),
    ],
)
def test_servers_are_added_where_they_are(tmp_path: Path, text: str, group: str) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    before = json.loads(text) if "/*" not in text else {"mcpServers": {"a": {"command": "x"}}}
    edited = add_server(path, "web", ENTRY, SOURCES)
    assert "web" in names(edited.declaration)
    added = load(path.read_bytes(), path, SOURCES)
    assert names(added) == [*before.get(group, {}), "web"]
    assert f'"{group}"' in path.read_text()
    remove_server(path, "web", SOURCES)
    if group in before:
        assert path.read_text() == text


def test_an_edit_goes_to_the_file_behind_a_link_and_references_start_from_the_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "f").write_text("{}")
    (tmp_path / "token").write_text("material")
    (tmp_path / "f").symlink_to("real/f")
    entry = {"url": "https://x.example/mcp", "headers": {"X-Key": "${file:token}"}}
    edited = add_server(tmp_path / "f", "web", entry, SOURCES)
    assert edited.file == tmp_path / "real" / "f"
    assert (tmp_path / "f").is_symlink()
    assert names(load((tmp_path / "f").read_bytes(), tmp_path / "f", SOURCES)) == ["web"]


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "x__y", "x_", "sse", "MESSAGE", "a" * 41, "ä", "a/b", "0" * 32])
def test_a_name_that_is_none_is_refused(file: Path, name: str) -> None:
    add_server(file, "a" * 40, ENTRY, SOURCES)
    before = file.read_bytes()
    with pytest.raises(BadEntry):
        add_server(file, name, ENTRY, SOURCES)
    assert file.read_bytes() == before


def test_a_taken_name_is_refused_whatever_its_case(file: Path) -> None:
    with pytest.raises(NameTaken, match=r"'time' already \(.*servers.json line 4\)") as caught:
        add_server(file, "time", ENTRY, SOURCES)
    assert "--replace" in caught.value.fix
    for replace in (False, True):
        with pytest.raises(NameTaken, match="'Git' already") as caught:
            add_server(file, "gIT", ENTRY, SOURCES, replace=replace)
        assert "write Git" in caught.value.fix
    assert file.read_text() == FILE


def test_an_unknown_name_is_told_with_those_that_there_are(file: Path, tmp_path: Path) -> None:
    with pytest.raises(NameUnknown) as caught:
        remove_server(file, "git", SOURCES)
    assert caught.value.names == ("time", "Git")
    with pytest.raises(NameUnknown) as caught:
        remove_server(tmp_path / "absent" / "f", "git", SOURCES)
    assert caught.value.names == ()
    assert not (tmp_path / "absent").exists()
    assert file.read_text() == FILE


# --- replacing ------------------------------------------------------------------------------------------------


def test_what_is_replaced_is_how_the_server_is_reached(file: Path) -> None:
    entry = {"url": "https://x.example/mcp", "headers": {"A": "b"}}
    edited = add_server(file, "Git", entry, SOURCES, replace=True)
    assert edited.kept == ("tool_acl",)
    git = edited.declaration.servers[1]
    assert isinstance(git.reach, HttpReach)
    assert git.marks.write == ("git_*",)
    assert file.read_text() == FILE.replace(
        """      "command": "uvx",
      /* where */ "args": ["mcp-server-git"],
      "tool_acl": {"write": ["git_*"]}
""",
        """      /* where */
      "tool_acl": {"write": ["git_*"]},
      "url": "https://x.example/mcp",
      "headers": {
        "A": "b"
      }
""",
    )


def test_headers_and_variables_of_the_old_way_do_not_go_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    old = {"type": "sse", "url": "https://old.example", "headers": {"A": "old"}, "disabled": False}
    path.write_text(json.dumps({"mcpServers": {"a": old}}))
    add_server(path, "a", ENTRY, SOURCES, replace=True)
    assert json.loads(path.read_text()) == {"mcpServers": {"a": {**ENTRY, "disabled": False}}}
    edited = add_server(path, "a", {"command": "x", "env": {"K": "v"}}, SOURCES, replace=True)
    assert json.loads(path.read_text())["mcpServers"]["a"] == {
        "disabled": False,
        "command": "x",
        "env": {"K": "v"},
    }
    assert isinstance(edited.declaration.servers[0].reach, StdioReach)


def test_to_replace_a_server_that_is_not_there_is_to_add_it(file: Path) -> None:
    edited = add_server(file, "web", ENTRY, SOURCES, replace=True)
    assert edited.kept is None
    again = add_server(file, "web", ENTRY, SOURCES, replace=True)
    assert again.kept == ()


# --- what would not load ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"url": "ftp://x.example"}, "url: the URL must start with"),
        ({"url": "https://u:canary-1@x.example"}, "url: the URL has user information"),
        ({"url": "https://x.example", "headers": {"Host": "canary-1"}}, "headers: the header Host"),
        ({"url": "https://x.example", "headers": {"A": "canary-1\n"}}, "headers/A: the header value"),
        ({"url": "https://x.example", "headers": {"A": "${canary-1"}}, "headers/A: there is a"),
        ({"url": "https://x.example", "headers": {"A": "${file:/not/there}"}}, "/not/there does not exist"),
        ({"command": ""}, "command: the command is empty"),
        ({"command": "x", "env": {"A B": "canary-1"}}, "env: there is a variable name"),
        ({"command": "x", "url": "https://x.example"}, "both command and url"),
        ({"command": "x", "nonsense": 1}, "unknown key 'nonsense'"),
        ({}, "neither command nor url"),
    ],
)
def test_a_server_that_would_not_load_is_refused(file: Path, entry: Any, word: str) -> None:
    with pytest.raises(BadEntry) as caught:
        add_server(file, "web", entry, SOURCES)
    assert word in caught.value.message
    assert "canary-1" not in f"{caught.value.message} {caught.value.fix}"
    assert file.read_text() == FILE
    assert [path.name for path in file.parent.iterdir()] == ["servers.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "// nothing\n",
        "{",
        "[]",
        "7",
        '{"mcpServers": {"a": {"command": "x"},}}',
        '{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}',
        '{"mcpServers": {"a": {"command": "x"}, "A": {"command": "y"}}}',
        '{"mcpServers": {}, "mcpServers": {}}',
        '{"mcpServers": {}, "servers": {}}',
        '{"mcpServers": null}',
        '{"mcpServers": []}',
        '{"mcpServers": {"a": 7}}',
        '{"mcpServers": {}, "nonsense": 1}',
        '{"mcpServers": {"a": {"command": "${file:not-there}"}}}',
        '\ufeff{"mcpServers": {}}',
        '{"mcpServers": {"\udcff": {}}}',
    ],
)
def test_a_file_that_does_not_load_is_not_touched(tmp_path: Path, text: str) -> None:
    path = tmp_path / "f"
    raw = text.encode("utf-8", "surrogateescape")
    path.write_bytes(raw)
    before = path.stat()
    with pytest.raises(DeclarationError) as caught:
        add_server(path, "web", ENTRY, SOURCES)
    assert caught.value.problems
    with pytest.raises(DeclarationError):
        remove_server(path, "a", SOURCES)
    assert (path.read_bytes(), path.stat()) == (raw, before)


def test_a_file_may_not_outgrow_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"{}" + b" " * (4 * 1024 * 1024 - 2))
    load(path.read_bytes(), path, SOURCES)
    with pytest.raises((DeclarationError, NotWritten), match="larger than"):
        add_server(path, "web", ENTRY, SOURCES)
    assert path.stat().st_size == 4 * 1024 * 1024


def test_variables_are_for_the_gateway_to_have(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('{"mcpServers": {"a": {"command": "x", "env": {"A": "${ELSEWHERE}"}}}}')
    with pytest.raises(DeclarationError, match="ELSEWHERE is not set"):
        load(path.read_bytes(), path, SOURCES)
    entry = {"url": "https://x.example", "headers": {"A": "${SET}", "B": "${OTHER}"}}
    edited = add_server(path, "web", entry, SOURCES)
    assert [each.message for each in edited.absences] == [
        "the variable ELSEWHERE is not set",
        "the variable OTHER is not set",
    ]
    assert [each.message for each in remove_server(path, "web", SOURCES).absences] == [
        "the variable ELSEWHERE is not set"
    ]
    path.write_text('{"mcpServers": {"a": {"command": "${ELSEWHERE}", "nonsense": 1}}}')
    with pytest.raises(DeclarationError) as caught:
        add_server(path, "web", ENTRY, SOURCES)
    assert [each.where for each in caught.value.problems] == ["/mcpServers/a/nonsense"]


def test_notices_are_those_of_the_server(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('{"mcpServers": {"a": {"command": "x", "autoApprove": []}}}')
    edited = add_server(path, "web", {"url": "http://x.example", "headers": {"A": "b"}}, SOURCES)
    assert [each.message for each in edited.notices] == ["headers go to this server unencrypted"]
    for host, told in (("127.example", 1), ("127.0.0.1.example", 1), ("127.0.0.9", 0), ("localhost", 0)):
        entry = {"url": f"http://{host}", "headers": {"A": "b"}}
        assert len(add_server(path, "other", entry, SOURCES, replace=True).notices) == told, host


# --- literals ---------------------------------------------------------------------------------------------------


@given(st.text(st.sampled_from("${}:-fileSETenv/ a")) | st.text())
def test_what_is_escaped_is_read_as_itself(text: str) -> None:
    findings = Findings({})
    assert Expander(SOURCES, None, findings).expand(escaped(text), "/x") == text
    assert findings.problems == ()
