"""What is the same for every page: who comes, what frames a page, and how an answer leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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
from coatcheck.console.web.refusing import Refusal
from coatcheck.console.web.rendering import Rendering
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

    `https_hosts` are the Hosts that we are reached by over https; `actor_of` returns the operator of a
    session as it stands, coming from an address, or None. `has_login` tells whether an operator ever signed
    in; `fresh` reads a waiting edit of the file; `count` takes each status; `shared` gives what the frame
    around every page of operators shows.
    """

    sessions: Browsers
    https_hosts: frozenset[str]
    actor_of: Callable[[BrowserSession, str], Actor | None]
    has_login: Callable[[], bool]
    fresh: Callable[[], Awaitable[None]]
    count: Callable[[int], None]
    now: Callable[[], datetime]
    random: Callable[[int], bytes]
    shared: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request before its page is known: where it comes from, its cookies and who is signed in."""

    arrival: Arrival
    jar: Jar
    cookies: Mapping[str, str]
    session: BrowserSession | None
    by: Actor | None
    visit: str
    """What forms belong to: the token of the session, or of the visit of somebody who has none."""
    is_new: bool
    may_enter: bool = True
    """Whether a session may begin: not over plain http from another machine."""

    @property
    def origin(self) -> str:
        """Where the pages of this browser come from (RFC 6454 section 6.2)."""
        scheme, port = ("https", ":443") if self.jar.secure else ("http", ":80")
        host = self.arrival.headers.get("host", ("",))[0].strip(" \t").lower()
        return f"{scheme}://{host.removesuffix(port)}"


@dataclass(frozen=True, slots=True)
class Me:
    """Who is signed in, as the frame of a page tells it; a developer has no role."""

    name: str
    role: str


class Desk:
    """What is the same for every page."""

    def __init__(self, around: Around, files: Files, rendering: Rendering) -> None:
        self.around = around
        self._files = files
        self._rendering = rendering

    def admit(self, scope: Scope, *, anywhere: bool = False) -> Visit:
        """Return who comes; `anywhere`: to what is served wherever clients are.

        Raises:
            Refusal: nothing is shown there.
        """
        arrival: Arrival = scope[ARRIVAL]
        near = peers.is_near(arrival.peer, arrival.address, arrival.headers)
        if not near and not anywhere and not self.around.has_login():
            raise Refusal(403, "Not from here yet", sentences.NOT_YET)
        host = arrival.headers.get("host", ("",))[0].strip(" \t").lower()
        jar = Jar.of(host, () if _came_in_the_clear(arrival) else self.around.https_hosts)
        if not near and not anywhere and not jar.secure:
            raise Refusal(403, "Only over https", sentences.NOT_PLAIN)
        found = jar.read(arrival.headers.get("cookie", ()))
        token = found.get(cookies.SESSION, "")
        session, by = self.who(token, arrival.address)
        if session is not None:
            if POLL not in arrival.headers:
                self.around.sessions.note_seen(session)
            return Visit(arrival, jar, found, session, by, token, is_new=False)
        visit = found.get(cookies.VISIT, "")
        is_new = len(visit) != 32 or not visit.isalnum()
        visit = self.around.random(16).hex() if is_new else visit
        return Visit(arrival, jar, found, None, None, visit, is_new=is_new, may_enter=near or jar.secure)

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
            visit = self.admit(request.scope)
        except Refusal as refused:
            return self.refuse(refused, None)
        return self.refuse(Refusal(status, "There is no such page", sentences.NOWHERE), visit)

    def refuse(self, refused: Refusal, visit: Visit | None) -> Response:
        """Return the page that says why not."""
        values = {
            "status": refused.status,
            "problem": refused.title,
            "text": f"{refused.text} {refused.fix}".strip(),
            "back": "",
        }
        response = self.show(Shown("problem.html", values, refused.status), visit)
        response.headers.update(refused.headers)
        return response

    def show(self, shown: Shown, visit: Visit | None, **more: Any) -> Response:
        """Return a page with its frame."""
        entered: list[str] = []
        if visit is not None and shown.enters is not None:
            token = shown.enters.reveal()
            session, by = self.who(token, visit.arrival.address)
            entered = [visit.jar.drop(cookies.VISIT), visit.jar.set(cookies.SESSION, token)]
            visit = replace(visit, session=session, by=by, visit=token, is_new=False)
        said = cookies.unpack(visit.cookies.get(cookies.SAID, "")) if visit is not None else None
        text = self._rendering.render(
            shown.template, {**self._frame(visit, said), "typed": None, "fault": None, **more, **shown.values}
        )
        response = Response(text, shown.status, media_type="text/html")
        for line in entered:
            response.headers.append("Set-Cookie", line)
        if visit is not None and said is not None:
            response.headers.append("Set-Cookie", visit.jar.drop(cookies.SAID))
        if visit is not None and visit.session is None and visit.is_new:
            response.headers.append("Set-Cookie", visit.jar.set(cookies.VISIT, visit.visit))
        return self.dress(response)

    def move(self, moved: Moved, visit: Visit) -> Response:
        """Return the answer that leads to another page."""
        jar = visit.jar
        response = Response(status_code=303, headers={"Location": moved.to})
        lines = (
            [jar.drop(cookies.VISIT), jar.set(cookies.SESSION, moved.enters.reveal())] if moved.enters else []
        )
        if moved.leaves:
            lines.append(jar.drop(cookies.SESSION))
        if moved.said:
            said = cookies.pack(moved.tone, moved.said)
            lines.append(jar.set(cookies.SAID, said.reveal(), cookies.SAID_SECONDS))
        for name, value in moved.keeps.items():
            kept = value.reveal()
            lines.append(jar.set(name, kept, cookies.KEPT_SECONDS) if kept else jar.drop(name))
        for line in lines:
            response.headers.append("Set-Cookie", line)
        if visit.session is None and visit.is_new and not moved.enters:
            response.headers.append("Set-Cookie", jar.set(cookies.VISIT, visit.visit))
        return self.dress(response)

    def _frame(self, visit: Visit | None, said: object) -> dict[str, Any]:
        """Return what the frame of every page needs."""
        by = visit.by if visit is not None else None
        session = visit.session if visit is not None else None

        def allowed(permission: str) -> bool:
            return by is not None and may(by.role, Permission(permission))

        return {
            "me": Me(session.who, by.role.value if by is not None else "") if session is not None else None,
            "may": allowed,
            "csrf": cookies.csrf_of(visit.visit) if visit is not None else "",
            "path": visit.arrival.path if visit is not None else "/",
            "said": said,
            "now": self.around.now(),
            **(self.around.shared() if by is not None else {"attention": {}}),
        }

    def dress(self, response: Response) -> Response:
        """Give an answer what all have."""
        for name, value in headers.ALWAYS.items():
            response.headers.setdefault(name, value)
        self.around.count(response.status_code)
        return response


def _came_in_the_clear(arrival: Arrival) -> bool:
    """Tell whether a proxy says that its client spoke plain http; whoever says so harms nobody else."""
    said = arrival.headers.get("x-forwarded-proto", ("",))[0]
    return said.partition(",")[0].strip().lower() == "http"
