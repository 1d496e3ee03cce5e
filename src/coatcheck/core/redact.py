"""Finds secrets in what a server sends, in the encodings they come back in, and takes them out.

A server that echoes its credential does so raw, JSON-escaped, percent-encoded, in base64 or in hex. JSON
stays JSON: replaced is what stands inside a string; a number that holds a secret becomes a string.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from coatcheck.core.surroundings import env_secrets
from coatcheck.core.wire import messages
from coatcheck.model.call import Fault, Notice, Reply, Result

MARK: Final = "[redacted]"
MIN_CHARS: Final = 8
"""Shorter material is not looked for: it would be found everywhere."""

_NESTED: Final = 3
"""How deep JSON within the strings of JSON is looked through: tool results hold JSON that holds JSON."""

_LAST_FEW: Final = 8
"""How many of the secrets that follow each other may still come back in answers."""

_MARK: Final = MARK.encode("ascii")
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
_ASCII_ESCAPE: Final = re.compile(rb"\\u00[2-7]")
_PLAIN_ESCAPE: Final = re.compile(rb"\\(?:u00([2-7][0-9a-fA-F])|(/))")


class Redactor:
    """Replaces every occurrence of some secrets by `[redacted]`. Never shows what it looks for."""

    __slots__ = ("_learnt", "_pattern", "_secrets", "_spellings")

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(sorted({s for s in secrets if len(s) >= MIN_CHARS}, key=len, reverse=True))
        self._learnt: tuple[str, ...] = ()
        self._prepare()

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets) + len(self._learnt)} secrets)"

    def learn(self, secret: str) -> None:
        """Look for another secret as well: one of those that follow each other; the last few count."""
        if len(secret) >= MIN_CHARS and secret not in self._learnt:
            self._learnt = (secret, *self._learnt)[:_LAST_FEW]
            self._prepare()

    def _prepare(self) -> None:
        secrets = (*self._secrets, *self._learnt)
        self._spellings = _shortest({spelling for secret in secrets for spelling in _spellings(secret)})
        self._pattern = re.compile(b"|".join(map(re.escape, self._spellings)) or b"(?!)")

    def redact(self, document: bytes) -> bytes:
        """Return a JSON document without the secrets, and still JSON; the same object if it had none."""
        if not self._suspects(document):
            return document
        clean = _TOKEN.sub(self._redact_token, document)
        if self._found_in(clean):
            clean = self._redact_structure(clean)
        return clean

    def redact_text(self, text: str) -> str:
        """Return any text (no JSON) without the secrets."""
        raw = text.encode("utf-8", "surrogatepass")
        if not self._found_in(raw):
            return text
        return self._pattern.sub(_MARK, raw).decode("utf-8", "replace")

    def redact_reply(self, reply: Reply) -> Reply:
        """Return a server's reply without the secrets; the same object if it had none."""
        if isinstance(reply, Result):
            raw = self.redact(reply.raw)
            return reply if raw is reply.raw else Result(raw)
        message = self.redact_text(reply.message)
        data = None if reply.data is None else self.redact(reply.data)
        if message is reply.message and data is reply.data:
            return reply
        return Fault(reply.code, message, data)

    def redact_notice(self, notice: Notice) -> Notice:
        """Return a server's notification without the secrets; the same object if it had none."""
        params = self.redact(notice.params)
        method = self.redact_text(notice.method)
        if params is notice.params and method is notice.method:
            return notice
        return Notice(method, params)

    def _found_in(self, document: bytes) -> bool:
        # One search per spelling beats one alternation by far: the search for a literal is memchr and
        # friends, while the alternation tries every branch at every byte.
        for spelling in self._spellings:  # noqa: SIM110 - a generator would double the time
            if spelling in document:
                return True
        return False

    def _suspects(self, document: bytes) -> bool:
        if self._found_in(document):
            return True
        if b"\\/" not in document and _ASCII_ESCAPE.search(document) is None:
            return False
        # Some servers escape plain characters: "/" (PHP), "+" and "<" (.NET, Go).
        return self._found_in(_PLAIN_ESCAPE.sub(_unescape, document))

    def _redact_token(self, match: re.Match[bytes]) -> bytes:
        token = match[0]
        if not token.startswith(b'"'):
            return b'"%b"' % _MARK if self._found_in(token) else token
        try:
            text = json.loads(token, strict=False)
        except ValueError:
            return token
        clean = self.redact_text(text)
        return token if clean == text else messages.raw_of(clean)

    def _redact_structure(self, document: bytes) -> bytes:
        """Take out a secret that is itself JSON and was echoed as such, or else everything."""
        clean = self._pattern.sub(b'"%b"' % _MARK, document)
        try:
            json.loads(clean)
        except (ValueError, RecursionError):
            return b'{"%b":true}' % _MARK
        return clean


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]) if match[1] else b"/"


# --- spellings -------------------------------------------------------------------------------------------


def _spellings(secret: str) -> Iterator[bytes]:
    """Yield the secret in every encoding that is looked for, each as bytes."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield raw
    for ascii_only in (False, True):
        text = secret
        for _ in range(_NESTED):
            text = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
            yield text.encode("utf-8", "surrogatepass")
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted.encode("ascii")
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted).encode("ascii")
    yield raw.hex().encode("ascii")
    yield raw.hex().upper().encode("ascii")
    for shift in range(3):
        core = _base64_core(raw, shift)
        yield core
        yield core.translate(bytes.maketrans(b"+/", b"-_"))


def _shortest(spellings: set[bytes]) -> tuple[bytes, ...]:
    """Drop the spellings that hold another one (`Bearer x` holds `x`), and any that our mark holds."""
    kept: list[bytes] = []
    for spelling in sorted(spellings, key=len):
        if spelling not in _MARK and not any(shorter in spelling for shorter in kept):
            kept.append(spelling)
    return tuple(kept)


def _base64_core(raw: bytes, shift: int) -> bytes:
    """Return the part of the base64 form that is the same whatever stands before and after `raw`.

    `shift` is the number of bytes, modulo 3, that stand before it.
    """
    encoded = base64.b64encode(b"\0" * shift + raw)
    first = (0, 2, 3)[shift]
    last = (shift + len(raw)) * 8 // 6
    return encoded[first:last]


# --- what is secret -------------------------------------------------------------------------------------

_PUBLIC_HEADERS: Final = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-type",
        "host",
        "origin",
        "referer",
        "user-agent",
    }
)


def header_secrets(name: str, value: str) -> Iterator[str]:
    """Yield what must not come back of a header that we send: its value, and the parts that are secrets.

    Of `Authorization: <scheme> <material>` the material is one, of `Basic` also what it encodes
    (RFC 7617). Headers that never hold a credential, such as `Content-Type`, yield nothing.
    """
    if name.lower() in _PUBLIC_HEADERS:
        return
    yield value
    scheme, _, material = value.strip().partition(" ")
    if not material:
        return
    material = material.strip()
    yield material
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(material, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            return
        yield pair
        yield pair.partition(":")[2]


def material_secrets(material: str) -> Iterator[str]:
    """Yield what must not come back of material wherever it goes: it, its parts, a password in a URL."""
    yield from header_secrets("authorization", material)
    yield from env_secrets({"secret": material})


_CREDENTIAL_NAME: Final = re.compile(r"key|token|secret|pass|auth|sig|code|cred|jwt", re.IGNORECASE)


def url_secrets(target: str, shown_url: str) -> Iterator[str]:
    """Yield what must not come back of the path and query that we dial.

    These are the parts of the path that `shown_url` leaves out, since a variable was expanded there, and
    the values of query parameters with the name of a credential.
    """
    path, _, query = target.partition("?")
    yield from (part for part in path.split("/") if part and part not in shown_url)
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value and _CREDENTIAL_NAME.search(name):
            yield value
