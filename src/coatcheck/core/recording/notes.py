"""Checkpoints of the chain as signed notes, and the public key that proves them (C2SP signed-note, Ed25519).

A note is text, an empty line and a line of signature. Ours is a checkpoint as C2SP tlog-checkpoint has it:
origin, number and hash of the last entry, then the time. The hash is the chain's, not the root of a tree.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Final

from coatcheck.model.chain import Checkpoint, Head, Presented

ORIGIN: Final = "coatcheck/"
SEED_BYTES: Final = 32
MOST_LINES: Final = 8
"""Of one note in a file; ours have six."""

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014 "
_NOTE: Final = re.compile(
    r"coatcheck/([0-9a-f]{16})\n([0-9]{1,19})\n([A-Za-z0-9+/]{43}=)\ntime ([!-~]{20,40})\n\n"
    r"\u2014 coatcheck/([0-9a-f]{16}) ([A-Za-z0-9+/=]{92})\n"
)
_TEXT: Final = re.compile(r"coatcheck/([0-9a-f]{16})\n([0-9]{1,19})\n[A-Za-z0-9+/]{43}=\ntime [!-~]{20,40}\n")
_SIGNATURE: Final = re.compile(r"\u2014 coatcheck/([0-9a-f]{16}) ([A-Za-z0-9+/=]{92})\n")
_KEY: Final = re.compile(r"coatcheck/([0-9a-f]{16})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]{44})")
_RECEIPT: Final = re.compile(r"([0-9a-f]{16})/([0-9]{1,19})/([0-9a-f]{32})")


class Broken(ValueError):
    """A note, a key or a receipt that is none, or a signature that is not the key's."""


class PublicKey:
    """What proves the checkpoints of one log. `text` is its form for people and files."""

    def __init__(self, log: str, key: bytes) -> None:
        self.log = log
        self.key = key
        self.id = sha256(f"{ORIGIN}{log}\n".encode("ascii") + _ED25519 + key).digest()[:4]

    @property
    def text(self) -> str:
        """The key as C2SP signed-note has it: name, id and key."""
        return f"{ORIGIN}{self.log}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.key).decode('ascii')}"

    @classmethod
    def read(cls, text: str) -> PublicKey:
        """Return the key that a text says.

        Raises:
            Broken: it is no such key.
        """
        found = _KEY.fullmatch(text.strip())
        raw = b"" if found is None else _bytes_of(found[3])
        if found is None or raw[:1] != _ED25519 or len(raw) != 1 + SEED_BYTES:
            raise Broken("is no public key of Coatcheck")
        key = cls(found[1], raw[1:])
        if key.id.hex() != found[2]:
            raise Broken("has a key that does not belong to its id")
        return key

    def open(self, note: str) -> Checkpoint:
        """Return the checkpoint that a note says, if the signature is this key's.

        Raises:
            Broken: it is no checkpoint, or somebody else's.
        """
        checkpoint, id, signature = _parts(note)
        if id != self.id or checkpoint.log != self.log:
            raise Broken("was signed with another key")
        self._prove(signature, _text_of(note))
        return checkpoint

    def open_evidence(self, note: str, digest: bytes) -> None:
        """Do nothing if the note signs this SHA-256 of a bundle's manifest with this key.

        Raises:
            Broken: it does not.
        """
        self._open(_evidence(digest), note, "is not about this manifest")

    def open_sealing(self, note: str, digest: bytes) -> None:
        """Do nothing if the note signs this digest of the sealed parts of the chain with this key.

        Raises:
            Broken: it does not.
        """
        self._open(_sealing(digest), note, "is not signed")

    def _open(self, text: str, note: str, otherwise: str) -> None:
        found = _SIGNATURE.fullmatch(note.removeprefix(f"{text}\n"))
        if not note.startswith(f"{text}\n{_DASH}") or found is None:
            raise Broken(otherwise)
        signature = _bytes_of(found[2])
        if found[1] != self.log or signature[:4] != self.id:
            raise Broken("was signed with another key")
        self._prove(signature[4:], text.encode("ascii"))

    def _prove(self, signature: bytes, text: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text)
        except InvalidSignature:
            raise Broken("has a signature that is not the key's") from None


def opener(keys: Iterable[PublicKey], open: Callable[[PublicKey], object]) -> tuple[PublicKey | None, str]:
    """Return the first of several keys that opens something; else None and why the first one does not."""
    why = ""
    for key in keys:
        try:
            open(key)
        except Broken as error:
            why = why or str(error)
        else:
            return key, ""
    return None, why


class SigningKey:
    """The key that checkpoints of one log are signed with, from its seed of 32 bytes."""

    def __init__(self, log: str, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(log, self._key.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SigningKey({self.public.text})"

    def __reduce__(self) -> str:
        raise TypeError("keys are not copied out of the process")

    def sign(self, head: Head, at: datetime) -> Checkpoint:
        """Return the signed checkpoint of where the chain stands at a time (UTC)."""
        log = self.public.log
        root = base64.b64encode(head.hash).decode("ascii")
        time = at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        text = f"{ORIGIN}{log}\n{head.seq}\n{root}\ntime {time}\n"
        return Checkpoint(log, head.seq, head.hash, at, self._signed(text))

    def sign_evidence(self, digest: bytes) -> str:
        """Return the note that signs the SHA-256 of a bundle's manifest; no checkpoint reads like it."""
        return self._signed(_evidence(digest))

    def sign_sealing(self, digest: bytes) -> str:
        """Return the note that signs the digest of the sealed parts of the chain."""
        return self._signed(_sealing(digest))

    def _signed(self, text: str) -> str:
        signature = base64.b64encode(self.public.id + self._key.sign(text.encode("ascii"))).decode("ascii")
        return f"{text}\n{_DASH}{ORIGIN}{self.public.log} {signature}\n"


def notes_in(lines: Iterable[str]) -> Iterator[str]:
    """Yield the notes of a file, in their order; what was broken off is left out.

    A note begins at a line with our origin and ends with its line of signature.
    """
    return (text for text in texts_in(lines) if _DASH in text)


def texts_in(lines: Iterable[str]) -> Iterator[str]:
    """Yield the notes of a file as `notes_in` does, and the whole texts that have no signature."""
    note: list[str] = []
    for line in lines:
        if line.startswith(ORIGIN):
            yield from _unsigned(note)
            note = []
        note.append(line if line.endswith("\n") else f"{line}\n")
        if line.startswith(_DASH):
            yield "".join(note)
            note = []
        elif len(note) > MOST_LINES:
            yield from _unsigned(note)
            note = []
    yield from _unsigned(note)


def is_unsigned(text: str) -> int | None:
    """Return the number that a checkpoint without signature is of; None if it is no such text."""
    found = _TEXT.match(text)
    return int(found[2]) if found is not None and _DASH not in text else None


def _unsigned(note: Sequence[str]) -> Iterator[str]:
    text = "".join(note)
    if is_unsigned(text) is not None:  # else it was broken off, as by a crash
        yield text


def claimed(note: str) -> Checkpoint:
    """Return what a note says, without looking at its signature.

    Raises:
        Broken: it is no checkpoint.
    """
    return _parts(note)[0]


def read_receipt(text: str) -> Presented:
    """Return the receipt that a text says.

    Raises:
        Broken: it is none.
    """
    found = _RECEIPT.fullmatch(text.strip())
    if found is None:
        raise Broken("is no receipt: LOG/NUMBER/HASH is wanted, as the header Coatcheck-Receipt has it")
    return Presented(found[1], int(found[2]), bytes.fromhex(found[3]))


def _evidence(digest: bytes) -> str:
    return f"coatcheck evidence 1\nmanifest sha256 {digest.hex()}\n"


def _sealing(digest: bytes) -> str:
    return f"coatcheck segments 1\nall sha256 {digest.hex()}\n"


def _parts(note: str) -> tuple[Checkpoint, bytes, bytes]:
    found = _NOTE.fullmatch(note)
    if found is None or found[1] != found[5]:
        raise Broken("is no checkpoint of Coatcheck")
    signature = _bytes_of(found[6])
    try:
        at = datetime.fromisoformat(found[4])
    except ValueError:
        raise Broken("has a time that is none") from None
    return Checkpoint(found[1], int(found[2]), _bytes_of(found[3]), at, note), signature[:4], signature[4:]


def _text_of(note: str) -> bytes:
    return note[: note.index(f"\n{_DASH}")].encode("ascii")


def _bytes_of(text: str) -> bytes:
    with suppress(binascii.Error):
        raw = base64.b64decode(text, validate=True)
        if base64.b64encode(raw).decode("ascii") == text:  # the last character may have bits that say nothing
            return raw
    raise Broken("has something that is not base64")
