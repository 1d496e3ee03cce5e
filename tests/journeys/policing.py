"""Puts policies and what they are used on into the store of a gateway, before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coatcheck.app.unsealing.opening import unseal
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.model.registry import Object
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from coatcheck.store.opening import open_database
from ledgers import START
from registered import SystemEntropy, an_edit


def keep(folder: Path, *objects: Object) -> None:
    """Put objects into the store of a gateway that does not run."""

    async def put() -> None:
        database = open_database(folder, None)
        try:
            _, store = await unseal(database, folder, {}, SystemEntropy())
            await store.commit(an_edit(list(objects)))
        finally:
            database.close()

    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(put())


def on_roles(documents: Mapping[str, Mapping[str, Any]]) -> list[Object]:
    """Return policies, each used on the role of its name."""
    found: list[Object] = []
    for name, document in documents.items():
        plain = {"coatcheck": 1, "name": name, "default": "allow-all", **document}
        found.append(StoredPolicy(name, read_policy(plain), START, "ann"))
        found.append(PolicyUse(name, UseKind.ROLE, name, START, "ann"))
    return found
