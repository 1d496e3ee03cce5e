"""How the settings of signing in with OpenID Connect are read, and the rules that they make together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from coatcheck.core.oauth import url_problem
from coatcheck.declared.reading.expand import Expander, Sources
from coatcheck.declared.reading.problems import Findings, Unfit
from coatcheck.errors import ConfigError
from coatcheck.model.openid import OpenIdRules, RoleRule
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret

MOST_RULES: Final = 200
MAX_ISSUER_CHARS: Final = 700
"""Issuer and subject together are what an operator is linked by."""
_ROLES: Final = "|".join(OperatorRole)
_BETWEEN: Final = re.compile(rf"[,;\s]+(?=(?:{_ROLES})=)")
"""What separates rules in one text; the values themselves may have commas, as distinguished names do."""
_CLAIM: Final = re.compile(r"[!-~]{1,200}")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,200}")
_BELONG: Final = ("oidc_issuer", "oidc_client_id", "oidc_client_secret", "oidc_operators")
_FIX: Final = f"write ROLE=VALUE, the role one of {', '.join(OperatorRole)}"


def issuer_of(value: Any) -> str:
    """Return an issuer, exactly as it is written. Raises `Unfit`."""
    if not isinstance(value, str) or len(value) > MAX_ISSUER_CHARS or (problem := url_problem(value)):
        why = (
            problem
            if isinstance(value, str) and len(value) <= MAX_ISSUER_CHARS
            else "it is no http or https URL"
        )
        raise Unfit(
            f"cannot be used: {why}", "write it as the provider does; plain http is for this machine only"
        )
    if "?" in value:
        raise Unfit("cannot be used: it has a query", "write the issuer, not the address of its document")
    return value


def client_id_of(value: Any) -> str:
    """Return a client id (RFC 6749 appendix A.1). Raises `Unfit`."""
    if not isinstance(value, str) or not re.fullmatch(r"[ -~]{1,500}", value):
        raise Unfit("has 1 to 500 visible ASCII characters")
    return value


def secret_of(value: Any) -> Secret:
    """Return a client's secret, or what it refers to. Raises `Unfit`."""
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not text or "\x00" in text:
        raise Unfit("is not a text")
    return Secret(text)


def claim_of(value: Any) -> str:
    """Return the name of a claim. Raises `Unfit`."""
    if not isinstance(value, str) or not _CLAIM.fullmatch(value):
        raise Unfit("is no name of a claim: 1 to 200 visible ASCII characters")
    return value


def scopes_of(value: Any) -> tuple[str, ...]:
    """Return scopes from one text or a list. Raises `Unfit`."""
    texts = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not 0 < len(texts) <= 50:
        raise Unfit("is not a list of scopes", "write it as in openid email groups")
    if not all(isinstance(text, str) and _SCOPE.fullmatch(text) for text in texts):
        raise Unfit("has a scope that cannot be")
    return tuple(texts)


def rules_of(value: Any) -> tuple[RoleRule, ...]:
    """Return which values make operators of which role: from a table, a list, or one text. Raises `Unfit`."""
    found = tuple(dict.fromkeys(_rules(value)))
    if len(found) > MOST_RULES:
        raise Unfit(f"has more than {MOST_RULES} values")
    return found


def _rules(value: Any) -> Iterator[RoleRule]:
    if isinstance(value, Mapping):
        for role, values in value.items():
            for one in (
                [values] if isinstance(values, str) else values if isinstance(values, list) else [None]
            ):
                yield _rule(role, one)
        return
    texts = _BETWEEN.split(value.strip()) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple):
        raise Unfit("is neither a table nor a list", _FIX)
    for text in texts:
        role, _, one = text.partition("=") if isinstance(text, str) else ("", "", "")
        yield _rule(role, one)


def _rule(role: Any, value: Any) -> RoleRule:
    if role not in list(OperatorRole):
        raise Unfit("names an unknown role", _FIX)
    if not isinstance(value, str) or not 0 < len(value) <= 500 or not value.isprintable():
        raise Unfit(f"has no value for the role {role}", _FIX)
    return RoleRule(OperatorRole(role), value)


# --- together -----------------------------------------------------------------------------------------------


def complaints(values: Mapping[str, Any], sources: Mapping[str, str]) -> Iterator[str]:
    """Tell which setting needs another one, by where it was given. Both are by name."""
    given = [name for name in _BELONG if values[name] not in (None, ())]
    for name in given:
        needs = "oidc_client_id" if name == "oidc_issuer" else "oidc_issuer"
        if needs not in given:
            yield f"{sources[name]}: {name}: needs {needs} as well (set it, or leave this one out)"


def openid_rules(values: Mapping[str, Any], sources: Sources, base: Path) -> OpenIdRules | None:
    """Return what the settings make, with the secret filled in; None: nobody signs in that way.

    Raises:
        ConfigError: what the secret refers to is missing. It is not quoted.
    """
    if values["oidc_issuer"] is None:
        return None
    secret = values["oidc_client_secret"]
    return OpenIdRules(
        values["oidc_issuer"],
        values["oidc_client_id"],
        None if secret is None else _filled(secret, sources, base),
        values["oidc_operators"],
        values["oidc_roles_claim"],
        values["oidc_name_claim"],
        values["oidc_trust_email"],
        values["oidc_scopes"],
    )


def _filled(secret: Secret, sources: Sources, base: Path) -> Secret:
    findings = Findings({})
    text = Expander(sources, base, findings).expand(secret.reveal(), "oidc_client_secret")
    for problem in findings.problems:
        raise ConfigError(f"oidc_client_secret: {problem.message}", fix=problem.fix)
    if not (text := (text or "").strip()):
        raise ConfigError("oidc_client_secret: it is empty", fix="write it, or leave the setting out")
    return Secret(text)
