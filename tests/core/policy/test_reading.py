"""Reading and writing: the same policy comes back, and what is wrong is told at once, with its place and a fix."""

from __future__ import annotations

import copy
import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.document import read_json, read_policy
from coatcheck.core.policy.reading.problems import MAX_PROBLEMS, BadPolicy
from coatcheck.core.policy.writing import write_json, write_policy
from coatcheck.errors import AmbiguousJson
from coatcheck.model.policy import ArgumentCondition, Clause, Default, Op, SumLimit
from policies import document, documents

BRIEF = settings(max_examples=150, deadline=None)
WORDS = st.sampled_from(
    ("coatcheck", "name", "default", "tools", "access", "read", "deny_if", "allow_if", "limits", "outcome", "path", "op", "value", "eq", "matches", "length", "min", "any", "not", "time", "zone", "from", "UTC", "ip", "calls", "per", "sum", "each", "at_once", "message", "a", "*", "/a", "(", "\ud800", "")
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), WORDS, st.text(max_size=4), st.just(datetime.date(2026, 1, 1)), st.binary(max_size=1)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.integers(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def problems_of(found: object) -> dict[str, str]:
    with pytest.raises(BadPolicy) as caught:
        read_policy(found)
    for problem in caught.value.problems:
        assert problem.message
        assert problem.message in str(problem)
    return {problem.where: problem.message for problem in caught.value.problems}


def in_tool(**entry: Any) -> dict[str, Any]:
    return document(tools={"t": entry})


def test_a_policy_is_read() -> None:
    found = {
        "coatcheck": 1,
        "name": "payments-caps",
        "description": "Caps.",
        "default": "read-only",
        "tools": {
            "charge": {
                "outcome": "allow",
                "message": "Ask finance.",
                "deny_if": [{"path": "/amount", "op": "gt", "value": 5000, "message": "Too much."}],
                "limits": [{"sum": "/amount", "most": 0.5, "per": "day", "each": "subject"}],
            }
        },
    }
    policy = read_policy(found)
    (entry,) = policy.entries
    assert (policy.name, policy.default, entry.key, entry.message) == (
        "payments-caps",
        Default.READ_ONLY,
        "charge",
        "Ask finance.",
    )
    assert entry.deny_if == (Clause(ArgumentCondition("/amount", Op.GT, (5000,)), "Too much."),)
    (limit,) = entry.limits
    assert isinstance(limit, SumLimit)
    assert limit.most == Decimal("0.5")


@BRIEF
@given(documents())
def test_what_was_written_reads_back_as_the_same_policy(found: dict[str, Any]) -> None:
    policy = read_policy(found)
    written = write_policy(policy)
    assert read_policy(written) == policy
    assert write_policy(read_policy(written)) == written
    assert read_json(write_json(policy)) == policy
    ReadyPolicy(policy)


@settings(max_examples=200, deadline=None)
@given(ANYTHING | st.builds(lambda rest: document() | rest, st.dictionaries(WORDS, ANYTHING, max_size=4)))
def test_no_document_raises_anything_but_its_problems(found: object) -> None:
    try:
        policy = read_policy(found)
    except BadPolicy as error:
        assert 1 <= len(error.problems) <= MAX_PROBLEMS  # noqa: PT017 - both ends are fine
    else:
        assert read_policy(write_policy(policy)) == policy
        write_json(policy)


@settings(max_examples=200, deadline=None)
@given(documents(), st.data())
def test_one_wrong_value_anywhere_is_told_at_its_place_or_is_no_harm(
    found: dict[str, Any], data: st.DataObject
) -> None:
    found = copy.deepcopy(found)  # its parts are shared
    holder: Any = found
    key: Any = data.draw(st.sampled_from(sorted(found)))
    while isinstance(holder[key], dict | list) and holder[key] and data.draw(st.booleans()):
        holder = holder[key]
        key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    holder[key] = data.draw(ANYTHING)
    try:
        ReadyPolicy(read_policy(found))
    except BadPolicy as error:
        assert all(problem.message for problem in error.problems)  # noqa: PT017 - both ends are fine


def test_all_problems_are_told_at_once() -> None:
    found = {
        "coatcheck": 2,
        "nam": "x",
        "default": "allow",
        "tools": {
            "a/b": {"outcome": "alow", "deny_if": [{"path": "x", "op": "gt", "value": "5"}]},
            "b": {"deny_if": [{"path": "/a", "op": "matches", "value": "(?=x)"}]},
        },
        "resources": {"*": {"deny_if": [{"path": "/a", "op": "exists"}]}},
        "limits": [{"sum": "/a", "most": 1, "per": "day", "each": "all"}],
    }
    with pytest.raises(BadPolicy) as caught:
        read_policy(found)
    assert [problem.where for problem in caught.value.problems] == [
        "/nam",
        "/coatcheck",
        "",
        "/default",
        "/tools/a~1b/outcome",
        "/tools/a~1b/deny_if/0/path",
        "/tools/a~1b/deny_if/0/value",
        "/tools/b/deny_if/0/value",
        "/resources/*/deny_if/0",
        "/limits/0",
    ]
    assert all(problem.fix for problem in caught.value.problems)
    assert "11 problem" not in caught.value.message
    assert "did you mean 'name'?" in caught.value.message


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ({}, "/tools/t"),
        ({"message": "No."}, "/tools/t/message"),
        ({"outcome": "hide", "message": "No."}, "/tools/t/message"),
        ({"outcome": "deny", "deny_if": [{"role": "a"}]}, "/tools/t/deny_if"),
        ({"outcome": "allow", "message": "two\nlines"}, "/tools/t/message"),
        ({"outcome": "allow", "message": "x" * 301}, "/tools/t/message"),
        ({"deny_if": []}, "/tools/t/deny_if"),
        ({"deny_if": [{}]}, "/tools/t/deny_if/0"),
        ({"deny_if": [{"role": "a", "subject": "b"}]}, "/tools/t/deny_if/0"),
        ({"deny_if": [{"role": "a", "extra": 1}]}, "/tools/t/deny_if/0/extra"),
        ({"deny_if": [{"not": {"role": "a", "message": "No."}}]}, "/tools/t/deny_if/0/not/message"),
        ({"deny_if": [{"path": "/a"}]}, "/tools/t/deny_if/0"),
        ({"deny_if": [{"path": "/a", "op": "eq"}]}, "/tools/t/deny_if/0"),
        ({"deny_if": [{"path": "", "op": "exists"}]}, "/tools/t/deny_if/0/path"),
        ({"deny_if": [{"path": "/a~2", "op": "exists"}]}, "/tools/t/deny_if/0/path"),
        ({"deny_if": [{"path": "/" * 17, "op": "exists"}]}, "/tools/t/deny_if/0/path"),
        ({"deny_if": [{"path": "/a", "op": "exists", "value": 1}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "exists", "if_present": True}]}, "/tools/t/deny_if/0/if_present"),
        ({"deny_if": [{"path": "/a", "op": "gt", "value": True}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "gt", "value": "1"}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "gt", "value": float("nan")}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "gt", "value": 10**41}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "gt", "value": 1, "ignore_case": True}]}, "/tools/t/deny_if/0/ignore_case"),
        ({"deny_if": [{"path": "/a", "op": "gt", "value": 1, "min": 1}]}, "/tools/t/deny_if/0/min"),
        ({"deny_if": [{"path": "/a", "op": "in", "value": "a"}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "in", "value": []}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "eq", "value": ["a"]}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "eq", "value": datetime.date(2026, 1, 1)}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "eq", "value": "\uff41"}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "eq", "value": "\ud800"}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "contains", "value": ""}]}, "/tools/t/deny_if/0/value"),
        ({"deny_if": [{"path": "/a", "op": "length"}]}, "/tools/t/deny_if/0"),
        ({"deny_if": [{"path": "/a", "op": "length", "min": 3, "max": 1}]}, "/tools/t/deny_if/0"),
        ({"deny_if": [{"path": "/a", "op": "length", "min": -1}]}, "/tools/t/deny_if/0/min"),
        ({"deny_if": [{"path": "/a", "op": "length", "min": 1.5}]}, "/tools/t/deny_if/0/min"),
        ({"deny_if": [{"ip": ["10.0.0.1/8"]}]}, "/tools/t/deny_if/0/ip/0"),
        ({"deny_if": [{"time": {"zone": "UTC"}}]}, "/tools/t/deny_if/0/time"),
        ({"deny_if": [{"time": {"days": ["mon"]}}]}, "/tools/t/deny_if/0/time"),
        ({"deny_if": [{"time": {"days": ["monday"], "zone": "UTC"}}]}, "/tools/t/deny_if/0/time/days/0"),
        ({"deny_if": [{"time": {"days": "mon", "zone": "../../etc/passwd"}}]}, "/tools/t/deny_if/0/time/zone"),
        ({"deny_if": [{"time": {"from": "8:00", "to": "18:00", "zone": "UTC"}}]}, "/tools/t/deny_if/0/time/from"),
        ({"deny_if": [{"time": {"from": "08:00", "zone": "UTC"}}]}, "/tools/t/deny_if/0/time"),
        ({"deny_if": [{"time": {"from": "08:00", "to": "08:00", "zone": "UTC"}}]}, "/tools/t/deny_if/0/time"),
        ({"deny_if": [{"time": {"from": 480, "to": "08:00", "zone": "UTC"}}]}, "/tools/t/deny_if/0/time/from"),
        ({"limits": [{"calls": 1, "per": "day"}]}, "/tools/t/limits/0"),
        ({"limits": [{"calls": 1, "each": "all"}]}, "/tools/t/limits/0"),
        ({"limits": [{"calls": 0, "per": "day", "each": "all"}]}, "/tools/t/limits/0/calls"),
        ({"limits": [{"calls": True, "per": "day", "each": "all"}]}, "/tools/t/limits/0/calls"),
        ({"limits": [{"calls": 1, "per": "week", "each": "all"}]}, "/tools/t/limits/0/per"),
        ({"limits": [{"calls": 1, "per": "day", "each": "role"}]}, "/tools/t/limits/0/each"),
        ({"limits": [{"sum": "/a", "per": "day", "each": "all"}]}, "/tools/t/limits/0"),
        ({"limits": [{"sum": "/a", "most": -1, "per": "day", "each": "all"}]}, "/tools/t/limits/0/most"),
        ({"limits": [{"at_once": 1, "per": "day", "each": "all"}]}, "/tools/t/limits/0/per"),
        ({"limits": [{"at_once": 1, "calls": 1, "each": "all"}]}, "/tools/t/limits/0"),
        ({"limits": [{"at_once": 1, "each": "all"}] * 21}, "/tools/t/limits"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(entry: dict[str, Any], where: str) -> None:
    assert list(problems_of(in_tool(**entry))) == [where]


@pytest.mark.parametrize("key", ["", " a", "a\u200bb", "a\nb", "x" * 257])
def test_a_key_is_short_and_visible(key: str) -> None:
    assert len(problems_of(document(tools={key: {"outcome": "deny"}}))) == 1


@pytest.mark.parametrize("name", ["", "A", "-a", "a" * 65, "a_b", "a\n", 5, None])
def test_a_name_is_plain(name: object) -> None:
    assert list(problems_of(document(name=name))) == ["/name"]


@pytest.mark.parametrize("description", ["", "x" * 2001, "\x1b[31mred", 5, ["a"], "\ud800"])
def test_a_description_is_lines_that_can_be_seen(description: object) -> None:
    read_policy(document(description="Two lines,\nand a space."))
    assert list(problems_of(document(description=description))) == ["/description"]


def test_a_key_of_yaml_that_is_no_text_is_told() -> None:
    found: dict[Any, Any] = {**document(), 5: 1}
    assert problems_of(found) == {"": "has a key that is a number, not text"}


# --- bounds -------------------------------------------------------------------------------------------------


def nested(depth: int) -> dict[str, Any]:
    condition: dict[str, Any] = {"role": ["a"]}
    for _ in range(depth - 1):
        condition = {"not": condition}
    return condition


def test_conditions_nest_eight_deep() -> None:
    read_policy(in_tool(deny_if=[nested(8)]))
    assert list(problems_of(in_tool(deny_if=[nested(9)]))) == ["/tools/t/deny_if/0" + "/not" * 8]


def test_a_document_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["any"] = [loop] * 100
    assert problems_of(in_tool(deny_if=[loop]))
    wide: dict[str, Any] = {"role": "a"}
    for _ in range(5):
        wide = {"any": [wide] * 100}
    assert list(problems_of(in_tool(deny_if=[wide])).values()) == ["a policy has at most 2000 conditions"]


def test_entries_patterns_and_limits_are_bounded() -> None:
    many = {f"t{number}": {"outcome": "deny"} for number in range(1000)}
    read_policy(document(tools=many))
    assert "a policy has at most 1000 entries" in problems_of(document(tools=many, prompts={"x": {"outcome": "deny"}})).values()  # fmt: skip
    patterns = [{"path": "/a", "op": "matches", "value": "x"}] * 200
    read_policy(in_tool(deny_if=patterns))
    found = problems_of(in_tool(deny_if=patterns, allow_if=patterns[:1]))
    assert list(found.values()) == ["a policy has at most 200 patterns"]
    limits = [{"calls": 1, "per": "day", "each": "all"}] * 20
    entries = {f"a{'*' * number}b": {"limits": limits} for number in range(1, 26)}
    read_policy(document(tools=entries))
    found = problems_of(document(tools=entries, limits=limits[:1]))
    assert list(found.values()) == ["a policy has at most 500 limits"]


def test_ten_thousand_wrong_things_are_told_in_short() -> None:
    found = document(tools={f"t{number}": number for number in range(1000)})
    with pytest.raises(BadPolicy) as caught:
        read_policy(found)
    assert len(caught.value.problems) == MAX_PROBLEMS
    assert caught.value.message.count("\n") == 20


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "a{1001}", "((a{100}){100}){100}", "x" * 1001, r"(\pL{50}){10}", "(?<=a)b"])  # fmt: skip
def test_a_pattern_that_re2_refuses_or_that_is_large_is_told(pattern: str) -> None:
    entry = {"deny_if": [{"path": "/a", "op": "matches", "value": pattern}]}
    assert list(problems_of(in_tool(**entry))) == ["/tools/t/deny_if/0/value"]


def test_a_problem_is_told_in_characters_that_can_be_seen() -> None:
    with pytest.raises(BadPolicy) as caught:
        read_policy(document(tools={"\x1b[31m": {"outcome": "x\x1b[31m"}}, **{"\x1b]0;": 1, "k" * 9_000: 1}))
    assert len(caught.value.problems) == 4
    for problem in caught.value.problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 400


def test_what_is_ambiguous_json_is_no_policy() -> None:
    with pytest.raises(AmbiguousJson):
        read_json(b'{"coatcheck": 1, "name": "a", "default": "deny-all", "default": "allow-all"}')


def test_numbers_keep_their_value() -> None:
    body = b'{"coatcheck": 1, "name": "a", "default": "deny-all", "tools": {"t": {"deny_if": [{"path": "/a", "op": "in", "value": [12345678901234567890123456789, 0.10, 1.0, 1e300]}]}}}'
    policy = read_json(body)
    (clause,) = policy.entries[0].deny_if
    assert isinstance(clause.condition, ArgumentCondition)
    assert clause.condition.operands == (
        12345678901234567890123456789,
        Decimal("0.1"),
        1,
        Decimal("1E+300"),
    )
    assert read_json(write_json(policy)) == policy
