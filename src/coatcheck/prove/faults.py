"""What goes wrong with the disk of a gateway under proof, as its watcher is told in files; and its diary.

The plan is a file that the proof writes while the gateway runs: `KIND EVERY CODE`, such as `sync 3 1034` for
"every third sync fails". Without the file, nothing fails. A file beside it grows by a byte with each failure.
The diary has every write and sync in order, so that the proof can tell what a disk would hold that lost
everything not yet synced.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck.prove.vfs import Failure

ENTRY: Final = struct.Struct("<cIqI")
"""Head of an entry of the diary: what, which file, where (or the new size), and how many bytes follow."""
WRITTEN, CUT, SYNCED = b"w", b"t", b"s"

STRUCK: Final = ".struck"
"""How the file is called that counts failures: as the plan, with this at the end."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every so-manyth operation of a kind (`sync` or `write`) fails with a code."""

    kind: str
    every: int
    failure: Failure

    def write_to(self, path: Path) -> None:
        """Put the plan in force, in one step."""
        part = path.with_suffix(".part")
        part.write_text(f"{self.kind} {self.every} {self.failure.value}")
        part.replace(path)


class Faults:
    """Implements `vfs.Watch`: reads the plan before each operation, and keeps a diary if asked to."""

    def __init__(self, plan: Path | None, diary: Path | None) -> None:
        self._plan = plan
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._diary: int | None = None
        if diary is not None:
            self._diary = os.open(diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def writing(self, file: int, at: int, content: bytes) -> Failure:
        """Say whether a write fails; one that does not is in the diary before it is done."""
        failure = self._failure("write")
        if failure is Failure.NONE:
            self._note(WRITTEN, file, at, content)
        return failure

    def truncating(self, file: int, size: int) -> None:
        """Take note that a file is cut."""
        self._note(CUT, file, size)

    def syncing(self, file: int) -> Failure:  # noqa: ARG002  # every file is on the same disk
        """Say whether a sync fails."""
        return self._failure("sync")

    def synced(self, file: int) -> None:
        """Take note of a sync, once it is done."""
        self._note(SYNCED, file, 0)

    def _note(self, what: bytes, file: int, at: int, content: bytes = b"") -> None:
        if self._diary is None:
            return
        entry = ENTRY.pack(what, file, at, len(content)) + content
        with self._lock:
            if os.write(self._diary, entry) != len(entry):
                raise OSError("the diary of the proof cannot be written")

    def _failure(self, kind: str) -> Failure:
        if self._plan is None:
            return Failure.NONE
        try:
            text = self._plan.read_text()
        except FileNotFoundError:
            self._counts.clear()
            return Failure.NONE
        name, every, code = text.split()
        if name != kind:
            return Failure.NONE
        with self._lock:
            count = self._counts[text] = self._counts.get(text, 0) + 1
        if count % int(every):
            return Failure.NONE
        with self._plan.with_suffix(STRUCK).open("ab") as struck:
            struck.write(b".")
        return Failure(int(code))


def entries(diary: Path) -> Iterator[tuple[bytes, int, int, bytes]]:
    """Yield what, file, place and content of each whole entry of a diary; the last may be torn by a kill."""
    whole = diary.read_bytes()
    at = 0
    while at + ENTRY.size <= len(whole):
        what, file, place, size = ENTRY.unpack_from(whole, at)
        at += ENTRY.size
        if at + size > len(whole):
            return
        yield what, file, place, whole[at : at + size]
        at += size
