"""What a server's tools were when they were accepted, and what a server made of them since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Quarantine(StrEnum):
    """Which tools are hidden until an operator accepts them.

    `widening`: those that read and do so no more, or whose input takes more. `any`: all that are other than
    accepted, or new. `never`: none.
    """

    WIDENING = "widening"
    ANY = "any"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a tool is said to be: `text` is its canonical JSON, `digest` the SHA-256 of that in hexadecimal.

    `text` is empty where it is too long to be kept.
    """

    digest: str
    text: str


@dataclass(frozen=True, slots=True)
class Pin:
    """One tool of one server as it was accepted: at first sight by the gateway, or by an operator.

    `new`: it came after the others of its server, and no operator saw it. `pending` is what the server lists
    instead, `since` when. One whose tool is gone has `ended_at` once an operator took note of that.
    """

    server: UUID
    tool: str
    accepted: Definition
    at: datetime
    by: str
    because: str = ""
    new: bool = False
    pending: Definition | None = None
    since: datetime | None = None
    ended_at: datetime | None = None
    version: int = 1

    @property
    def key(self) -> tuple[UUID, str]:
        """What it is known by."""
        return (self.server, self.tool)
