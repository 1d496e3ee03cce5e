"""Brings a database to the newest schema, and refuses those that are not ours or newer than we are.

Alembic is imported only when there is something to do: it costs a fifth of a cold start.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from coatcheck.errors import ConfigError

HEAD: Final = "0001"
"""The newest revision in `migrations/versions`."""

APPLICATION_ID: Final = 0x434F4154
"""Marks the file as ours ("COAT", sqlite.org/pragma.html#pragma_application_id)."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def revision_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """Return the schema revision of an open database; None for an empty one.

    Raises:
        ConfigError: the file is a database of some other program.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != APPLICATION_ID and (application or tables):
        raise ConfigError(
            f"{path} is a database of another program", fix="choose another directory with --data"
        )
    if "alembic_version" not in tables:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def require_head(revision: str | None, path: Path) -> None:
    """Refuse to read a database that is not at the newest schema.

    Raises:
        ConfigError: it is newer, or older and not migrated yet.
    """
    if revision == HEAD:
        return
    if revision is not None and not _known(revision):
        raise _newer(path)
    raise ConfigError(
        f"the database {path} has an older schema", fix="start the gateway once: it migrates the database"
    )


def migrate(engine: Engine, revision: str | None, path: Path) -> None:
    """Bring the database behind `engine` to `HEAD`, whole or not at all.

    Raises:
        ConfigError: the database was written by a newer Coatcheck.
    """
    if revision == HEAD:
        return
    if revision is not None and not _known(revision):
        raise _newer(path)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _known(revision: str) -> bool:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(_MIGRATIONS))
    return any(known.revision == revision for known in script.walk_revisions())


def _newer(path: Path) -> ConfigError:
    return ConfigError(
        f"the database {path} was written by a newer version of Coatcheck",
        fix="install that version again, or restore a backup made before the upgrade",
    )
