"""The MAC of a row says all of it: no change goes unnoticed, and no two rows share their bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coatcheck.core.sealing.row_macs import Value, row_bytes, row_fits, row_mac

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
values = (
    st.none() | st.integers() | st.text(st.characters(), max_size=8) | st.sampled_from(["", "0", "null", "1"])
)
names = st.text(st.characters(), max_size=4)
rows = st.dictionaries(names, values, max_size=4)


@given(names, rows, names)
def test_a_mac_fits_its_row_alone(table: str, row: dict[str, Value], key_id: str) -> None:
    mac = row_mac(KEY, table, row, key_id)
    assert len(mac) == 64
    assert row_fits(KEY, table, dict(reversed(row.items())), key_id, mac), "the order of columns says nothing"
    assert not row_fits(OTHER, table, row, key_id, mac)
    assert not row_fits(KEY, table + "x", row, key_id, mac)
    assert not row_fits(KEY, table, row, key_id + "x", mac)
    assert not row_fits(KEY, table, row, key_id, mac[:-1])
    for name in row:
        assert not row_fits(KEY, table, {k: v for k, v in row.items() if k != name}, key_id, mac)
        assert not row_fits(
            KEY, table, {("x" + k if k == name else k): v for k, v in row.items()}, key_id, mac
        )


@given(rows, names, values, values)
def test_any_other_value_of_any_column_is_noticed(
    row: dict[str, Value], name: str, before: Value, after: Value
) -> None:
    assume(before != after or type(before) is not type(after))
    mac = row_mac(KEY, "t", {**row, name: before}, "k")
    assert row_fits(KEY, "t", {**row, name: before}, "k", mac)
    assert not row_fits(KEY, "t", {**row, name: after}, "k", mac)


@given(names, rows, names, names, rows, names)
def test_no_two_rows_share_their_bytes(
    table: str, row: dict[str, Value], key_id: str, table2: str, row2: dict[str, Value], key_id2: str
) -> None:
    same = (table, row, key_id) == (table2, row2, key_id2)
    assert (row_bytes(table, row, key_id) == row_bytes(table2, row2, key_id2)) == same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": None}, {"a": ""}),
        ({"a": None}, {"a": "null"}),
        ({"a": 1}, {"a": "1"}),
        ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}),
        ({"a": "xy", "b": ""}, {"a": "x", "b": "y"}),
        ({"a": 'x","b":"y'}, {"a": "x", "b": "y"}),
        ({"a": "\u00e9"}, {"a": "e\u0301"}),
        ({"a": "\\u00e9"}, {"a": "\u00e9"}),
        ({}, {"": None}),
    ],
)
def test_rows_that_look_alike(first: dict[str, Value], second: dict[str, Value]) -> None:
    assert row_bytes("t", first, "k") != row_bytes("t", second, "k")


@pytest.mark.parametrize("value", [1.0, b"1", True, [], float("nan")])
def test_what_has_many_forms_has_no_mac(value: Any) -> None:
    assert row_bytes("t", {"a": 1}, "k")
    with pytest.raises(TypeError, match="column a of t"):
        row_bytes("t", {"a": value}, "k")
    assert not row_fits(KEY, "t", {"a": value}, "k", row_mac(KEY, "t", {"a": 1}, "k"))


@pytest.mark.parametrize("mac", [None, 5, b"x", "", "\u00e9" * 64])
def test_what_is_no_mac_fits_nothing(mac: object) -> None:
    assert not row_fits(KEY, "t", {"a": 1}, "k", mac)


@given(names, rows, names)
def test_the_form_is_plain_json(table: str, row: dict[str, Value], key_id: str) -> None:
    form = [1, key_id, table, sorted(row.items())]
    expected = json.dumps(form, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    assert row_bytes(table, row, key_id) == expected


def test_the_form_stays_as_it_is() -> None:
    """Stored rows depend on it: another form needs another number."""
    assert row_bytes("grant", {"b": None, "a": "\u00e9", "c": 5}, "k") == (
        b'[1,"k","grant",[["a","\\u00e9"],["b",null],["c",5]]]'
    )
