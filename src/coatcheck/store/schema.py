"""Brings a database to the newest schema, and refuses those that are not ours or newer than we are.

Alembic is imported only when there is something to do: it costs a fifth of a cold start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, inspect

from coatcheck.errors import ConfigError

HEAD: Final = "0009"
"""The newest revision in `migrations/versions`."""

APPLICATION_ID: Final = 0x434F4154
"""Marks the file as ours ("COAT", sqlite.org/pragma.html#pragma_application_id)."""

_ELSEWHERE: Final = {
    "sqlite": "choose another directory with --data",
    "postgresql": "give Coatcheck a database, or a schema in the search path, of its own",
}

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def revision_of(connection: Connection, name: str) -> str | None:
    """Return the schema revision of an open database; None for an empty one. `name` is for messages.

    Raises:
        ConfigError: it belongs to some other program.
    """
    tables = set(inspect(connection).get_table_names())
    if tables and not _is_ours(connection, tables):
        raise ConfigError(f"{name} is a database of another program", fix=_ELSEWHERE[connection.dialect.name])
    if "alembic_version" not in tables:
        return None
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _is_ours(connection: Connection, tables: set[str]) -> bool:
    if connection.dialect.name == "sqlite":
        return bool(connection.exec_driver_sql("PRAGMA application_id").scalar_one() == APPLICATION_ID)
    return tables >= {"alembic_version", "record", "settled_through"}


def require_head(revision: str | None, name: str) -> None:
    """Refuse to read a database that is not at the newest schema.

    Raises:
        ConfigError: it is newer, or older and not migrated yet.
    """
    if revision == HEAD:
        return
    if revision is not None and not _known(revision):
        raise _newer(name)
    raise ConfigError(
        f"the database {name} has an older schema", fix="run `coatcheck migrate`, or start the gateway once"
    )


def is_older(revision: str | None, name: str) -> bool:
    """Tell whether a database has a schema that is to be migrated; one that is empty has none.

    Raises:
        ConfigError: the database was written by a newer Coatcheck.
    """
    if revision is None or revision == HEAD:
        return False
    if not _known(revision):
        raise _newer(name)
    return True


def migrate(engine: Engine, revision: str | None, name: str) -> None:
    """Bring the database behind `engine` to `HEAD`, whole or not at all.

    Raises:
        ConfigError: the database was written by a newer Coatcheck.
    """
    if revision is not None and not is_older(revision, name):
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _known(revision: str) -> bool:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(_MIGRATIONS))
    return any(known.revision == revision for known in script.walk_revisions())


def _newer(name: str) -> ConfigError:
    return ConfigError(
        f"the database {name} was written by a newer version of Coatcheck",
        fix="install that version again, or restore a backup made before the upgrade",
    )
