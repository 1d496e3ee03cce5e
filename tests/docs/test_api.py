"""The page of the REST API has every route with its roles, every permission and every code, and no others."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from coatcheck.admin.api.openapi import codes_of
from coatcheck.admin.api.problems import CODES
from coatcheck.admin.surface import admin_of
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.permissions import ROLES, Permission
from coatcheck.operations.use_cases import UseCases

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
ROUTES = admin_of(UseCases(**{one.name: cast("Any", None) for one in fields(UseCases)})).routes


def _rows(heading: str, columns: int) -> list[tuple[str, ...]]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in section.splitlines() if line.startswith("|")]  # fmt: skip
    found = rows[2:]
    assert found
    assert all(len(row) == columns for row in found), found
    return found


def _roles(permission: Permission | None) -> str:
    if permission is None:
        return "no token"
    roles = [role.value for role, can in ROLES.items() if permission in can]
    return "all" if len(roles) == len(OperatorRole) else ", ".join(roles)


def test_every_route_is_on_the_page() -> None:
    told = [(route.method, route.path, _roles(route.permission), route.summary) for route in ROUTES]
    assert sorted(_rows("Routes", 4)) == sorted(
        (m, p, r, s.replace("`", "")) for m, p, r, s in told
    ) or sorted(_rows("Routes", 4)) == sorted(told)


def test_the_table_of_roles_is_the_one_in_force() -> None:
    told = {
        permission: {role for role, cell in zip(OperatorRole, cells, strict=True) if cell == "yes"}
        for permission, *cells in _rows("Roles", 5)
    }
    assert told == {permission: {role for role in OperatorRole if permission in ROLES[role]} for permission in Permission}  # fmt: skip


def test_every_code_is_on_the_page() -> None:
    assert {code: int(status) for status, code, _ in _rows("Errors", 3)} == dict(CODES)
    assert {code for route in ROUTES for code in codes_of(route)} <= CODES.keys()


def test_operation_ids_are_unique() -> None:
    names = [(route.method, re.sub(r"[{}]", "", route.path)) for route in ROUTES]
    assert len(set(names)) == len(ROUTES) == 80
