"""`coatcheck blast-radius` of what touched nothing: known and unused is one thing, never known another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items, refusal
from cli.ran import Run
from cli.terminal import on_terminal

RADIUS = "GET /records/blast-radius"
NOTHING: dict[str, Any] = {
    "whole": None,
    **{
        name: [] for name in ("servers", "tools", "subjects", "grants", "credentials", "addresses", "clients")
    },
    "left_out": 0,
}
WHOLE = {
    "name": "",
    "calls": 1,
    "first": "2026-11-21T08:00:00Z",
    "last": "2026-11-21T08:00:00Z",
    "outcomes": {"ok": 1},
}


@pytest.fixture
def quiet(api: FakeApi) -> FakeApi:
    """A gateway with a grant and a credential that nobody used, and a removed one of each."""
    api.answers[RADIUS] = Canned(NOTHING)
    api.answers["GET /grants/alice-laptop"] = Canned({"label": "alice-laptop"})
    api.answers["GET /grants"] = items({"label": "alice-laptop"})
    api.answers["GET /credentials/github"] = Canned(
        {"name": "github", "versions": [{"number": 3}, {"number": 2}]}
    )
    api.answers["GET /credentials"] = items({"name": "github"})
    api.answers["GET /changes"] = lambda asked: items(*([{}] if asked.query["object"] == "gone" else []))
    return api


@pytest.mark.parametrize(
    "words",
    [("--grant", "alice-laptop"), ("--grant", "gone"), ("--credential", "github"), ("--credential", "gone"), ("--credential", "github", "--version", "3")],
)  # fmt: skip
def test_what_is_known_and_touched_nothing_says_so(quiet: FakeApi, run: Run, words: tuple[str, ...]) -> None:
    ran = run("blast-radius", *words)
    assert (ran.code, json.loads(ran.out)["whole"]) == (0, None)
    assert f"the record tells of no call with the {words[0][2:]} {words[1]!r}" in ran.err
    code, shown = on_terminal(["blast-radius", *words])
    assert (code, "the record tells of no call" in shown) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grant", "alice-labtop"), "did you mean alice-laptop?"),
        (("--credential", "githup"), "did you mean github?"),
        (("--credential", "githup", "--version", "1"), "there is no credential 'githup'"),
        (("--credential", "github", "--version", "4"), "credential 'github' has no version 4"),
    ],
)
def test_what_never_was_is_told(quiet: FakeApi, run: Run, words: tuple[str, ...], said: str) -> None:
    ran = run("blast-radius", *words)
    assert (ran.code, ran.out) == (1, "")
    assert said in ran.err


def test_what_was_used_before_is_known(quiet: FakeApi, run: Run) -> None:
    """A grant of the file, say, which was taken out of it."""

    def radius(asked: Asked) -> Canned:
        return Canned(NOTHING if "since" in asked.query else {**NOTHING, "whole": WHOLE})

    quiet.answers[RADIUS] = radius
    ran = run("blast-radius", "--grant", "of-the-file", "--since", "1h")
    assert (ran.code, json.loads(ran.out)["whole"]) == (0, None)
    assert "of-the-file', since 2" in ran.err


def test_who_may_not_look_for_it_is_told_no_more_than_the_record(quiet: FakeApi, run: Run) -> None:
    quiet.answers["GET /grants/x"] = refusal(403, "forbidden", "no")
    assert run("blast-radius", "--grant", "x").code == 0
    quiet.answers["GET /grants/y"] = refusal(503, "sealed", "no")
    assert run("blast-radius", "--grant", "y").code == 0


def test_a_version_that_there_cannot_be(quiet: FakeApi, run: Run) -> None:
    ran = run("blast-radius", "--credential", "github", "--version", "9" * 23)
    assert (ran.code, "is not in the range" in ran.err) == (2, True)
    assert RADIUS not in quiet.paths()
