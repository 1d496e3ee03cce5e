"""What a child of ours is given as its environment, and which values of it must not come back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

_PASSED_ON: Final = frozenset(
    {"PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "COMSPEC", "PATHEXT", "WINDIR"}
)
_LOCALE: Final = ("LC_ALL", "LC_CTYPE", "LANG")
DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"

_CREDENTIAL_NAME: Final = re.compile(
    r"key|token|secret|pass|pwd|auth|sig|cred|jwt|cookie|private|pat$|dsn", re.IGNORECASE
)
_PIECE = r"(?:[A-Za-z]{1,16}|[0-9]{1,4}[a-z]?)"
_WORDS: Final = re.compile(rf"{_PIECE}(?:[-._/:@+ ,]{_PIECE})*\Z")
_PATHS: Final = re.compile(r"(?:/[^/:\s]*)+(?::(?:/[^/:\s]*)+)*\Z")


def environment(ambient: Mapping[str, str], home: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return a child's environment: of `ambient` only what is on the list, then HOME, then its own.

    A child always has a PATH and, if nobody names a locale, a UTF-8 one.
    """
    env = {name: value for name, value in ambient.items() if _is_passed_on(name)}
    env.setdefault("PATH", DEFAULT_PATH)
    env["HOME"] = home
    env.update(own)
    if not any(env.get(name) for name in _LOCALE):
        env["LANG"] = "C.UTF-8"
    return env


def _is_passed_on(name: str) -> bool:
    return name.upper() in _PASSED_ON or name.startswith("LC_")


def env_secrets(own: Mapping[str, str]) -> Iterator[str]:
    """Yield the values of a server's own environment that must not come back from it.

    Left out, unless the name tells of a credential, is what results are full of: words and small numbers
    (`production`, `us-east-1`, `db.example.com`), paths, and URLs with neither a password nor a query.
    """
    for name, value in own.items():
        if looks_secret(name) or not _is_ordinary(value):
            yield value
        if password := _password_of(value):
            yield password
            yield unquote(password)


def looks_secret(name: str) -> bool:
    """Tell whether a variable has the name of a credential."""
    return _CREDENTIAL_NAME.search(name) is not None


def _is_ordinary(value: str) -> bool:
    if _WORDS.match(value) or _PATHS.match(value):
        return True
    if "://" not in value:
        return False
    try:
        url = urlsplit(value)
    except ValueError:
        return False
    return url.scheme in {"http", "https", "file"} and not (url.query or url.fragment or "@" in url.netloc)


def _password_of(value: str) -> str | None:
    if "://" not in value:
        return None
    try:
        return urlsplit(value).password
    except ValueError:
        return None
