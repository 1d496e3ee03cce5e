"""Credentials in versions, what servers say of theirs, and the pepper of grants kept beside the key's id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _texts(names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names.split()]


def upgrade() -> None:
    """Add the table of credentials, and columns that rows of before have nothing in."""
    op.create_table(
        "credential",
        *_texts("id name folded custody kind owner"),
        sa.Column("interval_days", sa.Integer(), nullable=True),
        *_texts("on_refusal versions"),
        sa.Column("oauth", sa.Text(), nullable=True),
        *_texts("note"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        *_texts("created_by"),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
    )
    live = sa.text("ended_at IS NULL")
    op.create_index(
        "uq_credential_folded",
        "credential",
        ["folded"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    for table, column in (("server", "upkeep"), ("server", "blanks"), ("sealing_key", "pepper")):
        op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
