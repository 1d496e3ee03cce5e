"""A real OAuth provider in a process of its own, tokens of two seconds, 64 callers: nobody notices."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from coatcheck.app.real import SystemClock
from coatcheck.model.change import ChangeFilter, ObjectKind
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.patches import NewServer, OauthWanted
from doubles.authorization import World
from doubles.whole import a_gateway, call
from gateway import free_port
from real.installed import server as installed
from upstream.raw_servers import Request, message, plain, text_result

LIFE = 2
PERIODS = 4
CALLERS = 64
ALL = ChangeFilter(kind=ObjectKind.CREDENTIAL)

pytestmark = pytest.mark.real


class Provider:
    """The provider's process. `given` are the tokens that it gave, by grant type and status, in order."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        self._log = log

    @contextmanager
    def running(self) -> Iterator[Provider]:
        program = Path(__file__).parents[1] / "real" / "iam.py"
        command = [str(installed("iam") / "python"), str(program), str(self.port), str(LIFE)]
        with (
            self._log.open("wb") as out,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as child,
        ):
            try:
                yield self
            finally:
                child.kill()

    async def ready(self) -> KeySet:
        """Wait until it answers, and return its keys."""
        async with asyncio.timeout(40), httpx2.AsyncClient() as client:
            while True:
                with suppress(httpx2.TransportError):
                    found = await client.get(f"{self.issuer}/oauth/jwks.json")
                    return KeySet.import_key_set(found.json())
                await asyncio.sleep(0.1)

    @property
    def given(self) -> list[str]:
        words = self._log.read_text(encoding="utf-8").splitlines()
        return [line for line in words if line.endswith((" 200", " 400", " 401"))]


class Guarded(World):
    """An MCP server that takes the provider's tokens: signed by it, and not expired."""

    issuer_elsewhere = ""
    keys: KeySet

    @property
    def issuer(self) -> str:
        return self.issuer_elsewhere

    async def _mcp(self, request: Request, out: asyncio.StreamWriter) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, self.keys, algorithms=["RS256"]).claims
            good = claims["iss"] == self.issuer and claims["exp"] > self.clock.now().timestamp()
        except (JoseError, ValueError):
            good = False
        self.seen.append(token)
        if not good:
            self.tokens["refused"] = self.tokens.get("refused", 0) + 1
            line = f'WWW-Authenticate: Bearer resource_metadata="{self.origin}/meta"'
            out.write(plain(message({}), "application/json", "401 Unauthorized", line))
        elif request.body and request.method == "tools/call":
            out.write(text_result(request, "good"))
        elif not request.body:
            out.write(plain(b"{}", status="405 Method Not Allowed"))
        else:
            await self.peer(request, out)


async def by_browser(url: str) -> list[tuple[str, str]]:
    """Follow a link as a browser does, and return the query that it comes back to us with."""
    async with httpx2.AsyncClient() as client:
        answer = await client.get(url)
        if answer.status_code == 200:  # a page that asks for consent
            answer = await client.post(url, data={"answer": "accept"})
        return parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True)


async def test_64_callers_do_not_notice_that_tokens_live_two_seconds(tmp_path: Path) -> None:
    with Provider(tmp_path / "iam.log").running() as provider:
        world = Guarded(SystemClock(), resource={"scopes_supported": ["profile"]})
        world.issuer_elsewhere, world.keys = provider.issuer, await provider.ready()
        async with world, a_gateway(tmp_path / "data") as (gateway, http):
            new = NewServer("github", Secret(world.url), oauth=OauthWanted(), default=Default.ALLOW_ALL)
            await gateway.registered.servers.add(LOCAL_ACTOR, new)
            began = asyncio.get_running_loop().time()
            begun = await gateway.oauth.connecting.begin(LOCAL_ACTOR, "github-oauth", str(http.base_url))
            page = await http.get("/oauth/callback", params=dict(await by_browser(begun.url)))
            assert page.status_code == 200, page.text
            loop = asyncio.get_running_loop()
            end, calls = loop.time() + LIFE * PERIODS, 0

            async def caller() -> None:
                nonlocal calls
                while loop.time() < end:
                    assert "good" in (said := await call(http)), said
                    calls += 1
                    await asyncio.sleep(0.1)

            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            changes = [
                change.change.action for change in await gateway.registered.book.store.list_changes(ALL)
            ]
        assert calls >= CALLERS * PERIODS
        refreshes = provider.given.count("refresh_token 200")
        most = (loop.time() - began) / (
            0.8 * LIFE
        ) + 2  # a machine that is busy takes longer than it was told
        assert PERIODS - 1 <= refreshes <= most, "one a period, early, and not one a caller"
        assert provider.given == ["authorization_code 200", *["refresh_token 200"] * refreshes]
        assert changes == ["credential.connect", "credential.add"]  # and none for a renewal
