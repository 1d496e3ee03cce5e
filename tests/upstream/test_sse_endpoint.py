from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import UpstreamBadReply
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.hop.urls import Origin, take_apart
from coatcheck.upstream.sse.endpoint import MAX_BYTES, read_endpoint

ORIGIN = Origin("example.com", 443, tls=True)
STREAM = Secret("/mcp/sse?key=1")


def read(text: str | bytes, stream: Secret = STREAM) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    return read_endpoint(data, ORIGIN, stream, "weather").reveal()


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/messages", "/messages"),
        ("messages?session_id=1", "/mcp/messages?session_id=1"),
        ("?session_id=1", "/mcp/sse?session_id=1"),
        ("#x", "/mcp/sse?key=1"),
        ("./messages", "/mcp/messages"),
        ("../messages", "/messages"),
        ("../../../messages", "/messages"),
        ("/a/./b/../c?d/../e", "/a/c?d/../e"),
        ("https://example.com/a", "/a"),
        ("HTTPS://EXAMPLE.com:443/a?b#c", "/a?b"),
        ("https://example.com", "/"),
        ("//example.com/a", "/a"),
        ("/%2e%2e/a", "/%2e%2e/a"),
        ("/" + "x" * (MAX_BYTES - 1), "/" + "x" * (MAX_BYTES - 1)),
    ],
)
def test_where_messages_go(text: str, target: str) -> None:
    assert read(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "http://example.com/a",
        "https://example.com:8443/a",
        "https://www.example.com/a",
        "https://example.com.evil/a",
        "https://example.com@evil/a",
        "https://a:b@example.com/a",
        "//evil/a",
        "///evil/a",
        "\\\\evil\\a",
        "/\\evil/a",
        "javascript:alert(1)",
        "mailto:a@b",
        "a:b",
        "https:a",
        "https://[::1/a",
        "https://example.com:0/",
        "/a b",
        "/a\tb",
        "/a\r\nX-Injected: 1",
        "/a\x00",
        "/é",
        b"/\xff",
        "",
        " ",
        "/" + "x" * MAX_BYTES,
    ],
)
def test_what_is_refused_and_never_quoted(text: str | bytes) -> None:
    assert read("/fine") == "/fine"
    with pytest.raises(UpstreamBadReply) as caught:
        read(text)
    assert not caught.value.reached
    assert "evil" not in caught.value.message + caught.value.fix


def test_another_origin_is_named_to_the_operator() -> None:
    with pytest.raises(UpstreamBadReply) as caught:
        read("https://inner.example:8443/a?key=secret")
    assert caught.value.detail == "it named inner.example:8443, its stream is at example.com"
    assert caught.value.fix


@given(st.binary(max_size=60) | st.text("ab/.?#:\\%@ \r\n", max_size=20).map(str.encode))
def test_whatever_is_named_the_request_line_stays_whole(data: bytes) -> None:
    try:
        target = read(data)
    except UpstreamBadReply:
        return
    assert target.startswith("/")
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target


_PART = st.text("ab", min_size=1, max_size=3) | st.sampled_from([".", ".."])


@given(st.lists(_PART, max_size=5), st.booleans(), st.booleans(), st.sampled_from(["", "?c=/d"]))
def test_references_are_resolved_as_others_do(parts: list[str], top: bool, slash: bool, query: str) -> None:
    reference = ("/" if top else "") + "/".join(parts) + ("/" if slash and parts else "") + query
    found = urlsplit(urljoin("https://example.com/mcp/sse?key=1", reference))
    if reference:
        assert read(reference) == found.path + (f"?{found.query}" if found.query else "")


def test_the_origin_is_that_of_the_url_as_it_is_dialled() -> None:
    origin, stream = take_apart(Secret("http://[::1]:8080/sse"), "weather")
    assert read_endpoint(b"http://[::1]:8080/m", origin, stream, "weather").reveal() == "/m"
