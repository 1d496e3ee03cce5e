"""Makes the least policy that covers what was really used, and writes it as YAML with what it rests on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from coatcheck.core.access import uris
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.covering import SECTIONS
from coatcheck.core.policy.reading.document import FORM
from coatcheck.core.policy.reading.problems import MAX_ENTRIES
from coatcheck.core.policy.trying.replaying import MOST_CHARS
from coatcheck.model.call import Kind
from coatcheck.model.policy import Default, EntryOutcome, Policy, PolicyEntry, Section

MOST_BYTES: Final = 120_000
"""Of all lines with entries: a file with a policy has at most 256 KiB, comments included."""
MOST_TOLD: Final = 100
"""Names in a list of comments; of more, the number is told."""
_SHOWN: Final = 48
"""Characters of a name in a comment."""
_NAME: Final = 64
_LINE: Final = 80
"""Bytes of a line with an entry, beside its key; about."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_WORDS: Final = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
"""What one reader of YAML or another does not take for text."""


@dataclass(frozen=True, slots=True)
class Used:
    """One tool, prompt or resource of a server that was used: how often, and when last."""

    kind: Kind
    name: str
    calls: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A policy that allows what was used, `covered`, and nothing else.

    `left_out` was used and cannot be covered, each with why. `unused` are tools that are allowed now and were
    never used; None: nobody knows which tools there are.
    """

    policy: Policy
    covered: tuple[Used, ...]
    left_out: tuple[tuple[Used, str], ...]
    unused: tuple[str, ...] | None


def suggest(
    name: str, description: str, used: Iterable[Used], unused: Sequence[str] | None = None
) -> Suggestion:
    """Return the least policy for what was used of one server. What was used most comes first in doubt."""
    covered: list[Used] = []
    left_out: list[tuple[Used, str]] = []
    room = MOST_BYTES
    for one in sorted(used, key=lambda one: (-one.calls, one.kind, one.name)):
        why = _why_not(one)
        size = len(key_of(one.name).encode("utf-8", "replace")) + _LINE
        if not why and (size > room or len(covered) == MAX_ENTRIES):
            why = "a policy cannot have that many entries"
        if why:
            left_out.append((one, why))
        else:
            room -= size
            covered.append(one)
    order = list(Section)
    covered.sort(key=lambda one: (order.index(SECTIONS[one.kind]), one.name))
    entries = tuple(PolicyEntry(SECTIONS[one.kind], one.name, EntryOutcome.ALLOW) for one in covered)
    policy = Policy(name, Default.DENY_ALL, description, entries)
    return Suggestion(policy, tuple(covered), tuple(left_out), None if unused is None else tuple(unused))


def _why_not(one: Used) -> str:
    """Return why no entry can stand for just this name; empty if one can."""
    name = one.name
    if not name or not name.isprintable() or name != name.strip():
        return "it has characters that cannot be seen, and a policy cannot name it"
    if len(name) >= MOST_CHARS or "***" in name:
        return "it is not on record as a whole"
    if "*" in name:
        return "its * would stand for any text, so that others would be allowed as well"
    if one.kind is Kind.RESOURCE and not uris.is_plain(name):
        return "a server may take this URI for another one, and only * allows such"
    return ""


def name_for(grant: str, server: str) -> str:
    """Return a name for the policy of a grant on a server: small letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", f"{grant}-{server}".lower())
    name = words.strip("-")[:_NAME].strip("-") or "suggested"
    return f"{name[: _NAME - 2]}-1" if name in BUILT_IN else name


# --- YAML ----------------------------------------------------------------------------------------------


def yaml_of(suggestion: Suggestion) -> str:
    """Return the policy as YAML that `read_policy` takes, with comments on what it rests on."""
    policy = suggestion.policy
    lines = [f"coatcheck: {FORM}", f"name: {policy.name}"]
    if policy.description:
        lines.append(f"description: {quoted(policy.description)}")
    lines.append(f"default: {policy.default}")
    for section in SECTIONS.values():
        used = [one for one in suggestion.covered if SECTIONS[one.kind] is section]
        if used:
            lines.append(f"{section}:")
            lines += [f"  {key_of(one.name)}: {{outcome: allow}}  # {_told(one)}" for one in used]
    left_out = [
        f"{one.kind} {quoted(one.name[:_SHOWN])}, {_told(one)}: {why}"
        for one, why in suggestion.left_out[:MOST_TOLD]
    ]
    lines += _list("Used, and not covered", left_out, len(suggestion.left_out))
    if suggestion.unused is None:
        lines += ["", "# Which tools the server has is not known now, so nobody can say what is never used."]
    else:
        unused = [key_of(name[:_SHOWN]) for name in suggestion.unused[:MOST_TOLD]]
        lines += _list("Allowed now, and never used", unused, len(suggestion.unused))
    return "\n".join(lines) + "\n"


def _told(one: Used) -> str:
    last = one.last.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"{one.calls} {'call' if one.calls == 1 else 'calls'}, the last {last}"


def _list(title: str, told: Sequence[str], there_are: int) -> list[str]:
    if not told:
        return []
    more = [f"#   and {there_are - len(told)} more"] if there_are > len(told) else []
    return ["", f"# {title}:", *(f"#   {one}" for one in told), *more]


def key_of(name: str) -> str:
    """Return a name as a key, which every reader of YAML takes for just this text."""
    return name if _PLAIN.match(name) and name.lower() not in _WORDS else quoted(name)


def quoted(text: str) -> str:
    """Return a text in double quotes on one line, of visible characters (YAML 1.2, section 7.3.1)."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    number = ord(char)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
