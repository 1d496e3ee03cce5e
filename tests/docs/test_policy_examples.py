"""The examples of policies do what their cases say, and no part of them could be left out unnoticed."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.core.policy.trying.cases import Case, Expected, read_cases, try_case
from coatcheck.declared.policies.files import cases_beside, read_file

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "how-to" / "policies"
FILES = sorted(FOLDER.glob("*.policy.yaml"))
SLACK = {"allow-all": 0, "read-only": 1, "deny-all": 2}
LISTS = {"allow_if", "deny_if", "limits", "any", "all", "value", "subject", "role", "grant", "client", "ip", "days"}  # fmt: skip
FLAGS = {"outcome", "if_present", "ignore_case", "allow_if", "deny_if", "limits", "days"}
MOSTS = {"calls", "most", "at_once"}


def cases_of(path: Path, name: str) -> list[Case]:
    beside = cases_beside(path)
    assert beside is not None, f"{path.name} has no cases"
    return list(read_cases(read_file(beside).value, name))


def unlike(policy: ReadyPolicy, cases: list[Case]) -> list[str]:
    """Return the names of the cases that come otherwise than they say."""
    tried = [try_case(policy, case) for case in cases]
    return [f"{one.case.name}: {one.outcome} by {one.rule}" for one in tried if not one.passed]


def parts(value: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where in a document something stands."""
    yield where
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        yield from parts(member, (*where, key))


def without(document: Any, where: tuple[str | int, ...]) -> Any:
    """Return a document without a part; a number of a limit is one more instead."""
    changed = copy.deepcopy(document)
    holder = changed
    for key in where[:-1]:
        holder = holder[key]
    if where[-1] in MOSTS and len(where) > 2:
        holder[where[-1]] += 1
    else:
        del holder[where[-1]]
    return changed


def is_rule(where: tuple[str | int, ...]) -> bool:
    """Tell whether a part is a rule, or an item of one, that must not be there for nothing."""
    if len(where) == 2 and where[0] in {"tools", "access", "prompts", "resources"}:
        return True
    last = where[-1] if where else ""
    return (len(where) > 1 and where[-2] in LISTS and isinstance(last, int)) or (
        len(where) > 2 and last in FLAGS | MOSTS
    )


def mutants(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a document with each rule left out or loosened, by where it stood."""
    for where in parts(document):
        if is_rule(where) or (len(where) == 2 and where[0] == "limits"):
            yield "/".join(map(str, where)), without(document, where)
    for default in SLACK:
        if default != document["default"]:
            yield f"default {default}", {**document, "default": default}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_cases_come_as_they_say_both_ways(path: Path) -> None:
    policy = read_policy(read_file(path).value)
    assert path.name == f"{policy.name}.policy.yaml"
    cases = cases_of(path, policy.name)
    assert not unlike(ReadyPolicy(policy), cases)
    assert len({case.name for case in cases}) == len(cases)
    found = {case.expected for case in cases}
    assert Expected.ALLOWED in found
    assert len(found) > 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_part_of_an_example_decides_a_case(path: Path) -> None:
    document = read_file(path).value
    assert isinstance(document, dict)
    cases, unnoticed, tried = cases_of(path, document["name"]), [], 0
    for where, mutant in mutants(document):
        try:
            policy = ReadyPolicy(read_policy(mutant))
        except BadPolicy:
            continue  # nothing else is left of what it was in, which is left out as a whole
        tried += 1
        if not unlike(policy, cases):
            unnoticed.append(where)
    assert tried > 2
    assert not unnoticed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_rule_that_refuses_is_named_by_a_case(path: Path) -> None:
    policy = ReadyPolicy(read_policy(read_file(path).value))
    cases = cases_of(path, policy.policy.name)
    named = {case.rule for case in cases}
    rules = {
        clause.rule.partition(":")[2]
        for number in range(len(policy.rules))
        for clause in policy.clauses_of(number)
    }
    rules |= {
        limit.rule.partition(":")[2]
        for number in (None, *range(len(policy.rules)))
        for limit in policy.limits_of(number)
    }
    assert rules <= named


def test_the_page_tells_of_every_example_and_of_no_other() -> None:
    page = (DOCS / "how-to" / "policies.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(policies/([a-z-]+)\.policy\.yaml\)", page)) == {
        path.name.removesuffix(".policy.yaml") for path in FILES
    }
    assert set(re.findall(r"\(policies/([a-z-]+)\.cases\.yaml\)", page)) == {
        path.name.removesuffix(".policy.yaml") for path in FILES
    }
    strays = {path.name for path in FOLDER.iterdir()} - {
        f"{path.name.removesuffix('.policy.yaml')}.{kind}.yaml"
        for path in FILES
        for kind in ("policy", "cases")
    }
    assert not strays
