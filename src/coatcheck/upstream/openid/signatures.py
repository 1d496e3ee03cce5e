"""Proves the signature of an ID token, by `joserfc` and with the algorithms that we name."""

from __future__ import annotations

import base64
import binascii
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core import openid
from coatcheck.core.wire import strict
from coatcheck.errors import CallerError, ConfigError

MAX_HEAD_BYTES: Final = 4096
MAX_TOKEN_CHARS: Final = 64 * 1024


class BadToken(Exception):
    """An ID token that is none, or is not signed by the provider. The text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A token in its parts; nothing is proven. `head` is fit to look for keys."""

    token: str
    head: Mapping[str, Any]


def check_installed() -> None:
    """See whether what signatures are proven with is there.

    Raises:
        ConfigError: it is not; says what to run.
    """
    try:
        import joserfc  # noqa: F401 - an extra: there or not
    except ImportError:
        raise ConfigError(
            "signing in with OpenID Connect needs joserfc, which is not installed",
            fix="run: pip install 'coatcheck[oidc]'",
        ) from None


def take_apart(token: str) -> Signed:
    """Return a token with its head read, where that is one that we take.

    Raises:
        BadToken: it is no signed token (an encrypted one has five parts), or its head is refused.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN_CHARS or len(parts[0]) > MAX_HEAD_BYTES:
        raise BadToken("it is no signed token")
    head = _object(_decoded(parts[0]))
    if problem := openid.head_problem(head):
        raise BadToken(problem)
    return Signed(token, head)


def prove(signed: Signed, keys: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the claims of a token that one of these keys has signed.

    Raises:
        BadToken: none of them has.
    """
    algorithm = str(signed.head["alg"])
    for key in openid.keys_for(signed.head, keys):
        payload = _proven(signed.token, key, algorithm)
        if payload is not None:
            return _object(payload)
    raise BadToken("its signature is not the provider's")


def _proven(token: str, key: Mapping[str, Any], algorithm: str) -> bytes | None:
    """Return the payload of a token if this key signed it."""
    from joserfc import jws  # 20 ms, when first needed
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = MAX_HEAD_BYTES
    public = {name: value for name, value in key.items() if name in _PUBLIC}
    try:
        with warnings.catch_warnings():  # EdDSA, which providers still write, is an old name (RFC 9864)
            warnings.simplefilter("ignore")
            found = jws.deserialize_compact(token, JWKRegistry.import_key(public), registry=registry)
    except (JoseError, ValueError, TypeError, KeyError):  # a key of nonsense raises any of these
        return None
    return found.payload


_PUBLIC: Final = frozenset({"kty", "n", "e", "crv", "x", "y"})
"""The members of a public key: nothing else of what was fetched is given on."""


def _decoded(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("it is no signed token") from None


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        value = strict.read(raw)
    except CallerError:
        value = None
    if not isinstance(value, dict):
        raise BadToken("it holds no clear JSON object")
    return value
