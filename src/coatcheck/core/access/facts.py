"""What policies look at of a call besides its arguments."""

from __future__ import annotations

from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.model.verdict import Facts, Scene


def facts_of(principal: Principal, server: Server, scene: Scene) -> Facts:
    """Return who calls, from where, with what client and when, and on which server."""
    return Facts(
        principal.subject,
        principal.roles,
        principal.grant_id,
        principal.grant_label,
        str(server.id),
        scene.at,
        scene.client,
        scene.address,
    )
