"""What the suite leaves on disk is read as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from conformance.counts import Check
from conformance.suite import read_results


def leave(folder: Path, name: str, checks: list[dict[str, Any]] | None) -> None:
    place = folder / name
    place.mkdir(parents=True)
    if checks is not None:
        (place / "checks.json").write_text(json.dumps(checks), encoding="utf-8")


def test_each_scenario_is_read_from_its_folder(tmp_path: Path) -> None:
    synthetic = {"id": "wire-schema-valid", "status": "SUCCESS", "details": {"messagesValidated": 3}}
    failed = {"id": "tools-list", "status": "FAILURE", "errorMessage": "no tools", "name": "ToolsList"}
    leave(tmp_path, "server-tools-list-2026-11-21T12-06-39-123Z", [failed, synthetic])
    leave(tmp_path, "server-json-schema-2020-12-2026-11-21T12-06-40-001Z", [{"id": "a", "status": "SUCCESS"}])
    assert read_results(tmp_path) == {
        "json-schema-2020-12": [Check("a", "SUCCESS", "", "{}")],
        "tools-list": [
            Check("tools-list", "FAILURE", "no tools", "{}"),
            Check("wire-schema-valid", "SUCCESS", "", '{"messagesValidated": 3}'),
        ],
    }


def test_a_scenario_that_did_not_end_has_no_checks(tmp_path: Path) -> None:
    leave(tmp_path, "server-ping-2026-11-21T12-06-39-123Z", None)
    assert read_results(tmp_path) == {"ping": []}


def test_other_folders_and_none_at_all(tmp_path: Path) -> None:
    leave(tmp_path, "something-else", [])
    assert read_results(tmp_path) == {}
    assert read_results(tmp_path / "absent") == {}
