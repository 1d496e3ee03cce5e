"""Backups of a data directory's database: one private file, checked before anything is restored from it.

A backup is a tar archive, compressed, of `metadata.json` and the database. It holds no key: what is sealed in
it stays sealed. A database on a PostgreSQL server is saved with that server's own `pg_dump`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from coatcheck.errors import ConfigError
from coatcheck.store import schema
from coatcheck.store.engines.directory import (
    DATABASE_FILE,
    LOCK_FILE,
    DirectoryLock,
    create_private,
    prepare,
    sync,
)
from coatcheck.store.engines.elsewhere import require_here
from coatcheck.store.engines.sqlite_connection import connect, copy_to
from coatcheck.store.faults import explain

FORMAT: Final = 1
METADATA: Final = "metadata.json"
MAY_BE_THERE: Final = frozenset({LOCK_FILE, "coatcheck.key", "audit.key", "coatcheck.toml", "servers.json"})
"""What a directory may hold that a backup is restored into: what people put there, nothing of a gateway."""
FORMER_KEY: Final = "coatcheck.key.former-"
"""What the name of a key of before begins with, which such a directory may hold as well."""

_CHUNK: Final = 1024 * 1024
_MOST_METADATA: Final = 64 * 1024

PG_DUMP: Final = (
    "the database is on a PostgreSQL server: save it with pg_dump, and restore it with pg_restore"
)


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What a backup says of itself. `key_id` names the key it needs; empty if nothing was sealed yet."""

    made_at: str
    version: str
    """Of Coatcheck."""
    revision: str
    key_id: str
    size: int
    """Of the database, in bytes."""
    sha256: str
    """Of the database."""
    format: int = FORMAT


def back_up(directory: Path, destination: Path, *, now: datetime, version: str) -> BackupFacts:
    """Write a backup as of one moment, whether a gateway runs on the directory or not.

    Raises:
        ConfigError: there is no database, it cannot be read, or the destination exists or cannot be written.
    """
    require_here(directory)
    path = directory.expanduser().absolute() / DATABASE_FILE
    if not path.is_file():
        raise ConfigError(f"there is no database in {path.parent}", fix=f"name another --data; {PG_DUMP}")
    if os.path.lexists(destination):
        raise ConfigError(f"{destination} exists already", fix="name a file that is not there yet")
    copy = destination.with_name(f".{destination.name}.database")
    part = destination.with_name(f".{destination.name}.part")
    try:
        copy_to(path, copy)
        facts = _facts_of(copy, now, version)
        create_private(part)
        with part.open("wb") as file:
            _pack(file, copy, facts)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, destination)  # unlike a rename, this never replaces what came there meanwhile
        sync(destination.parent)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"the backup {destination} cannot be written: {explain(error)}",
            fix="see that the folder exists and has room for twice the database",
        ) from None
    finally:
        copy.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return facts


def read_facts(backup: Path) -> BackupFacts:
    """Return what a backup says of itself, without reading the rest.

    Raises:
        ConfigError: it is no backup of ours, or its beginning is damaged.
    """
    with _opened(backup) as archive:
        return _facts_in(archive, backup)


def restore(backup: Path, directory: Path, *, key_id: str | None) -> BackupFacts:
    """Put a backup's database into a data directory that has none, whole or not at all.

    `key_id` is that of the key the gateway will have; None if there is none yet. A backup of an older
    schema is migrated at the next start.

    Raises:
        DirectoryLocked: a gateway runs on the directory.
        ConfigError: the directory is not empty, the backup is damaged, of a newer schema, or needs another
            key. Nothing was changed.
    """
    facts = read_facts(backup)
    _require_fit(facts, backup, key_id)
    home = directory.expanduser().absolute()
    _require_empty(home)
    prepare(home)
    lock = DirectoryLock.take(home)
    part = home / f".{DATABASE_FILE}.restored"
    try:
        _require_empty(home)
        create_private(part)
        _unpack(backup, part, facts)
        _require_whole(part, backup, facts)
        _sign_out(part)
        part.replace(home / DATABASE_FILE)
        sync(home)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"the backup cannot be restored into {home}: {explain(error)}", fix="see that the disk has room"
        ) from None
    finally:
        part.unlink(missing_ok=True)
        lock.release()
    return facts


def _sign_out(database: Path) -> None:
    """Leave the browser sessions out: those that ended since the backup was made must not come back."""
    with closing(connect(database)) as connection, connection:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'browser_session'").fetchone()
        if found is not None:
            connection.execute("DELETE FROM browser_session")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# --- writing -------------------------------------------------------------------------------------------


def _facts_of(copy: Path, now: datetime, version: str) -> BackupFacts:
    with closing(connect(copy, read_only=True)) as connection:
        (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            raise ConfigError(
                "the database is damaged, so no backup was written", fix="restore an earlier backup"
            )
        revision, key_id = _revision_in(connection), _key_id_in(connection)
    digest = hashlib.sha256()
    with copy.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    made_at = now.isoformat(timespec="seconds")
    return BackupFacts(made_at, version, revision, key_id, copy.stat().st_size, digest.hexdigest())


def _pack(file: IO[bytes], copy: Path, facts: BackupFacts) -> None:
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        text = json.dumps(asdict(facts), indent=1).encode("ascii")
        for name, size in ((METADATA, len(text)), (DATABASE_FILE, facts.size)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = size, 0o600
            if name == METADATA:
                archive.addfile(entry, io.BytesIO(text))
            else:
                with copy.open("rb") as source:
                    archive.addfile(entry, source)


# --- reading -------------------------------------------------------------------------------------------


@contextmanager
def _opened(backup: Path) -> Iterator[tarfile.TarFile]:
    """Read an archive as a stream; every way in which its content can be broken is one error."""
    try:
        file = backup.open("rb")
    except OSError as error:
        raise ConfigError(
            f"the backup {backup} cannot be read: {error.strerror}", fix="name the file that was written"
        ) from None
    try:
        with file, tarfile.open(fileobj=file, mode="r|gz") as archive:
            yield archive
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError, LookupError, TypeError):
        raise _damaged(backup) from None


def _facts_in(archive: tarfile.TarFile, backup: Path) -> BackupFacts:
    form = json.loads(_next(archive, METADATA).read(_MOST_METADATA))
    if form["format"] != FORMAT:
        raise ConfigError(
            f"the backup {backup} was made by a newer version of Coatcheck", fix="install that version"
        )
    facts = BackupFacts(**form)
    kinds = {name: type(value) for name, value in asdict(facts).items()}
    if any(kinds[name] is not (int if name in {"size", "format"} else str) for name in kinds):
        raise TypeError
    return facts


def _next(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    entry = archive.next()
    file = archive.extractfile(entry) if entry is not None and entry.isreg() and entry.name == name else None
    if file is None:
        raise KeyError(name)
    return file


def _unpack(backup: Path, part: Path, facts: BackupFacts) -> None:
    digest, left = hashlib.sha256(), facts.size
    with _opened(backup) as archive, part.open("wb") as file:
        if _facts_in(archive, backup) != facts:
            raise ValueError
        source = _next(archive, DATABASE_FILE)
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ValueError
            digest.update(chunk)
            file.write(chunk)
        if left or digest.hexdigest() != facts.sha256:
            raise ValueError
        file.flush()
        os.fsync(file.fileno())


def _damaged(backup: Path) -> ConfigError:
    return ConfigError(
        f"{backup} is no backup of Coatcheck, or it is damaged",
        fix="use another copy of it; nothing was changed",
    )


# --- judging -------------------------------------------------------------------------------------------


def _require_fit(facts: BackupFacts, backup: Path, key_id: str | None) -> None:
    schema.is_older(facts.revision or None, f"in {backup}")
    if facts.key_id and facts.key_id != key_id:
        given = f"the key given is {key_id}" if key_id else "none is given"
        raise ConfigError(
            f"the backup {backup} needs the key {facts.key_id}, and {given}",
            fix="put the key that belongs to it (after a change of keys: coatcheck.key.former-"
            f"{facts.key_id}) into coatcheck.key in the data directory first",
        )


def _require_empty(home: Path) -> None:
    names = {entry.name for entry in home.iterdir()} - MAY_BE_THERE if home.is_dir() else set()
    there = sorted(name for name in names if not name.startswith(FORMER_KEY))
    if there:
        raise ConfigError(
            f"{home} is not empty: it holds {', '.join(there[:3])}",
            fix="restore into a directory that is empty but for the key and the files you wrote",
        )


def _require_whole(part: Path, backup: Path, facts: BackupFacts) -> None:
    try:
        with closing(connect(part, read_only=True)) as connection:
            (problem,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            found = (_revision_in(connection), _key_id_in(connection))
    except sqlite3.DatabaseError:
        raise _damaged(backup) from None
    if (problem, mark) != ("ok", schema.APPLICATION_ID) or found != (facts.revision, facts.key_id):
        raise _damaged(backup)


def _revision_in(connection: sqlite3.Connection) -> str:
    return _one(connection, "alembic_version", "SELECT version_num FROM alembic_version")


def _key_id_in(connection: sqlite3.Connection) -> str:
    return _one(connection, "sealing_key", "SELECT key_id FROM sealing_key")


def _one(connection: sqlite3.Connection, table: str, question: str) -> str:
    known: Any = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    found = connection.execute(question).fetchone() if known else None
    return str(found[0]) if found else ""
