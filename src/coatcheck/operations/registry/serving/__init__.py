"""Servers that operators register."""
