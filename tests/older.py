"""Databases as earlier versions made them: their own migrations, and none of those since."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine

from coatcheck.store import schema


def make_sqlite(path: Path, revision: str) -> None:
    """Put an empty database of a revision in a file's place."""
    path.unlink(missing_ok=True)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        make(connection, revision)
        connection.commit()
    engine.dispose()
    path.chmod(0o600)


def make(connection: Connection, revision: str) -> None:
    """Make the tables of a revision in an empty database."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
