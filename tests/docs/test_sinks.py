"""The page of sinks has every kind, option, default, field, metric and severity there is, and no others."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from coatcheck.admin.metrics import metrics_page
from coatcheck.core.copies.cef import cef_of
from coatcheck.core.copies.lines import CHANGE_FIELDS
from coatcheck.core.copies.severities import weight_of
from coatcheck.declared.sinks.options import COMMON, OPTIONS, Option
from coatcheck.declared.sinks.tables import read_sinks
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.sink import SinkKind, SinkStatus
from coatcheck.operations.tally import Tally
from doubles.copies import a_change_copy, a_copy

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "sinks.md").read_text(encoding="utf-8")
SECTIONS = {SinkKind.STDOUT: "`stdout` and `stderr`", SinkKind.STDERR: "`stdout` and `stderr`"}


def rows(heading: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    table = section.partition("| option |")[2].partition("\n\n")[0] or section.partition("\n|")[2]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def check(options: dict[str, Option], found: list[list[str]]) -> None:
    assert [row[0].strip("`") for row in found] == list(options)
    for row in found:
        option = options[row[0].strip("`")]
        if option.required:
            assert row[1] == "required"
        elif option.default is not None:
            assert (
                row[1]
                == f"`{str(option.default).lower() if isinstance(option.default, bool) else option.default}`"
            )


@pytest.mark.parametrize("kind", SinkKind)
def test_every_option_of_a_kind_is_in_its_table_with_its_default(kind: SinkKind) -> None:
    check(dict(OPTIONS[kind]), rows(SECTIONS.get(kind, f"`{kind}`")))


def test_the_common_options_and_the_kinds() -> None:
    found = rows("In the settings")
    check(dict(COMMON), found)
    assert re.findall(r"`(\w+)`", found[1][2]) == list(SinkKind)


@pytest.mark.parametrize("page", [PAGE, (DOCS / "how-to" / "siem.md").read_text(encoding="utf-8")])
def test_the_examples_load(page: str) -> None:
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        found, complaints = read_sinks(tomllib.loads(example)["sinks"], Path("/data"))
        assert found
        assert complaints == ()


def test_the_fields_of_a_change_are_told() -> None:
    told = next(row[1] for row in rows("Entries") if row[0] == "`change`").partition(", as in")[0]
    assert ("kind", "seq", *re.findall(r"`(\w+)`", told)) == CHANGE_FIELDS


def test_the_metrics_are_told() -> None:
    status = SinkStatus(
        name="x", kind=SinkKind.FILE, cursor=1, last=3, lag=2, delivered=1, failures=4, error="e"
    )
    page = metrics_page(Tally(), dict, lambda: [status])().decode()
    found = dict(re.findall(r'^(coatcheck_sink_\w+)\{sink="x"\} (\S+)$', page, re.MULTILINE))
    found = {name: value for name, value in found.items() if not name.endswith("_created")}
    assert found == {"coatcheck_sink_lag": "2.0", "coatcheck_sink_failing": "1.0", "coatcheck_sink_delivered_total": "1.0", "coatcheck_sink_failures_total": "4.0"}  # fmt: skip
    assert set(re.findall(r"`(coatcheck_sink_\w+)`", PAGE)) == set(found)


def test_the_severities_are_told() -> None:
    copies: list[Any] = [a_copy(1), a_change_copy(1), a_copy(1, Outcome.TIMEOUT), a_copy(1, decision=Verdict.REFUSED), a_copy(1, Outcome.UNKNOWN)]  # fmt: skip
    weights = [weight_of(copy) for copy in copies]
    section = PAGE.split("\nSeverities:\n", 1)[1].split("\n## ", 1)[0]
    told = re.findall(r"\| (\d+) \| (\d+) \| (\d+) \|$", section, re.MULTILINE)
    assert [tuple(map(int, row)) for row in told] == [(each.syslog, each.cef, each.otlp) for each in weights]


def test_the_keys_of_cef_are_told() -> None:
    whole = a_copy(1, replica="gate", request_id="7", credentials=("c@1",), client_version="1")
    lines = [cef_of(whole), cef_of(a_copy(1, client_ip="::1")), cef_of(a_change_copy(1))]
    used = {
        key for line in lines for key in re.findall(rb" (\w+?)(?:Label)?=", b" " + line.split(b"|", 7)[7])
    }
    section = PAGE.split("\n## CEF\n", 1)[1]
    assert all(f"`{key.decode()}`" in section or re.match(rb"cs[1-6]$", key) for key in used), used
