"""What a page asks for before it answers: a proof of the last minutes, and that a form is sent again after one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import Struct

from coatcheck.console.web.application import application
from coatcheck.console.web.cookies import csrf_of
from coatcheck.console.web.files import Files
from coatcheck.console.web.page import Answer, AnyPage, Asked, Door, Moved, Nothing, done, seen
from coatcheck.console.web.reached import Reached
from coatcheck.console.web.reception import Around
from coatcheck.console.web.rendering import Rendering
from coatcheck.core.wire.framing import ARRIVAL, Arrival
from coatcheck.errors import UpstreamBadReply
from coatcheck.model.browser import BrowserSession
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations.permissions import Permission
from doubles.clock import HandClock
from sessions_of_browsers import a_session

HOST = "127.0.0.1:8080"
TOKEN = "ccks_x"


class Note(Struct):
    """A form with one field."""

    text: str


@dataclass
class Signed:
    """Stands for the sessions: everybody is signed in, and `proven` says whether lately."""

    proven: bool = True
    is_over: bool = False

    def find(self, token: str) -> BrowserSession | None:
        return a_session() if token == TOKEN and not self.is_over else None

    def note_seen(self, session: BrowserSession) -> None:
        pass

    async def end(self, id: str) -> object:
        raise NotImplementedError

    def verified_recently(self, session: BrowserSession) -> bool:
        return self.proven


class Site:
    """Two pages that need a proof, one that fails, and one browser."""

    def __init__(self) -> None:
        self.sessions, self.taken = Signed(), [""][:0]
        clock = HandClock()

        async def fresh() -> None:
            pass

        around = Around(
            sessions=self.sessions,
            reached=Reached("public_url", None),
            actor_of=lambda session, address: Actor(session.who, OperatorRole.ADMIN, address),
            has_login=lambda: True,
            fresh=fresh,
            count=lambda status: None,
            now=clock.now,
            random=bytes,
        )
        files, write = Files(), Permission.OPERATORS_WRITE
        pages: list[AnyPage] = [
            seen("/keys", write, self._show, proven=True),
            done("/keys", write, self._take, Note, proven=True),
            done("/only", write, self._show),
            seen("/odd", write, self._fail),
            seen("/defect", write, self._break),
            seen("/anywhere", Door.OPEN, self._tell, anywhere=True),
        ]
        self._app = application(pages, files, Rendering(files.address, "1"), around)

    async def _show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        return Moved("/shown")

    async def _take(self, asked: Asked[Nothing, Note]) -> Answer:
        self.taken.append(asked.form.text)
        return Moved("/taken")

    async def _fail(self, asked: Asked[Nothing, Nothing]) -> Answer:
        raise UpstreamBadReply("it spoke no JSON")

    async def _break(self, asked: Asked[Nothing, Nothing]) -> Answer:
        raise ZeroDivisionError("planted-4711")

    async def _tell(self, asked: Asked[Nothing, Nothing]) -> Answer:
        return Moved("/may-enter" if asked.may_enter else "/may-not-enter")

    async def ask(
        self, method: str, path: str, query: str = "", body: str = "", peer: str = "127.0.0.1"
    ) -> tuple[int, str, str]:
        """Return status, where it leads and the page."""
        cookie = f"coatcheck-local-8080-session={TOKEN}"
        headers: Mapping[str, tuple[str, ...]] = {
            "host": (HOST,),
            "cookie": (cookie,),
            "origin": (f"http://{HOST}",),
            "content-type": ("application/x-www-form-urlencoded",),
        }
        arrival = Arrival(method, path, headers, peer, peer, query.encode())
        scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [],
            ARRIVAL: arrival,
        }
        said: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body.encode(), "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self._app({**scope, "query_string": query.encode(), "root_path": ""}, receive, send)
        given = {name.decode(): value.decode() for name, value in said[0]["headers"]}
        page = b"".join(one.get("body", b"") for one in said[1:]).decode()
        return said[0]["status"], given.get("location", ""), page


async def test_who_proved_it_lately_goes_on() -> None:
    site = Site()
    assert (await site.ask("GET", "/keys"))[:2] == (303, "/shown")
    assert (await site.ask("POST", "/keys", body=f"csrf={csrf_of(TOKEN)}&text=a"))[:2] == (303, "/taken")
    assert site.taken == ["a"]


async def test_who_did_not_is_asked_and_told_that_a_form_is_to_be_sent_again() -> None:
    site = Site()
    site.sessions.proven = False
    assert (await site.ask("GET", "/keys", "a=1"))[:2] == (303, "/confirm?back=%2Fkeys%3Fa%3D1")
    answer = await site.ask("POST", "/keys", body=f"csrf={csrf_of(TOKEN)}&text=a")
    assert answer[:2] == (303, "/confirm?back=%2Fkeys&unsent=1")
    assert site.taken == []


async def test_who_is_signed_out_meanwhile_is_led_to_sign_in_and_back() -> None:
    site = Site()
    site.sessions.is_over = True
    status, _, page = await site.ask("POST", "/keys", body=f"csrf={csrf_of(TOKEN)}&text=a")
    assert (status, 'href="/login?back=%2Fkeys"' in page, ">Sign in<" in page) == (401, True, True)
    status, _, page = await site.ask("POST", "/only", body=f"csrf={csrf_of(TOKEN)}")
    assert (status, 'href="/login"' in page) == (401, True), (
        "a path that only takes forms is no page to go to"
    )


@pytest.mark.parametrize(
    ("path", "status", "title"), [("/odd", 502, "The server failed"), ("/defect", 500, "This failed")]
)
async def test_what_fails_is_told_without_what_it_was_about(path: str, status: int, title: str) -> None:
    told = await Site().ask("GET", path)
    assert told[0] == status
    assert title in told[2]
    assert "planted" not in told[2]


@pytest.mark.parametrize("is_over", [True, False])
async def test_no_session_begins_in_the_clear_whether_there_is_one_or_not(*, is_over: bool) -> None:
    site = Site()
    site.sessions.is_over = is_over
    assert (await site.ask("GET", "/anywhere"))[:2] == (303, "/may-enter")
    assert (await site.ask("GET", "/anywhere", peer="203.0.113.9"))[:2] == (303, "/may-not-enter")
    assert (await site.ask("GET", "/keys", peer="203.0.113.9"))[0] == 403
