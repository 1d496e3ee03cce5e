"""Names of credentials: as an operator gives them, or made from the server and the place they are for."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import count
from typing import Final

from coatcheck.errors import Unfit

MAX_NAME_CHARS: Final = 100
RESERVED: Final = frozenset({"plan"})
"""What is at the address of a credential, and none: the list of what is due."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_FOREIGN: Final = re.compile(r"[^a-z0-9._-]+")


def name_of(text: str) -> str:
    """Return the name of a credential.

    Raises:
        Unfit: it is empty, too long, has other characters, or is called so what is no credential.
    """
    if not _NAME.fullmatch(text):
        raise Unfit(
            "the name of a credential has 1 to 100 lower case letters, digits and . _ -, a letter or digit "
            "first",
            fix="choose another name",
            field="name",
        )
    if text in RESERVED:
        words = f"{text!r} is what the list of what is due is called"
        raise Unfit(words, fix="choose another name", field="name")
    return text


def credential_name(server: str, place: str) -> str:
    """Return the usual name for what goes to a place of a server, such as `github-authorization`.

    `place` is as in `Use`: `headers/Authorization` and `env/NAME` give the name of the header or variable,
    `args/0` and `url` themselves.
    """
    part, _, name = place.partition("/")
    last = name if part in {"headers", "env"} else f"{part}-{name}" if name else part
    made = _FOREIGN.sub("-", f"{server}-{last}".lower()).lstrip("._-")[:MAX_NAME_CHARS]
    return made or "credential"


def free_name(wanted: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the wanted one, or that with the first number that makes it so."""
    if wanted not in taken:
        return wanted
    for number in count(2):
        end = f"-{number}"
        made = wanted[: MAX_NAME_CHARS - len(end)] + end
        if made not in taken:
            return made
    raise AssertionError("there are more numbers than names")
