"""The databases that the store runs on: SQLite in the data directory, or PostgreSQL by its URL."""
