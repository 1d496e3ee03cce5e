"""Composition: from settings to a gateway whose parts know each other only through ports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Self

from coatcheck import __version__
from coatcheck.admin.api import Api
from coatcheck.admin.metrics import metrics_page
from coatcheck.admin.probes import Probes, Readiness
from coatcheck.app.keys import state_key
from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.app.upstreams import RealUpstreams
from coatcheck.config import Config, check_exposure
from coatcheck.core.sealing import Seal
from coatcheck.declared.live import LiveDeclaration
from coatcheck.declared.locate import locate
from coatcheck.declared.reading.expand import Sources
from coatcheck.errors import LedgerUnavailable
from coatcheck.identity.chain import chain_for
from coatcheck.identity.throttle import Throttle
from coatcheck.mcp.admission import Admission
from coatcheck.mcp.endpoint import Endpoint
from coatcheck.mcp.exchange import Exchanges
from coatcheck.mcp.legacy.sessions import SessionLimits, Sessions
from coatcheck.mcp.legacy.streams import EventLimits
from coatcheck.mcp.methods import Methods
from coatcheck.model.declaration import Declaration, IdentityRules
from coatcheck.model.grant import Grant
from coatcheck.operations.calling.call import Calls
from coatcheck.operations.calling.gate import Gate, GateLimits
from coatcheck.operations.calling.patience import CallTimes
from coatcheck.operations.calling.states import States
from coatcheck.operations.directory import Directory, Identify, Snapshot
from coatcheck.operations.hearing.changes import Changes
from coatcheck.operations.hearing.listening import Listening
from coatcheck.operations.hearing.watches import Watches
from coatcheck.operations.inflight import Inflight
from coatcheck.operations.lists import Lists
from coatcheck.operations.reaching.conversation import Conversations
from coatcheck.operations.reaching.places import PlaceLimits, Places
from coatcheck.operations.reaching.served import ListTimes
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Records
from coatcheck.operations.refusals import Refusals
from coatcheck.operations.tally import Tally
from coatcheck.operations.views import Views
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource
from coatcheck.store.engine import Database
from coatcheck.store.ledger import SqliteLedger
from coatcheck.store.server_ids import StoredServerIds

_CUT_SECONDS: Final = 2.0
"""How long requests that were cut short may take to say so, and to have it recorded."""


class Gateway:
    """All parts of a running gateway. Opened on an event loop, closed on the same."""

    def __init__(
        self, config: Config, environment: Mapping[str, str], database: Database, ledger: SqliteLedger
    ) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        self.config = config
        self.database = database
        self.ledger = ledger
        self.started_at: datetime = clock.now()
        self.address = str(config.http)
        self.stopping = False
        found = locate(config.config, environment, config.data)
        self.declaration = LiveDeclaration(found, Sources(EnvSource(environment), FileSource()))
        self.tally = Tally()
        self.inflight = Inflight()
        self.directory = Directory(
            self.declaration, StoredServerIds(database, entropy), _identify_by, self._check
        )
        times = ListTimes(config.list_ttl, config.list_wait, config.call_timeout)
        self.servers = Servers(RealUpstreams(config, environment, clock), clock, times)
        self.records = Records(ledger, clock, entropy, self.tally.settled)
        self.refusals = Refusals(self.records, clock, self.tally)
        gate = Gate(GateLimits(config.calls_per_grant, config.calls_total, config.queue_timeout))
        states = States(Seal(state_key(database.path.parent, entropy)), clock, entropy)
        call_times = CallTimes(config.call_timeout, config.call_longest)
        self.calls = Calls(self.servers, self.records, gate, call_times, states)
        lists = Lists(self.servers, self.records, config.list_wait)
        self.places = Places(PlaceLimits(config.children_per_grant, config.children_total))
        self.conversations = Conversations(self.servers, self.places, self._snapshot)
        self.changes = Changes(lists, self._snapshot)
        self.conversations.watch = self.changes.watch_for
        self.servers.changed = lambda _: self.changes.note()
        watches = Watches(self.servers, clock)
        self.listening = Listening(
            self.servers, self.records, self.changes, watches, self._snapshot, config.listens_per_grant
        )
        self.methods = Methods(self.servers, self.calls, lists, self.records, self.listening, watches)
        events = EventLimits(config.session_events, config.session_event_bytes)
        limits = SessionLimits(config.sessions_per_grant, config.sessions_total, config.session_idle, events)
        self.sessions = Sessions(clock, entropy, limits, self.conversations.open)
        self.admission = Admission(
            self.directory, self.refusals, self.records, self.tally, Throttle(clock).spend
        )
        self.endpoint = Endpoint(
            self.admission,
            self.methods,
            self.sessions,
            Exchanges(self.methods, self.inflight),
            self.tally,
            config.body_limit,
        )
        self.views = Views(self.servers, config.list_wait)
        self.probes = Probes(self.readiness, self.overview, metrics_page(self.tally, self._gauges))
        self.api = Api(self.directory, self.views, self.calls, ledger, self.overview).application()

    @classmethod
    async def open(cls, config: Config, environment: Mapping[str, str]) -> Self:
        """Open the store, read the file and publish the first snapshot. No server is reached yet.

        Raises:
            ConfigError: settings, data directory or file cannot be used.
        """
        database = Database.open(config.data)
        try:
            ledger = await SqliteLedger.open(database, SystemClock())
            gateway = cls(config, environment, database, ledger)
            await gateway.directory.open()
        except BaseException:
            database.close()
            raise
        gateway._follow(gateway.directory.snapshot, frozenset())
        gateway.directory.subscribe(gateway._follow)
        return gateway

    def _snapshot(self) -> Snapshot:
        return self.directory.snapshot

    def _follow(self, snapshot: Snapshot, ended: frozenset[str]) -> None:
        """Bring everything that depends on the snapshot in line with it, at once."""
        self.records.log_arguments = snapshot.audit.log_arguments
        self.servers.apply(snapshot.servers)
        self.conversations.follow()
        self.inflight.end(ended)
        self.sessions.end_grants(ended)
        self.changes.note()

    def _check(self, declaration: Declaration) -> None:
        check_exposure(self.config, declaration.identity)

    async def close(self) -> None:
        """Stop in the order that loses nothing: no new calls, drain, servers, ledger, store."""
        self.stopping = self.endpoint.stopping = True
        self.listening.stop()
        await asyncio.sleep(0)  # the streams end by themselves before they are cut
        if await self.inflight.drain(self.config.drain_timeout):
            await self.inflight.drain(_CUT_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CUT_SECONDS):
                await self.sessions.drain()
        await self.servers.close(0.0)
        with suppress(LedgerUnavailable):  # the ledger has said so; the counts end with us
            await self.refusals.flush(everything=True)
        await self.ledger.close()
        self.database.close()

    # --- what it says of itself ---

    def readiness(self) -> Readiness:
        """Say whether calls can be answered. Servers are not waited for: each call finds out itself."""
        blocking = []
        if self.stopping:
            blocking.append("stopping")
        if not self.ledger.healthy:
            blocking.append(f"the record cannot be written: {self.ledger.last_error}")
        error = self.directory.edit.error
        return Readiness(tuple(blocking), (f"a bad edit is not used: {error}",) if error else ())

    def overview(self) -> dict[str, Any]:
        """Return what `status` and `/health` show."""
        path = self.declaration.path
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "http": f"http://{self.address}",
            "ready": not self.readiness().blocking,
            "config": {"path": str(path) if path else None},
            "ledger": {"healthy": self.ledger.healthy, "error": self.ledger.last_error},
            "calls_under_way": self.inflight.count,
            "sessions": len(self.sessions),
            "streams": self.inflight.lasting,
        }

    def _gauges(self) -> Mapping[str, tuple[str, float]]:
        return {
            "calls_under_way": ("Requests being answered.", self.inflight.count),
            "sessions": ("Sessions of legacy clients.", len(self.sessions)),
            "streams": ("Streams that clients keep open to listen.", self.inflight.lasting),
            "own_children": ("Children that run for single sessions.", len(self.places)),
            "sessions_upstream": ("Sessions open with servers over HTTP.", self.servers.sessions()),
            "servers": ("Servers in the snapshot in force.", len(self.directory.snapshot.servers)),
            "config_epoch": ("Number of the snapshot in force.", self.directory.snapshot.epoch),
            "config_edit_bad": ("1 while a bad edit is not used.", float(bool(self.directory.edit.error))),
            "ledger_healthy": ("1 while records can be written.", float(self.ledger.healthy)),
        }


def _identify_by(rules: IdentityRules, ended: Mapping[str, Grant]) -> Identify:
    return chain_for(rules, ended).identify
