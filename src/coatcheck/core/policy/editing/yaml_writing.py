"""Writes a policy as YAML that people read and edit, and that reads back as the same policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from coatcheck.core.policy.conditions.values import write_exact
from coatcheck.core.policy.trying.suggesting import key_of, quoted
from coatcheck.core.policy.writing import write_policy
from coatcheck.model.policy import Policy, Section

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./ -]*\Z")
"""Texts that stand without quotes, also within braces and brackets."""
_PARTED: Final = re.compile("[ ./]")
"""What no word of YAML has in it that is not text."""
_LONG_KEY: Final = 1_000
"""Readers of YAML look for the colon of a key within 1,024 characters, unless a `?` comes before it."""


def write_yaml(policy: Policy) -> str:
    """Return the document as YAML: an entry to a line where it is short, a condition or limit to a line."""
    lines: list[str] = []
    for key, value in write_policy(policy).items():
        if key in tuple(Section):
            lines.append(f"{key}:")
            for name, entry in value.items():
                lines += _entry(name, entry)
        elif isinstance(value, list):
            lines += [f"{key}:", *_items(value, "  ")]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _entry(name: str, entry: dict[str, Any]) -> Iterator[str]:
    key = key_of(name)
    if len(key) > _LONG_KEY:
        yield f"  ? {key}"
        yield f"  : {_flow(entry)}"
    elif not any(isinstance(value, list) for value in entry.values()):
        yield f"  {key}: {_flow(entry)}"
    else:
        yield f"  {key}:"
        for word, value in entry.items():
            if isinstance(value, list):
                yield f"    {word}:"
                yield from _items(value, "      ")
            else:
                yield f"    {word}: {_flow(value)}"


def _items(values: list[Any], indent: str) -> list[str]:
    return [f"{indent}- {_flow(value)}" for value in values]


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _text(value) if isinstance(value, str) else write_exact(value).decode("ascii")


def _text(text: str) -> str:
    """Return a text, in quotes unless every reader takes it for just this text without."""
    if _PLAIN.match(text) and not text.endswith(" ") and (_PARTED.search(text) or key_of(text) == text):
        return text
    return '"' + "\\n".join(quoted(line)[1:-1] for line in text.split("\n")) + '"'
