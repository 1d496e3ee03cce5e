"""An operator: a principal who administers Coatcheck, with a role and a token of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class OperatorRole(StrEnum):
    """What an operator may do; `operations/permissions.py` holds the table."""

    ADMIN = "admin"
    POLICY_MANAGER = "policy_manager"
    AUDITOR = "auditor"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. The token is never kept: `token_id` is its public part, `token_hmac` what proves it.

    `token_hmac` is empty until the login code was used for one; `code_hmac` is empty once it was used at all,
    and `code_until` is how long the code may be used. `password` is an Argon2id hash in PHC form, empty if
    there is none. `vouched` is who an identity provider says that may sign in as this operator, as
    `ISSUER#SUBJECT`. `entered_at` is when it first signed in at a browser; it outlives the operator's end.
    """

    name: str
    role: OperatorRole
    token_id: str = ""
    token_hmac: str = ""
    code_hmac: str = ""
    code_until: datetime | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0
    password: str = ""
    password_at: datetime | None = None
    vouched: str = ""
    invited_at: datetime | None = None
    entered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: an operator by token, the machine's own account, the file, or the gateway itself.

    `origin` is the address it came from, `socket` for the data directory's, or the path of the file.
    """

    name: str
    role: OperatorRole
    origin: str


LOCAL_ACTOR = Actor("local", OperatorRole.ADMIN, "socket")
"""Whoever can open the socket in the data directory: the account that runs the gateway."""
GATEWAY_ACTOR = Actor("gateway", OperatorRole.ADMIN, "gateway")
"""Coatcheck itself, where nobody asked for a change."""
