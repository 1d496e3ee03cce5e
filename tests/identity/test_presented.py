"""Reading the Authorization header: one bearer token, or the reason why there is none."""

from __future__ import annotations

import pytest

from coatcheck.identity.presented import MAX_TOKEN_CHARS, Bearer, read_bearer
from coatcheck.ports import Presented, Refused

OURS = "cckg_" + "a" * 61


def presented(*values: str) -> Presented:
    return Presented({"authorization": values} if values else {}, "127.0.0.1", "127.0.0.1")


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (f"Bearer {OURS}", OURS), (f"bearer {OURS}", OURS), (f"BEARER {OURS}", OURS), (f"\t Bearer {OURS} ", OURS), (OURS, OURS), ("cckg_", "cckg_"), ("ccka_x", "ccka_x"),
        ("Bearer x", "x"), ("Bearer ' OR", None), ("Bearer ../../x", "../../x"), ("Bearer " + "a" * MAX_TOKEN_CHARS, "a" * MAX_TOKEN_CHARS), ("Bearer a=,;\"'", "a=,;\"'"),
    ],
)  # fmt: skip
def test_a_token_is_read(value: str, token: str | None) -> None:
    found = read_bearer(presented(value))
    if token is None:
        assert isinstance(found, Refused)
    else:
        assert found == Bearer(token)


def test_without_the_header_there_is_none() -> None:
    assert read_bearer(presented()) is None


@pytest.mark.parametrize("value", ["", " ", "\t", "Bearer", "Bearer ", "bearer\t ", " Bearer "])
def test_an_empty_token_is_named(value: str) -> None:
    found = read_bearer(presented(value))
    assert isinstance(found, Refused)
    assert (found.reason, found.guess, found.trace) == ("empty", False, "")


@pytest.mark.parametrize(
    "value",
    [
        "Basic YTpi", f"DPoP {OURS}", f"Token {OURS}", f"Bearer  {OURS}", f"Bearer {OURS} x", f"Bearer\t{OURS}", f"Bearer,{OURS}", f"Bearer={OURS}", f"Bearer:{OURS}", f"{OURS} x", "x",
        f"Bearer \u0410{OURS[1:]}", f"Bearer {OURS}\xe9", f"Bearer {OURS}\x7f", f"Bearer {OURS}\x00", f"Bearer {OURS}\x85", "Bearer " + "a" * (MAX_TOKEN_CHARS + 1), f"X{OURS}", f"CCKG_{OURS[5:]}",
        f"Bearer Bearer {OURS}", "null", "Bearer a\tb",
    ],
)  # fmt: skip
def test_every_other_form_is_malformed(value: str) -> None:
    found = read_bearer(presented(value))
    assert isinstance(found, Refused)
    assert (found.reason, found.guess, found.trace) == ("malformed", False, "")
    assert OURS not in found.sentence


def test_two_headers_are_malformed_even_if_equal() -> None:
    found = read_bearer(presented(f"Bearer {OURS}", f"Bearer {OURS}"))
    assert isinstance(found, Refused)
    assert found.reason == "malformed"


def test_a_token_masks_itself() -> None:
    assert OURS not in f"{Bearer(OURS)!r} {Bearer(OURS)} {[Bearer(OURS)]}"
