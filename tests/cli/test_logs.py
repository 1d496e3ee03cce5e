"""`coatcheck logs` against a gateway that runs: filters, JSON Lines, following."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items
from cli.ran import Run

ENTRY: dict[str, Any] = {
    "position": 7,
    "id": "0b6e64ab-6cd4-4a0f-8a4e-7a3f0f7e0f11",
    "time": "2026-11-21T08:00:00.000000Z",
    "subject": "ada",
    "server": "time",
    "method": "tools/call",
    "tool": "now",
    "decision": "allowed",
    "reason": "",
    "outcome": "ok",
    "detail": "",
    "duration_ms": 3.25,
    "arguments": {"text": "a\x9b"},
    "repeats": 1,
}


def test_json_lines(api: FakeApi, run: Run) -> None:
    api.answers["GET /records"] = items(ENTRY, {**ENTRY, "position": 8})
    ran = run("logs")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [json.loads(line)["position"] for line in lines] == [7, 8]
    assert json.loads(lines[0]) == ENTRY
    assert "\x9b" not in ran.out
    assert api.asked[-1].query == {"limit": "100"}


def test_no_entries_are_no_lines(api: FakeApi, run: Run) -> None:
    api.answers["GET /records"] = items()
    assert (run("logs").code, run("logs").out) == (0, "")


def test_every_filter_reaches_the_gateway(api: FakeApi, run: Run) -> None:
    api.answers["GET /records"] = items(ENTRY)
    options = "--server time --tool now --subject ada --decision denied --errors --limit 5"
    assert run("logs", *options.split(), "--since", "2026-11-20T10:00:00+02:00").code == 0
    assert api.asked[-1].query == {
        "server": "time",
        "tool": "now",
        "subject": "ada",
        "decision": "denied",
        "errors": "true",
        "limit": "5",
        "since": "2026-11-20T08:00:00Z",
    }


def test_the_filters_of_auditors_reach_the_gateway(api: FakeApi, run: Run) -> None:
    api.answers["GET /records"] = items(ENTRY)
    options = "--grant laptop --credential github@4 --outcome timeout --rule /acl/1 --method tools/call"
    assert run("logs", *options.split(), "--client-ip", "10.0.0.7", "--until", "2026-11-20").code == 0
    assert api.asked[-1].query == {
        "grant": "laptop",
        "credential": "github",
        "version": "4",
        "outcome": "timeout",
        "rule": "/acl/1",
        "method": "tools/call",
        "client_ip": "10.0.0.7",
        "until": "2026-11-20T00:00:00Z",
        "limit": "100",
    }
    assert run("logs", "--admin", "--client-ip", "10.0.0.7").code == 2


def test_an_age_becomes_a_point_in_time(api: FakeApi, run: Run) -> None:
    api.answers["GET /records"] = items(ENTRY)
    assert run("logs", "--since", "10m").code == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", api.asked[-1].query["since"])


@pytest.mark.parametrize(
    "bad",
    [["--since", "soon"], ["--limit", "0"], ["--limit", "10001"], ["--decision", "maybe"], ["extra"],
     ["--since", "9999-12-31T23:59:59-23:59"], ["--until", "0001-01-01T00:00:00+23:59"], ["--grant", "\udcff"],
     ["--client-ip", "999.1.1.1"], ["--client-ip", "localhost"], ["--since", "1h", "--until", "2h"],
     ["--since", "2026-01-01", "--until", "2026-01-01"], ["--credential", "x@99999999999999999999999"],
     ["--credential", "x@2147483648"], ["--limit", "9" * 5000]],
)  # fmt: skip
def test_bad_filters_are_usage_errors(api: FakeApi, run: Run, bad: list[str]) -> None:
    api.answers["GET /records"] = items(ENTRY)
    assert run("logs").code == 0
    before = len(api.asked)
    ran = run("logs", *bad)
    assert (ran.code, ran.out) == (2, "")
    assert len(api.asked) == before


def test_following_prints_each_entry_once_and_tells_the_end(api: FakeApi, run: Run) -> None:
    history = [{**ENTRY, "position": 7}, {**ENTRY, "position": 8, "outcome": None}, {**ENTRY, "position": 9}]
    news = [{**ENTRY, "position": 9}, {**ENTRY, "position": 8}, {**ENTRY, "position": 10}]

    def records(asked: Asked) -> Canned:
        return Canned(lines=news) if "follow" in asked.query else items(*history)

    api.answers["GET /records"] = records
    ran = run("logs", "-f", "--limit", "3", "--subject", "ada")
    assert [json.loads(line)["position"] for line in ran.out.splitlines()] == [7, 9, 8, 10]
    assert [each.query for each in api.asked[-2:]] == [
        {"limit": "3", "subject": "ada"},
        {"limit": "3", "subject": "ada", "follow": "true", "after": "7"},
    ]
    assert ran.code == 69
    assert "the gateway ended" in ran.err


def test_following_goes_on_after_the_last_entry(api: FakeApi, run: Run) -> None:
    def records(asked: Asked) -> Canned:
        return Canned(lines=[]) if "follow" in asked.query else items(*history)

    api.answers["GET /records"] = records
    history = [ENTRY, {**ENTRY, "position": 12}]
    assert run("logs", "-f").out.count("\n") == 2
    assert api.asked[-1].query == {"limit": "100", "follow": "true", "after": "12"}
    history = []
    assert run("logs", "-f").out == ""
    assert api.asked[-1].query == {"limit": "100", "follow": "true"}


def test_following_needs_a_gateway(data: Path, run: Run) -> None:
    ran = run("logs", "--follow")
    assert (ran.code, ran.out) == (69, "")
    assert "no gateway is running" in ran.err
    assert "start one with `coatcheck up`" in ran.err


def looks(api: FakeApi) -> list[Asked]:
    return [asked for asked in api.asked if asked.path == "/records"]


def test_what_is_hard_to_find_is_asked_for_part_by_part(api: FakeApi, run: Run) -> None:
    pages = [[], [ENTRY], [], [{**ENTRY, "position": 3}]]

    def answer(_: Asked) -> Canned:
        more = {"next": "x", "looked_back_to": "2026-11-21T00:00:00Z"} if len(pages) > 1 else {"next": None}
        return Canned({"items": pages.pop(0), **more})

    api.answers["GET /records"] = answer
    ran = run("logs", "--client-ip", "192.0.2.1", "--limit", "5")
    assert (ran.code, [json.loads(line)["position"] for line in ran.out.splitlines()]) == (0, [3, 7])
    assert [asked.query["limit"] for asked in looks(api)] == ["5", "5", "4", "4"]
    assert ["before" in asked.query for asked in looks(api)] == [False, True, True, True]


def test_looking_ends_somewhere_and_says_where(
    api: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coatcheck.cli.looking.logs.MOST_LOOKS", 3)
    back_to = "2026-11-20T00:00:00.000000Z"
    api.answers["GET /records"] = Canned({"items": [], "next": "x", "looked_back_to": back_to})
    ran = run("logs", "--rule", "/acl/9")
    assert (ran.code, len(looks(api))) == (0, 3)
    assert f"looked back to {back_to}; go on with --until {back_to}" in ran.err


def test_an_address_is_asked_for_as_the_record_has_it(api: FakeApi, run: Run) -> None:
    api.answers["GET /records"] = items()
    for given, asked in (
        ("2001:DB8::0:1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("socket", "socket"),
    ):
        assert run("logs", "--client-ip", given).code == 0
        assert api.asked[-1].query["client_ip"] == asked


@pytest.mark.parametrize(
    "words",
    [["logs"], ["logs", "--admin"], ["logs", "export"], ["evidence", "--out", "x.zip"], ["blast-radius", "--grant", "x"]],
)  # fmt: skip
def test_a_directory_without_a_record_is_no_empty_record(run: Run, tmp_path: Path, words: list[str]) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    for place in (there, tmp_path / "not-there"):
        ran = run(*words, "--data", str(place))
        assert (ran.code, ran.out) == (78, "")
        assert f"there is no record in {place}" in ran.err
        assert "fix: name the data directory of the gateway with --data" in ran.err
    assert list(there.iterdir()) == []
