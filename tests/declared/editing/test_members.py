"""Members put into JSON with comments and taken out: nothing else moves, and no comment is lost."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.declared.editing import members
from coatcheck.declared.reading import jsonc

ENTRY = {"url": "https://x.example/mcp", "headers": {"A": "b"}}
PATH = ("mcpServers",)
COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|(//[^\r\n]*|/\*.*?\*/)', re.DOTALL)


def comments(text: str) -> list[str]:
    return [found for found in COMMENT.findall(text) if found]


def value_of(text: str) -> Any:
    document = jsonc.read(text)
    assert document.doubles == ()
    return document.value


# --- generated documents ------------------------------------------------------------------------------------

NEWLINES = st.sampled_from(["\n", "\r\n"])
BLANKS = ["", "", " ", "  ", "\t", "\n", "\n\n", "\n    ", "\n\t\t", " \n  "]
NOTES = ['/* {"a": [} */', "// a, b\n", "//\n", "/**/", "/* \n * \n */", '// "x": {}, }\n', "/*//*/"]
GAPS = st.sampled_from(
    [
        *BLANKS * 3,
        *(a + note + b for note in NOTES for a in BLANKS for b in BLANKS),
        *map("".join, pairwise(NOTES)),
    ]
)
WORDS = st.sampled_from(["a", "b-1", "Ä", 'q"uote', "sla/sh", "til~de", "", "mcpServers", "{", "//", "${X}"])
SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5) | WORDS
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(WORDS, v, max_size=3), max_leaves=4
)
OBJECTS = st.dictionaries(WORDS, VALUES, max_size=4)


@st.composite
def texts(draw: st.DrawFn, value: Any) -> str:
    """Write a value with comments and white space in every gap there is."""
    if isinstance(value, dict):
        parts = [
            f"{draw(GAPS)}{json.dumps(key)}{draw(GAPS)}:{draw(GAPS)}{draw(texts(each))}{draw(GAPS)}"
            for key, each in value.items()
        ]
        return "{" + (",".join(parts) if parts else draw(GAPS)) + "}"
    if isinstance(value, list):
        parts = [f"{draw(GAPS)}{draw(texts(each))}{draw(GAPS)}" for each in value]
        return "[" + (",".join(parts) if parts else draw(GAPS)) + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """Return a document with `mcpServers` somewhere in it, as its value and as a text."""
    servers = draw(OBJECTS)
    others = draw(st.dictionaries(st.sampled_from(["serverAuth", "audit", "$schema"]), VALUES, max_size=3))
    order = draw(st.permutations(["mcpServers", *others]))
    value = {key: servers if key == "mcpServers" else others[key] for key in order}
    text = draw(GAPS) + draw(texts(value)) + draw(GAPS)
    newline = draw(NEWLINES)
    return value, text if newline == "\n" else text.replace("\n", newline)


@given(documents(), VALUES)
@settings(max_examples=120, deadline=None)
def test_a_member_put_in_and_taken_out_leaves_the_same_bytes(document: Any, entry: Any) -> None:
    value, text = document
    assert value_of(text) == value
    added = members.put(text, PATH, "new", entry)
    assert value_of(added) == {**value, "mcpServers": {**value["mcpServers"], "new": entry}}
    assert list(value_of(added)["mcpServers"])[-1] == "new"
    back = members.drop(added, (*PATH, "new"))
    if value["mcpServers"] or comments(inside(text)):
        assert back == text
    else:  # white space between two braces is the one thing that is not kept
        span = jsonc.read(text).spans["/mcpServers"]
        assert back == text[: span.start] + "{}" + text[span.end :]


def inside(text: str) -> str:
    """Return what stands between the braces of `mcpServers`."""
    span = jsonc.read(text).spans["/mcpServers"]
    return text[span.start + 1 : span.end - 1]


@given(documents(), VALUES)
@settings(max_examples=100, deadline=None)
def test_what_is_put_in_is_one_comma_and_one_run_of_text(document: Any, entry: Any) -> None:
    value, text = document
    if not value["mcpServers"]:
        return
    added = members.put(text, PATH, "new", entry)
    last = jsonc.read(text).spans[jsonc.pointer_to("/mcpServers", list(value["mcpServers"])[-1])]
    assert added[: last.end + 1] == text[: last.end] + ","
    length = len(added) - len(text) - 1
    start = jsonc.read(added).spans["/mcpServers/new"].end - length
    assert added[last.end + 1 : start] == text[last.end : start - 1]
    assert added[start + length :] == text[start - 1 :]


@given(documents(), st.data())
@settings(max_examples=120, deadline=None)
def test_taking_any_member_out_loses_no_comment_beside_it(document: Any, data: st.DataObject) -> None:
    value, text = document
    if not value["mcpServers"]:
        return
    name = data.draw(st.sampled_from(list(value["mcpServers"])))
    rest = {key: each for key, each in value["mcpServers"].items() if key != name}
    span = jsonc.read(text).spans[jsonc.pointer_to("/mcpServers", name)]
    less = members.drop(text, (*PATH, name))
    assert value_of(less) == {**value, "mcpServers": rest}
    assert list(value_of(less)) == list(value)
    assert list(value_of(less)["mcpServers"]) == list(rest)
    assert comments(less) == comments(text[: span.key]) + comments(text[span.end :])


@given(documents(), VALUES, st.data())
@settings(max_examples=100, deadline=None)
def test_another_value_changes_nothing_beside_it(document: Any, entry: Any, data: st.DataObject) -> None:
    value, text = document
    if not value["mcpServers"]:
        return
    name = data.draw(st.sampled_from(list(value["mcpServers"])))
    span = jsonc.read(text).spans[jsonc.pointer_to("/mcpServers", name)]
    other = members.replace(text, (*PATH, name), entry)
    assert value_of(other) == {**value, "mcpServers": {**value["mcpServers"], name: entry}}
    assert other.startswith(text[: span.start])
    assert other.endswith(text[span.end :])


# --- documents as people write them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            '{"mcpServers": {}}',
            '{"mcpServers": {"new": {"url": "https://x.example/mcp", "headers": {"A": "b"}}}}',
            id="one line",
        ),
        pytest.param(
            '{"mcpServers": {"a": {}}}\n',
            '{"mcpServers": {"a": {}, "new": {"url": "https://x.example/mcp", "headers": {"A": "b"}}}}\n',
            id="one line with a member",
        ),
        pytest.param(
            '{\n  "mcpServers": {}\n}\n',
            '{\n  "mcpServers": {\n    "new": {\n      "url": "https://x.example/mcp",\n      "headers": {\n'
            '        "A": "b"\n      }\n    }\n  }\n}\n',
            id="empty",
        ),
        pytest.param(
            '{\r\n\t"mcpServers": {\r\n\t\t"a": {\r\n\t\t\t"command": "x"\r\n\t\t}\r\n\t}\r\n}',
            '{\r\n\t"mcpServers": {\r\n\t\t"a": {\r\n\t\t\t"command": "x"\r\n\t\t},\r\n\t\t"new": {\r\n'
            '\t\t\t"url": "https://x.example/mcp",\r\n\t\t\t"headers": {\r\n\t\t\t\t"A": "b"\r\n\t\t\t}\r\n\t\t}'
            "\r\n\t}\r\n}",
            id="tabs, CRLF, no line end at the end",
        ),
        pytest.param(
            '{\n    "mcpServers": {\n        "a": {"command": "x"}, // one\n        "b": {"command": "y"} // two\n'
            "        // three\n    }\n}\n",
            '{\n    "mcpServers": {\n        "a": {"command": "x"}, // one\n        "b": {"command": "y"}, // two\n'
            '        // three\n        "new": {"url": "https://x.example/mcp", "headers": {"A": "b"}}\n    }\n}\n',
            id="comments after the last, one line each",
        ),
        pytest.param(
            '{ "mcpServers": { // none yet\n  }\n}',
            '{ "mcpServers": { // none yet\n  "new": {\n    "url": "https://x.example/mcp",\n    "headers": {\n'
            '      "A": "b"\n    }\n  }\n  }\n}',
            id="a comment alone",
        ),
        pytest.param(
            '{"mcpServers": { /* none */ }}',
            '{"mcpServers": { /* none */ "new": {"url": "https://x.example/mcp", "headers": {"A": "b"}} }}',
            id="a comment alone on one line",
        ),
        pytest.param(
            '{"mcpServers":\n{\n"a": {}\n}\n}',
            '{"mcpServers":\n{\n"a": {},\n"new": {"url": "https://x.example/mcp", "headers": {"A": "b"}}\n}\n}',
            id="no indentation",
        ),
    ],
)
def test_new_members_look_like_the_others(text: str, expected: str) -> None:
    added = members.put(text, PATH, "new", ENTRY)
    assert added == expected
    assert members.drop(added, (*PATH, "new")) == text


def test_a_document_that_declares_nothing_is_spread_over_lines() -> None:
    added = members.put("{}\n", (), "mcpServers", {"a": {"command": "x", "args": ["1", "2"]}})
    assert added == (
        '{\n  "mcpServers": {\n    "a": {\n      "command": "x",\n      "args": ["1", "2"]\n    }\n  }\n}\n'
    )
    assert members.drop(added, PATH) == "{}\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", '{\n  // about a\n  // of a\n  // about b\n  "b": {}, // of b\n  "c": {} // of c\n}'),
        ("b", '{\n  // about a\n  "a": {}, // of a\n  // about b\n  // of b\n  "c": {} // of c\n}'),
        ("c", '{\n  // about a\n  "a": {}, // of a\n  // about b\n  "b": {} // of b\n  // of c\n}'),
    ],
)
def test_comments_stay_when_a_member_goes(name: str, expected: str) -> None:
    text = '{\n  // about a\n  "a": {}, // of a\n  // about b\n  "b": {}, // of b\n  "c": {} // of c\n}'
    assert members.drop(text, (name,)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {}, "b": {}, "c": {}}', '{"a": {}, "c": {}}'),
        ('{"b": {}, "c": {}}', '{"c": {}}'),
        ('{"a": {}, "b": {}}', '{"a": {}}'),
        ('{ "b": {} }', "{}"),
        ('{\n  "b": {}\n}', "{}"),
        ('{\n  "a": 1,\n  "b": {\n    "x": 1\n  },\n  "c": 2\n}', '{\n  "a": 1,\n  "c": 2\n}'),
        ('{\n  "a": 1\n, "b": 2\n, "c": 3\n}', '{\n  "a": 1\n, "c": 3\n}'),
        ('{\n  "a": 1 /* x */,\n  "b": 2}', '{\n  "a": 1 /* x */}'),
        ('{"a": 1, // x\n"b": 2}', '{"a": 1 // x\n}'),
        ('{"a": 1, // x\n"b": 2, "c": 3}', '{"a": 1, // x\n"c": 3}'),
        ('{"b": /* in */ 2 /* after */ , "c": 3}', '{/* after */  "c": 3}'),
    ],
)
def test_what_is_left_reads_as_if_written_so(text: str, expected: str) -> None:
    assert members.drop(text, ("b",)) == expected


def test_lists_and_long_members_are_spread() -> None:
    text = '{\n  "a": {"command": "x"}\n}'
    added = members.put(text, (), "b", {"command": "y", "args": ["z" * 50, "z" * 50, ["deep"]]})
    assert added == (
        '{\n  "a": {"command": "x"},\n  "b": {\n    "command": "y",\n    "args": [\n'
        f'      "{"z" * 50}",\n      "{"z" * 50}",\n      [\n        "deep"\n      ]\n    ]\n  }}\n}}'
    ).replace('[\n        "deep"\n      ]', '["deep"]')


def test_characters_that_cannot_be_seen_are_escaped() -> None:
    added = members.put("{}", (), "a", "über \u202e\u200b\x7f漢")
    assert "\\u202e\\u200b\\u007f" in added
    assert value_of(added) == {"a": "über \u202e\u200b\x7f漢"}
    assert "über" in members.put("{}", (), "a", "über 漢")
