"""Normalisation that a hostile text cannot make slow, and that is the standard's for every other."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core import names, normalizing
from coatcheck.core.access import classify
from coatcheck.core.normalizing import MOST_MARKS, has_long_run, nfkc
from coatcheck.core.policy.conditions.texts import MAX_CHARS, look_of, readings
from coatcheck.core.wire import strict
from coatcheck.errors import AmbiguousJson
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.server import AccessMarks
from coatcheck.model.verdict import Judgement
from policies import a_policy, asked, judged

LONG = "a" + "\u0300\u0316" * 500_000
"""Takes the better part of an hour to be put in order by `unicodedata`."""


@given(st.text(alphabet=st.sampled_from("a\u00e9\u0300\u0316\uff9e\ufb01\uff21\u200b")))
@settings(max_examples=200, deadline=None)
def test_what_people_write_is_normalised_as_the_standard_says(text: str) -> None:
    if not has_long_run(text):
        assert nfkc(text) == unicodedata.normalize("NFKC", text)


def test_every_mark_counts_for_a_run() -> None:
    marks = [char for char in map(chr, range(sys.maxunicode + 1)) if normalizing.begins_with_mark(char)]
    assert {"\u0300", "\uff9e"} <= set(marks)
    assert all(has_long_run(mark * (MOST_MARKS + 1)) for mark in marks)
    assert not any(has_long_run("a" + mark * MOST_MARKS) for mark in marks)


def test_a_long_run_is_parted_and_nothing_else_is_lost() -> None:
    assert nfkc(LONG).replace("\u034f", "").count("\u0316") == LONG.count("\u0316")
    assert has_long_run(LONG)
    assert not has_long_run(nfkc(LONG))


def test_a_hostile_text_cannot_be_told_and_a_hostile_name_looks_like_no_other() -> None:
    assert readings("a" + "\u0300\u0316" * 10) is not None
    assert readings(LONG[:MAX_CHARS]) is None
    assert readings("a" + "\u0300\u034f\u0316" * 5_000) is None
    assert look_of(LONG) not in {look_of("a"), look_of("à")}
    assert look_of("\u200b" * 5_000 + "Am\u200bount" + "\u200b" * 5_000) == "amount"
    assert look_of("\ufdfa" * 1_000_000) == look_of("\ufdfa" * 1_000_000)


@pytest.mark.parametrize(
    "raw", [{LONG: 1}, {"amount": LONG}, {"to": [LONG[:MAX_CHARS]] * 20}], ids=["name", "value", "items"]
)
def test_hostile_arguments_are_judged(raw: dict[str, object]) -> None:
    paths = ("/amount", "/to/*", "/a/b")
    conditions = [{"path": path, "op": "eq", "value": "no", "if_present": True} for path in paths]
    assert judged(asked("deny_if", *conditions), json.dumps(raw).encode()).rule
    name = Target(Kind.TOOL, LONG)
    assert judged(a_policy(tools={"a*": {"outcome": "hide"}}), target=name).judgement is Judgement.HIDDEN


def test_hostile_names_are_read_and_classified() -> None:
    strict.refuse_look_alikes({"id", LONG}, frozenset({"id"}), "the message")
    with pytest.raises(AmbiguousJson):
        strict.refuse_look_alikes({"\uff49\uff44"}, frozenset({"id"}), "the message")
    assert classify.nature_of_unlisted(LONG, AccessMarks())[0] is Nature.AMBIGUOUS
    assert names.unroutable([LONG[:200], LONG[:200] + "b"], limit=300) == {}
