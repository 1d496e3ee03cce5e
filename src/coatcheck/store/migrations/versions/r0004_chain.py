"""Every entry in one hash chain, and the checkpoints that are signed of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from coatcheck.core.recording.chain import begin

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ENTRIES = {"record": "position", "settlement": "sequence", "change": "position"}
_RANDOM = {
    "sqlite": "SELECT lower(hex(randomblob(8)))",
    "postgresql": "SELECT left(replace(gen_random_uuid()::text, '-', ''), 8)"
    " || right(replace(gen_random_uuid()::text, '-', ''), 8)",
}


def upgrade() -> None:
    """Add what the chain needs; it begins after all that is there, which stays as it is."""
    for table in _ENTRIES:
        op.add_column(table, sa.Column("stored", sa.LargeBinary(), nullable=True))
        op.add_column(table, sa.Column("hash", sa.LargeBinary(), nullable=True))
    chain = op.create_table(
        "chain",
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("first", _KEY, nullable=False),
        sa.Column("before", _KEY, nullable=False),
        sa.Column("seq", _KEY, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", name="pk_chain"),
    )
    op.create_table(
        "checkpoint",
        sa.Column("seq", _KEY, nullable=False, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_checkpoint"),
    )
    connection = op.get_bind()
    log = connection.exec_driver_sql(_RANDOM[connection.dialect.name]).scalar_one()
    last, count = _what_is_there(connection)
    first = begin(log, last, count)
    op.bulk_insert(chain, [{"log": log, "first": last, "before": count, "seq": last, "hash": first.prev}])


def _what_is_there(connection: sa.Connection) -> tuple[int, int]:
    """Return the largest key there ever was, and how many entries there are."""
    last = count = 0
    for table, key in _ENTRIES.items():
        most, rows = connection.exec_driver_sql(f"SELECT max({key}), count(*) FROM {table}").one()  # noqa: S608
        last, count = max(last, most or 0), count + rows
    if connection.dialect.name == "sqlite":  # remembers keys whose rows are gone
        names = "('record', 'settlement', 'change')"
        given = f"SELECT max(seq) FROM sqlite_sequence WHERE name IN {names}"  # noqa: S608
        last = max(last, connection.exec_driver_sql(given).scalar_one() or 0)
    else:
        last = max(
            last, connection.exec_driver_sql("SELECT max(position) FROM settled_through").scalar_one() or 0
        )
    return last, count
