"""Ways back lead to pages of ours and nowhere else."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from coatcheck.console.web.going import way_back


@pytest.mark.parametrize("back", ["/", "/grants", "/grants?q=a&state=live", "/people/one?name=a%40b.example"])
def test_a_path_of_ours_is_gone_back_to(back: str) -> None:
    assert way_back(back) == back


@pytest.mark.parametrize(
    "back",
    [
        "",
        "grants",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " /grants",
        "https://evil.example/",
        "javascript:alert(1)",
        "/grants#x",
        "/ü",
        "\\\\evil.example",
    ],
)
def test_anything_else_leads_to_the_first_page(back: str) -> None:
    assert way_back(back) == "/"


@given(some.text(alphabet="/\\?#.:@ab \t\n", max_size=12).map(lambda text: "/" + text))
def test_no_way_back_leaves_the_host(back: str) -> None:
    whole = urlsplit(urljoin("https://coatcheck.example/login", way_back(back)))
    assert (whole.scheme, whole.netloc) == ("https", "coatcheck.example")
