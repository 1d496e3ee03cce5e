"""The pages as an ASGI application: who asks, may they, what did they type; then the answer as a page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route, compile_path
from starlette.types import Receive, Scope, Send

from coatcheck.console.web import checks, cookies, forms, sentences
from coatcheck.console.web.files import PREFIX, Files
from coatcheck.console.web.once import Once
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
from coatcheck.console.web.reception import Around, Guest, Reception
from coatcheck.console.web.refusing import Refusal, status_of
from coatcheck.console.web.rendering import Rendering
from coatcheck.console.web.sending import SentFile
from coatcheck.core import defects
from coatcheck.errors import CoatcheckError

log = logging.getLogger(__name__)

SIGN_IN: Final = "/login"
CONFIRM: Final = "/confirm"
OWN: Final = "/mine"
_PART: Final = "hx-target"
"""How htmx says which part it puts the answer in."""
_NO_ADDRESS: Final = "The address could not be read"


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
    saved = [compile_path(page.path)[0] for page in pages if page.saves]
    reception, once = Reception(around, files, rendering, saved), Once(around.now)
    made = Starlette(
        routes=[
            Route(PREFIX + "{rest:path}", reception.file, methods=["GET"]),
            *(Route(path, _Place(reception, methods, sign_in, once)) for path, methods in by_path.items()),
        ],
        exception_handlers={HTTPException: reception.not_served},
    )
    made.router.redirect_slashes = False  # it would make a URL from the Host header
    return made


class _Place:
    """One path with its pages: an ASGI application."""

    def __init__(self, reception: Reception, pages: Mapping[str, AnyPage], sign_in: str, once: Once) -> None:
        self._reception = reception
        self._once = once
        self._sign_in = sign_in
        self._anywhere = any(page.anywhere for page in pages.values())
        self._pages = {**pages, **({"HEAD": pages["GET"]} if "GET" in pages else {})}
        self._allow = ", ".join(sorted(self._pages))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        guest = None
        try:
            guest = self._reception.admit(scope, anywhere=self._anywhere)
            response = await self._answer(guest, scope, receive)
        except Refusal as refused:
            response = self._reception.refuse(refused, guest)
        except CoatcheckError as error:
            response = self._reception.refuse(Refusal.of(error), guest)
        except Exception as error:  # noqa: BLE001 - a defect, told without what it was about
            log.error("the console failed with %s", defects.told(error))
            response = self._reception.refuse(Refusal(500, "This failed", sentences.DEFECT), guest)
        await response(scope, receive, send)

    async def _answer(self, guest: Guest, scope: Scope, receive: Receive) -> Response:
        page = self._pages.get(scope["method"])
        if page is None:
            raise Refusal(405, "Not like this", sentences.NOWHERE, headers={"Allow": self._allow})
        elsewhere = self._turned(page, guest)
        if elsewhere is not None:
            return self._reception.move(elsewhere, guest)
        await self._reception.around.fresh()
        names: Mapping[str, str] = scope["path_params"]
        if page.method == "GET":
            if page.saves:
                checks.check_way(guest)
                if scope["method"] == "HEAD":  # nothing is made for who takes nothing
                    return self._reception.dress(Response())
            asked = self._asked(page, guest, names, Nothing(), {})
            return await self._dressed(await page.answer(asked), guest)
        return await self._sent(page, guest, names, receive)

    def _turned(self, page: AnyPage, guest: Guest) -> Moved | None:
        """Return where to go first, if somewhere.

        Raises:
            Refusal: whoever it is may not see this page.
        """
        if page.who is Door.OPEN:
            return None
        if guest.session is None:
            if page.method == "POST":
                to = checks.with_way_back(self._sign_in, guest) if "GET" in self._pages else self._sign_in
                raise Refusal(401, "You are signed out", sentences.SIGNED_OUT, on=to, button="Sign in")
            return Moved(checks.with_way_back(self._sign_in, guest))
        if guest.by is None and guest.arrival.path == "/":
            return Moved(OWN)
        checks.check_who(page, guest.by)
        if page.proven and not self._reception.around.sessions.verified_recently(guest.session):
            return Moved(checks.with_way_back(CONFIRM, guest, unsent=guest.arrival.method == "POST"))
        return None

    async def _sent(
        self, page: AnyPage, guest: Guest, names: Mapping[str, str], receive: Receive
    ) -> Response:
        """Answer a form."""
        checks.check_origin(guest, anywhere=page.anywhere)
        try:
            content_type = guest.arrival.headers.get("content-type", ("",))[0]
            limit = min(page.limit, MAX_OPEN_FORM) if page.who is Door.OPEN else page.limit
            typed = await forms.read_body(receive, content_type, limit)
        except forms.Unreadable as error:
            raise Refusal(error.status, "The form could not be read", error.sentence) from None
        sent = typed.get(forms.CSRF, ("",))[-1]
        if not checks.same(sent, cookies.csrf_of(guest.form_key)):
            if page.before is not None:
                await page.before(self._asked(page, guest, names, Nothing(), {}))
            raise Refusal(403, "This form is too old", sentences.OLD_FORM)
        guest = self._once_more(guest)
        if (elsewhere := self._turned(page, guest)) is not None:
            return self._reception.move(elsewhere, guest)
        key = typed.get(forms.ONCE, ("",))[-1]
        typed = {name: values for name, values in typed.items() if name not in {forms.CSRF, forms.ONCE}}
        try:
            form = forms.read_form(page.form, typed)
            asked = self._asked(page, guest, names, form, typed)
            answer = await (self._only_once(page, asked, key) if page.once else page.answer(asked))
            return await self._dressed(answer, guest)
        except CoatcheckError as error:
            if page.again is None:
                raise
            return await self._again(page, guest, names, typed, error)

    async def _only_once(self, page: AnyPage, asked: Asked[Any, Any], key: str) -> Answer | Sent:
        """Answer a form whose answer is shown once; the same form once more makes nothing again.

        Raises:
            Refusal: 409. It was sent before: browsers send a form again where its answer is reloaded.
        """
        which = (asked.signed_in.id, asked.path, key)
        if not self._once.take(*which):
            raise Refusal(
                409, "This was done already", sentences.DONE_ALREADY, on=page.once, button="See what there is"
            )
        try:
            answer = await page.answer(asked)
        except (CoatcheckError, Refusal):
            self._once.forget(*which)  # nothing was made: they may try again
            raise
        if not isinstance(answer, Shown):
            self._once.forget(*which)
        return answer

    def _once_more(self, guest: Guest) -> Guest:
        """Look again who it is: they may have been ended while the form came."""
        if guest.session is None:
            return guest
        session, by = self._reception.who(guest.form_key, guest.arrival.address)
        return replace(guest, session=session, by=by)

    async def _again(
        self,
        page: AnyPage,
        guest: Guest,
        names: Mapping[str, str],
        typed: forms.Fields,
        error: CoatcheckError,
    ) -> Response:
        """Show the form once more, with what was typed and what is wrong with it."""
        assert page.again is not None  # noqa: S101 - asked for by the caller
        fault = Refusal.of(error)
        typed = forms.without_secrets(page.form, typed, but=page.partly)
        try:
            shown = await page.again(self._asked(page, guest, names, Nothing(), typed))
        except (CoatcheckError, Refusal):  # what its page shows is gone; why the form failed is what matters
            raise fault from None
        shown = replace(shown, status=status_of(error))
        response = self._reception.show(shown, guest, typed=typed, fault=fault)
        response.headers.update(fault.headers)
        return response

    def _asked(
        self, page: AnyPage, guest: Guest, names: Mapping[str, str], form: Any, typed: forms.Fields
    ) -> Asked[Any, Any]:
        arrival = guest.arrival
        search = arrival.query.decode("latin-1")
        try:
            fields = forms.split(search)
            query = forms.read_query(page.query, fields)
        except forms.Unreadable as error:
            raise Refusal(error.status, _NO_ADDRESS, error.sentence) from None
        except forms.BadField as error:
            told = f"\u201c{error.field}\u201d in it: {error.message}"
            raise Refusal(422, _NO_ADDRESS, told, field=error.field) from None
        return Asked(
            by=guest.by,
            session=guest.session,
            names=names,
            query=query,
            form=form,
            address=arrival.address,
            agent=arrival.headers.get("user-agent", ("",))[0],
            path=arrival.path,
            typed=typed,
            cookies=guest.cookies,
            may_enter=guest.may_enter,
            origin=guest.origin,
            search=search,
            part=arrival.headers.get(_PART, ("",))[0],
        )

    async def _dressed(self, answer: Answer | Sent, guest: Guest) -> Response:
        if not isinstance(answer, Sent) and answer.enters is not None and guest.session is not None:
            await self._reception.around.sessions.end(guest.session.id)  # nobody comes back to it from here
        if isinstance(answer, Shown):
            return self._reception.show(answer, guest)
        if isinstance(answer, Moved):
            return self._reception.move(answer, guest)
        named = {"Content-Disposition": f'attachment; filename="{answer.name}"'}
        return self._reception.dress(SentFile(answer.parts, headers=named, media_type=answer.media))
