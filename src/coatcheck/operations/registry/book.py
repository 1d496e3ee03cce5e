"""The one writer of the registry: judge by what is in force, make durable, publish, cut off what ended.

Where a commit fails, nobody here knows whether it happened: the store is read again, and what it says is
published.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import Stale, Taken, Unavailable
from coatcheck.model.change import Change
from coatcheck.model.registry import Edit, Registry
from coatcheck.operations.cutting import Cutting, Ending
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.merging import with_puts
from coatcheck.ports import RegistryStore

log = logging.getLogger(__name__)

Make = Callable[[Snapshot], Edit | None]
"""Judges an edit by the snapshot in force; None: there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Edited:
    """What is in force after an edit, and what the edit cut off, which may not have ended yet."""

    snapshot: Snapshot
    ending: Ending


class Book:
    """Edits the registry. Edits wait for each other; each is in force when its `edit` returns."""

    def __init__(self, store: RegistryStore, directory: Directory, cutting: Cutting) -> None:
        self.store = store
        self.directory = directory
        self.cutting = cutting
        self.behind = False
        """Whether the store may hold what is not in force here, and could not be read yet to find out."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force."""
        return self.directory.snapshot

    @property
    def registry(self) -> Registry:
        """The registry as of now."""
        return self.directory.snapshot.registry

    async def edit(self, make: Make) -> Edited:
        """Make an edit, make it durable and publish it. Goes on to its end even if the caller goes away.

        Whatever is raised, what is in force afterwards is what the store holds, or nobody is let in.

        Raises:
            CoatcheckError: whatever `make` raises; nothing happened then.
            Stale, Taken: as `RegistryStore.commit`; nothing happened.
            Unavailable: the store took nothing; or it may have, and cannot be read to find out (`behind`).
        """
        return await asyncio.shield(asyncio.ensure_future(self._edit(make)))

    async def rekey(self, keys: Keys, change: Change) -> None:
        """Seal the store with another key; edits wait. Goes on to its end even if the caller goes away.

        Raises:
            Damaged: as `RegistryStore.rekey`; nothing happened.
            Unavailable: nothing happened; or it may have, and the store cannot be read (`behind`).
        """
        await asyncio.shield(asyncio.ensure_future(self._rekey(keys, change)))

    async def catch_up(self) -> None:
        """Read the store again if that is owed.

        Raises:
            StoreUnavailable: it still cannot be read.
        """
        async with self.directory.lock:
            if self.behind:
                await self._reload()

    async def _edit(self, make: Make) -> Edited:
        async with self.directory.lock:
            if self.behind:
                await self._reload()
            edit = make(self.snapshot)
            if edit is None:
                return Edited(self.snapshot, Ending())
            try:
                await self.store.commit(edit)
            except (Stale, Taken):
                await self._reload_if_possible()  # the store knows more than we do, or it had not refused
                raise
            except Unavailable:
                await self._reload_if_possible()
                if self.behind or not _holds(self.registry, edit):
                    raise
            else:
                self.directory.apply(with_puts(self.registry, edit.puts), edit.puts)
            return Edited(self.snapshot, self.cutting.last)  # whoever follows the directory cut it off

    async def _rekey(self, keys: Keys, change: Change) -> None:
        async with self.directory.lock:
            if self.behind:
                await self._reload()
            try:
                await self.store.rekey(keys, change)
            except Unavailable:
                await self._reload_if_possible()
                if self.behind or self.store.key_id != keys.id:
                    raise

    async def _reload_if_possible(self) -> None:
        """Read the store; as long as that fails, nobody is let in, for a revocation may be missing here."""
        self.behind = True
        try:
            await self._reload()
        except Unavailable as error:
            self.directory.apply(replace(self.registry, uncertain=True), ())
            log.error("what operators made cannot be read, so nobody is let in: %s", error.message)

    async def _reload(self) -> None:
        before, loaded = self.registry, await self.store.load()
        self.behind = False
        for row in sorted(set(loaded.damaged) - set(before.damaged)):
            log.error("ALARM: the stored row of %s was changed outside of the gateway; it is not used", row)
        self.directory.renew(loaded)
        if before.uncertain and not loaded.uncertain:
            log.info("what operators made was read again")


def _holds(registry: Registry, edit: Edit) -> bool:
    """Tell whether an edit is in the registry: it was committed, and only the word of it was lost."""
    return bool(edit.puts) and with_puts(registry, edit.puts) == registry
