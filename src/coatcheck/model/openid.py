"""Signing in with OpenID Connect: the provider as configured and by its own word, and whom it vouches for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coatcheck.model.oauth import AuthorizationServer
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret

LINKED = "#"
"""What stands between issuer and subject of a link."""


@dataclass(frozen=True, slots=True)
class RoleRule:
    """Whoever has `value` in the claim of roles is an operator with `role`."""

    role: OperatorRole
    value: str

    def __str__(self) -> str:
        return f"{self.role.value}={self.value}"


@dataclass(frozen=True, slots=True)
class OpenIdRules:
    """The one provider that people sign in with, and what its claims mean here.

    `operators` empty: roles are given here, by invitation. `trust_email`: an address counts without
    `email_verified`.
    """

    issuer: str
    client_id: str
    client_secret: Secret | None = None
    operators: tuple[RoleRule, ...] = ()
    roles_claim: str = "groups"
    name_claim: str = "email"
    trust_email: bool = False
    scopes: tuple[str, ...] = ("openid", "email", "profile")


@dataclass(frozen=True, slots=True)
class ProviderDocument:
    """A provider, as its document describes it (OpenID Connect Discovery 1.0 section 3). URLs."""

    server: AuthorizationServer
    keys_url: str
    about_url: str = ""
    """The UserInfo endpoint; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a code was traded for: the claims of an ID token whose signature holds, not judged yet.

    `algorithm` is what it is signed with. Integers in `claims` are texts.
    """

    claims: Mapping[str, Any]
    algorithm: str
    access: Secret


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom the provider vouches for. `role` None: its claims make nobody an operator; `because` says why.

    `fresh`: this person gave proof of who they are just now, and not only to the provider before.
    """

    issuer: str
    subject: str
    name: str
    email: str
    role: OperatorRole | None
    because: str
    fresh: bool = False

    @property
    def link(self) -> str:
        """What an operator is linked by: `issuer#sub`. A subject is unique within its issuer only."""
        return f"{self.issuer}{LINKED}{self.subject}"


@dataclass(frozen=True, slots=True)
class Arrived:
    """Somebody who came back from the provider, and the path of ours that they were on the way to.

    `prove`: they were sent there to prove anew who they are, and did.
    """

    vouched: Vouched
    return_to: str
    prove: bool = False
