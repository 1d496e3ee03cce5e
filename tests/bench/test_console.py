"""The bench of the console: what it makes is what its pages show, and it asks for every page of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import company, console
from demo.programs import free_port

SMALL = company.Company(8, 10, 12, 200, free_port(), free_port(), "a-credential-of-the-bench", "")


def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = company.make(tmp_path / "data", SMALL)
    assert company.again(tmp_path / "data") == there
    console.measure(tmp_path / "data", there, r"^/(grants|log)\?(used=never|subject)", rounds=1, seconds=0.2)
    told = capsys.readouterr().out
    never, calls = [line.split() for line in told.splitlines() if line.startswith(("/grants?", "/log?"))]
    assert (never[0], calls[0]) == ("/grants?used=never", "/log?subject=person-0007")
    assert "answered" not in never + calls
    assert "nobody looks on: " in told
    assert "0 failed" in told


def test_each_page_of_the_table_is_asked_for_but_files_and_what_needs_more() -> None:
    paths = list(console.Names("a-grant", "a-call", "an-operator").paths())
    assert not [path for path in paths if "{" in path]
    asked = {path.partition("?")[0] for path in paths}
    assert {
        "/",
        "/servers/server000/tools",
        "/grants/a-grant",
        "/log/calls/a-call",
        "/settings/about",
    } <= asked
    assert "/settings/operators/an-operator" in asked
    assert not [path for path in asked if "welcome" in path or path.endswith(("/file", ".csv"))]
