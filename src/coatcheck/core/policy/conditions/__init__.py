"""Conditions of policies: what they look at, how it is compared, and what cannot be told."""
