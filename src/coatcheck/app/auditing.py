"""The key that checkpoints are signed with, and the file that they go to, of a gateway."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from coatcheck.app.keeping.proof import open_regular
from coatcheck.app.unsealing.keys import reading, text_in, write_key
from coatcheck.audit.checkpoint_file import CheckpointFile
from coatcheck.config import Config
from coatcheck.core.recording.notes import SEED_BYTES, Broken, PublicKey, SigningKey
from coatcheck.core.sealing.keys import read_key
from coatcheck.errors import ConfigError
from coatcheck.operations.checkpointing import Checkpointing
from coatcheck.ports import Clock, Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.opening import open_to_read
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.verifying import StoredChain, Unreadable

KEY_FILE: Final = "audit.key"
CHECKPOINTS_FILE: Final = "checkpoints.log"
_MOST_KEYS: Final = 64 * 1024


def key_path(config: Config) -> Path:
    """Return where the signing key is: where the setting says, or in the data directory."""
    return config.audit_key or config.data / KEY_FILE


def checkpoints_path(config: Config) -> Path:
    """Return the file of checkpoints: where the setting says, or in the data directory."""
    return config.checkpoints or config.data / CHECKPOINTS_FILE


def seed_in(path: Path, *, foreign: bool = False) -> bytes:
    """Return the signing key's seed.

    Raises:
        ConfigError: the file cannot be read, is open to others, or holds no key.
    """
    try:
        return read_key(text_in(path, foreign=foreign))
    except ValueError as error:
        raise ConfigError(
            f"the key file {path} holds no key that can be used: it {error}",
            fix="put the right one there; without it, move the file away, and a new one is made",
        ) from None


def seed_of(config: Config, entropy: Entropy) -> bytes:
    """Return the seed; at first start, one is made. It follows from no other key.

    Raises:
        ConfigError: as `seed_in`.
    """
    path = key_path(config)
    if not os.path.lexists(path):
        reading(path, lambda: write_key(path, entropy.token(SEED_BYTES).hex()))
    return seed_in(path, foreign=config.audit_key is not None)


async def checkpointing_of(
    config: Config, database: Database, clock: Clock, entropy: Entropy
) -> Checkpointing:
    """Return the signing of checkpoints, once it has compared the store with those of before.

    Raises:
        ConfigError: the key cannot be used.
        StoreUnavailable: the store cannot be read.
    """
    seed = seed_of(config, entropy)
    outside = CheckpointFile(checkpoints_path(config), clock)
    signing = Checkpointing(
        StoredCheckpoints(database), outside, lambda log: SigningKey(log, seed), clock, old_keys(config)
    )
    await signing.begin()
    return signing


def old_keys(config: Config) -> list[PublicKey]:
    """Return the public keys that signed before the one there is, from the file beside it (`audit.key.old`).

    Raises:
        ConfigError: the file cannot be read, or a line of it holds no key.
    """
    path = key_path(config)
    path = path.with_name(f"{path.name}.old")
    if not os.path.lexists(path):
        return []
    found = reading(path, path.stat)
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"other users may write to {path}: whoever does could sign the record",
            fix=f"chmod go-w {path}",
        )
    return public_keys_in(path)


def public_keys_in(path: Path) -> list[PublicKey]:
    """Return the public keys of a file, one a line.

    Raises:
        ConfigError: the file cannot be read, or a line of it holds no key.
    """
    try:
        with open_regular(path) as file:
            lines = file.read(_MOST_KEYS).decode("ascii", "replace").splitlines()
        return [PublicKey.read(line) for line in lines if line.strip()]
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", fix="name a file of public keys"
        ) from None
    except Broken as error:
        raise ConfigError(f"a line of {path} {error}", fix="`coatcheck audit key` prints them") from None


def own_keys(config: Config) -> list[PublicKey]:
    """Return the public keys of a store: its own and those before; none if its chain cannot be read.

    Raises:
        ConfigError: there is no key or no store, or one of the files cannot be read.
    """
    seed = seed_in(key_path(config), foreign=config.audit_key is not None)
    try:
        log = _log_of(config)
    except Unreadable:
        return []
    return [SigningKey(log, seed).public, *old_keys(config)]


def public_key(config: Config) -> PublicKey:
    """Return the public half of the signing key, for the log of the store.

    Raises:
        ConfigError: there is no key or no store, or one of them cannot be read.
    """
    seed = seed_in(key_path(config), foreign=config.audit_key is not None)
    try:
        return SigningKey(_log_of(config), seed).public
    except Unreadable as error:
        raise ConfigError(
            f"the chain cannot be read: {error}", fix="run `coatcheck audit verify`, which says what is wrong"
        ) from None


def _log_of(config: Config) -> str:
    database = open_to_read(config.data, config.database)
    try:
        return StoredChain(database).standing().beginning.log
    finally:
        database.close()
