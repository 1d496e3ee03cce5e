"""The server that comes along, to try a gateway with: what it is registered as."""

from __future__ import annotations

import sys
from importlib.resources import files
from typing import Final

from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.patches import NewServer

NAME: Final = "cloakroom"
TOOL: Final = "list_coats"
"""A tool of it that reads, for the first call."""
_NOTE: Final = "Comes with Coatcheck, to try it: a cloakroom in memory. Remove it when you know your way."


def sample_server() -> NewServer:
    """Return what to register; it runs by the Python that runs the gateway, and reaches nothing."""
    return NewServer(
        NAME,
        command=sys.executable,
        args=(Secret("-I"), Secret(str(files("coatcheck") / "sample.py"))),
        note=_NOTE,
        default=Default.READ_ONLY,
    )
