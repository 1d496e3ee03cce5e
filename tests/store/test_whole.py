"""The ledger read as a whole: filters that list and export share, stretches, exports that prove themselves."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from coatcheck.core.recording.exported import read_first, read_line
from coatcheck.core.recording.notes import SigningKey
from coatcheck.core.recording.verifying import Verifier
from coatcheck.model.chain import Checkpoint, Link
from coatcheck.model.reading import RadiusFilter
from coatcheck.model.record import Outcome, RecordEntry, RecordFilter, Verdict
from coatcheck.operations.exporting import ExportFormat, Exports
from coatcheck.store.engines.database import Database
from coatcheck.store.records import radius
from coatcheck.store.records.checkpoints import StoredCheckpoints
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.matching import matches
from coatcheck.store.records.whole import StoredReading
from ledgers import START, TickingClock, a_record, its_settlement

UNDER_WAY = 79

FILTERS = [
    RecordFilter(),
    RecordFilter(grant="file-1"),
    RecordFilter(grant="laptop 1"),
    RecordFilter(grant="nobody"),
    RecordFilter(tool="tool2"),
    RecordFilter(server="server1", tool="tool2"),
    RecordFilter(subject="user1", errors=True),
    RecordFilter(errors=True),
    RecordFilter(knocking=True),
    RecordFilter(outcome=Outcome.TIMEOUT),
    RecordFilter(outcome=Outcome.OK, server="server0"),
    RecordFilter(credential="alpha"),
    RecordFilter(credential="alpha", version=2),
    RecordFilter(credential="alpha", version=9),
    RecordFilter(credential="alpha", subject="user1"),
    RecordFilter(credential="beta", errors=True),
    RecordFilter(rule="/acl/2"),
    RecordFilter(client_ip="10.0.0.1"),
    RecordFilter(method="tools/list"),
    RecordFilter(since=START + timedelta(seconds=20)),
    RecordFilter(until=START + timedelta(seconds=20)),
    RecordFilter(since=START + timedelta(seconds=10), until=START + timedelta(seconds=20), server="server1"),
    RecordFilter(decision=Verdict.DENIED),
    RecordFilter(until=START),
    RecordFilter(failed=True),
    RecordFilter(not_allowed=True),
    RecordFilter(not_allowed=True, subject="user1"),
    RecordFilter(client="nobody"),
    RecordFilter(text="LAPTOP 1"),
    RecordFilter(text="user1", failed=True),
]


@pytest.fixture
async def ledger(any_database: Database) -> AsyncIterator[StoredLedger]:
    ledger = await StoredLedger.open(any_database, TickingClock())
    waiting: list[Any] = []
    for number in range(40):
        at = START + timedelta(seconds=number)
        verdict = [Verdict.ALLOWED, Verdict.ALLOWED, Verdict.DENIED, Verdict.REFUSED][number % 4]
        record = a_record(
            at=at,
            subject=f"user{number % 3}",
            grant_id=f"file-{number % 3}",
            grant_label=f"laptop {number % 3}",
            server=f"server{number % 2}",
            tool=f"tool{number % 5}",
            method="tools/list" if number % 7 == 0 else "tools/call",
            decision=verdict,
            reason="revoked" if verdict is Verdict.REFUSED else "a rule",
            rule=f"/acl/{number % 4}",
            client_ip=f"10.0.0.{number % 6}",
            credentials=("alpha@2",) if number % 4 == 1 else (),
        )
        if number == 39:
            waiting.append(ledger.record(record))  # still under way
            continue
        uses = {0: ("alpha@1",), 1: ("alpha@2", "beta@1")}.get(number % 4, ())
        outcome = [Outcome.OK, Outcome.TIMEOUT, Outcome.DENIED, Outcome.DENIED][number % 4]
        if number == 5:
            uses, outcome = (), Outcome.UNKNOWN  # then what it had in reach counts
        waiting.append(ledger.record_settled(record, its_settlement(record, outcome, credentials=uses)))
    await asyncio.gather(*waiting)
    yield ledger
    await ledger.close()


async def test_the_database_answers_as_the_rules_say(ledger: StoredLedger) -> None:
    everything = await ledger.list(RecordFilter())
    assert len(everything) == 40
    for wanted in FILTERS:
        right = [entry.position for entry in everything if matches(entry, wanted)]
        assert [entry.position for entry in await ledger.list(wanted)] == right, wanted
        fewer = await ledger.list(replace(wanted, limit=3))
        assert [entry.position for entry in fewer] == right[-3:], wanted


async def test_the_filters_above_leave_something_and_leave_something_out(ledger: StoredLedger) -> None:
    counts = [len(await ledger.list(wanted)) for wanted in FILTERS]
    assert counts[0] == 40
    assert sum(0 < count < 40 for count in counts) == len(FILTERS) - 5


async def test_a_text_is_looked_for_by_one_rule_in_lists_exports_and_each_database(
    any_database: Database,
) -> None:
    """Letters of ASCII are the same in either case; all others are as they are, whatever the locale."""
    ledger = await StoredLedger.open(any_database, TickingClock())
    labels = ["ÄRGER", "ärger", "\u212aelvin", "kelvin", "İstanbul", "istanbul", "Ψ"]
    for label in labels:
        record = a_record(grant_label=label)
        await ledger.record_settled(record, its_settlement(record))
    signing = Signing(any_database, ledger.log)
    exports = Exports(StoredReading(any_database), signing.now)
    found = {
        "RGER": ["ÄRGER", "ärger"],
        "ä": ["ärger"],
        "Ä": ["ÄRGER"],
        "KELVIN": ["kelvin"],
        "ELVIN": ["\u212aelvin", "kelvin"],
        "İ": ["İstanbul"],
        "STANBUL": ["İstanbul", "istanbul"],
        "ψ": [],
        "Ψ": ["Ψ"],
    }
    for text, right in found.items():
        wanted = RecordFilter(text=text)
        assert [entry.record.grant_label for entry in await ledger.list(wanted)] == right, text
        rows = csv.DictReader(io.StringIO((await exported(exports, wanted, ExportFormat.CSV)).decode()))
        assert [row["grant_label"] for row in rows] == right, text
        links, _ = verified(await exported(exports, wanted, ExportFormat.JSONL), signing.key)
        told = [json.loads(link.stored)["record"] for link in links if link.stored and link.kind == "record"]
        assert [record["grant_label"] for record in told] == right, text
    await ledger.close()


class Signing:
    """Signs where the chain of a database stands, as the gateway does."""

    def __init__(self, database: Database, log: str) -> None:
        self.key = SigningKey(log, bytes(range(32)))
        self._store = StoredCheckpoints(database)

    async def now(self) -> Checkpoint:
        made = self.key.sign(await self._store.where(), START)
        await self._store.add(made)
        return made


async def exported(exports: Exports, wanted: RecordFilter, form: ExportFormat) -> bytes:
    return b"".join([piece async for piece in exports.pieces(wanted, form)])


def verified(text: bytes, key: SigningKey) -> tuple[list[Link], Any]:
    first, *lines = text.splitlines(keepends=True)
    verifier = Verifier(read_first(first))
    links = []
    for line in lines:
        found = read_line(line)
        if isinstance(found, str):
            verifier.meet(key.public.open(found))
        else:
            links.append(found)
            verifier.feed(found)
    return links, verifier.report(needs_proof=True)


async def test_an_export_proves_itself(ledger: StoredLedger, any_database: Database) -> None:
    signing = Signing(any_database, ledger.log)
    await signing.now()
    exports = Exports(StoredReading(any_database), signing.now)
    for wanted in FILTERS:
        text = await exported(exports, wanted, ExportFormat.JSONL)
        links, report = verified(text, signing.key)
        assert (report.sound, report.unproven) == (True, 0), (wanted, report.findings)
        right = {entry.position for entry in await ledger.list(wanted)}
        told = [link for link in links if link.stored]
        assert {link.seq for link in told if link.kind == "record"} == right, wanted
        settled = {json.loads(link.stored)["of"] for link in told if link.kind == "settlement"}
        assert settled == right - {UNDER_WAY}, wanted


async def test_an_export_that_was_edited_is_found(ledger: StoredLedger, any_database: Database) -> None:
    signing = Signing(any_database, ledger.log)
    exports = Exports(StoredReading(any_database), signing.now)
    text = await exported(exports, RecordFilter(server="server1"), ExportFormat.JSONL)
    assert verified(text, signing.key)[1].sound
    assert not verified(text.replace(b"user1", b"user2", 1), signing.key)[1].sound
    lines = text.splitlines(keepends=True)
    assert not verified(b"".join(lines[:9] + lines[10:]), signing.key)[1].sound


async def test_csv_has_a_row_for_each_call_and_no_formulas(
    ledger: StoredLedger, any_database: Database
) -> None:
    record = a_record(tool="=cmd|' /C calc'!A0", at=START + timedelta(minutes=5))
    receipt = await ledger.record_settled(record, its_settlement(record))
    exports = Exports(StoredReading(any_database), Signing(any_database, ledger.log).now)
    text = await exported(exports, RecordFilter(), ExportFormat.CSV)
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert len(rows) == 41
    assert (rows[-1]["seq"], rows[-1]["outcome"]) == (str(UNDER_WAY), "")
    assert (rows[-2]["seq"], rows[-2]["hash"]) == (str(receipt.seq), receipt.hash.hex())
    assert rows[-2]["tool"].startswith("'=cmd")
    assert rows[1]["credentials"] == "alpha@2 beta@1"


async def test_cef_has_a_line_for_each_call_with_number_and_hash(
    ledger: StoredLedger, any_database: Database
) -> None:
    exports = Exports(StoredReading(any_database), Signing(any_database, ledger.log).now)
    lines = (await exported(exports, RecordFilter(grant="file-1"), ExportFormat.CEF)).splitlines()
    assert len(lines) == 13
    assert all(line.startswith(b"CEF:0|Coatcheck|") for line in lines)
    assert all(b" externalId=" in line and b" fileHash=" in line for line in lines)


async def test_a_blast_radius_counts_what_was_used(ledger: StoredLedger, any_database: Database) -> None:
    reading = StoredReading(any_database)
    entries = await ledger.list(RecordFilter(credential="alpha"))
    found = await reading.radius(RadiusFilter(credential="alpha"))
    assert found.whole is not None
    assert found.whole.count == len(entries) == 20
    assert sum(found.whole.outcomes.values()) == 20
    assert (found.whole.first, found.whole.last) == (entries[0].record.at, entries[-1].record.at)
    assert {one.name for one in found.credentials} == {"alpha@1", "alpha@2"}
    assert {one.name: one.count for one in found.servers} == {"server0": 10, "server1": 10}
    second = await reading.radius(RadiusFilter(credential="alpha", version=2))
    assert second.whole is not None
    assert second.whole.outcomes == {"timeout": 9, "unknown": 1}
    nothing = await reading.radius(RadiusFilter(credential="alpha", version=7))
    assert (nothing.whole, nothing.servers) == (None, ())


@pytest.mark.parametrize("part", [1, 3, 1_000])
@pytest.mark.parametrize("since", [None, START + timedelta(seconds=10)])
async def test_a_blast_radius_is_the_same_in_however_many_parts_it_is_read(
    ledger: StoredLedger,
    any_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    part: int,
    since: datetime | None,
) -> None:
    monkeypatch.setattr(radius, "PART", part)
    reading = StoredReading(any_database)
    for of, wanted in (
        (RadiusFilter(credential="alpha"), RecordFilter(credential="alpha")),
        (RadiusFilter(credential="alpha", version=2), RecordFilter(credential="alpha", version=2)),
        (RadiusFilter(grant="file-1"), RecordFilter(grant="file-1")),
    ):
        entries = await ledger.list(replace(wanted, since=since))
        found = await reading.radius(replace(of, since=since))
        assert entries
        assert found.whole is not None
        by_tool: dict[str, list[RecordEntry]] = {}
        for entry in entries:
            by_tool.setdefault(f"{entry.record.server} {entry.record.tool}", []).append(entry)
        assert [(one.name, one.count, one.first, one.last, one.outcomes) for one in found.tools] == [
            (name, len(some), some[0].record.at, some[-1].record.at, ways_of(some))
            for name, some in sorted(by_tool.items(), key=lambda item: (-len(item[1]), item[0]))
        ]
        assert found.whole.outcomes == ways_of(entries)
        assert sum(one.count for one in found.addresses) == len(entries)
        assert [one.name for one in found.clients] == sorted({client_of(entry) for entry in entries})


def client_of(entry: RecordEntry) -> str:
    return f"{entry.record.client_name} {entry.record.client_version}".strip()


def ways_of(entries: Sequence[RecordEntry]) -> dict[str, int]:
    ended = [one.settlement.outcome.value if one.settlement is not None else "" for one in entries]
    return dict(sorted(Counter(ended).items()))


async def test_a_blast_radius_tells_the_names_with_the_most_calls_and_counts_the_others(
    ledger: StoredLedger, any_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await StoredReading(any_database).radius(RadiusFilter(credential="alpha"))
    assert (len(whole.tools), whole.left_out) == (10, 0)
    monkeypatch.setattr(radius, "MOST", 4)
    found = await StoredReading(any_database).radius(RadiusFilter(credential="alpha"))
    assert found.tools == whole.tools[:4]
    assert found.left_out == 6 + max(0, len(whole.addresses) - 4)


async def test_the_blast_radius_of_a_grant_counts_each_call_once(
    ledger: StoredLedger, any_database: Database
) -> None:
    found = await StoredReading(any_database).radius(RadiusFilter(grant="file-1"))
    entries = await ledger.list(RecordFilter(grant="file-1"))
    assert found.whole is not None
    assert found.whole.count == len(entries) == 13
    assert {one.name for one in found.subjects} == {"user1"}
    assert {one.name for one in found.credentials} == {"alpha@1", "alpha@2", "beta@1"}


async def test_what_a_crash_left_open_counts_as_used(any_database: Database) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    await ledger.record(a_record(credentials=("alpha@3",)))
    await ledger.close()
    again = await StoredLedger.open(any_database, TickingClock())
    await again.close()
    found = await StoredReading(any_database).radius(RadiusFilter(credential="alpha", version=3))
    assert found.whole is not None
    assert found.whole.outcomes == {"unknown": 1}
