"""An OpenID provider by script on one real socket: it does all right, but for what a test changes."""

from __future__ import annotations

import asyncio
import hmac
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from coatcheck.core.oauth import code_challenge, unpadded
from coatcheck.core.openid import access_hash
from coatcheck.model.openid import OpenIdRules
from coatcheck.model.secret import Secret
from coatcheck.ports import Clock
from upstream.raw_servers import RawServer, Request, message, plain

Claims = dict[str, Any]
RSA = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"}, private=True)
EC = ECKey.generate_key("P-256", {"kid": "ec"}, private=True)
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"}, private=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SHORT = RSAKey.generate_key(1024, {"kid": "short"}, private=True)
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/elsewhere\r\nContent-Length: 0\r\n\r\n"
KEYS: dict[str, Key] = {"RS256": RSA, "PS256": RSA, "ES256": EC, "EdDSA": ED, "Ed25519": ED}


def signed(claims: object, algorithm: str = "RS256", key: Key | None = None, **head: Any) -> str:
    """Return a token, by any algorithm and key."""
    key = key or KEYS[algorithm]
    raw = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    header = {"alg": algorithm, "kid": key.kid, **head}
    header = {name: value for name, value in header.items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        return jws.serialize_compact(header, raw, key, registry=registry)


def with_shared_secret(claims: Claims) -> str:
    """Return a token of the old trick: the public key, taken for a shared secret."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "rsa"}, claims)]
    text = ".".join(map(unpadded, parts))
    return f"{text}.{unpadded(hmac.digest(RSA.as_pem(private=False), text.encode(), 'sha256'))}"


@dataclass
class Provider:
    """Change a field to have it behave in another way."""

    clock: Clock
    claims: Claims = field(default_factory=dict)
    """Put into the ID token; None takes one out."""
    person: Claims = field(
        default_factory=lambda: {"sub": "u-1", "email": "ann@example.com", "email_verified": True}
    )
    about: Claims | None = None
    """What the UserInfo endpoint says; None: there is none."""
    document: Claims = field(default_factory=dict)
    pages: dict[str, bytes] = field(default_factory=dict)
    """Whole answers by path, instead of anything else."""
    make: Callable[[Claims], str] = signed
    keys: list[Key] = field(default_factory=lambda: [RSA, EC, ED])
    answer_more: dict[str, str | None] = field(default_factory=dict)
    """Added to what the browser comes back with; None takes something out."""
    lenient: bool = False
    """Takes a code twice, and with any verifier."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    made: int = 0

    async def __aenter__(self) -> Provider:
        self.server = await RawServer(self._answer).__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.__aexit__(*exc)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def rules(self, **changes: Any) -> OpenIdRules:
        return OpenIdRules(self.issuer, "coatcheck", Secret("planted-client-secret"), **changes)

    def authorize(self, url: str) -> list[tuple[str, str]]:
        """Do what a browser does with a link, and return the query that it comes back with."""
        asked = dict(parse_qsl(urlsplit(url).query))
        self.made += 1
        code = f"planted-code-{self.made}"
        self.codes[code] = asked
        said = {"code": code, "state": asked["state"], "iss": self.issuer, **self.answer_more}
        return [(name, value) for name, value in said.items() if value is not None]

    # --- what comes ----------------------------------------------------------------------------------------

    async def _answer(self, request: Request, out: asyncio.StreamWriter) -> None:
        path = request.line.split()[1]
        self.paths.append(path)
        if path in self.pages:
            out.write(self.pages[path])
        elif path == "/.well-known/openid-configuration":
            out.write(plain(message(self._document())))
        elif path == "/keys":
            out.write(plain(message({"keys": [key.as_dict(private=False) for key in self.keys]})))
        elif path == "/about" and self.about is not None:
            assert request.headers["authorization"].startswith("Bearer planted-access-")
            out.write(plain(message(self.about)))
        elif path == "/token":
            out.write(self._token(request))
        else:
            out.write(plain(b"{}", status="404 Not Found"))

    def _document(self) -> Claims:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_response_iss_parameter_supported": True,
            **({"userinfo_endpoint": f"{self.issuer}/about"} if self.about is not None else {}),
            **self.document,
        }
        return {name: value for name, value in said.items() if value is not None}

    def _token(self, request: Request) -> bytes:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self.asked.append(form)
        asked = self.codes.get(form["code"]) if self.lenient else self.codes.pop(form["code"], None)
        good = asked is not None and code_challenge(form["code_verifier"]) == asked["code_challenge"]
        if asked is None or not (good or self.lenient) or form["redirect_uri"] != asked["redirect_uri"]:
            said = {"error": "invalid_grant", "error_description": "planted-description"}
            return plain(message(said), status="400 Bad Request")
        access = f"planted-access-{self.made}"
        token = self.make(self._claims(asked, access))
        return plain(message({"access_token": access, "token_type": "Bearer", "id_token": token}))

    def _claims(self, asked: dict[str, str], access: str) -> Claims:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "nonce": asked["nonce"],
            "iat": now,
            "exp": now + 300,
            "at_hash": access_hash(Secret(access), "RS256"),
            **({"auth_time": now} if "max_age" in asked else {}),
            **self.person,
            **self.claims,
        }
        return {name: value for name, value in claims.items() if value is not None}
