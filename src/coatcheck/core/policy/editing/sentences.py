"""Says what a policy does, entry by entry, in sentences for people who never saw a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from coatcheck.core.policy.judging import pointer_of
from coatcheck.core.policy.saying import words_of, words_of_limit
from coatcheck.model.policy import Clause, Default, EntryOutcome, Limit, Policy, PolicyEntry, Section


@dataclass(frozen=True, slots=True)
class Part:
    """One condition or limit in words; `told` is what the caller hears whom it denies, if not our words."""

    text: str
    told: str = ""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What one place of the document does: `where` is its JSON Pointer, `about` what it is of."""

    where: str
    about: str
    text: str
    outcome: EntryOutcome | None = None
    told: str = ""
    parts: tuple[Part, ...] = ()


_DEFAULTS: Final = {
    Default.ALLOW_ALL: "is allowed.",
    Default.READ_ONLY: "is allowed if it only reads, and hidden if it writes or cannot be classified.",
    Default.DENY_ALL: "is hidden.",
}
_KINDS: Final = {
    Section.TOOLS: ("the tool", "tools"),
    Section.PROMPTS: ("the prompt", "prompts"),
    Section.RESOURCES: ("the resource", "resources"),
}
_ACCESS: Final = {"read": "Tools that read", "write": "Tools that write or cannot be classified"}


def default_of(policy: Policy) -> Sentence:
    """Return what holds for what no entry speaks of."""
    about = "Everything else" if policy.entries else "Everything"
    return Sentence("/default", about, _DEFAULTS[policy.default])


def sentence_of(entry: PolicyEntry) -> Sentence:
    """Return what an entry does."""
    about, many = _about(entry)
    text = f"{'are' if many else 'is'} {_OUTCOMES[entry.outcome]}"
    if entry.outcome is None:
        has, them = ("have", "them") if many else ("has", "it")
        text = f"{has} to meet this besides, where something else allows {them}:"
    elif not (entry.allow_if or entry.deny_if or entry.limits):
        text = f"{text}."
    else:
        text = f"{text}:"
    return Sentence(pointer_of(entry), about, text, entry.outcome, entry.message, tuple(_parts(entry)))


_OUTCOMES: Final = {
    EntryOutcome.ALLOW: "allowed",
    EntryOutcome.DENY: "listed, and every call is denied",
    EntryOutcome.HIDE: "hidden, as if not there",
    None: "",
}


def _about(entry: PolicyEntry) -> tuple[str, bool]:
    """Return what an entry is of, and whether those are many."""
    if entry.section is Section.ACCESS:
        return _ACCESS.get(entry.key, entry.key), True
    one, many = _KINDS[entry.section]
    if entry.key == "*":
        return f"All {many}", True
    if "*" in entry.key:
        return f"{many.capitalize()} like {entry.key}", True
    return f"{one.capitalize()} {entry.key}", False


def _parts(entry: PolicyEntry) -> Iterator[Part]:
    for clause in entry.allow_if:
        yield _part("only if", clause)
    for clause in entry.deny_if:
        yield _part("not if", clause)
    for limit in entry.limits:
        yield _bound(limit)


def _part(word: str, clause: Clause) -> Part:
    words = words_of(clause.condition)
    if words.startswith("(") and words.endswith(")") and words.count("(") == 1:
        words = words[1:-1]
    return Part(f"{word} {words}", clause.message)


def _bound(limit: Limit) -> Part:
    return Part(f"at most {words_of_limit(limit)}", limit.message)


def sentences_of(policy: Policy) -> tuple[Sentence, ...]:
    """Return what a policy does: each entry in its order, limits over all, the default last."""
    found = [sentence_of(entry) for entry in policy.entries]
    if policy.limits:
        parts = tuple(map(_bound, policy.limits))
        found.append(Sentence("/limits", "All that is allowed", "is counted together:", parts=parts))
    return (*found, default_of(policy))
