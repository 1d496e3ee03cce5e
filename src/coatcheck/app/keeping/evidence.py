"""Bundles of evidence as bytes to be sent, and the check of one without any gateway."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final
from zipfile import BadZipFile, ZipFile

from coatcheck.app.keeping.files import verify_lines
from coatcheck.app.keeping.members import oddities
from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.retracing import retraced, told_otherwise
from coatcheck.config import Config
from coatcheck.core.recording.notes import PublicKey, opener
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Report
from coatcheck.model.record import RecordFilter
from coatcheck.operations.evidence import FORM, MANIFEST, RECORD, SIGNATURE, Bundles

_CHUNK: Final = 256 * 1024
_MOST_MANIFEST: Final = 4 * 1024 * 1024
_BROKEN: Final = (BadZipFile, LookupError, TypeError, ValueError, NotImplementedError, EOFError, zlib.error)


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

    `own_key` tells that the only key was the one in the bundle, which anybody could have put there. `older`
    counts calls from before there was a chain, of which only the tables tell.
    """

    manifest: dict[str, Any]
    key: str
    own_key: bool
    wrongs: tuple[str, ...]
    report: Report | None
    older: int = 0

    @property
    def sound(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.wrongs and self.report is not None and self.report.sound


def check_evidence(path: Path, keys: Sequence[PublicKey]) -> Checked:
    """Check a bundle: its form and signature, every file in it, the chain of the record, and the tables.

    Nothing is written. Without keys, the one in the bundle is used.

    Raises:
        ConfigError: it cannot be read, or is no bundle; one that has more in it than it should, or something
            twice, is none.
    """
    try:
        with path.open("rb") as file, ZipFile(file) as bundle:
            if odd := oddities(bundle, file):
                raise ConfigError(
                    f"{path} is no bundle of evidence: {odd[0]}",
                    fix="somebody changed it; ask for the file that `coatcheck evidence` wrote",
                )
            return _check(bundle, keys)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", fix="name a bundle") from None
    except _BROKEN as error:
        words = f"{path} is no bundle of evidence, or is damaged: {type(error).__name__}"
        raise ConfigError(words, fix="name a file that `coatcheck evidence` wrote") from None


def _check(bundle: ZipFile, keys: Sequence[PublicKey]) -> Checked:
    raw, note = (_small(bundle, name) for name in (MANIFEST, SIGNATURE))
    manifest = json.loads(raw)
    if not isinstance(manifest, dict) or manifest.get("form") != FORM:
        raise ValueError("another form")
    used = keys or [PublicKey.read(line) for line in _small(bundle, "audit.pub").decode("ascii").splitlines()]
    signer, wrongs = _signer(used, note.decode("utf-8"), sha256(raw).digest())
    wrongs += _strange(bundle, {str(one["name"]): one for one in manifest["files"]})
    if wrongs:
        return Checked(manifest, signer.text, not keys, tuple(wrongs), None)
    with bundle.open(RECORD) as lines:
        report = verify_lines(lines, RECORD, Proof(used, None))
    if not report.sound:
        return Checked(manifest, signer.text, not keys, (), report)
    found = retraced(bundle, manifest["asked"])
    wrongs = [*found.wrongs, *told_otherwise(bundle, report)]
    return Checked(manifest, signer.text, not keys, tuple(wrongs), report, found.older)


def _signer(keys: Sequence[PublicKey], note: str, digest: bytes) -> tuple[PublicKey, list[str]]:
    """Return the key that signed the manifest; else the first, and what is wrong with the signature."""
    found, why = opener(keys, lambda key: key.open_evidence(note, digest))
    return (found, []) if found else (keys[0], [f"the signature {why}"])


def _strange(bundle: ZipFile, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return which members are not those that the manifest names, or not as it says."""
    names = bundle.namelist()
    extra = set(names) - {MANIFEST, SIGNATURE} - files.keys()
    missing = ({RECORD} | files.keys()) - set(names)
    changed = [name for name, said in files.items() if name in names and _differs(bundle, said)]
    if not (extra or missing or changed) and names != [MANIFEST, SIGNATURE, *files]:
        return ["the files are in another order than in the manifest"]
    return [
        *(f"{name} is not in the manifest" for name in sorted(extra)),
        *(f"{name} is not there any more" for name in sorted(missing)),
        *(f"{name} was changed" for name in changed),
    ]


def _small(bundle: ZipFile, name: str) -> bytes:
    with bundle.open(name) as member:
        found = member.read(_MOST_MANIFEST + 1)
    if len(found) > _MOST_MANIFEST:
        raise ValueError("too large")
    return found


def _differs(bundle: ZipFile, said: Mapping[str, Any]) -> bool:
    digest, size = sha256(), 0
    with bundle.open(said["name"]) as member:
        while piece := member.read(_CHUNK):
            size += len(piece)
            if size > int(said["bytes"]):
                return True
            digest.update(piece)
    return size != int(said["bytes"]) or digest.hexdigest() != said["sha256"]
