"""One entry of the admin log: who changed what, what it was before and after, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class ObjectKind(StrEnum):
    """What can be changed."""

    SERVER = "server"
    GRANT = "grant"
    SUBJECT = "subject"
    OPERATOR = "operator"
    CREDENTIAL = "credential"
    POLICY = "policy"
    KEY = "key"
    """The key that everything stored is sealed with."""
    RECORD = "record"
    """The record itself: parts of it that were sealed in files."""
    CONFIG = "config"
    """The file, read anew after an edit."""
    REGISTRY = "registry"
    """All of what is stored, taken as it is after somebody changed it outside of the gateway."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is written in the transaction of the change itself.

    `action` is a stable word such as `grant.issue`. `before` and `after` are JSON objects without secrets;
    empty where there was nothing, or is nothing any more. `because` is what the operator said.
    """

    id: UUID
    at: datetime
    actor: str
    role: str
    origin: str
    action: str
    kind: ObjectKind
    object_id: str
    object_name: str
    before: str = ""
    after: str = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """A change as read back. `position` grows with time."""

    position: int
    change: Change


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """What `coatcheck logs --admin` asks for. None does not restrict.

    `limit` counts the newest entries; with `before` set, those older than that position.
    """

    actor: str | None = None
    action: str | None = None
    kind: ObjectKind | None = None
    object: str | None = None
    """An id or a name."""
    since: datetime | None = None
    limit: int = 100
    before: int | None = None
