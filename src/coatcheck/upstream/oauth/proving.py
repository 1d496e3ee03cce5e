"""How a client proves itself at a token endpoint (RFC 6749 section 2.3, RFC 7523)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus

from coatcheck.core.oauth import unpadded
from coatcheck.errors import Unfit
from coatcheck.model.oauth import AuthorizationServer, OauthClient
from coatcheck.model.secret import Secret
from coatcheck.ports import Clock, Entropy

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

NONE: Final = "none"
BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
KEY: Final = "private_key_jwt"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_PEM: Final = "-----BEGIN "
"""How a private key begins: a secret of that form is one, where nobody says how it is used."""
_SECONDS: Final = 120
"""How long an assertion is good for."""
_FIX: Final = "give a private key in PEM: EC on the curve P-256, or RSA with at least 2048 bits"


def method_for(offered: Sequence[str], *, secret: bool) -> str:
    """Return how to authenticate, of what a server offers; `secret`: there is one, or could be."""
    if not secret:
        return NONE
    return next((one for one in (BASIC, POST, NONE) if one in offered), BASIC)


class Proving:
    """Adds to a token request what shows that it is ours."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def prove(
        self, server: AuthorizationServer, client: OauthClient, form: dict[str, str]
    ) -> tuple[dict[str, str], Secret | None]:
        """Return the form with what goes into it, and the value of the Authorization header, if any.

        Raises:
            Unfit: the private key cannot be used.
        """
        secret = "" if client.secret is None else client.secret.reveal()
        usual = KEY if secret.startswith(_PEM) else method_for(server.methods, secret=bool(secret))
        method = client.method or usual
        if method == KEY:
            assertion = self._assertion(server, client.id, secret)
            proof = {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
            return {**form, "client_id": client.id, **proof}, None
        if method == BASIC and secret:
            return form, Secret(f"Basic {_basic(client.id, secret)}")
        if method == POST and secret:
            return {**form, "client_id": client.id, "client_secret": secret}, None
        return {**form, "client_id": client.id}, None

    def _assertion(self, server: AuthorizationServer, client: str, pem: str) -> str:
        now = int(self._clock.now().timestamp())
        algorithm, sign = _signer(pem)
        claims = {
            "iss": client,
            "sub": client,
            "aud": server.issuer,
            "iat": now,
            "exp": now + _SECONDS,
            "jti": unpadded(self._entropy.token(16)),
        }
        signed = ".".join(_part(one) for one in ({"alg": algorithm, "typ": "JWT"}, claims))
        return f"{signed}.{unpadded(sign(signed.encode('ascii')))}"


def _basic(id: str, secret: str) -> str:
    from base64 import b64encode

    return b64encode(f"{quote_plus(id)}:{quote_plus(secret)}".encode("ascii")).decode("ascii")


def _part(value: object) -> str:
    return unpadded(json.dumps(value, separators=(",", ":")).encode("utf-8"))


def _signer(pem: str) -> tuple[str, Callable[[bytes], bytes]]:
    """Return the name of the algorithm for a key, and what signs with it (RFC 7518 section 3)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem.encode("utf-8"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Unfit("the client's private key cannot be read", fix=_FIX) from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256", lambda signed: _sign_ec(key, signed)
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "RS256", lambda signed: _sign_rsa(key, signed)
    raise Unfit("the client's private key is of a kind that is not used", fix=_FIX)


def _sign_ec(key: EllipticCurvePrivateKey, signed: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    left, right = decode_dss_signature(key.sign(signed, ECDSA(SHA256())))
    return left.to_bytes(32, "big") + right.to_bytes(32, "big")


def _sign_rsa(key: RSAPrivateKey, signed: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(signed, PKCS1v15(), SHA256())
