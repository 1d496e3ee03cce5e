"""Terms of OAuth credentials: the same rule wherever they are given, and which field is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coatcheck.errors import Unfit
from coatcheck.model.credential import OauthTerms
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.terms import checked

PERSON = OauthTerms(grant_type="authorization_code", resource="https://mcp.example.com/mcp")
PROGRAM = replace(
    PERSON,
    grant_type="client_credentials",
    issuer="http://127.0.0.1:9/",
    client_id="me",
    client_secret=Secret("s"),
    scopes=("read", "repo:write"),
)


@pytest.mark.parametrize("terms", [PERSON, PROGRAM])
def test_terms_that_can_be(terms: OauthTerms) -> None:
    assert checked(terms) is terms


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grant_type": "password"}, "grant_type"),
        ({"resource": ""}, "resource"),
        ({"resource": "ftp://x"}, "resource"),
        ({"resource": "https://a b"}, "resource"),
        ({"issuer": "example.com"}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": None}, "client_id"),
        ({"client_id": "\u2603"}, "client_id"),
        ({"scopes": ("a b",)}, "scopes"),
        ({"scopes": ("x",) * 101}, "scopes"),
    ],
)
def test_terms_that_cannot_be_name_their_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Unfit) as refused:
        checked(replace(PROGRAM, **changes))
    assert refused.value.field == f"oauth.{field}"
