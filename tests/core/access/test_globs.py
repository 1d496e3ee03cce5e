"""Globs: only `*` is special, nothing is folded, and no pattern is slow."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.access.globs import any_matches, matches
from coatcheck.core.templates import matches_template

WORDS = st.text("ab*", max_size=12)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*", ""), ("*", "sentry__find"), ("**", "a"), ("", ""), ("a", "a"), ("sentry__*", "sentry__"), ("sentry__*", "sentry__find"), ("*_issues", "a__list_issues"),
        ("*admin*", "x__admin_y"), ("*admin*", "admin"), ("a*c*e", "abcde"), ("a*b", "ab"), ("*a*a*", "aa"), ("x__*", "x__a\nb"), ("*é", "é"), ("a*", "a*"), ("*?*", "a?"), ("[a]", "[a]"),
    ],
)  # fmt: skip
def test_patterns_match_whole_names(pattern: str, name: str) -> None:
    assert matches(pattern, name)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("", "a"), ("a", ""), ("a", "A"), ("A*", "ab"), ("sentry__*", "sentry_"), ("sentry__*", "xsentry__a"), ("*_issues", "issues"), ("*_issues", "a_issues2"), ("a*a", "a"), ("ab*ba", "aba"),
        ("a*b*a", "aa"), ("*a*a*", "a"), ("?", "a"), ("[ab]", "a"), ("a.c", "abc"), (".*", "a"), ("{a,b}", "a"), ("\\*", "*"), ("a|b", "a"), ("^a$", "a"), ("!a", "b"), ("é", "e\u0301"), ("ss", "ß"),
        ("k", "\u212a"), ("denied", "denied "), ("denied", "denied\0"), ("denied", "den\u0131ed"),
    ],
)  # fmt: skip
def test_nothing_else_is_special_and_nothing_is_folded(pattern: str, name: str) -> None:
    assert not matches(pattern, name)


@settings(max_examples=400, deadline=None)
@given(WORDS, st.text("ab", max_size=12))
def test_it_agrees_with_the_standard_library(pattern: str, name: str) -> None:
    assert matches(pattern, name) is fnmatch.fnmatchcase(name, pattern)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=4), min_size=1, max_size=5), st.text(max_size=3))
def test_a_pattern_matches_what_its_stars_are_replaced_with(parts: list[str], filling: str) -> None:
    literal = [part.replace("*", "") for part in parts]
    assert matches("*".join(literal), filling.join(literal))


def test_the_worst_pattern_is_over_at_once() -> None:
    """Backtracking over these would outlast the machine."""
    assert matches("*a" * 50_000, "a" * 100_000)
    assert not matches("*a" * 50_000 + "b*", "a" * 100_000)
    assert not matches("*" * 100_000 + "b", "a" * 100_000)
    assert not matches("*" + "ab" * 5_000 + "c*", "ab" * 50_000)


# --- templates, which become globs ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("file:///{path}", "file:///a/b"), ("file:///{+path}", "file:///"), ("db://{table}/rows{?limit,offset}", "db://users/rows?limit=1"), ("a:{x}:{y}", "a:1:2"), ("{all}", "anything"),
        ("a:{x}", "a:{x}"),
    ],
)  # fmt: skip
def test_a_uri_that_a_template_could_give_fits(template: str, uri: str) -> None:
    assert matches_template(template, uri)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("file:///a", "file:///a"), ("file:///{path}", "file://x"), ("db://{t}/rows", "db://users/cols"), ("FILE:{x}", "file:a"), ("a*{x}", "ab"), ("a:*", "a:b"), ("a:{x", "a:b"), ("", ""), ("a:{{x}}", "a:b"),
    ],
)  # fmt: skip
def test_a_uri_that_no_values_could_give_does_not(template: str, uri: str) -> None:
    assert not matches_template(template, uri)


def test_the_worst_template_is_over_at_once() -> None:
    assert not matches_template("a:{x}" * 2_000 + "b", "a:" * 100_000)
    assert not matches_template("{" * 100_000, "a" * 100_000)


@given(st.lists(st.text("ab*", max_size=3), max_size=3), st.text("ab", max_size=3))
def test_one_of_several_is_enough(patterns: list[str], name: str) -> None:
    assert any_matches(patterns, name) is any(matches(pattern, name) for pattern in patterns)
