"""The declaration as it is now: read again after every edit, right through bad ones and races."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from coatcheck.declared.live import LiveDeclaration
from coatcheck.declared.locate import Found, locate
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError
from coatcheck.declared.servers_json import load
from coatcheck.model.declaration import Declaration
from coatcheck.model.server import StdioReach
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

SOURCES = Sources(EnvSource({}), FileSource())


def written(folder: Path, name: str, **keys: Any) -> Any:
    (folder / "servers.json").write_text(json.dumps({"mcpServers": {name: {"command": "x", **keys}}}))


def live(folder: Path, **options: Any) -> Any:
    return LiveDeclaration(Found(folder / "servers.json"), SOURCES, **options)


def cwd_of(it: LiveDeclaration) -> str | None:
    reach = it.read().servers[0].reach
    assert isinstance(reach, StdioReach)
    return reach.cwd


def names(declaration: Any) -> Any:
    return [server.name for server in declaration.servers]


def test_an_edit_is_live_on_the_next_call(tmp_path: Path) -> None:
    written(tmp_path, "one")
    it = live(tmp_path)
    assert names(it.read()) == ["one"]
    assert not it.changed()
    written(tmp_path, "two")
    assert it.changed()
    assert names(it.read()) == ["two"]
    assert not it.changed()


def test_a_bad_edit_is_told_once_and_mended_later(tmp_path: Path) -> None:
    written(tmp_path, "one")
    it = live(tmp_path)
    it.read()
    for bad in ("", "{", '{"mcpServers": 7}', '{"mcpServers": {"s": {"command": "${NOPE}"}}}'):
        (tmp_path / "servers.json").write_text(bad)
        assert it.changed()
        with pytest.raises(DeclarationError):
            it.read()
        assert not it.changed()
    written(tmp_path, "two")
    assert it.changed()
    assert names(it.read()) == ["two"]


def test_a_file_that_is_gone_is_bad_and_not_empty(tmp_path: Path) -> None:
    written(tmp_path, "one")
    it = LiveDeclaration(locate(None, {}, tmp_path), SOURCES)
    assert names(it.read()) == ["one"]
    (tmp_path / "servers.json").rename(tmp_path / "servers.json~")
    assert it.changed()
    with pytest.raises(DeclarationError, match="cannot be read"):
        it.read()
    (tmp_path / "servers.json~").rename(tmp_path / "servers.json")
    assert it.changed()
    assert names(it.read()) == ["one"]


def test_no_file_declares_nothing_until_one_appears(tmp_path: Path) -> None:
    it = LiveDeclaration(locate(None, {"HOME": str(tmp_path / "home")}, tmp_path / "data"), SOURCES)
    assert it.read() == Declaration(files=it.read().files)
    assert it.path is None
    assert not it.changed()
    (tmp_path / "data").mkdir()
    written(tmp_path / "data", "one")
    assert it.changed()
    assert names(it.read()) == ["one"]
    assert it.path == tmp_path / "data" / "servers.json"


def test_a_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="No such file"):
        live(tmp_path).read()
    written(tmp_path, "one")
    assert names(live(tmp_path).read()) == ["one"]


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "servers.json")
    with pytest.raises(DeclarationError, match="not a regular file"):
        live(tmp_path).read()
    (tmp_path / "servers.json").unlink()
    (tmp_path / "servers.json").symlink_to("/etc")
    with pytest.raises(DeclarationError, match="not a regular file"):
        live(tmp_path).read()


def test_a_text_of_the_environment_is_read_and_its_files_watched(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("one\n")
    text = json.dumps({"mcpServers": {"s": {"command": "x", "cwd": f"${{file:{tmp_path}/t}}"}}})
    it = LiveDeclaration(Found(text=text), SOURCES)
    assert cwd_of(it) == "one"
    assert not it.changed()
    (tmp_path / "t").write_text("two\n")
    assert it.changed()
    assert cwd_of(it) == "two"
    with pytest.raises(DeclarationError, match="must start with /"):
        load('{"mcpServers": {"s": {"command": "${file:t}"}}}', None, SOURCES)


def test_an_edit_of_a_file_that_holds_a_value_is_an_edit(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("one\n")
    written(tmp_path, "s", env={"A": "${file:t}"})
    it = live(tmp_path)
    before = it.read()
    assert before.files == (tmp_path / "servers.json", tmp_path / "t")
    assert not it.changed()
    (tmp_path / "t").write_text("two\n")
    assert it.changed()
    after = it.read()
    assert before.servers != after.servers
    (tmp_path / "t").write_text("")
    with pytest.raises(DeclarationError, match="is empty"):
        it.read()
    (tmp_path / "t").write_text("two")
    assert it.changed()
    assert it.read().servers == after.servers


def test_a_missing_value_file_is_watched_until_it_appears(tmp_path: Path) -> None:
    written(tmp_path, "s", env={"A": "${file:t}"})
    it = live(tmp_path)
    with pytest.raises(DeclarationError, match="does not exist"):
        it.read()
    assert not it.changed()
    (tmp_path / "t").write_text("v")
    assert it.changed()
    assert names(it.read()) == ["s"]


class Editing:
    """A file source that edits a file in the middle of a reading."""

    def __init__(self, edits: Any) -> None:
        self.edits = edits
        self.files = FileSource()

    def find(self, reference: str) -> Any:
        found = self.files.find(reference)
        if self.edits:
            self.edits.pop()()
        return found


@pytest.mark.parametrize("which", ["servers.json", "t"])
def test_a_change_during_the_reading_is_not_lost(tmp_path: Path, which: str) -> None:
    (tmp_path / "t").write_text("one")
    written(tmp_path, "s", env={"A": "${file:t}"})

    def edit() -> Any:
        if which == "t":
            (tmp_path / "t").write_text("two!")
        else:
            written(tmp_path, "edited", env={"A": "${file:t}"})

    it = LiveDeclaration(Found(tmp_path / "servers.json"), Sources(EnvSource({}), Editing([])))
    it.read()
    it._sources = Sources(EnvSource({}), Editing([edit]))
    seen = it.read()
    assert it.changed()
    assert it.read() != seen
    assert not it.changed()


def test_a_change_during_the_very_first_reading_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("one")
    written(tmp_path, "s", cwd="${file:t}")
    edits = [lambda: (tmp_path / "t").write_text("two!")]
    it = LiveDeclaration(Found(tmp_path / "servers.json"), Sources(EnvSource({}), Editing(edits)))
    assert cwd_of(it) == "two!" or it.changed()
    assert edits == []


def test_files_that_are_no_longer_named_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("one")
    written(tmp_path, "s", env={"A": "${file:t}"})
    it = live(tmp_path)
    it.read()
    written(tmp_path, "s")
    it.read()
    (tmp_path / "t").write_text("two!")
    assert not it.changed()


async def test_edits_are_told_until_asked_no_more(tmp_path: Path) -> None:
    written(tmp_path, "s0")
    it = live(tmp_path, poll=0.5)
    it.read()
    seen = []
    async with asyncio.timeout(20):
        async with aclosing(it.changes()) as changes:
            asyncio.get_running_loop().call_later(0.05, written, tmp_path, "s1")
            async for _ in changes:
                try:
                    seen.append(names(it.read())[0])
                except DeclarationError:
                    continue  # between truncation and writing
                if len(seen) == 3:
                    break
                asyncio.get_running_loop().call_later(0.02, written, tmp_path, f"s{len(seen) + 1}")
    assert seen == ["s1", "s2", "s3"]
