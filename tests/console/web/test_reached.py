"""Under which Hosts the console is reached over https, and what is told of who comes in the clear."""

from __future__ import annotations

import pytest

from coatcheck.console.web.reached import Reached

PORTLESS = Reached("public_url", "https://GW.example.com")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("https://GW.example.com", {"gw.example.com", "gw.example.com:443"}),
        ("https://gw.example.com:443", {"gw.example.com", "gw.example.com:443"}),
        ("https://gw.example.com:8443", {"gw.example.com:8443"}),
        ("https://[2001:db8::2]", {"[2001:db8::2]", "[2001:db8::2]:443"}),
        ("https://[2001:db8::2]:8443", {"[2001:db8::2]:8443"}),
        ("http://gw.example.com", set()),
        (None, set()),
    ],
)
def test_only_the_hosts_of_an_https_url_count(url: str | None, hosts: set[str]) -> None:
    assert Reached("public_url", url).https_hosts == hosts


@pytest.mark.parametrize("said", [("https",), (" HTTPS\t",), ("https, http",), ("https", "http")])
def test_a_proxy_says_that_it_is_https(said: tuple[str, ...]) -> None:
    assert PORTLESS.is_told_https("gw.example.com", {"x-forwarded-proto": said})
    assert not PORTLESS.is_told_https("localhost:8080", {"x-forwarded-proto": said})
    assert not Reached("public_url", None).is_told_https("gw.example.com", {"x-forwarded-proto": said})


@pytest.mark.parametrize("said", [(), ("",), ("http",), ("http, https",), ("http", "https"), ("https:",)])
def test_all_else_is_plain_http(said: tuple[str, ...]) -> None:
    headers = {"x-forwarded-proto": said} if said else {}
    assert not PORTLESS.is_told_https("gw.example.com", headers)


def test_who_comes_in_the_clear_is_told_where_to_go_or_what_is_to_be_set() -> None:
    assert "Open https://GW.example.com instead. If you did" in PORTLESS.only_https("gw.example.com").fix
    assert PORTLESS.only_https("10.0.0.5:8080").fix == "Open https://GW.example.com instead."
    told = Reached("admin_url", None).only_https("10.0.0.5:9091").fix
    assert "as admin_url" in told
    assert "ssh -L 9091:127.0.0.1:9091" in told
