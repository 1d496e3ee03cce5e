"""Tells which words of a command line look like credentials: other accounts can read them while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

from coatcheck.core.credentials.looks import has_known_form, is_credential


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
        if has_known_form(word) or (equals and is_credential(name, value)):
            return True
        option = word if word.startswith("-") and not equals else ""
        if option and not following.startswith("-") and is_credential(option, following):
            return True
    return False
