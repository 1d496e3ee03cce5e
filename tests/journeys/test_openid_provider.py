"""A real OpenID provider in a process of its own: operators and developers sign in with it, and are ended by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from coatcheck.app.compose import Gateway
from coatcheck.app.openid import openid_of
from coatcheck.app.real import SystemClock, SystemEntropy
from coatcheck.console.signing_in.openid import OpenIdEntrance
from coatcheck.core.sealing.states import Seal
from coatcheck.errors import AuthorizationRefused, OpenIdRefused
from coatcheck.model.browser import Whose
from coatcheck.model.change import ChangeFilter, ObjectKind
from coatcheck.model.openid import Arrived
from coatcheck.model.operator import LOCAL_ACTOR, OperatorRole
from coatcheck.operations.registry.patches import NewSubject
from coatcheck.operations.signing_in.openid import CALLBACK
from doubles.whole import a_gateway
from journeys.test_oauth_provider import Provider, by_browser

BASE = "http://127.0.0.1:8080"
MAPPED = '[oidc_operators]\nadmin = ["platform"]\n'

pytestmark = pytest.mark.real


class Signing:
    """One gateway and its client at the provider. `name` is who the provider sees."""

    def __init__(self, provider: Provider, gateway: Gateway, http: httpx2.AsyncClient) -> None:
        self.provider, self.gateway, self.http = provider, gateway, http
        desk = gateway.registered.desk
        made = openid_of(gateway.config, {}, Seal(bytes(32)), desk, SystemClock(), SystemEntropy())
        assert made is not None
        self.openid: OpenIdEntrance = made

    async def become(self, name: str) -> None:
        await self._tell(f"become/{name}")

    async def platform(self, verb: str, name: str) -> None:
        await self._tell(f"platform/{verb}/{name}")

    async def arrive(self, return_to: str = "/") -> Arrived:
        """Go the way to the provider and back as one browser."""
        url, cookie = await self.openid.sign_in.begin(BASE, return_to)
        query = await by_browser(url)
        assert dict(query)["iss"] == self.provider.issuer
        sign_in = self.openid.sign_in
        return await sign_in.finish(sign_in.recognise(query, cookie.reveal()))

    async def enter(self) -> tuple[Whose, str]:
        entrant = await self.openid.vouching.admit((await self.arrive()).vouched)
        return entrant.whose, entrant.who

    async def log(self) -> list[tuple[str, str]]:
        wanted = ChangeFilter(kind=ObjectKind.OPERATOR)
        found = await self.gateway.registered.book.store.list_changes(wanted)
        return [(one.change.action, one.change.actor) for one in reversed(found)]

    async def _tell(self, path: str) -> None:
        async with httpx2.AsyncClient() as client:
            (await client.get(f"{self.provider.issuer}/{path}")).raise_for_status()


async def a_client(provider: Provider, folder: Path, more: str) -> None:
    """Register a client with the provider, and write what a gateway is told of it."""
    wanted = {
        "client_name": "Coatcheck",
        "redirect_uris": [BASE + CALLBACK],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "openid email profile groups",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{provider.issuer}/oauth/register", json=wanted)
    said = answer.json()
    folder.mkdir()
    (folder / "client.secret").write_text(said["client_secret"])
    lines = [
        f"oidc_issuer = {json.dumps(provider.issuer)}",
        f"oidc_client_id = {json.dumps(said['client_id'])}",
        'oidc_client_secret = "${file:client.secret}"',
        'oidc_scopes = "openid email groups"',
        more,
    ]
    (folder / "coatcheck.toml").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with Provider(tmp_path_factory.mktemp("iam") / "iam.log").running() as made:
        asyncio.run(made.ready())
        yield made


async def test_a_group_makes_and_ends_an_operator(provider: Provider, tmp_path: Path) -> None:
    await a_client(provider, tmp_path / "data", MAPPED)
    async with a_gateway(tmp_path / "data") as (gateway, http):
        signing = Signing(provider, gateway, http)
        await signing.become("ann")
        with pytest.raises(OpenIdRefused) as refused:
            await signing.enter()
        assert "ann@example.com" in str(refused.value)
        await signing.platform("join", "ann")
        arrived = await signing.arrive("/servers")
        assert arrived.return_to == "/servers"
        assert (arrived.vouched.name, arrived.vouched.subject) == ("ann@example.com", "ann")
        assert arrived.vouched.role is OperatorRole.ADMIN
        for _ in range(2):
            assert await signing.enter() == (Whose.OPERATOR, "ann@example.com")
        await signing.platform("leave", "ann")
        with pytest.raises(OpenIdRefused):
            await signing.enter()
        assert await signing.log() == [("operator.add", "openid"), ("operator.end", "openid")]
        await signing.become("bob")
        await gateway.registered.subjects.add(LOCAL_ACTOR, NewSubject("bob@example.com"))
        assert await signing.enter() == (Whose.SUBJECT, "bob@example.com")


async def test_an_invitation_is_linked(provider: Provider, tmp_path: Path) -> None:
    await a_client(provider, tmp_path / "data", "")
    async with a_gateway(tmp_path / "data") as (gateway, http):
        signing = Signing(provider, gateway, http)
        await signing.become("ann")
        with pytest.raises(OpenIdRefused):
            await signing.enter()
        await gateway.registered.operators.add(LOCAL_ACTOR, "ann@example.com", OperatorRole.AUDITOR)
        for _ in range(2):
            assert await signing.enter() == (Whose.OPERATOR, "ann@example.com")
        kept = gateway.registered.book.registry.operators["ann@example.com"]
        assert kept.vouched == f"{provider.issuer}#ann"
        assert await signing.log() == [("operator.add", "local"), ("operator.link", "openid")]


async def test_what_the_provider_itself_refuses(provider: Provider, tmp_path: Path) -> None:
    await a_client(provider, tmp_path / "data", "")
    async with a_gateway(tmp_path / "data") as (gateway, http):
        signing = Signing(provider, gateway, http)
        await signing.become("ann")
        sign_in = signing.openid.sign_in
        await signing.arrive()
        url, _ = await sign_in.begin("http://127.0.0.1:9999")
        async with httpx2.AsyncClient() as client:
            answer = await client.get(url)
        assert not parse_qsl(urlsplit(answer.headers.get("location", "")).query), "no code for elsewhere"
        url, cookie = await sign_in.begin(BASE)
        query = await by_browser(url)
        with pytest.raises(AuthorizationRefused):
            await sign_in._provider.redeem(dict(query)["code"], "v" * 43, BASE + CALLBACK)
        returned = sign_in.recognise(query, cookie.reveal())
        await sign_in.finish(returned)  # for who has the verifier it was good
