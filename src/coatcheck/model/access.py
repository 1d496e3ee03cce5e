"""The access rules that the file can declare: a flat list of rules, first match wins."""

from __future__ import annotations

from dataclasses import dataclass


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
    """The rules in order, and what holds where none matches."""

    rules: tuple[AccessRule, ...] = ()
    default_allow: bool = True


OPEN = AccessList()
"""No rules: everything is allowed to everyone who was identified."""
