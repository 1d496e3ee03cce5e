"""Tries the cases that are written beside a policy, as `coatcheck policy test` does, and keeps none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.console.pages.policies.drafting import Read, Trouble
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.core.policy.trying.cases import Tried, read_cases, try_case
from coatcheck.errors import Unfit
from coatcheck.model.policy import Policy

MOST_CALLS: Final = 100_000
"""Calls that the cases tried at once may make: those before theirs are made, too, for limits."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What came of cases: those that came otherwise than they say come first. `troubles`: none were tried."""

    tried: Sequence[Tried] = ()
    troubles: Sequence[Trouble] = ()

    @property
    def failed(self) -> int:
        """How many came otherwise."""
        return sum(not one.passed for one in self.tried)


def tried(read: Read, policy: Policy, text: str) -> Tries | None:
    """Return what came of the cases in a text; None for no text."""
    if not text.strip():
        return None
    try:
        written = read(text)
    except Unfit as error:
        return Tries(troubles=(Trouble("", error.message, error.fix),))
    try:
        cases = read_cases(written.value, policy.name)
    except BadPolicy as bad:
        lines = written.line_of
        return Tries(
            troubles=[Trouble(one.where, one.message, one.fix, lines(one.where)) for one in bad.problems]
        )
    calls = sum(case.after + case.under_way + 1 for case in cases)
    if calls > MOST_CALLS:
        told = Trouble(
            "/cases", f"make {calls} calls, and {MOST_CALLS} are tried here", "try a part of them at a time"
        )
        return Tries(troubles=(told,))
    ready = ReadyPolicy(policy)
    return Tries(sorted((try_case(ready, case) for case in cases), key=lambda one: one.passed))
