"""The whole console: its pages put together, for the front door."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp

from coatcheck import __version__
from coatcheck.console.pages.access.room import access_pages
from coatcheck.console.pages.claims import ClaimPages
from coatcheck.console.pages.credentials.all import credential_pages
from coatcheck.console.pages.grants.room import grant_pages
from coatcheck.console.pages.log.room import log_pages
from coatcheck.console.pages.mine import OwnPages
from coatcheck.console.pages.overview import OverviewPages
from coatcheck.console.pages.people.room import people_pages
from coatcheck.console.pages.policies.room import policy_pages
from coatcheck.console.pages.servers.all import server_pages
from coatcheck.console.pages.settings.room import setting_pages
from coatcheck.console.pages.start import StartPages
from coatcheck.console.signing_in.entering import SigningInPages
from coatcheck.console.signing_in.openid import OpenIdEntrance, OpenIdPages
from coatcheck.console.web.application import OWN, SIGN_IN, application
from coatcheck.console.web.files import PREFIX, Files
from coatcheck.console.web.page import AnyPage, Asked, Door, Moved, Nothing, seen
from coatcheck.console.web.reached import Reached
from coatcheck.console.web.reception import Around
from coatcheck.console.web.rendering import Rendering
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.use_cases import UseCases
from coatcheck.ports import Entropy

_READS: Final = frozenset({"GET", "HEAD"})
_SIGN_IN_OF_DEVELOPERS: Final = "/login/grant"
_OF_DEVELOPERS: Final = frozenset({_SIGN_IN_OF_DEVELOPERS, "/logout"})
"""What developers need of the pages for signing in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrances:
    """How people come in: `reached` says under which URL."""

    sessions: BrowserSessions
    signing: SigningIn
    openid: OpenIdEntrance | None
    reached: Reached
    entropy: Entropy


@dataclass(frozen=True, slots=True)
class Console:
    """The surface for people, and which paths are its own."""

    app: ASGIApp
    pages: Sequence[AnyPage]
    _first_parts: frozenset[str]

    def owns(self, path: str, method: str) -> bool:
        """Tell whether a path is the console's; `/` is for looking only: no client shall talk to a page."""
        if path == "/":
            return method in _READS
        return path.split("/", 2)[1] in self._first_parts


def console_of(cases: UseCases, entrances: Entrances) -> Console:
    """Return the console over the use cases."""
    return _made(cases, entrances, pages_of(cases, entrances), SIGN_IN)


def developers_of(cases: UseCases, entrances: Entrances) -> Console:
    """Return only the pages that developers need: claim links, and a page of their own."""
    signing_in = SigningInPages(entrances.signing, "", operators=False).pages()
    pages = [
        seen("/", Door.OPEN, _to_own_page),
        *(page for page in signing_in if page.path in _OF_DEVELOPERS),
        *_own_pages(cases, entrances),
    ]
    return _made(cases, entrances, pages, _SIGN_IN_OF_DEVELOPERS)


def _made(cases: UseCases, entrances: Entrances, pages: Sequence[AnyPage], sign_in: str) -> Console:
    files = Files()

    async def fresh() -> None:
        if cases.directory.stale():
            await cases.directory.refresh()

    around = Around(
        sessions=entrances.sessions,
        reached=entrances.reached,
        actor_of=entrances.signing.actor_of,
        has_login=lambda: cases.operators.has_login,
        fresh=fresh,
        count=lambda status: cases.tally.answered("console", status),
        now=cases.clock.now,
        random=entrances.entropy.token,
    )
    first_parts = {PREFIX.strip("/")} | {page.path.split("/", 2)[1] for page in pages} - {""}
    app = application(pages, files, Rendering(files.address, __version__), around, sign_in)
    return Console(app, pages, frozenset(first_parts))


def pages_of(cases: UseCases, entrances: Entrances) -> Sequence[AnyPage]:
    """Return all pages."""
    return [
        *policy_pages(cases),
        *SigningInPages(entrances.signing, _provider_of(entrances)).pages(),
        *OpenIdPages(entrances.signing, entrances.openid).pages(),
        *StartPages(cases).pages(),
        *OverviewPages(cases).pages(),
        *server_pages(cases, entrances.entropy),
        *credential_pages(cases),
        *grant_pages(cases),
        *people_pages(cases, entrances.sessions),
        *access_pages(cases),
        *log_pages(cases, entrances.sessions),
        *setting_pages(cases, entrances.sessions, entrances.signing),
        *_own_pages(cases, entrances),
    ]


def _own_pages(cases: UseCases, entrances: Entrances) -> Sequence[AnyPage]:
    return [*ClaimPages(cases, entrances.signing).pages(), *OwnPages(cases.own, cases.origin).pages()]


async def _to_own_page(asked: Asked[Nothing, Nothing]) -> Moved:  # noqa: ARG001 - the shape of a page
    return Moved(OWN)


def _provider_of(entrances: Entrances) -> str:
    """Return what the provider of identities is called; empty without one."""
    return "single sign-on" if entrances.openid is not None else ""
