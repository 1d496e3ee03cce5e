"""Browser sessions and the ways in, wired as the product wires them, over a registry in memory or a real store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

from coatcheck.core.tokens import Pepper
from coatcheck.errors import Unavailable
from coatcheck.model.browser import BrowserSession
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.operations.records import Records
from coatcheck.operations.refusals import Refusals
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.signing_in.brake import FIRST_SECONDS, Brake
from coatcheck.operations.signing_in.entering import Entering
from coatcheck.operations.signing_in.hashing import Hashing
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.signing_in.standing import Standing
from coatcheck.operations.signing_in.telling import SignInRecord
from coatcheck.operations.tally import Tally
from coatcheck.ports import BrowserStore
from doubles.callers import PEPPER
from doubles.changes import KeptChanges
from doubles.entropy import CountingEntropy
from doubles.registries import ROOT, MemoryRegistryStore, Office
from ledgers import MemoryLedger

PASSWORD = Secret("nine purple kettles")
AGENT = "Mozilla/5.0 (X11; Linux) Firefox/152.0"
HERE = "192.0.2.7"


class MemoryBrowsers:
    """Implements `ports.BrowserStore`; `failing` has nothing written or read, `ends_nothing` nothing removed."""

    def __init__(self) -> None:
        self.rows: dict[str, BrowserSession] = {}
        self.noted: list[dict[str, datetime]] = []
        self.failing: Unavailable | None = None
        self.ends_nothing: Unavailable | None = None

    def _try(self) -> None:
        if self.failing is not None:
            raise self.failing

    async def list(self) -> Sequence[BrowserSession]:
        self._try()
        return sorted(self.rows.values(), key=lambda one: (one.created_at, one.id))

    async def add(self, session: BrowserSession, instead_of: Collection[str] = ()) -> None:
        self._try()
        for id in instead_of:
            self.rows.pop(id, None)
        self.rows[session.id] = session

    async def note(self, seen: Mapping[str, datetime]) -> None:
        self._try()
        self.noted.append(dict(seen))

    async def end(self, ids: Collection[str]) -> None:
        self._try()
        if self.ends_nothing is not None:
            raise self.ends_nothing
        for id in ids:
            self.rows.pop(id, None)


class Lobby:
    """An office, and the browsers at its door. To be opened inside a running loop."""

    def __init__(
        self,
        store: BrowserStore | None = None,
        registry: MemoryRegistryStore | None = None,
        pepper: Pepper = PEPPER,
        idle: float = 3600.0,
        longest: float = 43_200.0,
    ) -> None:
        self.office = office = Office(store=registry)
        self.clock = clock = office.clock
        self.rows = MemoryBrowsers()
        entropy = CountingEntropy()
        self.standing = Standing(lambda: office.directory.snapshot, clock)
        self.sessions = BrowserSessions(
            store or self.rows, pepper, clock, entropy, self.standing, idle, longest
        )
        self.ledger = MemoryLedger()
        self.changes = KeptChanges()
        tally = Tally()
        records = Records(self.ledger, clock, entropy, tally.settled)
        self.refusals = Refusals(records, clock, tally)
        told = SignInRecord(self.changes, Scribe(clock, entropy), self.refusals, pepper)
        self.entering, self.hashing, self.brake = (
            Entering(office.desk),
            Hashing(pepper, entropy),
            Brake(clock),
        )
        self.signing = SigningIn(
            self.sessions,
            self.entering,
            self.hashing,
            self.brake,
            told,
            lambda: office.directory.snapshot,
            at_provider=Brake(clock, longest=FIRST_SECONDS),
            at_links=Brake(clock, longest=FIRST_SECONDS),
        )

    async def open(self) -> Self:
        await self.office.open()
        self.office.directory.subscribe(self.sessions.follow)
        await self.sessions.load()
        return self

    async def invite(self, name: str = "ann", role: OperatorRole = OperatorRole.ADMIN) -> str:
        return (await self.office.operators.add(ROOT, name, role))[1].reveal()

    async def enter(self, name: str = "ann", password: Secret | None = PASSWORD) -> Secret:
        """Let an operator in by a link, with a password; return the token of its browser."""
        code = await self.invite(name)
        return (await self.signing.by_code(code, password, HERE, AGENT)).token

    def link(self, name: str, by: str) -> None:
        """Have a provider vouch for an operator: `by` is who it says that is."""
        registry = self.office.store.registry
        linked = {**registry.operators, name: replace(registry.operators[name], vouched=by)}
        self.office.store.registry = replace(registry, operators=linked)
        self.office.directory.renew(self.office.store.registry)

    def who(self, token: Secret) -> str | None:
        found = self.sessions.find(token.reveal())
        return None if found is None else found.who

    def refused(self) -> list[tuple[str, str, str]]:
        entries = [one.record for one in self.ledger.entries]
        return [(one.reason, one.grant_id, one.client_ip) for one in entries]
