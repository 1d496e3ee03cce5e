"""From where the console is served: this machine, others over https, and never others in the clear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from coatcheck.app.real import SystemClock
from doubles.openid import Provider as OpenIdProvider
from houses import PASSWORD
from journeys.operating import Office, office_at
from journeys.running import hall_at
from journeys.wire import control
from visitor import Sheet, Visitor

HOST = "mcp.example.com"
ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}
OVER_HTTPS = {"Host": HOST, "X-Forwarded-Proto": "https", **ELSEWHERE}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Run a gateway behind a proxy on this machine that speaks TLS."""
    place = tmp_path_factory.mktemp("proxied") / "data"
    proxy = ("--public-url", f"https://{HOST}", "--trusted-proxies", "127.0.0.1/32")
    with office_at(place, arguments=proxy) as office:
        yield office


def _enter(
    office: Office, headers: dict[str, str], origin: str, name: str, port: int = 0
) -> tuple[Visitor, Sheet]:
    code = office.locally("POST", "/operators", {"name": name, "role": "viewer"})["code"]
    visitor = Visitor(port or office.hall.gateway.port)
    visitor.get(f"/welcome/{code}", headers)
    fields = {"password": PASSWORD, "again": PASSWORD, "csrf": visitor.csrf}
    told = visitor.post(f"/welcome/{code}", fields, {**headers, "Origin": origin}, follow=False)
    return visitor, told


def test_over_https_the_cookie_is_bound_to_the_host(proxied: Office) -> None:
    visitor, told = _enter(proxied, OVER_HTTPS, f"https://{HOST}", "by-https")
    assert told.status == 303, told.text
    line = next(value for name, value in told.headers if "session=ccks_" in value)
    assert line.startswith("__Host-coatcheck-session=")
    assert "Secure" in line
    assert visitor.get("/settings/me", OVER_HTTPS, follow=False).status == 200
    visitor.cookies = {
        name.replace("__Host-coatcheck", f"coatcheck-local-{proxied.hall.gateway.port}"): value
        for name, value in visitor.cookies.items()
    }
    assert visitor.get("/settings/me", OVER_HTTPS, follow=False).header("location").startswith("/login")


def test_on_this_machine_it_has_another_name(proxied: Office) -> None:
    port = proxied.hall.gateway.port
    _, told = _enter(proxied, {}, f"http://127.0.0.1:{port}", "by-loopback")
    assert told.status == 303
    assert any(value.startswith(f"coatcheck-local-{port}-session=ccks_") for _, value in told.headers)


def test_from_elsewhere_in_the_clear_nothing_is_shown_and_no_session_counts(proxied: Office) -> None:
    port = proxied.hall.gateway.port
    visitor, _ = _enter(proxied, {}, f"http://127.0.0.1:{port}", "in-the-clear")
    assert visitor.get("/settings/me", follow=False).status == 200
    for path in ("/", "/login", "/settings/me"):
        told = visitor.get(path, {"Host": f"127.0.0.1:{port}", **ELSEWHERE}, follow=False)
        assert (told.status, "plain http" in told.text) == (403, True)
        assert told.forms == []


def test_another_host_or_origin_is_turned_away_at_the_door(proxied: Office) -> None:
    visitor = Visitor(proxied.hall.gateway.port)
    assert visitor.get("/login", OVER_HTTPS).status == 200
    assert visitor.get("/login", {"Host": "evil.example"}).status == 421
    assert visitor.get("/login", {**OVER_HTTPS, "Origin": "https://evil.example"}).status == 403


def test_before_anybody_signed_in_it_is_for_this_machine(tmp_path_factory: pytest.TempPathFactory) -> None:
    from gateway import Gateway

    gateway = Gateway(
        tmp_path_factory.mktemp("fresh") / "data",
        {"mcpServers": {}},
        how="up",
        arguments=("--public-url", f"https://{HOST}", "--trusted-proxies", "127.0.0.1/32"),
    ).start()
    try:
        visitor = Visitor(gateway.port)
        assert visitor.get("/login").status == 200
        told = visitor.get("/login", OVER_HTTPS)
        assert (told.status, "own machine" in told.text) == (403, True)
    finally:
        gateway.stop()


def test_a_head_is_answered_like_a_page_without_its_body(proxied: Office) -> None:
    visitor = Visitor(proxied.hall.gateway.port)
    shown, head = visitor.get("/login"), visitor._once("HEAD", "/login", None, {})
    assert (shown.status, head.status, head.html) == (200, 200, "")
    assert head.header("content-security-policy") == shown.header("content-security-policy")
    assert visitor._once("DELETE", "/login", None, {}).status == 405


def test_with_an_address_of_its_own_clients_find_only_what_developers_need(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from gateway import Gateway, free_port

    admin = free_port()
    gateway = Gateway(
        tmp_path_factory.mktemp("apart") / "data",
        {"mcpServers": {}},
        how="up",
        arguments=("--admin", f"127.0.0.1:{admin}"),
    ).start()
    try:
        assert Visitor(admin).get("/login").status == 200
        assert Visitor(gateway.port).get("/login/grant").status == 200
        assert Visitor(gateway.port).get("/login").status == 404
        assert Visitor(gateway.port).get("/settings").status == 404
    finally:
        gateway.stop()


def test_that_address_is_used_from_elsewhere_by_a_url_of_its_own(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from gateway import free_port

    admin, console = free_port(), {**OVER_HTTPS, "Host": "console.example.com"}
    own = ("--admin", f"127.0.0.1:{admin}", "--admin-url", "https://console.example.com")
    proxy = ("--public-url", f"https://{HOST}", "--trusted-proxies", "127.0.0.1/32")
    place = tmp_path_factory.mktemp("own") / "data"
    with hall_at(place, arguments=(*own, *proxy)) as hall:
        office = Office(hall)
        assert office.locally("GET", "/status")["api"] == "https://console.example.com"
        _, told = _enter(office, {}, f"http://127.0.0.1:{admin}", "from-here", admin)
        assert told.status == 303, "the first comes from this machine"
        _, told = _enter(office, {**console}, "https://console.example.com", "from-afar", admin)
        assert told.status == 303
        assert any(value.startswith("__Host-coatcheck-session=ccks_") for _, value in told.headers)
        elsewhere = Visitor(admin).get("/login", OVER_HTTPS)
        assert (elsewhere.status, "--admin-url" in elsewhere.html) == (421, True)
        assert Visitor(admin).get("/login", {**console, "Origin": f"https://{HOST}"}).status == 403
        clients = Visitor(hall.gateway.port)
        assert clients.get("/login/grant", OVER_HTTPS).status == 200
        elsewhere = clients.get("/login/grant", console)
        assert (elsewhere.status, "--public-url" in elsewhere.html) == (421, True)


def test_that_address_without_a_url_says_how_it_is_reached(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from gateway import free_port

    admin = free_port()
    own = ("--admin", f"127.0.0.1:{admin}", "--trusted-proxies", "127.0.0.1/32")
    with hall_at(tmp_path_factory.mktemp("lonely") / "data", arguments=own) as hall:
        assert _enter(Office(hall), {}, f"http://127.0.0.1:{admin}", "here", admin)[1].status == 303
        assert Visitor(admin).get("/login").forms
        told = Visitor(admin).get("/login", ELSEWHERE)
        assert (told.status, told.forms) == (403, [])
        assert "as admin_url" in told.text
        assert f"ssh -L {admin}:127.0.0.1:{admin}" in told.text


def test_from_strangers_only_short_forms_are_read(proxied: Office) -> None:
    """Taking a form apart stops everything else: those of who is signed in may be long, theirs need not."""
    code = proxied.locally("POST", "/operators", {"name": "long-winded", "role": "viewer"})["code"]
    paths = ("/login", "/login/grant", f"/welcome/{code}", "/claim/cckl_x")
    visitor = Visitor(proxied.hall.gateway.port)
    for path in paths:
        short = visitor.post(path, {"csrf": "x", "password": "y" * 1_000})
        assert (short.status, "too old" in short.text) == (403, True)
        long = visitor.post(path, {"csrf": "x", "password": "y" * 20_000})
        assert (long.status, "16384 bytes" in long.text) == (413, True)


def test_what_a_proxy_does_not_say_that_it_took_over_https_is_plain_http(proxied: Office) -> None:
    visitor = Visitor(proxied.hall.gateway.port)
    for said in ("https", " HTTPS ", "https, http"):
        assert visitor.get("/login", {**OVER_HTTPS, "X-Forwarded-Proto": said}).forms
    for headers in (OVER_HTTPS, {"Host": HOST}):  # the second is what a tunnel sends that tells nothing
        for plain in ("http", "HTTP", "http, https", "", "ftp"):
            told = visitor.get("/login", {**headers, "X-Forwarded-Proto": plain})
            assert (told.status, "plain http" in told.text, told.forms) == (403, True, []), plain
            assert f"Open https://{HOST} instead" in told.text
            assert "X-Forwarded-Proto" in told.text
    silent = {name: value for name, value in OVER_HTTPS.items() if name != "X-Forwarded-Proto"}
    assert visitor.get("/login", silent).status == 403
    assert visitor.get("/login", {"Host": HOST}).status == 403
    assert visitor.cookies == {name: value for name, value in visitor.cookies.items() if "__Host" in name}


def test_a_form_is_of_the_address_that_it_goes_to_and_of_no_other_of_ours(proxied: Office) -> None:
    """A proxy here that tells neither Host nor client would have sessions begin that are not bound to https."""
    port = proxied.hall.gateway.port
    visitor = Visitor(port)
    visitor.get("/login")
    fields = {"name": "nobody", "password": PASSWORD, "csrf": visitor.csrf}
    for origin, status in (
        (f"http://127.0.0.1:{port}", 401),
        (f"https://{HOST}", 403),
        (f"http://localhost:{port}", 403),
    ):
        assert visitor.post("/login", fields, {"Origin": origin, "Sec-Fetch-Site": ""}).status == status
    visitor = Visitor(port)
    visitor.get("/login", OVER_HTTPS)
    fields["csrf"] = visitor.csrf
    for host in (HOST, f"{HOST}:443", HOST.upper()):
        given = {**OVER_HTTPS, "Host": host, "Origin": f"https://{HOST}"}
        assert visitor.post("/login", fields, given).status == 401


def test_what_no_provider_sends_back_is_refused_and_no_defect(tmp_path: Path) -> None:
    from gateway import Gateway

    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    provider = ['oidc_issuer = "http://127.0.0.1:9"', 'oidc_client_id = "console"']
    (data / "coatcheck.toml").write_text("\n".join(provider))
    gateway = Gateway(data, {"mcpServers": {}}, how="up").start()
    try:
        visitor = Visitor(gateway.port)
        for count, status in ((50, 403), (51, 400)):
            query = "&".join(f"a{number}=1" for number in range(count))
            assert visitor.get(f"/login/openid/callback?{query}").status == status
        statuses = [visitor.get("/login/openid/callback?code=made-up&state=x").status for _ in range(25)]
        assert statuses == [403] * 25, "the provider is asked nothing, so it locks nobody out"
        told = control(data / "coatcheck.sock", "GET", "/api/v1/records")[1]
        assert told["items"] == []
    finally:
        gateway.stop()


async def test_what_the_provider_refuses_is_braked_and_what_was_used_before_is_not(tmp_path: Path) -> None:
    from gateway import Gateway

    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    async with OpenIdProvider(SystemClock()) as provider:
        provider.answer_more = {"error": "access_denied"}
        lines = [f'oidc_issuer = "{provider.issuer}"', 'oidc_client_id = "coatcheck"']
        (data / "coatcheck.toml").write_text("\n".join(lines))
        gateway = await asyncio.to_thread(Gateway(data, {"mcpServers": {}}, how="up").start)
        try:
            visitor = Visitor(gateway.port)

            def come_back(times: int = 1) -> list[int]:
                to = visitor.get("/login/openid", follow=False).header("location")
                query = urlencode(provider.authorize(to))
                kept = dict(visitor.cookies)
                statuses = []
                for _ in range(times):
                    visitor.cookies = dict(kept)
                    statuses.append(visitor.get(f"/login/openid/callback?{query}").status)
                return statuses

            assert await asyncio.to_thread(come_back, 30) == [403] * 30
            told = control(data / "coatcheck.sock", "GET", "/api/v1/records")[1]
            assert [one["reason"] for one in told["items"]] == ["sign_in"], told
            for _ in range(19):
                assert await asyncio.to_thread(come_back) == [403]
            assert await asyncio.to_thread(come_back) == [429]
            assert (await asyncio.to_thread(visitor.get, "/login")).status == 200
        finally:
            await asyncio.to_thread(gateway.stop)


async def test_what_a_provider_only_remembers_confirms_nothing_whoever_it_remembers(tmp_path: Path) -> None:
    """A provider that ignores `prompt=login`: whoever runs it learns that, and nobody is braked for it."""
    from gateway import Gateway

    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    async with OpenIdProvider(SystemClock()) as provider:
        lines = [f'oidc_issuer = "{provider.issuer}"', 'oidc_client_id = "coatcheck"']
        (data / "coatcheck.toml").write_text("\n".join(lines))
        gateway = await asyncio.to_thread(Gateway(data, {"mcpServers": {}}, how="up").start)
        try:
            for name in ("ann", "ben"):
                asked = {"name": f"{name}@example.com", "role": "admin"}
                body = json.dumps(asked).encode()
                assert control(data / "coatcheck.sock", "POST", "/api/v1/operators", body)[0] == 201
            visitor = Visitor(gateway.port)

            def come_back(again: int) -> Sheet:
                begun = visitor.get(f"/login/openid?again={again}&back=/settings", follow=False)
                to = begun.header("location")
                assert ("prompt=login" in to) is bool(again)
                query = urlencode(provider.authorize(to))
                return visitor.get(f"/login/openid/callback?{query}", follow=False)

            assert (await asyncio.to_thread(come_back, 0)).status == 303
            mine = dict(visitor.cookies)
            for remembered in (None, 1_000_000):
                provider.claims = {"auth_time": remembered}
                for at in range(15):
                    told = await asyncio.to_thread(come_back, 1)
                    assert (told.status, told.header("set-cookie")) == (403, "")
                    assert "prompt=login" in told.text
                    assert "did not ask you again who you are" in told.text, at
            before = dict(provider.person)
            provider.person |= {"sub": "u-2", "email": "ben@example.com"}
            assert (await asyncio.to_thread(come_back, 1)).status == 403, "somebody else, not proven either"
            provider.person, provider.claims = before, {}
            assert {name: value for name, value in visitor.cookies.items() if "session" in name} == {
                name: value for name, value in mine.items() if "session" in name
            }
            assert (await asyncio.to_thread(visitor.get, "/settings")).path.startswith("/settings/")
            told = control(data / "coatcheck.sock", "GET", "/api/v1/records")[1]
            assert told["items"] == [], "nobody guessed"
            operators = control(data / "coatcheck.sock", "GET", "/api/v1/operators")[1]["items"]
            assert {one["name"]: one["state"] for one in operators}["ben@example.com"] == "invited"
            assert (await asyncio.to_thread(come_back, 1)).status == 303, "and who is asked again proves it"
        finally:
            await asyncio.to_thread(gateway.stop)


def test_wrong_links_are_braked_for_looking_and_for_using_apart(proxied: Office) -> None:
    """What another site can set off as pictures keeps nobody from signing in."""
    here = {**OVER_HTTPS, "X-Forwarded-For": "203.0.113.77", "Origin": f"https://{HOST}"}
    there = {**here, "X-Forwarded-For": "203.0.113.78"}
    picture = {name: value for name, value in here.items() if name != "Origin"}
    picture |= {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}
    code = proxied.locally("POST", "/operators", {"name": "looked-at", "role": "viewer"})["code"]

    def use(visitor: Visitor, code: str) -> Sheet:
        visitor.get("/login", here)
        fields = {"csrf": visitor.csrf, "password": PASSWORD, "again": PASSWORD}
        return visitor.post(f"/welcome/{code}", fields, here, follow=False)

    visitor, invited = (Visitor(proxied.hall.gateway.port) for _ in range(2))
    looks = [visitor.get(f"/welcome/cckb_{n}", picture, follow=False).status for n in range(20)]
    assert looks == [404] * 20
    _is_braked(visitor.get("/welcome/cckb_wrong", here, follow=False))
    assert visitor.get("/welcome/cckb_wrong", there, follow=False).status == 404
    assert use(invited, code).status == 303
    assert [use(visitor, "cckb_wrong").status for _ in range(20)] == [404] * 20, "each counts once"
    _is_braked(use(visitor, "cckb_wrong"))


def _is_braked(told: Sheet) -> None:
    assert (told.status, "Too many wrong tries" in told.text) == (429, True)
    assert int(told.header("retry-after")) > 1
