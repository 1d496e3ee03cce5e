"""A whole gateway with a server that wants OAuth: tokens outlive a restart, and are nowhere to be read."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from coatcheck.app.real import SystemClock
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.patches import NewServer, OauthWanted
from doubles.authorization import World
from doubles.whole import a_gateway, call


async def test_tokens_outlive_a_restart_and_are_nowhere_to_be_read(tmp_path: Path) -> None:
    async with World(SystemClock(), life=300.0, echo=lambda one: one.headers["authorization"]) as world:
        async with a_gateway(tmp_path) as (gateway, http):
            wanted = OauthWanted(client_id="ours", client_secret=Secret("planted-client-secret"))
            await gateway.registered.servers.add(
                LOCAL_ACTOR,
                NewServer("github", Secret(world.url), oauth=wanted, default=Default.ALLOW_ALL),
            )
            assert "never connected: coatcheck credential connect github-oauth" in await call(http)
            begun = await gateway.oauth.connecting.begin(LOCAL_ACTOR, "github-oauth", str(http.base_url))
            page = await http.get(f"/oauth/callback?{urlencode(world.authorize(begun.url))}")
            assert (page.status_code, "Connected" in page.text) == (200, True)
            assert "Bearer [redacted]" in await call(http)
            assert (await http.get("/oauth/callback?state=x")).status_code == 404
        assert len(world.grants("authorization_code")) == 1
        async with a_gateway(tmp_path) as (gateway, http):
            assert "Bearer [redacted]" in await call(http)
            assert not world.grants("refresh_token")
        found = [path for path in tmp_path.rglob("*") if path.is_file() and b"planted" in path.read_bytes()]
        assert found == []
