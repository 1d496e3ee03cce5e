"""The addresses under which others reach a gateway, for lines that are typed or pasted elsewhere."""

from __future__ import annotations

from coatcheck.cli.reaching.reach import Reach


def address_for_clients(reach: Reach) -> str:
    """Return the origin of the routes: what the gateway says of itself, else the URL it was reached at."""
    return _told(reach, "public_url")


def address_for_operators(reach: Reach) -> str:
    """Return the origin of the API, which may be another one."""
    return reach.url or _told(reach, "api")


def _told(reach: Reach, member: str) -> str:
    status = reach.get("/status")
    return str(status.get(member) or reach.url or status["http"])
