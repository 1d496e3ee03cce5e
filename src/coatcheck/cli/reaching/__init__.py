"""Finds and asks the gateway that a command speaks to, on this machine or another."""
