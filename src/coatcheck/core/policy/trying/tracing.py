"""Tells step by step how a policy comes to its verdict on a call: every part that covers it, and why."""

from __future__ import annotations

from collections.abc import Iterator

from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.conditions.truth import UNKNOWN
from coatcheck.core.policy.defaults import APPROVED_RULE
from coatcheck.core.policy.judging import DEFAULT_POINTER, ReadyClause, ReadyPolicy
from coatcheck.core.policy.limits.charging import ReadyLimit, Uncountable, Unrecorded
from coatcheck.core.policy.saying import why_unknown, words_of, words_of_limit
from coatcheck.model.access import Nature
from coatcheck.model.call import Target
from coatcheck.model.policy import EntryOutcome
from coatcheck.model.verdict import Facts, Judgement, Step


def trace(
    policy: ReadyPolicy, target: Target, nature: Nature, facts: Facts, arguments: Arguments
) -> tuple[Step, ...]:
    """Return every part of a policy that covers a call, in the order of the document, and its default last.

    The verdict of `judge` is the most restrictive of these; unlike it, this asks on after a denial.
    """
    steps = [
        step
        for number, for_sure in policy.covering(target, nature)
        for step in _steps(policy, number, for_sure, facts, arguments, target)
    ]
    steps += [_of_limit(limit, target, facts, arguments) for limit in policy.limits_of(None)]
    standing = policy.standing(target, nature)
    rule = f"{policy.policy.name}:{DEFAULT_POINTER}"
    if standing.rule == rule:
        hides = standing.judgement is Judgement.HIDDEN
        steps.append(
            Step(rule, str(policy.policy.default), None, "it hides it" if hides else "it allows it", hides)
        )
    elif standing.rule == APPROVED_RULE:
        steps.append(Step(APPROVED_RULE, "approved tools", None, "it is none of them", denies=True))
    return tuple(steps)


def _steps(
    policy: ReadyPolicy, number: int, for_sure: bool, facts: Facts, arguments: Arguments, target: Target
) -> Iterator[Step]:
    entry = policy.policy.entries[number]
    rule = f"{policy.policy.name}:{policy.rules[number]}"
    because = "" if for_sure else "another spelling of the URI may be one that it covers"
    if entry.outcome is not None and (for_sure or entry.outcome is not EntryOutcome.ALLOW):
        denies = entry.outcome is not EntryOutcome.ALLOW
        yield Step(f"{rule}/outcome", str(entry.outcome), None, because, denies)
    for clause in policy.clauses_of(number):
        yield _of_clause(clause, facts, arguments)
    for limit in policy.limits_of(number):
        yield _of_limit(limit, target, facts, arguments)


def _of_clause(clause: ReadyClause, facts: Facts, arguments: Arguments) -> Step:
    condition = clause.clause.condition
    truth = clause.check(facts, arguments)
    because = why_unknown(condition, facts, arguments) if truth is UNKNOWN else ""
    says = f"{'denied' if clause.denying else 'allowed'} if {words_of(condition)}"
    return Step(clause.rule, says, truth, because, clause.denies(truth))


def _of_limit(limit: ReadyLimit, target: Target, facts: Facts, arguments: Arguments) -> Step:
    says = f"limit: {words_of_limit(limit.limit)}"
    try:
        charge = limit.charge(target, facts, arguments)
    except Uncountable as error:
        return Step(limit.rule, says, None, str(error), denies=True)
    except Unrecorded:
        return Step(limit.rule, says, None, "the arguments were not recorded")
    return Step(limit.rule, says, None, f"this call takes {charge.amount}", charge=charge)
