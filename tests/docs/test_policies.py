"""The page of policies tells every key, word and limit of the format, and what it shows is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading import clauses, comparisons, document, limits
from coatcheck.core.policy.trying import cases
from coatcheck.declared.policies.yaml_text import read_yaml
from coatcheck.model.policy import Day, Default, Each, EntryOutcome, Op, Per, Section

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "policies.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def section(heading: str, level: str = "##") -> str:
    """Return what stands under a heading, up to the next one."""
    return re.split(r"^#{2,3} ", PAGE.split(f"\n{level} {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[
        0
    ]


def told(text: str) -> set[str]:
    """Return the words in the first column of the tables, without their heads."""
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]
    cells = [row.split("|")[1] for table in tables for row in table[2:]]
    return {word for cell in cells for word in re.findall(r"`([a-z_-]+)`", cell)}


def test_every_key_is_told_and_no_other() -> None:
    assert told(section("The document")) == {*document._KEYS, *Default}
    assert told(section("Entries", "###")) == set(document._ENTRY_KEYS)
    assert told(section("Conditions", "###")) == {*clauses._FORMS, *comparisons.KEYS, *Op}
    assert told(section("Limits", "###")) == {key for keys in limits._FORMS.values() for key in keys}
    assert told(section("Cases")) == set(cases._CASE_KEYS)


@pytest.mark.parametrize(
    ("heading", "level", "words"),
    [
        ("The document", "##", [*Default, *Section, "read", "write"]),
        ("Entries", "###", EntryOutcome),
        ("Conditions", "###", [*Day, "from", "to", "zone", "days"]),
        ("Limits", "###", [*Each, *Per, "all"]),
        ("Cases", "##", [*cases.Expected, *cases.Access, *cases._CALLER_KEYS]),
    ],
)
def test_every_word_is_told(heading: str, level: str, words: list[str]) -> None:
    assert set(map(str, words)) <= set(re.findall(r"`([a-z_-]+)`", section(heading, level)))


def test_the_examples_are_a_policy_and_cases_that_pass() -> None:
    first, second = (read_yaml(text).value for text in EXAMPLES)
    policy = document.read_policy(first)
    for case in cases.read_cases(second, policy.name):
        tried = cases.try_case(ReadyPolicy(policy), case)
        assert tried.passed, tried
