"""Names on the aggregated route, and names that must not be shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from coatcheck.core import names

BRIEF = settings(max_examples=300, deadline=None)
SERVERS = st.from_regex(r"\A[a-zA-Z0-9_-]{1,40}\Z").filter(
    lambda name: "__" not in name and not name.endswith("_")
)
OWN = st.text(min_size=1, max_size=128) | st.text("a_", min_size=1, max_size=128)


@BRIEF
@given(SERVERS, OWN)
@example("s", "a" * 61)
@example("s", "a" * 62)
@example("a" * 40, "__")
def test_an_exposed_name_is_short_stable_and_names_its_server(server: str, own: str) -> None:
    shown = names.exposed(server, own)
    assert len(shown) <= 64
    assert shown == names.exposed(server, own)
    assert names.server_of(shown) == server
    full = f"{server}__{own}"
    if len(full) <= 64:
        assert shown == full
        assert shown.partition("__")[2] == own
    else:
        assert shown[:55] == full[:55]
        assert re.fullmatch(r"_[0-9a-f]{8}", shown[55:])


@BRIEF
@given(SERVERS, OWN, SERVERS, OWN)
def test_two_names_are_exposed_as_two(server: str, own: str, other: str, its: str) -> None:
    assume((server, own) != (other, its))
    assert names.exposed(server, own) != names.exposed(other, its)


def test_long_names_with_one_beginning_stay_apart() -> None:
    shown = {names.exposed("server", "x" * 100 + str(number)) for number in range(5_000)}
    assert len(shown) == 5_000
    assert {len(name) for name in shown} == {64}


def test_the_short_form_never_changes() -> None:
    """It is a key in the permission settings of clients."""
    assert (
        names.exposed("github", "n" * 100)
        == "github__nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn_3e59dd8d"
    )


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("a__b", "a"), ("a__b__c", "a"), ("a___b", "a"), ("a__ ", "a"), ("a_b__c", "a_b"), ("__b", ""),
        ("", None), ("a", None), ("a_b", None), ("a__", None), ("srv__", None), ("__", None), ("___", ""),
    ],
)  # fmt: skip
def test_the_first_separator_parts_a_name(name: str, server: str | None) -> None:
    assert names.server_of(name) == server


# --- names that must not be shown -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "honest",
    [
        ["echo"], ["getUser", "get_user"], ["a" * 128], ["with space", "a.b", "a/b", "a:b", "{{7*7}}", "%s%n", "<script>"], ["café", "naïve", "поиск", "検索", "חיפוש", "बदलें"],
        ["denied", "d\u0435nied"], ["x2", "x3"], ["\N{GRINNING FACE}", "\N{ROCKET}"], ["ไทย", "தமிழ்"],
    ],
)  # fmt: skip
def test_honest_names_are_kept(honest: list[str]) -> None:
    assert names.unroutable(honest) == {}


INVISIBLE = (
    # control, and what ends a line
    "\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x85", "\x9f", "\u2028", "\u2029",
    # zero width
    "\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u180b", "\u180c", "\u180d", "\u180e", "\u180f", "\u200b", "\u200c", "\u200d", "\u2060", "\u2061", "\u2064",
    "\u2065", "\u3164", "\ufe00", "\ufe0f", "\ufeff", "\uffa0", "\U0001bca0", "\U0001d173", "\U000e0001", "\U000e0041", "\U000e0100", "\U000e01ef",
    # bidirectional
    "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069", "\u206a", "\u206f",
    # nobody's
    "\ue000", "\ufff9", "\ufffe", "\U000f0000", "\U0010ffff", "\ud800",
)  # fmt: skip


@pytest.mark.parametrize("char", INVISIBLE, ids=[f"U+{ord(char):04X}" for char in INVISIBLE])
def test_characters_that_cannot_be_seen_are_not_routable(char: str) -> None:
    for name in (f"de{char}nied", f"{char}denied", f"denied{char}", char):
        assert set(names.unroutable(["denied", name])) == {name}


@pytest.mark.parametrize(
    "twins",
    [
        ["denied", "Denied"], ["DENIED", "denied"], ["denied", "\uff44enied"], ["ﬁnd", "find"], ["x²", "x2"], ["ta\u017fk", "task"], ["\u212a", "k"], ["é", "e\u0301"],
        ["straße", "STRASSE"], ["①", "1"], ["\U0001d41a", "a"], ["a b", "a\u00a0b"], ["Σ", "ς"], ["a", "A", "\uff41"],
    ],
)  # fmt: skip
def test_names_that_fold_to_one_are_all_left_out(twins: list[str]) -> None:
    bad = names.unroutable([*twins, "another"])
    assert set(bad) == set(twins)
    assert set(names.unroutable(reversed(twins))) == set(twins)
    assert all(reason.startswith("it looks like ") for reason in bad.values())
    assert names.unroutable(twins, twins=True) == {}


@pytest.mark.parametrize("name", ["", "a" * 129, "é" * 129])
def test_empty_and_overlong_names_are_not_routable(name: str) -> None:
    assert set(names.unroutable([name, "a" * 128])) == {name}
    assert set(names.unroutable(["a" * 20, "b" * 21], limit=20)) == {"b" * 21}


@BRIEF
@given(st.lists(st.text(max_size=5), unique=True, max_size=6))
def test_the_order_of_a_list_changes_nothing(found: list[str]) -> None:
    assert set(names.unroutable(found)) == set(names.unroutable(reversed(found)))
