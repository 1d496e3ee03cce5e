"""Reads the form of `serverAuth.acl` by role: what each role may use, and who has which."""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType
from typing import Final

from coatcheck.core.spelling import nearest
from coatcheck.declared.reading.place import Place
from coatcheck.declared.servers import read_pattern, read_patterns
from coatcheck.model.access import AccessEntry, Extent, RoleAccess, SubjectAccess

KEYS: Final = frozenset({"roles", "subjects", "strictClassification"})
"""The keys that only this form has."""
SUBJECT_KEYS: Final = frozenset({"roles", "extra"})
ENTRY_KEYS: Final = frozenset({"server", "access", "tools", "resources", "prompts", "deny"})
_NARROWING: Final = ("tools", "resources", "prompts")
_NEEDED: Final = {
    "server": 'add "server": "NAME", a pattern or a list of both; "*" is every server',
    "access": 'add "access": "read", "write" or "*"',
}
_MAX_NAME = 256


def read_by_role(keys: dict[str, Place], default_allow: bool, servers: Collection[str]) -> RoleAccess:
    """Return the access by role, noting everything wrong with it.

    `keys` are the allowed members of `acl`, `servers` the names that the file has.
    """
    strict = keys["strictClassification"].flag() if "strictClassification" in keys else False
    roles = {name: _read_entries(place, servers) for name, place in _named(keys.get("roles")).items()}
    subjects = {
        name: _read_subject(place, roles.keys(), servers)
        for name, place in _named(keys.get("subjects")).items()
    }
    return RoleAccess(MappingProxyType(roles), MappingProxyType(subjects), default_allow, bool(strict))


def _named(place: Place | None) -> dict[str, Place]:
    """Return the members of an object whose keys are names of roles or subjects."""
    members = place.members() if place is not None else None
    for name, member in (members or {}).items():
        if not name or name != name.strip() or len(name) > _MAX_NAME or not name.isprintable():
            member.problem("a name has 1 to 256 visible characters and no space at its ends")
        elif name == "*":
            member.problem("names are compared as they are, and * is none", "acl.default holds for everyone")
        elif "${" in name:
            member.problem("variables are not replaced in the names of roles and subjects", "write the name")
    return members or {}


def _read_subject(place: Place, known: Collection[str], servers: Collection[str]) -> SubjectAccess:
    keys = place.keys(SUBJECT_KEYS) or {}
    names = []
    for item in (keys["roles"].items() or []) if "roles" in keys else []:
        name = item.text()
        if name is not None and name not in known:
            close = nearest(name, known)
            fix = f"did you mean '{close}'?" if close else "add it under acl.roles"
            item.problem(f"there is no role '{item.value}'", fix)
        names.append(name)
    extra = _read_entries(keys["extra"], servers) if "extra" in keys else ()
    return SubjectAccess(frozenset(name for name in names if name is not None), extra)


def _read_entries(place: Place, servers: Collection[str]) -> tuple[AccessEntry, ...]:
    entries = [_read_entry(item, servers) for item in place.items() or []]
    return tuple(entry for entry in entries if entry is not None)


def _read_entry(place: Place, servers: Collection[str]) -> AccessEntry | None:
    keys = place.keys(ENTRY_KEYS)
    if keys is None:
        return None
    for needed, fix in _NEEDED.items():
        if needed not in keys:
            place.problem(f"the entry has no {needed}", fix)
    if not _NEEDED.keys() <= keys.keys():
        return None
    named = _read_servers(keys["server"], servers)
    word = keys["access"].choice([str(extent) for extent in Extent])
    tools, resources, prompts = (_read_narrowing(keys.get(kind)) for kind in _NARROWING)
    deny = keys["deny"].flag() if "deny" in keys else False
    if word is None:
        return None
    extent = Extent(word)
    for kind in ("resources", "prompts"):
        if extent is Extent.WRITE and kind in keys:
            message = f"access write covers tools only, so these {kind} would never be covered"
            keys[kind].problem(message, f'write "access": "read" or "*", or leave {kind} out')
    return AccessEntry(named, extent, tools, resources, prompts, bool(deny))


def _read_servers(place: Place, servers: Collection[str]) -> tuple[str, ...]:
    """Return the globs over server names: the file has one, or a list of them."""
    if place.value == []:
        place.problem("the entry names no server, so it would never apply", 'write "*" for all')
    if isinstance(place.value, list):
        patterns = read_patterns(place)
    elif isinstance(place.value, str):
        pattern = read_pattern(place)
        patterns = (pattern,) if pattern is not None else ()
    else:
        place.problem("must be a pattern, or a list of patterns")
        patterns = ()
    for pattern in patterns:
        if "*" not in pattern and pattern not in servers:
            close = nearest(pattern, servers)
            place.notice(
                f"no server of this file is called '{pattern}'", f"did you mean '{close}'?" if close else ""
            )
    return patterns


def _read_narrowing(place: Place | None) -> tuple[str, ...] | None:
    if place is None:
        return None
    if place.value == []:
        place.problem("an empty list says nothing", "leave it out to cover all, or name what is covered")
    return read_patterns(place)
