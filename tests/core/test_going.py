"""Ways back lead to pages of ours and nowhere else."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from coatcheck.core.going import path_of, return_path, way_back


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


@pytest.mark.parametrize(
    ("text", "goes"),
    [
        ("/", True),
        ("/servers?state=up&x=a%2Fb", True),
        ("/log?from=https://example.com//x#top", True),
        ("", False),
        ("servers", False),
        ("//example.com", False),
        ("/\\example.com", False),
        ("/a\\b", False),
        ("/a//example.com", False),
        ("https://example.com", False),
        ("javascript:alert(1)", False),
        ("/a\r\nSet-Cookie: a=b", False),
        ("/a\n", False),
        ("/\t/example.com", False),
        ("/\u2215example.com", False),
        ("/" + "a" * 2048, False),
    ],
)
def test_where_a_browser_may_go(text: str, goes: bool) -> None:
    assert return_path(text, "/home") == (text if goes else "/home")


@given(some.text(some.sampled_from("/\\.:@?#ah\t\n\r %"), max_size=12))
def test_a_browser_never_leaves_us(text: str) -> None:
    found = urlsplit(urljoin("https://gate.example.com/login", return_path(text)))
    assert (found.scheme, found.netloc) == ("https", "gate.example.com")


@pytest.mark.parametrize(
    "text",
    [
        "/settings/backup",
        "/settings/backup?a=/x#y",
        "/settings/%62ackup",
        "/settings%2Fbackup",
        "/settings/./backup",
        "/../settings/x/%2e%2E/backup",
        "/settings/x%2Fy/.%2e/backup",
    ],
)
def test_the_path_that_a_browser_asks_for(text: str) -> None:
    assert path_of(text) == "/settings/backup"
    for other in ("/settings/backup/", "/settings/backups", "/settings/%2562ackup", "/?to=/settings/backup"):
        assert path_of(other) != "/settings/backup"
