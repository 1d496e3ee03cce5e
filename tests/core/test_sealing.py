"""Sealed texts are opened by whoever they were sealed for, before their end, and by no one else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.sealing.states import KEY_BYTES, MAX_SEALED_CHARS, NONCE_BYTES, Seal

KEY = bytes(range(KEY_BYTES))
NONCE = bytes(range(NONCE_BYTES))
SEAL = Seal(KEY)
TEXTS = st.text(max_size=40)
BINDINGS = st.lists(TEXTS, max_size=4).map(tuple)


@given(st.text(), BINDINGS, st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
def test_what_is_sealed_is_opened_again(text: str, bindings: tuple[str, ...], nonce: bytes) -> None:
    sealed = SEAL.seal(text, bindings, 100.0, nonce)
    assert sealed.isascii()
    assert SEAL.open(sealed, bindings, 99.0) == text


def test_a_lone_surrogate_survives() -> None:
    assert SEAL.open(SEAL.seal("\ud800", (), 9.0, NONCE), (), 1.0) == "\ud800"


@given(BINDINGS, BINDINGS)
def test_other_bindings_open_nothing(sealed_for: tuple[str, ...], opened_for: tuple[str, ...]) -> None:
    sealed = SEAL.seal("state", sealed_for, 100.0, NONCE)
    assert (SEAL.open(sealed, opened_for, 1.0) == "state") is (sealed_for == opened_for)


@given(st.data())
def test_no_changed_character_is_accepted(data: st.DataObject) -> None:
    sealed = SEAL.seal("state", ("alice",), 100.0, NONCE)
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(max_codepoint=0x2FF).filter(lambda char: char != sealed[place]))
    changed = sealed[:place] + other + sealed[place + 1 :]
    opened = SEAL.open(changed, ("alice",), 1.0)
    assert opened is None or base64.urlsafe_b64decode(changed) == base64.urlsafe_b64decode(sealed)


def test_the_end_is_the_end() -> None:
    sealed = SEAL.seal("state", (), 100.0, NONCE)
    assert SEAL.open(sealed, (), 99.9) == "state"
    assert SEAL.open(sealed, (), 100.0) is None


def test_another_key_opens_nothing() -> None:
    sealed = SEAL.seal("state", (), 100.0, NONCE)
    assert Seal(bytes(KEY_BYTES)).open(sealed, (), 1.0) is None


@pytest.mark.parametrize(
    "garbage", ["", "AAAA", "!", "é", "A" * 64, "A" * 63, "=" * 8, "A" * (MAX_SEALED_CHARS + 4), "\0", " "]
)
def test_garbage_is_none(garbage: str) -> None:
    assert SEAL.open(garbage, (), 1.0) is None


def test_a_key_has_its_length_and_is_not_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(b"short")
    assert KEY.hex() not in repr(SEAL)
    assert repr(KEY)[2:-1] not in repr(SEAL)
