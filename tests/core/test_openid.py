"""What an OpenID provider sends, judged: keys, audiences, times, names, roles, and where a browser may go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import openid
from coatcheck.model.openid import OpenIdRules, RoleRule
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret

RULES = OpenIdRules(
    "https://id.example.com",
    "coatcheck",
    operators=(
        RoleRule(OperatorRole.VIEWER, "all"),
        RoleRule(OperatorRole.ADMIN, "platform"),
        RoleRule(OperatorRole.AUDITOR, "CN=audit,OU=x"),
    ),
)


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://id.example.com", "https://id.example.com/.well-known/openid-configuration"),
        ("https://id.example.com/", "https://id.example.com/.well-known/openid-configuration"),
        (
            "https://id.example.com/realms/a",
            "https://id.example.com/realms/a/.well-known/openid-configuration",
        ),
    ],
)
def test_where_the_document_is(issuer: str, url: str) -> None:
    assert openid.document_url(issuer) == url


RSA = {"kty": "RSA", "n": "A" * 342, "e": "AQAB", "kid": "a"}
EC = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "kid": "a"}
ED = {"kty": "OKP", "crv": "Ed25519", "x": "x"}


@pytest.mark.parametrize(
    ("key", "usable"),
    [
        (RSA, True),
        (EC, True),
        (ED, True),
        (RSA | {"use": "sig", "key_ops": ["verify"], "alg": "PS256"}, True),
        (RSA | {"use": "enc"}, False),
        (RSA | {"key_ops": ["encrypt"]}, False),
        (RSA | {"n": "A" * 171}, False),
        (RSA | {"n": "A" * 2731}, False),
        (RSA | {"n": 7}, False),
        (RSA | {"e": None}, False),
        (EC | {"crv": "P-521"}, False),
        (ED | {"crv": "X25519"}, False),
        ({"kty": "oct", "k": "AAAA"}, False),
        ({"kty": ["RSA"]}, False),
        ("RSA", False),
    ],
)
def test_which_keys_are_taken(key: Any, usable: bool) -> None:
    assert openid.usable_keys({"keys": [key]}) == ((key,) if usable else ())


def test_no_more_than_some_keys() -> None:
    assert len(openid.usable_keys({"keys": [RSA] * 150})) == openid.MAX_KEYS
    assert openid.usable_keys({}) == openid.usable_keys({"keys": {"a": RSA}}) == ()


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ({"alg": "RS256", "kid": "a"}, [RSA]),
        ({"alg": "RS256"}, [RSA]),
        ({"alg": "ES256", "kid": "a"}, [EC]),
        ({"alg": "EdDSA"}, [ED]),
        ({"alg": "EdDSA", "kid": "a"}, []),
        ({"alg": "RS256", "kid": "b"}, []),
        ({"alg": "HS256", "kid": "a"}, []),
        ({"alg": "none"}, []),
    ],
)
def test_which_key_may_have_signed(head: dict[str, str], found: list[Any]) -> None:
    assert list(openid.keys_for(head, (RSA, EC, ED, RSA | {"alg": "RS512"}))) == found


@given(st.dictionaries(st.sampled_from(["alg", "typ", "crit", "kid"]), st.none() | st.text() | st.integers()))
def test_only_named_algorithms_pass(head: dict[str, Any]) -> None:
    if not openid.head_problem(head):
        assert head["alg"] in openid.FAMILIES
        assert not str(head["alg"]).startswith(("none", "HS"))


NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({}, True),
        ({"exp": str(NOW - 59)}, True),
        ({"exp": str(NOW - 60)}, False),
        ({"iat": str(NOW + 60)}, True),
        ({"iat": str(NOW + 61)}, False),
        ({"nbf": str(NOW + 60)}, True),
        ({"nbf": str(NOW + 61)}, False),
        ({"iat": NOW + 0.5}, True),
        ({"exp": "-1"}, False),
        ({"exp": float("1e300")}, False),
        ({"exp": None}, False),
        ({"iat": False}, False),
        ({"nbf": None}, False),
    ],
)
def test_times(changes: dict[str, Any], good: bool) -> None:
    claims = {"iat": str(NOW), "exp": str(NOW + 300)} | changes
    assert (openid.time_problem(claims, NOW) == "") is good


def test_the_hash_of_an_access_token() -> None:
    token = Secret("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")  # OpenID Connect Core 1.0, appendix A.4
    assert openid.access_hash(token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"
    assert len(openid.access_hash(token, "EdDSA")) == 43


@pytest.mark.parametrize(
    ("claim", "path", "role"),
    [
        (["platform", "all"], "groups", OperatorRole.ADMIN),
        (["all", "CN=audit,OU=x"], "groups", OperatorRole.AUDITOR),
        ("all", "groups", OperatorRole.VIEWER),
        ("all platform", "groups", None),
        (["Platform", "plat", ""], "groups", None),
        ([["platform"], {"platform": 1}, None], "groups", None),
        ({"platform": True}, "groups", None),
        ([], "groups", None),
        (None, "groups", None),
    ],
)
def test_roles(claim: Any, path: str, role: OperatorRole | None) -> None:
    assert openid.role_of({path: claim}, RULES) is role


@pytest.mark.parametrize(
    ("claims", "path", "found"),
    [
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"https://example.com/roles": ["a"]}, "https://example.com/roles", ["a"]),
        ({"a.b": 1, "a": {"b": 2}}, "a.b", 1),
        ({"a": ["b"]}, "a.b", None),
        ({"a": {"b": 2}}, "a.c", None),
        ({}, "a", None),
    ],
)
def test_claims_within_claims(claims: dict[str, Any], path: str, found: Any) -> None:
    assert openid.claim_of(claims, path) == found


def test_more_claims_are_about_the_same_person_and_never_win() -> None:
    assert openid.merged({"sub": "a", "email": "x"}, {"sub": "a", "email": "y", "groups": []}) == {
        "sub": "a",
        "email": "x",
        "groups": [],
    }
    assert openid.merged({"sub": "a"}, {"sub": "b"}) is None
    assert openid.merged({"sub": "a"}, {"email": "y"}) is None
