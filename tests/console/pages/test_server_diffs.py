"""What servers made of tools, as lines: readable, bounded, and nothing hides in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.console.pages.servers.diffs import WIDTH, lines_of, where_in_words
from coatcheck.console.pages.servers.shapes import globs_of
from coatcheck.console.pages.servers.shapes import lines_of as lines_read
from coatcheck.console.pages.servers.words import visible
from coatcheck.console.web.forms import BadField


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ('"one"', '"two"', [("-", "one"), ("+", "two")]),
        (None, '"new"', [("+", "new")]),
        ('"old"', None, [("-", "old")]),
        ('"a\\nb\\nc"', '"a\\nB\\nc"', [(" ", "a"), ("-", "b"), ("+", "B"), (" ", "c")]),
        ('{"a":1}', '{"a":2}', [(" ", "{"), ("-", '  "a": 1'), ("+", '  "a": 2'), (" ", "}")]),
        ('"cut where it was lo...', '"x"', [("-", '"cut where it was lo...'), ("+", "x")]),
        ("1", "1", []),
    ],
)
def test_lines_say_what_became_of_a_value(before: str | None, after: str | None, lines: list[Any]) -> None:
    assert list(lines_of(before, after)) == lines


def test_long_stretches_that_stayed_are_left_out() -> None:
    old = [str(number) for number in range(50)]
    new = [*old[:25], "other", *old[26:]]
    lines = list(lines_of(json.dumps("\n".join(old)), json.dumps("\n".join(new))))
    assert ("-", "25") in lines
    assert ("+", "other") in lines
    assert len(lines) < 10


@given(st.text(max_size=400), st.text(max_size=400))
def test_nothing_is_lost_and_nothing_hides(before: str, after: str) -> None:
    lines = list(lines_of(json.dumps(before), json.dumps(after)))
    assert all(len(text) <= WIDTH + 10 for _, text in lines)
    assert all(char.isprintable() for _, text in lines for char in text)
    if visible(before) != visible(after):
        assert {sign for sign, _ in lines} & {"+", "-"}


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("/description", "description"),
        ("/inputSchema/properties/q/type", "input \u203a q \u203a type"),
        ("/a~1b/c~0d", "a/b \u203a c~d"),
        ("", "the whole tool"),
    ],
)
def test_a_pointer_is_told_in_words(pointer: str, words: str) -> None:
    assert where_in_words(pointer) == words


@given(st.text())
def test_a_text_made_visible_has_nothing_that_is_not_seen(text: str) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in visible(text))


def test_lines_of_headers_are_read_and_odd_ones_told_without_their_value() -> None:
    assert lines_read("A: b:c\n\n  X-Y:  z ", ":", "f", "N: v") == {"A": "b:c", "X-Y": "z"}
    assert lines_read("A= b ", "=", "f", "N=v") == {"A": " b "}
    for text in ("planted-value", "A: planted-value\na: 2", ": planted-value"):
        with pytest.raises(BadField) as caught:
            lines_read(text, ":", "f", "Name: value")
        assert "planted" not in str(caught.value)
    assert globs_of(" get_*\nlist ") == ("get_*", "list")
    assert globs_of(" \n") is None
