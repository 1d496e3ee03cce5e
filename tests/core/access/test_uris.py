"""Which URIs say plainly what they mean, and which a server may read as another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AnyUrl, ValidationError

from coatcheck.core.access import uris as module
from coatcheck.core.access.uris import is_plain, scheme_of

PLAIN = (
    "", "note", "note://one", "file:///srv/public/a.txt", "file:///a%20b", "file:///a%2Fb", "file:///a%E2%82%AC", "file:///...", "file:///a..b/.hidden", "file:///{path}",
    "file:///{+path}{?x,y}", "db://Table/Schema", "slack://C012345/thread", "https://example.com/A/B", "https://example.com/a?b=../c", "https://example.com/a#../b", "https://example.com:8080/",
    "urn:isbn:0451450523", "mailto:A@example.com", "issue://1", "a/b/c", "?..", "x:y:..z", "http://127.0.0.1/", "http://[::1]:8000/", "https://h:8443/x", "note://private:80/1", "note://u@h/1", "note://a/100%25", "note://a?u=http://b", "{scheme}://a", "s3://bucket/Key", "file:///a%5Cb",
)  # fmt: skip
ODD = (
    "file:///srv/public/../private", "file:///srv/./a", "file:///..", "file:///a/..", "file:///a/.", "..", ".", "./a", "a/../b", "file:///a/%2e%2e/b", "file:///a/.%2E/b", "file:///a/%2E%2e%2fb",
    "file:///a/..%2fb", "file:///a/..%5Cb", "file:///a\\..\\b", "file:///%61", "file:///%7Euser", "file:///a%2Db", "file:///%5f", "file:///x%30", "FILE:///a", "File:///a", "HTTPS://example.com/",
    "https://Example.com/a", "http://h.EXAMPLE/", "note:..", "note:../x", "file:///{a}/../{b}",
    "file:/secret/x", "file://localhost/secret/x", "file:secret", " file:///a", "\x01note://a", "note://a ", "note://pri\tvate/1", "note://pri\nvate/1", "note://a\x7f", "note://private:/1",
    "https://h:443/x", "https://h:/x", "https://h:0443/x", "http://h:80/", "ws://h:80/", "https:/h/x", "https:h/x", "https:///h/x", "https:\\\\h\\x", "note://a\\b", "https://example.com",
    "https://ex%61mple.com/", "https://ex%C3%A4mple.com/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://[0:0:0:0:0:0:0:1]/", "http://[x]/", "note://a%2fb", "note://a%c3%A4",
    "file:///etc//passwd", "file:////etc/passwd", "note://a//b", "note://a/b/%2Fc", "https://h//x", "note://a/%2561", "note://a/%252e%252E/b", "file:///a%25%34%31",
    "note://a%e2", "note://a%2", "note://a%", "note://a%zz", "note://caf\u00e9", "note://a b", 'note://"a"', "note://<a>", "note://a|b", "note://a`b", "note://a^b",
)  # fmt: skip


@pytest.mark.parametrize("uri", PLAIN)
def test_plain(uri: str) -> None:
    assert is_plain(uri)


@pytest.mark.parametrize("uri", ODD)
def test_not_plain(uri: str) -> None:
    assert not is_plain(uri)


def test_long_ones_are_judged_and_not_remembered() -> None:
    before = module._remembered.cache_info().currsize
    for uri in (*PLAIN, *ODD):
        assert is_plain(uri + "/x" * 1000) is is_plain(uri + "/x" * 2)
    assert module._remembered.cache_info().currsize <= before + len(PLAIN) + len(ODD)
    assert not is_plain("file:///" + "a/" * 500_000 + "../b")


@given(st.text("abA./\\%2eE5:?#{}~", max_size=30))
def test_any_text_has_an_answer_and_none_with_steps_is_plain(text: str) -> None:
    found = is_plain(text)
    if "/../" in text.partition("?")[0].partition("#")[0]:
        assert not found


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("note://a", "note"), ("NOTE://a", "note"), (" \x01note://a", "note"), ("no\tte://a", "note"), ("note", ""), ("//a", ""), ("1a:b", ""),
    ],
)  # fmt: skip
def test_the_scheme_is_what_the_most_lenient_reader_finds(uri: str, scheme: str) -> None:
    assert scheme_of(uri) == scheme


@given(st.text("abAz:/\\%2eE5?#{}~@. \t[]0123456789\u00e9", max_size=24))
def test_what_is_plain_comes_unchanged_out_of_a_parser_that_normalises(tail: str) -> None:
    for scheme in ("https", "note", "file"):
        uri = f"{scheme}:{tail}"
        if is_plain(uri) and "{" not in uri and "}" not in uri:
            try:
                parsed = AnyUrl(uri)
            except ValidationError:
                continue
            assert str(parsed) == uri
