"""Cursors: they come back as they were given, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.admin.api.paging import cursor_of, number_of, place_of
from coatcheck.admin.api.problems import Problem

PLACES = st.text(st.characters(codec="utf-8"), max_size=50)


@given(place=PLACES)
def test_a_cursor_comes_back_as_it_was_given(place: str) -> None:
    cursor = cursor_of("grants", place)
    assert cursor is not None
    assert place_of("grants", cursor) == place


def test_the_end_has_no_cursor() -> None:
    assert cursor_of("grants", None) is None
    assert place_of("grants", None) is None
    assert number_of("records", cursor_of("records", "7")) == 7


@given(text=st.text(max_size=40))
def test_what_was_never_given_is_no_cursor(text: str) -> None:
    with pytest.raises(Problem) as refused:
        place_of("grants", text)
    assert (refused.value.code, refused.value.status) == ("bad_cursor", 400)


@given(place=PLACES, data=st.data())
def test_a_cursor_is_for_its_own_list_and_unchanged(place: str, data: st.DataObject) -> None:
    cursor = cursor_of("grants", place)
    assert cursor is not None
    with pytest.raises(Problem):
        place_of("subjects", cursor)
    spot = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("ABCDabcd0189-_").filter(lambda char: char != cursor[spot]))
    with pytest.raises(Problem):
        place_of("grants", cursor[:spot] + other + cursor[spot + 1 :])
