"""Derived keys are those of RFC 5869, stay as they are, and a weak key is no key."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.sealing.keys import Keys, Purpose, expand, extract, read_key

GOOD = "8f1d0c6a5b7e93b2447fd2a1c0e8365994de7710ab2c4f68d30b915a7e62cc0f"


@pytest.mark.parametrize(
    ("material", "salt", "label", "size", "made"),
    [
        (
            b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(80)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)), 82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            b"\x0b" * 22, b"", b"", 42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)  # fmt: skip
def test_the_examples_of_rfc_5869(material: bytes, salt: bytes, label: bytes, size: int, made: str) -> None:
    assert expand(extract(salt, material), label, size).hex() == made


def test_more_than_can_be_derived() -> None:
    assert len(expand(bytes(32), b"", 255 * 32)) == 255 * 32
    with pytest.raises(ValueError, match="cannot be derived"):
        expand(bytes(32), b"", 255 * 32 + 1)


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = Keys(read_key(GOOD))
    made = {purpose: keys.of(purpose) for purpose in Purpose}
    assert len(set(made.values())) == len(Purpose)
    assert {len(key) for key in made.values()} == {32}
    assert Keys(read_key(GOOD.upper() + "\n")).of(Purpose.ROW_MAC) == made[Purpose.ROW_MAC]
    assert keys.id == made[Purpose.KEY_ID].hex()[:8]


def test_what_is_stored_can_be_read_for_ever() -> None:
    """These are in databases: they never change."""
    keys = Keys(read_key(GOOD))
    assert keys.id == "a498206f"
    assert [purpose.value for purpose in Purpose] == [
        "grant-pepper", "row-mac", "secret-seal", "state-seal", "credential-print", "argument-print", "argument-seal", "key-id",
    ]  # fmt: skip


def test_keys_show_nothing() -> None:
    keys = Keys(read_key(GOOD))
    assert repr(keys) == f"{keys}" == f"Keys({keys.id})"
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(keys)


@given(st.binary(min_size=32, max_size=32))
def test_two_keys_have_two_ids(key: bytes) -> None:
    other = bytes([key[0] ^ 1]) + key[1:]
    assert Keys(key).id != Keys(other).id or Keys(key).of(Purpose.ROW_MAC) != Keys(other).of(Purpose.ROW_MAC)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not 64"),
        (GOOD[:-1], "not 64"),
        (GOOD + "0", "not 64"),
        (GOOD[:-1] + "g", "not 64"),
        ("change-me", "not 64"),
        (GOOD[:-1] + "\u0665", "not 64"),
        ("00" * 32, "repeats"),
        ("deadbeef" * 8, "repeats"),
        ("0123456789abcdef" * 4, "repeats"),
        (bytes(range(32)).hex(), "counts"),
        (bytes(range(255, 223, -1)).hex(), "counts"),
        (bytes((7 * n) % 256 for n in range(32)).hex(), "counts"),
        (b"correct horse battery staple 123".hex(), "is text"),
    ],
)
def test_a_weak_key_is_refused(text: str, why: str) -> None:
    assert read_key(GOOD)
    with pytest.raises(ValueError, match=why) as refused:
        read_key(text)
    assert not text or text not in str(refused.value)


@given(st.randoms(use_true_random=True))
def test_a_random_key_is_never_weak(chance: object) -> None:
    key = chance.randbytes(32)  # type: ignore[attr-defined]
    assert read_key(key.hex()) == key
