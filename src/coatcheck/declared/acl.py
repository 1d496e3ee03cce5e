"""Reads `serverAuth.acl`: the flat list of rules on who may use which tools."""

from __future__ import annotations

from typing import Final

from coatcheck.declared.reading.place import Place
from coatcheck.declared.servers import read_patterns
from coatcheck.model.access import OPEN, AccessList, AccessRule

KEYS: Final = frozenset({"default", "rules"})
ROLE_KEYS: Final = frozenset({"roles", "subjects", "strictClassification"})
RULE_KEYS: Final = frozenset({"subjects", "roles", "tools", "policy"})
_POLICIES: Final = ("allow", "deny")


def read_access(place: Place) -> AccessList:
    """Return the access rules, noting everything wrong with them."""
    members = place.members()
    if members is None or not _is_flat(members, place):
        return OPEN
    keys = place.keys(KEYS) or {}
    default = keys["default"].choice(_POLICIES) if "default" in keys else "allow"
    rules = [_read_rule(item) for item in (keys["rules"].items() or [])] if "rules" in keys else []
    return AccessList(tuple(rule for rule in rules if rule is not None), default == "allow")


def _is_flat(members: dict[str, Place], place: Place) -> bool:
    by_role = sorted(ROLE_KEYS & members.keys())
    if not by_role:
        return True
    if "rules" in members:
        message = f"the flat form (rules) and the form by role ({', '.join(by_role)}) are mixed"
        place.problem(message, "keep acl.default and acl.rules")
    else:
        place.problem("by-role access rules are not supported by this version", "write them as acl.rules")
    return False


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
