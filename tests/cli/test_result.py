"""How the parts of a tool's result read on a terminal."""

import json
from typing import Any

import pytest

from coatcheck.cli.running import exact
from coatcheck.cli.running.result import lines_of


def shown(result: Any) -> list[str]:
    return list(lines_of(exact.read(json.dumps(result).encode())))


TEXT = {"type": "text", "text": "two\nlines"}


@pytest.mark.parametrize(
    ("part", "line"),
    [
        (TEXT, "two\nlines"),
        ({"type": "image", "mimeType": "image/png", "data": "aGVsbG8="}, "[image: image/png, 5 bytes]"),
        ({"type": "audio", "data": "aGVsbG8h"}, "[audio: unknown, 6 bytes]"),
        ({"type": "resource_link", "name": "a", "uri": "file:///a"}, "[link: a file:///a]"),
        ({"type": "resource", "resource": {"uri": "x:a", "text": "body"}}, "[resource: x:a]\nbody"),
        (
            {"type": "resource", "resource": {"uri": "x:a", "mimeType": "a/b", "blob": "aGk="}},
            "[resource: x:a, a/b, 2 bytes]",
        ),
        ({"type": "resource", "resource": 3}, "[resource: not shown; --json has it]"),
        ({"type": "hologram", "x": 1}, "[hologram: not shown; --json has it]"),
        ({"type": "text", "text": 4}, "[text: not shown; --json has it]"),
        ({"type": "image", "mimeType": 1, "data": 2}, "[image: unknown, 0 bytes]"),
        ("bare", "[a part that is not an object]"),
        ({}, "[unknown: not shown; --json has it]"),
    ],
)
def test_each_part_has_a_line(part: Any, line: str) -> None:
    assert shown({"content": [part]}) == [line]


def test_structured_content_is_shown_only_where_there_is_no_text() -> None:
    assert shown({"content": [TEXT], "structuredContent": {"a": 1}}) == ["two\nlines"]
    assert shown({"content": [], "structuredContent": {"a": 1.0}}) == ['{\n  "a": 1.0\n}']


@pytest.mark.parametrize("result", [None, 3, [], {}, {"content": None}, {"content": "x"}])
def test_a_result_of_any_shape_is_survived(result: Any) -> None:
    assert shown(result) == []
