"""Tells when a file of a set has changed: at once when asked, and by itself soon after.

Editors rename, container platforms swap links, bind mounts send no events. So the truth is what `stat` and
the content say. A look five times a second costs less than the kernel's events would, of which the writes of
a database in the same folder make one for every call.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Final, NamedTuple

POLL_SECONDS: Final = 2.0
"""Seconds after which contents are compared, and not only what `stat` says."""
LOOK_SECONDS: Final = 0.2
_DIGESTED_BYTES: Final = 8 * 1024 * 1024

Look = tuple[int, int, int, int, int] | None


class _Seen(NamedTuple):
    look: Look
    digest: bytes | None


class Watch:
    """The state of a set of files at the last reading, and whether they are still so."""

    def __init__(self, poll: float = POLL_SECONDS) -> None:
        self._poll = poll
        self._look_seconds = min(LOOK_SECONDS, poll)
        self._seen: dict[str, _Seen] = {}
        self._fresh = False

    def take(self, files: Iterable[Path]) -> None:
        """Remember the state of these files. Do it before reading them, so that no change is lost."""
        self._fresh = False
        self._seen = {name: _Seen(_look(name), _digest(name)) for name in map(str, files)}

    def knows(self, files: Iterable[Path]) -> bool:
        """Tell whether the state of all these files is remembered."""
        return all(str(path) in self._seen for path in files)

    def keep(self, files: Iterable[Path]) -> None:
        """Forget the state of all other files."""
        kept = {str(path) for path in files}
        self._seen = {name: seen for name, seen in self._seen.items() if name in kept}

    def changed(self) -> bool:
        """Tell whether a file looks different since `take`: one `stat` a file, for every call to ask.

        Calls of one turn of the event loop share a look that found nothing. It serves only those that were
        read from their sockets before it, so an edit that one of them follows was there to be seen.
        """
        if self._fresh:
            return False
        for name, (look, _) in self._seen.items():
            if _look(name) != look:
                return True
        self._share_look()
        return False

    def rewritten(self) -> bool:
        """Tell whether a file looks or reads different since `take`.

        It finds what `changed` cannot: a second write of the same size within one tick of the clock.
        """
        return self.changed() or any(_digest(name) != seen.digest for name, seen in self._seen.items())

    def _share_look(self) -> None:
        """Let this look count for what the loop has read so far: what it reads later runs after `_age`."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # nobody to share it with
        self._fresh = True
        loop.call_soon(self._age)

    def _age(self) -> None:
        self._fresh = False

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yield whenever a file differs from what was taken, until the caller stops asking.

        The caller is to read the files again, which takes their state anew.
        """
        loop = asyncio.get_running_loop()
        read = loop.time()
        while True:
            await asyncio.sleep(self._look_seconds)
            due = loop.time() - read >= self._poll
            if self.rewritten() if due else self.changed():
                yield
            if due:
                read = loop.time()


def _look(name: str) -> Look:
    """Return what `stat` says of a file, links followed; None if it is not there."""
    try:
        state = os.stat(name)  # noqa: PTH116
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _digest(name: str) -> bytes | None:
    """Return the SHA-256 of a regular file that can be read, else None."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        digest, left = hashlib.sha256(), _DIGESTED_BYTES
        while left > 0 and (chunk := os.read(descriptor, min(left, 1 << 20))):
            digest.update(chunk)
            left -= len(chunk)
        return digest.digest()
    except OSError:
        return None
    finally:
        os.close(descriptor)
