"""Whether the record is the one that was written: how far it is signed, what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.errors import Unavailable
from coatcheck.model.segment import Segment
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases

MOST_SEGMENTS: Final = 100
_ABOUT: Final = ("retention", "segments", "checkpoints", "audit_key", "receipts")
HERE: Final = "/log/verify"


class VerifyQuery(Struct):
    """Whether to judge the newest entries now."""

    check: bool = False


class AcceptForm(Struct):
    """Why the record is taken as it is; it goes on record."""

    because: Annotated[str, Meta(min_length=1, max_length=1_000)]


class VerifyPages:
    """Serves the state of the chain."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [
            seen(HERE, Permission.RECORDS, self.show, VerifyQuery),
            done("/log/checkpoint", Permission.CHECKPOINT, self.sign),
            done(HERE, Permission.ACCEPT, self.accept, AcceptForm, VerifyQuery, again=self.show_again),
        ]

    async def show(self, asked: Asked[VerifyQuery, Any]) -> Answer:
        """Show whether the record is as it was written, and how to prove it."""
        return await self.show_again(asked)

    async def show_again(self, asked: Asked[VerifyQuery, Any]) -> Shown:
        """Show whether the record is as it was written, and how to prove it."""
        checked, why_not = None, ""
        segments: Sequence[Segment] = ()
        try:
            segments = await self._cases.retention.segments.list()
            checked = await self._cases.entries.newest() if asked.query.check else None
        except Unavailable as error:
            why_not = error.message
        health = self._cases.overview()
        signed = health["checkpoints"]["signed_at"]
        settings = {one.name: one for one in self._cases.settings()}
        values = {
            "chain": health["checkpoints"],
            "signed_at": datetime.fromisoformat(signed) if signed else None,
            "ledger": health["ledger"],
            "keys": self._cases.entries.keys,
            "checked": checked,
            "asked_to_check": asked.query.check,
            "why_not": why_not,
            "segments": list(reversed(segments))[:MOST_SEGMENTS],
            "sealed": sum(one.entries for one in segments),
            "segment_count": len(segments),
            "settings": [settings[name] for name in _ABOUT if name in settings],
            "data": settings["data"].value,
        }
        return Shown("log/verify.html", values)

    async def sign(self, asked: Asked[Nothing, Nothing]) -> Answer:  # noqa: ARG002 - the shape of a page
        """Sign the record up to its last entry now."""
        made = await self._cases.checkpoint()
        return Moved(HERE, f"Signed: the record up to entry {made.seq}.")

    async def accept(self, asked: Asked[VerifyQuery, AcceptForm]) -> Answer:
        """Go on from a record that something else moved."""
        alarms = await self._cases.accepting.accept(asked.form.because.strip(), asked.actor)
        if alarms:
            return Moved(HERE, "Calls go on. What does not fit is told below, and stays on record.", "warn")
        return Moved(HERE, "Calls go on.")
