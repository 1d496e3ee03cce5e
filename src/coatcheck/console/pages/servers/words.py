"""How servers are told on pages: tones, natures, where something goes, texts from elsewhere made visible."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.console.web.rendering import plural
from coatcheck.core.wire import messages
from coatcheck.model.access import Nature
from coatcheck.model.policy import Default
from coatcheck.model.verdict import Judgement
from coatcheck.operations.registry.serving.judged import JudgedTool
from coatcheck.operations.registry.serving.listing import Condition
from coatcheck.operations.views import ServerView

TONES: Final = {
    Condition.READY: "good",
    Condition.IDLE: "good",
    Condition.UNASKED: "mute",
    Condition.STARTING: "info",
    Condition.DEGRADED: "warn",
    Condition.FAILING: "bad",
    Condition.LACKING: "bad",
    Condition.DISABLED: "mute",
}
_MAX_SCHEMA: Final = 20_000
_MAX_TEXT: Final = 4_000


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool as it is shown. `nature` is read, write, destructive or unclear; texts are made `visible`.

    `standing` is what the server's default, or the policy used on it, makes of the tool.
    """

    name: str
    title: str
    description: str
    nature: str
    why: str
    standing: str
    rule: str
    schema: str
    held_back: bool


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a default makes of tools: names that may be called, that may not, and that nobody can classify.

    The last are not allowed for that alone.
    """

    allowed: tuple[str, ...]
    hidden: tuple[str, ...]
    unclear: tuple[str, ...]


def place_in_words(place: str) -> str:
    """Return where a credential goes."""
    part, _, name = place.partition("/")
    told = {"headers": f"header {name}", "env": f"variable {name}", "url": "URL"}
    if part == "args":
        return f"argument {int(name) + 1}" if name.isdigit() else "arguments"
    return told.get(part, place)


def visible(text: str) -> str:
    """Return a text in which nothing hides: what is not seen, or turns the line around, is written out."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in text)


def _escape(char: str) -> str:
    return f"\\u{{{ord(char):04x}}}"


def row_of(one: JudgedTool) -> ToolRow:
    """Return a tool as it is shown."""
    members = one.tool.entry.members
    title = messages.text_of(members.get("title")) or ""
    description = messages.text_of(members.get("description")) or ""
    return ToolRow(
        visible(one.tool.entry.name),
        visible(title),
        visible(description[:_MAX_TEXT] + ("\u2026" if len(description) > _MAX_TEXT else "")),
        nature_in_words(one),
        one.tool.why,
        one.default.judgement.value,
        one.default.rule,
        schema_of(members.get("inputSchema", b"{}")),
        one.tool.held_back,
    )


def nature_in_words(one: JudgedTool) -> str:
    """Return what a tool does to the world."""
    if one.tool.nature is Nature.AMBIGUOUS:
        return "unclear"
    if one.tool.nature is Nature.WRITE and _is_destructive(one.tool.entry.members.get("annotations")):
        return "destructive"
    return one.tool.nature.value


def _is_destructive(annotations: bytes | None) -> bool:
    members = messages.members_of(annotations) if annotations else None
    return members is not None and members.get("destructiveHint") == b"true"


def schema_of(raw: bytes) -> str:
    """Return a JSON Schema to be read, cut where it is long."""
    try:
        text = json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = raw.decode("utf-8", "replace")
    return visible(text if len(text) <= _MAX_SCHEMA else text[:_MAX_SCHEMA] + "\n\u2026")


def allowance_of(tools: Sequence[JudgedTool]) -> Allowance:
    """Return what a default makes of tools."""
    allowed, hidden, unclear = [], [], []
    for one in tools:
        name = visible(one.tool.entry.name)
        if one.default.judgement is Judgement.ALLOWED:
            allowed.append(name)
        elif one.tool.nature is Nature.AMBIGUOUS and one.default.rule.startswith(Default.READ_ONLY.value):
            unclear.append(name)
        else:
            hidden.append(name)
    return Allowance(tuple(allowed), tuple(hidden), tuple(unclear))


def report_of(tools: Sequence[JudgedTool]) -> str:
    """Return in a sentence what callers may use of a server's tools."""
    found = allowance_of(tools)
    if not tools:
        return "It offers no tools."
    if not found.hidden and not found.unclear:
        return f"Callers may use all of its {plural(len(tools), 'tool')}."
    told = f"Callers may use {len(found.allowed)} of its {plural(len(tools), 'tool')}"
    if not found.unclear:
        return f"{told}."
    verb, they = ("is", "it does") if len(found.unclear) == 1 else ("are", "they do")
    return f"{told}; {len(found.unclear)} {verb} hidden since nobody can tell what {they}."


def server_info(standing: ServerView | None) -> Any:
    """Return what a server calls itself, or nothing."""
    greeting = standing.greeting if standing is not None else None
    members = messages.members_of(greeting.server_info) if greeting is not None else None
    if not members:
        return ""
    words = (messages.text_of(members.get(name)) or "" for name in ("name", "version"))
    return visible(" ".join(word for word in words if word)[:200])
