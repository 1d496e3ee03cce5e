"""Composition of signing in with OpenID Connect."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from coatcheck.app.upstreams import egress_of
from coatcheck.config import Config
from coatcheck.console.signing_in.openid import OpenIdEntrance
from coatcheck.core.sealing.states import Seal
from coatcheck.declared.openid import openid_rules
from coatcheck.declared.reading.expand import Sources
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.signing_in.openid import OpenIdSignIn
from coatcheck.operations.signing_in.vouching import Vouching
from coatcheck.ports import Clock, Entropy
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource


def openid_of(
    config: Config,
    environment: Mapping[str, str],
    seal: Seal,
    desk: Desk,
    clock: Clock,
    entropy: Entropy,
) -> OpenIdEntrance | None:
    """Return the use cases; None: the settings name no provider. Nothing is reached yet.

    Raises:
        ConfigError: the extra is not installed, or the client's secret cannot be had.
    """
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    sources = Sources(EnvSource(environment), FileSource())
    rules = openid_rules(values, sources, config.data)
    if rules is None:
        return None
    from coatcheck.upstream.openid.provider import HttpIdentityProvider  # most gateways have none

    provider = HttpIdentityProvider(rules, egress_of(config), clock, entropy)
    return OpenIdEntrance(OpenIdSignIn(rules, provider, seal, clock, entropy), Vouching(desk, rules))
