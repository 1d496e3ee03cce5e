"""Tells when a file of a set has changed: at once when asked, and by itself soon after.

Editors rename, container platforms swap links, bind mounts send no events. So the truth is what `stat` and
the content say; events of the file system only shorten the wait until the next look.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Final, NamedTuple

_LOG = logging.getLogger(__name__)

POLL_SECONDS: Final = 2.0
_DEBOUNCE_MS: Final = 50
_STEP_MS: Final = 10
_BUSY_SECONDS: Final = 0.2
"""How long to rest after events that were not about our files, such as those of a database beside them."""
_MOST_LINKS: Final = 40
_DIGESTED_BYTES: Final = 8 * 1024 * 1024

Look = tuple[int, int, int, int, int] | None


class _Seen(NamedTuple):
    look: Look
    digest: bytes | None


class Watch:
    """The state of a set of files at the last reading, and whether they are still so."""

    def __init__(self, poll: float = POLL_SECONDS) -> None:
        self._poll = poll
        self._seen: dict[str, _Seen] = {}

    def take(self, files: Iterable[Path]) -> None:
        """Remember the state of these files. Do it before reading them, so that no change is lost."""
        self._seen = {name: _Seen(_look(name), _digest(name)) for name in map(str, files)}

    def knows(self, files: Iterable[Path]) -> bool:
        """Tell whether the state of all these files is remembered."""
        return all(str(path) in self._seen for path in files)

    def keep(self, files: Iterable[Path]) -> None:
        """Forget the state of all other files."""
        kept = {str(path) for path in files}
        self._seen = {name: seen for name, seen in self._seen.items() if name in kept}

    def changed(self) -> bool:
        """Tell whether a file looks different since `take`: one `stat` a file, for every call to ask."""
        return any(_look(name) != seen.look for name, seen in self._seen.items())

    def rewritten(self) -> bool:
        """Tell whether a file looks or reads different since `take`.

        It finds what `changed` cannot: a second write of the same size within one tick of the clock.
        """
        return self.changed() or any(_digest(name) != seen.digest for name, seen in self._seen.items())

    async def changes(self) -> AsyncGenerator[None, None]:
        """Yield whenever a file differs from what was taken, until the caller stops asking.

        The caller is to read the files again, which takes their state anew.
        """
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            folders = self._folders()
            async with aclosing(self._wakes(folders)) as wakes:
                async for _ in wakes:
                    due = loop.time() - looked >= self._poll
                    if self.rewritten() if due else self.changed():
                        yield
                    elif not due:
                        await asyncio.sleep(_BUSY_SECONDS)
                    if due:
                        looked = loop.time()
                    if self._folders() != folders:
                        break

    async def _wakes(self, folders: frozenset[tuple[str, int, int]]) -> AsyncGenerator[None, None]:
        """Yield after events in the folders, and at least once a poll."""
        from watchfiles import awatch

        logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it logs every event at INFO
        try:
            if folders:
                events = awatch(
                    *(name for name, _, _ in folders),
                    watch_filter=None,
                    debounce=_DEBOUNCE_MS,
                    step=_STEP_MS,
                    rust_timeout=max(1, int(self._poll * 1000)),
                    yield_on_timeout=True,
                    recursive=False,
                    ignore_permission_denied=True,
                )
                async with aclosing(events):
                    async for _ in events:
                        yield
        except (OSError, RuntimeError):
            _LOG.debug("no file system events; looking every %s seconds", self._poll)
        await asyncio.sleep(self._poll)
        yield

    def _folders(self) -> frozenset[tuple[str, int, int]]:
        """Return the directories in which an event can concern a file, each with its identity."""
        names = {folder for name in self._seen for folder in _folders_of(name)}
        found = set()
        for name in names:
            try:
                state = os.stat(name)  # noqa: PTH116  # plain names are three times as fast as paths
            except OSError:
                continue  # not there yet: the poll finds it
            found.add((name, state.st_dev, state.st_ino))
        return frozenset(found)


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


def _folders_of(name: str) -> set[str]:
    """Return the directories of a file and of every link on the way to it."""
    folders = set()
    for _ in range(_MOST_LINKS):
        folder = os.path.dirname(name) or "."  # noqa: PTH120
        folders.add(folder)
        try:
            name = os.path.join(folder, os.readlink(name))  # noqa: PTH115, PTH118
        except OSError:
            break  # no link, or not there
    return folders
