"""Taking the registry as it is, after somebody changed it outside of the gateway and an operator looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.app.unsealing.opening import unseal
from coatcheck.config import Config
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.store.opening import open_database


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was damaged, and which rows of that were removed."""

    damaged: tuple[str, ...]
    removed: tuple[str, ...]


async def accept_damage(config: Config, environment: Mapping[str, str], because: str) -> Accepted:
    """Remove the damaged rows and take the rest as the whole; on record. No gateway may run on the store.

    Raises:
        ConfigError: the store is in use, or cannot be opened with the key there is.
        StoreUnavailable: nothing was changed.
    """
    entropy, clock = SystemEntropy(), SystemClock()
    database = open_database(config.data, config.database)
    try:
        _, store = await unseal(database, config.data, environment, entropy)
        damaged = (await store.load()).damaged
        if not damaged:
            return Accepted((), ())
        change = Change(
            UUID(bytes=entropy.token(16), version=4),
            clock.now(),
            LOCAL_ACTOR.name,
            LOCAL_ACTOR.role,
            "command",
            "registry.accept",
            ObjectKind.REGISTRY,
            "registry",
            "registry",
            because=because,
        )
        return Accepted(damaged, await store.accept(change))
    finally:
        database.close()
