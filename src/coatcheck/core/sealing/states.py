"""Sealing what a client keeps for us: encrypted, bound to whom and what it was given for, with an end.

AES-256-GCM (NIST SP 800-38D) with a random nonce. What is sealed is opened only by whoever names the same
bindings; all else is indistinguishable from garbage.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_SEALED_CHARS: Final = 1024 * 1024
_EXPIRY_BYTES: Final = 8


class Seal:
    """One key. `bindings` are the texts that a sealed text is good for, in a fixed order."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
        self._key = key

    def __repr__(self) -> str:
        return "Seal(...)"

    @cached_property
    def _cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 17 ms, when first needed

        return AESGCM(self._key)

    def seal(self, text: str, bindings: Sequence[str], expires: float, nonce: bytes) -> str:
        """Return the sealed text, plain ASCII. `expires` is in Unix seconds; `nonce` must be random."""
        plain = int(expires).to_bytes(_EXPIRY_BYTES, "big") + text.encode("utf-8", "surrogatepass")
        sealed = nonce + self._cipher.encrypt(nonce, plain, _joined(bindings))
        return base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, sealed: str, bindings: Sequence[str], now: float) -> str | None:
        """Return the text, or None for anything but our own unexpired work for these bindings."""
        from cryptography.exceptions import InvalidTag

        if len(sealed) > MAX_SEALED_CHARS:
            return None
        try:
            raw = base64.b64decode(sealed.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            return None
        nonce, rest = raw[:NONCE_BYTES], raw[NONCE_BYTES:]
        try:
            plain = self._cipher.decrypt(nonce, rest, _joined(bindings))
        except (InvalidTag, ValueError):
            return None
        if int.from_bytes(plain[:_EXPIRY_BYTES], "big") <= now:
            return None
        return plain[_EXPIRY_BYTES:].decode("utf-8", "surrogatepass")


def _joined(bindings: Sequence[str]) -> bytes:
    """Join texts so that no two lists of texts give the same bytes."""
    parts = [text.encode("utf-8", "surrogatepass") for text in bindings]
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)
