"""What the record is searched by, which records were made with which credentials, and sealed segments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add tables and indexes; a settlement is no longer bound to a record that may be sealed in a file."""
    op.create_table(
        "used",
        sa.Column("position", _KEY, nullable=False, autoincrement=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("position", "credential", "version", name="pk_used"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "segment",
        sa.Column("first", _KEY, nullable=False, autoincrement=False),
        sa.Column("last", _KEY, nullable=False),
        sa.Column("prev", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("entries", _KEY, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("first", name="pk_segment"),
    )
    op.create_index("ix_used_credential_position_version", "used", ["credential", "position", "version"])
    _unbind()
    if op.get_bind().dialect.name != "sqlite":
        op.drop_index("ix_settlement_not_ok", "settlement")
    op.drop_index("ix_record_not_allowed", "record")
    _index_some("settlement", "not_ok", "outcome", "outcome <> 'ok'")
    _index_some("record", "not_allowed", "decision", "decision <> 'allowed'")
    _index_some("record", "label", "grant_label", "grant_id >= 'file-' AND grant_id < 'file.'")
    op.drop_index("ix_record_subject", "record")
    op.drop_index("ix_record_server_tool", "record")
    for column in ("grant_id", "subject", "server", "tool"):
        op.create_index(f"ix_record_{column}_position", "record", [column, "position"])


def _index_some(table: str, name: str, column: str, where: str) -> None:
    some = sa.text(where)
    op.create_index(
        f"ix_{table}_{name}", table, [column, "position"], sqlite_where=some, postgresql_where=some
    )


def _unbind() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("fk_settlement_position", "settlement", type_="foreignkey")
        return
    new = op.create_table(  # SQLite takes a constraint away only with its table
        "settlement_unbound",
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("stored", sa.LargeBinary(), nullable=True),
        sa.Column("hash", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="pk_settlement"),
        sa.UniqueConstraint("position", name="uq_settlement_position"),
        sqlite_autoincrement=True,
    )
    names = ", ".join(column.name for column in new.columns)
    copied = f"INSERT INTO settlement_unbound ({names}) SELECT {names} FROM settlement"  # noqa: S608 - ours
    op.execute(copied)
    op.drop_table("settlement")
    op.rename_table("settlement_unbound", "settlement")
