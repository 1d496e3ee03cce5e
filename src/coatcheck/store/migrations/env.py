"""Runs the revisions on the connection that `store.schema` opened; Alembic loads this file by its path."""

from __future__ import annotations

from alembic import context

from coatcheck.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, with an explicit BEGIN: a migration happens whole or not at all
    transaction_per_migration=False,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
