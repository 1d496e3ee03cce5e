"""Bundles for auditors: calls, refusals, grants and changes in one signed file, with the proving chain.

A bundle is a ZIP whose first member is the manifest: what was asked for, and the SHA-256 of every other
member. The second is the manifest's signature, with the key that checkpoints are signed with.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from coatcheck.core.recording import tables_of_records
from coatcheck.core.recording.exported import read_first, read_line
from coatcheck.core.recording.notes import SigningKey
from coatcheck.core.recording.record_lines import credentials_of, rfc3339
from coatcheck.core.recording.stored import change_of
from coatcheck.core.recording.verifying import Verifier
from coatcheck.model.chain import EntryKind
from coatcheck.model.change import Change
from coatcheck.model.grant import Grant, IssuedGrant
from coatcheck.model.reading import Held
from coatcheck.model.record import RecordFilter, Verdict
from coatcheck.operations.exporting import PAGE, Exports
from coatcheck.ports import Clock

FORM: Final = "coatcheck evidence 1"
MOST_NAMES: Final = 100_000
"""Grants, servers, subjects and credentials that are kept in mind while a bundle is made."""

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
RECORD: Final = "record.jsonl"
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_ROTATIONS: Final = ("grant.rotate", "credential.stage", "credential.activate", "credential.roll_back")
_ENDINGS: Final = (
    "grant.revoke",
    "subject.disable",
    "subject.offboard",
    "credential.retire",
    "credential.end",
)
_ABOUT: Final = """This bundle was made by Coatcheck, an MCP gateway.

manifest.json      what was asked for, and the SHA-256 of every file here
manifest.sig       the signature of the manifest, by the key in audit.pub
record.jsonl       the entries themselves, chained; what is left out is there by its hash
calls.csv          the calls that were allowed, one row each
refusals.csv       what was denied, hidden or refused
by-grant.csv       both, counted by grant
grants.json        the grants: who issued them, for whom, until when, and who ended them
changes.jsonl      what operators changed, of all that the calls above touched
rotations.jsonl    of these, the rotations of grants and credentials
revocations.jsonl  of these, what was revoked, disabled or retired
verify.json        what a look at record.jsonl found when the bundle was made
audit.pub          the public key; compare it with one that you got another way

To check it, without the gateway:  coatcheck evidence check FILE --key KEY
"""


@dataclass(frozen=True, slots=True)
class Grants:
    """All grants that there are and were: those of operators, and those of the file as it is now."""

    issued: Sequence[IssuedGrant]
    declared: Sequence[Grant]


@dataclass(slots=True)
class _Seen:
    """What the calls of a bundle touched."""

    names: set[str] = field(default_factory=set)
    grants: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)

    def note(self, held: Held) -> None:
        """Take a call."""
        record = held.entry.record
        uses = (use.rpartition("@")[0] for use in credentials_of(held.entry))
        if len(self.names) < MOST_NAMES:
            self.names.update(
                name for name in (record.subject, record.grant_id, record.server, *uses) if name
            )
        key = (record.grant_id, record.grant_label, record.subject)
        if key in self.grants or len(self.grants) < MOST_NAMES:
            counts = self.grants.setdefault(key, {})
            counts[record.decision.value] = counts.get(record.decision.value, 0) + record.repeats


class Bundles:
    """Makes bundles. `key` signs them, `grants` returns all grants, `version` is that of the program."""

    def __init__(
        self, exports: Exports, key: SigningKey, grants: Callable[[], Grants], clock: Clock, version: str
    ) -> None:
        self._exports = exports
        self._key = key
        self._grants = grants
        self._clock = clock
        self._version = version

    async def write(self, wanted: RecordFilter, by: str, scratch: BinaryIO, file: BinaryIO) -> None:
        """Write a bundle to a file. `scratch` is an empty file that takes the members before they are signed.

        Raises:
            LedgerUnavailable: the record cannot be read.
        """
        members = ZipFile(scratch, "w", ZIP_DEFLATED)
        told = await self._members(wanted, _Into(members))
        members.close()
        manifest = _json(
            {
                "form": FORM,
                "log": self._key.public.log,
                "made": rfc3339(self._clock.now()),
                "by": by,
                "version": self._version,
                "asked": _asked(wanted),
                "files": told,
            }
        )
        signature = self._key.sign_evidence(sha256(manifest).digest())
        await asyncio.to_thread(_put_together, manifest, signature.encode(), scratch, file)

    async def _members(self, wanted: RecordFilter, into: _Into) -> list[dict[str, Any]]:
        seen = _Seen()
        await into.add("README.txt", _once(_ABOUT.encode()))
        await into.add("calls.csv", self._rows(wanted, seen, allowed=True))
        await into.add("refusals.csv", self._rows(wanted, seen, allowed=False))
        await into.add("by-grant.csv", _once(_by_grant(seen)))
        grants = self._concerned(wanted, seen)
        await into.add("grants.json", _once(_json(grants)))
        about = seen.names | {str(grant["id"]) for grant in grants}
        await self._exports.sign()
        found = _Found()
        await into.add(RECORD, self._record(wanted, about, found))
        changes = found.changes
        await into.add("changes.jsonl", _once(_lines(changes)))
        await into.add(
            "rotations.jsonl", _once(_lines([one for one in changes if one["action"] in _ROTATIONS]))
        )
        await into.add(
            "revocations.jsonl", _once(_lines([one for one in changes if one["action"] in _ENDINGS]))
        )
        await into.add("verify.json", _once(_json(found.told())))
        await into.add("audit.pub", _once(f"{self._key.public.text}\n".encode()))
        return into.told

    async def _rows(self, wanted: RecordFilter, seen: _Seen, *, allowed: bool) -> AsyncIterator[bytes]:
        yield tables_of_records.header()
        after = 0
        while page := await self._exports.reading.held(wanted, after, PAGE):
            after = page[-1].entry.position
            mine = [one for one in page if (one.entry.record.decision is Verdict.ALLOWED) == allowed]
            for one in mine:
                seen.note(one)
            yield b"".join(map(tables_of_records.row_of, mine))

    async def _record(self, wanted: RecordFilter, about: set[str], found: _Found) -> AsyncIterator[bytes]:
        async for piece in self._exports.chained(wanted, about):
            found.take(piece, self._key)
            yield piece

    def _concerned(self, wanted: RecordFilter, seen: _Seen) -> list[dict[str, Any]]:
        """Return the grants that called, or that the filter is about; without one, all of them."""
        every = all(name is None for name in (wanted.grant, wanted.subject, wanted.server))
        called = {id for id, _, _ in seen.grants}
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

    def take(self, piece: bytes, key: SigningKey) -> None:
        """Take some lines."""
        for line in piece.splitlines():
            if self._verifier is None:
                self._verifier = Verifier(read_first(line))
                continue
            found = read_line(line)
            if isinstance(found, str):
                self._verifier.meet(key.public.open(found))
                continue
            self._verifier.feed(found)
            if found.kind is EntryKind.CHANGE and found.stored:
                self.changes.append(
                    {"seq": found.seq, "hash": found.hash.hex(), **_change(change_of(found.stored))}
                )

    def told(self) -> dict[str, Any]:
        """Return the report."""
        if self._verifier is None:
            return {}
        report = self._verifier.report(needs_proof=True)
        return {
            "sound": report.sound,
            "first": report.beginning.seq + 1,
            "last": report.head.seq,
            "entries": report.entries,
            "left_out": report.left_out,
            "checkpoints": report.checkpoints,
            "unproven": report.unproven,
            "found": report.found,
            "findings": [{"seq": one.seq, "what": one.what, "words": one.words} for one in report.findings],
        }


def _put_together(manifest: bytes, signature: bytes, scratch: BinaryIO, file: BinaryIO) -> None:
    with ZipFile(scratch) as members, ZipFile(file, "w", ZIP_DEFLATED) as bundle:
        bundle.writestr(_info(MANIFEST), manifest)
        bundle.writestr(_info(SIGNATURE), signature)
        for name in members.namelist():
            with members.open(name) as old, bundle.open(_info(name), "w", force_zip64=True) as new:
                while piece := old.read(256 * 1024):
                    new.write(piece)


def _info(name: str) -> ZipInfo:
    """Return a member that is the same whenever it is made."""
    info = ZipInfo(name, _EARLIEST)
    info.compress_type, info.external_attr = ZIP_DEFLATED, 0o644 << 16
    return info


async def _once(piece: bytes) -> AsyncIterator[bytes]:
    yield piece


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=True).encode("ascii") + b"\n"


def _lines(values: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(value, ensure_ascii=True).encode("ascii") + b"\n" for value in values)


def _by_grant(seen: _Seen) -> bytes:
    verdicts = tuple(each.value for each in Verdict)
    rows = [(*key, *(counts.get(verdict, 0) for verdict in verdicts)) for key, counts in seen.grants.items()]
    return tables_of_records.csv_rows([("grant_id", "grant_label", "subject", *verdicts), *sorted(rows)])


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


def _change(change: Change) -> dict[str, Any]:
    told = {name: getattr(change, name) for name in Change.__slots__ if name not in {"id", "at", "kind"}}
    return {
        "id": str(change.id),
        "time": rfc3339(change.at),
        "kind": change.kind.value,
        **told,
        "before": json.loads(change.before or "null"),
        "after": json.loads(change.after or "null"),
    }
