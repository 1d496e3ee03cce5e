"""The Alembic environment: how a database gets from any earlier schema to the one in `store.tables`."""
