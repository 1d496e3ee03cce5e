"""The browser sessions in the database: few, short-lived, and proven by their tokens rather than by a MAC."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from coatcheck.model.browser import BrowserSession, Way, Whose
from coatcheck.store.columns import micros_of, time_of
from coatcheck.store.engines.database import Database
from coatcheck.store.engines.driver import without_surrogates
from coatcheck.store.tables import browser_session

log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
_MOST_CHARS: Final = 200
_TIMES: Final = ("created_at", "until", "seen_at", "verified_at")
_BY_AGE: Final = (browser_session.c.created_at, browser_session.c.id)


class StoredBrowsers:
    """Implements `ports.BrowserStore` on a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[BrowserSession]:
        """Return all that can be read, oldest first; others are removed, and the log counts them."""
        found = await self._database.read(_all)
        sessions = [session for _, session in found if session is not None]
        damaged = [id for id, session in found if session is None]
        if damaged:
            log.error("%d browser sessions were changed outside of the gateway; they are over", len(damaged))
            await self.end(damaged)
        return sessions

    async def add(self, session: BrowserSession, instead_of: Collection[str] = ()) -> None:
        """Keep a session and remove others, in one transaction."""
        row = _row_of(session)

        def write(writing: Connection) -> None:
            _remove(writing, instead_of)
            writing.execute(insert(browser_session), row)

        await self._database.write(write)

    async def note(self, seen: Mapping[str, datetime]) -> None:
        """Keep when sessions were last used."""
        if not seen:
            return
        rows = [{"key": id, "at": micros_of(at)} for id, at in seen.items()]
        noted = update(browser_session).where(browser_session.c.id == bindparam("key"))
        noted = noted.values(seen_at=bindparam("at"))
        await self._database.write(lambda writing: _execute(writing, noted, rows))

    async def end(self, ids: Collection[str]) -> None:
        """Remove sessions."""
        if ids:
            await self._database.write(lambda writing: _remove(writing, ids))


def _all(reading: Connection) -> list[tuple[str, BrowserSession | None]]:
    rows = reading.execute(select(browser_session).order_by(*_BY_AGE)).mappings()
    return [(row["id"], _session_of(dict(row))) for row in rows]


def _execute(writing: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    writing.execute(statement, rows)


def _remove(writing: Connection, ids: Collection[str]) -> None:
    some = list(ids)
    for start in range(0, len(some), _AT_ONCE):
        writing.execute(
            delete(browser_session).where(browser_session.c.id.in_(some[start : start + _AT_ONCE]))
        )


def _row_of(session: BrowserSession) -> dict[str, Any]:
    row = {name: getattr(session, name) for name in BrowserSession.__slots__}
    row |= {name: micros_of(row[name]) for name in _TIMES}
    row |= {"whose": session.whose.value, "how": session.how.value}
    return row | {"address": _plain(session.address), "agent": _plain(session.agent)}


def _session_of(fields: dict[str, Any]) -> BrowserSession | None:
    texts = [value for name, value in fields.items() if name not in _TIMES]
    if not all(isinstance(value, str) for value in texts):
        return None
    try:
        fields |= {name: time_of(fields[name]) for name in _TIMES}
        return BrowserSession(**fields | {"whose": Whose(fields["whose"]), "how": Way(fields["how"])})
    except (TypeError, ValueError, OverflowError):  # what nobody here wrote
        return None


def _plain(text: str) -> str:
    """Return a text that every database holds; browsers say themselves what they are called."""
    return without_surrogates(text).replace("\x00", "")[:_MOST_CHARS]
