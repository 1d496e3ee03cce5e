"""Verifies a record: of a store, whether its gateway runs or not, or of a file with the public key alone."""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, Protocol

from coatcheck.core.recording.exported import NoLine, read_first, read_line
from coatcheck.core.recording.notes import Broken, PublicKey, claimed, notes_in
from coatcheck.core.recording.verifying import Verifier
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Beginning, Checkpoint, Finding, FindingKind, Head, Presented, Report
from coatcheck.model.secret import Secret
from coatcheck.store.opening import open_to_read
from coatcheck.store.verifying import Standing, StoredChain, Unreadable

MOST_LINE: Final = 16 * 1024 * 1024
"""Bytes of the longest line that an export has."""

_GZIP: Final = b"\x1f\x8b"

Tell = Callable[[Finding], None]


class Lines(Protocol):
    """What gives line after line: a file, a gzipped one, a member of a ZIP."""

    def readline(self, size: int, /) -> bytes:
        """Return the next line, cut after so many bytes; empty at the end."""
        ...


class Proof:
    """The public keys that checkpoints may be signed with, by their ids, and what is kept outside."""

    def __init__(self, keys: Sequence[PublicKey], outside: Path | None) -> None:
        self._keys = keys
        self._outside = outside

    def open(self, note: str, place: str, tell: Tell) -> Checkpoint | None:
        """Return the checkpoint of a note; tell if it is none, or not signed."""
        found: Checkpoint | None = None
        why = "there is no key for it"
        try:
            found = claimed(note)
            for key in self._keys:
                if key.log == found.log:
                    try:
                        return key.open(note)
                    except Broken as error:
                        why = str(error)
        except Broken as error:
            why = str(error)
        seq = found.seq if found else 0
        tell(Finding(seq, FindingKind.UNSIGNED, f"the checkpoint of entry {seq} in {place} {_said(why)}"))
        return None

    def outside(self, opened: ExitStack, log: str, tell: Tell) -> Iterator[Checkpoint]:
        """Return the checkpoints of the file outside, as of now, in their order.

        Raises:
            ConfigError: the file cannot be read.
        """
        if self._outside is None:
            return iter(())
        path = self._outside
        try:
            file = opened.enter_context(path.open("rb"))
            size = file.seek(0, 2)
            file.seek(0)
        except OSError as error:
            raise ConfigError(
                f"the checkpoints {path} cannot be read: {error.strerror}",
                fix="name the file with --checkpoints",
            ) from None
        return self._in_order(notes_in(_lines(file, size)), log, str(path), tell)

    def _in_order(self, notes: Iterable[str], log: str, place: str, tell: Tell) -> Iterator[Checkpoint]:
        last, foreign = -1, False
        for note in notes:
            found = self.open(note, place, tell) if _is_of(note, log) else None
            if found is None:
                if not foreign and not _is_of(note, log):
                    foreign = True
                    words = f"{place} has checkpoints of another log than {log}"
                    tell(Finding(0, FindingKind.FOREIGN, words))
            elif found.seq < last:
                words = f"{place} goes back from entry {last} to {found.seq}: an older store was put back"
                tell(Finding(found.seq, FindingKind.FORKED, words))
            else:
                last = found.seq
                yield found


def verify_store(
    directory: Path, url: Secret | None, proof: Proof, receipts: Sequence[Presented] = ()
) -> Report:
    """Verify the record of a store, in constant memory; nothing is changed, and no gateway held up.

    Raises:
        ConfigError: there is no store, it cannot be read as it is, or the checkpoints outside cannot be.
    """
    with ExitStack() as opened:
        database = open_to_read(directory, url)
        opened.callback(database.close)
        stored = StoredChain(database)
        try:
            log = stored.standing().beginning.log
            outside = proof.outside(
                opened,
                log,
                lambda finding: verifier.tell(finding),  # noqa: PLW0108 - there is none yet
            )  # when it is read
            standing = stored.standing()  # after the file was looked at: it never says more than the store
        except Unreadable as error:
            return _unreadable(error)
        verifier = Verifier(standing.beginning, receipts)
        inside = _inside(stored, standing, proof, verifier.tell)
        try:
            verifier.expect(heapq.merge(inside, outside, key=lambda one: one.seq))
            _read_all(stored, standing, verifier)
        except Unreadable as error:
            words = f"reading broke off after entry {verifier.head.seq}: {error}"
            verifier.tell(Finding(verifier.head.seq, FindingKind.DAMAGED, words))
            verifier.expect(iter(()))
        return verifier.report()


def verify_file(path: Path, proof: Proof, receipts: Sequence[Presented] = ()) -> Report:
    """Verify an exported record with the public key alone, in constant memory.

    Raises:
        ConfigError: the file cannot be read, or is no export.
    """
    try:
        with path.open("rb") as file, gzip.GzipFile(fileobj=file) as unpacked:
            packed = file.read(2) == _GZIP
            file.seek(0)
            return verify_lines(unpacked if packed else file, str(path), proof, receipts)
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or "it is damaged"
        raise ConfigError(f"{path} cannot be read: {why}", fix="name an exported file") from None


def verify_lines(file: Lines, place: str, proof: Proof, receipts: Sequence[Presented] = ()) -> Report:
    """Verify the lines of an exported record; `place` is what messages call it.

    Raises:
        ConfigError: it is no export.
    """
    try:
        with ExitStack() as opened:
            beginning = read_first(file.readline(MOST_LINE))
            verifier = Verifier(beginning, receipts)
            verifier.expect(proof.outside(opened, beginning.log, verifier.tell))
            number = 1
            while line := file.readline(MOST_LINE):
                number += 1
                _take(line, number, place, proof, verifier)
            return verifier.report(needs_proof=True)
    except NoLine as error:
        raise ConfigError(f"{place} is no exported record: {error}", fix="name an exported file") from None


def _take(line: bytes, number: int, place: str, proof: Proof, verifier: Verifier) -> None:
    try:
        found = read_line(line)
    except NoLine as error:
        words = f"line {number} of {place} {error}"
        verifier.tell(Finding(verifier.head.seq, FindingKind.DAMAGED, words))
        return
    if isinstance(found, str):
        checkpoint = proof.open(found, place, verifier.tell)
        if checkpoint is not None:
            verifier.meet(checkpoint)
    else:
        verifier.feed(found)


def _read_all(stored: StoredChain, standing: Standing, verifier: Verifier) -> None:
    for words in stored.damage():
        verifier.tell(Finding(0, FindingKind.DAMAGED, f"the database is damaged: {words}"))
    for one in standing.sealed:
        verifier.skip(one.first, one.prev, Head(one.last, one.hash))
    for span in stored.spans(verifier.head.seq, standing.head.seq):
        for found in span:
            if found.link is not None:
                verifier.feed(found.link)
            if found.odd:
                what = FindingKind.DERIVED if found.link is not None else FindingKind.INSERTED
                verifier.tell(Finding(found.seq, what, found.odd))
    for finding in (*_odd_uses(stored, standing), *_ends(standing, verifier.head)):
        verifier.tell(finding)


def _odd_uses(stored: StoredChain, standing: Standing) -> Iterator[Finding]:
    for seq, words in stored.odd_uses(standing.beginning.seq, standing.head.seq):
        yield Finding(seq, FindingKind.DERIVED, words)


def _ends(standing: Standing, head: Head) -> Iterator[Finding]:
    """Compare where the chain ends with where the store says it does, and what is around it."""
    said, beginning = standing.head, standing.beginning
    if head.seq < said.seq:
        words = f"the chain ends at entry {head.seq}, and the store says at {said.seq}"
        yield Finding(said.seq, FindingKind.CUT, words)
    elif head.hash != said.hash:
        yield Finding(
            head.seq, FindingKind.EDITED, "the hash of the last entry is not the one that the store says"
        )
    if standing.beyond is not None:
        words = f"entry {standing.beyond} is beyond the end of the chain, which is {said.seq}"
        yield Finding(standing.beyond, FindingKind.INSERTED, words)
    if standing.signed > said.seq:
        words = f"the chain ends at entry {said.seq}, and the store has a checkpoint of {standing.signed}"
        yield Finding(standing.signed, FindingKind.CUT, words)
    if standing.before != beginning.before:
        words = f"{beginning.before} entries were there before the chain, and {standing.before} are now"
        yield Finding(beginning.seq, FindingKind.MISSING, words)
    if standing.chains != 1:
        yield Finding(0, FindingKind.INSERTED, f"the store says of {standing.chains} chains that it has them")


def _inside(stored: StoredChain, standing: Standing, proof: Proof, tell: Tell) -> Iterator[Checkpoint]:
    for kept in stored.checkpoints(standing.head.seq):
        found = proof.open(kept.note, "the store", tell)
        if found is None:
            continue
        if (found.seq, found.hash, found.at) != (kept.seq, kept.hash, kept.at):
            words = f"the columns of checkpoint {kept.seq} do not say what was signed"
            tell(Finding(kept.seq, FindingKind.DERIVED, words))
        elif found.log != standing.beginning.log:
            tell(Finding(kept.seq, FindingKind.FOREIGN, f"checkpoint {kept.seq} is of the log {found.log}"))
        else:
            yield found


def _unreadable(error: Unreadable) -> Report:
    finding = Finding(0, FindingKind.DAMAGED, f"the chain cannot be read: {error}")
    nowhere = Beginning("", 0, 0, b"")
    return Report(nowhere, Head(0, b""), 0, 0, 0, 0, 0, 0, 1, (finding,))


def _lines(file: IO[bytes], size: int) -> Iterator[str]:
    while file.tell() < size and (line := file.readline(MOST_LINE)):
        yield line.decode("utf-8", "replace")


def _is_of(note: str, log: str) -> bool:
    return note.startswith(f"coatcheck/{log}\n")


def _said(why: str) -> str:
    return why if why.startswith(("is ", "has ", "was ")) else f"cannot be proven: {why}"
