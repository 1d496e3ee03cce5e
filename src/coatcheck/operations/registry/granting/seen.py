"""When and by what grants are used: noted in memory on every call, kept every few seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from coatcheck.errors import Unavailable
from coatcheck.model.grant import Seen
from coatcheck.ports import Clock, RegistryStore

MAX_CLIENTS: Final = 20
"""Clients that are remembered of one grant; clients say themselves what they are called."""
MAX_CLIENT_CHARS: Final = 100
MAX_WAITING: Final = 50_000
"""Uses that may wait to be kept while the store cannot be written; the oldest are forgotten first."""


class SeenBook:
    """Last uses by (grant, client). `note` is cheap; `flush` is called every few seconds and at the end."""

    def __init__(self, store: RegistryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[tuple[str, str], Seen] = {}

    def note(self, grant_id: str, address: str, client: str) -> None:
        """Take note that a grant was used. `client` is name and version as the client gave them, or empty."""
        shown = client[:MAX_CLIENT_CHARS]
        if not shown.isprintable():
            shown = "".join(char for char in shown if char.isprintable())
        key = (grant_id, shown)
        self._waiting.pop(key, None)  # so that what was used last stands last
        self._waiting[key] = Seen(grant_id, self._clock.now(), address, shown)
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]

    async def flush(self) -> None:
        """Keep what was noted since the last time.

        Raises:
            StoreUnavailable: nothing is lost; it is kept the next time.
        """
        if not self._waiting:
            return
        kept, self._waiting = self._waiting, {}
        try:
            await self._store.note_seen(list(kept.values()))
        except Unavailable:
            self._waiting = {**kept, **self._waiting}
            raise

    async def of(self, grant_ids: Sequence[str]) -> dict[str, tuple[Seen, ...]]:
        """Return the last uses of grants by each client, newest first, those that wait among them.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        wanted = set(grant_ids)
        if not wanted:
            return {}
        kept = await self._store.list_seen(list(wanted))
        waiting = [seen for (grant_id, _), seen in self._waiting.items() if grant_id in wanted]
        return _by_grant([*kept, *waiting])

    async def last_uses(self) -> dict[str, datetime]:
        """Return when each grant was last used; those that never were are not in it.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        kept = dict(await self._store.last_uses())
        for (grant_id, _), seen in self._waiting.items():
            kept[grant_id] = max(kept.get(grant_id, seen.at), seen.at)
        return kept


def _by_grant(seen: Iterable[Seen]) -> dict[str, tuple[Seen, ...]]:
    newest: dict[tuple[str, str], Seen] = {}
    for one in seen:
        before = newest.get((one.grant_id, one.client))
        if before is None or before.at <= one.at:
            newest[one.grant_id, one.client] = one
    found: dict[str, list[Seen]] = {}
    for one in sorted(newest.values(), key=lambda one: one.at, reverse=True):
        of_grant = found.setdefault(one.grant_id, [])
        if len(of_grant) < MAX_CLIENTS:
            of_grant.append(one)
    return {grant_id: tuple(uses) for grant_id, uses in found.items()}
