"""Signing in against a provider over real HTTP: the right way first, then every way that is wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from coatcheck.app.real import SystemEntropy
from coatcheck.core.oauth import code_challenge
from coatcheck.core.sealing.states import Seal
from coatcheck.errors import (
    AuthorizationRefused,
    Busy,
    CoatcheckError,
    ConfirmFirst,
    OpenIdRefused,
    UpstreamBadReply,
    UpstreamError,
    UpstreamForbidden,
)
from coatcheck.model.openid import Arrived, RoleRule
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.signing_in.openid import MAX_USED, OpenIdSignIn
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.oauth.fetching import FetchLimits
from coatcheck.upstream.openid.provider import MOST_AT_ONCE, HttpIdentityProvider
from doubles.clock import HandClock
from doubles.openid import EC, ED, OTHER, REDIRECT, RSA, SHORT, Provider, signed, with_shared_secret
from upstream.raw_servers import message, plain

BASE = "https://gate.example.com"
ROLES = (RoleRule(OperatorRole.ADMIN, "platform"), RoleRule(OperatorRole.AUDITOR, "audit"))
DOCUMENT = "/.well-known/openid-configuration"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def provider(clock: HandClock) -> AsyncIterator[Provider]:
    async with Provider(clock) as made:
        yield made


def sign_in_at(provider: Provider, clock: HandClock, **rules: Any) -> OpenIdSignIn:
    judged = provider.rules(**rules)
    http = HttpIdentityProvider(
        judged, Egress(loopback=False), clock, SystemEntropy(), FetchLimits(seconds=3.0)
    )
    return OpenIdSignIn(judged, http, Seal(bytes(32)), clock, SystemEntropy())


async def finished(sign_in: OpenIdSignIn, query: list[tuple[str, str]], cookie: str) -> Arrived:
    return await sign_in.finish(sign_in.recognise(query, cookie))


async def through(sign_in: OpenIdSignIn, provider: Provider, **how: Any) -> Arrived:
    """Go the whole way as one browser."""
    url, cookie = await sign_in.begin(BASE, **how)
    return await finished(sign_in, provider.authorize(url), cookie.reveal())


# --- the right way ------------------------------------------------------------------------------------------


async def test_somebody_comes_back_with_name_and_role(provider: Provider, clock: HandClock) -> None:
    provider.person |= {"groups": ["audit", "platform", "others"]}
    sign_in = sign_in_at(provider, clock, operators=ROLES)
    url, cookie = await sign_in.begin(BASE, "/servers?state=up")
    asked = dict(parse_qsl(urlsplit(url).query))
    assert url.startswith(f"{provider.issuer}/authorize?")
    assert asked["redirect_uri"] == f"{BASE}/login/openid/callback"
    assert (asked["scope"], asked["code_challenge_method"]) == ("openid email profile", "S256")
    assert "prompt" not in asked
    arrived = await finished(sign_in, provider.authorize(url), cookie.reveal())
    vouched = arrived.vouched
    assert arrived.return_to == "/servers?state=up"
    assert vouched.link == f"{provider.issuer}#u-1"
    assert (vouched.name, vouched.email, vouched.role) == (
        "ann@example.com",
        "ann@example.com",
        OperatorRole.ADMIN,
    )
    (form,) = provider.asked
    assert code_challenge(form["code_verifier"]) == asked["code_challenge"]
    assert provider.paths == [DOCUMENT, "/token", "/keys"]


async def test_what_was_fetched_is_kept(provider: Provider, clock: HandClock) -> None:
    sign_in = sign_in_at(provider, clock)
    await asyncio.gather(*(through(sign_in, provider) for _ in range(5)))
    assert sorted(provider.paths) == [DOCUMENT, "/keys", *["/token"] * 5]
    clock.advance(3601)
    await through(sign_in, provider)
    assert provider.paths.count(DOCUMENT) == provider.paths.count("/keys") == 2


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
async def test_every_algorithm_of_the_list(provider: Provider, clock: HandClock, algorithm: str) -> None:
    provider.claims = {"at_hash": None}
    provider.make = lambda claims: signed(claims, algorithm)
    assert (await through(sign_in_at(provider, clock), provider)).vouched.subject == "u-1"


@pytest.mark.parametrize(
    "make",
    [
        lambda claims: signed(claims, kid=None, typ="JWT"),
        lambda claims: signed(claims | {"aud": ["coatcheck"], "azp": "coatcheck"}),
        lambda claims: signed(claims | {"aud": ["other", "coatcheck"], "azp": "coatcheck"}),
        lambda claims: signed(claims | {"nbf": claims["iat"] + 59, "iat": claims["iat"] + 59.5}),
        lambda claims: signed(claims | {"exp": claims["iat"] - 59}),
    ],
)
async def test_tokens_of_other_but_good_forms(
    provider: Provider, clock: HandClock, make: Callable[[Any], str]
) -> None:
    provider.keys = [RSA, EC]
    provider.make = make
    assert (await through(sign_in_at(provider, clock), provider)).vouched.subject == "u-1"


async def test_a_new_key_is_fetched_but_not_for_every_unknown_one(
    provider: Provider, clock: HandClock
) -> None:
    provider.keys = [EC]
    sign_in = sign_in_at(provider, clock)
    provider.make = lambda claims: signed(claims | {"at_hash": claims["at_hash"]}, "ES256")
    await through(sign_in, provider)
    provider.keys, provider.make = [RSA], signed
    with pytest.raises(OpenIdRefused):
        await through(sign_in, provider)
    assert provider.paths.count("/keys") == 1, "it was fetched within the minute"
    clock.advance(61)
    await through(sign_in, provider)
    assert provider.paths.count("/keys") == 2
    provider.make = lambda claims: signed(claims, kid="nobody")
    for _ in range(3):
        with pytest.raises(OpenIdRefused):
            await through(sign_in, provider)
    assert provider.paths.count("/keys") == 2


async def test_claims_that_the_token_lacks_are_asked_for(provider: Provider, clock: HandClock) -> None:
    provider.about = provider.person | {"groups": ["audit"], "email": "ann@example.com"}
    provider.person = {"sub": "u-1"}
    arrived = await through(sign_in_at(provider, clock, operators=ROLES), provider)
    assert (arrived.vouched.name, arrived.vouched.role) == ("ann@example.com", OperatorRole.AUDITOR)
    assert provider.paths[-1] == "/about"
    provider.about = provider.about | {"sub": "u-2"}
    with pytest.raises(OpenIdRefused) as refused:
        await through(sign_in_at(provider, clock, operators=ROLES), provider)
    assert "somebody else" in refused.value.because


async def test_proof_anew(provider: Provider, clock: HandClock) -> None:
    sign_in = sign_in_at(provider, clock)
    assert not (await through(sign_in, provider)).vouched.fresh
    url, cookie = await sign_in.begin(BASE, prove=True)
    asked = dict(parse_qsl(urlsplit(url).query))
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert (await finished(sign_in, provider.authorize(url), cookie.reveal())).vouched.fresh
    for at in (None, int(clock.now().timestamp()) - 61):
        provider.claims = {"auth_time": at}
        with pytest.raises(ConfirmFirst) as refused:
            await through(sign_in, provider, prove=True)
        assert "prompt=login" in refused.value.fix
        provider.keys = [OTHER]  # what is no good token proves less than nothing, however old
        with pytest.raises(OpenIdRefused):
            await through(sign_in_at(provider, clock), provider, prove=True)
        provider.keys = [RSA]
    await through(sign_in, provider)


@pytest.mark.parametrize(("ago", "fresh"), [(0, True), (61, False), (None, False)])
async def test_who_had_to_prove_it_on_the_way_is_fresh_and_who_was_remembered_is_not(
    provider: Provider, clock: HandClock, ago: int | None, *, fresh: bool
) -> None:
    now = int(clock.now().timestamp())
    provider.claims = {} if ago is None else {"auth_time": now - ago}
    provider.about = {"sub": "u-1", "email": "ann@example.com", "email_verified": True, "auth_time": now}
    provider.person = {"sub": "u-1"}
    assert (await through(sign_in_at(provider, clock), provider)).vouched.fresh is fresh


async def test_a_public_client_and_a_provider_without_iss(provider: Provider, clock: HandClock) -> None:
    provider.document = {"authorization_response_iss_parameter_supported": None}
    provider.answer_more = {"iss": None}
    await through(sign_in_at(provider, clock), provider)


# --- what the browser brings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "because"),
    [
        ({"iss": None}, "which authorization server"),
        ({"iss": "http://127.0.0.1:1"}, "another authorization server"),
        ({"code": None}, "no code"),
        ({"code": ""}, "no code"),
        ({"code": "c" * 4097}, "no code"),
        ({"error": "access_denied", "error_description": "planted-words"}, "access_denied"),
        ({"code": None, "error": "planted-words"}, "unknown error"),
    ],
)
async def test_answers_that_are_refused(
    provider: Provider,
    clock: HandClock,
    more: dict[str, str | None],
    because: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    sign_in = sign_in_at(provider, clock)
    await through(sign_in, provider)
    provider.answer_more = more
    with pytest.raises(OpenIdRefused) as refused:
        await through(sign_in, provider)
    assert because in refused.value.because
    assert len(provider.asked) == 1
    assert "planted" not in caplog.text + str(refused.value) + refused.value.because + refused.value.fix


async def test_only_the_browser_that_began_can_finish_and_only_once(
    provider: Provider, clock: HandClock
) -> None:
    provider.lenient = True
    sign_in = sign_in_at(provider, clock)
    mine, other = [await sign_in.begin(BASE) for _ in range(2)]
    query = provider.authorize(mine[0])
    twice = [*query, ("state", dict(query)["state"])]
    seen = len(provider.paths)
    for bad, cookie in [
        (query, ""),
        (query, "nonsense"),
        (query, other[1].reveal()),
        (query, mine[1].reveal()[:-4] + "AAA="),
        (twice, mine[1].reveal()),
        ([], mine[1].reveal()),
        ([("state", ""), ("code", "c")], mine[1].reveal()),
        (provider.authorize(other[0]), mine[1].reveal()),
    ]:
        with pytest.raises(OpenIdRefused) as refused:
            await finished(sign_in, bad, cookie)
        assert "not begun in this browser" in str(refused.value)
    assert len(provider.paths) == seen, "nothing was asked"
    late = sign_in.recognise(query, mine[1].reveal())
    assert "planted" not in repr(late)
    assert (await finished(sign_in, query, mine[1].reveal())).vouched.subject == "u-1"
    seen = len(provider.paths)
    with pytest.raises(OpenIdRefused):
        sign_in.recognise(query, mine[1].reveal())
    with pytest.raises(OpenIdRefused):
        await sign_in.finish(late)
    assert len(provider.paths) == seen
    again = Seal(bytes(31) + b"\x01")
    strange = OpenIdSignIn(provider.rules(), sign_in._provider, again, clock, SystemEntropy())
    with pytest.raises(OpenIdRefused):
        await finished(strange, provider.authorize(other[0]), other[1].reveal())


async def test_ten_minutes(provider: Provider, clock: HandClock) -> None:
    sign_in = sign_in_at(provider, clock)
    for seconds, good in ((599, True), (600, False)):
        url, cookie = await sign_in.begin(BASE)
        clock.advance(seconds)
        if good:
            await finished(sign_in, provider.authorize(url), cookie.reveal())
        else:
            with pytest.raises(OpenIdRefused):
                await finished(sign_in, provider.authorize(url), cookie.reveal())


async def test_the_cookie_tells_nothing_and_memory_is_bounded(provider: Provider, clock: HandClock) -> None:
    sign_in = sign_in_at(provider, clock)
    url, cookie = await sign_in.begin(BASE, "/servers")
    text = base64.urlsafe_b64decode(cookie.reveal())
    asked = dict(parse_qsl(urlsplit(url).query))
    assert not any(word.encode() in text for word in ("servers", asked["nonce"], asked["state"]))
    assert len(cookie.reveal()) < 3000
    assert not sign_in._used
    for number in range(MAX_USED + 5):
        assert sign_in._use(str(number))
    assert len(sign_in._used) == MAX_USED


async def test_a_code_of_another_verifier_is_the_providers_to_refuse(
    provider: Provider, clock: HandClock
) -> None:
    sign_in = sign_in_at(provider, clock)
    mine, other = [await sign_in.begin(BASE) for _ in range(2)]
    stolen = dict(provider.authorize(other[0]))["code"]
    query = [(n, stolen if n == "code" else v) for n, v in provider.authorize(mine[0])]
    with pytest.raises(AuthorizationRefused):
        await finished(sign_in, query, mine[1].reveal())
    provider.lenient = True  # and if it does not, the nonce is another one
    mine = await sign_in.begin(BASE)
    stolen = dict(provider.authorize(other[0]))["code"]
    query = [(n, stolen if n == "code" else v) for n, v in provider.authorize(mine[0])]
    with pytest.raises(OpenIdRefused) as refused:
        await finished(sign_in, query, mine[1].reveal())
    assert "not made for this sign-in" in refused.value.because


# --- ID tokens ----------------------------------------------------------------------------------------------


def none(claims: Any) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "kid": "rsa"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def tampered(claims: Any) -> str:
    head, _, signature = signed(claims).split(".")
    payload = json.dumps(claims | {"sub": "root"}).encode()
    return ".".join((head, base64.urlsafe_b64encode(payload).rstrip(b"=").decode(), signature))


BAD_TOKENS: list[tuple[str, Callable[[Any], str], str]] = [
    ("none", none, "not signed with"),
    ("shared-secret", with_shared_secret, "not signed with"),
    ("other-key", lambda c: signed(c, key=OTHER), "signature"),
    ("unknown-kid", lambda c: signed(c, kid="nobody"), "signature"),
    ("kid-of-another-kind", lambda c: signed(c, kid="ec"), "signature"),
    ("short-key", lambda c: signed(c, key=SHORT), "signature"),
    ("rs512", lambda c: signed(c, "RS512", RSA), "not signed with"),
    ("tampered", tampered, "signature"),
    ("crit", lambda c: signed(c, crit=["b64"], b64=True), "extensions"),
    ("access-token", lambda c: signed(c, typ="at+jwt"), "another kind"),
    ("logout-token", lambda c: signed(c, typ="logout+jwt"), "another kind"),
    ("five-parts", lambda c: signed(c) + ".a.b", "no signed token"),
    ("no-base64", lambda c: "!" + signed(c), "no signed token"),
    ("empty", lambda c: "", "there is none"),
    ("equal-members", lambda c: signed(b'{"sub":"a",' + json.dumps(c).encode()[1:]), "no clear JSON"),
    ("no-object", lambda c: signed(b"[]"), "no clear JSON"),
    ("iss", lambda c: signed(c | {"iss": c["iss"] + "/"}), "issuer"),
    ("no-iss", lambda c: signed({k: v for k, v in c.items() if k != "iss"}), "issuer"),
    ("aud", lambda c: signed(c | {"aud": "other"}), "another client"),
    ("no-aud", lambda c: signed(c | {"aud": []}), "another client"),
    ("aud-number", lambda c: signed(c | {"aud": 7}), "another client"),
    ("aud-two", lambda c: signed(c | {"aud": ["coatcheck", "other"]}), "several clients"),
    ("azp", lambda c: signed(c | {"azp": "other"}), "another client"),
    ("nonce", lambda c: signed(c | {"nonce": "n"}), "this sign-in"),
    ("no-nonce", lambda c: signed({k: v for k, v in c.items() if k != "nonce"}), "this sign-in"),
    ("expired", lambda c: signed(c | {"exp": c["iat"] - 60}), "expired"),
    ("no-exp", lambda c: signed({k: v for k, v in c.items() if k != "exp"}), "when it was made"),
    ("bad-exp", lambda c: signed(c | {"exp": True}), "when it was made"),
    ("endless-exp", lambda c: signed(c | {"exp": 10**40}), "when it was made"),
    ("no-iat", lambda c: signed({k: v for k, v in c.items() if k != "iat"}), "when it was made"),
    ("iat", lambda c: signed(c | {"iat": c["iat"] + 61}), "future"),
    ("nbf", lambda c: signed(c | {"nbf": c["iat"] + 61}), "future"),
    ("bad-nbf", lambda c: signed(c | {"nbf": "soon"}), "future"),
    ("at-hash", lambda c: signed(c | {"at_hash": "x"}), "another access token"),
    ("no-sub", lambda c: signed(c | {"sub": ""}), "no subject"),
    ("sub-number", lambda c: signed(c | {"sub": {"a": 1}}), "no subject"),
    ("long-sub", lambda c: signed(c | {"sub": "s" * 256}), "no subject"),
]


@pytest.mark.parametrize(
    ("make", "because"), [one[1:] for one in BAD_TOKENS], ids=[one[0] for one in BAD_TOKENS]
)
async def test_bad_id_tokens(
    provider: Provider, clock: HandClock, make: Callable[[Any], str], because: str
) -> None:
    provider.keys = [RSA, EC, ED, SHORT]
    sign_in = sign_in_at(provider, clock)
    assert (await through(sign_in, provider)).vouched.subject == "u-1"
    provider.make = make
    with pytest.raises(OpenIdRefused) as refused:
        await through(sign_in, provider)
    assert because in refused.value.because
    assert because not in str(refused.value)


@pytest.mark.parametrize(
    ("person", "because"),
    [
        ({"email_verified": False}, "verified"),
        ({"email_verified": None}, "verified"),
        ({"email_verified": 1}, "verified"),
        ({"email": None}, "no claim email"),
        ({"email": ["ann@example.com"]}, "no claim email"),
        ({"email": " ann@example.com"}, "no claim email"),
        ({"email": "ann\n@example.com"}, "no claim email"),
        ({"groups": None, "_claim_names": {"groups": "src1"}}, "left groups out"),
    ],
)
async def test_persons_that_cannot_be_named(
    provider: Provider, clock: HandClock, person: dict[str, Any], because: str
) -> None:
    provider.person |= {"groups": []}
    sign_in = sign_in_at(provider, clock, operators=ROLES)
    assert (await through(sign_in, provider)).vouched.role is None
    provider.claims = person
    with pytest.raises(OpenIdRefused) as refused:
        await through(sign_in, provider)
    assert because in refused.value.because


async def test_addresses_that_are_trusted_all_the_same(provider: Provider, clock: HandClock) -> None:
    provider.claims = {"email_verified": None}
    assert (await through(sign_in_at(provider, clock, trust_email=True), provider)).vouched.email


# --- the provider's document and keys -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "page"),
    [
        (DOCUMENT, REDIRECT),
        (DOCUMENT, plain(b"{" + b" " * 600_000 + b"}")),
        (DOCUMENT, plain(b"<html>", "text/html")),
        (DOCUMENT, plain(b'{"issuer":"a","issuer":"b"}')),
        (DOCUMENT, plain(b"{}", status="500 Oh")),
        ("/keys", REDIRECT),
        ("/keys", plain(b"{" + b" " * 600_000 + b"}")),
        ("/keys", plain(message({"keys": [{"kty": "oct", "k": "AAAA", "kid": "rsa"}]}))),
        ("/keys", plain(message({"keys": [SHORT.as_dict(private=False)]}))),
        ("/keys", plain(message({"keys": "rsa"}))),
        ("/token", REDIRECT),
        ("/token", plain(b"{" + b" " * 600_000 + b"}")),
        ("/token", plain(b"planted", "text/plain")),
    ],
)
async def test_pages_that_are_refused(provider: Provider, clock: HandClock, path: str, page: bytes) -> None:
    await through(sign_in_at(provider, clock), provider)
    provider.pages = {path: page}
    with pytest.raises(UpstreamError) as failed:
        await through(sign_in_at(provider, clock), provider)
    assert "planted" not in str(failed.value) + failed.value.fix + failed.value.detail


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"issuer": "https://accounts.example.com"}, UpstreamBadReply, "another issuer"),
        ({"issuer": None}, UpstreamBadReply, "another issuer"),
        ({"authorization_endpoint": None}, UpstreamForbidden, "authorization_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, UpstreamForbidden, "authorization_endpoint"),
        ({"authorization_endpoint": "http://example.com/a"}, UpstreamForbidden, "not https"),
        ({"token_endpoint": "http://example.com/t"}, UpstreamForbidden, "not https"),
        ({"jwks_uri": "file:///etc/passwd"}, UpstreamForbidden, "jwks_uri"),
        ({"userinfo_endpoint": "https://a:b@example.com/"}, UpstreamForbidden, "user information"),
    ],
)
async def test_documents_that_are_refused(
    provider: Provider, clock: HandClock, said: dict[str, Any], error: type[CoatcheckError], words: str
) -> None:
    await sign_in_at(provider, clock).begin(BASE)
    provider.document = said
    sign_in = sign_in_at(provider, clock)
    with pytest.raises(error) as failed:
        await sign_in.begin(BASE)
    assert words in str(failed.value)
    asked = len(provider.paths)
    with pytest.raises(error):
        await sign_in.begin(BASE)
    assert len(provider.paths) == asked, "a failure is not tried again at once"
    provider.document = {}
    clock.advance(5)
    await sign_in.begin(BASE)


async def test_no_more_than_a_few_ask_for_tokens_at_once(provider: Provider, clock: HandClock) -> None:
    sign_in = sign_in_at(provider, clock)
    ended = await asyncio.gather(
        *(through(sign_in, provider) for _ in range(MOST_AT_ONCE + 4)), return_exceptions=True
    )
    assert [type(one) for one in ended].count(Arrived) == MOST_AT_ONCE
    assert [type(one) for one in ended].count(Busy) == 4
    await through(sign_in, provider)
