"""What operators may write: names, labels, globs and times, judged before anything is made of them."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Final

from coatcheck.core import names, tokens
from coatcheck.errors import Unfit

MAX_LABEL_CHARS: Final = 100
MAX_NAME_CHARS: Final = 256
MAX_NOTE_CHARS: Final = 1_000
MAX_TOOLS: Final = 200
MAX_PATTERN_CHARS: Final = 256
MAX_ROLES: Final = 100
LONGEST_LIFE: Final = timedelta(days=3660)
_RESERVED: Final = frozenset({"anonymous", "*", "operator"})
_OPERATOR: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_ACTORS: Final = frozenset({"file", "gateway", "local", "openid"})
"""What makes changes without being an operator."""
_FILE_ID: Final = "file-"
_FORMULA: Final = ("-", "+", "=", "@")
"""What a spreadsheet takes for the beginning of a formula; lists of grants are opened in spreadsheets."""


def label_of(text: str) -> str:
    """Return a label.

    Raises:
        Unfit: it is empty, too long, not visible, or could be taken for something else.
    """
    label = _visible(text, "a label", MAX_LABEL_CHARS)
    if label.startswith((*_FORMULA, _FILE_ID)):
        raise Unfit(
            f"a label does not begin with {' '.join(_FORMULA)} or {_FILE_ID}", fix="choose another label"
        )
    return label


def subject_of(text: str) -> str:
    """Return the name of a subject. Raises as `label_of`."""
    name = _visible(text, "the name of an owner", MAX_NAME_CHARS)
    if name in _RESERVED or name.startswith("-") or not unicodedata.is_normalized("NFC", name):
        raise Unfit(f"{name!r} cannot be the name of an owner", fix="choose another name")
    return name


def operator_of(text: str) -> str:
    """Return the name of an operator. Raises as `label_of`."""
    if not _OPERATOR.fullmatch(text) or text in _ACTORS:
        raise Unfit(
            "the name of an operator has 1 to 64 lower case letters, digits and . _ @ -",
            fix=f"choose another name; {', '.join(sorted(_ACTORS))} are taken",
        )
    return text


def note_of(text: str, what: str = "a note") -> str:
    """Return a remark of an operator, such as why something ended. Raises as `label_of`."""
    if len(text) > MAX_NOTE_CHARS or not all(char.isprintable() or char in "\n\t" for char in text):
        raise Unfit(f"{what} has at most {MAX_NOTE_CHARS} visible characters")
    _refuse_secrets(text, what)
    return text


def roles_of(roles: frozenset[str]) -> frozenset[str]:
    """Return role names. Raises as `label_of`."""
    if len(roles) > MAX_ROLES:
        raise Unfit(f"a subject has at most {MAX_ROLES} roles")
    return frozenset(_visible(role, "a role", MAX_NAME_CHARS) for role in roles)


def tools_of(tools: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the globs that a grant is narrowed to, each once. Raises as `label_of`."""
    if tools is None:
        return None
    if not 1 <= len(tools) <= MAX_TOOLS:
        raise Unfit(f"a grant is narrowed to 1 to {MAX_TOOLS} tools", fix="leave tools out for all of them")
    for pattern in tools:
        fits = 0 < len(pattern) <= MAX_PATTERN_CHARS and pattern.isprintable() and " " not in pattern
        if not fits or (names.SEPARATOR not in pattern and "*" not in pattern):
            raise Unfit(f"{pattern!r} names no tool", fix="write server__tool; only * is special in it")
    return tuple(dict.fromkeys(tools))


def approved_of(tools: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return the globs that the default of a server is narrowed to, each once. Raises as `label_of`."""
    if tools is None:
        return None
    if len(tools) > MAX_TOOLS:
        raise Unfit(f"at most {MAX_TOOLS} globs approve tools", fix="use * in them, or make a policy")
    for pattern in tools:
        if not (0 < len(pattern) <= MAX_PATTERN_CHARS and pattern.isprintable() and " " not in pattern):
            raise Unfit(f"{pattern!r} names no tool", fix="write the server's own name; only * is special")
    return tuple(dict.fromkeys(tools))


def end_of(moment: datetime | None, now: datetime) -> datetime | None:
    """Return when something is to end. Raises as `label_of`."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise Unfit("a time needs its offset from UTC", fix="write it as in 2027-01-31T12:00:00Z")
    if not now < moment <= now + LONGEST_LIFE:
        raise Unfit(
            "the end lies in the past or more than ten years ahead", fix="name a later or nearer one, or none"
        )
    return moment


def end_in(days: int | None, now: datetime) -> datetime | None:
    """Return when what lasts so many days is to end; None: never. Raises as `label_of`."""
    if days is None:
        return None
    if not 0 < days <= LONGEST_LIFE.days:
        raise Unfit(f"it lasts 1 to {LONGEST_LIFE.days:,} days", fix="leave the days out for no end")
    return now + timedelta(days=days)


def _visible(text: str, what: str, most: int) -> str:
    if not text or len(text) > most or not text.isprintable() or text != text.strip():
        raise Unfit(f"{what} has 1 to {most} visible characters, and no space before or after")
    _refuse_secrets(text, what)
    return text


def _refuse_secrets(text: str, what: str) -> None:
    words = text.split()
    if any(tokens.looks_like_ours(word) and len(word) > len(tokens.GRANT_PREFIX) for word in words):
        raise Unfit(f"{what} holds a token; it would be seen by many", fix="leave it out, and end that token")
    if any(tokens.foreign_kind(word) and len(word) >= 20 for word in words):
        raise Unfit(f"{what} holds a secret; it would be seen by many", fix="leave it out, and rotate it")
