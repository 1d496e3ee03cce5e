"""A subject: a person or an automation that owns grants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coatcheck.model.server import Source


class SubjectKind(StrEnum):
    """What owns the grants."""

    PERSON = "person"
    AUTOMATION = "automation"


@dataclass(frozen=True, slots=True)
class Subject:
    """One owner of grants. Its `name` is how policies and records know it, and never changes.

    `roles` are added to those of whatever vouches for it. A disabled subject is refused however it comes.
    `version` counts the changes, from 1; 0 is one that was never stored.
    """

    name: str
    kind: SubjectKind = SubjectKind.PERSON
    roles: frozenset[str] = frozenset()
    disabled: bool = False
    because: str = ""
    """Why it was disabled; empty while it is not."""
    note: str = ""
    created_at: datetime | None = None
    version: int = 0
    source: Source = Source.STORE
