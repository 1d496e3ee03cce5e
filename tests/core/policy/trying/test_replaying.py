"""Replaying: what is on record decides what it can, and never otherwise than the call itself was decided."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS, UNRECORDED, Arguments, Outline
from coatcheck.core.policy.judging import ReadyPolicy, judge
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.trying import replaying
from coatcheck.core.policy.trying.replaying import (
    Comparison,
    Counting,
    arguments_of,
    is_judged,
    is_whole,
    scene_of,
    sums_on,
)
from coatcheck.core.recording.argument_prints import ArgumentPrints
from coatcheck.core.wire import messages
from coatcheck.model.access import Nature
from coatcheck.model.record import Outcome, Record, RecordEntry, Settlement, Verdict
from coatcheck.model.verdict import Judgement, PolicyVerdict
from coatcheck.operations.records import _outline
from ledgers import a_record
from policies import ALICE, CHARGE, FACTS, NATURES, NOON, OBJECTS, TARGETS, a_policy, asked, documents, limits

PRINTS = ArgumentPrints(bytes(range(32)))
SLOW = settings(max_examples=250, deadline=None)
Judged = Judgement


def recorded(arguments: bytes | None, **changes: Any) -> Record:
    """Return the record of a call with these arguments, as the gateway makes it without their values."""
    members = messages.members_of(arguments) if arguments is not None else None
    if arguments is None or members is None:
        return a_record(**changes)
    prints = PRINTS.of(arguments) if members else ""
    return a_record(arguments=_outline(members), argument_prints=prints, **changes)


def outlined(arguments: bytes | None) -> Arguments:
    return arguments_of(recorded(arguments), None, PRINTS.of_value)


def raw(value: object) -> bytes:
    return json.dumps(value, default=float).encode()


# --- arguments ----------------------------------------------------------------------------------------------


@SLOW
@given(documents(), TARGETS, NATURES, FACTS, OBJECTS)
def test_what_a_record_decides_is_what_the_call_itself_gets(
    found: dict[str, Any], target: Any, nature: Nature, facts: Any, values: dict[str, Any]
) -> None:
    policy, arguments = ReadyPolicy(read_policy(found)), raw(values)
    real = judge([policy], target, nature, facts, Arguments(arguments))
    told = judge([policy], target, nature, facts, outlined(arguments))
    assert told.judgement in {real.judgement, Judged.UNDECIDED}
    if told.judgement is Judged.ALLOWED:
        assert (told.rule, told.charges) == (real.rule, real.charges)
    less = judge([policy], target, nature, facts, UNRECORDED)
    assert less.judgement in {told.judgement, Judged.UNDECIDED}


@SLOW
@given(documents(), TARGETS, NATURES, FACTS, OBJECTS)
def test_where_the_values_are_there_everything_is_decided(
    found: dict[str, Any], target: Any, nature: Nature, facts: Any, values: dict[str, Any]
) -> None:
    policy, arguments = ReadyPolicy(read_policy(found)), raw(values)
    opened = arguments_of(recorded(arguments), arguments.decode(), PRINTS.of_value)
    assert judge([policy], target, nature, facts, opened) == judge(
        [policy], target, nature, facts, Arguments(arguments)
    )


@pytest.mark.parametrize(
    ("word", "condition", "arguments", "expected"),
    [
        ("deny_if", {"path": "/a", "op": "exists"}, {"a": 1}, Judged.DENIED),
        ("deny_if", {"path": "/a", "op": "exists"}, {"b": 1}, Judged.ALLOWED),
        ("deny_if", {"path": "/a/b", "op": "exists"}, {"a": {"b": 1}}, Judged.UNDECIDED),
        ("deny_if", {"path": "/a/b", "op": "exists", "value": False}, {"c": 1}, Judged.DENIED),
        ("deny_if", {"path": "/a", "op": "gt", "value": 5}, {"b": 1}, Judged.DENIED),
        ("deny_if", {"path": "/a", "op": "gt", "value": 5, "if_present": True}, {"b": 1}, Judged.ALLOWED),
        ("deny_if", {"path": "/a", "op": "gt", "value": 5}, {"a": 1}, Judged.UNDECIDED),
        ("deny_if", {"path": "/a", "op": "gt", "value": 5}, {"A": 1}, Judged.DENIED),
        ("allow_if", {"path": "/a", "op": "in", "value": ["eur", "usd"]}, {"a": "usd"}, Judged.ALLOWED),
        ("allow_if", {"path": "/a", "op": "in", "value": ["eur"]}, {"a": "usd"}, Judged.UNDECIDED),
        ("deny_if", {"path": "/a", "op": "eq", "value": "x"}, {"a": "x"}, Judged.DENIED),
        ("deny_if", {"path": "/a", "op": "ne", "value": "x"}, {"a": "x"}, Judged.ALLOWED),
        ("deny_if", {"path": "/a", "op": "eq", "value": "1"}, {"a": 1}, Judged.UNDECIDED),
        ("deny_if", {"path": "/*", "op": "eq", "value": "x"}, {"a": "y", "b": "x"}, Judged.DENIED),
    ],
)
def test_names_and_prints_decide_what_they_can(
    word: str, condition: dict[str, Any], arguments: dict[str, Any], expected: Judgement
) -> None:
    verdict = judge([asked(word, condition)], CHARGE, Nature.WRITE, ALICE, outlined(raw(arguments)))
    assert verdict.judgement is expected


def test_what_is_not_known_for_sure_is_not_taken_for_known() -> None:
    assert outlined(None) is NO_ARGUMENTS
    assert isinstance(outlined(b"{}"), Outline)
    for values in ({f"n{number}": 1 for number in range(65)}, {"x" * 201: 1}, {"a": {"x" * 250: 1}}):
        assert outlined(raw(values)) is UNRECORDED
    record = recorded(raw({"a": 1}))
    for changes in ({"argument_prints": ""}, {"arguments": "{"}, {"arguments": '{"cckg_0***":1}'}):
        assert arguments_of(structs.replace(record, **changes), None, PRINTS.of_value) is UNRECORDED


def test_what_was_cut_or_is_not_of_rules_is_told_apart() -> None:
    assert is_whole(a_record())
    for changes in ({"tool": "x" * 200}, {"tool": "a***"}, {"roles": tuple("a" * 32)}):
        assert not is_whole(a_record(**changes))
    rules = {"/acl/default": True, "p:/default": True, "(scope)": True, "(approved)": True, "(limit)": False, "(unknown)": False, "(quarantined)": False}  # fmt: skip
    assert {rule: is_judged(a_record(rule=rule)) for rule in rules} == rules
    assert scene_of(a_record(client_name="x" * 200)).client is None
    assert scene_of(a_record()).client == "claude-code"


# --- limits -------------------------------------------------------------------------------------------------


def an_entry(
    seconds: float, *, lasts: float = 0.1, sent: int = 100, decision: Verdict = Verdict.ALLOWED, **more: Any
) -> RecordEntry:
    record = a_record(at=NOON + timedelta(seconds=seconds), decision=decision, **more)
    outcome = Outcome.OK if decision is Verdict.ALLOWED else Outcome.DENIED
    settlement = Settlement(record.id, record.at, outcome, lasts, request_bytes=sent)
    return RecordEntry(1, record, settlement)


def counted(limit: dict[str, Any], *entries: tuple[RecordEntry, bytes | None]) -> list[Judgement]:
    policy = a_policy(tools={"create_charge": {"limits": [limit]}})
    counting, found = Counting(), list[Judged]()
    for entry, arguments in entries:
        verdict = judge([policy], CHARGE, Nature.WRITE, ALICE, Arguments(arguments))
        sums = sums_on([policy], CHARGE, Nature.WRITE) if verdict.judgement is Judged.UNDECIDED else ()
        found.append(counting.judge(entry, verdict, sums).judgement)
    return found


TWO = {"calls": 2, "per": "minute", "each": "grant"}


def test_calls_are_counted_by_their_recorded_times() -> None:
    calls = [(an_entry(seconds), b"{}") for seconds in (0, 1, 2, 59, 70, 71)]
    assert counted(TWO, *calls) == [
        Judged.ALLOWED, Judged.ALLOWED, Judged.DENIED, Judged.DENIED, Judged.ALLOWED, Judged.ALLOWED
    ]  # fmt: skip


def test_what_never_reached_its_server_is_given_back() -> None:
    calls = [(an_entry(0, sent=0), b"{}"), *((an_entry(seconds), b"{}") for seconds in (1, 2, 3))]
    assert counted(TWO, *calls) == [Judged.ALLOWED, Judged.ALLOWED, Judged.ALLOWED, Judged.DENIED]
    denied = [(an_entry(seconds, sent=0, decision=Verdict.DENIED), b"{}") for seconds in range(3)]
    assert counted(TWO, *denied) == [Judged.ALLOWED, Judged.ALLOWED, Judged.DENIED]


def test_calls_at_one_time_are_those_that_were_under_way() -> None:
    limit = {"at_once": 1, "each": "grant"}
    calls = [(an_entry(0, lasts=5), b"{}"), (an_entry(4), b"{}"), (an_entry(6), b"{}")]
    assert counted(limit, *calls) == [Judged.ALLOWED, Judged.DENIED, Judged.ALLOWED]


def test_a_sum_without_a_value_is_in_doubt_for_its_window() -> None:
    limit = {"sum": "/amount", "most": 10, "per": "minute", "each": "grant"}
    calls = [
        (an_entry(0), b'{"amount": 6}'),
        (an_entry(1), b'{"amount": 6}'),
        (an_entry(2), None),
        (an_entry(3), b'{"amount": 1}'),
        (an_entry(4), b'{"amount": 6}'),
        (an_entry(200), b'{"amount": 6}'),
    ]
    assert counted(limit, *calls) == [
        Judged.ALLOWED, Judged.DENIED, Judged.UNDECIDED, Judged.UNDECIDED, Judged.DENIED, Judged.ALLOWED
    ]  # fmt: skip
    refused = [(an_entry(0, decision=Verdict.DENIED), None), (an_entry(3), b'{"amount": 1}')]
    assert counted(limit, *refused) == [Judged.UNDECIDED] * 2, "it may be allowed now, and add something"


def test_what_rests_on_undecided_calls_is_undecided() -> None:
    """Whether the first call took something nobody knows: neither what it leaves nor what it takes is sure."""
    policy = a_policy(
        tools={"create_charge": {"deny_if": [{"path": "/amount", "op": "gt", "value": 5}]}},
        limits=[{"calls": 1, "per": "minute", "each": "grant"}],
    )
    small, secret = b'{"amount": 1}', None
    cases: dict[tuple[tuple[int, bytes | None], ...], str] = {
        ((0, small), (1, small)): "ALLOWED DENIED",
        ((0, secret), (1, small)): "UNDECIDED UNDECIDED",
        ((0, small), (1, secret), (2, small)): "ALLOWED DENIED DENIED",
        ((0, secret), (30, small), (65, small)): "UNDECIDED UNDECIDED UNDECIDED",
        ((0, secret), (30, b'{"amount": 6}'), (65, small)): "UNDECIDED DENIED ALLOWED",
        ((0, secret), (30, secret), (95, small)): "UNDECIDED UNDECIDED ALLOWED",
    }
    for calls, expected in cases.items():
        for decision in (Verdict.ALLOWED, Verdict.DENIED):
            counting, found = Counting(), list[Judged]()
            for seconds, arguments in calls:
                verdict = judge([policy], CHARGE, Nature.WRITE, ALICE, Arguments(arguments))
                found.append(counting.judge(an_entry(seconds, decision=decision), verdict).judgement)
            assert [one.name for one in found] == expected.split(), calls


@SLOW
@given(
    st.lists(st.tuples(st.floats(0, 150), st.booleans(), st.integers(0, 9)), max_size=10),
    st.lists(limits(sums=False), min_size=1, max_size=2),
)
def test_what_is_decided_holds_whatever_was_not_recorded(
    calls: list[tuple[float, bool, int]], found: list[dict[str, Any]]
) -> None:
    limited: list[dict[str, Any]] = [*found, {"sum": "/amount", "most": 9, "per": "minute", "each": "all"}]
    policy = a_policy(
        tools={"create_charge": {"deny_if": [{"path": "/amount", "op": "gt", "value": 5}], "limits": limited}}
    )
    real, told = Counting(), Counting()
    for seconds, known, amount in sorted(calls):
        raw_arguments, entry = raw({"amount": amount}), an_entry(seconds)
        verdict = judge([policy], CHARGE, Nature.WRITE, ALICE, Arguments(raw_arguments))
        really = real.judge(entry, verdict).judgement
        verdict = judge([policy], CHARGE, Nature.WRITE, ALICE, Arguments(raw_arguments if known else None))
        sums = sums_on([policy], CHARGE, Nature.WRITE) if verdict.judgement is Judged.UNDECIDED else ()
        assert told.judge(entry, verdict, sums).judgement in {really, Judged.UNDECIDED}


@SLOW
@given(st.lists(limits(sums=False), min_size=1, max_size=3), st.lists(st.floats(0, 300), max_size=12))
def test_what_limits_left_is_left_again(found: list[dict[str, Any]], times: list[float]) -> None:
    policy = a_policy(tools={"create_charge": {"limits": found}})
    verdict = judge([policy], CHARGE, Nature.WRITE, ALICE, NO_ARGUMENTS)
    first, second = Counting(), Counting()
    for seconds in sorted(times):
        judged = first.judge(an_entry(seconds), verdict)
        as_it_was = Verdict.ALLOWED if judged.judgement is Judged.ALLOWED else Verdict.DENIED
        entry = an_entry(seconds, decision=as_it_was, sent=100 if as_it_was is Verdict.ALLOWED else 0)
        assert second.judge(entry, verdict).judgement is judged.judgement


# --- what changed -------------------------------------------------------------------------------------------


def test_calls_that_change_alike_are_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "MAX_GROUPS", 2)
    comparison = Comparison()
    denied = PolicyVerdict(Judged.DENIED, "p:/x", "because")
    for seconds, tool in enumerate(("a", "b", "b", "c")):
        comparison.add(a_record(tool=tool, at=NOON + timedelta(seconds=seconds)), denied)
    comparison.add(a_record(), PolicyVerdict(Judged.ALLOWED, "other", ""))
    comparison.add(a_record(decision=Verdict.HIDDEN, rule="p:/x"), denied)
    comparison.add(a_record(), PolicyVerdict(Judged.UNDECIDED, "p:/y", ""))
    assert (comparison.looked_at, comparison.same, comparison.ungrouped) == (7, 2, 1)
    assert comparison.totals[Judged.DENIED] == 4
    assert comparison.undecided == {"p:/y": 1}
    (largest,) = comparison.largest(1)
    assert (largest[0].name, largest[0].before, largest[0].after_rule) == ("b", Verdict.ALLOWED, "p:/x")
    assert (largest[1].calls, largest[1].last - largest[1].first) == (2, timedelta(seconds=1))
