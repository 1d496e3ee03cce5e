"""Pages of a list: forth and back through it, each item once, whatever is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import Unfit
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.views import Page


def asked(names: list[str], limit: int, after: str | None = None, before: str | None = None) -> Page[str]:
    return page_of(names, lambda name: (name,), limit, after, before)


@given(st.sets(st.text("aZ\u00e9\U0001f98a", max_size=4), max_size=30), st.integers(1, 8))
def test_forth_to_the_end_and_back_to_the_beginning(names: set[str], limit: int) -> None:
    page = asked(sorted(names), limit)
    pages = [page]
    while page.next is not None:
        page = asked(sorted(names), limit, page.next)
        pages.append(page)
    assert [name for one in pages for name in one.items] == sorted(names)
    assert {one.found for one in pages} == {len(names)}
    for former in reversed(pages[:-1]):
        assert page.previous is not None
        page = asked(sorted(names), limit, before=page.previous)
        assert page == former
    assert page.previous is None


def test_whoever_goes_back_to_a_beginning_that_was_cut_short_gets_a_whole_page() -> None:
    second = asked(list("abcdef"), 2, asked(list("abcdef"), 3).next)
    assert (second.items, second.previous is None) == (["d", "e"], False)
    assert asked(list("cdef"), 2, before=second.previous).items == ["c", "d"]
    assert asked(list("cdef"), 2, before=second.previous).previous is None


@pytest.mark.parametrize("cursor", ["nonsense!", "\u00e9", "A" * 3000])
def test_a_cursor_that_was_never_given_out(cursor: str) -> None:
    assert asked(["a"], 1).items == ["a"]
    for place in ({"after": cursor}, {"before": cursor}):
        with pytest.raises(Unfit, match="never given out"):
            asked(["a"], 1, **place)
