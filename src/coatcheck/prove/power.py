"""A power cut, simulated: what the disk would hold had it lost writes that were not synced."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coatcheck.prove.draws import Draws
from coatcheck.prove.faults import CUT, SYNCED, WRITTEN, entries
from coatcheck.prove.vfs import LOG, MAIN
from coatcheck.store.engines.directory import DATABASE_FILE

SECTOR: Final = 512
"""Bytes that a disk writes at once: of what was not synced, each sector may be there or not."""

_Write = tuple[int, bytes | None]
"""Where, and what; None cuts the file there."""


class Disk:
    """The database and its log as they were before a gateway started, and what became of them."""

    def __init__(self, data: Path) -> None:
        self._paths = {MAIN: data / DATABASE_FILE, LOG: data / f"{DATABASE_FILE}-wal"}
        self._index = data / f"{DATABASE_FILE}-shm"
        self._before = {
            file: bytearray(path.read_bytes() if path.exists() else b"") for file, path in self._paths.items()
        }

    def cut(self, diary: Path, draws: Draws | None) -> tuple[int, int]:
        """Put in both places what would be left; return how many writes were not synced, and how many lost.

        Without `draws`, all of those writes are lost; with it, each of their sectors is lost or not.
        """
        pending: dict[int, list[_Write]] = {file: [] for file in self._paths}
        for what, file, place, content in entries(diary):
            if what == SYNCED:
                for write in pending[file]:
                    _apply(self._before[file], write)
                pending[file].clear()
            elif what in {WRITTEN, CUT}:
                pending[file].append((place, content if what == WRITTEN else None))
        lost = unsynced = 0
        for file, writes in pending.items():
            unsynced += len(writes)
            lost += sum(not _perhaps(self._before[file], write, draws) for write in writes)
            self._paths[file].write_bytes(self._before[file])
        self._index.unlink(missing_ok=True)
        return unsynced, lost


def _apply(image: bytearray, write: _Write) -> None:
    place, content = write
    if content is None:
        del image[place:]
        return
    if len(image) < place:
        image.extend(bytes(place - len(image)))
    image[place : place + len(content)] = content


def _perhaps(image: bytearray, write: _Write, draws: Draws | None) -> bool:
    """Apply each sector of a write, or not; return whether all of them were."""
    place, content = write
    if draws is None:
        return False
    if content is None or not content:
        if kept := draws.below(2) == 1:
            _apply(image, write)
        return kept
    whole, at = True, 0
    while at < len(content):
        end = min(len(content), at + SECTOR - (place + at) % SECTOR)
        if draws.below(2):
            _apply(image, (place + at, content[at:end]))
        else:
            whole = False
        at = end
    return whole
