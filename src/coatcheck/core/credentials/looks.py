"""Tells what looks like a credential: by the name that a value is given, or by how it begins."""

from __future__ import annotations

import re
from typing import Final

from coatcheck.core.tokens import foreign_kind, looks_like_ours

_NAME: Final = re.compile(
    r"key|token|secret|pass|pwd|auth(?!ors?(?:$|[_-]))|cred|jwt|cookie|private|(?:^|[_-])pat$", re.IGNORECASE
)
_PLACE: Final = re.compile(r"(?:file|path|dir|url|uri|name|id)$", re.IGNORECASE)
"""Ends of names that tell where a credential is, or whose, and not the credential."""
_DENSE: Final = re.compile(r"(?=[^0-9]*[0-9])(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_+=.~-]{20,}")
_WORDS: Final = re.compile(r"(?:[A-Za-z]{1,16}|v?[0-9]{1,4})(?:[-._+=~](?:[A-Za-z]{1,16}|v?[0-9]{1,4}))*")


def is_credential(name: str, value: str) -> bool:
    """Tell whether a value looks like a credential, by the name it is given or by how it begins."""
    if not value:
        return False
    return named_as_credential(name) or any(has_known_form(word) for word in value.split())


def named_as_credential(name: str) -> bool:
    """Tell whether a header, variable, option or parameter has the name of a credential."""
    return _NAME.search(name) is not None and _PLACE.search(name) is None


def has_known_form(word: str) -> bool:
    """Tell whether a word begins as tokens of ours or of well-known services do."""
    return looks_like_ours(word) or foreign_kind(word) is not None


def is_dense(word: str) -> bool:
    """Tell whether a word is long, has letters and digits, and is not made of plain words and numbers."""
    return _DENSE.fullmatch(word) is not None and _WORDS.fullmatch(word) is None
