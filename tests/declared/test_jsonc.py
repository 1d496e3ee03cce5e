"""The reader of JSON with comments against the standard library, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.declared.reading import jsonc

SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(-1e9, 1e9) | st.text()
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4), max_leaves=12
)
GAPS = st.sampled_from(
    ["", " ", "\n", "\t", '// a comment: {["\n', "/* * / \n ** */", "\r\n", "//\n", "/**/"]
)


@given(VALUES, st.booleans())
def test_reads_what_the_standard_library_reads(value: Any, indent: Any) -> None:
    text = json.dumps(value, indent=2 if indent else None, ensure_ascii=indent)
    document = jsonc.read(text.encode())
    assert document.value == json.loads(text)
    assert document.doubles == ()


@given(VALUES, st.data())
def test_comments_and_space_change_nothing(value: Any, data: st.DataObject) -> None:
    def spaced(node: Any) -> Any:
        gap = data.draw(GAPS)
        if isinstance(node, dict):
            inner = ",".join(
                f"{data.draw(GAPS)}{json.dumps(k)}{data.draw(GAPS)}:{spaced(v)}" for k, v in node.items()
            )
            return f"{gap}{{{inner}{data.draw(GAPS)}}}{gap}"
        if isinstance(node, list):
            return f"{gap}[{','.join(map(spaced, node))}{data.draw(GAPS)}]{gap}"
        return f"{gap}{json.dumps(node)}{gap}"

    assert jsonc.read(spaced(value)).value == value


@given(st.dictionaries(st.text(), st.lists(st.integers(), max_size=3), max_size=5))
def test_every_key_and_item_has_the_line_it_stands_on(value: Any) -> None:
    text = json.dumps(value, indent=1)
    rows = text.split("\n")
    lines = jsonc.read(text).lines
    for key, items in value.items():
        pointer = jsonc.pointer_to("", key)
        assert rows[lines[pointer] - 1].startswith(f" {json.dumps(key)}:")
        for index, item in enumerate(items):
            assert rows[lines[f"{pointer}/{index}"] - 1].strip(" ,") == str(item)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_place(raw: Any) -> None:
    error = refusal(raw)
    if error is None:
        json.dumps(jsonc.read(raw).value)
    else:
        assert 1 <= error.line <= raw.count(b"\n") + 1
        assert error.column >= 1


def refusal(raw: bytes) -> jsonc.JsoncError | None:
    try:
        jsonc.read(raw)
    except jsonc.JsoncError as error:
        return error
    return None


@given(st.text(alphabet='{}[]",:0123456789.eE-+\\ntrufalsn /*\n\t', max_size=40))
def test_accepts_no_plain_json_that_the_standard_library_refuses(text: str) -> None:
    try:
        ours = jsonc.read(text)
    except jsonc.JsoncError:
        return
    if "//" not in text and "/*" not in text:
        assert json.loads(text) == ours.value or ours.doubles


@pytest.mark.parametrize(
    ("raw", "line", "column", "word"),
    [
        (b"", 1, 1, "empty"),
        (b"\n // only\n", 3, 1, "empty"),
        (b'{"a": 1,}', 1, 8, "comma after the last"),
        (b'{"a": [1,\n2,\n]}', 2, 2, "comma after the last"),
        (b'{"a": 1 "b": 2}', 1, 9, "comma or }"),
        (b"{'a': 1}", 1, 2, "key in double quotes"),
        (b"{a: 1}", 1, 2, "key in double quotes"),
        (b'{"a" 1}', 1, 6, "colon"),
        (b'{"a": # x\n1}', 1, 7, "expected a value"),
        (b'{"a": tru}', 1, 7, "expected a value"),
        (b'{"a": NaN}', 1, 7, "expected a value"),
        (b'{"a": -}', 1, 7, "expected a value"),
        (b'{"a": 01}', 1, 8, "comma or }"),
        (b'{"a": 1e999}', 1, 7, "too large"),
        (b'{"a": ' + b"1" * 41 + b"}", 1, 7, "too long"),
        (b'{"a": "x\ny"}', 1, 7, "never closed"),
        (b'{"a": "x', 1, 7, "never closed"),
        (b'{"a": "\\x"}', 1, 8, "unknown escape"),
        (b'{"a": "\\ud800"}', 1, 7, "surrogate"),
        (b'{"a": "\x01"}', 1, 8, "control character"),
        (b"{} {}", 1, 4, "more text"),
        (b"{", 1, 2, "the file ends"),
        (b'{"a": 1 /* x', 1, 9, "never closed"),
        (b"\xef\xbb\xbf{}", 1, 1, "byte order mark"),
        ('{"a":1}'.encode("utf-16"), 1, 1, "byte order mark"),
        (b'{\n "a": "\xff"}', 2, 8, "not UTF-8"),
        (b"[" * 66 + b"]" * 66, 1, 66, "nested deeper"),
        (b" " * (jsonc.MAX_BYTES + 1), 1, 1, "larger than"),
    ],
)
def test_refuses_with_line_and_column(raw: Any, line: int, column: int, word: str) -> None:
    with pytest.raises(jsonc.JsoncError) as caught:
        jsonc.read(raw)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert word in caught.value.message


def test_deepest_allowed_nesting_is_read() -> None:
    assert jsonc.read("[" * 65 + "]" * 65).value


def test_equal_keys_are_told_after_unescaping_and_the_first_is_kept() -> None:
    document = jsonc.read('{"a": {"tok-canary": 1,\n"tok\\u002dcanary": {"b": 2}}}')
    assert document.value == {"a": {"tok-canary": 1}}
    (double,) = document.doubles
    assert double.line == 2
    assert "canary" not in repr(double)
    assert document.lines["/a/tok-canary"] == 1


def test_surrogates_of_the_environment_are_not_utf8() -> None:
    with pytest.raises(jsonc.JsoncError, match="not UTF-8"):
        jsonc.read('{"a": "\udcff"}')
