"""Who is signed in at which browser, and how operators sign in there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _texts(names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names.split()]


def _times(names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names.split()]


def upgrade() -> None:
    """Add the table and the column."""
    op.create_table(
        "browser_session",
        *_texts("id whose who how by proof"),
        *_times("created_at until seen_at verified_at"),
        *_texts("address agent"),
        sa.PrimaryKeyConstraint("id", name="pk_browser_session"),
    )
    op.add_column("operator", sa.Column("signing_in", sa.Text(), nullable=True))
