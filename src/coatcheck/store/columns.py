"""The types of columns that are not the databases' own: moments in UTC, and UUIDs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Dialect, LargeBinary, Uuid
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
