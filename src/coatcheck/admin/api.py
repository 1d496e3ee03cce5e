"""The REST API under `/api/v1`, served on the socket in the data directory to whoever may open it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from coatcheck.admin import shapes
from coatcheck.core.record_lines import line_of
from coatcheck.core.wire import messages, strict
from coatcheck.errors import AmbiguousJson, BadJson, CoatcheckError, Unavailable
from coatcheck.model.call import Call, Fault, Kind, Target
from coatcheck.model.record import Outcome, RecordFilter, Verdict
from coatcheck.operations.calling.call import Calls
from coatcheck.operations.directory import Directory
from coatcheck.operations.records import Asked
from coatcheck.operations.views import OPERATOR, OPERATORS_TOOL, Views
from coatcheck.ports import Ledger

ROUTE: Final = "cli"
"""The route on records of calls made through this API."""
MAX_BODY: Final = 4 * 1024 * 1024
MAX_LIMIT: Final = 10_000


class Api:
    """The handlers; each answers one path."""

    def __init__(
        self,
        directory: Directory,
        views: Views,
        calls: Calls,
        ledger: Ledger,
        overview: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._directory = directory
        self._views = views
        self._calls = calls
        self._ledger = ledger
        self._overview = overview

    def application(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/api/v1/status", self.status),
                Route("/api/v1/servers", self.servers),
                Route("/api/v1/tools", self.tools),
                Route("/api/v1/calls", self.call, methods=["POST"]),
                Route("/api/v1/records", self.records),
            ],
            exception_handlers={CoatcheckError: _failed, HTTPException: _not_served},
        )

    async def status(self, request: Request) -> Response:  # noqa: ARG002 - the shape of a handler
        """Say how the gateway does."""
        await self._refresh()
        edit = self._directory.edit
        body = {
            **self._overview(),
            "servers": len(self._directory.snapshot.servers),
            "epoch": self._directory.snapshot.epoch,
        }
        body["config"] = {
            **body.get("config", {}),
            "error": edit.error or None,
            "problems": [shapes.problem(one) for one in edit.problems],
            "notices": [shapes.problem(one) for one in edit.notices],
        }
        return JSONResponse(body)

    async def servers(self, request: Request) -> Response:
        """List the servers."""
        await self._refresh()
        probe = request.query_params.get("probe") == "true"
        return JSONResponse(
            shapes.listing([shapes.server(one) for one in await self._views.servers(probe=probe)])
        )

    async def tools(self, request: Request) -> Response:
        """List tools, of one server or of all."""
        await self._refresh()
        name = request.query_params.get("server")
        try:
            tools, failing = await self._views.tools(name)
        except KeyError:
            return _no_server(name or "")
        body = shapes.listing([shapes.tool(one) for one in tools])
        body["failing"] = [{"server": server, "error": error} for server, error in failing]
        return JSONResponse(body)

    async def call(self, request: Request) -> Response:
        """Call a tool as the operator of this machine."""
        await self._refresh()
        wanted = _read_call(await _read_body(request))
        if isinstance(wanted, Response):
            return wanted
        name, tool, arguments = wanted
        server = self._directory.snapshot.servers.get(name)
        if server is None:
            return _no_server(name)
        asked = Asked(OPERATOR, OPERATORS_TOOL, ROUTE, "")
        call = Call(b"1", "tools/call", {"name": messages.raw_of(tool), "arguments": arguments})
        performed = await self._calls.perform(
            asked, self._directory.snapshot.access, server, Target(Kind.TOOL, tool), call, _ignore, tool
        )
        # A denial that the caller may see is a tool result, and so an answer like any other.
        status = _STATUS.get(performed.outcome, 200) if isinstance(performed.reply, Fault) else 200
        return Response(shapes.reply(name, tool, performed.reply), status, media_type="application/json")

    async def records(self, request: Request) -> Response:
        """List records, or follow them as JSON Lines."""
        try:
            wanted = _read_filter(request.query_params)
        except ValueError as error:
            return _error(400, "bad_filter", str(error), "See `coatcheck logs --help`.")
        if request.query_params.get("follow") == "true":
            return StreamingResponse(self._follow(wanted), media_type="application/jsonl")
        entries = await self._ledger.list(wanted)
        return JSONResponse(shapes.listing([line_of(entry) for entry in entries]))

    async def _follow(self, wanted: RecordFilter) -> AsyncIterator[bytes]:
        async for entry in self._ledger.follow(wanted):
            yield json.dumps(line_of(entry)).encode() + b"\n"

    async def _refresh(self) -> None:
        if self._directory.stale():
            await self._directory.refresh()


async def _read_body(request: Request) -> bytes:
    """Return the body, or as much of it as shows that it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            break
    return bytes(body)


def _read_call(body: bytes) -> tuple[str, str, bytes] | Response:
    """Return server, tool and arguments (raw) of a call, or the answer to a body that has none."""
    if len(body) > MAX_BODY:
        return _error(413, "too_large", f"The body is larger than {MAX_BODY} bytes.", "")
    try:
        strict.read(body)
    except (BadJson, AmbiguousJson) as error:
        return _error(400, error.code, error.message, "Send one JSON object.")
    members = messages.members_of(body) or {}
    name, tool = (messages.text_of(members.get(key)) for key in ("server", "tool"))
    arguments = members.get("arguments", b"{}")
    if name is None or tool is None or not arguments.startswith(b"{"):
        return _error(400, "bad_call", "server and tool must be strings, arguments an object.", "")
    return name, tool, arguments


def _read_filter(query: Mapping[str, str]) -> RecordFilter:
    decision = query.get("decision")
    since = query.get("since")
    limit = int(query.get("limit", "100"))
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be from 1 to {MAX_LIMIT}")
    moment = datetime.fromisoformat(since) if since else None
    return RecordFilter(
        server=query.get("server"),
        tool=query.get("tool"),
        subject=query.get("subject"),
        decision=Verdict(decision) if decision else None,
        since=moment.replace(tzinfo=moment.tzinfo or UTC) if moment else None,
        errors=query.get("errors") == "true",
        limit=limit,
        after=int(query["after"]) if "after" in query else None,
    )


_STATUS: Final = {
    Outcome.UPSTREAM_ERROR: 502,
    Outcome.TIMEOUT: 504,
    Outcome.DENIED: 404,
    Outcome.UNKNOWN: 503,
}
"""Status for the outcomes that are no answer of the server's own; those are 200."""


def _no_server(name: str) -> Response:
    return _error(
        404, "unknown_server", f"There is no server {name!r}.", "`coatcheck list` names the servers."
    )


def _error(status: int, code: str, message: str, fix: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message, "fix": fix}}, status)


async def _failed(request: Request, error: Exception) -> Response:  # noqa: ARG001 - the shape of a handler
    assert isinstance(error, CoatcheckError)  # noqa: S101 - registered for these only
    status = 503 if isinstance(error, Unavailable) else 500
    return _error(status, error.code, error.message, error.fix)


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
    sentence = f"The API has no {request.method} {request.url.path}: {error.detail}."
    code = "method_not_allowed" if error.status_code == 405 else "not_found"
    response = _error(error.status_code, code, sentence, "Is the command of the gateway's version?")
    response.headers.update(error.headers or {})
    return response


def _ignore(notice: object) -> None:
    """Take a notice that nobody shows."""
