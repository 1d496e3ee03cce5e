"""The tables of the store, in SQLAlchemy Core, with the column types that SQLite and PostgreSQL share.

`record` and `settlement` are append-only: nothing updates or deletes their rows. A settlement is a row of its
own, keyed by the position of the record it belongs to, so that an outcome never rewrites what was recorded.
Both keys grow with every row, which keeps an append at the right edge of each tree, whatever the record ids.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros_of(at: datetime) -> int:
    """Return an aware time as whole microseconds since 1970, UTC: it sorts and compares exactly."""
    return (at - _EPOCH) // _MICROSECOND


def time_of(micros: int) -> datetime:
    """Return the UTC time of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC, kept as whole microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return what the column holds."""
        return None if value is None else micros_of(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what the column means."""
        return None if value is None else time_of(value)


class UuidBytes(TypeDecorator[UUID]):
    """A UUID: 16 bytes in SQLite, the native type in PostgreSQL."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column type of this database."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid())
        return dialect.type_descriptor(LargeBinary(16))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> UUID | bytes | None:
        """Return what the column holds."""
        return value if value is None or dialect.name == "postgresql" else value.bytes

    def process_result_value(self, value: Any | None, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        """Return what the column means."""
        return UUID(bytes=value) if isinstance(value, bytes) else value


_KEY = BigInteger().with_variant(Integer(), "sqlite")  # SQLite grows a key by itself only as INTEGER

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


record = Table(
    "record",
    metadata,
    Column("position", _KEY, primary_key=True, autoincrement=True),
    Column("id", UuidBytes, nullable=False),
    Column("at", Instant, nullable=False),
    _text("subject"),
    _text("grant_id"),
    _text("grant_label"),
    _text("route"),
    _text("server"),
    _text("method"),
    _text("tool"),
    Column("decision", String(16), nullable=False),
    _text("rule"),
    _text("reason"),
    _text("client_ip"),
    _text("client_name"),
    _text("client_version"),
    _text("arguments"),
    Column("repeats", Integer, nullable=False),
    sqlite_autoincrement=True,  # a position is never given twice
)
"""One row per `model.record.Record`, in the order in which they became durable."""

settlement = Table(
    "settlement",
    metadata,
    Column("sequence", _KEY, primary_key=True, autoincrement=True),
    Column("position", _KEY, ForeignKey("record.position"), nullable=False, unique=True),
    Column("at", Instant, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("seconds", Float(53), nullable=False),
    _text("detail"),
    sqlite_autoincrement=True,
)
"""One row per `model.record.Settlement`. `sequence` is the order of settling, which followers read by."""

settled_through = Table(
    "settled_through",
    metadata,
    Column("writer", String(64), primary_key=True),
    Column("position", _KEY, nullable=False),
)
"""Every record up to `position` has its settlement: a start looks for records left open only after it."""

server_id = Table(
    "server_id",
    metadata,
    Column("folded", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("uuid", UuidBytes, nullable=False, unique=True),
)
"""The UUID that a server's name got at first sight; `folded` is that name without case."""

NOT_ALLOWED: Final = "decision <> 'allowed'"
"""The condition of the index on refusals; a query must say it in these words to be served by that index."""

NOT_OK: Final = "outcome <> 'ok'"
"""The condition of the index on what ended otherwise than well; to be said in these words as well."""

# Few indexes, since each is paid on every call. The two partial ones cost next to nothing: they hold only
# the exceptions, which is what auditors ask for.
Index(None, record.c.at)
Index(None, record.c.subject)
Index(None, record.c.server, record.c.tool)
Index(
    "ix_record_not_allowed",
    record.c.decision,
    sqlite_where=text(NOT_ALLOWED),
    postgresql_where=text(NOT_ALLOWED),
)
Index(
    "ix_settlement_not_ok",
    settlement.c.position,
    sqlite_where=text(NOT_OK),
    postgresql_where=text(NOT_OK),
)
