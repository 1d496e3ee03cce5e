"""Material as operators give it: made fit, fingerprinted, warned of, and a wrong one of the same form."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from coatcheck.errors import Unfit
from coatcheck.model.secret import Secret

MAX_CHARS: Final = 32_768
"""Most characters of material: an environment variable may hold a whole key file."""
SHORT: Final = 8
"""Material with fewer characters can be guessed."""
_PRINT_DIGITS: Final = 16
_MAX_CLAIMS: Final = 16_384
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,31}) (?=\S+\Z)")
_KNOWN_SCHEMES: Final = frozenset(
    {"apikey", "api-key", "basic", "bearer", "digest", "dpop", "hmac", "key", "negotiate", "token"}
)
_JWT: Final = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]*", re.ASCII)
_WRONG: Final = "coatcheck-wrong-secret-"
_COMMON_WORDS: Final = """
    12345678 123456789 1234567890 abcd1234 abcdefgh adminadmin administrator asdfasdf asdfghjkl
    changeit change-me changeme changeme123 default default123 dummy dummytoken example foobar
    foobarbaz iloveyou letmein letmein1 masterkey mypassword mysecret my-secret mysecretpassword
    notasecret nothing p@ssw0rd p@ssword passw0rd password password1 password12 password123
    placeholder postgres postgrespassword princess qwerty qwerty123 qwertyui qwertyuiop root rootroot
    s3cr3t sample secret secret123 secretkey secret-key secrettoken secret-token sunshine superman
    supersecret super-secret test test1234 testing testing123 testpassword testtest token tokentoken
    topsecret trustno1 undefined welcome welcome1 welcome123 xxxxxxxx your-api-key your_api_key your-
    secret your-token your_token yourtoken zaq12wsx
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())


def material_of(before: Secret | None, new: str, *, lines: bool = False, scheme: bool = True) -> Secret:
    """Return new material. Where the one before is `<scheme> <token>`, one without a space keeps the scheme.

    `lines`: it only goes where line breaks can, into variables. `scheme` False: the one before goes into no
    header, so only a scheme that is well known counts as one; two words of a passphrase do not.

    Raises:
        Unfit: it is empty, too long, or has characters that cannot be sent.
    """
    if not new.strip():
        raise Unfit("the secret is empty", fix="give the whole value, on standard input or from a file")
    if len(new) > MAX_CHARS:
        raise Unfit(f"the secret has more than {MAX_CHARS} characters", fix="give the value alone")
    if new != new.strip(" ") or not all(_fits(char, lines) for char in new):
        raise Unfit(
            "the secret has spaces around it, line breaks or control characters",
            fix="give the value alone; line breaks are good only in what goes into environment variables",
        )
    kept = "" if before is None or " " in new else scheme_of(before, any_word=scheme)
    return Secret(kept + new)


def scheme_of(material: Secret, *, any_word: bool = True) -> str:
    """Return the scheme of `<scheme> <token>` with the space after it; empty if it is not of that form."""
    found = _SCHEME.match(material.reveal())
    if found is None or not (any_word or found[1].lower() in _KNOWN_SCHEMES):
        return ""
    return found[0]


def warnings_on(material: Secret) -> tuple[str, ...]:
    """Return one sentence for each thing that makes material easy to guess; it is stored all the same."""
    token = _token_of(material)
    if token.lower() in _COMMON:
        return ("the secret is a common word, which anyone can guess",)
    if len(token) < SHORT:
        return (f"the secret has fewer than {SHORT} characters, which can be guessed",)
    if len(set(token)) <= 2:
        return ("the secret repeats itself, which anyone can guess",)
    return ()


def printed(key: bytes, material: Secret) -> str:
    """Return the fingerprint of material under the key of `Purpose.CREDENTIAL_PRINT`."""
    said = material.reveal().encode("utf-8", "surrogatepass")
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:_PRINT_DIGITS]


def expiry_of(material: Secret) -> datetime | None:
    """Return when a JSON Web Token says that it expires (RFC 7519, 4.1.4); None for anything else."""
    found = _JWT.fullmatch(_token_of(material))
    if found is None or len(found[1]) > _MAX_CLAIMS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not 0 < end <= _LATEST:
        return None
    return datetime.fromtimestamp(int(end), UTC)


def expiry_told(text: str) -> datetime | None:
    """Return the time in the words of GitHub's header, such as `2027-01-31 12:00:00 UTC`; None for others."""
    try:
        told = datetime.strptime(text.replace("UTC", "+0000"), "%Y-%m-%d %H:%M:%S %z")
        return told.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def wrong_of(material: Secret) -> Secret:
    """Return an obviously wrong secret of the same form, which says of itself what it is.

    The scheme stays; of a URL with a password only the password is another, for the rest says where to go.
    It is never shorter than its mark.
    """
    scheme, token = scheme_of(material, any_word=False), _token_of(material)
    if scheme.lower().startswith("basic"):
        return Secret(scheme + _wrong_basic(token))
    parts = _url_of(token)
    if parts is not None:
        user, _, host = parts.netloc.rpartition("@")
        name = user.partition(":")[0]
        return Secret(scheme + urlunsplit(parts._replace(netloc=f"{name}:{_wrong(0)}@{host}")))
    return Secret(scheme + _wrong(len(token)))


def _wrong(length: int) -> str:
    return _WRONG + "0" * (length - len(_WRONG))


def _wrong_basic(token: str) -> str:
    """Return the same user with a wrong password (RFC 7617)."""
    try:
        user = base64.b64decode(token.encode("ascii"), validate=True).partition(b":")[0]
    except (ValueError, binascii.Error):
        user = b"coatcheck"
    return base64.b64encode(user + b":" + _WRONG.encode("ascii")).decode("ascii")


def _url_of(token: str) -> SplitResult | None:
    """Return the parts of a URL with a password in it, such as that of a database."""
    try:
        parts = urlsplit(token)
    except ValueError:
        return None
    return parts if parts.scheme and parts.password is not None else None


def _token_of(material: Secret) -> str:
    return material.reveal()[len(scheme_of(material, any_word=False)) :]


def _fits(char: str, lines: bool) -> bool:
    if char in "\n\r\t":
        return lines or char == "\t"
    return char >= " " and char != "\x7f" and not "\ud800" <= char <= "\udfff"
