"""The table of roles: who may do what, told once more by hand."""

from __future__ import annotations

import pytest

from coatcheck.model.operator import OperatorRole
from coatcheck.operations.permissions import ROLES, Permission, may

VIEWING = {"self", "status.read", "servers.read", "credentials.read", "tools.read", "grants.read", "subjects.read", "policies.read", "access.read"}  # fmt: skip


def test_every_role_is_in_the_table() -> None:
    assert set(ROLES) == set(OperatorRole)


@pytest.mark.parametrize(
    ("role", "beyond"),
    [("viewer", set()), ("auditor", {"records.read", "changes.read", "operators.read", "key.read", "checkpoint.make"}), ("policy_manager", {"servers.write", "credentials.write", "grants.write", "subjects.write", "policies.write"})],
)  # fmt: skip
def test_what_the_lesser_roles_may(role: str, beyond: set[str]) -> None:
    allowed = {permission.value for permission in Permission if may(OperatorRole(role), permission)}
    assert allowed == VIEWING | beyond


def test_an_admin_may_everything() -> None:
    assert all(may(OperatorRole.ADMIN, permission) for permission in Permission)
