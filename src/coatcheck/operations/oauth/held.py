"""The tokens of an OAuth credential, as its active version holds them: JSON, sealed like any material."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from coatcheck.core.wire import messages
from coatcheck.model.credential import Credential
from coatcheck.model.oauth import Tokens
from coatcheck.model.secret import Secret

NEVER: Final = float("inf")
_EARLY_SHARE: Final = 0.8
_EARLY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class HeldTokens:
    """Tokens, when they were asked for (`at`, seconds since 1970), and how many seconds they live.

    `resource` is how the server was named for them, as it must be again when they are renewed (RFC 8707).
    """

    access: Secret
    refresh: Secret | None
    at: float
    life: float | None
    resource: str
    scopes: tuple[str, ...] = ()

    @property
    def until(self) -> float:
        """When the access token ends; counted from before it was asked for, so never too late."""
        return NEVER if self.life is None else self.at + self.life

    @property
    def renew_at(self) -> float:
        """When it is renewed: at 80 % of its life or a minute before its end, whatever is later."""
        if self.life is None:
            return NEVER
        return self.at + max(_EARLY_SHARE * self.life, self.life - _EARLY_SECONDS)

    def followed_by(self, tokens: Tokens, at: float) -> HeldTokens:
        """Return these after a renewal: a refresh token that the answer leaves out stays (RFC 6749 6)."""
        return replace(
            self,
            access=tokens.access,
            refresh=tokens.refresh or self.refresh,
            at=at,
            life=tokens.life,
            scopes=self.scopes if tokens.scopes is None else tokens.scopes,
        )


def first(tokens: Tokens, at: float, resource: str, asked: tuple[str, ...]) -> HeldTokens:
    """Return the tokens of a new connection."""
    scopes = asked if tokens.scopes is None else tokens.scopes
    return HeldTokens(tokens.access, tokens.refresh, at, tokens.life, resource, scopes)


def write(held: HeldTokens) -> Secret:
    """Return the material that holds these tokens."""
    form: dict[str, Any] = {
        "access": held.access.reveal(),
        "refresh": held.refresh.reveal() if held.refresh is not None else None,
        "at": round(held.at, 3),
        "life": held.life,
        "expires_at": None if held.life is None else round(held.until, 3),
        "resource": held.resource,
        "scopes": list(held.scopes),
    }
    return Secret(messages.raw_of(form).decode("utf-8"))


def read(material: Secret) -> HeldTokens | None:
    """Return the tokens that material holds; None if it is none of ours."""
    try:
        form = json.loads(material.reveal())
        refresh, life = form["refresh"], form["life"]
        return HeldTokens(
            Secret(form["access"]),
            Secret(refresh) if refresh else None,
            float(form["at"]),
            None if life is None else float(life),
            form["resource"],
            tuple(form["scopes"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def held_by(credential: Credential) -> HeldTokens | None:
    """Return the tokens of a credential's active version; None if it was never connected."""
    active = credential.active
    return None if active is None or active.material is None else read(active.material)
