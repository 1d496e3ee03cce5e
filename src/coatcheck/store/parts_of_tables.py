"""What the definitions of tables have in common: the names of indexes and keys, and columns of every kind."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Text

KEY: Final = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite grows a key by itself only as INTEGER."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def text_column(name: str) -> Column[str]:
    """Return a column of texts."""
    return Column(name, Text, nullable=False)


def chained() -> tuple[Column[bytes], Column[bytes]]:
    """Return the entry itself and its hash (`core.recording.chain`); null in rows from before."""
    return Column("stored", LargeBinary), Column("hash", LargeBinary)


def time_column(name: str, *, nullable: bool = True) -> Column[int]:
    """Return a column of times: microseconds since 1970, UTC."""
    return Column(name, BigInteger, nullable=nullable)


def flag(name: str) -> Column[int]:
    """Return a column of 0 and 1."""
    return Column(name, Integer, nullable=False)


def count(name: str) -> Column[int]:
    """Return a column of counts."""
    return Column(name, Integer, nullable=False)
