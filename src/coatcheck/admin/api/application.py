"""The routes as an ASGI application: who asks, may they, what do they say; then the answer in its form."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from coatcheck.admin.api import idempotency, reading
from coatcheck.admin.api.authenticate import Authenticate, Coming
from coatcheck.admin.api.idempotency import Answers
from coatcheck.admin.api.problems import Problem, Wrong, internal, problem, problem_of
from coatcheck.admin.api.routes import PREFIX, AnyRoute, Asking, Match, Reply, Streamed
from coatcheck.core import defects
from coatcheck.core.wire import framing
from coatcheck.errors import CoatcheckError
from coatcheck.model.operator import Actor
from coatcheck.operations.permissions import may

log = logging.getLogger(__name__)

SOCKET: Final = "socket"
ALWAYS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Around:
    """What the application asks of the rest: `fresh` reads a waiting edit, `count` takes each status."""

    answers: Answers
    fresh: Callable[[], Awaitable[None]]
    count: Callable[[int], None]


def application(routes: Sequence[AnyRoute], authenticate: Authenticate, around: Around) -> Starlette:
    """Return the ASGI application that serves the routes to whoever `authenticate` lets in."""
    by_path: dict[str, dict[str, AnyRoute]] = {}
    for route in routes:
        by_path.setdefault(route.path, {})[route.method] = route
    desk = _Desk(authenticate, around)
    made = Starlette(
        routes=[
            StarletteRoute(PREFIX + path, _Place(desk, methods), methods=_own_methods(path, by_path))
            for path, methods in by_path.items()
        ],
        exception_handlers={HTTPException: desk.not_served},
    )
    made.router.redirect_slashes = False  # it would make a URL from the Host header
    return made


def _own_methods(path: str, by_path: Mapping[str, Mapping[str, AnyRoute]]) -> list[str] | None:
    """Return the methods that a path takes from one with a name in its place; None: it takes all.

    So a grant labelled `batch` can still be read at `/grants/batch`.
    """
    parent = path.rpartition("/")[0]
    shadowed = any(f"{parent}/{name}" in by_path for name in ("{ref}", "{name}"))
    return [*by_path[path], "OPTIONS"] if shadowed and not path.endswith("}") else None


class _Desk:
    """What is the same for every path."""

    def __init__(self, authenticate: Authenticate, around: Around) -> None:
        self.authenticate = authenticate
        self.around = around

    def admit(self, scope: Scope) -> Coming:
        """Return where a request comes from.

        Raises:
            Problem: it is misframed, or nothing is answered there.
        """
        arrival = scope.get(framing.ARRIVAL)
        if arrival is not None:
            coming = Coming(arrival.headers, arrival.peer, arrival.address)
        else:
            headers = framing.read_headers(scope["headers"])
            if isinstance(headers, framing.Misframed):
                raise Problem("bad_request", Wrong(headers.sentence), status=headers.status)
            coming = Coming(headers, SOCKET, SOCKET)
        self.authenticate.admit(coming)
        _check_path(scope)
        return coming

    async def not_served(self, request: Request, error: Exception) -> Response:  # noqa: ARG002 - its shape
        """Answer a path that there is not, to those who may know."""
        try:
            self.authenticate.identify(self.admit(request.scope))
        except Problem as refused:
            return self.dress(refused.response())
        fix = "The paths are in /api/v1/openapi.json; is the program of the gateway's version?"
        return self.dress(problem("not_found", "The API has no such path.", fix).response())

    def dress(self, response: Response) -> Response:
        """Give an answer what all have."""
        for name, value in ALWAYS.items():
            response.headers.setdefault(name, value)
        self.around.count(response.status_code)
        return response


def _check_path(scope: Scope) -> None:
    """Refuse a path that would be read as another than the one that was sent.

    A name with a slash in it must not become two steps, nor one that is no UTF-8 the name of another.

    Raises:
        Problem: it is such a path.
    """
    raw = scope.get("raw_path") or b""
    if b"%2f" in raw.lower():
        raise Problem("bad_request", Wrong("A name in a path has no slash.", "Name the object by its id."))
    try:
        unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Problem("bad_request", Wrong("The path is no UTF-8.")) from None


class _Place:
    """One path with its methods: an ASGI application."""

    def __init__(self, desk: _Desk, methods: Mapping[str, AnyRoute]) -> None:
        self._desk = desk
        self._methods = dict(methods)
        if "GET" in methods:
            self._methods["HEAD"] = methods["GET"]
        self._allow = ", ".join(sorted({*self._methods, "OPTIONS"}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._answer(scope, receive)
        except Problem as refused:
            response = refused.response()
        except CoatcheckError as error:
            response = problem_of(error).response()
        except Exception as error:  # noqa: BLE001 - a defect, told without what it was about
            log.error("the API failed with %s", defects.told(error))
            response = internal().response()
        response = self._desk.dress(response)
        if scope["method"] == "HEAD" and isinstance(response, StreamingResponse):
            response = Response(headers=dict(response.headers))
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        desk = self._desk
        coming = desk.admit(scope)
        route = self._methods.get(scope["method"])
        actor = None
        if route is None or route.permission is not None:
            actor = desk.authenticate.identify(coming)
        if route is None:
            return self._other(scope["method"])
        _check_role(route, actor)
        await desk.around.fresh()
        if scope["method"] == "HEAD" and route.gives is None:
            return Response(media_type=route.streams.split(", ")[0])
        version = _version(route, coming)
        query = reading.read_query(route.query, scope["query_string"])
        body = b""
        if route.has_body:
            body = await reading.read_body(receive, coming.headers, route)
            if actor is not None:  # whoever it was may have been ended while the body came
                actor = desk.authenticate.identify(coming)
                _check_role(route, actor)

        async def make() -> Response:
            asking = Asking(
                actor,
                {key: reading.read_name(word) for key, word in scope.get("path_params", {}).items()},
                query,
                reading.read_shape(route.body, body),
                version,
                coming.address,
                lambda: desk.authenticate.stands(coming),
                lambda: desk.authenticate.spend(coming.address),
            )
            return _response(await route.answer(asking))

        key = idempotency.read_key(coming.headers.get("idempotency-key", ())) if route.takes_key else None
        if key is None or actor is None:
            return await make()
        asked = (route.method, f"{scope['path']}?{scope['query_string'].decode('latin-1')}", body)
        return await desk.around.answers.once((actor.name, _print_of_token(coming), key), asked, make)

    def _other(self, method: str) -> Response:
        if method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": self._allow})
        wrong = Wrong(f"This path answers {self._allow} only.", "The paths are in /api/v1/openapi.json.")
        raise Problem("method_not_allowed", wrong, headers={"Allow": self._allow})


def _print_of_token(coming: Coming) -> str:
    """Return what tells apart two operators that had one name, one after the other: answers hold tokens."""
    written = "\0".join(coming.headers.get("authorization", ()))
    return hashlib.sha256(written.encode("latin-1", "replace")).hexdigest()


def _check_role(route: AnyRoute, actor: Actor | None) -> None:
    if route.permission is None or (actor is not None and may(actor.role, route.permission)):
        return
    role = actor.role.value if actor else ""
    raise problem(
        "role_lacks",
        f"The role {role} may not do this: it needs `{route.permission}`.",
        "The table of roles is in the documentation of the API.",
    )


def _version(route: AnyRoute, coming: Coming) -> int | None:
    if route.match is Match.UNUSED:
        return None
    return reading.read_match(coming.headers, required=route.match is Match.REQUIRED)


def _response(reply: Reply | Streamed) -> Response:
    headers: MutableMapping[str, Any] = {}
    if isinstance(reply, Streamed):
        if reply.name:
            headers["Content-Disposition"] = f'attachment; filename="{reply.name}"'
        return StreamingResponse(reply.parts, headers=headers, media_type=reply.media)
    if reply.version is not None:
        headers["ETag"] = f'"{reply.version}"'
    if reply.location is not None:
        headers["Location"] = reply.location
    return Response(msgspec.json.encode(reply.body), reply.status, dict(headers), "application/json")
