"""The provider that people sign in with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from coatcheck.model.openid import ProviderDocument, Redeemed
from coatcheck.model.secret import Secret


class IdentityProvider(Protocol):
    """One OpenID provider. Every method raises an `UpstreamError` that quotes nothing of what it said."""

    async def describe(self) -> ProviderDocument:
        """Return what it says of itself: kept for a while, and fetched by one for all who ask."""
        ...

    async def redeem(self, code: str, verifier: str, redirect: str) -> Redeemed:
        """Trade a code for an ID token, and prove the signature of that.

        Raises:
            AuthorizationRefused: the provider said no, and would again.
            OpenIdRefused: the ID token is none, or is not signed by the provider.
            Busy: too many do this at once.
        """
        ...

    async def about(self, access: Secret) -> Mapping[str, Any]:
        """Return what the UserInfo endpoint says, not judged; empty if there is none.

        Its `sub` must be that of the ID token (OpenID Connect Core 1.0 section 5.3.2).
        """
        ...
