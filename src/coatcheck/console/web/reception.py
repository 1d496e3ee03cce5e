"""What is the same for every page: who comes, what frames a page, and how an answer leaves."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from coatcheck.console.web import cookies, headers, sentences
from coatcheck.console.web.cookies import Jar
from coatcheck.console.web.files import Files
from coatcheck.console.web.page import Moved, Shown
from coatcheck.console.web.reached import Reached
from coatcheck.console.web.refusing import Refusal
from coatcheck.console.web.rendering import Rendering
from coatcheck.core.going import path_of
from coatcheck.core.wire import peers
from coatcheck.core.wire.framing import ARRIVAL, Arrival
from coatcheck.model.browser import BrowserSession, Whose
from coatcheck.model.operator import Actor
from coatcheck.operations.permissions import Permission, may

POLL: Final = "x-poll"
"""What pages send along that ask again by themselves: nobody stays signed in by that who went away."""


class Browsers(Protocol):
    """The sessions of browsers, as far as pages need them."""

    def find(self, token: str) -> BrowserSession | None:
        """Return the session of a token, if it is good now."""
        ...

    def note_seen(self, session: BrowserSession) -> None:
        """Take note that somebody is there."""
        ...

    async def end(self, id: str) -> object:
        """End a session, if there still is one."""
        ...

    def verified_recently(self, session: BrowserSession) -> bool:
        """Tell whether whoever it is proved who they are in the last minutes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the application asks of the rest.

    `reached` says under which URL browsers come; `actor_of` returns the operator of a session as it stands,
    coming from an address, or None. `has_login` tells whether an operator ever signed in; `fresh` reads a
    waiting edit of the file; `count` takes each status.
    """

    sessions: Browsers
    reached: Reached
    actor_of: Callable[[BrowserSession, str], Actor | None]
    has_login: Callable[[], bool]
    fresh: Callable[[], Awaitable[None]]
    count: Callable[[int], None]
    now: Callable[[], datetime]
    random: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Guest:
    """One request before its page is known: where it comes from, its cookies and who is signed in."""

    arrival: Arrival
    jar: Jar
    cookies: Mapping[str, str]
    session: BrowserSession | None
    by: Actor | None
    form_key: str
    """What forms are bound to: the token of the session, or a random text in a cookie where there is none."""
    is_new: bool
    may_enter: bool
    """Whether a session may begin: not over plain http from another machine."""

    @property
    def origin(self) -> str:
        """Where the pages of this browser come from (RFC 6454 section 6.2)."""
        scheme, port = ("https", ":443") if self.jar.secure else ("http", ":80")
        return f"{scheme}://{host_of(self.arrival).removesuffix(port)}"


@dataclass(frozen=True, slots=True)
class Me:
    """Who is signed in, as the frame of a page tells it; a developer has no role."""

    name: str
    role: str


class Reception:
    """What is the same for every page."""

    def __init__(
        self, around: Around, files: Files, rendering: Rendering, saved: Sequence[re.Pattern[str]]
    ) -> None:
        """`saved` are the paths that send a file to save."""
        self.around = around
        self._saved = saved
        self._files = files
        self._rendering = rendering

    def admit(self, scope: Scope, *, anywhere: bool = False) -> Guest:
        """Return who comes; `anywhere`: to what is served wherever clients are.

        Raises:
            Refusal: nothing is shown there.
        """
        arrival: Arrival = scope[ARRIVAL]
        near = peers.is_near(arrival.peer, arrival.address, arrival.headers)
        if not near and not anywhere and not self.around.has_login():
            raise Refusal(403, "Not from here yet", sentences.NOT_YET)
        host = host_of(arrival)
        reached = self.around.reached
        jar = Jar.of(host, secure=reached.is_told_https(host, arrival.headers))
        # By the name of https even this machine comes through a proxy, whatever else that tells us.
        may_enter = jar.secure or (near and host not in reached.https_hosts)
        if not anywhere and not may_enter:
            raise reached.only_https(host)
        found = jar.read(arrival.headers.get("cookie", ()))
        token = found.get(cookies.SESSION, "")
        session, by = self.who(token, arrival.address)
        if session is not None:
            if POLL not in arrival.headers:
                self.around.sessions.note_seen(session)
            return Guest(arrival, jar, found, session, by, token, is_new=False, may_enter=may_enter)
        form_key = found.get(cookies.FORM_KEY_COOKIE, "")
        is_new = len(form_key) != 32 or not form_key.isalnum()
        form_key = self.around.random(16).hex() if is_new else form_key
        return Guest(arrival, jar, found, None, None, form_key, is_new=is_new, may_enter=may_enter)

    def who(self, token: str, address: str) -> tuple[BrowserSession | None, Actor | None]:
        """Return the session of a token and the operator it is of: None and None if it is not good now."""
        session = self.around.sessions.find(token) if token else None
        if session is None:
            return None, None
        by = self.around.actor_of(session, address)
        return (None, None) if by is None and session.whose is Whose.OPERATOR else (session, by)

    async def file(self, request: Request) -> Response:
        """Answer with a file."""
        found = self._files.find(request.scope["path"])
        if found is None:
            return self.dress(Response("There is no such file.", 404, media_type="text/plain"))
        held = {"Cache-Control": headers.FOR_EVER}
        return self.dress(Response(found.body, headers=held, media_type=found.media))

    async def not_served(self, request: Request, error: Exception) -> Response:
        """Answer a path that has no page."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        try:
            guest = self.admit(request.scope)
        except Refusal as refused:
            return self.refuse(refused, None)
        return self.refuse(Refusal(status, "There is no such page", sentences.NOWHERE), guest)

    def refuse(self, refused: Refusal, guest: Guest | None) -> Response:
        """Return the page that says why not."""
        values = {
            "status": refused.status,
            "problem": refused.title,
            "text": refused.text,
            "fix": refused.fix,
            "on": refused.on,
            "button": refused.button,
        }
        response = self.show(Shown("problem.html", values, refused.status), guest)
        response.headers.update(refused.headers)
        return response

    def show(self, shown: Shown, guest: Guest | None, **more: Any) -> Response:
        """Return a page with its frame."""
        entered: tuple[str, ...] = ()
        if guest is not None and shown.enters is not None:
            token = shown.enters.reveal()
            session, by = self.who(token, guest.arrival.address)
            entered = guest.jar.enter(token)
            guest = replace(guest, session=session, by=by, form_key=token, is_new=False)
        polled = (
            guest is not None and POLL in guest.arrival.headers
        )  # what was said is for the page around it
        said = (
            cookies.unpack(guest.cookies.get(cookies.SAID, "")) if guest is not None and not polled else None
        )
        text = self._rendering.render(
            shown.template, {**self._frame(guest, said), "typed": None, "fault": None, **more, **shown.values}
        )
        response = Response(text, shown.status, media_type="text/html")
        for line in entered:
            response.headers.append("Set-Cookie", line)
        if guest is not None and said is not None:
            response.headers.append("Set-Cookie", guest.jar.drop(cookies.SAID))
        if guest is not None and (line := _form_key_line(guest)):
            response.headers.append("Set-Cookie", line)
        return self.dress(response)

    def move(self, moved: Moved, guest: Guest) -> Response:
        """Return the answer that leads to another page: to the first one, where it would be a file.

        A browser asks for what our answer leads to as it does for what our pages link to, whoever named it
        as the way back. So whether another site set a file off could not be told any more.
        """
        if moved.to.startswith("/") and any(one.match(path_of(moved.to)) for one in self._saved):
            moved = replace(moved, to="/", said=sentences.FILE_LEFT, tone="info")
        jar = guest.jar
        response = Response(status_code=303, headers={"Location": moved.to})
        lines = [*jar.enter(moved.enters.reveal())] if moved.enters else [_form_key_line(guest)]
        if moved.leaves:
            lines.append(jar.drop(cookies.SESSION))
        if moved.said:
            said = cookies.pack(moved.tone, moved.said)
            lines.append(jar.set(cookies.SAID, said.reveal(), cookies.SAID_SECONDS))
        for name, value in moved.keeps.items():
            kept = value.reveal()
            lines.append(jar.set(name, kept, cookies.KEPT_SECONDS) if kept else jar.drop(name))
        for line in filter(None, lines):
            response.headers.append("Set-Cookie", line)
        return self.dress(response)

    def _frame(self, guest: Guest | None, said: object) -> dict[str, Any]:
        """Return what the frame of every page needs."""
        by = guest.by if guest is not None else None
        session = guest.session if guest is not None else None

        def allowed(permission: str) -> bool:
            return by is not None and may(by.role, Permission(permission))

        return {
            "me": Me(session.who, by.role.value if by is not None else "") if session is not None else None,
            "may": allowed,
            "csrf": cookies.csrf_of(guest.form_key) if guest is not None else "",
            "once": self.around.random(16).hex(),
            "path": guest.arrival.path if guest is not None else "/",
            "said": said,
            "now": self.around.now(),
        }

    def dress(self, response: Response) -> Response:
        """Give an answer what all have."""
        for name, value in headers.ALWAYS.items():
            response.headers.setdefault(name, value)
        self.around.count(response.status_code)
        return response


def host_of(arrival: Arrival) -> str:
    """Return the Host that a request names, as Hosts are compared."""
    return arrival.headers.get("host", ("",))[0].strip(" \t").lower()


def _form_key_line(guest: Guest) -> str:
    """Return the line that gives a browser its form key; empty if it has one, or somebody is signed in."""
    if guest.session is not None or not guest.is_new:
        return ""
    return guest.jar.set(cookies.FORM_KEY_COOKIE, guest.form_key)
