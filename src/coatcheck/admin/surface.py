"""The whole REST API: its routes put together, for the socket and for an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from starlette.types import ASGIApp

from coatcheck import __version__
from coatcheck.admin.api.application import Around, application
from coatcheck.admin.api.authenticate import BySocket, ByToken
from coatcheck.admin.api.idempotency import Answers
from coatcheck.admin.api.openapi import document
from coatcheck.admin.api.routes import AnyRoute
from coatcheck.admin.callbacks import Callbacks
from coatcheck.admin.resources.access import AccessRoutes
from coatcheck.admin.resources.activity import ActivityRoutes
from coatcheck.admin.resources.changes import ChangeRoutes
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
from coatcheck.admin.resources.reading import ReadingRoutes
from coatcheck.admin.resources.records import RecordRoutes
from coatcheck.admin.resources.reviews import ReviewRoutes
from coatcheck.admin.resources.segments import SegmentRoutes
from coatcheck.admin.resources.servers import ServerRoutes
from coatcheck.admin.resources.sinks import SinkRoutes
from coatcheck.admin.resources.streams import Streams
from coatcheck.admin.resources.subjects import SubjectRoutes
from coatcheck.admin.resources.tools import ToolRoutes
from coatcheck.operations.use_cases import UseCases


@dataclass(frozen=True, slots=True)
class Admin:
    """The surfaces for programs: `socket` serves the local account, `network` operators by token.

    `callbacks` is a page for browsers.
    """

    socket: ASGIApp
    network: ASGIApp
    callbacks: ASGIApp
    routes: Sequence[AnyRoute]


def admin_of(cases: UseCases) -> Admin:
    """Return the surfaces over these cases."""
    gateway = GatewayRoutes(cases.directory, cases.overview, cases.backup)
    streams = Streams()
    routes: list[AnyRoute] = [
        *gateway.routes(),
        *ServerRoutes(cases.servers, cases.views).routes(),
        *CredentialRoutes(cases.credentials).routes(),
        *RotationRoutes(cases.rotations, cases.hasty, cases.connecting, cases.origin).routes(),
        *KeyRoutes(cases.key).routes(),
        *ToolRoutes(cases.directory, cases.views, cases.calls).routes(),
        *ReviewRoutes(cases.reviewing).routes(),
        *GrantRoutes(cases.grants, cases.origin).routes(),
        *SubjectRoutes(cases.subjects, cases.offboarding).routes(),
        *PolicyRoutes(cases.policies, cases.policy_uses).routes(),
        *AccessRoutes(cases.access).routes(),
        *ExplainingRoutes(cases.explaining).routes(),
        *PolicyReplayRoutes(cases.replays, cases.suggestions, cases.readers).routes(),
        *RecordRoutes(cases.ledger, streams, cases.values, cases.readers).routes(),
        *ActivityRoutes(cases.activity, cases.clock).routes(),
        *SegmentRoutes(cases.retention).routes(),
        *ReadingRoutes(cases.exports, cases.evidence, streams, cases.readers).routes(),
        *ChangeRoutes(cases.changes, streams).routes(),
        *CheckpointRoutes(cases.checkpoint, cases.accepting).routes(),
        *SinkRoutes(cases.sinks).routes(),
        *OperatorRoutes(cases.operators).routes(),
    ]
    gateway.document = msgspec.json.encode(document(routes, __version__))

    async def fresh() -> None:
        if cases.directory.stale():
            await cases.directory.refresh()

    around = Around(Answers(cases.clock), fresh, lambda status: cases.tally.answered("api", status))
    return Admin(
        application(routes, BySocket(), around),
        application(routes, ByToken(cases.operators, cases.spend), around),
        Callbacks(cases.connecting, cases.spend, cases.tally).application(),
        routes,
    )
