"""Reads `serverAuth.acl`: who may use what, as a flat list of rules or by role."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from coatcheck.declared import acl_roles
from coatcheck.declared.reading.place import Place
from coatcheck.declared.servers import read_patterns
from coatcheck.model.access import OPEN, Access, AccessList, AccessRule

KEYS: Final = frozenset({"default", "rules"})
RULE_KEYS: Final = frozenset({"subjects", "roles", "tools", "policy"})
_POLICIES: Final = ("allow", "deny")


def read_access(place: Place, servers: Collection[str]) -> Access:
    """Return the access rules, noting everything wrong with them. `servers` are the names in the file."""
    members = place.members()
    if members is None:
        return OPEN
    by_role = sorted(acl_roles.KEYS & members.keys())
    if by_role and "rules" in members:
        message = f"the flat form (rules) and the form by role ({', '.join(by_role)}) are mixed"
        place.problem(message, "keep acl.rules alone, or write its rules as entries of roles")
        return OPEN
    keys = place.keys(KEYS | acl_roles.KEYS) or {}
    default = keys["default"].choice(_POLICIES) if "default" in keys else "allow"
    if by_role:
        if "default" not in keys:
            message = "without a default, whatever no entry covers is allowed to everyone"
            place.notice(message, 'write "default": "deny", or "allow" if that is meant')
        return acl_roles.read_by_role(keys, default == "allow", servers)
    rules = [_read_rule(item) for item in (keys["rules"].items() or [])] if "rules" in keys else []
    return AccessList(tuple(rule for rule in rules if rule is not None), default == "allow")


def _read_rule(place: Place) -> AccessRule | None:
    keys = place.keys(RULE_KEYS)
    if keys is None:
        return None
    for needed in ("tools", "policy"):
        if needed not in keys:
            place.problem(f"the rule has no {needed}", _NEEDED[needed])
    if not {"tools", "policy"} <= keys.keys():
        return None
    tools = read_patterns(keys["tools"])
    if keys["tools"].value == []:
        keys["tools"].problem("the rule names no tool, so it would never apply", 'write ["*"] for all')
    policy = keys["policy"].choice(_POLICIES)
    subjects = _read_callers(keys["subjects"]) if "subjects" in keys else frozenset()
    roles = _read_callers(keys["roles"]) if "roles" in keys else frozenset()
    return AccessRule(tools, policy == "allow", subjects, roles)


_NEEDED: Final = {"tools": 'add "tools": ["SERVER__*"]', "policy": 'add "policy": "allow" or "deny"'}


def _read_callers(place: Place) -> frozenset[str]:
    """Return the names of a rule; `*` among them matches everyone, as an empty list does."""
    names = []
    for item in place.items() or []:
        name = item.text()
        if name is None:
            continue
        if not name or name != name.strip() or not name.isprintable():
            item.problem("a name has visible characters and no space at its ends")
        elif name != "*" and "*" in name:
            item.problem("names are compared as they are; only * alone stands for everyone")
        names.append(name)
    return frozenset() if "*" in names else frozenset(names)
