"""The contract of secret sources on every adapter, and what is particular to files."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import ConfigError
from coatcheck.ports import SecretSource
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import MAX_BYTES, FileSource


def revealed(source: SecretSource, reference: str) -> str:
    found = source.find(reference)
    assert found is not None
    return found.reveal()


@pytest.fixture(params=["env", "file"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return a source that holds one value, the reference to it, and one to nothing."""
    if request.param == "env":
        return EnvSource({"HELD": "canary-value"}), "HELD", "NOTHING"
    (tmp_path / "held").write_text("canary-value")
    return FileSource(), str(tmp_path / "held"), str(tmp_path / "nothing")


def test_finds_what_it_holds(source: Any) -> None:
    it, held, _ = source
    assert revealed(it, held) == "canary-value"


def test_finds_nothing_where_there_is_nothing(source: Any) -> None:
    it, _, nothing = source
    assert it.find(nothing) is None


def test_what_it_finds_shows_nothing(source: Any) -> None:
    it, held, _ = source
    assert "canary" not in f"{it.find(held)!r} {it!r}"


def test_it_sees_changes(tmp_path: Path) -> None:
    environment = {"A": "1"}
    file = tmp_path / "a"
    file.write_text("1")
    variables, files = EnvSource(environment), FileSource()
    assert [revealed(variables, "A"), revealed(files, str(file))] == ["1", "1"]
    environment["A"] = "2"
    file.write_text("2")
    assert [revealed(variables, "A"), revealed(files, str(file))] == ["2", "2"]


def test_an_empty_variable_is_set() -> None:
    assert revealed(EnvSource({"A": ""}), "A") == ""


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"v", "v"),
        (b"v\n", "v"),
        (b"v\r\n", "v"),
        (b"v\n\n", "v\n"),
        (b"v\r", "v\r"),
        (b" v ", " v "),
        (b"a\nb\n", "a\nb"),
        ("ü\n".encode(), "ü"),
    ],
)
def test_one_line_break_at_the_end_is_not_part_of_the_value(
    tmp_path: Path, content: bytes, value: Any
) -> None:
    (tmp_path / "f").write_bytes(content)
    assert revealed(FileSource(), str(tmp_path / "f")) == value


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_what_was_echoed_into_a_file_is_found(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    file = tmp_path_factory.getbasetemp() / "echoed"
    file.write_bytes(value.encode() + b"\n")
    expected = value.removesuffix("\r")  # a carriage return before the line break belongs to it
    if expected:
        assert revealed(FileSource(), str(file)) == expected


def test_the_largest_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"a" * MAX_BYTES)
    assert len(revealed(FileSource(), str(file))) == MAX_BYTES
    file.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        FileSource().find(str(file))


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ConfigError, match="is empty"):
        FileSource().find(str(tmp_path / "f"))


def test_what_is_no_text_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"canary\xff")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        FileSource().find(str(tmp_path / "f"))
    assert "canary" not in caught.value.message


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "sock"))
        for name in ("pipe", "sock", "."):
            with pytest.raises(ConfigError):
                FileSource().find(str(tmp_path / name))
    assert FileSource().find("/dev/null/x") is None


def test_links_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("v")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("gone")
    assert revealed(FileSource(), str(tmp_path / "link")) == "v"
    assert FileSource().find(str(tmp_path / "dangling")) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        FileSource().find(str(tmp_path / "loop"))
