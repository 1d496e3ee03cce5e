"""Sealing secrets at rest: each bound to the one place it is kept in, so that none can be moved to another.

AES-256-GCM (NIST SP 800-38D) with a random nonce for each value.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from coatcheck.core.sealing.keys import KEY_BYTES
from coatcheck.core.sealing.states import NONCE_BYTES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORM: Final = "v1:"


class BrokenSeal(Exception):
    """What was to be opened is not what was sealed there, or was sealed with another key."""


class ValueSeal:
    """One key. `place` are the texts that say where a value is kept, in a fixed order."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
        self._key = key

    def __repr__(self) -> str:
        return "ValueSeal(...)"

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 17 ms, when first needed

        return AESGCM(self._key)

    def seal(self, text: str, place: Sequence[str], nonce: bytes) -> str:
        """Return the sealed text, plain ASCII. `nonce` is 12 bytes, random, and never used again."""
        plain = text.encode("utf-8", "surrogatepass")
        sealed = nonce + self._cipher.encrypt(nonce, plain, _bytes_of(place))
        return _FORM + base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, sealed: str, place: Sequence[str]) -> str:
        """Return the text that was sealed at this place.

        Raises:
            BrokenSeal: it was not sealed there, or not by this key.
        """
        from cryptography.exceptions import InvalidTag

        try:
            if not sealed.startswith(_FORM):
                raise BrokenSeal
            coded = sealed[len(_FORM) :].encode("ascii")
            raw = base64.b64decode(coded, altchars=b"-_", validate=True)
            if base64.urlsafe_b64encode(raw) != coded:  # the last character may have bits that say nothing
                raise BrokenSeal
            plain = self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bytes_of(place))
        except (UnicodeEncodeError, binascii.Error, InvalidTag, ValueError):
            raise BrokenSeal from None
        return plain.decode("utf-8", "surrogatepass")


def _bytes_of(place: Sequence[str]) -> bytes:
    return json.dumps(list(place), ensure_ascii=True).encode("ascii")
