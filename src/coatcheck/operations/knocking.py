"""Telling people that a grant which has ended is still presented: somebody kept it, or found it."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from coatcheck.model.record import Record
from coatcheck.ports import Notifier

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 30.0
"""Seconds between two messages: what came in between is one."""
AGAIN: Final = 24 * 3600.0
"""Seconds after which the same knock is told again."""
MAX_KNOCKS: Final = 1_000
MOST_LINES: Final = 20

_Knock = tuple[str, str, str]
"""The grant's id, why it is refused, and the address."""


class Knocking:
    """Gathers knocks from the records of refusals, and tells of each once a day at most.

    What was told is kept in memory alone; beyond `MAX_KNOCKS` the oldest are forgotten, and told again then.
    """

    def __init__(self) -> None:
        self._fresh: OrderedDict[_Knock, None] = OrderedDict()
        self._told: OrderedDict[_Knock, float] = OrderedDict()

    def note(self, record: Record) -> None:
        """Take the record of a refused caller who presents what was good once. Never blocks."""
        self._fresh[record.grant_id, record.reason, record.client_ip] = None
        if len(self._fresh) > MAX_KNOCKS:
            self._fresh.popitem(last=False)

    async def run(self, notifier: Notifier) -> None:
        """Tell of what is new time and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                self.look(notifier, asyncio.get_running_loop().time())
            except Exception:
                log.exception("the notice about grants that knock could not be made")

    def look(self, notifier: Notifier, now: float) -> list[_Knock]:
        """Tell what is new by `now`, in monotonic seconds, and return it."""
        fresh = [knock for knock in self._fresh if now - self._told.get(knock, float("-inf")) >= AGAIN]
        self._fresh.clear()
        for knock in fresh:
            self._told.pop(knock, None)
            self._told[knock] = now
            if len(self._told) > MAX_KNOCKS:
                self._told.popitem(last=False)
        if fresh:
            notifier.notify(_message(fresh))
        return fresh


def _message(knocks: list[_Knock]) -> str:
    """Return one message; with too many lines, how many are left out."""
    lines = [
        f"- {grant}, which is refused ({reason}), was presented from {address or 'many addresses'}"
        for grant, reason, address in knocks[:MOST_LINES]
    ]
    if len(knocks) > MOST_LINES:
        lines.append(f"- and {len(knocks) - MOST_LINES} more")
    return "\n".join(("Coatcheck, grants that have ended:", *lines, "See: coatcheck logs --knocking"))
