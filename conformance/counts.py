"""Compares what a run of the suite passed through the gateway with what the direct run passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SUCCESS = "SUCCESS"
FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Check:
    """One check that the suite made: its id, `SUCCESS`, `FAILURE`, `WARNING`, `SKIPPED` or `INFO`, and why.

    `evidence` is what the suite saw on the wire, as JSON.
    """

    id: str
    status: str
    message: str = ""
    evidence: str = ""


Run = Mapping[str, Sequence[Check]]
"""The checks of one run of the suite, by scenario."""


@dataclass(frozen=True, slots=True)
class Excuse:
    """What cannot be asked of a server on a pipe, and why: a check, or with None a whole scenario."""

    scenario: str
    check: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A check that passed directly and not through the gateway, or one that failed there only."""

    scenario: str
    check: str
    message: str
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """The outcome of one leg: numbers passed and numbers to pass."""

    scenarios: int
    of_scenarios: int
    checks: int
    of_checks: int
    short: tuple[Shortfall, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether nothing is missing; a leg that asked for nothing has proved nothing."""
        return not self.short and self.of_checks > 0 and self.scenarios == self.of_scenarios


def compare(direct: Run, through: Run, excuses: Iterable[Excuse] = ()) -> Tally:
    """Count, scenario by scenario, which of the checks that passed directly passed through the gateway too.

    A check that was not made is as short as one that failed: some scenarios pass on an empty list.
    """
    excused = tuple(excuses)
    scenarios = of_scenarios = checks = of_checks = 0
    short: list[Shortfall] = []
    for scenario, made in direct.items():
        set_aside = {one.check for one in excused if one.scenario == scenario}
        expected = _passed(made, set_aside)
        if None in set_aside or not expected:
            continue
        got = [check for check in through.get(scenario, ()) if check.id not in set_aside]
        missing = expected - _passed(got)
        lacks = _lacking(scenario, missing, got)
        of_scenarios += 1
        scenarios += not lacks
        of_checks += expected.total()
        checks += (expected - missing).total()
        short += lacks
    return Tally(scenarios, of_scenarios, checks, of_checks, tuple(short))


def whole(direct: Run) -> Tally:
    """Count a direct run by itself: everything that the suite judged has to have passed."""
    short = [
        _shortfall(scenario, check)
        for scenario, made in direct.items()
        for check in made
        if check.status not in (SUCCESS, "INFO")
    ]
    passed = {scenario: _passed(made).total() for scenario, made in direct.items()}
    bad = {one.scenario for one in short} | {scenario for scenario, count in passed.items() if not count}
    judged = sum(passed.values()) + len(short)
    return Tally(len(direct) - len(bad), len(direct), sum(passed.values()), judged, tuple(short))


def _passed(checks: Iterable[Check], set_aside: Iterable[str | None] = ()) -> Counter[str]:
    away = set(set_aside)
    return Counter(check.id for check in checks if check.status == SUCCESS and check.id not in away)


def _lacking(scenario: str, missing: Counter[str], got: Sequence[Check]) -> list[Shortfall]:
    """Name every shortfall of a scenario, with the suite's own words where it has some."""
    lacks = []
    told: set[str] = set()
    for check in got:
        if check.status == FAILURE or (check.id in missing and check.status != SUCCESS):
            lacks.append(_shortfall(scenario, check))
            told.add(check.id)
    unsaid = "the check was not made" if got else "the scenario did not run"
    lacks += [Shortfall(scenario, name, unsaid) for name in missing if name not in told]
    return lacks


def _shortfall(scenario: str, check: Check) -> Shortfall:
    words = " ".join(check.message.split()) or f"ended as {check.status}"
    return Shortfall(scenario, check.id, words, check.evidence)
