"""Bundles for auditors: calls, refusals, grants and changes in one signed file, with the proving chain.

A bundle is a ZIP whose first member is the manifest: what was asked for, and the SHA-256 of every other
member. The second is the manifest's signature, with the key that checkpoints are signed with.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from coatcheck.core.recording import tables_of_records
from coatcheck.core.recording.exported import odd_in, read_first, read_line
from coatcheck.core.recording.notes import PublicKey, SigningKey, opener
from coatcheck.core.recording.record_lines import credentials_of, rfc3339
from coatcheck.core.recording.tables_of_evidence import (
    MOST_NAMES,
    ByGrant,
    change_in,
    report_told,
    tables_of_changes,
)
from coatcheck.core.recording.verifying import Verifier
from coatcheck.errors import LedgerUnavailable, Unfit
from coatcheck.model.chain import Finding, FindingKind, Report
from coatcheck.model.grant import Grant, IssuedGrant
from coatcheck.model.reading import Held, Stretch
from coatcheck.model.record import RecordFilter, Verdict
from coatcheck.operations.exporting import Exports
from coatcheck.ports import Clock

FORM: Final = "coatcheck evidence 1"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
RECORD: Final = "record.jsonl"
_CHUNK: Final = 256 * 1024
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_ABOUT: Final = """This bundle was made by Coatcheck, an MCP gateway.

manifest.json      what was asked for, and the SHA-256 of every file here
manifest.sig       the signature of the manifest, by the key in audit.pub
record.jsonl       the entries themselves, chained; what is left out is there by its hash
calls.csv          the calls that were allowed, one row each, in the order of their outcomes
refusals.csv       what was denied, hidden or refused
by-grant.csv       both, counted by grant
grants.json        the grants: who issued them, for whom, until when, and who ended them
changes.jsonl      what operators changed, of all that the calls above touched
rotations.jsonl    of these, the rotations of grants and credentials
revocations.jsonl  of these, what was revoked, disabled or retired
verify.json        what a look at record.jsonl found when the bundle was made
audit.pub          the public keys; compare them with what you got another way

To check it, without the gateway:  coatcheck evidence check FILE --key KEY
That makes every table but grants.json anew from record.jsonl, and compares.
"""


def wanted_of(
    since: datetime | None,
    until: datetime | None,
    *,
    grant: str | None = None,
    subject: str | None = None,
    server: str | None = None,
) -> RecordFilter:
    """Return what a bundle is about: a time, and one grant, one subject or one server, or all of them.

    Raises:
        Unfit: more than one of them, or a time in which nothing can be.
    """
    if sum(name is not None for name in (grant, subject, server)) > 1:
        words = "a bundle is about one grant, one subject, one server, or all of them"
        raise Unfit(words, fix="name one of the three", field="grant")
    if since is not None and until is not None and since >= until:
        raise Unfit("the time ends before it begins", fix="say a later end", field="until")
    return RecordFilter(since=since, until=until, grant=grant, subject=subject, server=server)


@dataclass(frozen=True, slots=True)
class Grants:
    """All grants that there are and were: those of operators, and those of the file as it is now."""

    issued: Sequence[IssuedGrant]
    declared: Sequence[Grant]


@dataclass(slots=True)
class _Seen:
    """What the calls of a bundle touched."""

    names: set[str] = field(default_factory=set)
    grants: ByGrant = field(default_factory=ByGrant)

    def note(self, held: Held) -> None:
        """Take a call."""
        record = held.entry.record
        uses = (use.rpartition("@")[0] for use in credentials_of(held.entry))
        if len(self.names) < MOST_NAMES:
            self.names.update(
                name for name in (record.subject, record.grant_id, record.server, *uses) if name
            )
        self.grants.note(
            record.grant_id, record.grant_label, record.subject, record.decision.value, record.repeats
        )


class Bundles:
    """Makes bundles. `key` signs them, `grants` returns all grants, `version` is that of the program.

    `older` are the keys that signed checkpoints before.
    """

    def __init__(
        self,
        exports: Exports,
        key: SigningKey,
        grants: Callable[[], Grants],
        clock: Clock,
        version: str,
        older: Sequence[PublicKey] = (),
    ) -> None:
        self._keys = (key.public, *older)
        self._exports = exports
        self._key = key
        self._grants = grants
        self._clock = clock
        self._version = version

    async def write(self, wanted: RecordFilter, by: str, scratch: BinaryIO, file: BinaryIO) -> None:
        """Write a bundle to a file. `scratch` is an empty file that takes the members before they are signed.

        What was met that is not as it was written is told in the bundle, and to the alarm of the exports.

        Raises:
            LedgerUnavailable: the record cannot be read.
        """
        members = ZipFile(scratch, "w", ZIP_DEFLATED)
        stretch = await self._exports.reading.stretch(wanted)
        await self._exports.sign()
        told = await self._members(stretch, wanted, _Into(members), file)
        members.close()
        manifest = _json(
            {
                "form": FORM,
                "log": self._key.public.log,
                "made": rfc3339(self._clock.now()),
                "by": by,
                "version": self._version,
                "asked": _asked(wanted),
                "sealed_through": stretch.after if stretch.sealed else None,
                "files": told,
            }
        )
        signature = self._key.sign_evidence(sha256(manifest).digest())
        await asyncio.to_thread(_put_together, manifest, signature.encode(), scratch, file)

    async def _members(
        self, stretch: Stretch, wanted: RecordFilter, into: _Into, aside: BinaryIO
    ) -> list[dict[str, Any]]:
        """Write all members but the first two; `aside` is an empty file, and is empty again afterwards."""
        seen, found = _Seen(), _Found()
        await into.add("README.txt", _once(_ABOUT.encode()))
        await into.add("calls.csv", self._calls(stretch, wanted, seen, aside))
        await into.add("refusals.csv", _again(aside))
        await into.add("by-grant.csv", _once(seen.grants.table()))
        grants = self._concerned(wanted, seen)
        await into.add("grants.json", _once(_json(grants)))
        about = seen.names | {str(grant["id"]) for grant in grants}
        await into.add(RECORD, self._record(stretch, wanted, about, found))
        for name, table in tables_of_changes(found.changes).items():
            await into.add(name, _once(table))
        report = found.report()
        await into.add("verify.json", _once(_json(report_told(report))))
        await into.add("audit.pub", _once("".join(f"{key.text}\n" for key in self._keys).encode()))
        if report.findings:
            self._exports.warn(f"the record was changed: {report.findings[0].words} ({report.found} found)")
        return into.told

    async def _calls(
        self, stretch: Stretch, wanted: RecordFilter, seen: _Seen, aside: BinaryIO
    ) -> AsyncIterator[bytes]:
        """Yield the table of calls that were allowed, and put that of the others aside."""
        yield tables_of_records.header()
        aside.write(tables_of_records.header())
        async for calls in self._exports.calls(stretch, wanted, _told_later):
            for one in calls:
                seen.note(one)
            rows = [(one.entry.record.decision, tables_of_records.row_of(one)) for one in calls]
            aside.write(b"".join(row for decision, row in rows if decision is not Verdict.ALLOWED))
            yield b"".join(row for decision, row in rows if decision is Verdict.ALLOWED)

    async def _record(
        self, stretch: Stretch, wanted: RecordFilter, about: set[str], found: _Found
    ) -> AsyncIterator[bytes]:
        async for piece in self._exports.part(stretch, wanted, about, judged=True):
            found.take(piece, self._keys)
            yield piece

    def _concerned(self, wanted: RecordFilter, seen: _Seen) -> list[dict[str, Any]]:
        """Return the grants that called, or that the filter is about; without one, all of them."""
        every = all(name is None for name in (wanted.grant, wanted.subject, wanted.server))
        called = seen.grants.ids
        grants = self._grants()

        def concerns(id: str, label: str, subject: str) -> bool:
            return every or id in called or wanted.grant in {id, label} or wanted.subject == subject

        told = [_issued(one) for one in grants.issued if concerns(one.id, one.label, one.subject)]
        told += [_declared(one) for one in grants.declared if concerns(one.id, one.label, one.subject)]
        return sorted(told, key=lambda one: str(one["id"]))


class _Into:
    """Writes the members of a ZIP one by one, and remembers their digests."""

    def __init__(self, members: ZipFile) -> None:
        self._members = members
        self.told: list[dict[str, Any]] = []

    async def add(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Write one member."""
        digest, size = sha256(), 0
        with self._members.open(_info(name), "w", force_zip64=True) as member:
            async for piece in pieces:
                digest.update(piece)
                size += len(piece)
                await asyncio.to_thread(member.write, piece)
        self.told.append({"name": name, "bytes": size, "sha256": digest.hexdigest()})


class _Found:
    """What a look at the exported chain came to, and the changes in it."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []
        self._verifier: Verifier | None = None

    def take(self, piece: bytes, keys: Sequence[PublicKey]) -> None:
        """Take some lines."""
        for line in piece.splitlines():
            if self._verifier is None:
                self._verifier = Verifier(read_first(line))
            else:
                self._take(line, self._verifier, keys)

    def report(self) -> Report:
        """Return the report.

        Raises:
            LedgerUnavailable: there was not a line.
        """
        if self._verifier is None:
            raise LedgerUnavailable("the record has no beginning", fix="run `coatcheck audit verify`")
        return self._verifier.report(needs_proof=True)

    def _take(self, line: bytes, verifier: Verifier, keys: Sequence[PublicKey]) -> None:
        found = read_line(line)
        if isinstance(found, str):
            _meet(found, verifier, keys)
            return
        verifier.feed(found)
        if odd := odd_in(line):
            verifier.tell(Finding(found.seq, FindingKind.DERIVED, odd))
        with suppress(ValueError):  # it is not as it was written, which the verifier has told
            if (change := change_in(found)) is not None:
                self.changes.append(change)


def _meet(note: str, verifier: Verifier, keys: Sequence[PublicKey]) -> None:
    """Have a checkpoint compared that one of the keys signed."""
    found, why = opener(keys, lambda key: verifier.meet(key.open(note)))
    if found:
        return
    words = f"the checkpoint of entry {verifier.head.seq} {why}"
    verifier.tell(Finding(verifier.head.seq, FindingKind.UNSIGNED, words))


def _put_together(manifest: bytes, signature: bytes, scratch: BinaryIO, file: BinaryIO) -> None:
    with ZipFile(scratch) as members, ZipFile(file, "w", ZIP_DEFLATED) as bundle:
        bundle.writestr(_info(MANIFEST), manifest)
        bundle.writestr(_info(SIGNATURE), signature)
        for name in members.namelist():
            with members.open(name) as old, bundle.open(_info(name), "w", force_zip64=True) as new:
                while piece := old.read(_CHUNK):
                    new.write(piece)


def _info(name: str) -> ZipInfo:
    """Return a member that is the same whenever it is made."""
    info = ZipInfo(name, _EARLIEST)
    info.compress_type, info.external_attr = ZIP_DEFLATED, 0o644 << 16
    return info


def _told_later(finding: Finding) -> None:
    """Take what the tables meet: the entries are read once more after them, and then it is told."""


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


async def _again(aside: BinaryIO) -> AsyncIterator[bytes]:
    """Yield what was put aside, and leave nothing of it."""
    aside.seek(0)
    while piece := aside.read(_CHUNK):
        yield piece
    aside.seek(0)
    aside.truncate()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=True).encode("ascii") + b"\n"


def _asked(wanted: RecordFilter) -> dict[str, str | None]:
    return {
        "from": rfc3339(wanted.since) if wanted.since else None,
        "to": rfc3339(wanted.until) if wanted.until else None,
        "grant": wanted.grant,
        "subject": wanted.subject,
        "server": wanted.server,
    }


def _issued(grant: IssuedGrant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "label": grant.label,
        "subject": grant.subject,
        "source": "store",
        "issued_at": rfc3339(grant.issued_at),
        "issued_by": grant.issued_by,
        "expires_at": rfc3339(grant.expires_at) if grant.expires_at else None,
        "revoked_at": rfc3339(grant.revoked_at) if grant.revoked_at else None,
        "revoked_by": grant.revoked_by,
        "because": grant.because,
    }


def _declared(grant: Grant) -> dict[str, Any]:
    return {"id": grant.id, "label": grant.label, "subject": grant.subject, "source": "file"}
