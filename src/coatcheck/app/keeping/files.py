"""Verifies exported records with the public key alone, and reads the files of sealed parts of a store."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from coatcheck.app.keeping.proof import MOST_LINE, Proof, open_regular
from coatcheck.core.recording.exported import NoLine, odd_in, read_first, read_line
from coatcheck.core.recording.verifying import Verifier
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Beginning, Finding, FindingKind, Head, Presented, Report
from coatcheck.model.segment import Segment

_GZIP: Final = b"\x1f\x8b"
_TOO_LONG: Final = f"is longer than {MOST_LINE // 1024 // 1024} MiB"


class Lines(Protocol):
    """What gives line after line: a file, a gzipped one, a member of a ZIP."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, cut after so many bytes; empty at the end."""
        ...


def verify_file(path: Path, proof: Proof, receipts: Sequence[Presented] = ()) -> Report:
    """Verify an exported record with the public key alone, in constant memory.

    Raises:
        ConfigError: the file, or the checkpoints outside, cannot be read, or it is no export.
    """
    try:
        with ExitStack() as opened:
            report = verify_lines(_unpacked(path, opened), str(path), proof, receipts)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "it is damaged"
        raise ConfigError(f"{path} cannot be read: {why}", fix="name an exported file") from None
    if not report.entries and not report.found:
        raise ConfigError(f"{path} has no entry, so it proves nothing", fix="name an exported file")
    return report


def verify_lines(file: Lines, place: str, proof: Proof, receipts: Sequence[Presented] = ()) -> Report:
    """Verify the lines of an exported record; `place` is what messages call it.

    Raises:
        ConfigError: it is no export.
    """
    try:
        with ExitStack() as opened:
            beginning = _first_of(file)
            verifier = Verifier(beginning, receipts)
            verifier.expect(proof.outside(opened, beginning.log, verifier.tell))
            number = 1
            while line := _next_of(file):
                number += 1
                _take(line, number, place, proof, verifier, None)
            return verifier.report(needs_proof=True)
    except NoLine as error:
        raise ConfigError(f"{place} is no exported record: {error}", fix="name an exported file") from None


def read_sealed(folder: Path, segment: Segment, log: str, proof: Proof, verifier: Verifier) -> None:
    """Have the entries of a sealed part judged as if they were still in the store, from its file.

    What is wrong with the file is told, and the part is gone over then.
    """
    path = folder / Path(segment.file).name
    why = _why_another(path, segment)
    if why:
        words = f"entries {segment.first} to {segment.last} cannot be judged: {path} {why}"
        verifier.tell(Finding(segment.first, FindingKind.DAMAGED, words))
        verifier.skip(segment)
        return
    try:
        with ExitStack() as opened:
            file = _unpacked(path, opened)
            first = _first_of(file)
            if (first.log, first.seq, first.prev) != (log, segment.first - 1, segment.prev):
                raise NoLine("is of another part of the chain")
            number = 1
            while verifier.head.seq < segment.last and (line := _next_of(file)):
                number += 1
                _take(line, number, path.name, proof, verifier, segment.last)
    except (OSError, EOFError, zlib.error, NoLine) as error:
        words = f"{path} cannot be read: {error}"
        verifier.tell(Finding(verifier.head.seq, FindingKind.DAMAGED, words))
    if verifier.head != Head(segment.last, segment.hash):
        words = f"{path} does not end where entries {segment.first} to {segment.last} do"
        verifier.tell(Finding(segment.last, FindingKind.CUT, words))


def _first_of(file: Lines) -> Beginning:
    """Return where a file begins.

    Raises:
        NoLine: its first line says nothing of it.
    """
    line = file.readline(MOST_LINE + 1)
    if len(line) > MOST_LINE:
        raise NoLine(f"the first line {_TOO_LONG}")
    return read_first(line)


def _next_of(file: Lines) -> bytes:
    """Return the next line, empty at the end; of one that is too long the start, a byte over what may be."""
    line = rest = file.readline(MOST_LINE + 1)
    while len(rest) > MOST_LINE and not rest.endswith(b"\n"):
        rest = file.readline(MOST_LINE + 1)
    return line


def _take(
    line: bytes, number: int, place: str, proof: Proof, verifier: Verifier, through: int | None
) -> None:
    try:
        if len(line) > MOST_LINE:
            raise NoLine(_TOO_LONG)
        found = read_line(line)
    except NoLine as error:
        words = f"line {number} of {place} {error}"
        verifier.tell(Finding(verifier.head.seq, FindingKind.DAMAGED, words))
        return
    if isinstance(found, str):
        checkpoint = proof.open(found, place, verifier.tell)
        if checkpoint is not None:
            verifier.meet(checkpoint)
    elif through is None or found.seq <= through:
        verifier.feed(found)
        if odd := odd_in(line):
            words = f"the gateway that exported entry {found.seq} says: {odd}"
            verifier.tell(Finding(found.seq, FindingKind.DERIVED, words))


def _unpacked(path: Path, opened: ExitStack) -> Lines:
    file: BinaryIO = opened.enter_context(open_regular(path))
    packed = file.read(2) == _GZIP
    file.seek(0)
    return opened.enter_context(gzip.GzipFile(fileobj=file)) if packed else file


def _why_another(path: Path, segment: Segment) -> str:
    """Return why a file is not the one that was sealed; empty if it is."""
    try:
        with open_regular(path) as file:
            digest = file_digest(file, "sha256")
    except ValueError:
        return "is no name that a file has"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if digest.hexdigest() == segment.sha256 else "is not the file that was sealed (SHA-256)"
