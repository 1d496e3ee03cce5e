"""The form of our tokens: prefix, public id, 256-bit secret and checksum, so that scanners can find them.

`cckg_` + 12 characters of id + 43 of secret + 6 of checksum, each in base 62 (digits, upper case, lower
case). The checksum is the CRC-32 of everything before it, most significant digit first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
import zlib
from collections.abc import Callable
from typing import Final

GRANT_PREFIX: Final = "cckg_"
OPERATOR_PREFIX: Final = "ccka_"
CODE_PREFIX: Final = "cckb_"
"""Codes that are traded for a token, once."""
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_CHARS: Final = 12
SECRET_CHARS: Final = 43
CHECK_CHARS: Final = 6
PEPPER_BYTES: Final = 32
NO_PROOF: Final = "0" * 64
"""What an unknown token is compared with, so that it costs as much as a known one."""

_SHAPE = re.compile(r"cck[gabs]_[0-9A-Za-z]{61}\Z")
_WITHIN: Final = re.compile(r"(cck[gabs]_[0-9A-Za-z]{12})[0-9A-Za-z]{8,}")
_FOREIGN: Final = (
    (re.compile(r"gh[pousr]_|github_pat_"), "GitHub token"),
    (re.compile(r"glpat-|gldt-|glrt-"), "GitLab token"),
    (re.compile(r"xox[abeprs]-|xapp-"), "Slack token"),
    (re.compile(r"sk-ant-"), "Anthropic key"),
    (re.compile(r"sk-|sk_live_|sk_test_|rk_live_"), "secret API key"),
    (re.compile(r"sntry[su]_"), "Sentry token"),
    (re.compile(r"AKIA|ASIA"), "AWS access key"),
    (re.compile(r"AIza"), "Google API key"),
    (re.compile(r"npm_"), "npm token"),
    (re.compile(r"pypi-"), "PyPI token"),
    (re.compile(r"dop_v1_"), "DigitalOcean token"),
    (re.compile(r"hvs\.|hvb\."), "Vault token"),
    (re.compile(r"lin_api_"), "Linear key"),
    (re.compile(r"ntn_|secret_"), "Notion token"),
    (re.compile(r"eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\."), "JSON Web Token"),
)


def mint(random: Callable[[int], bytes], prefix: str = GRANT_PREFIX, public: str = "") -> str:
    """Make a token from a source of random bytes. Show it once; keep only its digest or what `prove` makes.

    `public` is the id to give it; empty for a new one.
    """
    public = public or _base62(int.from_bytes(random(ID_CHARS + 8)), ID_CHARS)
    secret = _base62(int.from_bytes(random(SECRET_CHARS)), SECRET_CHARS)
    body = prefix + public + secret
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the six characters that end a token whose other characters are `body`."""
    return _base62(zlib.crc32(body.encode("ascii")), CHECK_CHARS)


def looks_like_ours(text: str) -> bool:
    """Tell whether the text begins as our tokens do, whatever follows."""
    return text.startswith(("cckg_", "ccka_", "cckb_", "ccks_"))


def is_well_formed(text: str) -> bool:
    """Tell whether the text has the shape of our tokens and its checksum agrees."""
    return bool(_SHAPE.match(text)) and checksum(text[:-CHECK_CHARS]) == text[-CHECK_CHARS:]


def foreign_kind(text: str) -> str | None:
    """Name the kind of service token that the text looks like, or None."""
    for pattern, kind in _FOREIGN:
        if pattern.match(text):
            return kind
    return None


def left_out(text: str) -> str:
    """Return a text without the secrets of tokens of ours in it, whole or cut off; their ids stay."""
    return _WITHIN.sub(r"\1***", text) if "cck" in text else text


def digest(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal: 256 random bits need no slower function."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def public_id(token: str) -> str:
    """Return the public id of a well-formed token."""
    return token[len(GRANT_PREFIX) : len(GRANT_PREFIX) + ID_CHARS]


class Pepper:
    """The key outside the database without which what is kept of a token cannot be tested."""

    def __init__(self, key: bytes) -> None:
        if len(key) < PEPPER_BYTES:
            raise ValueError(f"a pepper has {PEPPER_BYTES} bytes")
        self._key = key

    def __repr__(self) -> str:
        return "Pepper(...)"

    def prove(self, token: str) -> str:
        """Return the HMAC-SHA-256 (RFC 2104) of the whole token, as 64 hexadecimal digits."""
        return hmac.digest(self._key, token.encode("utf-8"), "sha256").hex()

    def print_of(self, token: str) -> str:
        """Return the print of what was presented: 16 hexadecimal digits, with which nobody can try texts out.

        No text that proves something can be had from it: a proof is over a token, and no token has a newline.
        """
        return hmac.digest(self._key, b"coatcheck print\n" + token.encode("utf-8"), "sha256").hex()[:16]

    def fits(self, token: str, proof: str) -> bool:
        """Tell in constant time whether the proof is the token's. No token fits an empty proof."""
        return hmac.compare_digest(proof or NO_PROOF, self.prove(token))


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 62)
        digits.append(ALPHABET[rest])
    return "".join(reversed(digits))
