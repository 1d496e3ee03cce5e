"""Credentials and their rotation over a registry in memory, and servers that check what they are given."""

from __future__ import annotations

from typing import Any

from coatcheck.core.filling import values_of
from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.declaration import Declaration
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.credentials import Credentials
from coatcheck.operations.credentials.refusing import Refusing
from coatcheck.operations.records import Records
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.rotation.rotating import Rotations
from coatcheck.operations.rotation.verifying import Verifier
from coatcheck.ports import Ask, Upstreams
from doubles.entropy import CountingEntropy
from doubles.registries import ROOT, MemoryRegistryStore, Office, a_file
from doubles.upstreams import ScriptedUpstream
from ledgers import MemoryLedger

OLD, NEW, BAD = "ghp_old-material-1", "ghp_new-material-2", "ghp_bad-material-3"


class Cloakroom(Office):
    """`good` are the secrets that servers take; empty: anything. Use it inside a running loop, opened."""

    def __init__(
        self,
        declaration: Declaration | None = None,
        store: MemoryRegistryStore | None = None,
        upstreams: Upstreams | None = None,
        *,
        seconds: float = 2.0,
    ) -> None:
        super().__init__(declaration or a_file("git"), store, upstreams)
        self.good: set[str] = {OLD, NEW}
        self.tools = ["find", "whoami"]
        self.counter = Counter(self.desk, self.servers)
        self.credentials = Credentials(self.counter)
        self.ledger = MemoryLedger()
        records = Records(self.ledger, self.clock, CountingEntropy(), lambda *_: None)
        self.verifier = Verifier(self.servers, records, seconds)
        self.rotations = Rotations(self.counter, self.verifier, 1.0)
        self.refusing = Refusing(self.counter)
        self.servers.heed = self.refusing
        self.upstreams.prepare = self.check

    def check(self, upstream: ScriptedUpstream) -> None:
        """Have a server refuse what is not good."""
        upstream.offer(Ask.TOOLS, self.tools)
        if not self.takes(upstream):
            refused = UpstreamCredentialRefused(f"{upstream.server.name} refused the credential (401)")
            refused.status, refused.said = 401, Secret(f"Bad credentials:\n{self.presented(upstream)}")
            upstream.failing = refused

    def takes(self, upstream: ScriptedUpstream) -> bool:
        return not self.good or any(good in self.presented(upstream) for good in self.good)

    def presented(self, upstream: ScriptedUpstream) -> str:
        return " ".join(value.reveal() for place, value in values_of(upstream.server.reach) if place != "url")

    async def add(self, name: str = "github", **more: Any) -> str:
        """Register a server over HTTP with the old secret; returns the name of its credential."""
        fields: dict[str, Any] = {
            "headers": {"Authorization": Secret(f"Bearer {OLD}")},
            "default": Default.ALLOW_ALL,
            **more,
        }
        added = await self.registered.add(ROOT, NewServer(name, Secret(f"https://{name}.test/mcp"), **fields))
        assert added.tools is not None, added.error
        return added.credentials[0]

    def actions(self) -> list[str]:
        return [one.action for one in self.store.changes if one.action.startswith("credential.")]
