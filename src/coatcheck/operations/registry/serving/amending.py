"""A registered server as a change makes it: what is secret stays so, and with the host that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from coatcheck.core import filling
from coatcheck.errors import Unfit
from coatcheck.model.credential import Blank
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, StoredServer
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.patches import UNSAID, NewServer, ServerPatch
from coatcheck.operations.registry.serving.equipping import moved


def amended(before: StoredServer, patch: ServerPatch) -> NewServer:
    """Return a server as a new one would be written that is the old one changed.

    Values with blanks are written out again where they may be shown; for others see `kept_blanks`. Its note
    and what it allows of itself are for `allowing`.
    """
    reach = as_written(before)
    plain = before.plain if patch.plain is UNSAID else patch.plain
    upkeep = before.upkeep if patch.upkeep is UNSAID else patch.upkeep
    if isinstance(reach, HttpReach):
        _refuse(patch, ("command", "args", "env", "cwd"), "a server with a URL")
        headers = _merged(reach.headers, {} if patch.headers is UNSAID else patch.headers)
        return NewServer(
            before.name,
            reach.url if patch.url is UNSAID else patch.url,
            reach.transport if patch.transport is UNSAID else patch.transport,
            headers,
            plain=plain & headers.keys(),
            upkeep=upkeep,
        )
    _refuse(patch, ("url", "transport", "headers"), "a server with a command")
    env = _merged(reach.env, {} if patch.env is UNSAID else patch.env)
    return NewServer(
        before.name,
        command=reach.command if patch.command is UNSAID else patch.command,
        args=reach.args if patch.args is UNSAID else patch.args,
        env=env,
        cwd=reach.cwd if patch.cwd is UNSAID else patch.cwd,
        plain=plain & env.keys(),
        upkeep=upkeep,
    )


def allowing(before: StoredServer, patch: ServerPatch) -> StoredServer:
    """Return the next version of a server, with the words and what it allows of itself as a change says.

    Raises:
        Unfit: words or globs that cannot be.
    """
    approved = before.approved if patch.approved is UNSAID else fitness.approved_of(patch.approved)
    return replace(
        before,
        note=before.note if patch.note is UNSAID else fitness.note_of(patch.note),
        default=before.default if patch.default is UNSAID else patch.default,
        approved=approved,
        trusted=before.trusted if patch.trusted is UNSAID else patch.trusted,
        version=before.version + 1,
    )


def as_written(server: StoredServer) -> HttpReach | StdioReach:
    """Return the reach of a server with its values as they were written, credentials by their names.

    Values that are secret, or were made credentials, stay as they are.
    """
    values = {}
    for place, value in filling.values_of(server.reach):
        part, _, name = place.partition("/")
        if part in {"headers", "env"} and name not in server.plain:
            continue
        blank = server.blanks.get(place)
        text = filling.written(blank) if blank is not None else filling.escaped(value.reveal())
        values[place] = Secret(text)
    return filling.with_values(server.reach, values)


def kept_blanks(before: StoredServer, reach: HttpReach | StdioReach, patch: ServerPatch) -> dict[str, Blank]:
    """Return the blanks that stay as they are: of secret headers or variables that a change does not name."""
    part = "headers" if isinstance(reach, HttpReach) else "env"
    places = {f"{part}/{name}" for name in _kept(before, reach, patch)}
    return {place: blank for place, blank in before.blanks.items() if place in places}


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
    if kept and moved(before.reach, reach):
        words = "secret headers were given for another scheme, host or port, and are not sent elsewhere"
        fix = f"give these anew with the new URL, or take them away: {', '.join(sorted(kept))}"
        raise Unfit(words, fix=fix)


def _kept(before: StoredServer, reach: HttpReach | StdioReach, patch: ServerPatch) -> frozenset[str]:
    """Return the names of secret headers or variables whose values a change does not name."""
    now = reach.headers if isinstance(reach, HttpReach) else reach.env
    given = patch.headers if isinstance(reach, HttpReach) else patch.env
    return frozenset(now.keys() - before.plain - (frozenset() if given is UNSAID else given.keys()))


def _refuse(patch: ServerPatch, foreign: tuple[str, ...], what: str) -> None:
    for name in foreign:
        if getattr(patch, name) is not UNSAID:
            raise Unfit(f"{name} has no meaning for {what}", fix="remove it, or add another server")


def _merged(old: Mapping[str, Secret], changed: Mapping[str, Secret | None]) -> dict[str, Secret]:
    merged: dict[str, Secret | None] = {**old, **changed}
    return {name: secret for name, secret in merged.items() if secret is not None}
