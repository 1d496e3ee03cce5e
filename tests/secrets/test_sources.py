"""The contract of secret sources on every adapter, and what is particular to files."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import ConfigError
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import MAX_BYTES, FileSource


@pytest.fixture(params=["env", "file"])
def source(request, tmp_path):
    """Return a source that holds one value, the reference to it, and one to nothing."""
    if request.param == "env":
        return EnvSource({"HELD": "canary-value"}), "HELD", "NOTHING"
    (tmp_path / "held").write_text("canary-value")
    return FileSource(), str(tmp_path / "held"), str(tmp_path / "nothing")


def test_finds_what_it_holds(source):
    it, held, _ = source
    assert it.find(held).reveal() == "canary-value"


def test_finds_nothing_where_there_is_nothing(source):
    it, _, nothing = source
    assert it.find(nothing) is None


def test_what_it_finds_shows_nothing(source):
    it, held, _ = source
    assert "canary" not in f"{it.find(held)!r} {it!r} {it.__dict__ if not held.isupper() else ''}"


def test_it_sees_changes(tmp_path):
    environment = {"A": "1"}
    file = tmp_path / "a"
    file.write_text("1")
    sources = EnvSource(environment), FileSource()
    assert [s.find(r).reveal() for s, r in zip(sources, ("A", str(file)), strict=True)] == ["1", "1"]
    environment["A"] = "2"
    file.write_text("2")
    assert [s.find(r).reveal() for s, r in zip(sources, ("A", str(file)), strict=True)] == ["2", "2"]


def test_an_empty_variable_is_set():
    assert EnvSource({"A": ""}).find("A").reveal() == ""


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
def test_one_line_break_at_the_end_is_not_part_of_the_value(tmp_path, content, value):
    (tmp_path / "f").write_bytes(content)
    assert FileSource().find(str(tmp_path / "f")).reveal() == value


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_what_was_echoed_into_a_file_is_found(tmp_path_factory, value):
    file = tmp_path_factory.getbasetemp() / "echoed"
    file.write_bytes(value.encode() + b"\n")
    expected = value.removesuffix("\r")  # a carriage return before the line break belongs to it
    if expected:
        assert FileSource().find(str(file)).reveal() == expected


def test_the_largest_file(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"a" * MAX_BYTES)
    assert len(FileSource().find(str(file)).reveal()) == MAX_BYTES
    file.write_bytes(b"a" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        FileSource().find(str(file))


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ConfigError, match="is empty"):
        FileSource().find(str(tmp_path / "f"))


def test_what_is_no_text_is_refused_without_showing_it(tmp_path):
    (tmp_path / "f").write_bytes(b"canary\xff")
    with pytest.raises(ConfigError, match="not UTF-8") as caught:
        FileSource().find(str(tmp_path / "f"))
    assert "canary" not in caught.value.message


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)  # socket paths are short
        listener.bind(str(tmp_path / "sock"))
        for name in ("pipe", "sock", "."):
            with pytest.raises(ConfigError):
                FileSource().find(str(tmp_path / name))
    assert FileSource().find("/dev/null/x") is None


def test_links_are_followed_and_loops_are_not(tmp_path):
    (tmp_path / "real").write_text("v")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("gone")
    assert FileSource().find(str(tmp_path / "link")).reveal() == "v"
    assert FileSource().find(str(tmp_path / "dangling")) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        FileSource().find(str(tmp_path / "loop"))
