"""Composition of OAuth towards servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from coatcheck.app.upstreams import egress_of
from coatcheck.config import Config
from coatcheck.core.credentials.making import printed
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.oauth.bearers import OauthBearers
from coatcheck.operations.oauth.connecting import Connecting
from coatcheck.operations.oauth.desk import OauthDesk
from coatcheck.operations.registry.book import Edited, Make
from coatcheck.operations.registry.changes import Scribe
from coatcheck.ports import Clock, Entropy
from coatcheck.upstream.oauth.authorizer import HttpAuthorizer


@dataclass(frozen=True, slots=True)
class Oauth:
    """The tokens that upstreams send, and the links by which they are had."""

    bearers: OauthBearers
    connecting: Connecting


def oauth_of(
    config: Config,
    snapshot: Callable[[], Snapshot],
    edit: Callable[[Make], Awaitable[Edited]],
    print_key: bytes,
    clock: Clock,
    entropy: Entropy,
) -> Oauth:
    """Return the use cases of OAuth. `snapshot` and `edit` are asked for nothing before the first call."""
    desk = OauthDesk(
        snapshot,
        edit,
        HttpAuthorizer(egress_of(config), clock, entropy),
        Scribe(clock, entropy),
        clock,
        entropy,
        lambda material: printed(print_key, material),
    )
    return Oauth(OauthBearers(desk), Connecting(desk))
