"""The page behind a claim link: it shows a button, and only what the button sends fetches the token, once.

A link is fetched by many programs before its owner opens it (previews of chats, scanners of mail): looking
shows nothing that is secret and changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from html import escape
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coatcheck.admin.api.application import ARRIVAL
from coatcheck.core.pasting import VARIABLE, pastes, route_of
from coatcheck.errors import CoatcheckError, Missing
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.views import GrantView, Issued
from coatcheck.operations.tally import Tally

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:3em auto;padding:0 1em}"
    "pre{background:#f3f3f3;color:#111;padding:.8em;overflow:auto;user-select:all}"
    "button{font:inherit;padding:.5em 1.2em}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def page(title: str, body: str) -> str:
    """Return a whole page; `body` is HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


class Claims:
    """Serves `/claim/CODE`. `spend` counts a wrong code against an address; False: too many."""

    def __init__(
        self, grants: Grants, origin: Callable[[], str], spend: Callable[[str], bool], tally: Tally
    ) -> None:
        self._grants = grants
        self._origin = origin
        self._spend = spend
        self._tally = tally

    def application(self) -> Starlette:
        """Return the ASGI application."""
        made = Starlette(
            routes=[
                Route("/claim/{code}", self.show, methods=["GET"]),
                Route("/claim/{code}", self.reveal, methods=["POST"]),
            ],
            exception_handlers={HTTPException: self._not_served, CoatcheckError: self._failed},
        )
        made.router.redirect_slashes = False
        return made

    async def show(self, request: Request) -> Response:
        """Show the button."""
        try:
            waiting = self._grants.claimable(request.path_params["code"])
        except Missing:
            return self._unknown(request)
        return self._page(200, "A grant waits for you", _button(waiting))

    async def reveal(self, request: Request) -> Response:
        """Make the token and show it."""
        try:
            issued = await self._grants.claim(request.path_params["code"], _address(request))
        except Missing:
            return self._unknown(request)
        return self._page(200, "Your grant", _revealed(issued, self._origin()))

    def _unknown(self, request: Request) -> Response:
        if not self._spend(_address(request)):
            return self._page(429, "Too many wrong links", _TOO_MANY, {"Retry-After": "60"})
        return self._page(404, "This link leads nowhere", _NOWHERE)

    async def _not_served(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
        if error.status_code == 405:
            return self._page(405, "Not like this", _NOWHERE, {"Allow": "GET, HEAD, POST"})
        return self._unknown(request)

    async def _failed(self, request: Request, error: Exception) -> Response:  # noqa: ARG002 - its shape
        return self._page(503, "Not now", _LATER, {"Retry-After": "5"})

    def _page(self, status: int, title: str, body: str, headers: dict[str, str] | None = None) -> Response:
        self._tally.answered("claim", status)
        return Response(page(title, body), status, {**HEADERS, **(headers or {})}, "text/html")


_TOO_MANY: Final = "<p>Wait a minute and try again.</p>"
_LATER: Final = "<p>Coatcheck cannot do this now. The link stays good: try again in a while.</p>"
_NOWHERE: Final = (
    "<p>It was used already, is too old, or was never given out. A link works once. If you did not use it "
    "yourself, tell whoever sent it: the grant can be revoked. Ask for a new link.</p>"
)


def _address(request: Request) -> str:
    return str(request.scope[ARRIVAL].address)


def _button(view: GrantView) -> str:
    return (
        f"<p>The grant <strong>{escape(view.label)}</strong> for <strong>{escape(view.subject)}</strong> is "
        "ready. Its token is shown once, on the next page: have the place at hand where you keep it.</p>\n"
        '<form method="post"><button type="submit">Show my token</button></form>'
    )


def _revealed(issued: Issued, origin: str) -> str:
    token = issued.token.reveal() if issued.token else ""
    parts = [
        f"<p>This is the token of <strong>{escape(issued.grant.label)}</strong>. It is shown once and kept "
        "nowhere: copy it now, and do not send it to anyone.</p>",
        _block(token),
    ]
    shell = f"export {VARIABLE}='{token}'"
    parts += ["<h2>Where the client is started</h2>", _block(shell)]
    for each in pastes(*route_of(origin, issued.grant.servers), indent=2):
        parts += [f"<h2>{escape(each.client)}: {escape(each.where)}</h2>", _block(each.text)]
    parts.append("<p>Claude Desktop reads the token from a file that holds it alone; chmod 600 it.</p>")
    return "\n".join(parts)


def _block(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"
