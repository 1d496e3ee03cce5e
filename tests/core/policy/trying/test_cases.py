"""Cases are read strictly and tried as calls are judged."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.core.policy.trying.cases import MAX_AFTER, Expected, read_cases, try_case
from policies import a_policy


def cases(*some: dict[str, Any], **head: Any) -> dict[str, Any]:
    return {"coatcheck": 1, "policy": "p", "cases": list(some), **head}


def case(**members: Any) -> dict[str, Any]:
    return {"name": "a", "tool": "t", "expect": "allowed", **members}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (cases(case(), policy="q"), {"/policy"}),
        (cases(case(), coatcheck=2), {"/coatcheck"}),
        ({"cases": [case()]}, {""}),
        (cases(case(tol="x")), {"/cases/0/tol"}),
        (cases(case(prompt="x")), {"/cases/0"}),
        (cases({"name": "a", "tool": "t"}), {"/cases/0"}),
        (cases(case(arguments=[1])), {"/cases/0/arguments"}),
        (cases(case(access="both")), {"/cases/0/access"}),
        (cases({"name": "a", "prompt": "x", "access": "read", "expect": "hidden"}), {"/cases/0/access"}),
        (cases(case(at="noon"), case(at="2026-11-18")), {"/cases/0/at", "/cases/1/at"}),
        (cases(case(caller={"ip": "10.0.0.0/8"}), case(caller={"who": "x"})), {"/cases/0/caller/ip", "/cases/1/caller/who"}),
        (cases(case(after=MAX_AFTER + 1)), {"/cases/0/after"}),
        (cases(case(every=-1), case(under_way="2")), {"/cases/0/every", "/cases/1/under_way"}),
        (cases(), {"/cases"}),
        ([], {""}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_all_at_once(document: Any, where: set[str]) -> None:
    assert len(read_cases(cases(case()), "p")) == 1
    with pytest.raises(BadPolicy) as refused:
        read_cases(document, "p")
    assert {problem.where for problem in refused.value.problems} == where


def test_a_case_is_a_call_of_its_caller() -> None:
    policy = a_policy(
        tools={
            "t": {
                "deny_if": [{"not": {"subject": "alice"}}, {"ip": "10.0.0.0/8"}, {"not": {"role": "dev"}}],
                "limits": [
                    {"sum": "/n", "most": 10, "per": "day", "each": "grant"},
                    {"at_once": 1, "each": "all"},
                ],
            }
        }
    )
    caller = {"subject": "alice", "roles": ["dev"], "ip": "192.0.2.1"}
    good = case(caller=caller, arguments={"n": 5}, after=1)
    (read,) = read_cases(cases(good), "p")
    assert try_case(policy, read).passed
    for change, rule in (
        ({"caller": {**caller, "subject": "bob"}}, "p:/tools/t/deny_if/0"),
        ({"caller": {**caller, "ip": "10.1.1.1"}}, "p:/tools/t/deny_if/1"),
        ({"caller": {**caller, "roles": ["ops"]}}, "p:/tools/t/deny_if/2"),
        ({"after": 2}, "p:/tools/t/limits/0"),
        ({"arguments": {"n": -1}}, "p:/tools/t/limits/0"),
    ):
        (read,) = read_cases(cases({**good, **change}), "p")
        tried = try_case(policy, read)
        assert (tried.outcome, tried.rule, tried.passed) == (Expected.DENIED, rule, False)
        assert tried.because
    (hidden,) = read_cases(cases({**good, "expect": "hidden"}), "p")
    assert try_case(a_policy(default="deny-all"), hidden).passed


@pytest.mark.parametrize(
    ("before", "passed"),
    [
        ({}, True), ({"after": 2}, True), ({"after": 3}, False), ({"after": 3, "every": 20}, False), ({"after": 300, "every": 31}, True),
        ({"under_way": 1}, True), ({"under_way": 2}, False), ({"after": 1, "under_way": 1}, True), ({"after": 2, "under_way": 1}, False), ({"after": 2, "every": 61, "under_way": 1}, True),
    ],
)  # fmt: skip
def test_calls_before_are_at_one_moment_or_spread_or_under_way(before: dict[str, int], passed: bool) -> None:
    limits = [{"calls": 3, "per": "minute", "each": "grant"}, {"at_once": 2, "each": "grant"}]
    (read,) = read_cases(cases(case(**before)), "p")
    assert try_case(a_policy(limits=limits), read).passed is passed


def test_a_call_before_that_is_refused_takes_nothing_and_is_not_the_outcome() -> None:
    """Two a minute, and one every 25 seconds: the third is refused, as in the gateway, and the fourth not."""
    policy = a_policy(limits=[{"calls": 2, "per": "minute", "each": "grant"}])
    for after, expected in ((1, "allowed"), (2, "denied"), (3, "allowed"), (5, "denied")):
        (read,) = read_cases(cases(case(after=after, every=25, expect=expected)), "p")
        assert try_case(policy, read).passed, after
