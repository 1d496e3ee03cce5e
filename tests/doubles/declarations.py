"""A file that people edit and the UUIDs of its servers, both in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

from coatcheck.errors import CoatcheckError, ConfigError, Unavailable
from coatcheck.model.declaration import Declaration


class EditedFile:
    """Implements `ports.Declarations`: `edit` writes, `read` gives what was written last or raises it."""

    def __init__(self, content: Declaration | ConfigError) -> None:
        self._content: Declaration | ConfigError = content
        self._changed = False
        self.read_times = 0

    def edit(self, content: Declaration | ConfigError) -> None:
        self._content = content
        self._changed = True

    def changed(self) -> bool:
        return self._changed

    def read(self) -> Declaration:
        self.read_times += 1
        self._changed = False
        if isinstance(self._content, ConfigError):
            raise self._content
        return self._content


class MemoryServerIds:
    """Implements `ports.ServerIds`. Set `failing` to make it raise; while `held`, it does not return."""

    def __init__(self) -> None:
        self.failing: CoatcheckError | None = None
        self.ids: dict[str, UUID] = {}
        self._let_go = asyncio.Event()
        self._let_go.set()

    def hold(self) -> None:
        self._let_go.clear()

    def let_go(self) -> None:
        self._let_go.set()

    async def assign(self, names: Sequence[str]) -> Mapping[str, UUID]:
        await self._let_go.wait()
        if self.failing is not None:
            raise self.failing
        for name in names:
            self.ids.setdefault(name, UUID(int=len(self.ids) + 1, version=4))
        return {name: self.ids[name] for name in names}


FULL = Unavailable("the disk is full")
