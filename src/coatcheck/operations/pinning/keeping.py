"""Keeps in the store what was pinned and what changed since: one batch of a server in ten seconds.

However often a server changes its tools, no more is written, and of each tool only the last form.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from coatcheck.errors import CoatcheckError
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.operator import GATEWAY_ACTOR
from coatcheck.model.pin import Pin
from coatcheck.model.registry import Edit
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.pinning.pinning import MAX_PINS, Pinning
from coatcheck.operations.registry.desk import Desk, server_name_of

log = logging.getLogger(__name__)

EVERY_SECONDS: Final = 10.0
"""Between two batches of one server."""
MOST_WRITTEN: Final = 1_000
"""Tools in one batch."""
MOST_NAMED: Final = 20
"""Tools that are named in a record of the admin log and in a line of the log."""


class Keeping:
    """Writes what is not kept yet, soon after it was noted."""

    def __init__(self, desk: Desk, pinning: Pinning, every: float = EVERY_SECONDS) -> None:
        self._desk = desk
        self._pinning = pinning
        self._every = every
        self._writing: dict[UUID, asyncio.Task[None]] = {}
        pinning.wake = self.wake

    def wake(self, server_id: UUID) -> None:
        """Take note that there is something to be kept of a server. Never blocks."""
        if server_id not in self._writing:
            task = asyncio.get_running_loop().create_task(self._write_all(server_id))
            self._writing[server_id] = task

    async def close(self) -> None:
        """Write what is left, once, and end."""
        tasks = list(self._writing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server_id in self._pinning.servers():
            for _ in range(MAX_PINS // MOST_WRITTEN + 1):
                if not await self._write(server_id):
                    break

    async def _write_all(self, server_id: UUID) -> None:
        try:
            while self._pinning.unkept(server_id):
                await self._write(server_id)
                await asyncio.sleep(self._every)
        finally:
            del self._writing[server_id]

    async def _write(self, server_id: UUID) -> bool:
        """Write what is to be kept of a server; where the store takes nothing it stays for the next time.

        Tells whether there is more that can be written.
        """
        if not self._pinning.unkept(server_id):
            return False
        flagged: list[Pin] = []

        def make(snapshot: Snapshot) -> Edit | None:
            pins = self._pinning.unkept(server_id)[:MOST_WRITTEN]
            if not pins or snapshot.registry.uncertain:
                return None
            known = snapshot.registry.pins
            flagged[:] = [pin for pin in pins if is_flagged(pin) and not is_flagged(known.get(pin.key))]
            puts = tuple(replace(pin, version=pin.version + 1) for pin in pins)
            return Edit(puts, tuple(self._changes(snapshot, server_id, pins, flagged)))

        try:
            edited = await self._desk.book.edit(make)
        except CoatcheckError as error:
            log.warning("what servers changed of their tools cannot be kept: %s", error.message)
            return False
        if flagged:
            self._warn(server_name_of(edited.snapshot, server_id), flagged)
        return not edited.snapshot.registry.uncertain

    def _changes(
        self, snapshot: Snapshot, server_id: UUID, pins: Collection[Pin], flagged: Sequence[Pin]
    ) -> Iterator[Change]:
        """Yield records for the admin log: of what was pinned, and of what is flagged for the first time.

        A tool that is flagged already makes no other, so that a server cannot fill the log.
        """
        what = (ObjectKind.SERVER, str(server_id), server_name_of(snapshot, server_id))
        changed = self._desk.scribe.changed
        pinned = sum(not is_flagged(pin) for pin in pins)
        if pinned:
            yield changed(GATEWAY_ACTOR, "tools.pin", what, None, {"pinned": pinned})
        if flagged:
            yield changed(GATEWAY_ACTOR, "tools.flag", what, None, self._told(flagged))

    def _told(self, flagged: Sequence[Pin]) -> dict[str, Any]:
        tools = [
            {
                "name": pin.tool,
                "accepted": None if pin.new else pin.accepted.digest,
                "listed": (pin.pending or pin.accepted).digest,
                "quarantined": self._pinning.is_held(pin),
            }
            for pin in flagged[:MOST_NAMED]
        ]
        return {"flagged": len(flagged), "tools": tools}

    def _warn(self, server: str, flagged: Sequence[Pin]) -> None:
        log.warning(
            "the server %s changed or added %d tools, of which %d are hidden until they are accepted: %s "
            "(coatcheck server review %s)",
            server,
            len(flagged),
            sum(map(self._pinning.is_held, flagged)),
            ", ".join(pin.tool for pin in flagged[:MOST_NAMED]),
            server,
        )


def is_flagged(pin: Pin | None) -> bool:
    """Tell whether a pin waits for an operator."""
    return pin is not None and pin.ended_at is None and (pin.new or pin.pending is not None)
