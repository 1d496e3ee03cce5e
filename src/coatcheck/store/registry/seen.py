"""When each grant was last used, from where and by which clients: beside the grants, and under no MAC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from coatcheck.model.grant import Seen
from coatcheck.store.engines.driver import without_surrogates
from coatcheck.store.tables import seen

CLIENTS: Final = 16
"""Clients kept of each grant, the last ones: a client can call itself anything, again and again."""

_MOST_CHARS: Final = 200
_AT_ONCE: Final = 500


def note_seen(writing: Connection, noted: Sequence[Seen]) -> None:
    """Keep the last use of each (grant, client); an older one changes nothing."""
    dialect: Any = postgresql if writing.dialect.name == "postgresql" else sqlite
    newest: dict[tuple[str, str], Seen] = {}
    for one in sorted(noted, key=lambda one: one.at):
        newest[one.grant_id, _plain(one.client)] = one
    upsert = dialect.insert(seen)
    upsert = upsert.on_conflict_do_update(
        index_elements=["grant_id", "client"],
        set_={"at": upsert.excluded.at, "address": upsert.excluded.address},
        where=upsert.excluded.at >= seen.c.at,
    )
    rows = [
        {"grant_id": grant, "client": client, "at": one.at, "address": _plain(one.address)}
        for (grant, client), one in newest.items()
    ]
    writing.execute(upsert, rows)
    for grant in sorted({one.grant_id for one in noted}):
        _forget_old(writing, grant)


def list_seen(reading: Connection, grant_ids: Sequence[str]) -> list[Seen]:
    """Return the last uses of these grants, newest first."""
    found: list[Seen] = []
    for start in range(0, len(grant_ids), _AT_ONCE):
        some = grant_ids[start : start + _AT_ONCE]
        rows = reading.execute(
            select(seen.c.grant_id, seen.c.at, seen.c.address, seen.c.client).where(seen.c.grant_id.in_(some))
        )
        found += [Seen(*row) for row in rows]
    found.sort(key=lambda one: one.at, reverse=True)
    return found


def last_uses(reading: Connection) -> dict[str, datetime]:
    """Return when each grant was last used, by any client."""
    rows = reading.execute(select(seen.c.grant_id, func.max(seen.c.at)).group_by(seen.c.grant_id))
    return {row[0]: row[1] for row in rows}


def _forget_old(writing: Connection, grant: str) -> None:
    kept = (
        select(seen.c.client)
        .where(seen.c.grant_id == grant)
        .order_by(seen.c.at.desc(), seen.c.client)
        .limit(CLIENTS)
    )
    clients = writing.execute(kept).scalars().all()
    if len(clients) == CLIENTS:
        writing.execute(delete(seen).where(seen.c.grant_id == grant, seen.c.client.not_in(clients)))


def _plain(text: str) -> str:
    return without_surrogates(text).replace("\x00", "")[:_MOST_CHARS]
