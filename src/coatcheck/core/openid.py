"""Judging what an OpenID provider sends: ID tokens, keys and claims.

Sources: OpenID Connect Core 1.0, RFC 7515, RFC 7517, RFC 7519, RFC 8725, RFC 9207. Claims are JSON as
`core.wire.strict` reads it: integers are texts.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.oauth import unpadded
from coatcheck.errors import OpenIdRefused
from coatcheck.model.openid import OpenIdRules
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret

Claims = Mapping[str, Any]

FAMILIES: Final[Mapping[str, str]] = {
    "RS256": "RSA",
    "PS256": "RSA",
    "ES256": "EC",
    "EdDSA": "OKP",
    "Ed25519": "OKP",
}
"""The algorithms that are taken, with the kind of key of each: never `none` or one with a shared secret."""
ASK_ADMIN: Final = "begin anew; if it happens again, an admin finds the reason in the log of Coatcheck"
"""What somebody can do whom the provider's answer does not let in."""
LEEWAY: Final = 60.0
"""Seconds that two clocks may differ by."""
MAX_KEYS: Final = 100
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}
_BITS: Final = (2048, 8192)
_DIGESTS: Final = {"EdDSA": hashlib.sha512, "Ed25519": hashlib.sha512}
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?\Z")
_SUBJECT: Final = re.compile(r"[!-~]{1,255}\Z")
_TYPES: Final = ("", "jwt", "application/jwt")
STRONGEST_FIRST: Final = (
    OperatorRole.ADMIN,
    OperatorRole.POLICY_MANAGER,
    OperatorRole.AUDITOR,
    OperatorRole.VIEWER,
)


def document_url(issuer: str) -> str:
    """Return where the document of an issuer is (OpenID Connect Discovery 1.0 section 4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def unusable(because: str) -> OpenIdRefused:
    """Return the refusal of what a provider sent; `because` is for the log: no stranger needs to know it."""
    return OpenIdRefused("what the provider sent cannot be used", fix=ASK_ADMIN, because=because)


# --- the head of a token, and its key -----------------------------------------------------------------------


def head_problem(head: Claims) -> str:
    """Return why a token with this head is not used; empty if it may be (RFC 8725 sections 3.1, 3.11)."""
    algorithm = head.get("alg")
    if not isinstance(algorithm, str) or algorithm not in FAMILIES:
        return f"it is not signed with {', '.join(FAMILIES)}"
    if "crit" in head:
        return "it has extensions that must be understood"
    if str(head.get("typ", "")).lower() not in _TYPES:
        return "it is a token of another kind"
    return ""


def usable_keys(document: Claims) -> tuple[Claims, ...]:
    """Return the public keys of a JWK set that an ID token may be signed with; all else is passed over."""
    keys = document.get("keys")
    return tuple(key for key in keys[:MAX_KEYS] if _is_usable(key)) if isinstance(keys, list) else ()


def keys_for(head: Claims, keys: Iterable[Claims]) -> tuple[Claims, ...]:
    """Return the keys that may have signed a token with this head: the one it names, else all of its kind."""
    algorithm, named = str(head.get("alg")), head.get("kid")
    fit = [key for key in keys if key["kty"] == FAMILIES.get(algorithm)]
    fit = [key for key in fit if key.get("alg") in (None, algorithm)]
    return tuple(key for key in fit if named is None or key.get("kid") == named)


def _is_usable(key: object) -> bool:
    if not isinstance(key, dict) or key.get("use", "sig") != "sig":
        return False
    operations = key.get("key_ops")
    if isinstance(operations, list) and "verify" not in operations:
        return False
    kind = key.get("kty")
    if kind == "RSA":
        modulus = key.get("n")
        size = len(modulus) * 6 if isinstance(modulus, str) else 0
        return _BITS[0] <= size <= _BITS[1] + 16 and isinstance(key.get("e"), str)
    return isinstance(kind, str) and kind in _CURVES and key.get("crv") == _CURVES[kind]


# --- the claims of an ID token ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token must say; `now` in Unix seconds."""

    issuer: str
    client_id: str
    nonce: str
    now: float


def token_problem(claims: Claims, algorithm: str, access: Secret, expected: Expected) -> str:
    """Return why an ID token is not good (OpenID Connect Core 1.0 section 3.1.3.7); empty if it is."""
    if claims.get("iss") != expected.issuer:
        return "its issuer is another one"
    if not _SUBJECT.match(text_of(claims, "sub")):
        return "it names no subject"
    if not _same(text_of(claims, "nonce"), expected.nonce):
        return "it was not made for this sign-in"
    problem = audience_problem(claims, expected.client_id) or time_problem(claims, expected.now)
    if not problem and "at_hash" in claims:
        said = text_of(claims, "at_hash")
        problem = "" if _same(said, access_hash(access, algorithm)) else "it belongs to another access token"
    return problem


def audience_problem(claims: Claims, client_id: str) -> str:
    """Return why a token is not for us; empty if it is."""
    said = claims.get("aud")
    audience = [said] if isinstance(said, str) else said
    if not isinstance(audience, list) or client_id not in audience:
        return "it is for another client"
    party = claims.get("azp")
    if party is None and len(audience) > 1:
        return "it is for several clients, and does not say whom it was given to"
    return "" if party in (None, client_id) else "it was given to another client"


def time_problem(claims: Claims, now: float) -> str:
    """Return why a token is not good at this time; empty if it is."""
    ends, made = _seconds(claims.get("exp")), _seconds(claims.get("iat"))
    if ends is None or made is None:
        return "it does not say when it was made and ends"
    if ends <= now - LEEWAY:
        return "it has expired"
    begins = made if "nbf" not in claims else _seconds(claims["nbf"])
    if begins is None or max(made, begins) > now + LEEWAY:
        return "it is from the future: compare the clocks of this machine and the provider"
    return ""


def is_fresh(claims: Claims, since: float, now: float) -> bool:
    """Tell whether the provider had proof of the person after `since` (`auth_time`, Core section 2)."""
    at = _seconds(claims.get("auth_time"))
    return at is not None and since - LEEWAY <= at <= now + LEEWAY


def access_hash(access: Secret, algorithm: str) -> str:
    """Return what `at_hash` must be (OpenID Connect Core 1.0 section 3.1.3.6)."""
    digest = _DIGESTS.get(algorithm, hashlib.sha256)(access.reveal().encode("utf-8")).digest()
    return unpadded(digest[: len(digest) // 2])


# --- what the claims mean here ------------------------------------------------------------------------------


def is_lacking(claims: Claims, rules: OpenIdRules) -> bool:
    """Tell whether a claim that we go by is missing, so that the provider is to be asked for more."""
    wanted = {rules.name_claim} | ({rules.roles_claim} if rules.operators else set())
    if rules.name_claim == "email" and not rules.trust_email:
        wanted.add("email_verified")
    return any(claim_of(claims, name) is None for name in wanted)


def merged(claims: Claims, more: Claims) -> Claims | None:
    """Return claims with those of the UserInfo endpoint below them; None: that is about somebody else."""
    return {**more, **claims} if more.get("sub") == claims.get("sub") else None


def name_of(claims: Claims, rules: OpenIdRules) -> tuple[str, str]:
    """Return what a person is called here, or why that cannot be told."""
    said = claim_of(claims, rules.name_claim)
    if (
        not isinstance(said, str)
        or not 0 < len(said) <= 256
        or not said.isprintable()
        or said != said.strip()
    ):
        return "", f"the provider gives no claim {rules.name_claim}"
    if rules.name_claim == "email" and not rules.trust_email and not is_verified(claims):
        return "", "the provider does not say that the address is verified"
    return said, ""


def is_verified(claims: Claims) -> bool:
    """Tell whether the provider stands by the address. Some write the word as a text."""
    said = claims.get("email_verified")
    return said is True or said == "true"


def role_of(claims: Claims, rules: OpenIdRules) -> OperatorRole | None:
    """Return the strongest role that the claims give."""
    said = claim_of(claims, rules.roles_claim)
    values = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    have = {value for value in values if isinstance(value, str)}
    given = {rule.role for rule in rules.operators if rule.value in have}
    return next((role for role in STRONGEST_FIRST if role in given), None)


def is_left_out(claims: Claims, rules: OpenIdRules) -> bool:
    """Tell whether the provider has more to say of roles elsewhere (Core 5.6.2, such as over 200 groups)."""
    elsewhere = claims.get("_claim_names")
    return isinstance(elsewhere, dict) and rules.roles_claim in elsewhere


def claim_of(claims: Claims, name: str) -> Any:
    """Return a claim by its name, or the path to it, such as `realm_access.roles`; None if there is none."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def text_of(claims: Claims, name: str) -> str:
    """Return a claim that is a text; empty if it is none."""
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _same(said: str, wanted: str) -> bool:
    return bool(wanted) and hmac.compare_digest(said.encode("utf-8"), wanted.encode("utf-8"))


def _seconds(said: object) -> float | None:
    """Return a NumericDate (RFC 7519 section 2)."""
    if isinstance(said, bool) or not isinstance(said, str | float):
        return None
    return float(said) if _NUMBER.match(f"{said:.6f}" if isinstance(said, float) else said) else None
