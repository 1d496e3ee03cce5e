"""Servers that are children of ours: spawning, pipes, supervision, the handshake."""
