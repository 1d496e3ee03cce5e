"""Taking the record out: exports in the formats of the API, and signed bundles for auditors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from coatcheck.console.pages.log.asking import DECISIONS, ENDINGS, Matching, Terms, moment_of
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Sent, Shown, saved, seen
from coatcheck.console.web.refusing import Refusal
from coatcheck.console.web.sending import closed_at_the_end
from coatcheck.model.browser import BrowserSession
from coatcheck.operations.evidence import wanted_of
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
        "Can be proven by itself, without this gateway",
    ),
    (ExportFormat.CSV.value, "CSV", "For spreadsheets; a row for each call"),
    (ExportFormat.CEF.value, "CEF", "For a SIEM"),
)


_Make = Callable[[], Awaitable[AsyncIterator[bytes]]]


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
            saved("/log/export/file", read, self.export, ExportQuery),
            seen("/log/evidence", read, self.ask_evidence, EvidenceQuery),
            saved("/log/evidence/file", read, self.evidence, EvidenceQuery),
        ]

    async def ask_export(self, asked: Asked[ExportQuery, Nothing]) -> Answer:
        """Show the form for an export; the conditions of the log come along."""
        values = {
            "terms": Terms(asked.query),
            "format": asked.query.format.value,
            "formats": FORMATS,
            "decisions": DECISIONS,
            "outcomes": ENDINGS,
        }
        return Shown("log/export.html", values)

    async def export(self, asked: Asked[ExportQuery, Nothing]) -> Sent:
        """Send calls as JSON Lines, CSV or CEF."""
        terms, form = Terms(asked.query), asked.query.format
        wanted = terms.wanted(self._cases.clock.now())

        async def made() -> AsyncIterator[bytes]:
            await self._cases.readers.take(asked.actor, ReadKind.EXPORT, {**terms.said, "format": form.value})
            return self._cases.exports.pieces(wanted, form)

        return Sent(await self._begun(made, asked.signed_in), _MEDIA[form], f"record.{form.value}")

    async def ask_evidence(self, asked: Asked[EvidenceQuery, Nothing]) -> Answer:
        """Show the form for a signed bundle of evidence."""
        return Shown(
            "log/evidence.html", {"terms": Terms(asked.query), "key": self._cases.entries.keys[0].text}
        )

    async def evidence(self, asked: Asked[EvidenceQuery, Nothing]) -> Sent:
        """Send a signed bundle of evidence."""
        terms, now = Terms(asked.query), self._cases.clock.now()
        about = {name: terms.said.get(name) for name in ("grant", "subject", "server")}
        since, until = moment_of("since", terms.of("since"), now), moment_of("until", terms.of("until"), now)
        wanted = wanted_of(since, until, **about)
        asked_for: dict[str, Any] = {**about, "since": since, "until": until}

        async def made() -> AsyncIterator[bytes]:
            await self._cases.readers.take(asked.actor, ReadKind.EVIDENCE, asked_for)
            return await self._cases.evidence(wanted, asked.actor.name)

        return Sent(await self._begun(made, asked.signed_in), "application/zip", "evidence.zip")

    async def _begun(self, make: _Make, session: BrowserSession) -> AsyncIterator[bytes]:
        """Return the bytes of a file that has its place and is made.

        It is read up to its first piece, since closing what was never read does nothing: so its place is
        given back when it is closed, whether or not somebody reads it.

        Raises:
            Refusal: too many are being sent.
            CoatcheckError: it cannot be made; what cannot be read at all is no broken file.
        """
        if self._open >= MOST_AT_ONCE:
            text = "Some files are being sent already. Try again when one is done."
            raise Refusal(503, "Not now", text, headers={"Retry-After": "10"})
        file = self._while_signed_in(make, session)
        await anext(file)
        return file

    async def _while_signed_in(self, make: _Make, session: BrowserSession) -> AsyncIterator[bytes]:
        """Yield nothing once the file is made, and then the file, for as long as the session stands."""
        self._open += 1
        try:
            async with closed_at_the_end(await make()) as pieces:
                piece = await anext(pieces, None)
                yield b""
                while piece is not None and self._sessions.stands(session):
                    yield piece
                    piece = await anext(pieces, None)
        finally:
            self._open -= 1
