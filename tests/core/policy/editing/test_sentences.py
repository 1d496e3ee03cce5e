"""A policy is told in sentences: every entry, condition and limit is there, and the default last."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from coatcheck.core.policy.editing.sentences import sentences_of
from coatcheck.core.policy.judging import pointer_of
from coatcheck.core.policy.reading.document import read_policy
from policies import documents


@given(documents())
def test_nothing_of_a_policy_is_left_out(document: dict[str, Any]) -> None:
    policy = read_policy(document)

    told = sentences_of(policy)

    wanted = (
        [pointer_of(entry) for entry in policy.entries] + ["/limits"] * bool(policy.limits) + ["/default"]
    )
    assert [one.where for one in told] == wanted
    for entry, one in zip(policy.entries, told, strict=False):
        assert len(one.parts) == len(entry.allow_if) + len(entry.deny_if) + len(entry.limits)


def test_it_reads_like_a_sentence() -> None:
    policy = read_policy(
        {
            "coatcheck": 1,
            "name": "p",
            "default": "read-only",
            "tools": {
                "pay": {
                    "outcome": "allow",
                    "allow_if": [{"path": "/amount", "op": "le", "value": 5000, "message": "Too much."}],
                    "limits": [{"calls": 100, "per": "hour", "each": "grant"}],
                },
                "*payout*": {"outcome": "hide"},
            },
            "access": {"write": {"outcome": "deny", "message": "Not today."}},
        }
    )

    told = sentences_of(policy)

    assert [f"{one.about} {one.text}" for one in told] == [
        "The tool pay is allowed:",
        "Tools like *payout* are hidden, as if not there.",
        "Tools that write or cannot be classified are listed, and every call is denied.",
        "Everything else is allowed if it only reads, and hidden if it writes or cannot be classified.",
    ]
    assert [(part.text, part.told) for part in told[0].parts] == [
        ("only if /amount is at most 5000", "Too much."),
        ("at most 100 calls per hour for each grant", ""),
    ]
    assert told[2].told == "Not today."
