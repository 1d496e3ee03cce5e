"""How long a record of many calls takes to be searched and exported: `python -m bench.records`.

Fills a store with calls that look like those of a year, straight into its tables and with hashes that are no
chain; then asks each question of `coatcheck logs` twice, as its first and as a later reader, exports calls as
each format, tells what a credential touched, and looks at the activity of the last weeks. Prints the figures;
nothing passes or fails by a time.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from bench.machine import Others
from bench.programs import BUILD
from coatcheck.core.activity import Ranking, Series, Step
from coatcheck.model.chain import Checkpoint
from coatcheck.model.reading import RadiusFilter
from coatcheck.model.record import Outcome, RecordFilter, Verdict
from coatcheck.operations.activity import Activity
from coatcheck.operations.exporting import ExportFormat, Exports
from coatcheck.store.engines.database import Database
from coatcheck.store.opening import open_database, open_to_read
from coatcheck.store.records.activity import StoredCounting
from coatcheck.store.records.reading import LOOKED, look_back
from coatcheck.store.records.whole import StoredReading

CALLS: Final = 10_000_000
BATCH: Final = 250_000
BEGAN: Final = 1_760_000_000
"""Seconds since 1970 of the first call; each of the others is a second after the one before."""
LONGEST_CALL: Final = 1_800.0
EXPORTED: Final = 200_000
"""Lines that an export is measured by."""

_TIME: Final = "strftime('%Y-%m-%dT%H:%M:%SZ', {}, 'unixepoch')"
_ID: Final = "substr(h,1,8)||'-'||substr(h,9,4)||'-'||substr(h,13,4)||'-'||substr(h,17,4)||'-'||substr(h,21)"
_CALL: Final = f"""
with recursive k(n) as (select :first union all select n + 1 from k where n < :last),
r(n, r, h) as materialized (select n, abs(random()), lower(hex(randomblob(16))) from k)
insert into fresh select n, r, unhex(h), {_ID}, 1000000 * (:began + n), {_TIME.format(":began + n")},
  NAMES,
  case when r % 200 = 0 then 'denied' when r % 301 = 0 then 'refused' else 'allowed' end,
  case when r % 301 = 0 then 'revoked' else 'role dev may read' end, '10.0.' || (r % 200) || '.7',
  case when r % 200 = 0 or r % 301 = 0 then 'denied' when r % 100 = 3 then 'tool_error'
    when r % 1000 = 4 then 'timeout' else 'ok' end,
  CREDENTIAL from r"""
_FRESH: Final = """
create temp table fresh(n, r, id, name, at, time, subject, grant_id, label, server, tool, decision, reason,
  ip, outcome, credential, version);"""
_RECORDS: Final = """
insert into record(position, id, at, subject, grant_id, grant_label, route, server, method, tool, decision,
  rule, reason, client_ip, client_name, client_version, arguments, repeats, stored, hash)
select 2 * n - 1, id, at, subject, grant_id, label, '/mcp', server, 'tools/call', tool, decision,
  '/acl/roles/dev/1', reason, ip, 'claude-code', '2.1.0', '{"query":14,"limit":3}', 1,
  cast('{"v":1,"record":{"id":"' || name || '","at":"' || time || '","subject":"' || subject ||
  '","grant_id":"' || grant_id || '","grant_label":"' || label || '","route":"/mcp","server":"' || server ||
  '","method":"tools/call","tool":"' || tool || '","decision":"' || decision ||
  '","rule":"/acl/roles/dev/1","reason":"' || reason || '","client_ip":"' || ip ||
  '","client_name":"claude-code","client_version":"2.1.0","arguments":"{\\"query\\":14,\\"limit\\":3}",' ||
  '"repeats":1,"request_id":"' || n || '","replica":"host","roles":["dev"],"policy":"acl",' ||
  '"policy_version":"0123456789ab","credentials":["' || credential || '@' || version ||
  '"],"argument_prints":"{\\"/query\\":\\"0123456789abcdef\\",\\"/limit\\":\\"0123456789abcdef\\"}",' ||
  '"argument_values":""}}' as blob),
  randomblob(32) from fresh"""
_SETTLEMENTS: Final = """
insert into settlement(sequence, position, at, outcome, seconds, detail, stored, hash)
select 2 * n, 2 * n - 1, at, outcome, 0.25, '',
  cast('{"v":1,"of":' || (2 * n - 1) || ',"settlement":{"record_id":"' || name || '","at":"' || time ||
  '","outcome":"' || outcome || '","seconds":0.25,"detail":"","credentials":[' ||
  case when decision = 'allowed' then '"' || credential || '@' || version || '"' else '' end ||
  '],"upstream_status":200,"request_bytes":240,"answer_bytes":1210,"upstream_seconds":0.24}}' as blob),
  randomblob(32) from fresh"""
_USES: Final = (
    "insert into used(credential, position, version) select credential, 2 * n - 1, version from fresh"
    " where decision = 'allowed'"
)


@dataclass(frozen=True)
class Made:
    """What calls are of, as SQL over a random number `r`; `first` is run before that.

    `began` is the second before the first call.
    """

    subject: str = "'user' || (r % 2000)"
    grant: str = "printf('grant%09d', r % 3000)"
    label: str = "'laptop of ' || (r % 3000)"
    server: str = "case when r % 1000000 = 7 then 'rare' else 'server' || (r / 7 % 20) end"
    tool: str = "'tool' || (r / 140 % 200)"
    credential: str = "'credential' || (r / 7 % 20)"
    version: str = "1 + n / 1000000"
    first: str = ""
    began: int = BEGAN

    @property
    def statement(self) -> str:
        """What makes calls `:first` to `:last`."""
        names = f"{self.subject}, {self.grant}, {self.label}, {self.server}, {self.tool}"
        return _CALL.replace("NAMES", names).replace("CREDENTIAL", f"{self.credential}, {self.version}")


def fill(state: Path, calls: int) -> None:
    """Make a store with so many calls; two entries of the chain each."""
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    open_database(state, None).close()
    pour(state, calls)


def pour(state: Path, calls: int, made: Made = Made()) -> None:
    """Put so many calls behind what a store has."""
    filling = sqlite3.connect(state / "coatcheck.sqlite3", isolation_level=None)
    filling.create_function("unhex", 1, bytes.fromhex, deterministic=True)
    filling.executescript(
        f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-500000; {_FRESH} {made.first}"
    )
    after = (filling.execute("select seq from chain").fetchone()[0] + 1) // 2
    last = after + calls
    wanted = "type = 'index' and sql is not null and tbl_name in ('record', 'settlement', 'used')"
    indexes = filling.execute(f"select name, sql from sqlite_master where {wanted}").fetchall()
    for name, _ in indexes:
        filling.execute(f"drop index {name}")
    for first in range(after + 1, last + 1, BATCH):
        filling.execute("begin")
        filling.execute("delete from fresh")
        span = {"first": first, "last": min(first + BATCH - 1, last), "began": made.began - after}
        filling.execute(made.statement, span)
        for statement in (_RECORDS, _SETTLEMENTS, _USES):
            filling.execute(statement)
        filling.execute("commit")
    for _, statement in indexes:
        filling.execute(statement)
    filling.execute(
        "update chain set seq = ?, hash = (select hash from settlement where sequence = ?)", (2 * last,) * 2
    )
    filling.execute("PRAGMA journal_mode=WAL")
    filling.close()


def at(call: int) -> datetime:
    """Return when a call was made."""
    return datetime.fromtimestamp(BEGAN + call, UTC)


def questions(calls: int) -> dict[str, RecordFilter]:
    """Return what is asked: what many calls answer, what few do, and what none does."""
    hour = at(calls - 3600)
    return {
        "the newest": RecordFilter(),
        "of a grant, by id": RecordFilter(grant="grant000000007"),
        "of a grant, by an old label": RecordFilter(grant="laptop of 7"),
        "of a grant that there is not": RecordFilter(grant="nobody"),
        "of a subject": RecordFilter(subject="user5"),
        "of a server": RecordFilter(server="server3"),
        "of a server with 10 calls": RecordFilter(server="rare"),
        "of a tool": RecordFilter(tool="tool7"),
        "of a tool that there is not": RecordFilter(tool="nothing"),
        "of a tool of a server": RecordFilter(server="server3", tool="tool7"),
        "of a tool of another server": RecordFilter(server="rare", tool="tool7"),
        "of a grant, of a tool": RecordFilter(grant="grant000000007", tool="tool7"),
        "of the last hour": RecordFilter(since=hour),
        "of the second half": RecordFilter(since=at(calls // 2)),
        "of the first half": RecordFilter(until=at(calls // 2)),
        "of 100 seconds": RecordFilter(since=at(calls // 3), until=at(calls // 3 + 100)),
        "of 1 % of the time, of a grant": RecordFilter(
            since=at(calls // 3), until=at(calls // 3 + calls // 100), grant="grant000000007"
        ),
        "of the last tenth, of a subject": RecordFilter(since=at(calls - calls // 10), subject="user5"),
        "that went wrong": RecordFilter(errors=True),
        "that went wrong, of a server": RecordFilter(errors=True, server="server3"),
        "that went wrong, of a server with 10": RecordFilter(errors=True, server="rare"),
        "that timed out": RecordFilter(outcome=Outcome.TIMEOUT),
        "that timed out, of a server with 10": RecordFilter(outcome=Outcome.TIMEOUT, server="rare"),
        "denied": RecordFilter(decision=Verdict.DENIED),
        "by a grant that ended": RecordFilter(knocking=True),
        "with a credential": RecordFilter(credential="credential3"),
        "with a version of it": RecordFilter(credential="credential3", version=2),
        "with its last version": RecordFilter(credential="credential3", version=calls // 1_000_000),
        "with a credential, of a subject": RecordFilter(credential="credential3", subject="user5"),
        "with a credential, of another server": RecordFilter(credential="credential3", server="rare"),
        "with a credential that there is not": RecordFilter(credential="nothing"),
        "from an address": RecordFilter(client_ip="10.0.5.7"),
        "from an address that there is not": RecordFilter(client_ip="192.0.2.1"),
        "from such an address, in the last hour": RecordFilter(client_ip="192.0.2.1", since=hour),
        "by a rule that there is not": RecordFilter(rule="/acl/nothing"),
        "by a method that there is not": RecordFilter(method="nothing"),
    }


def ask(database: Database, calls: int) -> None:
    """Print how long each question takes: the first time, and the median of five more."""
    print(f"{'a page of 100 calls':40} {'found':>5} {'first ms':>9} {'again ms':>9}")
    for words, wanted in questions(calls).items():
        times = []
        for _ in range(6):
            began = time.perf_counter()
            looked = database.read_now(lambda reading: look_back(reading, wanted))  # noqa: B023 - at once
            times.append(1000 * (time.perf_counter() - began))
        back = f"  in the newest {LOOKED // 2:,}" if looked.before is not None else ""
        print(
            f"{words:40} {len(looked.entries):5} {times[0]:9.1f} {statistics.median(times[1:]):9.1f}{back}",
            flush=True,
        )


async def export(exports: Exports, words: str, wanted: RecordFilter, form: ExportFormat) -> None:
    """Print how fast an export streams, and how much memory it took more than before it."""
    before = most_memory_mib()
    began, lines, size = time.perf_counter(), 0, 0
    async for piece in exports.pieces(wanted, form):
        lines += piece.count(b"\n")
        size += len(piece)
        if lines >= EXPORTED:
            break
    seconds = time.perf_counter() - began
    more = most_memory_mib() - before
    print(
        f"export as {form}, {words}: {lines} lines in {seconds:.1f} s, {lines / seconds:,.0f} a second,"
        f" {size / seconds / 1e6:.0f} MB/s; {more:.0f} MiB more memory at the most",
        flush=True,
    )


def most_memory_mib() -> float:
    """Return the most memory that this program had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def read(database: Database, calls: int) -> None:
    """Print what exports and the blast radius take."""
    reading = StoredReading(database)
    exports = Exports(reading, _unsigned, lambda _: None)  # the hashes are random
    for form in ExportFormat:
        await export(exports, "all of it", RecordFilter(), form)
    await export(exports, "of a grant", RecordFilter(grant="grant000000007"), ExportFormat.JSONL)
    late = RecordFilter(grant="grant000000007", since=at(calls - calls // 100))
    await export(exports, "of a grant, of the last hundredth", late, ExportFormat.CSV)
    for words, of in {
        "a grant": RadiusFilter(grant="grant000000007"),
        "a version of a credential": RadiusFilter(credential="credential3", version=1),
        "a credential": RadiusFilter(credential="credential3"),
    }.items():
        began = time.perf_counter()
        radius = await reading.radius(of)
        counted = radius.whole.count if radius.whole else 0
        print(f"blast radius of {words}: {counted} calls in {time.perf_counter() - began:.1f} s", flush=True)


class LastMoment:
    """A clock that stands at the last call."""

    def __init__(self, calls: int) -> None:
        self._at = at(calls)

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return time.monotonic()


async def look(database: Database, calls: int) -> None:
    """Print how long activity takes to be counted, and then to be told again."""
    clock = LastMoment(calls)
    activity = Activity(StoredCounting(database), clock, LONGEST_CALL)

    def since(days: int) -> datetime:
        return clock.now() - timedelta(days=days)

    looks: dict[str, Callable[[], Awaitable[Series | Ranking]]] = {
        "a day, by 5 minutes": lambda: activity.over(since(1), step=Step.FIVE_MINUTES),
        "7 days, by hour": lambda: activity.over(since(7)),
        "7 days, by server": lambda: activity.servers(since(7)),
        "7 days, by caller": lambda: activity.callers(since(7)),
        "31 days, by day": lambda: activity.over(since(31), step=Step.DAY),
        "31 days of a grant, by day": lambda: activity.over(since(31), step=Step.DAY, grant="grant000000007"),
    }
    for words, ask_it in looks.items():
        began = time.perf_counter()
        found = await ask_it()
        first = time.perf_counter() - began
        how_far = clock.now() - found.back_to
        while not found.complete:
            await asyncio.sleep(0.1)
            found = await ask_it()
        whole, began = time.perf_counter() - began, time.perf_counter()
        await ask_it()
        again = 1000 * (time.perf_counter() - began)
        print(
            f"activity of {words}: {1000 * first:.0f} ms for the last {how_far / timedelta(days=1):.1f} days,"
            f" all of it after {whole:.1f} s, again {again:.0f} ms; {most_memory_mib():.0f} MiB",
            flush=True,
        )
    await activity.close()


async def _unsigned() -> Checkpoint:
    return Checkpoint("", 0, b"", at(0), "")


def main() -> int:
    """Read the command line, fill a store unless there is one, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--state", type=Path, default=BUILD / "records", help="where the store is made")
    parser.add_argument(
        "--keep", action="store_true", help="use the store of the last run, and leave it there"
    )
    chosen = parser.parse_args()
    others, began = Others(), time.monotonic()
    if not (chosen.keep and (chosen.state / "coatcheck.sqlite3").exists()):
        fill(chosen.state, chosen.calls)
        print(f"{chosen.calls} calls written in {time.monotonic() - began:.0f} s", flush=True)
    database = open_to_read(chosen.state, None)
    try:
        ask(database, chosen.calls)
        asyncio.run(read(database, chosen.calls))
        asyncio.run(look(database, chosen.calls))
    finally:
        database.close()
    size = (chosen.state / "coatcheck.sqlite3").stat().st_size / 1e9
    print(f"the database has {size:.1f} GB; meanwhile other programs used {others.text()}")
    if not chosen.keep:
        shutil.rmtree(chosen.state)
    return 0


if __name__ == "__main__":
    sys.exit(main())
