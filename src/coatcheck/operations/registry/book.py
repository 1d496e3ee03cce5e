"""The one writer of the registry: judge by what is in force, make durable, publish, cut off what ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from coatcheck.model.registry import Edit, Registry
from coatcheck.operations.cutting import Cutting, Ending
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.merging import with_puts
from coatcheck.ports import RegistryStore

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

        Raises:
            CoatcheckError: whatever `make` raises; nothing happened then.
            Stale, Taken, StoreUnavailable: as `RegistryStore.commit`; nothing happened.
        """
        return await asyncio.shield(asyncio.ensure_future(self._edit(make)))

    async def _edit(self, make: Make) -> Edited:
        async with self.directory.lock:
            edit = make(self.snapshot)
            if edit is None:
                return Edited(self.snapshot, Ending())
            await self.store.commit(edit)
            registry = with_puts(self.registry, edit.puts)
            self.directory.apply(registry, edit.puts)  # whoever follows it cuts off what ended
            return Edited(self.snapshot, self.cutting.last)
