"""How a client proves itself: checked by a library that is not ours."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from coatcheck.errors import Unfit
from coatcheck.model.oauth import AuthorizationServer, OauthClient
from coatcheck.model.secret import Secret
from coatcheck.upstream.oauth.proving import Proving, method_for
from doubles.clock import START, HandClock
from registered import SystemEntropy

SERVER = AuthorizationServer(
    "https://as.example", "https://as.example/token", methods=("client_secret_post",)
)


def prove(secret: str | None, method: str = "", id: str = "me") -> tuple[dict[str, str], str]:
    client = OauthClient(id, None if secret is None else Secret(secret), method)
    form, header = Proving(HandClock(), SystemEntropy()).prove(SERVER, client, {"grant_type": "x"})
    return form, "" if header is None else header.reveal()


def pem(key: Any) -> str:
    kind = serialization.PrivateFormat.PKCS8
    made: bytes = key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption())
    return made.decode()


def test_each_method() -> None:
    assert prove(None) == ({"grant_type": "x", "client_id": "me"}, "")
    assert prove("s", "none") == ({"grant_type": "x", "client_id": "me"}, "")
    assert prove("s") == ({"grant_type": "x", "client_id": "me", "client_secret": "s"}, "")
    form, header = prove("p:w +\u00e9", "client_secret_basic", "a b")
    assert form == {"grant_type": "x"}
    assert base64.b64decode(header.removeprefix("Basic ")) == b"a+b:p%3Aw+%2B%C3%A9"


def test_methods_are_chosen_of_what_is_offered() -> None:
    assert method_for(("none",), secret=True) == "none"
    assert method_for(("client_secret_post", "client_secret_basic"), secret=True) == "client_secret_basic"
    assert method_for(("private_key_jwt",), secret=True) == "client_secret_basic"
    assert method_for(("client_secret_basic",), secret=False) == "none"


@pytest.mark.parametrize("kind", ["ES256", "RS256"])
def test_assertions_are_good(kind: str) -> None:
    made: Any = (
        ec.generate_private_key(ec.SECP256R1()) if kind == "ES256" else rsa.generate_private_key(65537, 2048)
    )
    key = (ECKey if kind == "ES256" else RSAKey).import_key(pem(made))
    seen = set()
    for method in ("private_key_jwt", "private_key_jwt", ""):
        form, header = prove(pem(made), method)
        assert header == ""
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        read = jwt.decode(form["client_assertion"], key, algorithms=[kind])
        assert read.header["alg"] == kind
        assert (read.claims["iss"], read.claims["sub"], read.claims["aud"]) == ("me", "me", SERVER.issuer)
        assert read.claims["exp"] - read.claims["iat"] == 120
        assert read.claims["iat"] == int(START.timestamp())
        seen.add(read.claims["jti"])
    assert len(seen) == 3


def test_keys_that_are_not_used() -> None:
    wrong = [
        "no key",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
        base64.b64encode(os.urandom(200)).decode(),
    ]
    for text in wrong:
        with pytest.raises(Unfit, match="private key") as told:
            prove(text, "private_key_jwt")
        assert text not in str(told.value)
