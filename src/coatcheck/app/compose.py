"""Composition: from settings to a gateway whose parts know each other only through ports."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Self

from coatcheck import __version__
from coatcheck.admin.metrics import metrics_page
from coatcheck.admin.probes import Probes, Readiness
from coatcheck.admin.surface import admin_of
from coatcheck.app.auditing import checkpointing_of
from coatcheck.app.cases import cases_of
from coatcheck.app.consoling import consoling_of
from coatcheck.app.credentials import cloakroom_of
from coatcheck.app.gauges import gauges_of
from coatcheck.app.oauth import oauth_of
from coatcheck.app.openid import openid_of
from coatcheck.app.pinning import pinned
from coatcheck.app.readings import readings_of
from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.app.recording import recording_of
from coatcheck.app.registry import Identifying, registered
from coatcheck.app.sinks import OutputFollowing, output_of, shown, sink_of, sinks_of
from coatcheck.app.unsealing.key_files import FilesOfKey
from coatcheck.app.unsealing.opening import unseal
from coatcheck.app.upstreams import RealUpstreams
from coatcheck.audit.following import Following
from coatcheck.config import Config, check_exposure
from coatcheck.core.sealing.keys import Keys, Purpose
from coatcheck.core.sealing.states import Seal
from coatcheck.declared.live import LiveDeclaration
from coatcheck.declared.locate import locate
from coatcheck.declared.reading.expand import Sources
from coatcheck.errors import CoatcheckError, LedgerUnavailable, Unavailable
from coatcheck.identity.throttle import Throttle
from coatcheck.mcp.admission import Admission
from coatcheck.mcp.endpoint import Endpoint
from coatcheck.mcp.exchange import Exchanges
from coatcheck.mcp.legacy.sessions import SessionLimits, Sessions
from coatcheck.mcp.legacy.streams import EventLimits
from coatcheck.mcp.methods import Methods
from coatcheck.model.declaration import Declaration
from coatcheck.model.registry import Registry
from coatcheck.operations.calling.call import Calls
from coatcheck.operations.calling.gate import Gate, GateLimits
from coatcheck.operations.calling.limiting import Limiting
from coatcheck.operations.calling.patience import CallTimes
from coatcheck.operations.calling.severing import Severing
from coatcheck.operations.calling.states import States
from coatcheck.operations.checkpointing import Checkpointing
from coatcheck.operations.cutting import Cutting, Gone
from coatcheck.operations.directory import Directory, Snapshot
from coatcheck.operations.hearing.changes import Changes
from coatcheck.operations.hearing.listening import Listening
from coatcheck.operations.hearing.watches import Watches
from coatcheck.operations.inflight import Inflight
from coatcheck.operations.lists import Lists
from coatcheck.operations.reaching.conversation import Conversations
from coatcheck.operations.reaching.places import PlaceLimits, Places
from coatcheck.operations.reaching.served import ListTimes
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.granting.seen import SeenBook
from coatcheck.operations.registry.recalling import Recalling
from coatcheck.operations.tally import Tally
from coatcheck.operations.views import Views
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource
from coatcheck.store.copies import StoredCopies
from coatcheck.store.engines.database import Database
from coatcheck.store.opening import open_database
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.registry.store import StoredRegistry
from coatcheck.store.server_ids import StoredServerIds

log = logging.getLogger(__name__)

_CUT_SECONDS: Final = 2.0
"""How long requests that were cut short may take to say so, and to have it recorded."""


class Gateway:
    """All parts of a running gateway. Opened on an event loop, closed on the same."""

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        database: Database,
        ledger: StoredLedger,
        store: StoredRegistry,
        keys: Keys,
        checkpointing: Checkpointing,
        *,
        team: bool,
    ) -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        self.config = config
        self.database = database
        self.ledger = ledger
        self.store = store
        self.checkpointing = checkpointing
        copies = StoredCopies(database)
        self.sinks = Following(copies, copies, lambda rules: sink_of(rules, config, clock), clock)
        self.started_at: datetime = clock.now()
        self.address = str(config.http)
        self.stopping = False
        self.team = team
        found = locate(config.config, environment, config.data, home=not team)
        self.declaration = LiveDeclaration(found, Sources(EnvSource(environment), FileSource()))
        self.tally = Tally()
        self.inflight = Inflight()
        self.directory = Directory(
            self.declaration,
            StoredServerIds(database, store, entropy),
            Identifying(store.pepper, clock),
            self._check,
            Recalling(store, Scribe(clock, entropy), clock, store.print_key),
            anonymous=not team,
        )
        self.seen = SeenBook(store, clock)
        times = ListTimes(config.list_ttl, config.list_wait, config.call_timeout)
        self.oauth = oauth_of(
            config,
            self._snapshot,
            lambda make: self.registered.book.edit(make),  # noqa: PLW0108 - there is no book yet
            store.print_key,
            clock,
            entropy,
        )
        upstreams = RealUpstreams(config, environment, clock, self.oauth.bearers)
        self.servers = Servers(upstreams, clock, times)
        self.recording = recording_of(ledger, store, clock, entropy, self.tally, self.seen.note)
        self.records, self.refusals = self.recording.records, self.recording.refusals
        gate = Gate(GateLimits(config.calls_per_grant, config.calls_total, config.queue_timeout))
        states = States(Seal(keys.of(Purpose.STATE_SEAL)), clock, entropy)
        severing = Severing()
        call_times = CallTimes(config.call_timeout, config.call_longest)
        self.limiting = Limiting(clock)
        self.calls = Calls(self.servers, self.records, gate, call_times, states, self.limiting, severing)
        lists = Lists(self.servers, self.records, config.list_wait)
        self.places = Places(PlaceLimits(config.children_per_grant, config.children_total))
        self.conversations = Conversations(self.servers, self.places, self._snapshot)
        self.conversations.keep_seconds = config.credential_drain
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
        self.cutting = Cutting(self.inflight, severing, self.servers, self.sessions, clock)
        throttle = Throttle(clock)
        self.admission = Admission(self.directory, self.refusals, self.tally, throttle.spend)
        self.endpoint = Endpoint(
            self.admission,
            self.methods,
            self.sessions,
            Exchanges(self.methods, self.inflight, ledger.log if config.receipts else ""),
            self.tally,
            config.body_limit,
        )
        self.views = Views(self.servers, config.list_wait)
        self.probes = Probes(
            self.readiness, self.overview, metrics_page(self.tally, self._gauges, self.sinks.statuses)
        )
        self.registered = registered(
            config,
            store,
            self.directory,
            self.cutting,
            self.views,
            self.seen,
            store.pepper,
            store.print_key,
            clock,
            entropy,
            FilesOfKey(config.data, environment, entropy),
            self.limiting,
        )
        self.pinned = pinned(self.registered.desk, self.servers, self._snapshot, config.quarantine_tools)
        self.reviewing = self.pinned.reviewing
        self.cloakroom = cloakroom_of(self.registered.desk, self.servers, self.records)
        self.readings = readings_of(config, database, checkpointing, self._snapshot, clock, entropy)
        self.cases = cases_of(self, clock, entropy)
        self.admin = admin_of(self.cases)
        self.consoling = consoling_of(
            config,
            database,
            self.directory,
            self.registered.desk,
            self.recording,
            openid_of(
                config,
                environment,
                Seal(keys.of(Purpose.STATE_SEAL)),
                self.registered.desk,
                clock,
                entropy,
            ),
            store.pepper,
            clock,
            entropy,
        )
        self.console = self.consoling.console(self.cases)
        self.developers = self.consoling.developers(self.cases)
        self.api = self.admin.socket

    @classmethod
    async def open(cls, config: Config, environment: Mapping[str, str], *, team: bool = False) -> Self:
        """Open the store, read the file and publish the first snapshot. No server is reached yet.

        `team`: nobody is served without a grant, and the file in the home directory is not read.

        Raises:
            ConfigError: settings, data directory or file cannot be used.
        """
        database = open_database(config.data, config.database)
        try:
            return await cls.on(database, config, environment, team=team)
        except BaseException:
            database.close()
            raise

    @classmethod
    async def on(
        cls, database: Database, config: Config, environment: Mapping[str, str], *, team: bool = False
    ) -> Self:
        """Do the same on a store that is open, and is the gateway's to close from then on.

        Raises:
            Sealed: the store belongs to another key; it stays open, for another try.
            ConfigError: as `open`.
        """
        sinks = sinks_of(config, environment)
        keys, store = await unseal(database, config.data, environment, SystemEntropy())
        ledger = await StoredLedger.open(database, SystemClock())
        checkpointing = await checkpointing_of(config, database, SystemClock(), SystemEntropy())
        registry = await store.load()
        gateway = cls(config, environment, database, ledger, store, keys, checkpointing, team=team)
        await gateway.directory.open(registry)
        for row in registry.damaged:
            log.error("ALARM: the stored row of %s was changed outside of the gateway; it is not used", row)
        live = (one.policy for one in registry.policies.values() if one.ended_at is None)
        await gateway.limiting.restore(live, ledger.list)
        gateway._follow(gateway.directory.snapshot, Gone())
        gateway.directory.subscribe(gateway._follow)
        await gateway.consoling.sessions.load()
        gateway.directory.subscribe(gateway.consoling.sessions.follow)
        audit = gateway.directory.snapshot.audit
        await gateway.sinks.open([*sinks, *output_of(audit)])
        output = OutputFollowing(gateway.sinks, audit, lambda: ledger.last)
        gateway.directory.subscribe(output.follow)
        await gateway._adopt()
        return gateway

    async def _adopt(self) -> None:
        """Make credentials of the secrets that an earlier version kept with its servers."""
        try:
            made = await self.cloakroom.adopting.run()
        except CoatcheckError as error:  # they are served as they are, and the next start tries again
            log.warning("secrets of servers could not be made credentials: %s", error.message)
            return
        if made:
            log.info("%d secrets of servers are credentials now: coatcheck credential list", made)

    def _snapshot(self) -> Snapshot:
        return self.directory.snapshot

    def _follow(self, snapshot: Snapshot, gone: Gone) -> None:
        """Bring everything that depends on the snapshot in line with it, at once."""
        self.records.log_arguments = snapshot.audit.log_arguments
        self.pinned.follow()
        self.servers.apply(snapshot.servers)
        self.conversations.follow()
        self.cutting.begin(gone)
        self.changes.note()

    def _check(self, declaration: Declaration, registry: Registry) -> None:
        check_exposure(
            self.config, declaration.identity, has_grants=bool(registry.grants), anonymous=not self.team
        )

    def origin(self) -> str:
        """Return the URL that clients reach the gateway by, without a path."""
        return self.config.public_url or f"http://{self.address}"

    def _origin_of_api(self) -> str:
        """Return the URL that operators reach API and console by."""
        own = self.config.admin
        return self.origin() if own is None else self.config.admin_url or f"http://{own}"

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
        await self.pinned.keeping.close()
        await self.cloakroom.runs.close()
        await self.cases.replay_runs.close()
        await self.servers.close(0.0)
        await self.oauth.bearers.close()
        with suppress(LedgerUnavailable):  # the ledger has said so; the counts end with us
            await self.refusals.flush(everything=True)
        with suppress(Unavailable):
            await self.seen.flush()
        with suppress(Unavailable):
            await self.consoling.sessions.close()
        await self.cloakroom.refusing.close()
        await self.readings.close()
        await self.ledger.close()
        await self.sinks.close()
        await self.checkpointing.close()
        self.database.close()

    # --- what it says of itself ---

    def readiness(self) -> Readiness:
        """Say whether calls can be answered. Servers are not waited for: each call finds out itself."""
        blocking = []
        if self.stopping:
            blocking.append("stopping")
        if not self.ledger.healthy:
            blocking.append(f"the record cannot be written: {self.ledger.last_error}")
        if self.registered.book.behind:
            blocking.append("what operators made cannot be read from the store")
        elif self.directory.snapshot.registry.uncertain:
            blocking.append("stored restrictions were changed outside of the gateway: see `coatcheck doctor`")
        error = self.directory.edit.error
        odd = [f"a bad edit is not used: {error}"] if error else []
        odd += [*self.checkpointing.alarms, *self.checkpointing.troubles]
        damaged = self.directory.snapshot.registry.damaged
        odd += [f"the stored row of {row} was changed outside of the gateway" for row in damaged]
        return Readiness(tuple(blocking), tuple(odd))

    def overview(self) -> dict[str, Any]:
        """Return what `status` and `/health` show."""
        path = self.declaration.path
        readiness = self.readiness()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "http": f"http://{self.address}",
            "public_url": self.origin(),
            "api": self._origin_of_api(),
            "ready": not readiness.blocking,
            "blocking": list(readiness.blocking),
            "config": {"path": str(path) if path else None},
            "ledger": {"healthy": self.ledger.healthy, "error": self.ledger.last_error},
            "checkpoints": self.checkpointing.told(),
            "calls_under_way": self.inflight.count,
            "sessions": len(self.sessions),
            "streams": self.inflight.lasting,
            "tools": self.pinned.told(),
            "damaged": list(self.directory.snapshot.registry.damaged),
            "sinks": [shown(status) for status in self.sinks.statuses()],
        }

    def _gauges(self) -> Mapping[str, tuple[str, float]]:
        return gauges_of(
            self.directory, self.servers, self.inflight, self.cloakroom, self.reviewing.waiting()
        ) | {
            "sessions": ("Sessions of legacy clients.", len(self.sessions)),
            "own_children": ("Children that run for single sessions.", len(self.places)),
            "ledger_healthy": ("1 while records can be written.", float(self.ledger.healthy)),
        }
