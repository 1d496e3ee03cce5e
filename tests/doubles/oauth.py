"""The use cases of OAuth over a registry in memory, and a credential that wants to be connected."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from coatcheck.app.real import SystemEntropy
from coatcheck.core.credentials.making import printed
from coatcheck.model.credential import Credential, CredentialKind, Custody, OauthTerms
from coatcheck.model.registry import Registry
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, Transport
from coatcheck.operations.oauth.bearers import OauthBearers
from coatcheck.operations.oauth.connecting import Begun, Connecting, Finished
from coatcheck.operations.oauth.desk import OauthDesk
from coatcheck.operations.oauth.held import HeldTokens, held_by
from coatcheck.operations.registry.changes import Scribe
from coatcheck.ports import Clock
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from coatcheck.upstream.oauth.authorizer import HttpAuthorizer
from coatcheck.upstream.oauth.fetching import FetchLimits
from doubles.authorization import World
from doubles.clients import gateway_itself
from doubles.clock import START
from doubles.registries import ROOT, MemoryRegistryStore, Office

ID = UUID(int=77)
BASE = "http://127.0.0.1:8080"


def a_credential(url: str, **terms: Any) -> Credential:
    oauth = OauthTerms(terms.pop("grant_type", "authorization_code"), url, **terms)
    return Credential(ID, "github-oauth", Custody.STORE, (), START, "root", CredentialKind.OAUTH, oauth=oauth)


class Desk:
    """Everything for one credential of a world. `close` it in the end."""

    def __init__(self, world: World, clock: Clock, **terms: Any) -> None:
        self.world = world
        self.store = MemoryRegistryStore()
        self.store.registry = Registry(credentials={ID: a_credential(world.url, **terms)})
        self.office = Office(store=self.store)
        entropy = SystemEntropy()
        self.egress = Egress(loopback=True)
        self.desk = OauthDesk(
            lambda: self.office.book.snapshot,
            self.office.book.edit,
            HttpAuthorizer(self.egress, clock, entropy, FetchLimits(seconds=2.0)),
            Scribe(clock, entropy),
            clock,
            entropy,
            lambda material: printed(b"key", material),
        )
        self.connecting = Connecting(self.desk)
        self.restart()

    def restart(self) -> None:
        """Forget everything that is in memory alone."""
        self.bearers = OauthBearers(self.desk)

    async def open(self) -> Desk:
        await self.office.open()
        return self

    @property
    def credential(self) -> Credential:
        return self.store.registry.credentials[ID]

    @property
    def held(self) -> HeldTokens:
        held = held_by(self.credential)
        assert held is not None
        return held

    @property
    def reconnect(self) -> str:
        assert self.credential.oauth is not None
        return self.credential.oauth.reconnect

    def actions(self) -> list[str]:
        return [change.action for change in self.store.changes if change.action.startswith("credential.")]

    def upstream(self, **limits: Any) -> HttpUpstream:
        reach = HttpReach(Secret(self.world.url), self.world.url, {}, Transport.HTTP, ID)
        given = HttpLimits(bearers=self.bearers, **limits)
        return HttpUpstream(Server(UUID(int=7), "github", reach), self.egress, given, gateway_itself())

    async def begin(self) -> Begun:
        return await self.connecting.begin(ROOT, "github-oauth", BASE)

    async def connect(self, **more: str) -> Finished:
        begun = await self.begin()
        return await self.connecting.finish(self.world.authorize(begun.url, **more))

    async def close(self) -> None:
        await self.bearers.close()
