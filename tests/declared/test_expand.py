"""Variables and files inside string values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.declared.reading.expand import Expander, Sources, shown
from coatcheck.declared.reading.problems import Findings
from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret


class Held:
    """A source in memory."""

    def __init__(self, held: dict[str, Any]) -> None:
        self.held = held
        self.asked: list[str] = []

    def find(self, reference: str) -> Any:
        self.asked.append(reference)
        value = self.held.get(reference)
        if isinstance(value, ConfigError):
            raise value
        return None if value is None else Secret(value)


def expander(environment: Any = None, files: Any = None, base: Any = None) -> Any:
    findings = Findings({"": 1})
    sources = Sources(Held(environment or {}), Held(files or {}))
    return Expander(sources, base, findings), findings, sources


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${env:A}", "one"),
        ("${A:-other}", "one"),
        ("${EMPTY}", ""),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-}", ""),
        ("${NONE:-a b:-c}", "a b:-c"),
        ("${file:/s/t}", "from file"),
        ("Bearer ${file:/s/t}", "Bearer from file"),
        ("$A $ {A} }{", "$A $ {A} }{"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("${BRACES}", "${A}"),
    ],
)
def test_replaces(raw: Any, expected: Any) -> None:
    it, findings, _ = expander({"A": "one", "B": "two", "EMPTY": "", "BRACES": "${A}"}, {"/s/t": "from file"})
    assert it.expand(raw, "/x") == expected
    assert findings.problems == ()


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        ("${NONE}", "NONE is not set"),
        ("${A}${NONE}", "NONE is not set"),
        ("${", "without its }"),
        ("${A:-${B}}", "without its }"),
        ("${}", "unknown kind"),
        ("${1A}", "unknown kind"),
        ("${A-B}", "unknown kind"),
        ("${input:token}", "unknown kind"),
        ("${A:default}", "unknown kind"),
        ("${file:}", "unknown kind"),
        ("${file:/none}", "/none does not exist"),
        ("${file:/odd}", "is odd"),
        ("${file:~/t}", "cannot start with ~"),
        ("${file:t}", "must start with /"),
    ],
)
def test_says_what_is_missing(raw: Any, word: str) -> None:
    it, findings, _ = expander({"A": "one", "B": "two"}, {"/odd": ConfigError("the file /odd is odd")})
    assert it.expand("${A}", "/x") == "one"
    assert it.expand(raw, "/x") is None
    (problem,) = findings.problems
    assert word in problem.message
    assert problem.where == "/x"


def test_relative_files_start_from_the_directory_of_the_file(tmp_path: Path) -> None:
    it, _, sources = expander(files={str(tmp_path / "t"): "v"}, base=tmp_path)
    assert it.expand("${file:t}", "") == "v"
    assert it.files == (tmp_path / "t",)
    assert sources.files.asked == [str(tmp_path / "t")]


def test_one_reading_reads_a_file_once_and_names_the_missing_ones_too() -> None:
    it, _, sources = expander(files={"/a": "v"})
    assert it.expand("${file:/a}${file:/a}", "") == "vv"
    assert it.expand("${file:/b}", "") is None
    assert sources.files.asked == ["/a", "/b"]
    assert [str(path) for path in it.files] == ["/a", "/b"]


@given(st.text(), st.text())
def test_a_value_is_taken_as_it_is_whatever_it_holds(value: Any, around: Any) -> None:
    around = around.replace("$", "")
    it, findings, _ = expander({"V": value})
    assert it.expand(f"{around}${{V}}{around}", "") == f"{around}{value}{around}"
    assert findings.problems == ()


@given(st.text(alphabet="ab${}:-/.\n"))
def test_any_text_is_replaced_or_told(raw: Any) -> None:
    it, findings, _ = expander({"a": "1"}, {"/a": "2"})
    assert (it.expand(raw, "") is None) == bool(findings.problems)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("https://h/${A}", "https://h/${A}"),
        ("https://h/${A:-canary}", "https://h/${A}"),
        ("https://h/${file:/s/t}", "https://h/${file:/s/t}"),
    ],
)
def test_what_is_shown_has_no_defaults(raw: Any, expected: Any) -> None:
    assert shown(raw) == expected
