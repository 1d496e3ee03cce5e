"""Access by role: all entries of all of a caller's roles together; any denial wins, then any allowance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from coatcheck.core import names
from coatcheck.core.access import globs, uris
from coatcheck.model.access import AccessEntry, Extent, Nature, RoleAccess
from coatcheck.model.call import Kind, Target
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server

STRICT_RULE: Final = "/acl/strictClassification"
DEFAULT_RULE: Final = "/acl/default"

_COVERED: Final = {
    Extent.READ: frozenset({Nature.READ}),
    Extent.WRITE: frozenset({Nature.WRITE, Nature.AMBIGUOUS}),
    Extent.ALL: frozenset(Nature),
}


class Ruling(msgspec.Struct, frozen=True):
    """What holds, the JSON pointer of the rule that says so, and one sentence for the record."""

    allow: bool
    rule: str
    because: str


def judge(target: Target, principal: Principal, server: Server, access: RoleAccess, nature: Nature) -> Ruling:
    """Say what the rules make of the target. `nature` counts for tools only."""
    name = names.full(server.name, target.name)
    if access.strict and target.kind is Kind.TOOL and nature is Nature.AMBIGUOUS:
        return Ruling(False, STRICT_RULE, f"nothing tells whether {name} reads or writes")
    allowing: tuple[str | None, int] | None = None
    for role, entries in _held(principal, access):
        for number, entry in enumerate(entries):
            if not _covers(entry, target, server.name, nature):
                continue
            if entry.deny:
                return _ruling(False, role, number, principal.subject, name)
            allowing = allowing or (role, number)
    if allowing is not None:
        return _ruling(True, *allowing, principal.subject, name)
    word = "allows" if access.default_allow else "denies"
    return Ruling(access.default_allow, DEFAULT_RULE, f"no entry covers {name} and the default {word}")


def _held(principal: Principal, access: RoleAccess) -> Iterator[tuple[str | None, tuple[AccessEntry, ...]]]:
    """Yield the entries of the caller's roles in the order of their names, and last its own, under None."""
    own = access.subjects.get(principal.subject)
    roles = principal.roles | own.roles if own else principal.roles
    for role in sorted(roles & access.roles.keys()):
        yield role, access.roles[role]
    if own:
        yield None, own.extra


def _ruling(allow: bool, role: str | None, number: int, subject: str, name: str) -> Ruling:
    verb = "allows" if allow else "denies"
    if role is None:
        rule = f"/acl/subjects/{_escaped(subject)}/extra/{number}"
        return Ruling(allow, rule, f"entry {number} of the subject's own {verb} {name}")
    return Ruling(
        allow, f"/acl/roles/{_escaped(role)}/{number}", f"entry {number} of role {role} {verb} {name}"
    )


def _covers(entry: AccessEntry, target: Target, server: str, nature: Nature) -> bool:
    if not globs.any_matches(entry.servers, server):
        return False
    if target.kind is Kind.SERVER:
        # Whoever may use anything of a server may say how much it tells; a denial has to be of everything.
        return not entry.deny or (entry.extent is Extent.ALL and not _is_narrowed(entry))
    if target.kind is Kind.TOOL:
        if nature not in _COVERED[entry.extent]:
            return False
    elif entry.extent is Extent.WRITE:
        return False  # getting a prompt or reading a resource is reading
    return _names(entry, target)


def _names(entry: AccessEntry, target: Target) -> bool:
    """Tell whether the entry is not narrowed, or names the target."""
    if not _is_narrowed(entry):
        return True
    narrowed = {Kind.TOOL: entry.tools, Kind.PROMPT: entry.prompts, Kind.RESOURCE: entry.resources}
    patterns = narrowed[target.kind] or ()
    if target.kind is Kind.RESOURCE and not uris.is_plain(target.name):
        # The same resource may have a plainer URI that the patterns would judge otherwise: believe the worse.
        return "*" in patterns or (entry.deny and bool(patterns))
    return globs.any_matches(patterns, target.name)


def _is_narrowed(entry: AccessEntry) -> bool:
    return not (entry.tools is entry.resources is entry.prompts is None)


def _escaped(name: str) -> str:
    """Return a name as a part of a JSON pointer (RFC 6901, section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
