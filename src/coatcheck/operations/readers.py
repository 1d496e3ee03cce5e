"""Puts on record who read the record: what was taken out of it each time, and looks at it now and then."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.errors import Unavailable
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.operations.registry.changes import Scribe
from coatcheck.ports import ChangeLog, Clock

log = logging.getLogger(__name__)

WINDOW: Final = 3600.0
"""Seconds within which one look of an operator stands for all of the same kind."""
MAX_LOOKS: Final = 1_000


class ReadKind(StrEnum):
    """How the record was read; the word is the action on record."""

    LIST = "record.read"
    ARGUMENTS = "record.read_arguments"
    RADIUS = "record.blast_radius"
    EXPORT = "record.export"
    EVIDENCE = "record.evidence"


_OFTEN: Final = frozenset({ReadKind.LIST, ReadKind.ARGUMENTS})


class Readers:
    """Notes who reads. What was noted within the window is kept in memory alone."""

    def __init__(self, changes: ChangeLog, scribe: Scribe, clock: Clock) -> None:
        self._changes = changes
        self._scribe = scribe
        self._clock = clock
        self._looks: OrderedDict[tuple[str, ReadKind], float] = OrderedDict()

    async def take(self, by: Actor, how: ReadKind, asked: Mapping[str, Any]) -> None:
        """Note that an operator takes something out of the record, before any of it is given.

        Raises:
            Unavailable: that cannot be put on record, so nothing is to be given.
        """
        what = (ObjectKind.RECORD, "chain", how.value.partition(".")[2])
        await self._changes.add(self._scribe.changed(by, how.value, what, None, _asked(asked)))

    async def look(self, by: Actor, how: ReadKind, asked: Mapping[str, Any]) -> None:
        """Note that an operator looks at the record; of looks at the list, one in a window stands for all.

        It goes on where that cannot be put on record: to find out why, one must be able to look.
        """
        key, now = (by.name, how), self._clock.monotonic()
        if how in _OFTEN and now - self._looks.get(key, float("-inf")) < WINDOW:
            return
        try:
            await self.take(by, how, asked)
            self._looks.pop(key, None)
            self._looks[key] = now
            if len(self._looks) > MAX_LOOKS:
                self._looks.popitem(last=False)
        except Unavailable as error:
            log.warning("%s reads the record, and that cannot be recorded: %s", by.name, error.message)


def _asked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked for, without what was not, fit for JSON."""
    return {name: _told(value) for name, value in asked.items() if value not in {None, False, ""}}


def _told(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value
