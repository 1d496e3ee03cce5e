"""Writes what a run found as a page that reads well in a terminal too: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.rows import (
    COATCHECK,
    DIRECT,
    NGINX,
    RULED,
    UNSYNCED,
    UNWAITED,
    Measured,
    Place,
    Row,
    added_us,
    list_of_cases,
    rows,
    times,
)
from bench.tables import NOTHING, table
from bench.words import FOOT, HEAD, SECTIONS

COLUMNS = ("callers", "target", "calls/s", "p50 µs", "p99 µs", "CPU µs a call", "memory MiB")
COLUMNS_BESIDE = (
    "callers",
    "p50 added to direct",
    "p50 added to nginx",
    "p50 beside nginx",
    "CPU beside nginx",
)
COLUMNS_RULED = ("callers", "p50 added to coatcheck", "CPU beside coatcheck")
COLUMNS_DECIDED = ("one decision", "CPU µs", "decisions/s")
COLUMNS_DURABLE = ("callers", "p50 added to unsynced", "p50 added to unwaited", "calls/s beside unwaited")


@dataclass(frozen=True)
class Report:
    """Everything that a run found. `stated` and `start` are shown as they are, by name."""

    command: str
    stated: Mapping[str, str]
    start: Mapping[str, str]
    measured: Measured
    nginx_missing: str | None = None
    """How to install nginx, where there is none."""
    decided: Mapping[str, float] = field(default_factory=dict)
    """Microseconds of one decision, by the kind of policy."""


def page(report: Report) -> str:
    """Return the whole page, in Markdown."""
    lines = [
        HEAD.format(command=report.command),
        *table(("", ""), report.stated.items()),
    ]
    for case in list_of_cases(report.measured):
        lines += section(report, case)
    lines += ["", "## Start and memory", "", *table(("", ""), report.start.items()), ""]
    return "\n".join([*lines, FOOT.format(load=load_text(report.measured))])


def section(report: Report, case: str) -> Iterator[str]:
    """Yield one case: its rows, and Coatcheck beside the others where there are any."""
    found = [row for row in rows(report.measured) if row.case == case]
    yield from ("", SECTIONS[case], "")
    yield from table(COLUMNS, [line for row in found for line in lines_of(row, report.nginx_missing)])
    ours = [Place(COATCHECK, case, callers) for callers in sorted({row.callers for row in found})]
    targets = {row.target for row in found}
    if DIRECT in targets:
        yield from ("", *table(COLUMNS_BESIDE, beside(report.measured, ours)))
    if UNWAITED in targets:
        yield from ("", *table(COLUMNS_DURABLE, beside_lax(report.measured, ours)))
    if RULED in targets:
        yield from ("", *table(COLUMNS_RULED, beside_bare(report.measured, ours)))
        yield from ("", *table(COLUMNS_DECIDED, map(line_of_decision, report.decided.items())))


def lines_of(row: Row, nginx_missing: str | None) -> Iterator[Sequence[str]]:
    """Yield the line of a row, and after a direct call over HTTP one for an nginx that is missing."""
    figures = (row.rps, row.p50_us, row.p99_us)
    cells = [*(f"{figure:,.0f}" for figure in figures), f"{row.cpu_us_per_call:,.1f}", f"{row.rss_mib:,.0f}"]
    yield [str(row.callers), row.target, *cells]
    if nginx_missing and row.target == DIRECT and row.case != "stdio":
        yield [str(row.callers), f"nginx is missing: `{nginx_missing}`", *[NOTHING] * len(cells)]


def beside(measured: Measured, places: Iterable[Place]) -> Iterator[Sequence[str]]:
    """Yield what Coatcheck adds and costs beside the others, each pair taken from the same round."""
    for ours in places:
        yield (
            str(ours.callers),
            shown(added_us(measured, ours, DIRECT), "{:,.0f} µs"),
            shown(added_us(measured, ours, NGINX), "{:,.0f} µs"),
            shown(times(measured, ours, NGINX, lambda burst: burst.p50_us), "{:.1f} times"),
            shown(times(measured, ours, NGINX, lambda burst: burst.cpu_us_per_call), "{:.1f} times"),
        )


def beside_lax(measured: Measured, places: Iterable[Place]) -> Iterator[Sequence[str]]:
    """Yield what durable records add, and what they leave of the capacity."""
    for ours in places:
        yield (
            str(ours.callers),
            shown(added_us(measured, ours, UNSYNCED), "{:,.0f} µs"),
            shown(added_us(measured, ours, UNWAITED), "{:,.0f} µs"),
            shown(times(measured, ours, UNWAITED, lambda burst: burst.rps), "{:.2f} times"),
        )


def beside_bare(measured: Measured, places: Iterable[Place]) -> Iterator[Sequence[str]]:
    """Yield what a policy adds to calls."""
    for bare in places:
        ruled = bare._replace(target=RULED)
        yield (
            str(bare.callers),
            shown(added_us(measured, ruled, COATCHECK), "{:,.0f} µs"),
            shown(times(measured, ruled, COATCHECK, lambda burst: burst.cpu_us_per_call), "{:.2f} times"),
        )


def line_of_decision(kind: tuple[str, float]) -> Sequence[str]:
    name, took = kind
    return name, f"{took:,.1f}", f"{1e6 / took:,.0f}"


def shown(figure: float | None, form: str) -> str:
    return NOTHING if figure is None else form.format(figure)


def load_text(measured: Measured) -> str:
    """Say what the load itself cost where it was busiest: were that a core, the load would be measured."""
    share, cost, place = max(
        (burst.rps * burst.load_us / 1e6, burst.load_us, place)
        for place, bursts in measured.items()
        for burst in bursts
    )
    where = f"{place.target}, {place.case}, {place.callers} callers"
    return f"{share:.0%} of one core ({cost:.1f} µs a call: {where})"
