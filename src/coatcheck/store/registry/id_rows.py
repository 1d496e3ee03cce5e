"""The rows that keep the UUIDs of declared servers, each with its MAC.

A grant reaches a UUID, and a disabled server is one, so who could give a name the UUID of another would widen
grants. Each row has a MAC, and all are part of the whole that the registry watches over.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update

from coatcheck.core.sealing.keys import Keys, Purpose
from coatcheck.core.sealing.row_macs import row_fits, row_mac
from coatcheck.store.registry.whole import Sum, sum_of
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
        mac = self.mac(name.casefold(), name, uuid)
        writing.execute(insert(server_id).values(folded=name.casefold(), name=name, uuid=uuid, mac=mac))
        return sum_of([mac])

    def adopt(self, writing: Connection) -> Sum:
        """Take what is there as ours, and return what it adds to the whole: the store had no key so far."""
        macs: list[str] = []
        for folded, name, uuid, _, _ in list(self.read(writing)):
            macs.append(self.mac(folded, name, uuid))
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

    def mac(self, folded: str, name: str, uuid: UUID) -> str:
        """Return the MAC that a row has under this key."""
        return row_mac(self._mac_key, server_id.name, _covered(folded, name, uuid), self._key_id)


def called(name: str) -> str:
    """Return what to call a row in messages; nothing in it can be relied on."""
    return f"id of server {name[:200]}"


def _covered(folded: str, name: str, uuid: UUID) -> dict[str, str | int | None]:
    return {"folded": folded, "name": name, "uuid": str(uuid)}
