"""What is shown of tools that wait for an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from coatcheck.core.pins.definitions import Difference


class ToolState(StrEnum):
    """Why a tool waits. `back`: it was changed, and its server lists it as it was accepted again."""

    NEW = "new"
    CHANGED = "changed"
    BACK = "back"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ToolChange:
    """One tool that is not as it was accepted. `why` says why it is hidden, and is empty where it is not.

    `digest` is what is to be accepted, `accepted` what was, empty for a new one. `differences` are those
    between the two; there are none where either is too long to be kept (`too_long`).
    """

    server_id: UUID
    server: str
    tool: str
    state: ToolState
    since: datetime
    why: tuple[str, ...]
    digest: str
    accepted: str
    differences: tuple[Difference, ...]
    too_long: bool


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which tools to list: of one server, by name or UUID, in one state, or only hidden ones."""

    server: str | None = None
    state: ToolState | None = None
    quarantined: bool | None = None
    limit: int = 100
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many tools wait for an operator, and how many of them are hidden until then."""

    tools: int = 0
    quarantined: int = 0
