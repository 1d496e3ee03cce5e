"""`servers.json` as it is now: read whole, asked on every call whether it changed, watched in between."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

from coatcheck.declared.locate import Found, choose
from coatcheck.declared.reading import jsonc
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError
from coatcheck.declared.servers_json import load
from coatcheck.declared.watch import POLL_SECONDS, Watch
from coatcheck.model.declaration import Declaration, Problem

_ROUNDS: Final = 5
"""How often a reading may find that it needs yet another file before it is taken as it is."""


class LiveDeclaration:
    """The declaration at the place that was found.

    Once a file has been read, its absence is an error: a file that is gone for a moment, as between the
    two renames of an editor, must not look like one that declares nothing.
    """

    def __init__(self, found: Found, sources: Sources, poll: float = POLL_SECONDS) -> None:
        self._found = found
        self._sources = sources
        self._watch = Watch(poll)
        self._files: tuple[Path, ...] = ()

    @property
    def path(self) -> Path | None:
        """The file that is read, if one was found."""
        return self._found.path

    def read(self) -> Declaration:
        """Return what the file declares now; an empty declaration where there is no file at all.

        A change during the reading makes `changed` true: what is compared was taken before.

        Raises:
            DeclarationError: with everything that is wrong; what was read before stays right to use.
        """
        for _ in range(_ROUNDS):
            self._watch.take(self._files)
            outcome = self._attempt()
            self._files = outcome.files
            if self._watch.knows(outcome.files):
                break  # else read again: the state of a new file has to be taken before its content
        self._watch.keep(outcome.files)
        if isinstance(outcome, DeclarationError):
            raise outcome
        return outcome

    def changed(self) -> bool:
        """Tell whether a file looks different since the last reading; cheap enough for every call."""
        return self._watch.changed()

    def changes(self) -> AsyncGenerator[None, None]:
        """Yield whenever a file changed since the last reading. The caller reads again."""
        return self._watch.changes()

    def _attempt(self) -> Declaration | DeclarationError:
        if self._found.path is None and self._found.text is None:
            self._found = choose(self._found.awaited)
        found = self._found
        try:
            if found.text is not None:
                return load(found.text, None, self._sources)
            if found.path is not None:
                return load(_content(found.path), found.path, self._sources)
        except DeclarationError as error:
            return error
        return Declaration(files=found.awaited)


def _content(path: Path) -> bytes:
    try:
        # Not blocking: opening a named pipe would otherwise wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(path, error.strerror or "error") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unreadable(path, "not a regular file")
        content = b""
        while chunk := os.read(descriptor, jsonc.MAX_BYTES + 1 - len(content)):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def _unreadable(path: Path, why: str) -> DeclarationError:
    fix = "correct the path, or write the file; {} is one that declares nothing"
    return DeclarationError(path, [Problem(1, "", f"the file cannot be read ({why})", fix)], (path,))
