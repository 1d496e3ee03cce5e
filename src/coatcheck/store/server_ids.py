"""Gives declared servers their UUIDs at first sight, and keeps them for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection

from coatcheck.errors import ConfigError
from coatcheck.ports import Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.registry.sealing import Sealing


class Sealed(Protocol):
    """The registry, whose key may change."""

    @property
    def sealing(self) -> Sealing:
        """What follows from the key in force."""
        ...


class StoredServerIds:
    """Implements `ports.ServerIds`. Names that differ in case only are one server, as first spelt."""

    def __init__(self, database: Database, registry: Sealed, entropy: Entropy) -> None:
        self._database = database
        self._registry = registry
        self._entropy = entropy

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
        sealing = self._registry.sealing
        for name, key in folded.items():
            if key not in known:
                known[key] = uuid = UUID(bytes=self._entropy.token(16), version=4)
                sealing.whole.add(writing, sealing.ids.add(writing, name, uuid))
        return known

    def _known(self, reading: Connection) -> dict[str, UUID | None]:
        rows = self._registry.sealing.ids.read(reading)
        return {folded: uuid if fits else None for folded, _, uuid, _, fits in rows}


def _sound(name: str, uuid: UUID | None) -> UUID:
    if uuid is None:
        raise ConfigError(
            f"the stored UUID of the server {name} was changed outside of the gateway",
            fix="restore a backup, or take the store as it is: coatcheck migrate --accept-damage WHY",
        )
    return uuid
