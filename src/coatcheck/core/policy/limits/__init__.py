"""Limits of policies: what a call takes of them, and the windows that count it."""
