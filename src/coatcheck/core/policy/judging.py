"""Judges calls by policies: one pure function, made ready once for each policy that is in force."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.conditions.checks import Check, ready
from coatcheck.core.policy.conditions.paths import escaped
from coatcheck.core.policy.conditions.truth import FALSE, TRUE, UNKNOWN, UNRECORDED
from coatcheck.core.policy.covering import Coverage, Covering
from coatcheck.core.policy.limits.charging import ReadyLimit, Uncountable, Unrecorded
from coatcheck.core.policy.saying import looks_at_arguments_only, why_unknown, words_of, words_of_limit
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.policy import Clause, Default, EntryOutcome, Limit, Policy, PolicyEntry
from coatcheck.model.verdict import Charge, Facts, Judgement, PolicyVerdict, Truth

NO_POLICY: Final = PolicyVerdict(Judgement.ALLOWED, "(no policy)", "no policy applies")
DEFAULT_POINTER: Final = "/default"
_REMEMBERED: Final = 2_048
_MAX_NAME: Final = 256
"""Longer names are judged anew each time: callers write them, and what is remembered stays small."""
_SHOWN: Final = 128
_MAX_WORDS: Final = 160


class ReadyClause(msgspec.Struct, frozen=True):
    """A condition to be asked. `denying`: it denies where it holds; else it denies where it does not.

    `passing` is what comes of it for nearly every call: it does not deny.
    """

    rule: str
    clause: Clause
    check: Check
    denying: bool
    message: str
    passing: Truth

    def denies(self, truth: Truth) -> bool:
        """Tell whether a call is denied by what came of the condition; not for what was not recorded."""
        if self.denying:
            return truth is TRUE or truth is UNKNOWN
        return truth is FALSE or truth is UNKNOWN


class Standing(msgspec.Struct, frozen=True):
    """What holds of a target whoever calls it and how: by this a list is filtered.

    `clauses` and `limits` are what a call of it has to pass besides, where it is allowed.
    """

    judgement: Judgement
    rule: str
    because: str
    message: str = ""
    clauses: tuple[ReadyClause, ...] = ()
    limits: tuple[ReadyLimit, ...] = ()


class ReadyPolicy:
    """One policy, ready to judge. Made once for each publication; may be shared by threads."""

    __slots__ = ("_clauses", "_coverage", "_kept", "_limits", "_whole", "policy", "rules")

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.rules = tuple(pointer_of(entry) for entry in policy.entries)
        self._coverage = Coverage(policy.entries)
        self._clauses = [tuple(self._ready_clauses(*pair)) for pair in self._pairs()]
        self._limits = [
            tuple(self._ready_limits(f"{rule}/limits", entry.limits, entry.message))
            for rule, entry in self._pairs()
        ]
        self._whole = tuple(self._ready_limits("/limits", policy.limits, ""))
        self._kept: dict[str, Standing] = {}

    def standing(self, target: Target, nature: Nature) -> Standing:
        """Return what holds of a target for everybody. `nature` counts for tools only."""
        key = target.kind + nature + target.name  # no kind or nature begins another; hashing enums is slow
        found = self._kept.get(key)
        if found is None:
            found = self._find(target, nature)
            if len(target.name) <= _MAX_NAME:
                if len(self._kept) >= _REMEMBERED:
                    self._kept.clear()
                self._kept[key] = found
        return found

    def covering(self, target: Target, nature: Nature) -> list[Covering]:
        """Return which entries cover a target, by number, and whether for sure."""
        return [] if target.kind is Kind.SERVER else self._coverage.of(target, nature)

    def clauses_of(self, number: int) -> tuple[ReadyClause, ...]:
        """Return the conditions of an entry, those that deny first."""
        return self._clauses[number]

    def limits_of(self, number: int | None) -> tuple[ReadyLimit, ...]:
        """Return the limits of an entry, or with None those of the whole document."""
        return self._whole if number is None else self._limits[number]

    def _pairs(self) -> Iterator[tuple[str, PolicyEntry]]:
        return zip(self.rules, self.policy.entries, strict=True)

    def _ready_clauses(self, rule: str, entry: PolicyEntry) -> Iterator[ReadyClause]:
        for word, clauses, denying in (("deny_if", entry.deny_if, True), ("allow_if", entry.allow_if, False)):
            for number, clause in enumerate(clauses):
                yield ReadyClause(
                    f"{self.policy.name}:{rule}/{word}/{number}",
                    clause,
                    ready(clause.condition, denying=denying),
                    denying,
                    clause.message or entry.message,
                    FALSE if denying else TRUE,
                )

    def _ready_limits(self, rule: str, limits: Sequence[Limit], message: str) -> Iterator[ReadyLimit]:
        for number, limit in enumerate(limits):
            told = limit.message or message
            sentence = told or f"The policy {self.policy.name} allows {words_of_limit(limit)}."
            yield ReadyLimit(self.policy.name, f"{rule}/{number}", limit, sentence)

    def _find(self, target: Target, nature: Nature) -> Standing:
        covering = self.covering(target, nature)
        for outcome, judgement in (
            (EntryOutcome.HIDE, Judgement.HIDDEN),
            (EntryOutcome.DENY, Judgement.DENIED),
        ):
            for number, _ in covering:
                if self.policy.entries[number].outcome is outcome:
                    return self._refused(judgement, number, target)
        pointer = self._allowing(covering, target, nature)
        name, rule = self.policy.name, f"{self.policy.name}:{pointer or DEFAULT_POINTER}"
        if pointer is None:
            return Standing(Judgement.HIDDEN, rule, f"no entry of {name} allows it and the default does not")
        because = f"the policy {name} allows it{' by default' if pointer == DEFAULT_POINTER else ''}"
        clauses = [clause for number, _ in covering for clause in self._clauses[number]]
        limits = [limit for number, _ in covering for limit in self._limits[number]]
        if target.kind is not Kind.SERVER:
            limits += self._whole
        return Standing(Judgement.ALLOWED, rule, because, "", tuple(clauses), tuple(limits))

    def _refused(self, judgement: Judgement, number: int, target: Target) -> Standing:
        entry, name = self.policy.entries[number], self.policy.name
        word = "hides" if judgement is Judgement.HIDDEN else "denies"
        told = entry.message or f"The policy {name} does not allow {target.name[:_SHOWN]}."
        rule = f"{name}:{self.rules[number]}/outcome"
        because = f"the policy {name} {word} it by {entry.section}/{entry.key}"
        return Standing(judgement, rule, because, told if judgement is Judgement.DENIED else "")

    def _allowing(self, covering: Sequence[Covering], target: Target, nature: Nature) -> str | None:
        """Return the pointer of what allows a target, or None."""
        for number, for_sure in covering:
            if for_sure and self.policy.entries[number].outcome is EntryOutcome.ALLOW:
                return f"{self.rules[number]}/outcome"
        default = self.policy.default
        if default is Default.ALLOW_ALL:
            return DEFAULT_POINTER
        if target.kind is Kind.SERVER:  # whoever may use anything of a server may say how much it tells
            return DEFAULT_POINTER if default is Default.READ_ONLY else self._any_allowing()
        reads = target.kind is not Kind.TOOL or nature is Nature.READ
        return DEFAULT_POINTER if default is Default.READ_ONLY and reads else None

    def _any_allowing(self) -> str | None:
        pairs = self._pairs()
        return next((f"{rule}/outcome" for rule, entry in pairs if entry.outcome is EntryOutcome.ALLOW), None)


def pointer_of(entry: PolicyEntry) -> str:
    """Return the JSON Pointer of an entry within its document."""
    return f"/{entry.section}/{escaped(entry.key)}"


# --- judging ---------------------------------------------------------------------------------------


def may_see(policies: Iterable[ReadyPolicy], target: Target, nature: Nature) -> bool:
    """Tell whether policies let the caller learn of a target: exactly when a call of it is not hidden."""
    return all(policy.standing(target, nature).judgement is not Judgement.HIDDEN for policy in policies)


def judge(
    policies: Sequence[ReadyPolicy], target: Target, nature: Nature, facts: Facts, arguments: Arguments
) -> PolicyVerdict:
    """Judge one call by all policies that are on it: the most restrictive wins, the first among equals.

    A call that all of them allow rests on the last and is charged by all; a policy that is there twice counts
    once. The charges are to be reserved before the call.
    """
    worst = NO_POLICY
    charges: list[Charge] = []
    for policy in dict.fromkeys(policies):
        verdict = _judge_one(policy, target, nature, facts, arguments)
        if verdict.judgement is Judgement.HIDDEN:
            return verdict
        if verdict.judgement is not Judgement.ALLOWED:
            if _WEIGHTS[verdict.judgement] > _WEIGHTS[worst.judgement]:
                worst = verdict
        elif worst.judgement is Judgement.ALLOWED:
            worst = verdict
        charges += verdict.charges
    if _WEIGHTS[worst.judgement] <= _UNDECIDED and len(charges) != len(worst.charges):
        return msgspec.structs.replace(worst, charges=tuple(charges))
    return worst


_WEIGHTS: Final = {judgement: weight for weight, judgement in enumerate(Judgement)}
_UNDECIDED: Final = _WEIGHTS[Judgement.UNDECIDED]


def _judge_one(
    policy: ReadyPolicy, target: Target, nature: Nature, facts: Facts, arguments: Arguments
) -> PolicyVerdict:
    standing = policy.standing(target, nature)
    if standing.judgement is not Judgement.ALLOWED:
        return PolicyVerdict(standing.judgement, standing.rule, standing.because, standing.message)
    unrecorded = ""
    for clause in standing.clauses:
        truth = clause.check(facts, arguments)
        if truth is UNRECORDED:
            unrecorded = unrecorded or clause.rule
        elif truth is not clause.passing and clause.denies(truth):
            return _denied(policy, clause, truth, facts, arguments)
    charges = []
    for limit in standing.limits:
        try:
            charges.append(limit.charge(target, facts, arguments))
        except Uncountable as error:
            told = f"The policy {policy.policy.name} does not allow this call: {error}."
            return PolicyVerdict(Judgement.DENIED, limit.rule, str(error), limit.limit.message or told)
        except Unrecorded:
            unrecorded = unrecorded or limit.rule
    return _passed(standing, unrecorded, tuple(charges))


def _passed(standing: Standing, unrecorded: str, charges: tuple[Charge, ...]) -> PolicyVerdict:
    """Return what holds of a call that nothing denies; `unrecorded` is the first rule that lacks a value."""
    if unrecorded:
        because = "it needs a value that was not recorded"
        return PolicyVerdict(Judgement.UNDECIDED, unrecorded, because, "", charges)
    return PolicyVerdict(Judgement.ALLOWED, standing.rule, standing.because, "", charges)


def _denied(
    policy: ReadyPolicy, clause: ReadyClause, truth: Truth, facts: Facts, arguments: Arguments
) -> PolicyVerdict:
    condition = clause.clause.condition
    words = _clipped(words_of(condition))
    because = f"it {'denies' if clause.denying else 'allows'} if {words}, which {truth.value}"
    detail = ""
    if looks_at_arguments_only(condition):  # the others may name people
        detail = f": it is denied if {words}" if clause.denying else f": it is allowed if {words}"
    if truth is UNKNOWN and (why := _clipped(why_unknown(condition, facts, arguments))):
        because, detail = f"{because}: {why}", f": {why}"
    told = clause.message or f"The policy {policy.policy.name} does not allow this call{detail}."
    return PolicyVerdict(Judgement.DENIED, clause.rule, because, told)


def _clipped(words: str) -> str:
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}..."
