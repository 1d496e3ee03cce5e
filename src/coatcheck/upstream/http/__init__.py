"""Servers over streamable HTTP: egress, connections, the handshake of each era, replies."""
