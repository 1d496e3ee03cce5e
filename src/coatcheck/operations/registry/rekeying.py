"""Changing the key that everything stored is sealed with, while calls go on."""

from __future__ import annotations

import asyncio
import logging
import shlex
from dataclasses import dataclass
from typing import Protocol

from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import CoatcheckError, ConfigError, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.operations.merging import PLACES
from coatcheck.operations.registry.desk import Desk

log = logging.getLogger(__name__)


class KeyFiles(Protocol):
    """Where the key of the store is kept, which is never in the store. Every method blocks for a moment."""

    @property
    def origin(self) -> str:
        """What gives the key, from outside of the data directory; empty where it is in a file there."""
        ...

    def prepare(self, path: str | None) -> Keys:
        """Return the key to follow: the one in a file, or a new one; durable before this returns.

        Raises:
            Unfit: the file holds no key, or none is named and the key is given from outside.
            ConfigError: the data directory cannot be written.
        """
        ...

    def settle(self, key_id: str) -> str | None:
        """Bring the files in line with a store that belongs to this key; return where the former one is.

        What `prepare` made takes the place of the former key, which is kept under a name of its own; or it
        is removed, if the store does not belong to it.

        Raises:
            ConfigError: the data directory cannot be written; to be tried again.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeyView:
    """The key in use. `origin`: what gives it, from outside; empty for the file in the data directory."""

    id: str
    origin: str


@dataclass(frozen=True, slots=True)
class KeyRotated:
    """What was done. `rows` is what is sealed with the new key; `advice` what is left to an operator.

    `former_path` is the file that keeps the former key, where we keep it.
    """

    old_id: str
    new_id: str
    rows: int
    seconds: float
    former_path: str | None
    advice: str


class Rekeying:
    """The key and its changes. At every moment one key opens the store, and that key is on the disk."""

    def __init__(self, desk: Desk, files: KeyFiles) -> None:
        self._desk = desk
        self._files = files
        self._turn = asyncio.Lock()

    def view(self) -> KeyView:
        """Return what is told of the key."""
        return KeyView(self._desk.book.store.key_id, self._files.origin)

    async def rotate(self, actor: Actor, path: str | None = None) -> KeyRotated:
        """Seal everything with a new key: the one in the file `path`, or one that is made.

        Tokens of grants stay as good as they are. Goes on to its end even if the caller goes away.

        Raises:
            Unfit: the file holds no key, or the one in use; or the key is given from outside, and no file
                is named.
            Damaged: a row was changed outside of the gateway; nothing happened.
            ConfigError: the new key cannot be written; nothing happened.
            Unavailable: nothing happened; or it may have, and the store cannot be read: the next start, or
                the next rotation, brings the files in line.
        """
        return await asyncio.shield(asyncio.ensure_future(self._rotate(actor, path)))

    async def _rotate(self, actor: Actor, path: str | None) -> KeyRotated:
        async with self._turn:
            book, started = self._desk.book, self._desk.clock.monotonic()
            await book.catch_up()
            old = book.store.key_id
            await asyncio.to_thread(self._files.settle, old)  # what an earlier one may have left
            keys = await asyncio.to_thread(self._files.prepare, path)
            if keys.id == old:
                await asyncio.to_thread(self._files.settle, old)
                raise Unfit(f"the key {old} is the one in use", fix="make another: openssl rand -hex 32")
            what = (ObjectKind.KEY, keys.id, "key")
            change = self._desk.scribe.changed(actor, "key.rotate", what, {"id": old}, {"id": keys.id})
            try:
                await book.rekey(keys, change)
            except CoatcheckError:
                if not book.behind:
                    await asyncio.to_thread(self._files.settle, book.store.key_id)
                raise
            former, advice = await self._settle(old, keys.id)
            seconds = self._desk.clock.monotonic() - started
            log.info("the store is sealed with the key %s now, no more with %s", keys.id, old)
            return KeyRotated(old, keys.id, self._rows(), seconds, former, advice)

    async def _settle(self, old: str, new: str) -> tuple[str | None, str]:
        """Put the new key in its place; return where the former one is kept, and what is left to do."""
        try:
            former = await asyncio.to_thread(self._files.settle, new)
        except (
            ConfigError
        ) as error:  # the store has the new key, which is on the disk: the next start ends it
            log.error("the new key is not in its place yet, the next start puts it there: %s", error.message)
            return None, f"{error.message}; the next start puts the new key in its place"
        if self._files.origin:
            return None, (
                f"before the next start, {self._files.origin} must give the new key {new}; backups made"
                f" before need the former one, {old}"
            )
        if former is None or not former.endswith(old):
            return former, f"the former key, {old}, was not in its file any more; backups made before need it"
        return former, (
            f"backups made before need the former key, {old}, which is kept in {former}; once none of them"
            f" matters any more: rm {shlex.quote(former)}"
        )

    def _rows(self) -> int:
        kept = self._desk.book.registry
        return sum(len(getattr(kept, place)) for place, _ in PLACES.values())
