"""Where the first and the next page of a list are."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.console.web.rendering import paged


@pytest.mark.parametrize(
    ("after", "then", "first", "following"),
    [
        (None, None, "", ""),
        ("", "", "", ""),
        ("", "b", "", "/x?q=a&after=b"),
        ("b", "c d", "/x?q=a", "/x?q=a&after=c+d"),
        ("c", None, "/x?q=a", ""),
        (0, 7, "/x?q=a", "/x?q=a&after=7"),
    ],
)
def test_a_list_leads_to_its_first_and_its_next_page(
    after: Any, then: Any, first: str, following: str
) -> None:
    assert paged("/x", {"q": "a", "state": ""}, after, then) == {"first": first, "next": following}


def test_the_parameter_of_the_place_takes_the_place_of_the_one_before() -> None:
    assert paged("/x", {"start": 10}, 10, 20, "start")["next"] == "/x?start=20"
