"""Judging: what restricts never allows more, lists and calls agree, and known bypasses are refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from coatcheck.core.access import globs
from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS, UNRECORDED, Arguments
from coatcheck.core.policy.covering import Keys
from coatcheck.core.policy.judging import NO_POLICY, ReadyPolicy, judge, may_see
from coatcheck.core.policy.limits.windows import Refused, Reservation, Windows
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.trying.tracing import trace
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.verdict import Facts, Judgement, PolicyVerdict
from policies import (
    ALICE,
    CHARGE,
    FACTS,
    GLOBS,
    NATURES,
    OBJECTS,
    TARGETS,
    a_policy,
    asked,
    document,
    documents,
    judged,
    narrowed,
)

BRIEF = settings(max_examples=120, deadline=None)
ORDER = list(Judgement)


def raw(value: object) -> bytes:
    return json.dumps(value, default=float).encode()


ARGUMENTS = OBJECTS.map(raw)


def ready(found: dict[str, Any]) -> ReadyPolicy:
    return ReadyPolicy(read_policy(found))


# --- properties ---------------------------------------------------------------------------------------------


@BRIEF
@given(documents(), TARGETS, NATURES, FACTS, ARGUMENTS)
def test_a_list_shows_exactly_what_a_call_does_not_find_hidden(
    found: dict[str, Any], target: Target, nature: Nature, facts: Facts, arguments: bytes
) -> None:
    policy = ready(found)
    verdict = judge([policy], target, nature, facts, Arguments(arguments))
    assert may_see([policy], target, nature) is (verdict.judgement is not Judgement.HIDDEN)
    assert verdict.judgement is not Judgement.UNDECIDED
    assert verdict.rule.startswith("generated-1:/")
    assert verdict.because
    assert bool(verdict.message) is (verdict.judgement is Judgement.DENIED)
    assert verdict.judgement is Judgement.ALLOWED or not verdict.charges
    assert judge([ready(found)], target, nature, facts, Arguments(arguments)) == verdict


@settings(max_examples=300, deadline=None)
@given(narrowed(), TARGETS, NATURES, FACTS, ARGUMENTS)
def test_a_restriction_more_never_allows_more(
    pair: tuple[dict[str, Any], dict[str, Any]],
    target: Target,
    nature: Nature,
    facts: Facts,
    arguments: bytes,
) -> None:
    before, after = (judge([ready(one)], target, nature, facts, Arguments(arguments)) for one in pair)
    if after.judgement is Judgement.ALLOWED:
        assert before.judgement is Judgement.ALLOWED
        assert len(after.charges) >= len(before.charges)


@BRIEF
@given(st.lists(documents(), min_size=1, max_size=3), TARGETS, NATURES, FACTS, ARGUMENTS)
def test_of_several_policies_the_most_restrictive_wins(
    found: list[dict[str, Any]], target: Target, nature: Nature, facts: Facts, arguments: bytes
) -> None:
    policies = [ready({**one, "name": f"p{number}"}) for number, one in enumerate(found)]
    alone = [judge([policy], target, nature, facts, Arguments(arguments)) for policy in policies]
    together = judge(policies, target, nature, facts, Arguments(arguments))
    assert together.judgement is max((one.judgement for one in alone), key=ORDER.index)
    assert together.rule in {one.rule for one in alone if one.judgement is together.judgement}
    if together.judgement is Judgement.ALLOWED:
        assert together.charges == tuple(charge for one in alone for charge in one.charges)
        assert judge([*policies, policies[0]], target, nature, facts, Arguments(arguments)) == together
    else:
        assert not together.charges
    assert may_see(policies, target, nature) is (together.judgement is not Judgement.HIDDEN)


@BRIEF
@given(documents(), TARGETS, NATURES, FACTS, ARGUMENTS)
def test_a_trace_accounts_for_the_verdict(
    found: dict[str, Any], target: Target, nature: Nature, facts: Facts, arguments: bytes
) -> None:
    policy = ready(found)
    verdict = judge([policy], target, nature, facts, Arguments(arguments))
    steps = trace(policy, target, nature, facts, Arguments(arguments))
    assert all(step.says for step in steps)
    if verdict.judgement in {Judgement.DENIED, Judgement.HIDDEN} and target.kind is not Kind.SERVER:
        assert verdict.rule in {step.rule for step in steps if step.denies}
    elif target.kind is not Kind.SERVER:
        assert not any(step.denies for step in steps)


@BRIEF
@given(documents(), TARGETS, NATURES, FACTS, ARGUMENTS)
def test_a_replay_without_arguments_is_right_or_undecided(
    found: dict[str, Any], target: Target, nature: Nature, facts: Facts, arguments: bytes
) -> None:
    policy = ready(found)
    real = judge([policy], target, nature, facts, Arguments(arguments))
    replayed = judge([policy], target, nature, facts, UNRECORDED)
    assert replayed.judgement in {real.judgement, Judgement.UNDECIDED}


@BRIEF
@given(st.lists(GLOBS, max_size=6, unique=True), st.text("getdlx_G", max_size=6))
def test_keys_are_found_as_one_by_one(keys: list[str], name: str) -> None:
    found = Keys(list(enumerate(keys))).of(name)
    assert [number for number, for_sure in found if for_sure] == [
        number for number, key in enumerate(keys) if globs.matches(key, name)
    ]
    assert [number for number, _ in found] == sorted({
        number for number, key in enumerate(keys)
        if globs.matches(key, name) or globs.matches(key.lower(), name.lower())
    })  # fmt: skip


# --- precedence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("default", "entries", "nature", "judgement", "rule"),
    [
        ("allow-all", {}, Nature.WRITE, Judgement.ALLOWED, "/default"),
        ("read-only", {}, Nature.READ, Judgement.ALLOWED, "/default"),
        ("read-only", {}, Nature.WRITE, Judgement.HIDDEN, "/default"),
        ("read-only", {}, Nature.AMBIGUOUS, Judgement.HIDDEN, "/default"),
        ("deny-all", {}, Nature.READ, Judgement.HIDDEN, "/default"),
        ("deny-all", {"tools": {"create_*": {"outcome": "allow"}}}, Nature.WRITE, Judgement.ALLOWED, "/tools/create_*/outcome"),
        ("deny-all", {"access": {"write": {"outcome": "allow"}}}, Nature.AMBIGUOUS, Judgement.ALLOWED, "/access/write/outcome"),
        ("deny-all", {"access": {"read": {"outcome": "allow"}}}, Nature.WRITE, Judgement.HIDDEN, "/default"),
        ("allow-all", {"tools": {"*": {"outcome": "allow"}, "create_charge": {"outcome": "deny"}}}, Nature.READ, Judgement.DENIED, "/tools/create_charge/outcome"),
        ("allow-all", {"tools": {"*": {"outcome": "deny"}, "create_charge": {"outcome": "allow"}}}, Nature.READ, Judgement.DENIED, "/tools/*/outcome"),
        ("allow-all", {"tools": {"*": {"outcome": "hide"}, "create_charge": {"outcome": "deny"}}}, Nature.READ, Judgement.HIDDEN, "/tools/*/outcome"),
        ("allow-all", {"tools": {"create_charge": {"outcome": "allow"}}, "access": {"write": {"outcome": "deny"}}}, Nature.WRITE, Judgement.DENIED, "/access/write/outcome"),
        ("allow-all", {"tools": {"*": {"deny_if": [{"role": "dev"}]}}}, Nature.READ, Judgement.DENIED, "/tools/*/deny_if/0"),
        ("deny-all", {"tools": {"*": {"deny_if": [{"role": "dev"}]}}}, Nature.READ, Judgement.HIDDEN, "/default"),
        ("allow-all", {"tools": {"create_charge": {"deny_if": [{"role": "x"}], "allow_if": [{"role": "dev"}, {"role": "x"}]}}}, Nature.READ, Judgement.DENIED, "/tools/create_charge/allow_if/1"),
    ],
)  # fmt: skip
def test_hide_then_deny_then_default_then_conditions(default: str, entries: dict[str, Any], nature: Nature, judgement: Judgement, rule: str) -> None:  # fmt: skip
    verdict = judge([a_policy(default=default, **entries)], CHARGE, nature, ALICE, NO_ARGUMENTS)
    assert (verdict.judgement, verdict.rule) == (judgement, f"p:{rule}")


def test_without_a_policy_nothing_is_taken_away() -> None:
    assert judge([], CHARGE, Nature.WRITE, ALICE, NO_ARGUMENTS) == NO_POLICY
    assert may_see([], CHARGE, Nature.WRITE)


@pytest.mark.parametrize(
    ("kind", "default", "judgement"),
    [
        (Kind.PROMPT, "read-only", Judgement.ALLOWED), (Kind.RESOURCE, "read-only", Judgement.ALLOWED), (Kind.SERVER, "read-only", Judgement.ALLOWED),
        (Kind.PROMPT, "deny-all", Judgement.HIDDEN), (Kind.RESOURCE, "deny-all", Judgement.HIDDEN), (Kind.SERVER, "deny-all", Judgement.HIDDEN),
    ],
)  # fmt: skip
def test_defaults_of_what_is_no_tool(kind: Kind, default: str, judgement: Judgement) -> None:
    target = Target(kind, "" if kind is Kind.SERVER else "x")
    policy = a_policy(default=default, access={"read": {"outcome": "deny"}, "write": {"outcome": "deny"}})
    assert judge([policy], target, Nature.AMBIGUOUS, ALICE, NO_ARGUMENTS).judgement is judgement


def test_whoever_may_use_anything_may_say_how_much_a_server_tells() -> None:
    policy = a_policy(default="deny-all", prompts={"x": {"outcome": "allow"}})
    verdict = judge([policy], Target(Kind.SERVER, ""), Nature.AMBIGUOUS, ALICE, NO_ARGUMENTS)
    assert (verdict.judgement, verdict.rule) == (Judgement.ALLOWED, "p:/prompts/x/outcome")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"outcome": "deny"}, "The policy p does not allow create_charge."),
        ({"outcome": "deny", "message": "Ask finance."}, "Ask finance."),
        ({"deny_if": [{"path": "/a", "op": "eq", "value": 1}]}, "The policy p does not allow this call: it is denied if /a is 1."),
        ({"allow_if": [{"path": "/a", "op": "gt", "value": 1}]}, "The policy p does not allow this call: it is allowed if /a is more than 1."),
        ({"allow_if": [{"path": "/b", "op": "gt", "value": 1}]}, "The policy p does not allow this call: /b is not there."),
        ({"allow_if": [{"path": "/a", "op": "gt", "value": 1, "message": "More."}], "message": "Less."}, "More."),
        ({"allow_if": [{"path": "/a", "op": "gt", "value": 1}], "message": "Less."}, "Less."),
        ({"deny_if": [{"subject": ["bob", "alice"]}]}, "The policy p does not allow this call."),
        ({"allow_if": [{"all": [{"path": "/a", "op": "eq", "value": 1}, {"subject": "bob"}]}]}, "The policy p does not allow this call."),
    ],
)  # fmt: skip
def test_what_a_denied_caller_is_told_names_no_other(entry: dict[str, Any], message: str) -> None:
    verdict = judged(a_policy(tools={"create_charge": entry}), b'{"a": 1}')
    assert (verdict.judgement, verdict.message) == (Judgement.DENIED, message)


def test_what_a_denied_caller_is_told_is_short_and_visible() -> None:
    many = [{"path": f"/a{number}", "op": "eq", "value": "x\n"} for number in range(300)]
    verdict = judged(asked("allow_if", {"any": [*many, {"path": "/a", "op": "eq", "value": 1}]}), b'{"a": 2}')
    assert verdict.judgement is Judgement.DENIED
    for text in (verdict.message, verdict.because):
        assert len(text) < 400
        assert text.isprintable()


def test_what_a_call_takes_of_limits() -> None:
    policy = a_policy(
        tools={"create_charge": {"limits": [{"sum": "/items/*/price", "most": 9, "per": "day", "each": ["subject", "tool"]}, {"at_once": 2, "each": "grant", "message": "One by one."}]}},
        limits=[{"calls": 5, "per": "minute", "each": "all"}],
    )  # fmt: skip
    found = judged(policy, b'{"items": [{"price": 1.10}, {"price": 2}]}')
    summed, at_once, calls = found.charges
    assert (summed.amount, summed.most, summed.key[-2:]) == (
        Decimal("3.1"),
        9,
        ("alice", "server-1/tool/create_charge"),
    )
    assert (at_once.per, at_once.amount, at_once.message, at_once.key[-1]) == (
        None,
        1,
        "One by one.",
        "grant-1",
    )
    assert (calls.rule, calls.message) == ("p:/limits/0", "The policy p allows 5 calls per minute in all.")
    assert len({charge.key for charge in found.charges}) == 3
    other = judged(
        policy, b'{"items": [{"price": 1}]}', facts=structs.replace(ALICE, subject="bob", grant_id="g")
    )
    assert {one.key == two.key for one, two in zip(found.charges, other.charges, strict=True)} == {
        False,
        True,
    }
    assert other.charges[2].key == calls.key


def test_a_replay_without_the_values_is_undecided() -> None:
    policy = asked("deny_if", {"path": "/a", "op": "eq", "value": 1})
    assert judged(policy, None).judgement is Judgement.UNDECIDED
    assert judged(policy, None).rule == "p:/tools/create_charge/deny_if/0"
    summed = a_policy(
        tools={"create_charge": {"limits": [{"sum": "/a", "most": 1, "per": "day", "each": "all"}]}}
    )
    assert judged(summed, None).judgement is Judgement.UNDECIDED
    hidden = a_policy(default="deny-all")
    assert judge([policy, hidden], CHARGE, Nature.WRITE, ALICE, UNRECORDED).judgement is Judgement.HIDDEN


def test_names_of_callers_do_not_fill_the_memory() -> None:
    policy = a_policy()
    for number in range(5_000):
        policy.standing(Target(Kind.TOOL, f"t{number}"), Nature.READ)
    policy.standing(Target(Kind.TOOL, "x" * 10_000), Nature.READ)
    assert len(policy._kept) <= 2_048


# --- bypasses known from other gateways ---------------------------------------------------------------------

CAPS = {
    "create_charge": {
        "outcome": "allow",
        "deny_if": [{"path": "/amount", "op": "gt", "value": 5000}, {"path": "/to", "op": "in", "value": ["acct_bad"], "if_present": True}],
        "limits": [{"sum": "/amount", "most": 9000, "per": "day", "each": "subject"}],
    },
    "run_sql": {"outcome": "allow", "allow_if": [{"path": "/sql", "op": "matches", "value": "(?i)select [a-z0-9_, *]+ from [a-z]+"}]},
    "delete_repository": {"outcome": "deny"},
    "notify": {"outcome": "allow", "deny_if": [{"path": "/channel", "op": "eq", "value": "board"}, {"path": "/cc/*", "op": "eq", "value": "board", "if_present": True}]},
}  # fmt: skip
GUARDED = document(default="allow-all", tools=CAPS, resources={"file:///secrets/*": {"outcome": "hide"}})
FINE = [
    ("create_charge", '{"amount": 10}'), ("create_charge", '{"amount": 5000, "to": "acct_good"}'), ("create_charge", '{"amount": 0}'), ("run_sql", '{"sql": "SELECT a, b FROM t"}'),
    ("notify", '{"channel": "dev", "cc": ["ops"]}'), ("get_repository", "{}"),
]  # fmt: skip
BYPASSES = [
    # The wire refuses batches and equal members, so neither comes so far; arguments that are no object lead nowhere.
    ("create_charge", '[{"amount": 10}]'), ("create_charge", "null"), ("create_charge", '"amount"'), ("create_charge", "5"), ("create_charge", ""), ("create_charge", '{"amount": 10'),
    # another case, and other characters for the same member
    ("create_charge", '{"amount": 10, "Amount": 90000}'), ("create_charge", '{"Amount": 90000, "amount": 10}'), ("create_charge", '{"Amount": 90000}'), ("create_charge", '{"amount": 10, "\uff41mount": 90000}'), ("create_charge", '{"amount": 10, "amoun\\u200bt": 90000}'), ("create_charge", '{"amount": 10, "TO": "acct_bad"}'),
    # sums
    ("create_charge", '{"amount": -1}'), ("create_charge", '{"amount": -0.01}'), ("create_charge", '{"amount": "10"}'), ("create_charge", '{"amount": 1e-400}'),
    # lists, objects and other types for one value
    ("create_charge", '{"amount": [10]}'), ("create_charge", '{"amount": {"gt": 1}}'), ("create_charge", '{"amount": true}'), ("create_charge", '{"amount": null}'), ("create_charge", '{"amount": 10, "to": ["acct_bad"]}'), ("create_charge", '{"amount": 10, "to": null}'), ("notify", '{"channel": ["board"]}'), ("notify", '{"channel": "dev", "cc": "board"}'), ("notify", '{"channel": "dev", "cc": [["board"]]}'), ("run_sql", '{"sql": ["SELECT a FROM t"]}'),
    # absent
    ("create_charge", "{}"), ("run_sql", "{}"), ("notify", "{}"),
    # numbers just above
    ("create_charge", '{"amount": 5000.0000000000000001}'), ("create_charge", '{"amount": 50000000000000000000000}'), ("create_charge", '{"amount": 5.0001e3}'),
    # look-alikes in text, and more after a line end
    ("create_charge", '{"amount": 10, "to": "\uff41cct_bad"}'), ("create_charge", '{"amount": 10, "to": "acct\\u2060_bad"}'), ("notify", '{"channel": "\uff42oard"}'), ("run_sql", '{"sql": "select a from t\\n; drop table t"}'), ("run_sql", '{"sql": "select a from t; drop table t"}'), ("run_sql", '{"sql": "\uff53elect a from t"}'),
    # look-alikes of names
    ("delete_repository", "{}"), ("Delete_Repository", "{}"), ("delete_repositor\uff59", "{}"), ("delete\u00ad_repository", "{}"), ("CREATE_CHARGE", '{"amount": 90000}'),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "arguments"), FINE)
def test_what_is_meant_to_be_allowed_is(tool: str, arguments: str) -> None:
    verdict = judged(ready(GUARDED), arguments.encode(), Target(Kind.TOOL, tool))
    assert verdict.judgement is Judgement.ALLOWED


@pytest.mark.parametrize(("tool", "arguments"), BYPASSES)
def test_known_bypasses_are_refused(tool: str, arguments: str) -> None:
    verdict = judged(ready(GUARDED), arguments.encode(), Target(Kind.TOOL, tool))
    assert verdict.judgement is Judgement.DENIED


def test_what_a_server_says_of_a_tool_widens_nothing_that_is_named() -> None:
    """Lying annotations change the nature, by which a tool that writes may pass for one that reads."""
    policy = ready({**GUARDED, "access": {"write": {"outcome": "hide"}}})
    for nature in Nature:
        verdict = judge([policy], Target(Kind.TOOL, "delete_repository"), nature, ALICE, NO_ARGUMENTS)
        assert verdict.judgement in {Judgement.DENIED, Judgement.HIDDEN}


@pytest.mark.parametrize("uri", ["file:///secrets/a", "file:///x/../secrets/a", "FILE:///secrets/a", "file:///secret%73/a", "file:///SECRETS/a", "file://localhost/secrets/a", " file:///secrets/a", "file:///secrets\\a"])  # fmt: skip
def test_a_resource_is_hidden_however_its_uri_is_spelt(uri: str) -> None:
    policy = ready(GUARDED)
    assert may_see([policy], Target(Kind.RESOURCE, "file:///public/a"), Nature.READ)
    assert may_see([policy], Target(Kind.RESOURCE, "db://secrets/a/.."), Nature.READ)
    verdict = judged(policy, b"{}", Target(Kind.RESOURCE, uri))
    assert (verdict.judgement, verdict.rule) == (
        Judgement.HIDDEN,
        "p:/resources/file:~1~1~1secrets~1*/outcome",
    )


def test_an_odd_uri_is_allowed_only_by_what_allows_all() -> None:
    odd = Target(Kind.RESOURCE, "file:///public/../secrets")
    some = a_policy(default="deny-all", resources={"file:///public/*": {"outcome": "allow"}})
    every = a_policy(default="deny-all", resources={"*": {"outcome": "allow"}})
    assert judged(some, b"{}", Target(Kind.RESOURCE, "file:///public/a")).judgement is Judgement.ALLOWED
    assert judged(some, b"{}", odd).judgement is Judgement.HIDDEN
    assert judged(every, b"{}", odd).judgement is Judgement.ALLOWED


def test_a_cap_holds_over_the_edge_of_a_day() -> None:
    policy, windows, day = ready(GUARDED), Windows(), 86_400 * 10**9

    def reserve(amount: int, now: int) -> Reservation | Refused:
        verdict: PolicyVerdict = judged(policy, f'{{"amount": {amount}}}'.encode())
        assert verdict.judgement is Judgement.ALLOWED
        return windows.reserve(verdict.charges, now)

    assert isinstance(reserve(5000, 7 * day - 1), Reservation)
    assert isinstance(reserve(5000, 7 * day), Refused)
    assert isinstance(reserve(4000, 7 * day + 1), Reservation)
    assert isinstance(reserve(1, 8 * day - 2), Refused)


def test_a_limit_that_is_added_before_another_gives_nothing_back() -> None:
    """The count is of the list and of what is counted, and not of the place in the list."""
    day = {"calls": 3, "per": "day", "each": "grant"}
    windows = Windows()

    def made(*found: dict[str, Any]) -> bool:
        verdict = judge([a_policy(limits=list(found))], CHARGE, Nature.WRITE, ALICE, NO_ARGUMENTS)
        return isinstance(windows.reserve(verdict.charges, 0), Reservation)

    assert [made(day) for _ in range(4)] == [True, True, True, False]
    assert not made({"at_once": 5, "each": "grant"}, day)
    assert not made(day | {"calls": 9}, day)
    assert made({"calls": 9, "per": "day", "each": "grant"}), "raised"
