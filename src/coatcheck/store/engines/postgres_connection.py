"""Connecting to a PostgreSQL server by its URL, with settings that keep what is acknowledged."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret

if TYPE_CHECKING:
    from psycopg import Connection

LEAST: Final = 140_000
"""The oldest server that this is made for: PostgreSQL 14."""

CONNECT_SECONDS: Final = 10

_SETTINGS: Final = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "client_encoding": "UTF8",
    "tcp_keepalives_idle": "30",  # a machine that died lets go of the lock in a minute, not in two hours
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_READING: Final = {
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "repeatable read",  # all that one reading sees is of one moment
}
_DURABLE: Final = frozenset({"on", "remote_apply"})


def application_name() -> str:
    """Return what the server is told of us: who is asked when another gateway holds the database."""
    return f"coatcheck {socket.gethostname()[:40]} {os.getpid()}"


def require_psycopg() -> None:
    """Refuse to go on without the driver.

    Raises:
        ConfigError: psycopg is not installed; the message says how to.
    """
    try:
        import psycopg  # noqa: F401  # only whether it is there
    except ImportError:
        raise ConfigError(
            "PostgreSQL needs psycopg, which is not installed", fix="run: pip install 'coatcheck[postgres]'"
        ) from None


def name_of(url: Secret) -> str:
    """Return what messages may say of a URL: host, port and database, and nothing that opens it.

    Raises:
        ConfigError: it is no URL of PostgreSQL.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    text = url.reveal()
    try:
        if not text.startswith(("postgresql://", "postgres://")):
            raise ProgrammingError
        parts = conninfo_to_dict(text)
    except ProgrammingError:  # its words may quote the URL
        raise ConfigError(
            "the database is not given as a URL of PostgreSQL",
            fix="write it as in postgresql://NAME:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full",
        ) from None
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"postgresql://{host}:{parts.get('port') or 5432}/{parts.get('dbname') or parts.get('user') or ''}"


def connect(url: Secret, *, read_only: bool = False) -> Connection[Any]:
    """Open one connection with our settings, in autocommit mode: every BEGIN is ours or SQLAlchemy's.

    TLS is as the URL says (`sslmode`).

    Raises:
        psycopg.Error: the server cannot be reached, or refuses us.
        ConfigError: the server is too old, or does not keep what it acknowledges.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(url.reveal())
    defaults = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 30, "tcp_user_timeout": 30_000}
    options = {**defaults, **given, "application_name": application_name()}
    connection = psycopg.connect(**options, autocommit=True)  # type: ignore[arg-type]
    try:
        settings = {**_SETTINGS, **_READING} if read_only else _SETTINGS
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        _require_durable(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_durable(connection: Connection[Any]) -> None:
    if connection.info.server_version < LEAST:
        raise ConfigError(
            "the PostgreSQL server is too old", fix=f"use PostgreSQL {LEAST // 10_000} or newer"
        )
    if _shown(connection, "synchronous_commit") not in _DURABLE:
        connection.execute("SET synchronous_commit = on")
    for name, wanted in (("fsync", {"on"}), ("synchronous_commit", _DURABLE), ("server_encoding", {"UTF8"})):
        if (found := _shown(connection, name)) not in wanted:
            raise ConfigError(
                f"the PostgreSQL server has {name} = {found}, so it does not keep what it is given",
                fix=f"set {name} = {min(wanted)}"
                if name != "server_encoding"
                else "create the database with ENCODING 'UTF8'",
            )


def _shown(connection: Connection[Any], name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    return str(row[0]) if row else ""
