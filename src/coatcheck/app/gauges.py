"""The gauges of a gateway that its parts tell without being asked for more than they know."""

from __future__ import annotations

from coatcheck.app.credentials import Cloakroom
from coatcheck.operations.credentials.views import CredentialState
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.inflight import Inflight
from coatcheck.operations.pinning.views import Waiting
from coatcheck.operations.reaching.servers import Servers

Gauges = dict[str, tuple[str, float]]
"""By name: what it is, and how much."""


def gauges_of(
    directory: Directory, servers: Servers, inflight: Inflight, cloakroom: Cloakroom, waiting: Waiting
) -> Gauges:
    """Return the gauges of what is served, of what is stored, and of what waits for operators."""
    snapshot = directory.snapshot
    return {
        "calls_under_way": ("Requests being answered.", inflight.count),
        "streams": ("Streams that clients keep open to listen.", inflight.lasting),
        "sessions_upstream": ("Sessions open with servers over HTTP.", servers.sessions()),
        "grants": ("Grants that operators issued, and have not revoked.", _standing(snapshot)),
        "credentials_failing": (
            "Credentials that are refused, lack a value or must be connected anew.",
            cloakroom.count(CredentialState.FAILING, CredentialState.LACKING, CredentialState.RECONNECT),
        ),
        "credentials_due": (
            "Credentials that are due or overdue for rotation.",
            cloakroom.count(CredentialState.DUE, CredentialState.OVERDUE),
        ),
        "tools_waiting": ("Tools that servers changed or added, and nobody accepted yet.", waiting.tools),
        "tools_quarantined": ("Those of them that are hidden until then.", waiting.quarantined),
        "damaged_rows": ("Stored rows changed outside.", len(snapshot.registry.damaged)),
        "servers": ("Servers in the snapshot in force.", len(snapshot.servers)),
        "config_epoch": ("Number of the snapshot in force.", snapshot.epoch),
        "config_edit_bad": ("1 while a bad edit is not used.", float(bool(directory.edit.error))),
    }


def _standing(snapshot: Snapshot) -> int:
    return sum(grant.revoked_at is None for grant in snapshot.registry.grants.values())
