"""Policies: reading them, and judging calls by them."""
