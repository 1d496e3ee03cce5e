"""The frame of the API behind the real front door, with a small resource: who is let in, and how errors look."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import Struct

from coatcheck.admin.api.application import Around, application
from coatcheck.admin.api.authenticate import BySocket, ByToken
from coatcheck.admin.api.idempotency import Answers
from coatcheck.admin.api.openapi import codes_of, document
from coatcheck.admin.api.problems import CODES
from coatcheck.admin.api.routes import AnyRoute, Asking, Match, Nothing, Reply, Route, Streamed
from coatcheck.app.listening import http_on
from coatcheck.core.tokens import mint
from coatcheck.core.wire import framing
from coatcheck.errors import Busy, Forbidden, Missing, Stale, Taken, Unfit, UpstreamTimeout
from coatcheck.front.door import Door, Surfaces
from coatcheck.front.protocol import GuardedProtocol
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations.permissions import Permission
from coatcheck.operations.tally import Tally
from doubles.clock import HandClock

JSON = {"Content-Type": "application/json"}


class Coat(Struct):
    colour: str
    version: int


class NewCoat(Struct, forbid_unknown_fields=True):
    colour: str
    because: str = ""


class Find(Struct, forbid_unknown_fields=True):
    fail: str = ""


FAILURES = {
    "missing": Missing("there is no such coat", fix="look again"), "taken": Taken("taken"), "stale": Stale("stale"), "unfit": Unfit("unfit"), "forbidden": Forbidden("no"),
    "busy": Busy("busy"), "late": UpstreamTimeout("late"), "defect": RuntimeError("secret-canary"),
}  # fmt: skip


@dataclass
class Coats:
    """A resource: one coat, its version, and how often it was painted."""

    version: int = 1
    painted: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def routes(self) -> list[AnyRoute]:
        one: Any = {"path": "/coats/{name}", "query": Find}
        return [
            Route(method="GET", permission=Permission.STATUS, summary="Show", answer=self.show, gives=Coat, body=Nothing, etag=True, **one),
            Route(method="PATCH", permission=Permission.GRANTS_WRITE, summary="Paint", answer=self.paint, gives=Coat, body=NewCoat, match=Match.REQUIRED, etag=True, **one),
            Route(method="POST", path="/coats", permission=Permission.GRANTS_WRITE, summary="Make", answer=self.make, gives=Coat, query=Nothing, body=NewCoat, status=201, limit=1000),
            Route(method="GET", path="/threads", permission=Permission.RECORDS, summary="Follow", answer=self.follow, gives=None, query=Nothing, body=Nothing, streams="application/jsonl"),
            Route(method="POST", path="/open", permission=None, summary="Open", answer=self.open, gives=Coat, query=Nothing, body=Nothing),
        ]  # fmt: skip

    async def show(self, asking: Asking[Find, Nothing]) -> Reply:
        if asking.query.fail:
            raise FAILURES[asking.query.fail]
        self.names.append(asking.names["name"])
        return Reply(Coat("red", self.version), version=self.version)

    async def paint(self, asking: Asking[Find, NewCoat]) -> Reply:
        if asking.version != self.version:
            raise Stale("it was painted meanwhile")
        self.version += 1
        return Reply(Coat(asking.body.colour, self.version), version=self.version)

    async def make(self, asking: Asking[Nothing, NewCoat]) -> Reply:
        self.painted.append(asking.body.colour)
        return Reply(Coat(asking.body.colour, len(self.painted)), 201, location="/api/v1/coats/x")

    async def follow(self, asking: Asking[Nothing, Nothing]) -> Streamed:
        async def lines() -> AsyncIterator[bytes]:
            yield b"1\n"
            yield b"2\n"

        return Streamed(lines(), "application/jsonl")

    async def open(self, asking: Asking[Nothing, Nothing]) -> Reply:
        asking.spend()
        return Reply(Coat(asking.address, 0))


class Guests:
    """Operators by token, in memory."""

    def __init__(self) -> None:
        self.tokens = {mint(os.urandom, "ccka_"): role for role in OperatorRole}
        self.has_login = True

    def of(self, role: str) -> str:
        return next(token for token, one in self.tokens.items() if one == role)

    def identify(self, token: str, origin: str) -> Actor | None:
        role = self.tokens.get(token)
        return Actor(role.value, role, origin) if role else None


@dataclass
class Got:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json", self
        assert self.json.keys() == {"type", "title", "status", "code", "detail", "fix", "field"}
        assert self.json["status"] == self.status
        assert self.json["type"] == f"urn:coatcheck:error:{self.json['code']}"
        return str(self.json["code"])


@dataclass
class House:
    """A served API and how to ask it."""

    port: int
    coats: Coats
    guests: Guests
    tally: Tally
    spent: list[str]

    async def ask(
        self, method: str, path: str, role: str | None = "admin", body: Any = None, /, **headers: str
    ) -> Got:
        token = {"Authorization": f"Bearer {self.guests.of(role)}"} if role else {}
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        media = JSON if raw is not None else {}
        more = {name.replace("_", "-"): text for name, text in headers.items()}
        return await asyncio.to_thread(self._ask, method, path, raw, {**token, **media, **more})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {name: text for name, text in headers.items() if text})
            answer = connection.getresponse()
            return Got(
                answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()


@asynccontextmanager
async def serving(*, local: bool = False) -> AsyncIterator[House]:
    coats, guests, tally, spent = Coats(), Guests(), Tally(), list[str]()

    def spend(address: str) -> bool:
        spent.append(address)
        return len(spent) <= 3

    async def fresh() -> None:
        return

    around = Around(Answers(HandClock()), fresh, lambda status: tally.answered("api", status))
    served = application(coats.routes(), BySocket() if local else ByToken(guests, spend), around)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        port = listening.getsockname()[1]
        doors = framing.doors_for("127.0.0.1", port, loopback=True, public_url="http://gw")
        door = Door(Surfaces(None, lambda _: (200, b"", b""), served), doors, (), tally)
        async with http_on(door, listening, GuardedProtocol):
            yield House(port, coats, guests, tally, spent)


@pytest.fixture(scope="module")
def served() -> Iterator[House]:
    """Serve in a thread of its own for all tests here: to start and end a server takes longer than they do."""
    started: Future[House] = Future()
    ended = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serving() as house:
            started.set_result(house)
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    yield started.result(20)
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()


@pytest.fixture
def house(served: House) -> House:
    """The served house, as new."""
    served.coats.version = 1
    served.coats.painted.clear()
    served.spent.clear()
    served.tally.requests.clear()
    return served


async def test_an_operator_is_answered(house: House) -> None:
    got = await house.ask("GET", "/api/v1/coats/x")
    assert (got.status, got.json) == (200, {"colour": "red", "version": 1})
    assert (got.headers["etag"], got.headers["cache-control"]) == ('"1"', "no-store")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert house.tally.requests["api", 200] == 1


@pytest.mark.parametrize("role", list(OperatorRole))
@pytest.mark.parametrize("path", ["/coats", "/threads", "/coats/x"])
async def test_a_role_may_or_may_not(house: House, role: OperatorRole, path: str) -> None:
    asked = (
        house.ask("POST", "/api/v1/coats", role, {"colour": "red"})
        if path == "/coats"
        else house.ask("GET", f"/api/v1{path}", role)
    )
    allowed_on: dict[str, set[str]] = {
        "/coats": {"admin", "policy_manager"},
        "/threads": {"admin", "auditor"},
        "/coats/x": set(OperatorRole),
    }
    got = await asked
    if role in allowed_on[path]:
        assert got.status in {200, 201}
    else:
        assert (got.status, got.code) == (403, "role_lacks")
        assert house.coats.painted == []


@pytest.mark.parametrize("path", ["/coats/x", "/coats", "/threads", "/none", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "OPTIONS", "PUT", "DELETE"])
async def test_without_a_token_nothing_is_told(house: House, method: str, path: str) -> None:
    got = await house.ask(method, f"/api/v1{path}", None)
    assert (got.status, got.code, house.spent) == (401, "not_logged_in", [])
    assert got.headers["www-authenticate"].startswith("Bearer")
    assert (await house.ask("POST", "/api/v1/open", None)).status == 200


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "Bearer ' OR '1'='1", "Bearer ccka_short", "Bearer " + "x" * 5000, "Bearer cckg_" + "a" * 61, "Bearer caf\xe9"],
)  # fmt: skip
async def test_what_is_no_token_is_no_guess(house: House, header: str) -> None:
    got = await house.ask("GET", "/api/v1/coats/x", None, Authorization=header)
    assert (got.status, got.code, house.spent) == (401, "bad_token", [])


async def test_unknown_tokens_are_slowed_and_good_ones_are_not(house: House) -> None:
    for status in (401, 401, 401, 429, 429):
        stranger = mint(os.urandom, "ccka_")
        got = await house.ask("GET", "/api/v1/coats/x", None, Authorization=f"Bearer {stranger}")
        assert got.status == status
        assert stranger not in got.body.decode()
    assert got.code == "slow_down"
    assert (await house.ask("GET", "/api/v1/coats/x")).status == 200
    assert (await house.ask("POST", "/api/v1/open", None)).code == "slow_down"


async def test_before_a_login_the_api_is_for_this_machine() -> None:
    async with serving() as house:
        house.guests.has_login = False
        assert (await house.ask("GET", "/api/v1/coats/x")).status == 200
        from coatcheck.admin.api.authenticate import Coming
        from coatcheck.admin.api.problems import Problem

        gate = ByToken(house.guests, lambda _: True)
        gate.admit(Coming({}, "127.0.0.1", "127.0.0.1"))
        for peer, address in (
            ("10.0.0.1", "10.0.0.1"),
            ("127.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "127.0.0.1"),
            ("", ""),
        ):
            with pytest.raises(Problem) as refused:
                gate.admit(Coming({}, peer, address))
            assert (refused.value.status, refused.value.code) == (403, "no_login_yet")
        for header in ("forwarded", "x-forwarded-for", "via"):
            with pytest.raises(Problem):
                gate.admit(Coming({header: ("1.2.3.4",)}, "127.0.0.1", "127.0.0.1"))
        house.guests.has_login = True
        gate.admit(Coming({}, "10.0.0.1", "10.0.0.1"))


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [({"Host": "evil"}, 421, "bad_host"), ({"Origin": "http://evil"}, 403, "bad_origin"), ({"Origin": "null"}, 403, "bad_origin"), ({"Host": "a/health?"}, 400, "bad_request"),
     ({"Upgrade": "h2c"}, 400, "bad_request")],
)  # fmt: skip
async def test_other_sites_and_rebound_names(
    house: House, headers: dict[str, str], status: int, code: str
) -> None:
    assert (await house.ask("GET", "/api/v1/coats/x", Host="gw")).status == 200
    assert (await house.ask("GET", "/api/v1/coats/x", Origin="http://gw")).status == 200
    got = await house.ask("GET", "/api/v1/coats/x", **headers)
    assert (got.status, got.code) == (status, code)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [("missing", 404, "not_found"), ("taken", 409, "taken"), ("stale", 412, "stale"), ("unfit", 422, "unfit"), ("forbidden", 403, "forbidden"), ("busy", 503, "busy"),
     ("late", 504, "upstream_timeout"), ("defect", 500, "internal")],
)  # fmt: skip
async def test_failures_have_their_status(
    house: House, failure: str, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    got = await house.ask("GET", f"/api/v1/coats/x?fail={failure}")
    assert (got.status, got.code) == (status, code)
    assert "secret-canary" not in got.body.decode() + caplog.text
    assert ("RuntimeError" in caplog.text) == (failure == "defect")


async def test_two_operators_cannot_overwrite_each_other(house: House) -> None:
    async def paint(**headers: str) -> Got:
        return await house.ask("PATCH", "/api/v1/coats/x", "admin", {"colour": "blue"}, **headers)

    assert (await paint()).code == "unconditional"
    both = await asyncio.gather(paint(If_Match='"1"'), paint(If_Match='"1"'))
    assert sorted(got.status for got in both) == [200, 412]
    assert (await paint(If_Match='"2"')).json == {"colour": "blue", "version": 3}


async def test_a_write_repeated_with_its_key_is_done_once(house: House) -> None:
    first = await house.ask("POST", "/api/v1/coats", "admin", {"colour": "red"}, Idempotency_Key="k")
    again = await house.ask("POST", "/api/v1/coats", "admin", {"colour": "red"}, Idempotency_Key="k")
    assert (first.status, first.body, first.headers["location"]) == (
        201,
        again.body,
        again.headers["location"],
    )
    other = await house.ask("POST", "/api/v1/coats", "admin", {"colour": "blue"}, Idempotency_Key="k")
    assert (other.status, other.code) == (422, "key_reused")
    theirs = await house.ask(
        "POST", "/api/v1/coats", "policy_manager", {"colour": "red"}, Idempotency_Key="k"
    )
    assert theirs.json["version"] == 2
    del house.guests.tokens[house.guests.of("policy_manager")]
    house.guests.tokens[mint(os.urandom, "ccka_")] = OperatorRole.POLICY_MANAGER
    successor = await house.ask(
        "POST", "/api/v1/coats", "policy_manager", {"colour": "red"}, Idempotency_Key="k"
    )
    assert successor.json["version"] == 3
    assert (
        await house.ask("POST", "/api/v1/coats", "admin", {"colour": "red"}, Idempotency_Key="a b")
    ).code == "bad_key"
    assert house.coats.painted == ["red", "red", "red"]


async def test_whoever_is_ended_while_the_body_comes_changes_nothing(house: House) -> None:
    token = mint(os.urandom, "ccka_")
    house.guests.tokens[token] = OperatorRole.ADMIN
    body = b'{"colour":"red"}'
    head = (
        f"POST /api/v1/coats HTTP/1.1\r\nHost: 127.0.0.1:{house.port}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    for ended, status in ((False, b"201"), (True, b"401")):
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(head.encode() + body[:4])
        await writer.drain()
        assert (
            await house.ask("GET", "/api/v1/coats/x")
        ).status == 200  # the head was judged before this was
        if ended:
            del house.guests.tokens[token]
        writer.write(body[4:])
        assert (await reader.read()).split()[1] == status
        writer.close()
    assert house.coats.painted == ["red"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [(b'{"colour":"red"}', {"Content-Type": "text/plain"}, 415, "unsupported_media_type"), (b'{"colour":"red"}', {"Content-Type": "application/json; charset=latin-1"}, 415, "unsupported_media_type"),
     (b'{"colour":"red"}', {"Content-Type": "application/json-patch+json"}, 415, "unsupported_media_type"), (b'{"colour":"red"}', {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
     (b"", {"Content-Type": ""}, 415, "unsupported_media_type"), (b"", {}, 422, "unfit"), (b"{", {}, 400, "bad_json"), (b'{"colour":"a","colour":"b"}', {}, 400, "ambiguous_json"),
     (b'{"colour":"red","version":7}', {}, 422, "unfit"), (b'{"colour":"' + b"x" * 2000 + b'"}', {}, 413, "too_large"), (b'{"colour":"' + b"x" * 200_000 + b'"}', {}, 413, "too_large")],
    ids=range(11),
)  # fmt: skip
async def test_odd_bodies(house: House, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    assert (await house.ask("POST", "/api/v1/coats", "admin", {"colour": "red"})).status == 201
    got = await house.ask("POST", "/api/v1/coats", "admin", body, **headers)
    assert (got.status, got.code) == (status, code)
    assert house.coats.painted == ["red"]


async def test_methods_and_paths_that_there_are_not(house: House) -> None:
    got = await house.ask("DELETE", "/api/v1/coats/x")
    assert (got.status, got.code, got.headers["allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD, OPTIONS, PATCH",
    )
    options = await house.ask("OPTIONS", "/api/v1/coats/x")
    assert (options.status, options.body, options.headers["allow"]) == (204, b"", "GET, HEAD, OPTIONS, PATCH")
    head = await house.ask("HEAD", "/api/v1/coats/x")
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", '"1"')
    assert (await house.ask("HEAD", "/api/v1/threads")).status == 200
    assert (await house.ask("GET", "/api/v1/threads")).body == b"1\n2\n"
    for path in (
        "/api/v1",
        "/api/v1/",
        "/api/v1/coats/",
        "/api/v1/coats/x/y",
        "/api/v1/Coats",
        "/api/v1/coats/x?a",
    ):
        got = await house.ask("GET", path)
        assert (got.status, got.code) == ((400, "bad_filter") if "?" in path else (404, "not_found")), path


async def test_names_are_taken_as_they_are(house: House) -> None:
    for written, name in (
        ("a%20b", "a b"),
        ("%27%20OR%20%271%27=%271", "' OR '1'='1"),
        ("%e2%98%83", "☃"),
        (";drop", ";drop"),
        ("~Z3JvdXAvYWxpY2U", "group/alice"),
        ("~Li4", ".."),
    ):
        assert (await house.ask("GET", f"/api/v1/coats/{written}")).status == 200
        assert house.coats.names[-1] == name


async def test_the_local_account_needs_no_token() -> None:
    async with serving(local=True) as house:
        assert (await house.ask("POST", "/api/v1/coats", None, {"colour": "red"})).status == 201


def test_the_document_says_what_is_served() -> None:
    routes = Coats().routes()
    made = document(routes, "1.2")
    assert made["openapi"] == "3.1.0"
    patch = made["paths"]["/api/v1/coats/{name}"]["patch"]
    assert patch["x-roles"] == ["admin", "policy_manager"]
    assert [one["name"] for one in patch["parameters"]] == ["name", "fail", "If-Match"]
    assert {"200", "400", "401", "403", "404", "412", "413", "415", "422", "428", "429"} <= patch[
        "responses"
    ].keys()
    assert made["paths"]["/api/v1/open"]["post"]["security"] == []
    assert made == document(Coats().routes(), "1.2")
    assert all(code in CODES for route in routes for code in codes_of(route))
