"""Taking the record out: exports in the formats of the API, and signed bundles for auditors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from coatcheck.console.pages.log.asking import DECISIONS, OUTCOMES, Matching, Terms, moment_of
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Sent, Shown, seen
from coatcheck.console.web.refusing import Refusal
from coatcheck.errors import Unfit
from coatcheck.model.browser import BrowserSession
from coatcheck.model.record import RecordFilter
from coatcheck.operations.exporting import ExportFormat
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.use_cases import UseCases

MOST_AT_ONCE: Final = 4
_MEDIA: Final = {
    ExportFormat.JSONL: "application/jsonl",
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.CEF: "text/plain; charset=utf-8",
}
FORMATS: Final = (
    (
        ExportFormat.JSONL.value,
        "JSON Lines, with the chain",
        "Can be proven by itself: coatcheck audit verify",
    ),
    (ExportFormat.CSV.value, "CSV", "For spreadsheets; a row for each call"),
    (ExportFormat.CEF.value, "CEF", "For a SIEM"),
)


class ExportQuery(Matching, kw_only=True):
    """What to export: everything that matches, oldest first."""

    format: ExportFormat = ExportFormat.JSONL


class EvidenceQuery(Matching, kw_only=True):
    """What a bundle is about: a time, and at most one of grant, person and server."""


class TakingPages:
    """Serves the two forms, and what they make. A file goes on for as long as who asked is signed in."""

    def __init__(self, cases: UseCases, sessions: BrowserSessions) -> None:
        self._cases = cases
        self._sessions = sessions
        self._open = 0

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        read = Permission.RECORDS
        return [
            seen("/log/export", read, self.ask_export, ExportQuery),
            seen("/log/export/file", read, self.export, ExportQuery),
            seen("/log/evidence", read, self.ask_evidence, EvidenceQuery),
            seen("/log/evidence/file", read, self.evidence, EvidenceQuery),
        ]

    async def ask_export(self, asked: Asked[ExportQuery, Nothing]) -> Answer:
        """Show what can be exported; the filters of the log come along."""
        values = {
            "terms": Terms(asked.query),
            "format": asked.query.format.value,
            "formats": FORMATS,
            "decisions": DECISIONS,
            "outcomes": OUTCOMES,
        }
        return Shown("log/export.html", values)

    async def export(self, asked: Asked[ExportQuery, Nothing]) -> Answer:
        """Send an export."""
        terms, form = Terms(asked.query), asked.query.format
        wanted = terms.wanted(self._cases.clock.now())
        await self._cases.readers.take(asked.actor, ReadKind.EXPORT, {**terms.said, "format": form.value})
        made = self._cases.exports.pieces(wanted, form)
        first = await anext(made, b"")  # what cannot be read at all is an error, not a broken file
        return Sent(self._while_signed_in(first, made, asked.signed_in), _MEDIA[form], f"record.{form.value}")

    async def ask_evidence(self, asked: Asked[EvidenceQuery, Nothing]) -> Answer:
        """Show what a bundle can be about."""
        return Shown(
            "log/evidence.html", {"terms": Terms(asked.query), "key": self._cases.entries.keys[0].text}
        )

    async def evidence(self, asked: Asked[EvidenceQuery, Nothing]) -> Answer:
        """Send a bundle."""
        terms, now = Terms(asked.query), self._cases.clock.now()
        about = {name: terms.said.get(name) for name in ("grant", "subject", "server")}
        if sum(name is not None for name in about.values()) > 1:
            raise Unfit("a bundle is about one grant, one person, one server, or all", fix="name one of them")
        since, until = moment_of("since", terms.of("since"), now), moment_of("until", terms.of("until"), now)
        if since is not None and until is not None and since >= until:
            raise Unfit("the time ends before it begins", fix="say a later end")
        asked_for: dict[str, Any] = {**about, "since": since, "until": until}
        await self._cases.readers.take(asked.actor, ReadKind.EVIDENCE, asked_for)
        wanted = RecordFilter(
            since=since, until=until, grant=about["grant"], subject=about["subject"], server=about["server"]
        )
        made = await self._cases.evidence(wanted, asked.actor.name)
        return Sent(self._while_signed_in(b"", made, asked.signed_in), "application/zip", "evidence.zip")

    def _while_signed_in(
        self, first: bytes, rest: AsyncIterator[bytes], session: BrowserSession
    ) -> AsyncIterator[bytes]:
        """Return the bytes of a file, for as long as the session stands.

        Raises:
            Refusal: too many are being sent.
        """
        if self._open >= MOST_AT_ONCE:
            text = "Some files are being sent already. Try again when one is done."
            raise Refusal(503, "Not now", text, headers={"Retry-After": "10"})
        return self._counted(first, rest, session)

    async def _counted(
        self, first: bytes, rest: AsyncIterator[bytes], session: BrowserSession
    ) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            yield first
            async for piece in rest:
                if not self._sessions.stands(session):
                    return
                yield piece
        finally:
            self._open -= 1
