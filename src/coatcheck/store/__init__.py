"""The only package that knows SQL: the database in the data directory, its schema, and the ports on it."""
