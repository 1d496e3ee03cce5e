"""Completion: words without a gateway, names with one, and nothing a shell would act on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.fake_api import Canned, FakeApi, items, refusal
from cli.objects import credential, grant, subject
from cli.ran import Run
from cli.test_servers import server, tool

Complete = Callable[..., tuple[list[str], str]]


@pytest.fixture
def complete(data: Path, monkeypatch: pytest.MonkeyPatch) -> Complete:
    """Ask for what could stand at the end, as the script for fish does."""

    def ask(typed: str) -> tuple[list[str], str]:
        monkeypatch.setenv("_COATCHECK_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
        ran = subprocess.run(
            [sys.executable, "-m", "coatcheck"], capture_output=True, text=True, check=False, timeout=20
        )
        monkeypatch.delenv("_COATCHECK_COMPLETE")
        return [line.partition(",")[2] for line in ran.stdout.split()], ran.stderr

    return ask


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert f"_COATCHECK_COMPLETE={shell}_complete" in ran.out
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=ran.out, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_other_shells_have_none(run: Run) -> None:
    assert run("completion", "tcsh").code == 2


def test_words_need_no_gateway(complete: Complete) -> None:
    assert complete("coatcheck gra") == (["grant"], "")
    assert complete("coatcheck grant re") == (["revoke", "restore"], "")
    assert "--because" in complete("coatcheck grant revoke --")[0]


@pytest.mark.parametrize(
    "typed",
    [
        "coatcheck grant revoke ",
        "coatcheck server show ",
        "coatcheck subject show ",
        "coatcheck operator end ",
        "coatcheck access --tool ",
        "coatcheck access --server x --tool ",
        "coatcheck grant revoke --url https://nowhere.invalid ",
        "coatcheck grant revoke --data /no/such/place ",
    ],
)
def test_without_a_gateway_there_are_no_names_and_no_words(complete: Complete, typed: str) -> None:
    assert complete(typed) == ([], "")


def test_names_of_a_gateway(api: FakeApi, complete: Complete) -> None:
    api.answers["GET /grants"] = items(grant("alice-ci"), grant("alice-laptop"))
    api.answers["GET /subjects"] = items(subject("alice"))
    api.answers["GET /servers"] = items(server("time"))
    api.answers["GET /tools"] = items(tool("time", "now"))
    assert complete("coatcheck grant revoke alice-") == (["alice-ci", "alice-laptop"], "")
    assert api.asked[-1].query == {"label": "alice-*", "limit": "100"}
    assert complete("coatcheck grant revoke alice-ci alice-")[0] == ["alice-laptop"]
    assert complete("coatcheck grant issue x --to a")[0] == ["alice"]
    assert complete("coatcheck grant issue x --server t")[0] == ["time"]
    assert complete("coatcheck access --server time --tool n")[0] == ["now"]
    api.answers["GET /credentials"] = items(credential("time-key"))
    assert complete("coatcheck credential rotate t")[0] == ["time-key"]
    assert api.asked[-1].query == {"name": "t*", "limit": "100"}


@pytest.mark.parametrize("name", ["$(touch${IFS}x)", "a b", "a;b", "`x`", "-rf", "a\nb", "'", "a*", "é", ""])
def test_what_a_shell_would_act_on_is_not_offered(api: FakeApi, complete: Complete, name: str) -> None:
    api.answers["GET /grants"] = items(grant("good.one@example.com/x+1"), grant(name))
    assert complete("coatcheck grant revoke ")[0] == ["good.one@example.com/x+1"]


@pytest.mark.parametrize(
    "answer", [refusal(401, "bad_token", "no"), Canned(raw=b"<html>"), Canned({"items": [1]}), Canned([])]
)
def test_answers_of_any_kind_are_survived(api: FakeApi, complete: Complete, answer: Canned) -> None:
    api.answers["GET /grants"] = answer
    assert complete("coatcheck grant revoke ") == ([], "")
