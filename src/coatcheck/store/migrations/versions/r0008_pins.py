"""The tools of servers as they were accepted, and what servers made of them since."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _texts(names: str, *, nullable: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names.split()]


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "pin",
        *_texts("server tool accepted accepted_digest"),
        sa.Column("is_new", sa.Integer(), nullable=False),
        *_texts("pending pending_digest", nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        *_texts("by because"),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        *_texts("mac"),
        sa.PrimaryKeyConstraint("server", "tool", name="pk_pin"),
    )
