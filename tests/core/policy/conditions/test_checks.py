"""Conditions: three truths, strict types, exact numbers, and text that reads in two ways."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from coatcheck.core.policy.conditions import truth
from coatcheck.core.policy.conditions.arguments import UNRECORDED, Arguments
from coatcheck.core.policy.conditions.checks import judgement_of, ready
from coatcheck.core.policy.conditions.paths import read_path
from coatcheck.core.policy.conditions.values import Shape, as_number, read_exact, shape_of
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.saying import why_unknown, words_of
from coatcheck.model.policy import ArgumentCondition, Condition
from coatcheck.model.verdict import Facts, Judgement, Truth
from policies import ALICE, NUMBERS, VALUES, asked, comparisons, conditions, document, judged

BRIEF = settings(max_examples=200, deadline=None)
T, F, U, S = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN, Truth.SKIPPED


def the(condition: dict[str, Any]) -> Condition:
    policy = read_policy(document(tools={"t": {"deny_if": [condition]}}))
    return policy.entries[0].deny_if[0].condition


def told(condition: dict[str, Any], raw: bytes, *, denying: bool = True, facts: Facts = ALICE) -> Truth:
    return ready(the(condition), denying=denying)(facts, Arguments(raw))


def a(op: str, value: object = None, **more: Any) -> dict[str, Any]:
    return {"path": "/a", "op": op, **({} if value is None and op == "length" else {"value": value}), **more}


# --- comparing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        (a("eq", 1), "1", T), (a("eq", 1), "1.0", T), (a("eq", 1), "1E0", T), (a("eq", 1), "true", U), (a("eq", 1), '"1"', U), (a("eq", 1), "null", U), (a("eq", 1), "[1]", U), (a("eq", 1), "2", F),
        (a("eq", True), "true", T), (a("eq", True), "false", F), (a("eq", True), "1", U), (a("eq", True), '"true"', U),
        (a("eq", "a"), '"a"', T), (a("eq", "a"), '"A"', F), (a("eq", "a", ignore_case=True), '"A"', T), (a("eq", "a"), '["a"]', U), (a("eq", "a"), '{"a": "a"}', U),
        (a("eq", "a"), '" a"', U), (a("eq", "a"), r'"a\n"', U), (a("eq", "a"), '"a b"', F), (a("ne", "a"), '"a "', U), (a("in", ["a"]), '"\u00a0a"', U), (a("eq", "a "), '"a "', T), (a("has", "a"), '["b", "a "]', U), (a("matches", "a"), '"a "', F),
        (a("eq", None), "null", T), (a("eq", None), "0", U),
        (a("ne", "a"), '"b"', T), (a("ne", "a"), '"a"', F), (a("ne", "a"), "1", U), (a("ne", "a"), "null", U),
        (a("in", ["a", 1]), '"a"', T), (a("in", ["a", 1]), "1.00", T), (a("in", ["a", 1]), "2", F), (a("in", ["a", 1]), "true", U), (a("in", ["a", None]), "null", T),
        (a("not_in", ["a", 1]), '"b"', T), (a("not_in", ["a", 1]), "1", F), (a("not_in", ["a", 1]), "null", U),
        (a("gt", 5000), "5000", F), (a("gt", 5000), "5000.000000000000000000000000001", U), (a("gt", 5000), "5000.001", T), (a("gt", 5000), "5e3", F), (a("gt", 5000), '"9999"', U), (a("gt", 5000), "[9999]", U), (a("gt", 5000), "true", U), (a("gt", 5000), "-1", F),
        (a("gt", 2**53), "9007199254740993", U), (a("le", 2**53), "9007199254740993", U), (a("le", 2**53), "9007199254740992", T), (a("gt", 2**53), "9007199254740994", T), (a("eq", 2**53 + 1), "9007199254740993", T), (a("eq", 2**53 + 1), "9007199254740992", U), (a("eq", 2**53 + 1), "9007199254740991", F), (a("lt", 0), "-0", F), (a("lt", 0), "-1e-300", T), (a("ge", 0.1), "0.1", T), (a("ge", 0.1), "0.09999999999999999999999999", U), (a("ge", 0.1), "0.0999999", F),
        (a("eq", 10), "10.00000000000000000001", U), (a("ne", 10), "10.00000000000000000001", U), (a("in", [1, 10]), "9.99999999999999999999", U), (a("not_in", [1, 10]), "10.5", T), (a("eq", 0.3), "0.3", T), (a("eq", 0.3), "0.30000000000000004", F), (a("gt", 10), "1e400", T), (a("eq", 10), "1e400", F), (a("lt", 10), "-1e400", T), (a("eq", 0), "1e-400", U), (a("gt", 0), "1e-400", U),
        (a("lt", 10), "9" * 5000, F), (a("gt", 10), "9" * 5000, T), (a("eq", 10), "-" + "9" * 5000, F),
        (a("matches", "[a-z]+"), '"abc"', T), (a("matches", "[a-z]+"), '"abc1"', F), (a("matches", "[a-z]+"), r'"abc\n"', F), (a("matches", "a.c"), r'"a\nc"', T), (a("matches", "a"), "1", U), (a("matches", "A", ignore_case=True), '"a"', T),
        (a("matches", "a|b"), '"ab"', F), (a("search", "b"), '"abc"', T), (a("search", "^b"), r'"a\nb"', F), (a("search", "a$"), r'"a\n"', F), (a("search", "drop"), r'"x\n drop"', T), (a("search", "b"), '["b"]', U),
        (a("contains", "b"), '"abc"', T), (a("contains", "B"), '"abc"', F), (a("contains", "B", ignore_case=True), '"abc"', T), (a("contains", "b"), '["b"]', U),
        (a("has", "b"), '["a", "b"]', T), (a("has", "b"), '["a"]', F), (a("has", "b"), "[]", F), (a("has", "b"), '["a", 1]', U), (a("has", "b"), '["b", 1]', T), (a("has", "b"), '"b"', U),
        (a("length", min=1, max=2), '"ab"', T), (a("length", min=1, max=2), '""', F), (a("length", max=2), "[1,2,3]", F), (a("length", min=1), "{}", U), (a("length", min=1), "12", U),
    ],
)  # fmt: skip
def test_a_value_compares_as_what_it_is(condition: dict[str, Any], value: str, expected: Truth) -> None:
    assert told(condition, f'{{"a": {value}}}'.encode()) is expected
    words = words_of(the(condition))
    assert "/a" in words
    why = why_unknown(the(condition), ALICE, Arguments(f'{{"a": {value}}}'.encode()))
    assert bool(why) is (expected is U), why


@pytest.mark.parametrize(
    ("condition", "raw", "expected"),
    [
        (a("exists", True), b'{"a": null}', T), (a("exists", True), b"{}", F), (a("exists", False), b"{}", T), (a("exists", False), b'{"a": 0}', F), (a("exists", False), b'{"A": 0}', U),
        (a("eq", 1), b"{}", U), (a("eq", 1, if_present=True), b"{}", S), (a("eq", 1, if_present=True), b'{"A": 1}', U), (a("eq", 1, if_present=True), b'{"a": null}', U), (a("eq", 1, if_present=True), b"[]", U),
        ({"path": "/a/b", "op": "eq", "value": 1, "if_present": True}, b'{"a": {}}', S), ({"path": "/a/b", "op": "eq", "value": 1, "if_present": True}, b'{"a": 5}', U), ({"path": "/a/b", "op": "eq", "value": 1, "if_present": True}, b'{"a": {"B": 1}}', U),
        ({"path": "/a/0", "op": "eq", "value": 1}, b'{"a": [1]}', T), ({"path": "/a/1", "op": "eq", "value": 1}, b'{"a": [1]}', U), ({"path": "/a/01", "op": "eq", "value": 1}, b'{"a": [1, 1]}', U), ({"path": "/a/-", "op": "eq", "value": 1}, b'{"a": [1]}', U), ({"path": "/a/0", "op": "eq", "value": 1}, b'{"a": {"0": 1}}', T),
        ({"path": "/a~1b/~0", "op": "eq", "value": 1}, b'{"a/b": {"~": 1}}', T),
    ],
)  # fmt: skip
def test_what_is_absent_cannot_be_told_unless_that_was_minded(condition: dict[str, Any], raw: bytes, expected: Truth) -> None:  # fmt: skip
    assert told(condition, raw) is expected


@pytest.mark.parametrize("path", ["/amount", "/in/amount"])
@pytest.mark.parametrize("twin", ["Amount", "AMOUNT", "\uff41mount", "amo\u200bunt", "\u00adamount"])
def test_a_member_that_looks_like_another_makes_both_unclear_in_any_order(path: str, twin: str) -> None:
    def raw(*names: str) -> bytes:
        members = dict.fromkeys(names, 1)
        return json.dumps({"in": members} if path.startswith("/in") else members).encode()

    condition = {"path": path, "op": "eq", "value": 1}
    assert told(condition, raw("amount")) is T
    assert told(condition, raw("amount", "amounts", "a_mount")) is T
    for names in (("amount", twin), (twin, "amount"), (twin,)):
        assert told(condition, raw(*names)) is U
        assert told({**condition, "if_present": True}, raw(*names)) is U


@pytest.mark.parametrize(
    ("condition", "raw", "denying", "allowing"),
    [
        ("gt", b'{"l": [1, 9]}', T, F), ("gt", b'{"l": [9, 9]}', T, T), ("gt", b'{"l": [1]}', F, F), ("gt", b'{"l": []}', U, U), ("gt", b"{}", U, U), ("gt", b'{"l": 9}', U, U), ("gt", b'{"l": {"x": 9}}', T, T),
        ("gt", b'{"l": [1, "9"]}', U, F), ("gt", b'{"l": [9, "9"]}', T, U),
    ],
)  # fmt: skip
def test_a_denial_needs_one_of_many_and_an_allowance_all(condition: str, raw: bytes, denying: Truth, allowing: Truth) -> None:  # fmt: skip
    found = {"path": "/l/*", "op": condition, "value": 5}
    assert told(found, raw, denying=True) is denying
    assert told(found, raw, denying=False) is allowing
    assert told({"not": found}, raw, denying=True) is truth.opposite(allowing)
    assert told({"not": {"not": found}}, raw, denying=True) is denying


def test_items_that_lack_a_member_are_told_apart() -> None:
    condition = {"path": "/l/*/a", "op": "gt", "value": 5}
    assert told(condition, b'{"l": [{"a": 1}, {}]}') is U
    assert told(condition | {"if_present": True}, b'{"l": [{"a": 1}, {}]}') is F
    assert told(condition | {"if_present": True}, b'{"l": [{}]}') is S


def test_more_values_than_anybody_means_cannot_be_told() -> None:
    condition = {"path": "/*/*", "op": "gt", "value": 5}
    few = json.dumps({"a": [1] * 100, "b": [1] * 100}).encode()
    many = json.dumps({"a": [1] * 6000, "b": [1] * 6000}).encode()
    assert told(condition, few) is F
    assert told(condition, many) is U


@pytest.mark.parametrize(
    ("value", "expected"),
    [("\uff41dmin", U), ("ad\u200bmin", U), ("admin", T), ("a\u00addmin", U), ("root", F), ("…", F), ("½ ❤️", F), ("\U000e0061admin", U), ("\u0430dmin", F)],
)  # fmt: skip
def test_text_that_reads_in_two_ways_counts_only_where_that_matters(value: str, expected: Truth) -> None:
    raw = json.dumps({"a": value}).encode()
    for op, operand in (("eq", "admin"), ("search", "admin"), ("contains", "admin")):
        found = told(a(op, operand), raw)
        assert found in {expected, U, T} if value.endswith("admin") else found is expected
    assert told(a("eq", "admin"), raw) is expected


@pytest.mark.parametrize(
    "number", ["1e99999999999999999999", "-1E+99999999999999999999", "1e-99999999999999999999"]
)
def test_an_exponent_that_nobody_can_count_to_cannot_be_told(number: str) -> None:
    for op in ("eq", "ne", "gt", "le"):
        assert told(a(op, 5), b'{"a": 4}') is not U
        assert told(a(op, 5), f'{{"a": {number}}}'.encode()) is U
        assert told(a(op, 5), f'{{"a": 4, "b": [{number}]}}'.encode()) is U


def test_half_a_character_and_long_text_cannot_be_told() -> None:
    assert told(a("search", "x"), b'{"a": "\\ud800"}') is U
    assert told(a("search", "x"), json.dumps({"a": "y" * 65_536}).encode()) is F
    assert told(a("search", "x"), json.dumps({"a": "y" * 65_537}).encode()) is U


@BRIEF
@given(VALUES)
def test_arguments_keep_their_numbers_and_types(value: object) -> None:
    def written(one: object) -> str:
        if isinstance(one, dict):
            return "{" + ",".join(f"{json.dumps(key)}:{written(item)}" for key, item in one.items()) + "}"
        if isinstance(one, list):
            return "[" + ",".join(map(written, one)) + "]"
        return str(one) if isinstance(one, Decimal) else json.dumps(one)

    read = read_exact(written(value).encode())
    assert read == value
    assert shape_of(read) is not Shape.OTHER


@BRIEF
@given(NUMBERS)
def test_a_number_has_one_form(number: Any) -> None:
    found = as_number(number)
    assert found == number
    assert as_number(found) == found
    assert str(as_number(found)) == str(found)


# --- what cannot be told allows nothing ---------------------------------------------------------------------


@BRIEF
@given(conditions(), VALUES, VALUES)
def test_what_cannot_be_told_never_allows(condition: dict[str, Any], one: object, other: object) -> None:
    raw = json.dumps({"a": one, "b": other}, default=float).encode()
    for word, denying in (("deny_if", True), ("allow_if", False)):
        found = told(condition, raw, denying=denying)
        allowed = judged(asked(word, condition), raw).judgement is Judgement.ALLOWED
        assert allowed is (found in ({F, S} if denying else {T, S}))


WRONG = {
    "text": ["1", "true", "null", '["a"]', '{"a": 1}'],
    "number": ['"1"', "true", "null", "[1]", '{"a": 1}'],
    "flag": ['"true"', "1", "0", "null", "[true]", '{"a": true}'],
    "list": ['"a"', "1", "true", "null", '{"a": 1}'],
}


def _types(condition: dict[str, Any]) -> set[str]:
    op, value = condition["op"], condition.get("value")
    if op in {"matches", "search", "contains"}:
        return {"text"}
    if op in {"lt", "le", "gt", "ge"}:
        return {"number"}
    if op in {"has"}:
        return {"list"}
    values = value if isinstance(value, list) else [value]
    return {
        "flag" if isinstance(one, bool) else "text" if isinstance(one, str) else "null" if one is None else "number"
        for one in values
    }  # fmt: skip


@BRIEF
@given(comparisons().filter(lambda one: one["op"] not in {"exists", "length"}), st.data())
def test_a_value_of_the_wrong_type_satisfies_nothing_that_would_allow(
    condition: dict[str, Any], data: st.DataObject
) -> None:
    types = _types(condition)
    if len(types) != 1 or "null" in types:
        return
    value = data.draw(st.sampled_from(WRONG[types.pop()]))
    condition = {**condition, "path": "/a"}
    raw = f'{{"a": {value}}}'.encode()
    assert judged(asked("allow_if", condition), raw).judgement is Judgement.DENIED
    assert judged(asked("deny_if", condition), raw).judgement is Judgement.DENIED
    assert judged(asked("allow_if", {"not": condition}), raw).judgement is Judgement.DENIED
    assert judged(asked("deny_if", {"not": condition}), raw).judgement is Judgement.DENIED


@pytest.mark.parametrize(
    ("truths", "everything", "anything"),
    [
        ((), S, S), ((S, S), S, S), ((T, S), T, T), ((F, S), F, F), ((T, F), F, T), ((T, U), U, T), ((F, U), F, U), ((U, S), U, U),
        ((T, Truth.UNRECORDED), Truth.UNRECORDED, T), ((F, Truth.UNRECORDED), F, Truth.UNRECORDED), ((U, Truth.UNRECORDED), Truth.UNRECORDED, Truth.UNRECORDED),
    ],
)  # fmt: skip
def test_truths_join(truths: tuple[Truth, ...], everything: Truth, anything: Truth) -> None:
    for order in (truths, truths[::-1]):
        assert truth.all_of(order) is everything
        assert truth.any_of(order) is anything


# --- callers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "change", "expected"),
    [
        ({"subject": "alice"}, {}, T), ({"subject": ["al*", "x"]}, {}, T), ({"subject": "Alice"}, {}, F), ({"subject": "*"}, {"subject": ""}, U),
        ({"role": "dev"}, {}, T), ({"role": ["ops", "d*"]}, {}, T), ({"role": "*"}, {"roles": frozenset()}, F),
        ({"grant": "lap*"}, {}, T), ({"grant": "x"}, {}, F), ({"grant": "*"}, {"grant_label": ""}, U),
        ({"client": "claude*"}, {}, T), ({"client": "x"}, {}, F), ({"client": "*"}, {"client": ""}, U), ({"client": "claude*"}, {"client": "\uff43laude"}, U), ({"client": "x"}, {"client": None}, Truth.UNRECORDED),
        ({"ip": "10.0.0.0/8"}, {}, T), ({"ip": ["::1", "10.1.2.3"]}, {}, T), ({"ip": "10.0.0.0/8"}, {"address": "::ffff:10.9.9.9"}, T), ({"ip": "11.0.0.0/8"}, {}, F), ({"ip": "::/0"}, {}, F), ({"ip": "0.0.0.0/0"}, {"address": ""}, U), ({"ip": "0.0.0.0/0"}, {"address": "010.1.1.1"}, U), ({"ip": "fe80::/10"}, {"address": "fe80::1%eth0"}, T), ({"ip": "::1"}, {"address": None}, Truth.UNRECORDED),
        ({"ip": "::ffff:10.0.0.0/104"}, {}, T), ({"ip": "::ffff:10.1.2.3"}, {"address": "::ffff:10.1.2.3"}, T), ({"ip": "::ffff:0:0/96"}, {}, T), ({"ip": "::ffff:11.0.0.0/104"}, {}, F),
    ],
)  # fmt: skip
def test_conditions_on_callers(condition: dict[str, Any], change: dict[str, Any], expected: Truth) -> None:
    facts = structs.replace(ALICE, **change)
    assert told(condition, b"{}", facts=facts) is expected
    assert bool(why_unknown(the(condition), facts, Arguments(b"{}"))) is (expected is U)


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("time", "at", "expected"),
    [
        ({"from": "08:00", "to": "18:00", "zone": "UTC"}, "2026-11-18T08:00:00", T), ({"from": "08:00", "to": "18:00", "zone": "UTC"}, "2026-11-18T07:59:59", F), ({"from": "08:00", "to": "18:00", "zone": "UTC"}, "2026-11-18T18:00:00", F),
        ({"from": "08:00", "to": "18:00", "zone": BERLIN}, "2026-11-18T07:00:00", T), ({"from": "08:00", "to": "18:00", "zone": BERLIN}, "2026-07-18T06:00:00", T), ({"from": "08:00", "to": "18:00", "zone": BERLIN}, "2026-07-18T16:00:00", F),
        ({"from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-18T23:00:00", T), ({"from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-18T05:59:00", T), ({"from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-18T06:00:00", F),
        ({"days": ["tue"], "from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-18T05:00:00", T), ({"days": ["wed"], "from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-18T05:00:00", F), ({"days": ["sun"], "from": "22:00", "to": "06:00", "zone": "UTC"}, "2026-11-16T05:00:00", T),
        ({"days": ["wed"], "zone": "UTC"}, "2026-11-18T23:59:59", T), ({"days": ["wed"], "zone": BERLIN}, "2026-11-18T23:30:00", F), ({"days": ["wed"], "from": "12:00", "to": "24:00", "zone": "UTC"}, "2026-11-18T23:59:59", T),
    ],
)  # fmt: skip
def test_times_of_the_week(time: dict[str, Any], at: str, expected: Truth) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert told({"time": time}, b"{}", facts=structs.replace(ALICE, at=moment)) is expected


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_at_the_ends_of_the_calendar_no_time_can_be_told(zone: str) -> None:
    condition = {"time": {"days": ["mon"], "zone": zone}}
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)
    ends = [structs.replace(ALICE, at=at) for at in (first, last)]
    truths = [told(condition, b"{}", facts=facts) for facts in ends]
    assert truths.count(U) == 1
    assert [bool(why_unknown(the(condition), facts, Arguments(b"{}"))) for facts in ends] == [
        one is U for one in truths
    ]


@given(
    st.lists(comparisons(), min_size=1, max_size=6),
    st.dictionaries(st.sampled_from("abAl"), VALUES, max_size=3),
)
@BRIEF
def test_what_one_condition_learned_of_arguments_changes_no_other(
    many: list[Any], value: dict[str, Any]
) -> None:
    raw = json.dumps(value, default=float).encode()
    shared = Arguments(raw)
    for one in (*many, *many):
        check = ready(the(one), denying=True)
        assert check(ALICE, shared) is check(ALICE, Arguments(raw))
        if "*" not in one["path"]:
            value_there = Arguments(raw).at(read_path(one["path"]) or ())[0]
            condition = the(one)
            assert isinstance(condition, ArgumentCondition)
            assert check(ALICE, shared) is judgement_of(condition)(value_there)


def test_what_was_not_recorded_is_told_apart() -> None:
    check = ready(the(a("eq", 1)), denying=True)
    assert check(ALICE, UNRECORDED) is Truth.UNRECORDED
    assert told({"time": {"days": "mon", "zone": "UTC"}}, b"{}", facts=structs.replace(ALICE, at=None)) is Truth.UNRECORDED  # fmt: skip
