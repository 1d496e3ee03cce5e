"""Reads what people paste: the configuration of any client, or one line, and the servers that are in it."""
