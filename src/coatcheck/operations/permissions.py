"""What operators may do, and which role may do which: the table that routes, document and tests share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from coatcheck.model.operator import OperatorRole


class Permission(StrEnum):
    """What a route asks for. Every route has exactly one, or says that it is open."""

    SELF = "self"
    """To be an operator, of whatever role."""
    STATUS = "status.read"
    SERVERS_READ = "servers.read"
    SERVERS_WRITE = "servers.write"
    CREDENTIALS_READ = "credentials.read"
    CREDENTIALS_WRITE = "credentials.write"
    CREDENTIALS_END = "credentials.end"
    TOOLS = "tools.read"
    CALL = "tools.call"
    GRANTS_READ = "grants.read"
    GRANTS_WRITE = "grants.write"
    SUBJECTS_READ = "subjects.read"
    SUBJECTS_WRITE = "subjects.write"
    POLICIES_READ = "policies.read"
    POLICIES_WRITE = "policies.write"
    ACCESS = "access.read"
    RECORDS = "records.read"
    SEAL = "records.seal"
    CHANGES = "changes.read"
    OPERATORS_READ = "operators.read"
    OPERATORS_WRITE = "operators.write"
    BACKUP = "backup.read"
    KEY_READ = "key.read"
    KEY_ROTATE = "key.rotate"
    CHECKPOINT = "checkpoint.make"
    ACCEPT = "record.accept"
    SINKS_TEST = "sinks.test"


_VIEWING: Final = frozenset(
    {
        Permission.SELF,
        Permission.STATUS,
        Permission.SERVERS_READ,
        Permission.CREDENTIALS_READ,
        Permission.TOOLS,
        Permission.GRANTS_READ,
        Permission.SUBJECTS_READ,
        Permission.POLICIES_READ,
        Permission.ACCESS,
    }
)

ROLES: Final[Mapping[OperatorRole, frozenset[Permission]]] = MappingProxyType(
    {
        OperatorRole.ADMIN: frozenset(Permission),
        OperatorRole.POLICY_MANAGER: _VIEWING
        | {
            Permission.SERVERS_WRITE,
            Permission.CREDENTIALS_WRITE,
            Permission.GRANTS_WRITE,
            Permission.SUBJECTS_WRITE,
            Permission.POLICIES_WRITE,
        },
        OperatorRole.AUDITOR: _VIEWING
        | {
            Permission.RECORDS,
            Permission.CHANGES,
            Permission.OPERATORS_READ,
            Permission.KEY_READ,
            Permission.CHECKPOINT,
        },
        OperatorRole.VIEWER: _VIEWING,
    }
)
"""A role that is not here may do nothing. Servers that run a command need `admin`, whatever this says."""


def may(role: OperatorRole, permission: Permission) -> bool:
    """Tell whether operators of a role may do this."""
    return permission in ROLES.get(role, frozenset())
