"""A sealed value opens at its own place with its own key, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coatcheck.core.sealing.sealed_values import BrokenSeal, ValueSeal

SEAL, OTHER = ValueSeal(bytes(range(32))), ValueSeal(bytes(range(1, 33)))
PLACE = ("server", "id", "headers/Authorization", "1", "k")
NONCE = bytes(12)


@given(st.text(st.characters(), max_size=40), st.binary(min_size=12, max_size=12))
def test_what_was_sealed_is_opened(text: str, nonce: bytes) -> None:
    sealed = SEAL.seal(text, PLACE, nonce)
    assert sealed.isascii()
    assert SEAL.open(sealed, PLACE) == text
    with pytest.raises(BrokenSeal):
        OTHER.open(sealed, PLACE)


@pytest.mark.parametrize("index", range(len(PLACE)))
def test_it_is_bound_to_every_part_of_its_place(index: int) -> None:
    sealed = SEAL.seal("secret", PLACE, NONCE)
    elsewhere = [part + "x" if number == index else part for number, part in enumerate(PLACE)]
    with pytest.raises(BrokenSeal):
        SEAL.open(sealed, elsewhere)
    with pytest.raises(BrokenSeal):
        SEAL.open(sealed, [*PLACE[:index], "", *PLACE[index:]])


@given(st.integers(0, 200), st.characters())
@example(77, "p")
def test_any_edit_breaks_it(place: int, other: str) -> None:
    sealed = SEAL.seal("a secret that is long enough", PLACE, NONCE)
    place %= len(sealed)
    edited = sealed[:place] + other + sealed[place + 1 :]
    if edited != sealed:
        with pytest.raises(BrokenSeal):
            SEAL.open(edited, PLACE)


@pytest.mark.parametrize("sealed", ["", "v1:", "v1:AAAA", "v2:AAAA", "plain", "v1:\u00e9", "v1:" + "A" * 15])
def test_what_was_never_sealed(sealed: str) -> None:
    with pytest.raises(BrokenSeal):
        SEAL.open(sealed, PLACE)


def test_a_seal_shows_nothing() -> None:
    assert repr(SEAL) == "ValueSeal(...)"
    with pytest.raises(ValueError, match="32 bytes"):
        ValueSeal(b"short")
