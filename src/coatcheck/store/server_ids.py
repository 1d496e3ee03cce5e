"""The UUIDs of declared servers, given at first sight and kept for good.

A grant reaches a UUID, and a disabled server is one, so who could give a name the UUID of another would widen
grants. Each row has a MAC, and all are part of the whole that the registry watches over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from coatcheck.core.keys import Keys, Purpose
from coatcheck.core.row_macs import row_fits, row_mac
from coatcheck.errors import ConfigError
from coatcheck.ports import Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.registry.whole import Sum, WholeSum, sum_of
from coatcheck.store.tables import server_id


class IdRows:
    """The rows, checked and made."""

    def __init__(self, keys: Keys) -> None:
        self._mac_key = keys.of(Purpose.ROW_MAC)
        self._key_id = keys.id

    def read(self, reading: Connection) -> Iterator[tuple[str, str, UUID, str, bool]]:
        """Yield each row: folded name, name, UUID, MAC, and whether that fits."""
        columns = server_id.c
        for folded, name, uuid, mac in reading.execute(
            select(columns.folded, columns.name, columns.uuid, columns.mac)
        ):
            covered = _covered(folded, name, uuid)
            fits = row_fits(self._mac_key, server_id.name, covered, self._key_id, mac or "")
            yield folded, name, uuid, mac or "", fits

    def add(self, writing: Connection, name: str, uuid: UUID) -> Sum:
        """Keep the UUID of a name, and return what this adds to the whole."""
        mac = self._mac(name.casefold(), name, uuid)
        writing.execute(insert(server_id).values(folded=name.casefold(), name=name, uuid=uuid, mac=mac))
        return sum_of([mac])

    def adopt(self, writing: Connection) -> Sum:
        """Take what is there as ours, and return what it adds to the whole: the store had no key so far."""
        macs: list[str] = []
        for folded, name, uuid, _, _ in list(self.read(writing)):
            macs.append(self._mac(folded, name, uuid))
            writing.execute(update(server_id).where(server_id.c.folded == folded).values(mac=macs[-1]))
        return sum_of(macs)

    def remove_damaged(self, writing: Connection) -> tuple[list[str], list[str]]:
        """Remove rows whose MAC does not fit; return what they are called, and the MACs of the others."""
        removed: list[str] = []
        macs: list[str] = []
        for folded, name, _, mac, fits in list(self.read(writing)):
            if fits:
                macs.append(mac)
            else:
                removed.append(called(name))
                writing.execute(delete(server_id).where(server_id.c.folded == folded))
        return removed, macs

    def _mac(self, folded: str, name: str, uuid: UUID) -> str:
        return row_mac(self._mac_key, server_id.name, _covered(folded, name, uuid), self._key_id)


def called(name: str) -> str:
    """Return what to call a row in messages; nothing in it can be relied on."""
    return f"id of server {name[:200]}"


def _covered(folded: str, name: str, uuid: UUID) -> dict[str, str | int | None]:
    return {"folded": folded, "name": name, "uuid": str(uuid)}


class StoredServerIds:
    """Implements `ports.ServerIds`. Names that differ in case only are one server, as first spelt."""

    def __init__(self, database: Database, keys: Keys, entropy: Entropy) -> None:
        self._database = database
        self._entropy = entropy
        self._rows = IdRows(keys)
        self._whole = WholeSum(keys.of(Purpose.ROW_MAC), keys.id)

    async def assign(self, names: Sequence[str]) -> Mapping[str, UUID]:
        """Return the UUID of each name, making and storing those never seen before.

        Raises:
            ConfigError: the stored UUID of a name was changed outside of the gateway.
            StoreUnavailable: the database cannot be written; no name got a UUID.
        """
        folded = {name: name.casefold() for name in names}
        known = await self._database.read(self._known)
        if not set(folded.values()) <= known.keys():
            known = await self._database.write(lambda writing: self._add_missing(writing, folded))
        return {name: _sound(name, known[key]) for name, key in folded.items()}

    def _add_missing(self, writing: Connection, folded: Mapping[str, str]) -> dict[str, UUID | None]:
        known = self._known(writing)
        for name, key in folded.items():
            if key not in known:
                known[key] = uuid = UUID(bytes=self._entropy.token(16), version=4)
                self._whole.add(writing, self._rows.add(writing, name, uuid))
        return known

    def _known(self, reading: Connection) -> dict[str, UUID | None]:
        return {folded: uuid if fits else None for folded, _, uuid, _, fits in self._rows.read(reading)}


def _sound(name: str, uuid: UUID | None) -> UUID:
    if uuid is None:
        raise ConfigError(
            f"the stored UUID of the server {name} was changed outside of the gateway",
            fix="restore a backup, or take the store as it is: coatcheck migrate --accept-damage WHY",
        )
    return uuid
