"""The settings of signing in with OpenID Connect: read one by one, and what they make together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coatcheck.config import Config, load_config
from coatcheck.declared import openid
from coatcheck.declared.openid import openid_rules
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import Unfit
from coatcheck.errors import ConfigError
from coatcheck.model.openid import OpenIdRules, RoleRule
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

LEAST = 'oidc_issuer = "https://id.example.com"\noidc_client_id = "coatcheck"\n'
ADMIN, AUDITOR = OperatorRole.ADMIN, OperatorRole.AUDITOR


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / "coatcheck.toml").write_text(text)
    return load_config({}, {"COATCHECK_DATA": str(tmp_path)})


def rules_of(tmp_path: Path, text: str, **environment: str) -> OpenIdRules | None:
    config = load(tmp_path, text)
    values = {name: getattr(config, name) for name in Config.__dataclass_fields__}
    return openid_rules(values, Sources(EnvSource(environment), FileSource()), tmp_path)


def test_without_an_issuer_there_is_nothing(tmp_path: Path) -> None:
    assert rules_of(tmp_path, "") is None


def test_the_least(tmp_path: Path) -> None:
    assert rules_of(tmp_path, LEAST) == OpenIdRules("https://id.example.com", "coatcheck")


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ('"planted-1"', "planted-1"),
        ('"${SSO_SECRET}"', "planted-2"),
        ('"${file:sso.secret}"', "planted-3"),
    ],
)
def test_the_secret_can_be_elsewhere(tmp_path: Path, written: str, found: str) -> None:
    (tmp_path / "sso.secret").write_text("planted-3\n")
    (tmp_path / "sso.secret").chmod(0o600)
    rules = rules_of(tmp_path, f"{LEAST}oidc_client_secret = {written}", SSO_SECRET="planted-2")
    assert rules is not None
    assert rules.client_secret == Secret(found)
    assert "planted" not in repr(rules)


@pytest.mark.parametrize(
    "written", ["${NOT_THERE}", "${file:not-there}", "${credential:x}", "${EMPTY}", "   "]
)
def test_a_secret_that_cannot_be_had(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError, match="oidc_client_secret"):
        rules_of(tmp_path, f'{LEAST}oidc_client_secret = "{written}"', EMPTY="")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('oidc_issuer = "https://id.example.com"', "oidc_issuer: needs oidc_client_id"),
        ('oidc_client_id = "coatcheck"', "oidc_client_id: needs oidc_issuer"),
        ('oidc_client_secret = "planted-1"', "needs oidc_issuer"),
        ('oidc_operators = ["admin=a"]', "needs oidc_issuer"),
        (LEAST + "[oidc_operators]\nroot = ['a']", "unknown role"),
        (LEAST + "[oidc_operators]\nadmin = [7]", "no value for the role admin"),
        (LEAST + "oidc_trust_email = 'perhaps'", "neither true nor false"),
        (LEAST.replace("oidc_client_id", "oidc_client"), "did you mean oidc_client_id"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, words: str) -> None:
    load(tmp_path, LEAST)
    with pytest.raises(ConfigError, match=words) as error:
        load(tmp_path, text)
    assert "planted" not in str(error.value)


def test_roles_as_a_table(tmp_path: Path) -> None:
    text = LEAST + '[oidc_operators]\nadmin = ["platform", "on-call"]\nauditor = "CN=audit,OU=x"\n'
    config = load(tmp_path, text)
    assert config.oidc_operators == (
        RoleRule(ADMIN, "platform"),
        RoleRule(ADMIN, "on-call"),
        RoleRule(AUDITOR, "CN=audit,OU=x"),
    )
    (shown,) = [one for one in config.describe() if one.name == "oidc_operators"]
    assert shown.value == ["admin=platform", "admin=on-call", "auditor=CN=audit,OU=x"]
    assert shown.source.endswith("line 3")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("admin=a", ["admin=a"]),
        ("admin=a, auditor=b;viewer=c", ["admin=a", "auditor=b", "viewer=c"]),
        ("admin=CN=a,OU=x, auditor=b c", ["admin=CN=a,OU=x", "auditor=b c"]),
        (["admin=a", "admin=a"], ["admin=a"]),
        ({"admin": "a"}, ["admin=a"]),
        ({}, []),
    ],
)
def test_roles_in_other_ways(value: Any, found: list[str]) -> None:
    assert [str(one) for one in openid.rules_of(value)] == found


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (openid.rules_of, "a"),
        (openid.rules_of, "admin="),
        (openid.rules_of, "boss=a"),
        (openid.rules_of, 7),
        (openid.rules_of, [["admin=a"]]),
        (openid.rules_of, {"admin": {"a": 1}}),
        (openid.rules_of, [f"admin={n}" for n in range(201)]),
        (openid.issuer_of, "id.example.com"),
        (openid.issuer_of, "http://id.example.com"),
        (openid.issuer_of, "https://id.example.com/?a=b"),
        (openid.issuer_of, "https://id.example.com/#a"),
        (openid.issuer_of, "https://a:b@id.example.com/"),
        (openid.issuer_of, "https://id.example.com/" + "a" * 700),
        (openid.issuer_of, 7),
        (openid.client_id_of, "\n"),
        (openid.secret_of, ""),
        (openid.claim_of, "a b"),
        (openid.scopes_of, ""),
        (openid.scopes_of, ["a b"]),
        (openid.scopes_of, 7),
    ],
)
def test_values_that_are_refused(read: Any, value: Any) -> None:
    with pytest.raises(Unfit):
        read(value)


def test_issuers_that_are_taken_as_they_are() -> None:
    for issuer in ("https://id.example.com/", "https://id.example.com/a", "http://127.0.0.1:8000"):
        assert openid.issuer_of(issuer) == issuer
