"""Policies, the versions that each of them had, what they are used on, and the defaults of servers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _texts(names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names.split()]


def _told(*, ends: bool) -> list[sa.Column[Any]]:
    """Return the columns of when, by whom and why something was changed, and those of every object."""
    ended = [sa.Column("ended_at", sa.BigInteger(), nullable=True)] if ends else []
    return [
        sa.Column("at", sa.BigInteger(), nullable=False),
        *_texts("by because"),
        *ended,
        sa.Column("version", sa.Integer(), nullable=False),
        *_texts("mac"),
    ]


def upgrade() -> None:
    """Add the three tables, and a column that servers of before have nothing in."""
    op.create_table(
        "policy",
        *_texts("name document"),
        *_told(ends=True),
        sa.PrimaryKeyConstraint("name", name="pk_policy"),
    )
    op.create_table(
        "policy_version",
        *_texts("name"),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        *_texts("document"),
        *_told(ends=False),
        sa.PrimaryKeyConstraint("name", "number", name="pk_policy_version"),
    )
    op.create_table(
        "policy_use",
        *_texts("kind of server policy"),
        *_told(ends=True),
        sa.PrimaryKeyConstraint("kind", "of", "server", "policy", name="pk_policy_use"),
    )
    op.add_column("server", sa.Column("allowing", sa.Text(), nullable=True))
