"""Copies as JSON: kinds apart, one line each, and shortened so that they still are JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.copies.lines import CHANGE_FIELDS, json_copy, json_copy_line
from coatcheck.core.recording.record_lines import FIELDS
from coatcheck.model.sink import Copy, Trial
from doubles.copies import a_change_copy, a_copy
from ledgers import START


def read(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found


def test_the_kinds_are_told_apart() -> None:
    record, change = read(json_copy(a_copy(5))), read(json_copy(a_change_copy(6)))
    trial = read(json_copy(Copy(0, Trial(START))))
    assert tuple(record) == ("kind", "seq", *FIELDS)
    assert tuple(change) == CHANGE_FIELDS
    assert [each["kind"] for each in (record, change, trial)] == ["record", "change", "test"]
    assert [each["seq"] for each in (record, change, trial)] == [5, 6, 0]
    assert change["object_kind"] == "grant"
    assert (change["before"], change["after"]) == (None, {"label": "alice-laptop"})


@given(st.text(), st.text())
def test_whatever_a_name_is_a_line_is_one_line_of_printable_ascii(tool: str, reason: str) -> None:
    line = json_copy_line(a_copy(1, tool=tool, reason=reason))
    assert line.endswith(b"\n")
    assert all(0x20 <= byte < 0x7F for byte in line[:-1])
    assert (read(line)["tool"], read(line)["reason"]) == (tool, reason)


@given(st.integers(400, 5_000), st.text(max_size=2_000), st.integers(0, 3_000))
def test_what_is_too_long_is_shortened_and_says_so(most: int, reason: str, size: int) -> None:
    copy = a_copy(1, reason=reason, arguments=json.dumps({"q" * size: 1}))
    whole, short = json_copy(copy), json_copy(copy, most)
    if len(whole) <= most:
        assert short == whole
        return
    found = read(short)
    assert len(short) <= most
    assert found["cut"]
    assert (found["seq"], found["id"], found["kind"]) == (1, read(whole)["id"], "record")


@pytest.mark.parametrize(("most", "cut"), [(1_200, ["before", "after"]), (480, None)])
def test_the_large_members_go_first(most: int, cut: list[str] | None) -> None:
    after = json.dumps({"servers": ["github"] * 200})
    found = read(json_copy(a_change_copy(1, before=after, after=after, because="w" * 200), most))
    assert found["cut"] == cut if cut else "because" in found["cut"]
    assert found["after"] is None
    assert found["action"] == "grant.issue"
