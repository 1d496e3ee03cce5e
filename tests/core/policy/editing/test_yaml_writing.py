"""What is written as YAML reads back as the same policy, whatever stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.policy.editing.yaml_writing import write_yaml
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.declared.policies.files import read_file
from coatcheck.declared.policies.typed import read_typed
from policies import documents

READY = sorted(Path("docs/how-to/policies").glob("*.policy.yaml"))
VISIBLE = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Co", "Cn")), min_size=1, max_size=30
)
LINES = VISIBLE.map(str.strip).filter(lambda text: text.isprintable() and text)
ODD = st.sampled_from(("no", "Yes", "null", "1e3", "0x1", "2026-11-22", "- a", "a: b", "a #b", "/", "~", "=", "'", '"', "\\", "a\\x0ab", "_.", "y", "..", "a  b"))  # fmt: skip


@given(documents())
def test_a_policy_reads_back_as_it_was(document: dict[str, Any]) -> None:
    policy = read_policy(document)

    assert read_policy(read_typed(write_yaml(policy)).value) == policy


@given(LINES | ODD, LINES | ODD, st.lists(LINES | ODD, min_size=1, max_size=3), ODD)
def test_any_text_reads_back_as_it_was(key: str, message: str, lines: list[str], value: str) -> None:
    policy = read_policy(
        {
            "coatcheck": 1,
            "name": "p",
            "default": "deny-all",
            "description": "\n".join(lines),
            "tools": {
                key: {"outcome": "deny", "message": message},
                "other*": {"allow_if": [{"path": "/a", "op": "eq", "value": value}]},
            },
        }
    )

    assert read_policy(read_typed(write_yaml(policy)).value) == policy


def test_a_long_uri_reads_back_as_it_was() -> None:
    entry = {"limits": [{"calls": 1, "per": "day", "each": "all"}]}
    resources = {"file:///" + "x" * 2_000: entry, "file:///y": {"outcome": "hide"}}
    policy = read_policy({"coatcheck": 1, "name": "p", "default": "deny-all", "resources": resources})

    assert read_policy(read_typed(write_yaml(policy)).value) == policy


@pytest.mark.parametrize("path", READY, ids=lambda path: path.name)
def test_the_ready_policies_read_back_as_they_were(path: Path) -> None:
    policy = read_policy(read_file(path).value)

    assert read_policy(read_typed(write_yaml(policy)).value) == policy


def test_it_is_written_for_people() -> None:
    policy = read_policy(
        {
            "coatcheck": 1,
            "name": "p",
            "description": "For bots.\nAsk finance.",
            "default": "read-only",
            "tools": {
                "create_charge": {
                    "outcome": "allow",
                    "allow_if": [{"path": "/amount", "op": "le", "value": 5000, "message": "Too much."}],
                },
                "*payout*": {"outcome": "hide"},
            },
        }
    )

    assert write_yaml(policy) == (
        "coatcheck: 1\n"
        "name: p\n"
        'description: "For bots.\\nAsk finance."\n'
        "default: read-only\n"
        "tools:\n"
        "  create_charge:\n"
        "    outcome: allow\n"
        "    allow_if:\n"
        "      - {path: /amount, op: le, value: 5000, message: Too much.}\n"
        '  "*payout*": {outcome: hide}\n'
    )
