"""The bytes of a backup of the store, made in a file of its own and then sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from coatcheck import __version__
from coatcheck.config import Config
from coatcheck.errors import Unfit
from coatcheck.ports import Clock
from coatcheck.store.backup import PG_DUMP, back_up

_CHUNK: Final = 256 * 1024


async def backup_of(config: Config, clock: Clock) -> AsyncIterator[bytes]:
    """Return the bytes of a backup as of now, which was made when this returns.

    Raises:
        Unfit: the database is on a server, which has backups of its own.
        ConfigError: the backup cannot be written.
    """
    if config.database is not None:
        raise Unfit(PG_DUMP)
    with TemporaryDirectory(prefix=".backup-", dir=config.data) as folder:
        path = Path(folder) / "backup"
        await asyncio.to_thread(back_up, config.data, path, now=clock.now(), version=__version__)
        file = path.open("rb")  # which outlives its name
    return _chunks(file)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
