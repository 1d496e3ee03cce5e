"""Signing in with OpenID Connect: the way to the provider, and what a browser brings back from it.

Authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9207, RFC 9700). What is
kept in between is sealed in a cookie: the browser that began is the only one that can finish, and nobody can
fill our memory by beginning.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from coatcheck.core import oauth, openid
from coatcheck.core.going import return_path
from coatcheck.core.sealing.states import NONCE_BYTES, Seal
from coatcheck.errors import ConfirmFirst, OpenIdRefused, UpstreamError
from coatcheck.model.openid import Arrived, OpenIdRules, Redeemed, Vouched
from coatcheck.model.secret import Secret
from coatcheck.ports import Clock, Entropy
from coatcheck.ports.openid import IdentityProvider

log = logging.getLogger(__name__)

CALLBACK: Final = "/login/openid/callback"
"""Where the provider sends a browser back to: to be registered there, after the origin of the gateway."""
COOKIE_SECONDS: Final = 600
"""How long somebody may take at the provider."""
MAX_USED: Final = 10_000
"""How many sign-ins are remembered as used. The cookies of older ones are as good as unused again, but the
provider takes no code twice either."""
_MAX_CODE: Final = 4096
_MAX_STATE: Final = 200
_ANEW: Final = "begin anew at the page for signing in"
_NOT_FRESH: Final = "the provider did not ask you again who you are, so this proves nothing new"
_ASK_AGAIN: Final = "sign out there, or ask its administrator to allow prompt=login"
_ERRORS: Final = frozenset(
    {
        "access_denied",
        "login_required",
        "consent_required",
        "interaction_required",
        "account_selection_required",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_response_type",
        "server_error",
        "temporarily_unavailable",
    }
)
"""Words of a provider that may be repeated (RFC 6749 section 4.1.2.1, Core section 3.1.2.6)."""


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    """What the browser keeps for us. `begun` in Unix seconds; `prove`: proof of the person is wanted anew."""

    nonce: str
    verifier: str
    redirect: str
    return_to: str
    begun: float
    prove: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """What a browser brings back that we sent out: its cookie is ours, and was not used before."""

    said: Mapping[str, str] = field(repr=False)
    kept: _Kept = field(repr=False)


class OpenIdSignIn:
    """Sends people to one provider and takes them back. Who they are here, `Vouching` knows."""

    def __init__(
        self,
        rules: OpenIdRules,
        provider: IdentityProvider,
        seal: Seal,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._rules = rules
        self._provider = provider
        self._seal = seal
        self._clock = clock
        self._entropy = entropy
        self._used: dict[bytes, None] = {}

    async def begin(self, base: str, return_to: str = "/", *, prove: bool = False) -> tuple[str, Secret]:
        """Return where to send a browser, and the value of the cookie that it is given along.

        `base` is the origin that the browser reaches us by. `prove`: the provider shall ask for proof of the
        person anew, even if it knows them.

        Raises:
            UpstreamError: the provider cannot be reached, or its document cannot be used.
        """
        document = await self._provider.describe()
        state, nonce = (oauth.unpadded(self._entropy.token(32)) for _ in range(2))
        verifier = oauth.unpadded(self._entropy.token(48))
        kept = _Kept(nonce, verifier, base + CALLBACK, return_path(return_to), self._now(), prove)
        query = {
            "response_type": "code",
            "client_id": self._rules.client_id,
            "redirect_uri": kept.redirect,
            "scope": " ".join(dict.fromkeys(("openid", *self._rules.scopes))),
            "state": state,
            "nonce": nonce,
            "code_challenge": oauth.code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        if prove:
            query |= {"prompt": "login", "max_age": "0"}
        text = msgspec.json.encode(kept).decode("utf-8")
        expires = kept.begun + COOKIE_SECONDS
        sealed = self._seal.seal(text, self._bindings(state), expires, self._entropy.token(NONCE_BYTES))
        return oauth.link(document.server.authorization_endpoint, query), Secret(sealed)

    def recognise(self, query: Sequence[tuple[str, str]], cookie: str) -> Returned:
        """Tell whether we sent out the browser that brings this back, by the cookie that it was given.

        Nobody is asked and nothing is used up. Who fails here was led here by anybody: any site can do that.

        Raises:
            OpenIdRefused: we did not, too long ago, or it came back before.
        """
        said = dict(query)
        state = said.get("state", "")
        kept = self._opened(cookie, state)
        if kept is None or len(said) != len(query) or _key_of(state) in self._used:
            raise _not_ours()
        return Returned(said, kept)

    async def finish(self, returned: Returned) -> Arrived:
        """Judge what a browser of ours brings back. Its cookie is used up by this.

        Raises:
            OpenIdRefused: the provider vouches for nobody; or it came back meanwhile.
            ConfirmFirst: proof was wanted anew, and the provider asked for none. It may vouch for anybody.
            UpstreamError: the provider cannot be reached, or fails.
            Busy: too many do this at once.
        """
        said, kept = returned.said, returned.kept
        if not self._use(said["state"]):
            raise _not_ours()
        try:
            code = await self._code_in(said)
            redeemed = await self._provider.redeem(code, kept.verifier, kept.redirect)
            vouched = await self._vouched(redeemed, kept)
            # What the ID token says of it, whether it was asked for or not: a provider that knew the person
            # already had no proof of who sits there now.
            fresh = openid.is_fresh(redeemed.claims, kept.begun, self._now())
            if kept.prove and not fresh:
                raise ConfirmFirst(_NOT_FRESH, fix=_ASK_AGAIN)
            return Arrived(replace(vouched, fresh=fresh), kept.return_to, kept.prove)
        except ConfirmFirst:
            log.warning("a proof by OpenID Connect was refused: the provider did not ask for it anew")
            raise
        except OpenIdRefused as refused:
            log.warning("a sign-in by OpenID Connect was refused: %s", refused.because)
            raise
        except UpstreamError as failed:
            log.warning("a sign-in by OpenID Connect failed: %s", failed.message)
            raise

    # --- what comes back -----------------------------------------------------------------------------------

    def _opened(self, cookie: str, state: str) -> _Kept | None:
        """Return what we gave this browser beside this state."""
        if not 0 < len(state) <= _MAX_STATE:
            return None
        text = self._seal.open(cookie, self._bindings(state), self._now())
        return None if text is None else msgspec.json.decode(text, type=_Kept)

    def _use(self, state: str) -> bool:
        """Use a state up; False: it was used before. Only who holds its cookie comes to this."""
        key = _key_of(state)
        if key in self._used:
            return False
        if len(self._used) >= MAX_USED:
            del self._used[next(iter(self._used))]
        self._used[key] = None
        return True

    async def _code_in(self, said: Mapping[str, str]) -> str:
        """Return the code of an answer that is from our provider."""
        document = await self._provider.describe()
        if problem := oauth.issuer_problem(document.server, said.get("iss")):
            raise openid.unusable(f"the answer cannot be trusted: {problem}")
        code = said.get("code", "")
        if "error" in said or not 0 < len(code) <= _MAX_CODE:
            word = said.get("error", "")
            raise OpenIdRefused(
                "the provider did not let you in" if word else "the provider gave no code",
                fix=openid.ASK_ADMIN,
                because=f"the provider said {word if word in _ERRORS else 'no code, or an unknown error'}",
            )
        return code

    async def _vouched(self, redeemed: Redeemed, kept: _Kept) -> Vouched:
        rules, claims = self._rules, redeemed.claims
        expected = openid.Expected(rules.issuer, rules.client_id, kept.nonce, self._now())
        if problem := openid.token_problem(claims, redeemed.algorithm, redeemed.access, expected):
            raise openid.unusable(f"the ID token is refused: {problem}")
        if openid.is_lacking(claims, rules):
            more = await self._provider.about(redeemed.access)
            both = openid.merged(claims, more) if more else claims
            if both is None:
                raise openid.unusable("the UserInfo endpoint spoke of somebody else")
            claims = both
        return self._named(claims)

    def _named(self, claims: openid.Claims) -> Vouched:
        rules = self._rules
        name, problem = openid.name_of(claims, rules)
        if problem:
            raise OpenIdRefused(problem, fix="ask who runs the provider", because=problem)
        role = openid.role_of(claims, rules)
        if role is None and rules.operators and openid.is_left_out(claims, rules):
            raise openid.unusable(
                f"the provider left {rules.roles_claim} out: have it send only those that matter here"
            )
        given = f"gives the role {role.value}" if role else "gives no role"
        email = openid.text_of(claims, "email") if openid.is_verified(claims) or rules.trust_email else ""
        because = f"the claim {rules.roles_claim} {given}" if rules.operators else "roles are given here"
        return Vouched(rules.issuer, str(claims["sub"]), name, email[:320], role, because)

    def _bindings(self, state: str) -> tuple[str, ...]:
        return ("openid", self._rules.issuer, self._rules.client_id, state)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _key_of(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).digest()


def _not_ours() -> OpenIdRefused:
    return OpenIdRefused(
        "this sign-in was not begun in this browser, took over ten minutes, or was finished before", fix=_ANEW
    )
