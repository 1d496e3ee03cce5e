"""Coatcheck: a self-hosted MCP gateway. Hand in the key, keep the ticket."""

__version__ = "0.1.0"
