"""The version of access rules: the same for the same rules on every start, another for any other."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from types import MappingProxyType

from coatcheck.core.access.versions import VERSION_DIGITS, version_of
from coatcheck.model.access import (
    OPEN,
    Access,
    AccessEntry,
    AccessList,
    AccessRule,
    Extent,
    RoleAccess,
    SubjectAccess,
)

RULE = AccessRule(("a*", "b"), allow=True, subjects=frozenset("abcdefgh"), roles=frozenset({"x", "y"}))
LIST = AccessList((RULE,))
ROLES = RoleAccess(
    MappingProxyType({"dev": (AccessEntry(("git",), Extent.READ),)}),
    MappingProxyType({"alice": SubjectAccess(frozenset("qwertz"))}),
)
SCRIPT = """
from tests.core.access.test_versions import LIST, ROLES, version_of
print(version_of(LIST), version_of(ROLES))
"""


def test_every_change_of_a_rule_changes_the_version() -> None:
    others: list[Access] = [
        OPEN,
        LIST,
        ROLES,
        AccessList((), default_allow=False),
        RoleAccess(),
        replace(LIST, rules=(replace(RULE, allow=False),)),
        replace(LIST, rules=(replace(RULE, subjects=RULE.subjects - {"a"}),)),
        replace(LIST, rules=(RULE, RULE)),
        replace(ROLES, strict=True),
        replace(ROLES, subjects=MappingProxyType({})),
    ]
    versions = {version_of(access) for access in others}
    assert len(versions) == len(others)
    assert {len(version) for version in versions} == {VERSION_DIGITS}


def test_the_version_does_not_hang_on_the_order_of_sets_in_memory() -> None:
    shown = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.split()[0]
        for seed in ("1", "2")
    }
    assert shown == {version_of(LIST)}
