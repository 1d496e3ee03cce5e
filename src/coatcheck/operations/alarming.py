"""Telling people of alarms about the record, who do not read the log of the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from coatcheck.ports import Notifier

LOOK_EVERY: Final = 2.0


class Alarming:
    """Looks at the alarms, and tells of each once for as long as it stands."""

    def __init__(self, alarms: Callable[[], Sequence[str]]) -> None:
        self._alarms = alarms
        self._told: frozenset[str] = frozenset()

    async def run(self, notifier: Notifier) -> None:
        """Look time and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self.look(notifier)

    def look(self, notifier: Notifier) -> list[str]:
        """Tell what is new, and return it."""
        found = self._alarms()
        fresh = [alarm for alarm in found if alarm not in self._told]
        self._told = frozenset(found)
        if fresh:
            lines = ("Coatcheck, ALARM about the record:", *(f"- {alarm}" for alarm in fresh))
            notifier.notify("\n".join((*lines, "See: coatcheck doctor")))
        return fresh
