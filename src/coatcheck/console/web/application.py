"""The pages as an ASGI application: who asks, may they, what did they type; then the answer as a page."""

from __future__ import annotations

import hmac
import logging
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from coatcheck.console.web import cookies, forms, sentences
from coatcheck.console.web.desk import Around, Desk, Visit
from coatcheck.console.web.files import PREFIX, Files
from coatcheck.console.web.page import (
    MAX_OPEN_FORM,
    Answer,
    AnyPage,
    Asked,
    Door,
    Moved,
    Nothing,
    Sent,
    Shown,
)
from coatcheck.console.web.refusing import Refusal, status_of
from coatcheck.console.web.rendering import Rendering, link
from coatcheck.errors import CoatcheckError
from coatcheck.model.operator import Actor
from coatcheck.operations.permissions import Permission, may

log = logging.getLogger(__name__)

SIGN_IN: Final = "/login"
CONFIRM: Final = "/confirm"
OWN: Final = "/mine"


def application(
    pages: Sequence[AnyPage], files: Files, rendering: Rendering, around: Around, sign_in: str = SIGN_IN
) -> Starlette:
    """Return the ASGI application that serves the pages. It stands behind the front door.

    `sign_in` is where those are led to who are not signed in.
    """
    by_path: dict[str, dict[str, AnyPage]] = {}
    for page in pages:
        if by_path.setdefault(page.path, {}).setdefault(page.method, page) is not page:
            raise ValueError(f"two pages for {page.method} {page.path}")
    desk = Desk(around, files, rendering)
    made = Starlette(
        routes=[
            Route(PREFIX + "{rest:path}", desk.file, methods=["GET"]),
            *(Route(path, _Place(desk, methods, sign_in)) for path, methods in by_path.items()),
        ],
        exception_handlers={HTTPException: desk.not_served},
    )
    made.router.redirect_slashes = False  # it would make a URL from the Host header
    return made


class _Place:
    """One path with its pages: an ASGI application."""

    def __init__(self, desk: Desk, pages: Mapping[str, AnyPage], sign_in: str) -> None:
        self._desk = desk
        self._sign_in = sign_in
        self._anywhere = any(page.anywhere for page in pages.values())
        self._pages = {**pages, **({"HEAD": pages["GET"]} if "GET" in pages else {})}
        self._allow = ", ".join(sorted(self._pages))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        visit = None
        try:
            visit = self._desk.admit(scope, anywhere=self._anywhere)
            response = await self._answer(visit, scope, receive)
        except Refusal as refused:
            response = self._desk.refuse(refused, visit)
        except CoatcheckError as error:
            response = self._desk.refuse(Refusal.of(error), visit)
        except Exception as error:  # noqa: BLE001 - a defect, told without what it was about
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("the console failed with %s\n%s", type(error).__name__, frames)
            response = self._desk.refuse(Refusal(500, "This failed", sentences.DEFECT), visit)
        if scope["method"] == "HEAD" and isinstance(response, StreamingResponse):
            response = self._desk.dress(Response(headers=dict(response.headers)))
        await response(scope, receive, send)

    async def _answer(self, visit: Visit, scope: Scope, receive: Receive) -> Response:
        page = self._pages.get(scope["method"])
        if page is None:
            raise Refusal(405, "Not like this", sentences.NOWHERE, headers={"Allow": self._allow})
        elsewhere = self._turned(page, visit)
        if elsewhere is not None:
            return self._desk.move(elsewhere, visit)
        await self._desk.around.fresh()
        names: Mapping[str, str] = scope["path_params"]
        if page.method == "GET":
            asked = self._asked(page, visit, names, Nothing(), {})
            return await self._dressed(await page.answer(asked), visit)
        return await self._sent(page, visit, names, receive)

    def _turned(self, page: AnyPage, visit: Visit) -> Moved | None:
        """Return where to go first, if somewhere.

        Raises:
            Refusal: whoever it is may not see this page.
        """
        if page.who is Door.OPEN:
            return None
        if visit.session is None:
            if page.method == "POST":
                raise Refusal(401, "You are signed out", sentences.SIGNED_OUT)
            return Moved(_with_way_back(self._sign_in, visit))
        if visit.by is None and visit.arrival.path == "/":
            return Moved(OWN)
        _check_who(page, visit.by)
        if page.proven and not self._desk.around.sessions.verified_recently(visit.session):
            return Moved(_with_way_back(CONFIRM, visit))
        return None

    async def _sent(
        self, page: AnyPage, visit: Visit, names: Mapping[str, str], receive: Receive
    ) -> Response:
        """Answer a form."""
        _check_origin(visit, anywhere=page.anywhere)
        try:
            content_type = visit.arrival.headers.get("content-type", ("",))[0]
            limit = min(page.limit, MAX_OPEN_FORM) if page.who is Door.OPEN else page.limit
            typed = await forms.read_body(receive, content_type, limit)
        except forms.Unreadable as error:
            raise Refusal(error.status, "The form could not be read", error.sentence) from None
        sent = typed.get(forms.CSRF, ("",))[-1]
        if not _same(sent, cookies.csrf_of(visit.visit)):
            raise Refusal(403, "This form is too old", sentences.OLD_FORM)
        visit = self._once_more(visit)
        if (elsewhere := self._turned(page, visit)) is not None:
            return self._desk.move(elsewhere, visit)
        typed = {name: values for name, values in typed.items() if name != forms.CSRF}
        try:
            form = forms.read_form(page.form, typed)
            answer = await page.answer(self._asked(page, visit, names, form, typed))
            return await self._dressed(answer, visit)
        except CoatcheckError as error:
            if page.again is None:
                raise
            return await self._again(page, visit, names, typed, error)

    def _once_more(self, visit: Visit) -> Visit:
        """Look again who it is: they may have been ended while the form came."""
        if visit.session is None:
            return visit
        session, by = self._desk.who(visit.visit, visit.arrival.address)
        return replace(visit, session=session, by=by)

    async def _again(
        self,
        page: AnyPage,
        visit: Visit,
        names: Mapping[str, str],
        typed: forms.Fields,
        error: CoatcheckError,
    ) -> Response:
        """Show the form once more, with what was typed and what is wrong with it."""
        assert page.again is not None  # noqa: S101 - asked for by the caller
        fault = Refusal.of(error)
        typed = forms.without_secrets(page.form, typed, but=page.partly)
        try:
            shown = await page.again(self._asked(page, visit, names, Nothing(), typed))
        except (CoatcheckError, Refusal):  # what its page shows is gone; why the form failed is what matters
            raise fault from None
        shown = replace(shown, status=status_of(error))
        response = self._desk.show(shown, visit, typed=typed, fault=fault)
        response.headers.update(fault.headers)
        return response

    def _asked(
        self, page: AnyPage, visit: Visit, names: Mapping[str, str], form: Any, typed: forms.Fields
    ) -> Asked[Any, Any]:
        arrival = visit.arrival
        search = arrival.query.decode("latin-1")
        try:
            fields = forms.split(search)
        except forms.Unreadable as error:
            raise Refusal(error.status, "The address could not be read", error.sentence) from None
        return Asked(
            visit.by,
            visit.session,
            names,
            forms.read_query(page.query, fields),
            form,
            arrival.address,
            arrival.headers.get("user-agent", ("",))[0],
            arrival.path,
            typed,
            visit.cookies,
            visit.may_enter,
            visit.origin,
            search,
        )

    async def _dressed(self, answer: Answer, visit: Visit) -> Response:
        if not isinstance(answer, Sent) and answer.enters is not None and visit.session is not None:
            await self._desk.around.sessions.end(visit.session.id)  # nobody comes back to it by this browser
        if isinstance(answer, Shown):
            return self._desk.show(answer, visit)
        if isinstance(answer, Moved):
            return self._desk.move(answer, visit)
        named = {"Content-Disposition": f'attachment; filename="{answer.name}"'}
        return self._desk.dress(StreamingResponse(answer.parts, headers=named, media_type=answer.media))


def _check_origin(visit: Visit, *, anywhere: bool) -> None:
    """Refuse a form that no page of ours sent; the door has judged an `Origin` that was given.

    It must be that of the address that it is sent to: where it is not, we have several, or stand behind a
    proxy that does not tell the Host. What is served `anywhere` bears that.

    Raises:
        Refusal: 403. Browsers say of every form where it comes from (Fetch, section 3.1).
    """
    given = visit.arrival.headers
    site = given.get("sec-fetch-site", ("same-origin",))[0]
    origin = given.get("origin", ("null",))[0].strip(" \t").lower()
    if origin == "null" or site != "same-origin" or (origin != visit.origin and not anywhere):
        raise Refusal(403, "This form came from elsewhere", sentences.FOREIGN)


def _same(sent: str, wanted: str) -> bool:
    return hmac.compare_digest(sent.encode(), wanted.encode())


def _with_way_back(to: str, visit: Visit) -> str:
    """Return the address of a page that leads back to this one; forms lead back to their page."""
    arrival = visit.arrival
    query = f"?{arrival.query.decode('latin-1')}" if arrival.query and arrival.method == "GET" else ""
    back = arrival.path + query
    return link(to, back="" if back == "/" else back)


def _check_who(page: AnyPage, by: Actor | None) -> None:
    """Refuse what a page is not for; `by` is None for developers.

    Raises:
        Refusal: 403.
    """
    if page.who is Door.DEVELOPER and by is not None:
        raise Refusal(403, "This is a developer's page", sentences.FOR_DEVELOPERS)
    if not isinstance(page.who, Permission):
        return
    if by is None:
        raise Refusal(403, "This is for operators", sentences.FOR_OPERATORS, "Your own page is /mine.")
    if not may(by.role, page.who):
        role = by.role.value.replace("_", " ")
        needed = f"This needs the permission {page.who.value}."
        raise Refusal(403, f"Not as {role}", needed, sentences.ASK)
