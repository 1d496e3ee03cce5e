"""Suggesting: what is written is read back, allows all that was used, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.document import is_name, read_policy
from coatcheck.core.policy.trying import suggesting
from coatcheck.core.policy.trying.suggesting import Used, name_for, suggest, yaml_of
from coatcheck.declared.policies.yaml_text import read_yaml
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.policy import Default
from coatcheck.model.verdict import Judgement
from policies import NOON

ODD = st.sampled_from(("*", "a*b", "yes", "null", "1e5", "0x1", "~", "- a", "a: b", "#a", '"', "\\", "'", "{a}", "é", "名前", "\U0001f600", "a\nb", "\u200b", "\u202e", " a", "", "a b", "get", "Get", "=", "<<", "x" * 200, "cckg_0123***"))  # fmt: skip
TEXTS = ODD | st.text(max_size=12)
URIS = (
    st.sampled_from(("file:///a", "file:///a/../b", "FILE:///a", "db://x/%79", "note://n/1", "x y")) | TEXTS
)
USED = st.one_of(
    st.builds(Used, st.sampled_from((Kind.TOOL, Kind.PROMPT)), TEXTS, st.integers(1, 99), st.just(NOON)),
    st.builds(Used, st.just(Kind.RESOURCE), URIS, st.integers(1, 99), st.just(NOON)),
)
MANY = st.lists(USED, max_size=12, unique_by=lambda one: (one.kind, one.name))


@settings(max_examples=300, deadline=None)
@given(MANY, st.none() | st.lists(TEXTS, max_size=4))
def test_what_is_suggested_is_read_and_allows_just_what_was_used(
    used: list[Used], unused: list[str] | None
) -> None:
    found = suggest("least", 'What it used: "all" of it.', used, unused)
    assert read_policy(read_yaml(yaml_of(found)).value) == found.policy
    assert {*found.covered, *(one for one, _ in found.left_out)} == set(used)
    assert all(why for _, why in found.left_out)
    ready = ReadyPolicy(found.policy)
    for one in found.covered:
        assert ready.standing(Target(one.kind, one.name), Nature.AMBIGUOUS).judgement is Judgement.ALLOWED
        other = Target(one.kind, f"{one.name}x")
        if not any(other.name == known.name for known in used):
            assert ready.standing(other, Nature.READ).judgement is Judgement.HIDDEN
    assert found.policy.default is Default.DENY_ALL


@pytest.mark.parametrize(
    ("kind", "name", "why"),
    [
        (Kind.TOOL, "a*b", "any text"),
        (Kind.TOOL, "a\u200bb", "cannot be seen"),
        (Kind.TOOL, " a", "cannot be seen"),
        (Kind.TOOL, "x" * 200, "as a whole"),
        (Kind.TOOL, "cckg_012***", "as a whole"),
        (Kind.RESOURCE, "file:///a/../b", "another one"),
        (Kind.TOOL, "yes", ""),
        (Kind.RESOURCE, "file:///a", ""),
    ],
)
def test_a_name_that_no_entry_stands_for_is_left_out_with_why(kind: Kind, name: str, why: str) -> None:
    found = suggest("least", "", [Used(kind, name, 3, NOON)])
    told = [reason for _, reason in found.left_out]
    assert (len(told), len(found.covered)) == ((1, 0) if why else (0, 1))
    assert why in "".join(told)
    text = yaml_of(found)
    assert ("Used, and not covered" in text) is bool(why)
    assert "nobody can say what is never used" in text


def test_what_is_too_much_for_one_policy_is_left_out_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggesting, "MAX_ENTRIES", 2)
    used = [Used(Kind.TOOL, name, calls, NOON) for name, calls in (("a", 1), ("b", 5), ("c", 3))]
    found = suggest("least", "", used)
    assert [one.name for one in found.covered] == ["b", "c"]
    assert [(one.name, why) for one, why in found.left_out] == [
        ("a", "a policy cannot have that many entries")
    ]
    large = [Used(Kind.TOOL, f"{number:05}{'é' * 190}", 1, NOON) for number in range(900)]
    monkeypatch.undo()
    text = yaml_of(suggest("least", "", large, [one.name for one in large]))
    assert len(text.encode()) < 256 * 1024
    assert read_policy(read_yaml(text).value).entries


def test_the_text_tells_how_often_when_and_what_was_never_used() -> None:
    used = [Used(Kind.TOOL, "create_charge", 12, NOON), Used(Kind.RESOURCE, "note://a", 1, NOON)]
    text = yaml_of(replace(suggest("least", "For the bot.", used, ["refund", "a: b"])))
    assert text.splitlines() == [
        "coatcheck: 1",
        "name: least",
        'description: "For the bot."',
        "default: deny-all",
        "tools:",
        "  create_charge: {outcome: allow}  # 12 calls, the last 2026-11-18T12:00:00Z",
        "resources:",
        '  "note://a": {outcome: allow}  # 1 call, the last 2026-11-18T12:00:00Z',
        "",
        "# Allowed now, and never used:",
        "#   refund",
        '#   "a: b"',
    ]


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_name_is_made_of_any_grant_and_server(grant: str, server: str) -> None:
    assert is_name(name_for(grant, server))
    assert name_for("Alice's Laptop", "git_hub") == "alice-s-laptop-git-hub"
    assert name_for("read", "only") == "read-only-1"
