"""The gateway itself over the API: how it does, its document, its backup."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw, Struct

from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route, Streamed
from coatcheck.model.declaration import Problem
from coatcheck.model.sink import SinkKind
from coatcheck.operations.directory import Directory
from coatcheck.operations.permissions import Permission

BACKUP_MEDIA = "application/octet-stream"


class ProblemOfFile(Struct):
    """One problem of the servers file."""

    line: int | None
    where: str
    message: str
    fix: str


class ConfigStatus(Struct, kw_only=True):
    """The servers file and how its last reading went; `error` null: well."""

    path: str | None
    error: str | None
    problems: list[ProblemOfFile]
    notices: list[ProblemOfFile]


class LedgerStatus(Struct):
    """Whether records can be written."""

    healthy: bool
    error: str


class SinkTold(Struct, kw_only=True):
    """How far behind a sink is; `error` says why it takes nothing for now."""

    name: str
    kind: SinkKind
    lag: int
    behind_since: str | None
    error: str


class CheckpointStatus(Struct, kw_only=True):
    """How far the record is signed, and what does not fit with what was signed before.

    `head` is the last entry, `signed` the last that was signed, and `signed_at` when that was.
    `moved`: something else wrote to it while the gateway ran, and calls are refused.
    """

    log: str
    head: int | None
    signed: int
    signed_at: str | None
    alarms: list[str]
    moved: bool
    file: str
    error: str


class Status(Struct, kw_only=True):
    """How the gateway does; it may say more than this.

    `http` is where it listens; `public_url` the origin for clients, and `api` that of this API. `blocking`
    says why calls are refused, where they are.
    """

    version: str
    pid: int
    started_at: str
    http: str
    public_url: str
    api: str
    ready: bool
    blocking: list[str]
    config: ConfigStatus
    ledger: LedgerStatus
    sinks: list[SinkTold]
    checkpoints: CheckpointStatus
    calls_under_way: int
    sessions: int
    streams: int
    servers: int
    epoch: int


class GatewayRoutes:
    """Serves the gateway. `overview` is what it says of itself, `backup` makes a copy of the store."""

    def __init__(
        self,
        directory: Directory,
        overview: Callable[[], Mapping[str, Any]],
        backup: Callable[[], Awaitable[AsyncIterator[bytes]]],
    ) -> None:
        self._directory = directory
        self._overview = overview
        self._backup = backup
        self.document = b"{}"
        """The OpenAPI document, set once all routes are known."""

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/status",
                permission=Permission.STATUS,
                summary="Tell how the gateway does.",
                answer=self.status,
                gives=Status,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="GET",
                path="/openapi.json",
                permission=Permission.SELF,
                summary="Return this document.",
                answer=self.openapi,
                gives=Document,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="GET",
                path="/backup",
                permission=Permission.BACKUP,
                summary="Return a copy of the store for `coatcheck restore`. Secrets in it are sealed.",
                answer=self.backup,
                gives=None,
                streams=BACKUP_MEDIA,
                query=Nothing,
                body=Nothing,
                errors=("config", "unfit"),
            ),
        ]

    async def status(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer GET /status."""
        edit, snapshot = self._directory.edit, self._directory.snapshot
        body = {**self._overview(), "servers": len(snapshot.servers), "epoch": snapshot.epoch}
        body["config"] = {
            **body.get("config", {}),
            "error": edit.error or None,
            "problems": [_problem(one) for one in edit.problems],
            "notices": [_problem(one) for one in edit.notices],
        }
        return Reply(body)

    async def openapi(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - as above
        """Answer GET /openapi.json."""
        return Reply(Raw(self.document))

    async def backup(self, asking: Asking[Nothing, Nothing]) -> Streamed:  # noqa: ARG002 - as above
        """Answer GET /backup."""
        return Streamed(await self._backup(), BACKUP_MEDIA, "coatcheck.backup.tar.gz")


class Document(Struct):
    """An OpenAPI document."""

    openapi: str


def _problem(one: Problem) -> ProblemOfFile:
    return ProblemOfFile(one.line, one.where, one.message, one.fix)
