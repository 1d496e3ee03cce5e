"""The UUIDs of declared servers, given at first sight and kept for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, insert, select

from coatcheck.ports import Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.tables import server_id


class StoredServerIds:
    """Implements `ports.ServerIds`. Names that differ in case only are one server, as first spelt."""

    def __init__(self, database: Database, entropy: Entropy) -> None:
        self._database = database
        self._entropy = entropy

    async def assign(self, names: Sequence[str]) -> Mapping[str, UUID]:
        """Return the UUID of each name, making and storing those never seen before.

        Raises:
            StoreUnavailable: the database cannot be written; no name got a UUID.
        """
        folded = {name: name.casefold() for name in names}
        known = await self._database.read(_all)
        if not set(folded.values()) <= known.keys():
            known = await self._database.write(lambda writing: self._add_missing(writing, folded))
        return {name: known[key] for name, key in folded.items()}

    def _add_missing(self, connection: Connection, folded: Mapping[str, str]) -> dict[str, UUID]:
        known = _all(connection)
        for name, key in folded.items():
            if key not in known:
                known[key] = UUID(bytes=self._entropy.token(16), version=4)
                connection.execute(insert(server_id).values(folded=key, name=name, uuid=known[key]))
        return known


def _all(connection: Connection) -> dict[str, UUID]:
    rows = connection.execute(select(server_id.c.folded, server_id.c.uuid))
    return {folded: uuid for folded, uuid in rows}  # noqa: C416  # rows are no pairs to the type checker
