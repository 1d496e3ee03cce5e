"""One key of 32 bytes, and the keys for single purposes that are derived from it.

HKDF with SHA-256 (RFC 5869). A purpose's key tells nothing of the others, so each is handed only to the part
that needs it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from itertools import pairwise
from typing import Final

KEY_BYTES: Final = 32
_HASH_BYTES: Final = 32
_SALT: Final = b"coatcheck"
_LEAST_DISTINCT: Final = 12
"""Random bytes have about 30 distinct ones among 32; fewer than this happens once in 10^13 keys."""

_HEX = re.compile(r"[0-9a-fA-F]{64}\Z")


class Purpose(StrEnum):
    """What a derived key is for."""

    GRANT_PEPPER = "grant-pepper"
    ROW_MAC = "row-mac"
    SECRET_SEAL = "secret-seal"  # noqa: S105
    STATE_SEAL = "state-seal"
    CREDENTIAL_PRINT = "credential-print"
    ARGUMENT_PRINT = "argument-print"
    ARGUMENT_SEAL = "argument-seal"
    KEY_ID = "key-id"


class Keys:
    """The keys that follow from one. `id` names it in public: 8 hexadecimal digits, telling nothing."""

    __slots__ = ("_pseudorandom", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._pseudorandom = extract(_SALT, key)
        self.id = self.of(Purpose.KEY_ID).hex()[:8]

    def __repr__(self) -> str:
        return f"Keys({self.id})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not copied out of the process")

    def of(self, purpose: Purpose) -> bytes:
        """Return the 32 bytes for one purpose, always the same."""
        return expand(self._pseudorandom, purpose.value.encode("ascii"), KEY_BYTES)


def extract(salt: bytes, material: bytes) -> bytes:
    """Return the pseudorandom key of the material (RFC 5869, 2.2)."""
    return hmac.new(salt or bytes(_HASH_BYTES), material, hashlib.sha256).digest()


def expand(pseudorandom: bytes, label: bytes, size: int) -> bytes:
    """Return `size` bytes for a label (RFC 5869, 2.3); at most 255 times 32.

    Raises:
        ValueError: more are asked for.
    """
    if size > 255 * _HASH_BYTES:
        raise ValueError("that many bytes cannot be derived")
    made = block = b""
    while len(made) < size:
        number = bytes([len(made) // _HASH_BYTES + 1])
        block = hmac.new(pseudorandom, block + label + number, hashlib.sha256).digest()
        made += block
    return made[:size]


def read_key(text: str) -> bytes:
    """Return the key that 64 hexadecimal digits spell, with white space around them or not.

    Raises:
        ValueError: it has another form, or is one that people make up: repeated, counted or spelt from
            letters. The message says which, and nothing of the key.
    """
    if not _HEX.match(text.strip()):
        raise ValueError("is not 64 hexadecimal digits")
    key = bytes.fromhex(text.strip())
    if len(set(key)) < _LEAST_DISTINCT:
        raise ValueError("repeats itself, as examples do")
    if len({(after - before) % 256 for before, after in pairwise(key)}) == 1:
        raise ValueError("counts, as examples do")
    if all(0x20 <= byte < 0x7F for byte in key):
        raise ValueError("is text in hexadecimal, such as a password, and not random")
    return key
