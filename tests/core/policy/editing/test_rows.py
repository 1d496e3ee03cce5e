"""A row changes the entry it is of, and nothing else; what a row cannot show stays as it was written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.policy.editing.rows import (
    Choice,
    Row,
    changed_rows,
    entry_of,
    row_of,
    rows_of,
    with_rows,
)
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.writing import write_policy
from coatcheck.model.policy import Each, Per, Policy, Section
from policies import GLOBS, documents

ROWS = st.builds(
    Row,
    st.sampled_from((Section.TOOLS, Section.PROMPTS, Section.RESOURCES)),
    GLOBS,
    st.sampled_from(Choice),
    st.sampled_from(("", "Ask finance.")),
    st.integers(1, 100),
    st.sampled_from(Per),
    st.sampled_from((None, *Each)),
)


def tools(**entries: Any) -> Policy:
    return read_policy({"coatcheck": 1, "name": "p", "default": "read-only", "tools": entries})


@given(documents())
def test_the_rows_of_a_policy_change_nothing_of_it(document: dict[str, Any]) -> None:
    policy = read_policy(document)

    assert with_rows(policy, rows_of(policy).values()) == policy
    assert changed_rows(rows_of(policy), rows_of(policy).values()) == ()


@given(documents(), st.lists(ROWS, max_size=4))
def test_rows_change_their_entries_alone(document: dict[str, Any], rows: list[Row]) -> None:
    policy = read_policy(document)
    named = {row.place for row in rows}

    after = with_rows(policy, rows)

    def others(one: Policy) -> list[Any]:
        return [entry for entry in one.entries if (entry.section, entry.key) not in named]

    assert others(after) == others(policy)
    assert replace(after, entries=policy.entries) == policy
    assert read_policy(write_policy(after)) == after


@given(documents(), st.lists(ROWS, max_size=6))
def test_what_a_row_cannot_show_is_never_changed(document: dict[str, Any], rows: list[Row]) -> None:
    policy = read_policy(document)
    custom = [entry for entry in policy.entries if row_of(entry).choice is Choice.CUSTOM]
    claims = [Row(entry.section, entry.key, Choice.ALLOW) for entry in custom]

    after = with_rows(policy, [*rows, *claims])

    assert [entry for entry in after.entries if entry in custom] == custom


@given(documents(), ROWS.filter(lambda row: row.choice is not Choice.CUSTOM))
def test_a_row_says_afterwards_what_it_said(document: dict[str, Any], row: Row) -> None:
    policy = read_policy(document)
    before = rows_of(policy).get(row.place, Row(*row.place))

    after = rows_of(with_rows(policy, [row])).get(row.place, Row(*row.place))

    assert after == (before if before.choice is Choice.CUSTOM else row.plain())


@pytest.mark.parametrize(
    ("entry", "row"),
    [
        ({"outcome": "allow"}, Row(Section.TOOLS, "t", Choice.ALLOW)),
        ({"outcome": "deny"}, Row(Section.TOOLS, "t", Choice.DENY)),
        ({"outcome": "deny", "message": "Ask us."}, Row(Section.TOOLS, "t", Choice.DENY, "Ask us.")),
        ({"outcome": "hide"}, Row(Section.TOOLS, "t", Choice.HIDE)),
        (
            {"outcome": "allow", "message": "Slow.", "limits": [{"calls": 5, "per": "day", "each": "tool"}]},
            Row(Section.TOOLS, "t", Choice.LIMIT, "Slow.", 5, Per.DAY, Each.TOOL),
        ),
        (
            {"limits": [{"calls": 5, "per": "minute", "each": "all"}]},
            Row(Section.TOOLS, "t", Choice.CAP, "", 5, Per.MINUTE, None),
        ),
    ],
)
def test_an_entry_has_its_row(entry: dict[str, Any], row: Row) -> None:
    (found,) = tools(t=entry).entries

    assert row_of(found) == row
    assert entry_of(row) == found


@pytest.mark.parametrize(
    "entry",
    [
        {"outcome": "allow", "message": "Never told."},
        {"outcome": "allow", "deny_if": [{"role": "dev"}]},
        {"allow_if": [{"path": "/a", "op": "eq", "value": 1}]},
        {"limits": [{"at_once": 3, "each": "all"}]},
        {"limits": [{"sum": "/amount", "most": 3, "per": "day", "each": "all"}]},
        {"limits": [{"calls": 3, "per": "day", "each": ["grant", "tool"]}]},
        {"limits": [{"calls": 3, "per": "day", "each": "all", "message": "Slow."}]},
        {"limits": [{"calls": 3, "per": "day", "each": "all"}, {"calls": 1, "per": "hour", "each": "all"}]},
    ],
)
def test_what_says_more_than_a_row_is_custom(entry: dict[str, Any]) -> None:
    policy = tools(t=entry)

    assert rows_of(policy)[Section.TOOLS, "t"].choice is Choice.CUSTOM
    assert with_rows(policy, [Row(Section.TOOLS, "t", Choice.HIDE)]) == policy
