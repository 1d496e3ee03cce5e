"""Lends the tests here a running gateway."""

from journeys.running import hall

__all__ = ["hall"]
