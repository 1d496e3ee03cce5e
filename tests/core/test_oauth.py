"""The arithmetic of OAuth: URLs, issuers, scopes, challenges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import oauth
from coatcheck.core.wire.challenges import Challenge, read_challenge
from coatcheck.model.oauth import AuthorizationServer, Discovery


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"", Challenge()),
        (b"Bearer", Challenge()),
        (
            b'Bearer error="invalid_token", error_description="a, b=c", resource_metadata="https://x/y?z=1"',
            Challenge("invalid_token", (), "https://x/y?z=1"),
        ),
        (b'bearer scope="a b  a"', Challenge("", ("a", "b"))),
        (b"Bearer scope=a, resource_metadata=https://a/b", Challenge("", ("a",), "https://a/b")),
        (b'Basic realm="y", Bearer error="e"', Challenge("e")),
        (b'Basic realm="y", scope="z"', Challenge()),
        (b'Bearer realm="x", Basic scope="z"', Challenge()),
        (b'Negotiate abcd==, Bearer scope="a"', Challenge("", ("a",))),
        (b'Bearer error="in\\"side", error="second"', Challenge('in"side')),
        (b'Bearer realm="never ends, scope="a"', Challenge()),
        (b'Bearer scope="' + b"a" * 9000, Challenge()),
        (b'Bearer scope="caf\xc3\xa9 ok"', Challenge("", ("ok",))),
    ],
)
def test_challenges(header: bytes, found: Challenge) -> None:
    assert read_challenge(header) == found


@given(st.binary(max_size=300))
def test_any_header_is_read(header: bytes) -> None:
    assert isinstance(read_challenge(b"Bearer " + header), Challenge)


@pytest.mark.parametrize(
    ("resource", "url", "fits"),
    [
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://A.example:443/mcp/", "https://a.example/mcp", True),
        ("https://a.example", "https://a.example/mcp", True),
        ("https://a.example/m", "https://a.example/mcp", False),
        ("https://a.example/mcp/deep", "https://a.example/mcp", False),
        ("http://a.example/mcp", "https://a.example/mcp", False),
        ("https://a.example:8443/mcp", "https://a.example/mcp", False),
        ("https://b.example/mcp", "https://a.example/mcp", False),
        ("mcp", "https://a.example/mcp", False),
        ("https://a.example:x/mcp", "https://a.example/mcp", False),
    ],
)
def test_metadata_covers_its_own_origin_and_path(resource: str, url: str, fits: bool) -> None:
    assert oauth.covers(resource, url) is fits


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://as.example/x", ""),
        ("http://localhost:9/x", ""),
        ("http://[::1]:9/x", ""),
        ("http://127.0.0.2/x", ""),
        ("http://as.example/x", "it is not https"),
        ("http://127.0.0.1.evil.example/", "it is not https"),
        ("https://u:p@as.example/", "it has user information"),
        ("https://as.example/#x", "it has a fragment"),
        ("javascript:alert(1)", "it is no http or https URL"),
        ("https://as.example/ x", "it is no http or https URL"),
        ("", "it is no http or https URL"),
        ("https://" + "a" * 5000, "it is no http or https URL"),
    ],
)
def test_urls_of_authorization_servers(url: str, problem: str) -> None:
    assert oauth.url_problem(url) == problem


def test_where_metadata_are() -> None:
    assert oauth.issuer_metadata_urls("https://a.example/t/1/") == (
        "https://a.example/.well-known/oauth-authorization-server/t/1",
        "https://a.example/.well-known/openid-configuration/t/1",
        "https://a.example/t/1/.well-known/openid-configuration",
    )
    assert oauth.issuer_metadata_urls("https://a.example/") == (
        "https://a.example/.well-known/oauth-authorization-server",
        "https://a.example/.well-known/openid-configuration",
    )
    assert oauth.resource_metadata_urls("https://a.example/x?key=1") == (
        "https://a.example/.well-known/oauth-protected-resource/x",
        "https://a.example/.well-known/oauth-protected-resource",
    )


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("https://a.example", "https://a.example/", True),
        ("https://a.example/t", "https://a.example/t/", False),
        ("https://a.example", "https://A.example", False),
        ("https://a.example", "https://a.example:443", False),
        ("", "", True),
        ("https://a.example/", "", False),
    ],
)
def test_issuers_are_compared_as_they_are(left: str, right: str, same: bool) -> None:
    assert oauth.same_issuer(left, right) is same


def test_a_link_keeps_the_query_of_the_endpoint() -> None:
    made = oauth.link("https://a.example/authorize?tenant=1", {"state": "a b&c"})
    assert made == "https://a.example/authorize?tenant=1&state=a+b%26c"


def test_the_challenge_of_the_specification() -> None:
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert oauth.code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    ("wanted", "own", "server", "asked"),
    [
        ((), (), (), ()),
        ((), (), ("offline_access",), ()),
        ((), ("a",), ("a",), ("a",)),
        ((), ("a",), ("a", "offline_access"), ("a", "offline_access")),
        (("x", "x"), ("a",), (), ("x",)),
    ],
)
def test_scopes_to_ask_for(
    wanted: tuple[str, ...], own: tuple[str, ...], server: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    found = Discovery(AuthorizationServer("https://a", "https://a/t", scopes=server), "https://r", own)
    assert oauth.scopes_to_ask(wanted, found) == asked
