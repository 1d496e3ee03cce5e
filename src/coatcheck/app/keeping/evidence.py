"""Bundles of evidence as bytes to be sent, and the check of one without any gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, BinaryIO, Final
from zipfile import BadZipFile, ZipFile

from coatcheck.app.keeping.verifying import Proof, verify_lines
from coatcheck.config import Config
from coatcheck.core.recording.notes import Broken, PublicKey
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Report
from coatcheck.model.record import RecordFilter
from coatcheck.operations.evidence import FORM, MANIFEST, RECORD, SIGNATURE, Bundles

_CHUNK: Final = 256 * 1024
_MOST_MANIFEST: Final = 4 * 1024 * 1024
_MOST_MEMBERS: Final = 100


async def evidence_of(
    bundles: Bundles, config: Config, wanted: RecordFilter, by: str
) -> AsyncIterator[bytes]:
    """Return the bytes of a bundle, which was made when this returns.

    Raises:
        LedgerUnavailable: the record cannot be read.
        ConfigError: there is no room for it in the data directory.
    """
    try:
        with TemporaryFile(dir=config.data) as scratch:
            file: BinaryIO = TemporaryFile(dir=config.data)  # noqa: SIM115 - it is closed with the last piece
            try:
                await bundles.write(wanted, by, scratch, file)
                file.seek(0)
            except BaseException:
                file.close()
                raise
    except OSError as error:
        raise ConfigError(
            f"the bundle cannot be made: {error.strerror}", fix="make room on the disk"
        ) from None
    return _pieces(file)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, _CHUNK):
            yield piece


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of a bundle came to: sound if there are no `wrongs` and the report of the record is.

    `own_key` tells that the only key was the one in the bundle, which anybody could have put there.
    """

    manifest: dict[str, Any]
    key: str
    own_key: bool
    wrongs: tuple[str, ...]
    report: Report | None

    @property
    def sound(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.wrongs and self.report is not None and self.report.sound


def check_evidence(path: Path, key: PublicKey | None) -> Checked:
    """Check a bundle: its signature, every file in it, and the chain of the record. Nothing is written.

    Raises:
        ConfigError: it cannot be read, or is no bundle.
    """
    try:
        with ZipFile(path) as bundle:
            return _check(bundle, key)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", fix="name a bundle") from None
    except (BadZipFile, KeyError, ValueError, NotImplementedError, EOFError) as error:
        words = f"{path} is no bundle of evidence, or is damaged: {type(error).__name__}"
        raise ConfigError(words, fix="name a file that `coatcheck evidence` wrote") from None


def _check(bundle: ZipFile, key: PublicKey | None) -> Checked:
    raw, note = (_small(bundle, name) for name in (MANIFEST, SIGNATURE))
    manifest = json.loads(raw)
    if not isinstance(manifest, dict) or manifest.get("form") != FORM:
        raise ValueError("another form")
    used = key or PublicKey.read(_small(bundle, "audit.pub").decode("ascii"))
    wrongs = []
    try:
        used.open_evidence(note.decode("utf-8"), sha256(raw).digest())
    except Broken as error:
        wrongs.append(f"the signature {error}")
    files = {str(one["name"]): one for one in manifest["files"]}
    names = bundle.namelist()
    wrongs += [f"{name} is twice in the bundle" for name in sorted({n for n in names if names.count(n) > 1})]
    extra = set(names) - {MANIFEST, SIGNATURE} - files.keys()
    wrongs += [f"{name} is not in the manifest" for name in sorted(extra)]
    wrongs += [f"{name} is not there any more" for name in sorted(files.keys() - set(names))]
    wrongs += [
        f"{name} was changed" for name, said in files.items() if name in names and _differs(bundle, said)
    ]
    report = None
    if RECORD in names:
        with bundle.open(RECORD) as lines:
            report = verify_lines(lines, RECORD, Proof([used], None))
    return Checked(manifest, used.text, key is None, tuple(wrongs), report)


def _small(bundle: ZipFile, name: str) -> bytes:
    if len(bundle.infolist()) > _MOST_MEMBERS:
        raise ValueError("too many members")
    with bundle.open(name) as member:
        found = member.read(_MOST_MANIFEST + 1)
    if len(found) > _MOST_MANIFEST:
        raise ValueError("too large")
    return found


def _differs(bundle: ZipFile, said: dict[str, Any]) -> bool:
    digest, size = sha256(), 0
    with bundle.open(said["name"]) as member:
        while piece := _read(member):
            size += len(piece)
            if size > int(said["bytes"]):
                return True
            digest.update(piece)
    return size != int(said["bytes"]) or digest.hexdigest() != said["sha256"]


def _read(member: IO[bytes]) -> bytes:
    return member.read(_CHUNK)
