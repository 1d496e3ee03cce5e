"""What a record is proven with: public keys, and the checkpoints that are kept outside of the store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import IO, Final

from coatcheck.audit.checkpoint_file import descriptor_of
from coatcheck.core.recording.notes import Broken, PublicKey, claimed, is_unsigned, opener, texts_in
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Checkpoint, Finding, FindingKind

MOST_LINE: Final = 16 * 1024 * 1024
"""Bytes of the longest line that an export has."""

Tell = Callable[[Finding], None]


class Proof:
    """The public keys that checkpoints may be signed with, by their ids, and what is kept outside.

    With `may_lack` it is no error if the file outside is not there; whoever judges a store tells of it.
    """

    def __init__(self, keys: Sequence[PublicKey], outside: Path | None, *, may_lack: bool = False) -> None:
        self._keys = keys
        self._outside = outside
        self._may_lack = may_lack

    @property
    def place(self) -> str:
        """What messages call the file outside; empty if there is to be none."""
        return "" if self._outside is None else str(self._outside)

    def open(self, note: str, place: str, tell: Tell) -> Checkpoint | None:
        """Return the checkpoint of a note; tell if it is none, or not signed."""
        found: Checkpoint | None = None
        why = "there is no key for it"
        try:
            found = claimed(str(note))  # a column may hold anything
            for key in self._keys:
                if key.log == found.log:
                    try:
                        return key.open(note)
                    except Broken as error:
                        why = str(error)
        except Broken as error:
            why = str(error)
        seq = found.seq if found else 0
        tell(Finding(seq, FindingKind.UNSIGNED, f"the checkpoint of entry {seq} in {place} {_said(why)}"))
        return None

    def why_not(self, note: str, digest: bytes) -> str:
        """Return why a note does not sign the sealed parts with this digest; empty if it does."""
        found, why = opener(self._keys, lambda key: key.open_sealing(note, digest))
        return "" if found else why or "cannot be proven: there is no key for it"

    def outside(self, opened: ExitStack, log: str, tell: Tell) -> Iterator[Checkpoint]:
        """Return the checkpoints of the file outside, as of now, in their order.

        Raises:
            ConfigError: the file cannot be read.
        """
        if self._outside is None:
            return iter(())
        path = self._outside
        try:
            file = opened.enter_context(open_regular(path))
            size = file.seek(0, 2)
            file.seek(0)
        except OSError as error:
            if self._may_lack and isinstance(error, FileNotFoundError):
                return iter(())
            raise ConfigError(
                f"the checkpoints {path} cannot be read: {error.strerror}",
                fix="name the file with --checkpoints",
            ) from None
        return self._in_order(texts_in(_lines(file, size)), log, str(path), tell)

    def _in_order(self, texts: Iterable[str], log: str, place: str, tell: Tell) -> Iterator[Checkpoint]:
        last, foreign = -1, False
        for text in texts:
            if not text.startswith(f"coatcheck/{log}\n"):
                if not foreign:
                    foreign = True
                    words = f"{place} has checkpoints of another log than {log}"
                    tell(Finding(0, FindingKind.FOREIGN, words))
                continue
            if (seq := is_unsigned(text)) is not None:
                words = f"the checkpoint of entry {seq} in {place} has no signature"
                tell(Finding(seq, FindingKind.UNSIGNED, words))
                continue
            found = self.open(text, place, tell)
            if found is None:
                continue
            if found.seq < last:
                words = f"{place} goes back from entry {last} to {found.seq}: an older store was put back"
                tell(Finding(found.seq, FindingKind.FORKED, words))
                continue
            last = found.seq
            yield found


def open_regular(path: Path) -> BufferedReader:
    """Open a file to read it; raises as `descriptor_of`."""
    return os.fdopen(descriptor_of(path, os.O_RDONLY), "rb")


def _lines(file: IO[bytes], size: int) -> Iterator[str]:
    while file.tell() < size and (line := file.readline(MOST_LINE)):
        yield line.decode("utf-8", "replace")


def _said(why: str) -> str:
    return why if why.startswith(("is ", "has ", "was ")) else f"cannot be proven: {why}"
