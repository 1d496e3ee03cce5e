"""Which names on record have a page now: what has gone since then is told, and leads nowhere."""

from __future__ import annotations

from coatcheck.console.web.paths import credential_page, grant_page, policy_page, server_page
from coatcheck.console.web.rendering import link, part
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.operations.directory import Snapshot


class Places:
    """The pages of what has a name as of one moment; the empty text where there is none."""

    def __init__(self, snapshot: Snapshot) -> None:
        registry, declared = snapshot.registry, snapshot.declared
        self._stored = registry.grants
        self._declared = {grant.id: grant.label for grant in declared.grants.values()}
        self._subjects = registry.subjects
        self._owners = {grant.subject for grant in declared.grants.values()}
        self._credentials = {one.name for one in registry.credentials.values() if one.ended_at is None}
        self._removed = {one.name for one in registry.policies.values() if one.ended_at is not None}
        self._policies = (registry.policies.keys() | BUILT_IN) - self._removed
        self._operators = registry.operators
        self._servers = {server.name for server in declared.servers.values()}
        self._servers |= {server.name for server in registry.servers.values() if server.ended_at is None}

    def person(self, name: str) -> str:
        """Return the path of somebody's page."""
        return link("/people/one", name=name) if name in self._subjects or name in self._owners else ""

    def server(self, name: str) -> str:
        """Return the path of a server's page."""
        return server_page(name) if name in self._servers else ""

    def credential(self, name: str) -> str:
        """Return the path of a credential's page."""
        return credential_page(name) if name in self._credentials else ""

    def policy(self, name: str) -> str:
        """Return the path of a policy's page; of one that was removed, its versions stay."""
        if name in self._removed:
            return policy_page(name, "history")
        return policy_page(name) if name in self._policies else ""

    def operator(self, name: str) -> str:
        """Return the path of an operator's page."""
        known = self._operators.get(name)
        return f"/settings/operators/{part(name)}" if known is not None and known.ended_at is None else ""

    def grant(self, id: str) -> str:
        """Return the path of a grant's page."""
        return grant_page(id) if id in self._stored or id in self._declared else ""

    def label(self, id: str, recorded: str = "") -> str:
        """Return what a grant is called: as it was recorded, or as it is called now; else its id."""
        stored = self._stored.get(id)
        return recorded or (stored.label if stored is not None else self._declared.get(id, id))
