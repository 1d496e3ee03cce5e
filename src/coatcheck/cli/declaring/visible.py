"""Tells which words of a command line look like credentials: other accounts can read them while it runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from coatcheck.core.tokens import foreign_kind, looks_like_ours

_NAME: Final = re.compile(
    r"key|token|secret|pass|pwd|auth(?!ors?(?:$|[_-]))|cred|jwt|cookie|private|(?:^|[_-])pat$", re.IGNORECASE
)
_PLACE: Final = re.compile(r"(?:file|path|dir|url|uri|name|id)$", re.IGNORECASE)
"""Ends of names that tell where a credential is, or whose, and not the credential."""


def is_credential(name: str, value: str) -> bool:
    """Tell whether a value looks like a credential, by the name it is given or by how it begins."""
    if not value:
        return False
    is_named = _NAME.search(name) is not None and _PLACE.search(name) is None
    return is_named or any(_has_known_form(word) for word in value.split())


def url_has_credential(url: str) -> bool:
    """Tell whether a parameter of the URL's query looks like a credential."""
    try:
        query = urlsplit(url).query
    except ValueError:
        return False
    return any(is_credential(name, value) for name, value in parse_qsl(query))


def words_have_credential(words: Sequence[str]) -> bool:
    """Tell whether an argument looks like a credential: `--token=X`, `--api-key X`, `ghp_...`."""
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if _has_known_form(word) or (equals and is_credential(name, value)):
            return True
        option = word if word.startswith("-") and not equals else ""
        if option and not following.startswith("-") and is_credential(option, following):
            return True
    return False


def _has_known_form(word: str) -> bool:
    return looks_like_ours(word) or foreign_kind(word) is not None
