"""What counts as passed through the gateway."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.counts import Check, Excuse, Shortfall, compare, whole
from conformance.legs import LEGACY, LEGS, MODERN, NOT_OVER_STDIO, line, row

STATUSES = ("SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO")


def ok(*names: str) -> list[Check]:
    return [Check(name, "SUCCESS") for name in names]


def test_the_same_checks_are_complete() -> None:
    direct = {"list": ok("a", "a", "b"), "call": ok("c")}
    tally = compare(direct, direct)
    assert (tally.scenarios, tally.of_scenarios, tally.checks, tally.of_checks) == (2, 2, 4, 4)
    assert tally.complete


@pytest.mark.parametrize(
    ("through", "scenarios", "checks", "short"),
    [
        ({"s": ok("a", "a")}, 0, 2, [("b", "the check was not made")]),
        ({"s": ok("a", "b")}, 0, 2, [("a", "the check was not made")]),
        ({}, 0, 0, [("a", "the scenario did not run"), ("b", "the scenario did not run")]),
        ({"s": []}, 0, 0, [("a", "the scenario did not run"), ("b", "the scenario did not run")]),
        ({"s": [*ok("a", "a"), Check("b", "FAILURE", "no\n such")]}, 0, 2, [("b", "no such")]),
        ({"s": [*ok("a", "a"), Check("b", "INFO")]}, 0, 2, [("b", "ended as INFO")]),
        ({"s": [*ok("a", "a"), Check("b", "WARNING", "should")]}, 0, 2, [("b", "should")]),
        # All that passed directly passed, and yet something failed that the direct run did not judge.
        ({"s": [*ok("a", "a", "b"), Check("c", "FAILURE", "extra")]}, 0, 3, [("c", "extra")]),
        # More than the direct run had is no shortfall and no credit.
        ({"s": ok("a", "a", "a", "b", "d")}, 1, 3, []),
        ({"s": [*ok("a", "a", "b"), Check("d", "INFO")]}, 1, 3, []),
    ],
)
def test_every_shortfall_is_named(
    through: dict[str, list[Check]], scenarios: int, checks: int, short: list[tuple[str, str]]
) -> None:
    direct = {"s": ok("a", "a", "b")}
    assert compare(direct, direct).complete
    tally = compare(direct, through)
    assert (tally.scenarios, tally.checks) == (scenarios, checks)
    assert [(one.check, one.message) for one in tally.short] == short
    assert tally.complete == (not short)


def test_an_excused_check_is_asked_of_neither_side() -> None:
    direct = {"s": ok("a", "b"), "t": ok("c")}
    through = {"s": [*ok("a"), Check("b", "FAILURE")], "t": ok("c")}
    assert not compare(direct, through).complete
    tally = compare(direct, through, [Excuse("s", "b", "why")])
    assert (tally.of_scenarios, tally.of_checks) == (2, 2)
    assert tally.complete


def test_an_excused_scenario_is_not_counted() -> None:
    direct = {"s": ok("a", "b"), "t": ok("c")}
    tally = compare(direct, {"t": ok("c")}, [Excuse("s", None, "why")])
    assert (tally.scenarios, tally.of_scenarios, tally.checks, tally.of_checks) == (1, 1, 1, 1)
    assert tally.complete


def test_nothing_asked_is_nothing_proved() -> None:
    assert not compare({}, {}).complete
    assert not compare({"s": [Check("a", "INFO")]}, {"s": []}).complete
    assert not whole({}).complete


def test_a_direct_run_has_to_pass_whatever_the_suite_judged() -> None:
    assert whole({"s": [*ok("a"), Check("note", "INFO")]}).complete
    for status in ("FAILURE", "WARNING", "SKIPPED"):
        tally = whole({"s": [*ok("a"), Check("b", status, "why")]})
        assert tally.short == (Shortfall("s", "b", "why"),)
        assert (tally.scenarios, tally.checks, tally.of_checks) == (0, 1, 2)
    assert not whole({"s": ok("a"), "t": []}).complete


RUNS = st.dictionaries(
    st.sampled_from("stuv"),
    st.lists(st.builds(Check, st.sampled_from("abc"), st.sampled_from(STATUSES)), max_size=6),
)


@given(RUNS, RUNS)
def test_counts_hold_together(direct: dict[str, list[Check]], through: dict[str, list[Check]]) -> None:
    tally = compare(direct, through)
    assert 0 <= tally.checks <= tally.of_checks
    assert 0 <= tally.scenarios <= tally.of_scenarios <= len(direct)
    assert {one.scenario for one in tally.short} <= set(direct)
    assert len({one.scenario for one in tally.short}) == tally.of_scenarios - tally.scenarios
    assert tally.complete == (tally.of_checks > 0 and not tally.short)


@given(
    RUNS.filter(lambda run: any(check.status == "SUCCESS" for made in run.values() for check in made)),
    st.data(),
)
def test_one_check_less_is_always_seen(direct: dict[str, list[Check]], data: st.DataObject) -> None:
    passed = [
        (name, at) for name, made in direct.items() for at, one in enumerate(made) if one.status == "SUCCESS"
    ]
    name, at = data.draw(st.sampled_from(passed))
    less = {**direct, name: [one for number, one in enumerate(direct[name]) if number != at]}
    tally = compare(direct, less)
    assert tally.checks == tally.of_checks - 1
    assert not tally.complete


def test_what_is_written_of_a_leg() -> None:
    direct = {"s": ok("a", "b"), "t": ok("c")}
    tally = compare(direct, {"s": ok("a", "b"), "t": []})
    entries = [row(leg, tally) for leg in LEGS]
    assert json.loads(json.dumps(entries))[1] == {
        "wire": "2025-11-25",
        "server_era": "legacy",
        "transport": "stdio",
        "scenarios": "1/2",
        "checks": "2/3",
    }
    assert [(one["wire"], one["transport"]) for one in entries] == [
        ("2025-11-25", "http"),
        ("2025-11-25", "stdio"),
        ("2026-07-28", "http"),
        ("2026-07-28", "stdio"),
    ]
    assert line("2025-11-25", "legacy", "http", tally).split() == [
        "2025-11-25",
        "legacy",
        "http",
        "1/2",
        "scenarios",
        "2/3",
        "checks",
    ]


def test_excuses_are_for_stdio_only_and_give_their_reason() -> None:
    assert all(one.reason for excuses in NOT_OVER_STDIO.values() for one in excuses)
    assert [leg.excuses for leg in LEGS if leg.transport == "http"] == [(), ()]
    assert {wire.version for wire in (LEGACY, MODERN)} >= set(NOT_OVER_STDIO)
