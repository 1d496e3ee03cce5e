"""Many rotations from one file: judged before the first, each by itself, and a summary that tells the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.fake_api import Asked, Canned, FakeApi, refusal
from cli.objects import activated, verdict
from cli.ran import Run
from cli.terminal import on_terminal, settled

SECRET = "canary-value-4471"


@pytest.fixture
def kept(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    for name in ("a", "b", "c"):
        api.answers[f"POST /credentials/{name}/rotate"] = Canned(activated(name))
    (tmp_path / "new-a").write_text(f"{SECRET}-a\n")
    monkeypatch.setenv("NEW_B", f"{SECRET}-b")
    return api


def a_list(tmp_path: Path, text: str) -> str:
    (tmp_path / "list").write_text(text)
    return str(tmp_path / "list")


def materials(api: FakeApi) -> list[tuple[str, str]]:
    def of(asked: Asked) -> tuple[str, str]:
        return asked.path.split("/")[2], asked.json()["material"]

    return [of(asked) for asked in api.asked if asked.method == "POST"]


@pytest.mark.parametrize(
    "text",
    [
        "name,file,env\na,new-a,\nb,,NEW_B\n",
        "\ufeffname,env,file,expires\r\na,,new-a,never\r\nb,NEW_B,,\r\n,,,\r\n",
        '{"name": "a", "file": "new-a"}\n\n{"name": "b", "env": "NEW_B", "expires": null}\n',
    ],
)
def test_all_are_rotated_in_order(kept: FakeApi, run: Run, tmp_path: Path, text: str) -> None:
    ran = run("credential", "rotate", "--list", a_list(tmp_path, text))
    told = json.loads(ran.out)
    assert (ran.code, told["failed"], [item["ok"] for item in told["items"]]) == (0, 0, [True, True])
    assert materials(kept) == [("a", f"{SECRET}-a"), ("b", f"{SECRET}-b")]
    assert SECRET not in ran.out + ran.err


def test_one_that_fails_does_not_keep_others_from_it(kept: FakeApi, run: Run, tmp_path: Path) -> None:
    canned = refusal(409, "not_verified", "It was refused.")
    canned.value["verdicts"] = [verdict(ok=False, sentence="github refused the credential (401)")]
    kept.answers["POST /credentials/a/rotate"] = canned
    path = a_list(tmp_path, "name,file,env\na,new-a,\nb,,NEW_B\n")
    ran = run("credential", "rotate", "--list", path)
    told = json.loads(ran.out)
    assert (ran.code, told["failed"]) == (1, 1)
    assert [(item["name"], item["ok"], item["error"]) for item in told["items"]] == [
        ("a", False, "It was refused."),
        ("b", True, ""),
    ]
    code, shown = on_terminal(["credential", "rotate", "--list", path])
    assert code == 1
    assert [line.strip() for line in settled(shown).splitlines()] == [
        "fail    a: It was refused.",
        "github refused the credential (401)",
        "ok      b: version 2 active after 30 ms; drained: nothing uses version 1 any more, after 400 ms",
        "rotated 1 of 2; the others are as they were",
    ]


def test_after_a_refusal_that_concerns_all_the_rest_is_not_tried(
    kept: FakeApi, run: Run, tmp_path: Path
) -> None:
    kept.answers["POST /credentials/a/rotate"] = refusal(403, "role_lacks", "A viewer may not.")
    ran = run("credential", "rotate", "--list", a_list(tmp_path, "name,file,env\na,new-a,\nb,,NEW_B\n"))
    assert (ran.code, len(materials(kept))) == (77, 1)
    assert [item["error"] for item in json.loads(ran.out)["items"]] == ["A viewer may not.", "not tried"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column name"),
        ("name,file\n", "lists 0 credentials"),
        ("file\nx\n", "no column name"),
        ("name,name,file\na,a,new-a\n", "a column twice"),
        ("name,file\na,new-a\na,new-a\n", ":3: a is there twice"),
        ("name,file,env\na,new-a,NEW_B\n", ":2: it has neither file nor env, or both"),
        ("name,file\na,\n", ":2: it has neither"),
        ("name,file\n,new-a\n", ":2: name is empty"),
        ("name,file\na,nowhere\n", "does not exist"),
        ("name,env\na,NOT_SET\n", "is not set here"),
        (f"name,value\na,{SECRET}\n", ":2: it has more than"),
        (f"name,file\na,new-a,{SECRET}\n", ":2: it has more than"),
        (f'{{"name": "a", "value": "{SECRET}"}}\n', ":1: it has more than"),
        ('{"name": "a", "file": 1}\n', ":1: it has more than"),
        (f'{{"name": "a", "file": "new-a"}}\n{SECRET}\n', ":2: this is no JSON object"),
        ("name,file,expires\na,new-a,soon\n", "neither a time"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line_and_nothing_is_rotated(
    kept: FakeApi, run: Run, tmp_path: Path, text: str, said: str
) -> None:
    ran = run("credential", "rotate", "--list", a_list(tmp_path, text))
    assert (ran.code, materials(kept)) == (2, [])
    assert said in ran.err
    assert SECRET not in ran.err
