"""Header names and values that may be sent to servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.declared.reading import headers
from coatcheck.declared.reading.problems import Unfit


@pytest.mark.parametrize(
    "name", ["Authorization", "X-Api-Key", "x_y", "User-Agent", "Accept", "a!#$%&'*+.^`|~"]
)
def test_names(name: str) -> None:
    assert headers.header_name_of(name) == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a:", "Authorization: Bearer canary", "ü", "a\n", "(x)", "a" * 129]
)
def test_no_names(name: str) -> None:
    with pytest.raises(Unfit) as caught:
        headers.header_name_of(name)
    assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    "name", [*sorted(headers.FRAMING), "HOST", "Content-length", "Mcp-Session-Id", "mcp-x"]
)
def test_names_that_are_not_for_files(name: str) -> None:
    with pytest.raises(Unfit, match=r"frames|protocol"):
        headers.header_name_of(name)


@given(st.text(max_size=30))
def test_a_value_is_visible_ascii_or_refused(value: Any) -> None:
    plain = all(" " <= character <= "~" for character in value) and value == value.strip() and bool(value)
    try:
        assert headers.header_value_of(value) == value
        assert plain
    except Unfit:
        assert not plain


@pytest.mark.parametrize(
    "value", ["", " ", "Bearer ", "a\r\nX-Evil: 1", "a\nb", "a\x00", "ü", "a\tb", "a" * 8193]
)
def test_values_that_are_not_sent(value: Any) -> None:
    assert headers.header_value_of("Bearer x y") == "Bearer x y"
    with pytest.raises(Unfit):
        headers.header_value_of(value)


def test_longest_value() -> None:
    assert headers.header_value_of("a" * 8192)


def test_identity_headers_are_the_proxys_own() -> None:
    assert headers.identity_header_of("X-Forwarded-User") == "x-forwarded-user"
    for name in ("Authorization", "cookie", "Accept", "Host", "user-agent", "X-Forwarded-For", "a b"):
        with pytest.raises(Unfit):
            headers.identity_header_of(name)
