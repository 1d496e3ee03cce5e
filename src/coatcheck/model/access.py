"""The access rules that the file can declare: a flat list, or entries by role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Nature(StrEnum):
    """What a tool does to the world, as far as can be told. Entries by role are written in these terms."""

    READ = "read"
    WRITE = "write"
    AMBIGUOUS = "ambiguous"


# --- flat ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccessRule:
    """One rule. Empty `subjects` or `roles` match everyone; both must match, and one of `tools`.

    `tools` are globs over the namespaced name `server__tool`, in which only `*` is special.
    """

    tools: tuple[str, ...]
    allow: bool
    subjects: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AccessList:
    """The rules in order, the first that matches decides; and what holds where none matches."""

    rules: tuple[AccessRule, ...] = ()
    default_allow: bool = True


OPEN = AccessList()
"""No rules: everything is allowed to everyone who was identified."""


# --- by role ---------------------------------------------------------------------------------------


class Extent(StrEnum):
    """How much an entry covers: reading, writing (and what may be writing), or all."""

    READ = "read"
    WRITE = "write"
    ALL = "*"


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One entry of a role, or of a subject's own.

    `servers` are globs over server names. `tools`, `resources` and `prompts` are globs over a server's own
    names and URIs; None where the file has none. An entry with any of the three covers only what those name.
    """

    servers: tuple[str, ...]
    extent: Extent
    tools: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    prompts: tuple[str, ...] | None = None
    deny: bool = False


@dataclass(frozen=True, slots=True)
class SubjectAccess:
    """What a subject has beside the roles of its grant: more roles, and entries of its own."""

    roles: frozenset[str] = frozenset()
    extra: tuple[AccessEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleAccess:
    """Entries by role name, subjects by name, and what holds where no entry covers the target.

    `strict`: an ambiguous tool is refused whatever else the rules say.
    """

    roles: Mapping[str, tuple[AccessEntry, ...]] = field(default_factory=lambda: MappingProxyType({}))
    subjects: Mapping[str, SubjectAccess] = field(default_factory=lambda: MappingProxyType({}))
    default_allow: bool = True
    strict: bool = False


Access = AccessList | RoleAccess
"""The rules in force, in either form."""
