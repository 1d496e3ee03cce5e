"""Makes the tables of a bundle anew from the entries in it, so that no row tells what no entry does."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from zipfile import ZipFile

from coatcheck.app.keeping.proof import MOST_LINE
from coatcheck.core.recording.calls import Calls
from coatcheck.core.recording.exported import NoLine, read_line
from coatcheck.core.recording.tables_of_evidence import ByGrant, change_in, tables_of_changes
from coatcheck.core.recording.tables_of_records import COLUMNS, plain_cell, row_of
from coatcheck.model.chain import Link, Report
from coatcheck.model.reading import Held
from coatcheck.model.record import Verdict
from coatcheck.operations.evidence import RECORD

_HASH: Final = COLUMNS.index("hash")
_OF_A_GRANT: Final = tuple(
    COLUMNS.index(name) for name in ("grant_id", "grant_label", "subject", "decision", "repeats")
)


class Retraced:
    """What came of it: `wrongs` are sentences, `older` counts calls from before the chain."""

    def __init__(self) -> None:
        self.wrongs: list[str] = []
        self.older = 0


def retraced(bundle: ZipFile, asked: Mapping[str, Any]) -> Retraced:
    """Compare every table with the entries; `asked` is what the manifest says of the times.

    Raises:
        ValueError: a table is not one, or a time is none.
        KeyError: a table is not there.
    """
    found = Retraced()
    by_grant, changes = ByGrant(), list[dict[str, Any]]()
    with _Table(bundle, "calls.csv") as calls, _Table(bundle, "refusals.csv") as refusals:
        for table in (calls, refusals):
            found.older += table.skip_older(by_grant)
        for held in _calls(bundle, Calls(_time(asked.get("from")), _time(asked.get("to"))), changes):
            record = held.entry.record
            by_grant.note(
                record.grant_id, record.grant_label, record.subject, record.decision.value, record.repeats
            )
            (calls if record.decision is Verdict.ALLOWED else refusals).expect(held)
        found.wrongs += [table.wrong() for table in (calls, refusals) if table.wrong()]
    due = {"by-grant.csv": by_grant.table(), **tables_of_changes(changes)}
    found.wrongs += [_wrong(name) for name, content in due.items() if bundle.read(name) != content]
    return found


def told_otherwise(bundle: ZipFile, report: Report) -> Iterator[str]:
    """Yield what the gateway found when it made the bundle, and where that is not what is found now."""
    told = json.loads(bundle.read("verify.json"))
    if not told.get("sound"):
        words = [*(str(one.get("words", "")) for one in told.get("findings", ())), *told.get("lacking", ())]
        yield f"the gateway found when it made this: {words[0] if words else 'that it is not sound'}"
    now = (report.beginning.seq + 1, report.head.seq, report.entries, report.left_out)
    if now != tuple(told.get(name) for name in ("first", "last", "entries", "left_out")):
        yield _wrong("verify.json")


class _Table:
    """Reads a table of calls row by row beside the calls that it should have."""

    def __init__(self, bundle: ZipFile, name: str) -> None:
        self._name = name
        self._file = io.TextIOWrapper(bundle.open(name), "utf-8", newline="")
        self._rows = csv.reader(self._file)
        self._next = self._read()
        self._differs = self._next != list(COLUMNS)

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *of: object) -> None:
        self._file.close()

    def skip_older(self, by_grant: ByGrant) -> int:
        """Count the rows of calls from before the chain, which come first and have no hash."""
        count = 0
        while (row := self._read()) is not None and len(row) == len(COLUMNS) and not row[_HASH]:
            id, label, subject, decision, repeats = (plain_cell(row[at]) for at in _OF_A_GRANT)
            by_grant.note(id, label, subject, decision, int(repeats))
            count += 1
        self._next = row
        return count

    def expect(self, held: Held) -> None:
        """Compare the next row with the call that it should tell of."""
        due = next(csv.reader(io.StringIO(row_of(held).decode("utf-8"), newline="")))
        self._differs = self._differs or self._next != due
        self._next = self._read()

    def wrong(self) -> str:
        """Return what is wrong, once every call was expected."""
        return _wrong(self._name) if self._differs or self._next is not None else ""

    def _read(self) -> list[str] | None:
        try:
            return next(self._rows, None)
        except csv.Error as error:
            raise ValueError(str(error)) from None


def _calls(bundle: ZipFile, calls: Calls, changes: list[dict[str, Any]]) -> Iterator[Held]:
    for link in _links(bundle):
        yield from calls.take(link)
        if (change := change_in(link)) is not None:
            changes.append(change)
    yield from calls.rest()


def _links(bundle: ZipFile) -> Iterator[Link]:
    """Yield the entries; a line that is none is found by whoever judges the chain."""
    with bundle.open(RECORD) as lines:
        lines.readline(MOST_LINE)
        while line := lines.readline(MOST_LINE):
            try:
                found = read_line(line)
            except NoLine:
                continue
            if not isinstance(found, str):
                yield found


def _wrong(name: str) -> str:
    return f"{name} does not tell what {RECORD} does"


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None
