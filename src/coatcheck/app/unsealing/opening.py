"""Opening the registry with the key there is, after a change of keys that broke off as well."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coatcheck.app.unsealing.key_files import FORMER, FilesOfKey
from coatcheck.app.unsealing.keys import KEY_FILE, MAKE_ONE, load_keys
from coatcheck.core.sealing.keys import Keys
from coatcheck.errors import ConfigError, Sealed
from coatcheck.ports import Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.registry.store import StoredRegistry, key_id_of, settled_key_id_of


async def unseal(
    database: Database, directory: Path, environment: Mapping[str, str], entropy: Entropy
) -> tuple[Keys, StoredRegistry]:
    """Return the keys and the registry that they open; a key is made for a store that has none yet.

    Raises:
        Sealed: the store belongs to a key that is not given; nothing was changed.
        ConfigError: the key for a new store cannot be read or made, or what is stored cannot be used.
        StoreUnavailable: the database cannot be read or written.
    """
    belongs_to = await database.read(key_id_of)
    files = FilesOfKey(directory, environment, entropy)
    if belongs_to is not None and files.has_next():
        belongs_to = str(await database.write(settled_key_id_of))
        files.settle(belongs_to)
    try:
        keys = load_keys(directory, environment, entropy, belongs_to)
    except ConfigError as error:
        if belongs_to is None:
            raise
        raise Sealed(error.message, fix=_fix_for(directory, belongs_to, error.fix)) from None
    try:
        return keys, await StoredRegistry.open(database, keys, entropy)
    except Sealed as error:
        raise Sealed(error.message, fix=_fix_for(directory, str(belongs_to), "")) from None


def _fix_for(directory: Path, id: str, otherwise: str) -> str:
    """Say where the right key is or belongs: one that is made anew opens nothing."""
    former, own = directory / f"{FORMER}{id}", directory / KEY_FILE
    if former.is_file():
        return f"the key {id} is kept in {former}: copy it to {own}"
    if otherwise and not otherwise.startswith(MAKE_ONE):
        return otherwise
    return f"the store belongs to the key {id}: put that into {own}, or where it was given; no other opens it"
