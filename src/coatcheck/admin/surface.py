"""The whole REST API: its routes put together, for the socket and for an address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import ASGIApp

from coatcheck import __version__
from coatcheck.admin.api.application import Around, application
from coatcheck.admin.api.authenticate import BySocket, ByToken
from coatcheck.admin.api.idempotency import Answers
from coatcheck.admin.api.openapi import document
from coatcheck.admin.api.routes import AnyRoute
from coatcheck.admin.callbacks import Callbacks
from coatcheck.admin.claims import Claims
from coatcheck.admin.resources.access import AccessRoutes
from coatcheck.admin.resources.changes import ChangeRoutes, ListChanges
from coatcheck.admin.resources.checkpoints import CheckpointRoutes
from coatcheck.admin.resources.credentials.credentials import CredentialRoutes
from coatcheck.admin.resources.credentials.rotations import RotationRoutes
from coatcheck.admin.resources.explaining import ExplainingRoutes
from coatcheck.admin.resources.gateway import GatewayRoutes
from coatcheck.admin.resources.grants import GrantRoutes
from coatcheck.admin.resources.keys import KeyRoutes
from coatcheck.admin.resources.operators import OperatorRoutes
from coatcheck.admin.resources.policies import PolicyRoutes
from coatcheck.admin.resources.policy_replays import PolicyReplayRoutes
from coatcheck.admin.resources.reading import Bundle, ReadingRoutes
from coatcheck.admin.resources.records import RecordRoutes
from coatcheck.admin.resources.reviews import ReviewRoutes
from coatcheck.admin.resources.segments import SegmentRoutes
from coatcheck.admin.resources.servers import ServerRoutes
from coatcheck.admin.resources.sinks import SinkRoutes
from coatcheck.admin.resources.streams import Streams
from coatcheck.admin.resources.subjects import SubjectRoutes
from coatcheck.admin.resources.tools import ToolRoutes
from coatcheck.core.recording.argument_values import ArgumentValues
from coatcheck.model.chain import Checkpoint
from coatcheck.operations.accepting import Accepting
from coatcheck.operations.calling.call import Calls
from coatcheck.operations.credentials.credentials import Credentials
from coatcheck.operations.directory import Directory
from coatcheck.operations.exporting import Exports
from coatcheck.operations.oauth.connecting import Connecting
from coatcheck.operations.pinning.reviewing import Reviewing
from coatcheck.operations.policies.explaining import Explaining
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.replaying import Replays
from coatcheck.operations.policies.suggesting import Suggestions
from coatcheck.operations.policies.using import PolicyUses
from coatcheck.operations.readers import Readers
from coatcheck.operations.registry.access import AccessViews
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.operators import Operators
from coatcheck.operations.registry.rekeying import Rekeying
from coatcheck.operations.registry.serving.servers import RegisteredServers
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.retention import Retention
from coatcheck.operations.rotation.rotating import Rotations
from coatcheck.operations.tally import Tally
from coatcheck.operations.views import Views
from coatcheck.ports import Clock, Ledger, Sinks


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the API serves, handed in by the composition root.

    `origin` returns the URL that clients reach the gateway by, without a path. `spend` counts a wrong token
    or code against an address and tells whether more are looked at. `backup` makes a copy and yields it.
    `hasty` are the rotations too, but wait for no call with the former version.
    """

    directory: Directory
    views: Views
    calls: Calls
    ledger: Ledger
    values: ArgumentValues
    grants: Grants
    subjects: Subjects
    servers: RegisteredServers
    credentials: Credentials
    rotations: Rotations
    hasty: Rotations
    connecting: Connecting
    key: Rekeying
    operators: Operators
    policies: Policies
    policy_uses: PolicyUses
    access: AccessViews
    explaining: Explaining
    replays: Replays
    suggestions: Suggestions
    reviewing: Reviewing
    changes: ListChanges
    exports: Exports
    evidence: Bundle
    readers: Readers
    retention: Retention
    checkpoint: Callable[[], Awaitable[Checkpoint]]
    accepting: Accepting
    sinks: Sinks
    backup: Callable[[], Awaitable[AsyncIterator[bytes]]]
    overview: Callable[[], Mapping[str, Any]]
    origin: Callable[[], str]
    spend: Callable[[str], bool]
    clock: Clock
    tally: Tally


@dataclass(frozen=True, slots=True)
class Admin:
    """The surfaces for programs: `socket` serves the local account, `network` operators by token.

    `claims` and `callbacks` are pages for browsers.
    """

    socket: ASGIApp
    network: ASGIApp
    claims: ASGIApp
    callbacks: ASGIApp
    routes: Sequence[AnyRoute]


def admin_of(parts: Parts) -> Admin:
    """Return the surfaces over these parts."""
    gateway = GatewayRoutes(parts.directory, parts.overview, parts.backup)
    streams = Streams()
    routes: list[AnyRoute] = [
        *gateway.routes(),
        *ServerRoutes(parts.servers, parts.views).routes(),
        *CredentialRoutes(parts.credentials).routes(),
        *RotationRoutes(parts.rotations, parts.hasty, parts.connecting, parts.origin).routes(),
        *KeyRoutes(parts.key).routes(),
        *ToolRoutes(parts.directory, parts.views, parts.calls).routes(),
        *ReviewRoutes(parts.reviewing).routes(),
        *GrantRoutes(parts.grants, parts.origin).routes(),
        *SubjectRoutes(parts.subjects).routes(),
        *PolicyRoutes(parts.policies, parts.policy_uses).routes(),
        *AccessRoutes(parts.access).routes(),
        *ExplainingRoutes(parts.explaining).routes(),
        *PolicyReplayRoutes(parts.replays, parts.suggestions, parts.readers).routes(),
        *RecordRoutes(parts.ledger, streams, parts.values, parts.readers).routes(),
        *SegmentRoutes(parts.retention).routes(),
        *ReadingRoutes(parts.exports, parts.evidence, streams, parts.readers).routes(),
        *ChangeRoutes(parts.changes, streams).routes(),
        *CheckpointRoutes(parts.checkpoint, parts.accepting).routes(),
        *SinkRoutes(parts.sinks).routes(),
        *OperatorRoutes(parts.operators).routes(),
    ]
    gateway.document = msgspec.json.encode(document(routes, __version__))

    async def fresh() -> None:
        if parts.directory.stale():
            await parts.directory.refresh()

    around = Around(Answers(parts.clock), fresh, lambda status: parts.tally.answered("api", status))
    return Admin(
        application(routes, BySocket(), around),
        application(routes, ByToken(parts.operators, parts.spend), around),
        Claims(parts.grants, parts.origin, parts.spend, parts.tally).application(),
        Callbacks(parts.connecting, parts.spend, parts.tally).application(),
        routes,
    )
