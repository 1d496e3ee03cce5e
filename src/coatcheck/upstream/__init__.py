"""Talks to servers."""
