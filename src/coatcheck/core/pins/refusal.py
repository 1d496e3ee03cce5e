"""What is said of a tool that is held back."""

from __future__ import annotations

from typing import Final

from coatcheck.core.access.roles import Ruling
from coatcheck.model.call import Target
from coatcheck.model.server import Server

QUARANTINED_RULE: Final = "(quarantined)"


def held_back(target: Target, server: Server) -> Ruling:
    """Say why a tool that is held back is hidden from everybody."""
    because = f"{server.name} does not list {target.name} as it was accepted: coatcheck server review"
    return Ruling(False, QUARANTINED_RULE, f"{because} {server.name}")
