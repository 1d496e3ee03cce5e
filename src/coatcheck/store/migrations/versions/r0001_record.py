"""The record, its settlements, and the UUIDs of declared servers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelt out rather than taken from `store.tables`: a revision stays as it was when the tables move on.
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UUID = sa.LargeBinary(16).with_variant(postgresql.UUID(), "postgresql")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    """Create the first tables in an empty database."""
    _create_record()
    _create_settlement()
    op.create_table(
        "server_id",
        _text("folded"),
        _text("name"),
        sa.Column("uuid", _UUID, nullable=False),
        sa.PrimaryKeyConstraint("folded", name="pk_server_id"),
        sa.UniqueConstraint("uuid", name="uq_server_id_uuid"),
    )


def _create_record() -> None:
    op.create_table(
        "record",
        sa.Column("position", _KEY, nullable=False),
        sa.Column("id", _UUID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *(
            _text(name)
            for name in ("subject", "grant_id", "grant_label", "route", "server", "method", "tool")
        ),
        sa.Column("decision", sa.String(16), nullable=False),
        *(_text(name) for name in ("rule", "reason", "client_ip", "client_name", "client_version")),
        _text("arguments"),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_record"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_record_at", "record", ["at"])
    op.create_index("ix_record_subject", "record", ["subject"])
    op.create_index("ix_record_server_tool", "record", ["server", "tool"])
    refused = sa.text("decision <> 'allowed'")
    op.create_index(
        "ix_record_not_allowed", "record", ["decision"], sqlite_where=refused, postgresql_where=refused
    )


def _create_settlement() -> None:
    op.create_table(
        "settlement",
        sa.Column("sequence", _KEY, nullable=False),
        sa.Column("position", _KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("seconds", sa.Float(53), nullable=False),
        _text("detail"),
        sa.PrimaryKeyConstraint("sequence", name="pk_settlement"),
        sa.ForeignKeyConstraint(["position"], ["record.position"], name="fk_settlement_position"),
        sa.UniqueConstraint("position", name="uq_settlement_position"),
        sqlite_autoincrement=True,
    )
    failed = sa.text("outcome <> 'ok'")
    op.create_index(
        "ix_settlement_not_ok", "settlement", ["position"], sqlite_where=failed, postgresql_where=failed
    )
    op.create_table(
        "settled_through",
        sa.Column("writer", sa.String(64), nullable=False),
        sa.Column("position", _KEY, nullable=False),
        sa.PrimaryKeyConstraint("writer", name="pk_settled_through"),
    )
