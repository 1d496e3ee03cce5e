"""What the record has codes for is told in words: every code that there is, and nothing else is touched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import coatcheck
from coatcheck import errors
from coatcheck.console.web.words import (
    DETAILS,
    OUTCOMES,
    REASONS,
    action_in_words,
    kind_in_words,
    outcome_in_words,
    reason_in_words,
)
from coatcheck.front.door import _CODES
from coatcheck.model.record import KNOCKING, Outcome


def _refusals() -> set[str]:
    sources = (path.read_text(encoding="utf-8") for path in Path(coatcheck.__file__).parent.rglob("*.py"))
    return {word for text in sources for word in re.findall(r'Refused\(\s*"([a-z_]+)"', text)}


def _failures(kind: type[errors.CoatcheckError]) -> Iterator[str]:
    yield kind.code
    for one in kind.__subclasses__():
        yield from _failures(one)


def test_every_code_has_words() -> None:
    assert {"missing", "revoked", "sign_in"} <= _refusals(), "the sources were searched"
    assert OUTCOMES.keys() == set(Outcome)
    assert _refusals() | KNOCKING | set(_CODES.values()) <= REASONS.keys()
    assert {*_failures(errors.UpstreamError), errors.Busy.code} <= DETAILS.keys()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("revoked", "a grant that was revoked"),
        ("upstream_timeout", "no answer in time"),
        ("upstream_lost: it said goodbye", "the connection ended before the answer: it said goodbye"),
        ("the policy team denies it by tools/delete_*", "the policy team denies it by tools/delete_*"),
        ("unknown: and more", "unknown: and more"),
        ("", ""),
    ],
)
def test_a_code_becomes_words_and_words_stay(text: str, words: str) -> None:
    assert reason_in_words(text) == words


def test_outcomes_kinds_and_actions_are_told() -> None:
    assert (outcome_in_words(Outcome.UPSTREAM_ERROR), outcome_in_words("")) == (
        "the server failed",
        "under way",
    )
    assert (kind_in_words("subject"), kind_in_words("grant")) == ("person", "grant")
    assert action_in_words("subject.add") == "add person"
    assert action_in_words("grant.revoke") == "revoke grant"
    assert action_in_words("record.read") == "read the record"
