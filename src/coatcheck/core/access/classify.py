"""Telling tools that read from tools that write: by the operator's word, the server's, or the name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from coatcheck.core.access import globs
from coatcheck.core.access.verbs import JOINING, NOUNS_TOO, PHRASES, READING, WRITING
from coatcheck.core.normalizing import nfkc
from coatcheck.core.wire import messages
from coatcheck.model.access import Nature
from coatcheck.model.server import AccessMarks

_KNOWN: Final = READING | WRITING | NOUNS_TOO
_MAX_CACHED_BYTES: Final = 1024
"""Annotations above this size are judged anew each time, so that what is remembered stays small."""
_CHUNK: Final = re.compile(r"[^\W\d_]+")
_PART: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[^A-Za-z]+")


def nature_of_tool(
    name: str, annotations: bytes | None, marks: AccessMarks, *, trusted: bool = False
) -> tuple[Nature, str]:
    """Tell what a tool does to the world and why, by the first of these that says something.

    1. The operator's marks; a tool that is marked as both writes.
    2. `destructiveHint: true` of the server: it writes. `readOnlyHint: true`: it reads, if the server is
       `trusted` or the name says so too; a name that says nothing leaves it ambiguous.
    3. The verbs of the name; one that writes outweighs all that read.

    `annotations` is the raw JSON of the tool's member of that name (MCP 2025-03-26 and later), or None. Hints
    that are false count as not given: that is the protocol's own default for `readOnlyHint`, and libraries
    write it out for every tool. Cheap when asked again.
    """
    if annotations is not None and len(annotations) > _MAX_CACHED_BYTES:
        return _nature(name, annotations, marks, trusted)
    return _remembered(name, annotations, marks, trusted)


def nature_of_unlisted(name: str, marks: AccessMarks) -> tuple[Nature, str]:
    """Tell what can be told of a tool that no list at hand has: the operator's marks, or else nothing."""
    return _by_marks(name, marks) or (Nature.AMBIGUOUS, "no list of the server has it")


def _nature(name: str, annotations: bytes | None, marks: AccessMarks, trusted: bool) -> tuple[Nature, str]:
    return _by_marks(name, marks) or _by_hints(name, annotations, trusted) or _by_name(name)


_remembered = lru_cache(maxsize=4096)(_nature)


def _by_marks(name: str, marks: AccessMarks) -> tuple[Nature, str] | None:
    for nature, patterns in ((Nature.WRITE, marks.write), (Nature.READ, marks.read)):
        for pattern in patterns:
            if globs.matches(pattern, name):
                return nature, f"tool_acl.{nature} has {pattern}"
    return None


def _by_hints(name: str, annotations: bytes | None, trusted: bool) -> tuple[Nature, str] | None:
    hints = messages.members_of(annotations) if annotations is not None else None
    if not hints:
        return None
    if hints.get("destructiveHint") == b"true":
        return Nature.WRITE, "the server says destructiveHint"
    if hints.get("readOnlyHint") != b"true":
        return None
    if trusted:
        return Nature.READ, "the server says readOnlyHint and is trusted"
    nature, why = _by_name(name)
    if nature is Nature.READ:
        return nature, f"the server says readOnlyHint, and {why}"
    return nature, f"the server says readOnlyHint, but {why}"


# --- names -----------------------------------------------------------------------------------------


def _by_name(name: str) -> tuple[Nature, str]:
    words = list(_words(name))
    for number, word in enumerate(words):
        if word in WRITING or (word in NOUNS_TOO and _acts(words, number)):
            return Nature.WRITE, f"the name has the verb {word}"
    reading = next((word for word in words if word in READING), None)
    if reading is None:
        return Nature.AMBIGUOUS, "the name has no verb that tells"
    if not nfkc(name).isascii():
        return (
            Nature.AMBIGUOUS,
            f"the name has the verb {reading}, and letters beyond ASCII that may hide one",
        )
    if _hides(words):
        return Nature.AMBIGUOUS, f"the name has the verb {reading}, and another that is not known"
    return Nature.READ, f"the name has the verb {reading}"


def _words(name: str) -> Iterator[str]:
    """Yield the words of a name in snake_case, kebab-case, dotted, camelCase or a mix; a phrase is one."""
    found: list[str] = []
    for chunk in _CHUNK.findall(nfkc(name)):
        whole = chunk.casefold()
        found.extend([whole] if whole in _KNOWN else (part.casefold() for part in _PART.findall(chunk)))
    number = 0
    while number < len(found):
        pair = " ".join(found[number : number + 2])
        yield pair if pair in PHRASES else found[number]
        number += 2 if pair in PHRASES else 1


def _acts(words: Sequence[str], number: int) -> bool:
    """Tell whether a word that can be a noun is a verb where it stands."""
    before = words[:number]
    return not before or before[-1] in JOINING or READING.isdisjoint(before)


def _hides(words: Sequence[str]) -> bool:
    """Tell whether a verb that reads is joined to a word that must be a verb and is not a known one."""
    triples = zip(words, words[1:], words[2:], strict=False)
    return any(one in READING and two in JOINING and three not in READING for one, two, three in triples)
