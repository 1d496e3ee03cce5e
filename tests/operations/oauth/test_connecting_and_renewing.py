"""OAuth credentials against an authorization server on a real socket: connected, renewed, failing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from coatcheck.app.real import SystemClock
from coatcheck.core.wire import eras
from coatcheck.errors import (
    AuthorizationRefused,
    LedgerUnavailable,
    Unfit,
    UpstreamBadReply,
    UpstreamCredentialRefused,
    UpstreamError,
    UpstreamForbidden,
    UpstreamUnreachable,
)
from coatcheck.model.call import Reply, Result
from coatcheck.model.credential import Stage
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.authorization import World, error
from doubles.clock import HandClock
from doubles.oauth import ID, Desk
from doubles.registries import ROOT
from upstream.permits import permit_for, unheard
from upstream.raw_servers import message, plain


@asynccontextmanager
async def desk_for(world: World, clock: Any, **terms: Any) -> AsyncIterator[Desk]:
    async with world:
        desk = await Desk(world, clock, **terms).open()
        try:
            yield desk
        finally:
            await desk.close()


async def call(upstream: HttpUpstream) -> Reply:
    return await upstream.forward(permit_for(upstream.server), eras.OURSELVES, unheard)


# --- connecting ------------------------------------------------------------------------------------------


async def test_a_link_connects_once() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        begun = await desk.begin()
        query = desk.world.authorize(begun.url)
        finished = await desk.connecting.finish(query)
        assert finished.ok
        assert desk.held.access.reveal() in desk.world.tokens
        assert [one.stage for one in desk.credential.versions] == [Stage.ACTIVE]
        oauth = desk.credential.oauth
        assert oauth is not None
        assert (oauth.issuer, oauth.registered, oauth.client_id) == (desk.world.issuer, True, "client-1")
        assert desk.actions() == ["credential.connect"]
        assert "planted" not in repr(desk.store.changes)
        registered = desk.world.clients["client-1"]
        assert registered["application_type"] == "native"
        assert registered["redirect_uris"] == ["http://127.0.0.1:8080/oauth/callback"]
        assert desk.world.authorizations[0].startswith("Basic ")
        assert not (await desk.connecting.finish(query)).known  # the state is used up
        assert len(desk.world.grants("authorization_code")) == 1


async def test_a_second_link_replaces_the_first_and_the_version() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        first = await desk.begin()
        assert (await desk.connect()).ok
        assert not (await desk.connecting.finish(desk.world.authorize(first.url))).known
        assert (await desk.connect()).ok
        assert [(one.number, one.stage, one.material is None) for one in desk.credential.versions] == [
            (2, Stage.ACTIVE, False),
            (1, Stage.RETIRED, True),
        ]


async def test_a_link_ends_after_ten_minutes() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        begun = await desk.begin()
        query = desk.world.authorize(begun.url)
        clock.advance(601)
        assert not (await desk.connecting.finish(query)).known
        assert not desk.world.asked


async def test_what_comes_back_with_another_state_changes_nothing() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        begun = await desk.begin()
        query = dict(desk.world.authorize(begun.url))
        for state in ("", "x" * 43, query["state"][:-1]):
            found = await desk.connecting.finish(list({**query, "state": state}.items()))
            assert not found.known
        assert not (await desk.connecting.finish([])).known
        assert not desk.world.asked
        assert (await desk.connecting.finish(list(query.items()))).ok


@pytest.mark.parametrize(
    ("promised", "said", "ok"),
    [
        (False, None, True),
        (False, "right", True),
        (True, "right", True),
        (True, None, False),
        (True, "right/", False),
        (False, "https://evil.example", False),
    ],
)
async def test_iss_is_compared_as_it_is(promised: bool, said: str | None, ok: bool) -> None:
    clock = HandClock()
    world = World(clock, metadata={"authorization_response_iss_parameter_supported": promised})
    async with desk_for(world, clock) as desk:
        more = {} if said is None else {"iss": said.replace("right", world.issuer)}
        assert (await desk.connect(**more)).ok is ok
        assert bool(world.asked) is ok  # no code is shown to anyone before
        if not ok:
            begun = await desk.begin()
            denied = await desk.connecting.finish(
                [("error", "access_denied"), *world.authorize(begun.url, **more)[1:]]
            )
            assert "trusted" in denied.sentence


async def test_a_code_works_once_and_its_refusal_is_told_without_quoting() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        assert (await desk.connect()).ok
        begun = await desk.begin()
        query = dict(desk.world.authorize(begun.url))
        finished = await desk.connecting.finish([("code", "code-1"), ("state", query["state"])])
        assert not finished.ok
        assert "used up" in finished.sentence
        assert "planted" not in finished.sentence
        assert desk.credential.versions[0].number == 1


async def test_twice_the_same_parameter_is_refused() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        begun = await desk.begin()
        query = desk.world.authorize(begun.url)
        assert not (await desk.connecting.finish([*query, ("code", "other")])).ok
        assert not desk.world.asked


async def test_a_denial_is_told() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        state = dict(desk.world.authorize((await desk.begin()).url))["state"]
        finished = await desk.connecting.finish([("error", "access_denied"), ("state", state)])
        assert (finished.ok, finished.known) == (False, True)
        assert "denied" in finished.sentence


async def test_a_registration_is_good_at_its_issuer_alone() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        assert (await desk.connect()).ok
        assert (await desk.connect()).ok
        assert list(desk.world.clients) == ["client-1"]
        desk.world.path = "/other"
        assert (await desk.connect()).ok
        assert len(desk.world.clients) == 2
        assert desk.credential.oauth is not None
        assert desk.credential.oauth.issuer.endswith("/other")


async def test_a_client_that_was_given_goes_to_no_other_issuer() -> None:
    clock = HandClock()
    world = World(clock)
    async with desk_for(world, clock, client_id="ours", client_secret=Secret("planted-own")) as desk:
        assert (await desk.connect()).ok
        assert not world.clients
        world.path = "/other"
        with pytest.raises(Unfit, match="another authorization server"):
            await desk.begin()
        assert all("planted-own" not in one for one in world.paths)


async def test_a_connection_that_cannot_be_kept_is_none() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        assert (await desk.connect()).ok
        before = desk.credential
        desk.store.failing = LedgerUnavailable("the disk is full")
        finished = await desk.connect()
        assert (finished.ok, finished.known) == (False, True)
        assert desk.credential is before
        desk.store.failing = None
        assert (await desk.connect()).ok


async def test_another_address_of_ours_is_registered_anew() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        assert (await desk.connect()).ok
        begun = await desk.connecting.begin(ROOT, "github-oauth", "https://gateway.example")
        assert "redirect_uri=https%3A%2F%2Fgateway.example%2Foauth%2Fcallback" in begun.url
        assert desk.world.clients["client-4"]["application_type"] == "web"
        assert len(desk.world.clients) == 2


# --- what is refused while discovering ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "problem", "kind"),
    [
        ({"issuer": "http://127.0.0.1:1"}, "says that it is another", UpstreamBadReply),
        ({"token_endpoint": "http://10.0.0.1/token"}, "not https", UpstreamForbidden),
        ({"token_endpoint": "https://user@x.example/t"}, "user information", UpstreamForbidden),
        ({"token_endpoint": None}, "no http or https", UpstreamForbidden),
        ({"authorization_endpoint": "javascript:alert(1)"}, "no http or https", UpstreamForbidden),
        ({"code_challenge_methods_supported": None}, "PKCE", Unfit),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE", Unfit),
        ({"registration_endpoint": None}, "registers no clients", AuthorizationRefused),
        ({"registration_endpoint": "https://169.254.169.254/x"}, "not dialled", UpstreamForbidden),
        ({"registration_endpoint": "https://10.1.2.3/x"}, "not dialled", UpstreamForbidden),
    ],
)
async def test_metadata_that_cannot_be_trusted(metadata: Any, problem: str, kind: type[Exception]) -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        assert (await desk.begin()).url
        desk.world.metadata = metadata
        desk.world.path = "/other"  # so that we must register
        with pytest.raises(kind, match=problem):
            await desk.begin()


@pytest.mark.parametrize(
    ("resource", "problem"),
    [
        ({"resource": "https://other.example/mcp"}, "another resource"),
        ({"resource": "http://127.0.0.1:1/mcp"}, "another resource"),
        ({"authorization_servers": []}, "names no authorization server"),
        ({"authorization_servers": ["http://10.0.0.8/"]}, "not https"),
        ({"authorization_servers": ["https://10.0.0.8/"]}, "not dialled"),
        ({"authorization_servers": ["https://[::ffff:169.254.169.254]/"]}, "not dialled"),
        ({"authorization_servers": ["file:///etc/passwd"]}, "no http or https"),
    ],
)
async def test_metadata_of_a_resource_that_cannot_be_trusted(resource: Any, problem: str) -> None:
    clock = HandClock()
    async with desk_for(World(clock, resource=resource), clock) as desk:
        with pytest.raises(UpstreamError, match=problem):
            await desk.begin()
        desk.world.resource = {}
        assert (await desk.begin()).url


@pytest.mark.parametrize(
    "place", ["https://10.0.0.1/x", "https://169.254.169.254/latest", "http://a.example/"]
)
async def test_a_challenge_that_points_to_where_we_do_not_go(place: str) -> None:
    clock = HandClock()
    world = World(clock, challenge=f'Bearer resource_metadata="{place}"')
    async with desk_for(world, clock) as desk:
        with pytest.raises(UpstreamForbidden):
            await desk.begin()
        assert world.paths == ["/mcp"]


async def test_a_server_elsewhere_leads_to_nothing_on_this_machine() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        authorizer = desk.desk.authorizer
        assert (await authorizer.describe("x", desk.world.url, desk.world.issuer)).pkce
        with pytest.raises(UpstreamForbidden, match="not dialled"):
            await authorizer.describe("x", "https://mcp.example/mcp", desk.world.issuer)


async def test_the_paths_are_tried_in_the_order_of_the_specification() -> None:
    clock = HandClock()
    world = World(clock, challenge="", path="/tenant")
    async with desk_for(world, clock) as desk:
        with pytest.raises(UpstreamBadReply, match="no metadata"):
            await desk.begin()  # no metadata of the resource: its origin is taken as the issuer
        assert world.paths == [
            "/mcp",
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ]
        world.path = ""
        assert (await desk.begin()).url
        world.path, world.challenge = "/tenant", World(clock).challenge
        world.paths.clear()
        assert (await desk.begin()).url
        assert world.paths[:3] == ["/mcp", "/meta", "/.well-known/oauth-authorization-server/tenant"]


# --- renewing ----------------------------------------------------------------------------------------------


async def test_tokens_are_renewed_early_and_without_anyone_waiting() -> None:
    clock = HandClock()
    async with desk_for(World(clock, life=100.0), clock) as desk:
        await desk.connect()
        first = desk.bearers.find(ID)
        clock.advance(79.0)
        assert desk.bearers.find(ID) is first
        clock.advance(2.0)
        assert desk.bearers.find(ID) == first  # and a renewal began
        async with asyncio.timeout(5):
            while desk.bearers.find(ID) == first:
                await asyncio.sleep(0.005)
        assert len(desk.world.grants("refresh_token")) == 1
        assert desk.actions() == ["credential.connect"]  # a renewal is no change that anyone made


async def test_a_token_that_ended_is_renewed_once_for_all() -> None:
    clock = HandClock()
    async with desk_for(World(clock, delay=0.05), clock) as desk:
        await desk.connect()
        clock.advance(3.0)
        assert desk.bearers.find(ID) is None
        found = await asyncio.gather(*(desk.bearers.get(ID) for _ in range(64)))
        assert len({one.reveal() for one in found}) == 1
        assert len(desk.world.grants("refresh_token")) == 1
        assert desk.world.grants("refresh_token")[0]["resource"] == desk.world.url


async def test_one_who_gives_up_does_not_disturb_the_others() -> None:
    clock = HandClock()
    async with desk_for(World(clock, delay=0.1), clock) as desk:
        await desk.connect()
        clock.advance(3.0)
        waiting = [asyncio.create_task(desk.bearers.get(ID)) for _ in range(3)]
        await asyncio.sleep(0.02)
        waiting[0].cancel()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert found[1] == found[2] == desk.bearers.find(ID)
        assert len(desk.world.grants("refresh_token")) == 1


async def test_a_renewal_under_way_at_the_end_is_not_lost() -> None:
    clock = HandClock()
    async with desk_for(World(clock, delay=0.1), clock) as desk:
        await desk.connect()
        clock.advance(1.7)
        before = desk.held
        assert desk.bearers.find(ID) == before.access
        await asyncio.sleep(0.02)
        await desk.bearers.close()
        assert desk.held.refresh != before.refresh
        assert desk.held.refresh is not None
        assert desk.world.refresh[desk.held.refresh.reveal()]


async def test_a_connection_while_the_former_tokens_are_renewed_is_not_called_dead() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        await desk.connect()
        before = len(desk.world.paths)
        clock.advance(3.0)
        desk.world.delay = 1.0  # until then, the new connection stands
        renewing = asyncio.create_task(desk.bearers.get(ID))
        while "/token" not in desk.world.paths[before:]:
            await asyncio.sleep(0.01)  # the renewal is on its way
        desk.world.refresh.clear()  # the server ends former tokens where somebody connects anew
        desk.world.delay = 0.0
        assert (await desk.connect()).ok
        assert await renewing == desk.held.access
        assert desk.reconnect == ""
        assert desk.actions() == ["credential.connect", "credential.connect"]
        clock.advance(3.0)
        assert await desk.bearers.get(ID)


async def test_a_credential_that_was_ended_has_no_tokens() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        await desk.connect()
        assert desk.bearers.find(ID)
        ended = replace(desk.credential, ended_at=clock.now(), version=desk.credential.version + 1)
        await desk.office.book.edit(lambda _: Edit((ended,), ()))
        assert desk.bearers.find(ID) is None
        with pytest.raises(UpstreamCredentialRefused, match="ended"):
            await desk.bearers.get(ID)


async def test_a_refresh_token_that_the_answer_leaves_out_stays() -> None:
    clock = HandClock()
    world = World(clock, rotates=False, repeats_refresh=False)
    async with desk_for(world, clock) as desk:
        await desk.connect()
        for _ in range(3):
            clock.advance(3.0)
            await desk.bearers.get(ID)
        assert len({form["refresh_token"] for form in world.grants("refresh_token")}) == 1
        assert len(world.grants("refresh_token")) == 3


async def test_a_rotated_refresh_token_is_durable_before_the_new_token_is_used() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        await desk.connect()
        before = desk.held
        clock.advance(3.0)
        desk.store.failing = LedgerUnavailable("the disk is full")
        with pytest.raises(UpstreamUnreachable, match="durable"):
            await desk.bearers.get(ID)
        assert desk.held == before
        with pytest.raises(UpstreamUnreachable, match="durable"):
            await desk.bearers.get(ID)  # at once, without asking for another
        desk.store.failing = None
        clock.advance(1.0)
        token = await desk.bearers.get(ID)
        assert desk.held.access == token
        assert desk.held.refresh != before.refresh
        assert len(desk.world.grants("refresh_token")) == 1  # what was answered then was not lost
        clock.advance(3.0)
        desk.restart()
        assert await desk.bearers.get(ID) != token


async def test_a_dead_refresh_token_says_so_plainly_and_is_asked_for_once() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        await desk.connect()
        desk.world.refresh.clear()
        clock.advance(3.0)
        for _ in range(3):
            with pytest.raises(
                UpstreamCredentialRefused, match="github-oauth must be connected anew"
            ) as told:
                await desk.bearers.get(ID)
            assert "coatcheck credential connect github-oauth (the authorization server" in told.value.message
        assert "used up" in desk.reconnect
        assert len(desk.world.grants("refresh_token")) == 1
        assert desk.actions() == ["credential.connect", "credential.failing"]
        desk.restart()
        with pytest.raises(UpstreamCredentialRefused):
            await desk.bearers.get(ID)
        assert desk.actions() == ["credential.connect", "credential.failing"]
        assert (await desk.connect()).ok
        assert desk.reconnect == ""
        assert await desk.bearers.get(ID)
        assert desk.actions()[-1] == "credential.connect"


async def test_no_refresh_token_at_all() -> None:
    clock = HandClock()
    async with desk_for(World(clock, gives_refresh=False), clock) as desk:
        await desk.connect()
        assert await desk.bearers.get(ID)
        clock.advance(3.0)
        with pytest.raises(UpstreamCredentialRefused, match="no refresh token was given"):
            await desk.bearers.get(ID)
        assert not desk.world.grants("refresh_token")


TROUBLES = [
    plain(b"", status="503 Service Unavailable"),
    plain(b"<html>", media="text/html", status="502 Bad Gateway"),
    error("temporarily_unavailable"),
    plain(message({"token_type": "Bearer"})),
    plain(message({"access_token": "a\nb", "token_type": "Bearer"})),
    plain(message({"access_token": "x", "token_type": "mac"})),
    plain(b'{"access_token":"a","access_token":"b","token_type":"Bearer"}'),
    plain(b"{" + b" " * 600_000 + b"}"),
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_what_may_pass_is_no_reason_to_connect_anew(trouble: bytes) -> None:
    clock = HandClock()
    async with desk_for(World(clock, life=100.0), clock) as desk:
        await desk.connect()
        token = desk.bearers.find(ID)
        clock.advance(90.0)
        desk.world.trouble = [trouble] * 3
        assert desk.bearers.find(ID) == token  # good still, and used
        async with asyncio.timeout(5):
            while desk.world.trouble:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert desk.bearers.find(ID) == token
        assert desk.reconnect == ""
        clock.advance(20.0)
        assert await desk.bearers.get(ID) != token


async def test_one_hiccup_is_not_seen_by_anyone() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        await desk.connect()
        clock.advance(3.0)
        desk.world.trouble = [plain(b"", status="500 Oops")]
        assert await desk.bearers.get(ID)


# --- client credentials ------------------------------------------------------------------------------------


async def test_client_credentials_need_nobody() -> None:
    clock = HandClock()
    world = World(clock, gives_refresh=False, metadata={"code_challenge_methods_supported": None})
    given = {"client_id": "ours", "client_secret": Secret("planted-own"), "scopes": ("a", "b")}
    async with desk_for(world, clock, grant_type="client_credentials", **given) as desk:
        assert (await desk.begin()).url == ""
        clock.advance(3.0)
        await desk.bearers.get(ID)
        forms = world.grants("client_credentials")
        assert [(form["scope"], form["resource"]) for form in forms] == [("a b", world.url)] * 2
        world.trouble = [error("invalid_client", "401 Unauthorized")]
        clock.advance(3.0)
        with pytest.raises(UpstreamCredentialRefused, match="does not know this client"):
            await desk.bearers.get(ID)


# --- at the server -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_each_request_has_the_token_of_the_moment(era: str) -> None:
    clock = HandClock()
    world = World(clock, era=era, echo=lambda request: request.headers["authorization"])
    async with desk_for(world, clock) as desk:
        await desk.connect()
        upstream = desk.upstream()
        first = await call(upstream)
        assert isinstance(first, Result)
        assert b"[redacted]" in first.raw
        assert b"planted" not in first.raw
        clock.advance(3.0)
        world.seen.clear()
        second = await call(upstream)
        assert isinstance(second, Result)
        assert b"planted" not in second.raw
        assert world.seen == [f"Bearer {desk.held.access.reveal()}"]
        await upstream.close(1.0)
        assert set(world.seen) == {f"Bearer {desk.held.access.reveal()}"}


async def test_a_401_is_answered_with_a_new_token_once() -> None:
    clock = HandClock()
    async with desk_for(World(clock, life=1000.0), clock) as desk:
        await desk.connect()
        upstream = desk.upstream()
        assert isinstance(await call(upstream), Result)
        clock.advance(100.0)
        desk.world.tokens.clear()  # revoked there
        found = await asyncio.gather(*(call(upstream) for _ in range(64)))
        assert all(isinstance(one, Result) for one in found)
        assert len(desk.world.grants("refresh_token")) == 1
        await upstream.close(1.0)


async def test_a_server_that_takes_no_token_is_not_asked_for_ever() -> None:
    clock = HandClock()
    async with desk_for(World(clock, life=1000.0), clock) as desk:
        await desk.connect()
        upstream = desk.upstream()
        assert isinstance(await call(upstream), Result)
        clock.advance(100.0)
        desk.world.refuses = True
        for _ in range(3):
            with pytest.raises(UpstreamCredentialRefused, match="refuses a token that was just given"):
                await call(upstream)
        assert len(desk.world.grants("refresh_token")) == 1
        assert desk.reconnect == ""
        desk.world.refuses = False
        assert isinstance(await call(upstream), Result)
        await upstream.close(1.0)


async def test_a_server_that_trusts_another_issuer_now_says_connect_anew() -> None:
    clock = HandClock()
    async with desk_for(World(clock, life=1000.0), clock) as desk:
        await desk.connect()
        upstream = desk.upstream()
        assert isinstance(await call(upstream), Result)
        clock.advance(100.0)
        former = desk.world.issuer
        desk.world.refuses, desk.world.path = True, "/other"
        desk.world.former = former
        with pytest.raises(
            UpstreamCredentialRefused, match=r"must be connected anew: .* another authorization"
        ):
            await call(upstream)
        assert "another authorization server" in desk.reconnect
        desk.world.refuses = False
        assert (await desk.connect()).ok
        assert isinstance(await call(upstream), Result)
        assert len(desk.world.clients) == 2
        await upstream.close(1.0)


async def test_a_scope_that_is_missing_is_named_and_asked_for_next() -> None:
    clock = HandClock()
    world = World(clock, life=1000.0, resource={"scopes_supported": ["read"]})
    async with desk_for(world, clock) as desk:
        await desk.connect()
        upstream = desk.upstream()
        world.wants_scope = "write"
        for _ in range(2):
            with pytest.raises(UpstreamCredentialRefused, match="wants the scope write"):
                await call(upstream)
        assert desk.actions() == ["credential.connect", "credential.failing"]
        world.wants_scope = ""
        assert isinstance(await call(upstream), Result)  # the token is good for other calls
        assert "scope=read+write" in (await desk.begin()).url
        await upstream.close(1.0)


async def test_a_server_that_wants_tokens_is_not_called_without() -> None:
    clock = HandClock()
    async with desk_for(World(clock), clock) as desk:
        upstream = desk.upstream()
        with pytest.raises(UpstreamCredentialRefused, match="never connected"):
            await call(upstream)
        assert not desk.world.seen
        await upstream.close(1.0)


async def test_64_callers_and_tokens_of_a_second() -> None:
    clock = SystemClock()
    async with desk_for(World(clock, life=1.0, delay=0.02), clock) as desk:
        await desk.connect()
        upstream, loop = desk.upstream(), asyncio.get_running_loop()
        end = loop.time() + 3.5
        calls = 0

        async def caller() -> None:
            nonlocal calls
            while loop.time() < end:
                assert isinstance(await call(upstream), Result)
                calls += 1
                await asyncio.sleep(0.01)

        await asyncio.gather(*(caller() for _ in range(64)))
        assert calls > 64 * 3
        assert 3 <= len(desk.world.grants("refresh_token")) <= 5
        assert len(desk.world.tokens) == len(desk.world.grants("refresh_token")) + 1
        assert desk.reconnect == ""
        await upstream.close(1.0)
