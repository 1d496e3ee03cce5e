"""Which URIs say plainly what they mean, and which a server may read as another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.access import uris as module
from coatcheck.core.access.uris import is_plain

PLAIN = (
    "", "note", "note://one", "file:///srv/public/a.txt", "file:///a%20b", "file:///a%2Fb", "file:///a%E2%82%AC", "file:///...", "file:///a..b/.hidden", "file:///{path}",
    "file:///{+path}{?x,y}", "db://Table/Schema", "slack://C012345/thread", "https://example.com/A/B", "https://example.com/a?b=../c", "https://example.com/a#../b", "https://example.com:8080",
    "urn:isbn:0451450523", "mailto:A@example.com", "issue://1", "a/b/c", "?..", "x:y:..z",
)  # fmt: skip
ODD = (
    "file:///srv/public/../private", "file:///srv/./a", "file:///..", "file:///a/..", "file:///a/.", "..", ".", "./a", "a/../b", "file:///a/%2e%2e/b", "file:///a/.%2E/b", "file:///a/%2E%2e%2fb",
    "file:///a/..%2fb", "file:///a/..%5Cb", "file:///a\\..\\b", "file:///%61", "file:///%7Euser", "file:///a%2Db", "file:///%5f", "file:///x%30", "FILE:///a", "File:///a", "HTTPS://example.com/",
    "https://Example.com/a", "http://h.EXAMPLE/", "note:..", "note:../x", "file:///{a}/../{b}",
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
        assert is_plain(uri + "/x" * 1000) is is_plain(uri + "/x")
    assert module._remembered.cache_info().currsize <= before + len(PLAIN) + len(ODD)
    assert not is_plain("file:///" + "a/" * 500_000 + "../b")


@given(st.text("abA./\\%2eE5:?#{}~", max_size=30))
def test_any_text_has_an_answer_and_none_with_steps_is_plain(text: str) -> None:
    found = is_plain(text)
    if "/../" in text.partition("?")[0].partition("#")[0]:
        assert not found
