"""What operators make: grants, subjects, servers, operators, their overrides, and the log of changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UUID = sa.LargeBinary(16).with_variant(postgresql.UUID(), "postgresql")


def _texts(names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names.split()]


def _text_or_null(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=True)


def _time(name: str, *, nullable: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False)


def upgrade() -> None:
    """Add the tables of the registry."""
    _create_grant()
    _create_server()
    _create_owners()
    _create_change()
    op.create_table(
        "seen",
        *_texts("grant_id client"),
        _time("at", nullable=False),
        *_texts("address"),
        sa.PrimaryKeyConstraint("grant_id", "client", name="pk_seen"),
    )
    op.create_table(
        "whole",
        sa.Column("rows", sa.BigInteger(), autoincrement=False, nullable=False),
        *_texts("total mac"),
        sa.PrimaryKeyConstraint("rows", name="pk_whole"),
    )
    op.create_table(
        "sealing_key", *_texts("key_id"), sa.PrimaryKeyConstraint("key_id", name="pk_sealing_key")
    )
    op.add_column("server_id", _text_or_null("mac"))


def _create_grant() -> None:
    op.create_table(
        "grant",
        *_texts("id label subject"),
        _text_or_null("servers"),
        _text_or_null("tools"),
        *_texts("proofs"),
        _text_or_null("claim"),
        _time("issued_at", nullable=False),
        *_texts("issued_by"),
        _time("expires_at"),
        _time("revoked_at"),
        *_texts("revoked_by because note"),
        _whole("version"),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("id", name="pk_grant"),
    )
    live = sa.text("revoked_at IS NULL")
    op.create_index(
        "uq_grant_label", "grant", ["label"], unique=True, sqlite_where=live, postgresql_where=live
    )


def _create_server() -> None:
    op.create_table(
        "server",
        *_texts("id name folded reach idle marks plain"),
        _whole("disabled"),
        *_texts("because"),
        _time("created_at", nullable=False),
        *_texts("created_by"),
        _time("ended_at"),
        *_texts("note"),
        _whole("version"),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("id", name="pk_server"),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_server_folded", "server", ["folded"], unique=True, sqlite_where=live, postgresql_where=live
    )


def _create_owners() -> None:
    op.create_table(
        "subject",
        *_texts("name kind roles"),
        _whole("disabled"),
        *_texts("because note"),
        _time("created_at"),
        _whole("version"),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("name", name="pk_subject"),
    )
    op.create_table(
        "operator",
        *_texts("name role token_id token_hmac code_hmac"),
        *(_time(name) for name in ("code_until", "expires_at", "created_at", "ended_at")),
        _whole("version"),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("name", name="pk_operator"),
    )
    op.create_table(
        "override",
        *_texts("kind id verdict because"),
        _time("at", nullable=False),
        *_texts("by"),
        _whole("lifted"),
        _whole("version"),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("kind", "id", name="pk_override"),
    )


def _create_change() -> None:
    op.create_table(
        "change",
        sa.Column("position", _KEY, nullable=False),
        sa.Column("id", _UUID, nullable=False),
        _time("at", nullable=False),
        *_texts("actor role origin action kind object_id object_name before after because"),
        sa.PrimaryKeyConstraint("position", name="pk_change"),
        sa.UniqueConstraint("id", name="uq_change_id"),
        sqlite_autoincrement=True,
    )
    for column in ("at", "object_id", "object_name", "actor"):
        op.create_index(f"ix_change_{column}", "change", [column])
