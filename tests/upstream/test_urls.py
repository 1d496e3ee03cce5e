"""URLs of servers: what is taken apart, and what is refused without being quoted."""

from __future__ import annotations

import pytest

from coatcheck.errors import UpstreamForbidden
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.urls import Origin, take_apart


@pytest.mark.parametrize(
    ("url", "origin", "target", "authority"),
    [
        ("http://a/mcp", Origin("a", 80, False), "/mcp", "a"),
        ("https://A.example/mcp/", Origin("a.example", 443, True), "/mcp/", "a.example"),
        ("HTTPS://a:8443", Origin("a", 8443, True), "/", "a:8443"),
        ("https://a:443/x", Origin("a", 443, True), "/x", "a"),
        ("http://a:443/x", Origin("a", 443, False), "/x", "a:443"),
        ("http://[::1]:80/x", Origin("::1", 80, False), "/x", "[::1]"),
        ("http://[2001:4860::1]:99/x", Origin("2001:4860::1", 99, False), "/x", "[2001:4860::1]:99"),
        ("http://a?k=v#top", Origin("a", 80, False), "/?k=v", "a"),
        ("http://a/x?k=http://b/@c#top", Origin("a", 80, False), "/x?k=http://b/@c", "a"),
        ("http://127.0.0.1:6379/", Origin("127.0.0.1", 6379, False), "/", "127.0.0.1:6379"),
    ],
)
def test_a_url_is_taken_apart(url: str, origin: Origin, target: str, authority: str) -> None:
    found, rest = take_apart(Secret(url), "weather")
    assert (found, rest.reveal(), found.authority) == (origin, target, authority)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "http:///x",
        "//a/x",
        "/x",
        "a/x",
        "http:/a/x",
        "ftp://a/x",
        "http+unix://a/x",
        "file:///etc/passwd",
        "gopher://a/x",
        "ws://a/x",
        "http://good@127.0.0.1/",
        "http://me:hunter2222@a/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:99999999/",
        "http://a:8o/",
        "http://a:/b:/",
        "http://a:1:2/",
        "http://[::1/",
        "http://::1/",
        "http://[a]/",
        "http://[fe80::1%25eth0]/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127\u30020\u30020\u30021/",
        "http://a\\b/",
        "http://a/b c",
        "http://a/b\r\nX: y",
        "http://a/b\x00",
        "http://a/\u00e9",
        "http://a\t/",
        " http://a/",
    ],
)
def test_other_urls_are_refused_and_not_quoted(url: str) -> None:
    if url == "http://a:/b:/":
        assert take_apart(Secret("http://a/b:/"), "weather")
    with pytest.raises(UpstreamForbidden) as caught:
        take_apart(Secret(url), "weather")
    error = caught.value
    assert error.message.startswith("the url of weather cannot be used: ")
    assert error.fix
    assert "hunter2222" not in error.message + error.fix + error.detail
    if len(url) > 3:
        assert url not in error.message
