"""Prints of arguments: keyed, one for each value, bounded, and telling nothing without the key."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.recording.argument_prints import MAX_PATH_CHARS, MAX_PRINTS, WHOLE, ArgumentPrints
from coatcheck.core.wire.messages import raw_of

KEY = bytes(range(32))
PRINTS = ArgumentPrints(KEY)


def prints(value: Any) -> dict[str, str]:
    found: dict[str, str] = json.loads(PRINTS.of(raw_of(value)))
    return found


def reference(raw: bytes) -> str:
    return hmac.new(KEY, raw, "sha256").hexdigest()[:16]


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        ({}, {"": b"{}"}),
        ({"a": "x"}, {"/a": b'"x"'}),
        ({"a": {"b": [1, {"c": None}]}}, {"/a/b/0": b"1", "/a/b/1/c": b"null"}),
        ({"a/b": True, "c~d": 1.5}, {"/a~1b": b"true", "/c~0d": b"1.5"}),
        ({"": "", "e": {}, "l": []}, {"/": b'""', "/e": b"{}", "/l": b"[]"}),
        ({"n": 2**63 - 1, "u": "\u00e9"}, {"/n": b"9223372036854775807", "/u": '"\u00e9"'.encode()}),
    ],
)
def test_each_value_has_the_print_of_its_compact_json(value: Any, leaves: dict[str, bytes]) -> None:
    assert prints(value) == {path: reference(raw) for path, raw in leaves.items()}


def test_equal_values_have_equal_prints_wherever_they_are_and_however_written() -> None:
    first = json.loads(PRINTS.of(b'{"a": "\\u0041", "b": {"c": "A"}}'))
    assert first["/a"] == first["/b/c"] == PRINTS.of_value("A")
    assert ArgumentPrints(bytes(32)).of_value("A") != PRINTS.of_value("A")


@pytest.mark.parametrize(
    "raw",
    [
        raw_of({str(number): number for number in range(MAX_PRINTS + 1)}),
        raw_of({"k" * (MAX_PATH_CHARS + 1): 1}),
        b'{"n":1e999}',
        b'{"s":"\\ud800"}',
        b"no json",
    ],
)
def test_what_does_not_fit_is_covered_as_a_whole(raw: bytes) -> None:
    found = json.loads(PRINTS.of(raw))
    assert found[WHOLE] == reference(raw)
    assert len(found) <= MAX_PRINTS + 1
    assert WHOLE not in prints({str(number): number for number in range(MAX_PRINTS)})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=30,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=4))
def test_a_changed_value_changes_a_print(value: dict[str, Any]) -> None:
    found = prints(value)
    assert all(len(one) == 16 for one in found.values())
    assert prints({**value, "changed": "x"}) != found


def test_the_key_is_not_shown() -> None:
    assert repr(PRINTS) == "ArgumentPrints(...)"
    with pytest.raises(ValueError, match="at most 64"):
        ArgumentPrints(bytes(65))
