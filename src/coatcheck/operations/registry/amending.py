"""A registered server as a change makes it: what is secret stays so, and with the host that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from coatcheck.errors import Unfit
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, StoredServer
from coatcheck.operations.registry.patches import UNSAID, NewServer, ServerPatch

_PORTS: Final = {"http": 80, "https": 443}


def amended(before: StoredServer, patch: ServerPatch) -> NewServer:
    """Return a server as a new one would be written that is the old one changed."""
    reach = before.reach
    note = before.note if patch.note is UNSAID else patch.note
    plain = before.plain if patch.plain is UNSAID else patch.plain
    if isinstance(reach, HttpReach):
        _refuse(patch, ("command", "args", "env", "cwd"), "a server with a URL")
        headers = _merged(reach.headers, {} if patch.headers is UNSAID else patch.headers)
        url = reach.url if patch.url is UNSAID else patch.url
        transport = reach.transport if patch.transport is UNSAID else patch.transport
        return NewServer(before.name, url, transport, headers, plain=plain & headers.keys(), note=note)
    _refuse(patch, ("url", "transport", "headers"), "a server with a command")
    env = _merged(reach.env, {} if patch.env is UNSAID else patch.env)
    return NewServer(
        before.name,
        command=reach.command if patch.command is UNSAID else patch.command,
        args=reach.args if patch.args is UNSAID else patch.args,
        env=env,
        cwd=reach.cwd if patch.cwd is UNSAID else patch.cwd,
        plain=plain & env.keys(),
        note=note,
    )


def check_secrets_stay(
    before: StoredServer, reach: HttpReach | StdioReach, patch: ServerPatch, plain: frozenset[str]
) -> None:
    """Refuse to show a kept value that was secret, and to send one to another origin (RFC 6454).

    Whoever may change servers need not know what they are given, and must not learn it by a change.

    Raises:
        Unfit: values must be given anew, or taken away.
    """
    kept = _kept(before, reach, patch)
    if shown := sorted(kept & plain):
        fix = "give its value anew with the change"
        raise Unfit(f"the value of {shown[0]} was given as a secret, and is never shown", fix=fix)
    if not kept or not isinstance(reach, HttpReach) or not isinstance(before.reach, HttpReach):
        return
    if _origin(before.reach.url) != _origin(reach.url):
        words = "secret headers were given for another scheme, host or port, and are not sent elsewhere"
        fix = f"give these anew with the new URL, or take them away: {', '.join(sorted(kept))}"
        raise Unfit(words, fix=fix)


def _kept(before: StoredServer, reach: HttpReach | StdioReach, patch: ServerPatch) -> frozenset[str]:
    """Return the names of secret headers or variables whose values a change does not name."""
    now = reach.headers if isinstance(reach, HttpReach) else reach.env
    given = patch.headers if isinstance(reach, HttpReach) else patch.env
    return frozenset(now.keys() - before.plain - (frozenset() if given is UNSAID else given.keys()))


def _origin(url: Secret) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url.reveal())
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _refuse(patch: ServerPatch, foreign: tuple[str, ...], what: str) -> None:
    for name in foreign:
        if getattr(patch, name) is not UNSAID:
            raise Unfit(f"{name} has no meaning for {what}", fix="remove it, or add another server")


def _merged(old: Mapping[str, Secret], changed: Mapping[str, Secret | None]) -> dict[str, Secret]:
    merged: dict[str, Secret | None] = {**old, **changed}
    return {name: secret for name, secret in merged.items() if secret is not None}
