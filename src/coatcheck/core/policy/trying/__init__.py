"""Trying policies: on cases, on the record, step by step, and what was really used."""
