"""The page that an authorization server sends a browser back to; it shows how that ended, and no secrets."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.admin.plain_page import HEADERS, page
from coatcheck.core.wire.framing import ARRIVAL
from coatcheck.operations.oauth.connecting import CALLBACK, Connecting
from coatcheck.operations.tally import Tally


class Callbacks:
    """Serves `/oauth/callback`. `spend` counts an unknown link against an address; False: too many."""

    def __init__(self, connecting: Connecting, spend: Callable[[str], bool], tally: Tally) -> None:
        self._connecting = connecting
        self._spend = spend
        self._tally = tally

    def application(self) -> Starlette:
        """Return the ASGI application."""
        made = Starlette(
            routes=[Route(CALLBACK, self.finish, methods=["GET"])],
            exception_handlers={HTTPException: self._not_served},
        )
        made.router.redirect_slashes = False
        return made

    async def finish(self, request: Request) -> Response:
        """Complete a connection, where the link is one that was given out and was not used."""
        if request.method != "GET":  # a HEAD must change nothing
            return self._page(405, "Not like this", "Open the link in a browser.", {"Allow": "GET"})
        finished = await self._connecting.finish(request.query_params.multi_items())
        if finished.known:
            return self._page(200 if finished.ok else 400, finished.title, finished.sentence)
        if not self._spend(str(request.scope[ARRIVAL].address)):
            return self._page(429, "Too many wrong links", "Wait a minute.", {"Retry-After": "60"})
        return self._page(404, finished.title, finished.sentence)

    async def _not_served(self, request: Request, error: Exception) -> Response:  # noqa: ARG002 - its shape
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
        return self._page(
            error.status_code, "Nothing is here", "Open the link in a browser.", {"Allow": "GET"}
        )

    def _page(
        self, status: int, title: str, sentence: str, headers: dict[str, str] | None = None
    ) -> Response:
        self._tally.answered("oauth", status)
        return Response(page(title, sentence), status, {**HEADERS, **(headers or {})}, "text/html")
