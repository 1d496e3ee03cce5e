"""`coatcheck credential` and `coatcheck key`: where values come from, what is asked, and what is told of it."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items, refusal
from cli.objects import activated, credential, due, verdict, version
from cli.ran import Run
from cli.terminal import on_terminal, settled

NAME = "github-authorization"
SECRET = "canary-value-4471"
GHP = "ghp_" + "A1b2C3d4E5" * 4
ROTATE = f"POST /credentials/{NAME}/rotate"


@pytest.fixture
def kept(api: FakeApi) -> FakeApi:
    api.answers[f"GET /credentials/{NAME}"] = Canned(credential(NAME))
    api.answers["GET /credentials"] = items(credential(NAME))
    api.answers[ROTATE] = Canned(activated(NAME))
    api.answers["POST /credentials"] = Canned(credential(NAME), 201)
    return api


def body(api: FakeApi) -> dict[str, Any]:
    found: dict[str, Any] = api.asked[-1].json()
    return found


def piped(words: str, text: bytes) -> tuple[int, str]:
    """Run a command with a pipe as standard input; return its exit code and all that it said."""
    ran = subprocess.run(
        [sys.executable, "-m", "coatcheck", *words.split()], input=text, capture_output=True, check=False
    )
    return ran.returncode, (ran.stdout + ran.stderr).decode()


# --- where the value comes from ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"])
def test_from_standard_input_with_one_newline_off(kept: FakeApi, text: str) -> None:
    code, said = piped(f"credential rotate {NAME}", text.encode())
    assert code == 0
    assert body(kept) == {"material": SECRET, "verify": True, "accept_unproven": False, "wait": True}
    assert SECRET not in said


def test_only_one_newline_is_taken_off(kept: FakeApi) -> None:
    assert piped(f"credential rotate {NAME}", f"a\n{SECRET}\n\n".encode())[0] == 0
    assert body(kept)["material"] == f"a\n{SECRET}\n"


@pytest.mark.parametrize("text", [b"", b"\n", b"\xff", b"x" * 70_000])
def test_what_cannot_be_a_value(kept: FakeApi, text: bytes) -> None:
    assert piped(f"credential rotate {NAME}", text)[0] == 2
    assert ROTATE not in kept.paths()


def test_from_a_file_and_from_a_variable(
    kept: FakeApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").write_text(f"{SECRET}\n")
    monkeypatch.setenv("FRESH", f"{SECRET}-2")
    assert run("credential", "rotate", NAME, "--from-file", str(tmp_path / "new")).code == 0
    assert body(kept)["material"] == SECRET
    words = ("--no-verify", "--accept-unproven", "--no-wait", "--expires", "2027-01-31", "--because", "down")
    assert run("credential", "rotate", NAME, "--from-env", "FRESH", *words).code == 0
    assert body(kept) == {
        "material": f"{SECRET}-2",
        "verify": False,
        "accept_unproven": True,
        "wait": False,
        "because": "down",
        "expires_at": "2027-01-31T00:00:00Z",
    }
    silent = run("credential", "rotate", NAME, "--from-env", "FRESH", "--no-verify")
    assert (silent.code, "--because" in silent.err) == (2, True)
    assert run("credential", "rotate", NAME, "--from-env", "NOT_SET").code == 2
    assert run("credential", "rotate", NAME, "--from-file", str(tmp_path / "none")).code == 2
    assert kept.paths().count(ROTATE) == 2


def test_asked_on_a_terminal_without_an_echo(kept: FakeApi) -> None:
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "coatcheck", "credential", "rotate", NAME]
    child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    shown = b""
    while b"not shown" not in shown:
        shown += os.read(master, 4096)
    while termios.tcgetattr(slave)[3] & termios.ECHO:
        pass
    os.write(master, f"{SECRET}\n".encode())
    os.close(slave)
    assert child.wait(20) == 0
    try:
        while piece := os.read(master, 4096):
            shown += piece
    except OSError:
        pass
    os.close(master)
    assert body(kept)["material"] == SECRET
    assert SECRET.encode() not in shown
    assert b"active: version 2" in shown


@pytest.mark.parametrize(
    "words",
    [
        ("rotate", NAME, GHP),
        ("rotate", NAME, "hunter22"),
        ("add", "new", GHP),
        ("stage", NAME, GHP),
        ("rotate", GHP),
        ("add", GHP),
    ],
)
def test_an_argument_is_never_the_value_nor_repeated(kept: FakeApi, run: Run, words: tuple[str, ...]) -> None:
    ran = run("credential", *words)
    assert (ran.code, ran.out) == (2, "")
    assert "shell's history" in ran.err
    assert words[-1] not in ran.err
    assert kept.asked == []


def test_a_name_that_there_is_none_of_is_told_before_a_secret_is_asked_for(kept: FakeApi, run: Run) -> None:
    ran = run("credential", "rotate", "github-authorisation", "--from-env", "NOT_SET")
    assert (ran.code, ran.err) == (
        1,
        f"coatcheck: there is no credential 'github-authorisation'\nfix: did you mean {NAME}?\n",
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "oauth"}, f"coatcheck credential connect {NAME}"),
        ({"custody": "env"}, "comes from the gateway's environment"),
        ({"custody": "file"}, "comes from a file"),
        ({"custody": "literal"}, "comes from the servers file"),
    ],
)
def test_what_is_not_rotated_here_is_told_before_a_secret_is_asked_for(
    kept: FakeApi, run: Run, changes: dict[str, str], said: str
) -> None:
    kept.answers[f"GET /credentials/{NAME}"] = Canned(credential(NAME, **changes))
    for step in ("rotate", "stage"):
        ran = run("credential", step, NAME, "--from-env", "NOT_SET")
        assert (ran.code, said in ran.err) == (1, True)


# --- what comes of it --------------------------------------------------------------------------------------


def test_a_rotation_is_told_step_by_step(kept: FakeApi, tmp_path: Path) -> None:
    (tmp_path / "new").write_text(SECRET)
    words = ["credential", "rotate", NAME, "--from-file", str(tmp_path / "new")]
    code, shown = on_terminal(words)
    assert (code, settled(shown).splitlines()) == (
        0,
        [
            f"staged: version 2 of {NAME}",
            "verified: github: took it and lists 12 tools; an obviously wrong one was refused",
            "active: version 2, after 30 ms",
            "drained: nothing uses version 1 any more, after 400 ms",
        ],
    )
    kept.answers[ROTATE] = Canned(
        activated(
            NAME, verdicts=[], assurance="skipped", drained=False, left=3, warnings=["no server uses it"]
        )
    )
    code, shown = on_terminal([*words, "--no-verify", "--because", "down"])
    assert code == 0
    assert "verified: by no server (skipped)" in shown
    assert "draining: 3 calls, sessions or children of version 1 go on as they began" in shown
    assert "coatcheck: no server uses it" in shown


@pytest.mark.parametrize("code", ["not_verified", "unproven"])
def test_a_failed_verify_says_why_and_that_nothing_changed(
    kept: FakeApi, run: Run, tmp_path: Path, code: str
) -> None:
    (tmp_path / "new").write_text(SECRET)
    canned = refusal(409, code, "The new version was not switched to: it was refused.", "check the secret")
    canned.value["verdicts"] = [verdict(ok=False, sentence="github refused the credential (401): bad\x1b[2J")]
    kept.answers[ROTATE] = canned
    ran = run("credential", "rotate", NAME, "--from-file", str(tmp_path / "new"))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "refused: github refused the credential (401): bad[2J",
        "coatcheck: The new version was not switched to: it was refused. Nothing changed.",
        "fix: check the secret",
    ]


def test_the_steps_one_by_one(kept: FakeApi, run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").write_text(SECRET)
    staged = credential(NAME, versions=[version(3, "staged"), version(2)])
    kept.answers[f"POST /credentials/{NAME}/stage"] = Canned(staged)
    ran = run("credential", "stage", NAME, "--from-file", str(tmp_path / "new"))
    assert (ran.code, body(kept)) == (0, {"material": SECRET})
    told = {"credential": staged, "number": 3, "assurance": "proven", "ok": True, "verdicts": [verdict()]}
    kept.answers[f"POST /credentials/{NAME}/verify"] = Canned(told)
    assert run("credential", "verify", NAME).code == 0
    kept.answers[f"POST /credentials/{NAME}/verify"] = Canned({**told, "ok": False})
    assert run("credential", "verify", NAME).code == 1
    kept.answers[f"POST /credentials/{NAME}/activate"] = Canned(activated(NAME))
    assert run("credential", "activate", NAME, "--accept-unproven", "--no-wait").code == 2
    assert run("credential", "activate", NAME, "--accept-unproven", "--no-wait", "--because", "x").code == 0
    assert body(kept) == {"accept_unproven": True, "unverified": False, "wait": False, "because": "x"}
    for step in ("discard", "retire"):
        kept.answers[f"POST /credentials/{NAME}/{step}"] = Canned(credential(NAME))
        assert run("credential", step, NAME).code == 0
    kept.answers[f"POST /credentials/{NAME}/rollback"] = Canned(activated(NAME, number=1, former=2))
    ran = run("credential", "rollback", NAME, "--because", "a scope")
    assert (ran.code, json.loads(ran.out)["number"]) == (0, 1)
    assert body(kept) == {"because": "a scope", "wait": True}
    kept.answers[f"DELETE /credentials/{NAME}"] = Canned(credential(NAME))
    assert run("credential", "remove", NAME, "--because", "over").code == 0
    assert kept.asked[-1].query == {"because": "over"}


def test_add_and_change(kept: FakeApi, run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").write_text(SECRET)
    words = ("--owner", "platform", "--interval", "30d", "--on-refusal", "roll-back", "--note", "n")
    ran = run("credential", "add", NAME, "--from-file", str(tmp_path / "new"), *words)
    assert (ran.code, SECRET in ran.out + ran.err) == (0, False)
    members = {"owner": "platform", "interval_days": 30, "on_refusal": "roll-back", "note": "n"}
    assert body(kept) == {"name": NAME, "material": SECRET, **members}
    assert run("credential", "add", NAME, "--empty", "--interval", "never").code == 0
    assert body(kept) == {"name": NAME, "interval_days": None}
    kept.answers[f"PATCH /credentials/id-of-{NAME}"] = Canned(credential(NAME))
    assert run("credential", "change", NAME, *words, "--expires", "never").code == 0
    assert body(kept) == {**members, "expires_at": None}
    assert kept.asked[-1].headers["if-match"] == '"3"'


def test_an_oauth_credential(kept: FakeApi, run: Run, tmp_path: Path) -> None:
    (tmp_path / "client").write_text(f"{SECRET}\n")
    url = "https://mcp.example.com/mcp"
    words = ("--oauth-grant", "client_credentials", "--oauth-client-id", "c1", "--oauth-scope", "a")
    ran = run(
        "credential", "add", NAME, "--oauth", url, *words, "--oauth-client-secret", f"@{tmp_path}/client"
    )
    assert ran.code == 0
    assert body(kept)["oauth"] == {
        "resource": url,
        "grant_type": "client_credentials",
        "client_id": "c1",
        "client_secret": SECRET,
        "scopes": ["a"],
    }
    ran = run("credential", "add", NAME, "--oauth", url, "--oauth-client-secret", SECRET)
    assert (ran.code, SECRET in ran.err) == (2, False)


@pytest.mark.parametrize(
    "words",
    [
        "rotate",
        "rotate a --list f",
        "rotate --list f --from-env X",
        "rotate a --from-env X --from-file y",
        "add a --oauth-scope x --empty",
        "add a --empty --from-env X",
        "add a --interval 0 --empty",
        "add a --interval soon --empty",
        "change a",
        "list --state odd",
        "list --custody odd",
    ],
)
def test_usage(kept: FakeApi, run: Run, words: str) -> None:
    assert run("credential", *words.split()).code == 2
    assert {asked.method for asked in kept.asked} <= {"GET"}


# --- looking -----------------------------------------------------------------------------------------------


def test_list_and_show(kept: FakeApi, run: Run) -> None:
    ran = run("credential", "list", "github-*", "--state", "ok", "--server", "github", "--custody", "store")
    assert [each["name"] for each in json.loads(ran.out)["items"]] == [NAME]
    wanted = {"name": "github-*", "state": "ok", "server": "github", "custody": "store"}
    assert wanted.items() <= kept.asked[-1].query.items()
    code, shown = on_terminal(["credential", "list"])
    assert code == 0
    assert re.search(rf"{NAME} +ok +store +2 +2026-11-21 +2027-02-19 +github", shown)
    code, shown = on_terminal(["credential", "show", NAME])
    assert code == 0
    assert re.search(r"2 +active +0000000000000002 ", shown)
    assert "used by: github, headers/Authorization" in shown


def test_the_plan(kept: FakeApi, run: Run) -> None:
    plan = [
        due(NAME, "failing", "never verified"),
        due("n-oauth", "reconnect", kind="oauth"),
        due("from-env", "overdue", custody="env"),
        due("old", "unused", used_by=[]),
    ]
    kept.answers["GET /credentials/plan"] = items(*plan)
    ran = run("credential", "plan")
    assert (ran.code, json.loads(ran.out)["items"]) == (0, plan)
    code, shown = on_terminal(["credential", "plan"])
    assert code == 0
    flat = " ".join(shown.split())
    for words in ("failing, never verified", "credential connect n-oauth", "edit the servers file"):
        assert words in flat
    kept.answers["GET /credentials/plan"] = items()
    code, shown = on_terminal(["credential", "plan"])
    assert (code, shown) == (0, "nothing is due, failing, unverified or unused\n")


def test_connect(kept: FakeApi, run: Run) -> None:
    link = "https://as.example.com/authorize?state=x"
    begun = {"credential": NAME, "url": link, "seconds": 600.0}
    kept.answers[f"POST /credentials/{NAME}/connect"] = Canned(begun)
    ran = run("credential", "connect", NAME)
    assert (ran.code, json.loads(ran.out)) == (0, begun)
    looks: list[Asked] = []

    def shown(asked: Asked) -> Canned:
        looks.append(asked)
        number = 3 if len(looks) > 2 else 2
        return Canned(credential(NAME, kind="oauth", versions=[version(number)]))

    kept.answers[f"GET /credentials/{NAME}"] = shown
    code, told = on_terminal(["credential", "connect", NAME, "--wait"])
    assert code == 0
    assert link in told
    assert told.rstrip().endswith(f"connected: {NAME}")
    kept.answers[f"GET /credentials/{NAME}"] = Canned(credential(NAME))
    kept.answers[f"POST /credentials/{NAME}/connect"] = Canned({**begun, "seconds": 1.0})
    ran = run("credential", "connect", NAME, "--wait")
    assert (ran.code, "nobody opened the link" in ran.err, link in ran.err) == (1, True, True)
    kept.answers[f"POST /credentials/{NAME}/connect"] = Canned({**begun, "url": None})
    code, told = on_terminal(["credential", "connect", NAME])
    assert (code, settled(told)) == (0, f"connected: {NAME}\n")


def test_without_a_gateway(data: Path, run: Run) -> None:
    for words in (
        "list",
        "show a",
        "plan",
        "rotate a",
        "add a",
        "verify a",
        "rollback a",
        "change a --note x",
    ):
        ran = run("credential", *words.split())
        assert (ran.code, ran.out) == (69, "")
        assert "`coatcheck up`" in ran.err


# --- the key -----------------------------------------------------------------------------------------------


def test_the_key(api: FakeApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api.answers["GET /key"] = Canned({"id": "0a1b2c3d", "origin": ""})
    assert json.loads(run("key", "show").out)["id"] == "0a1b2c3d"
    code, shown = on_terminal(["key", "show"])
    assert (code, "coatcheck.key in the data directory" in shown) == (0, True)
    rotated = {
        "old_id": "a",
        "new_id": "b",
        "rows": 7,
        "seconds": 0.2,
        "former_path": "/d/k",
        "advice": "rm it",
    }
    api.answers["POST /key/rotate"] = Canned(rotated)
    with monkeypatch.context() as there:
        there.chdir(tmp_path)
        ran = run("key", "rotate", "--new-key-file", "new.key")
    assert (ran.code, json.loads(ran.out)) == (0, rotated)
    assert api.asked[-1].json() == {"path": str(tmp_path / "new.key")}
    code, shown = on_terminal(["key", "rotate"])
    assert (code, api.asked[-1].json()) == (0, {})
    assert settled(shown) == (
        "sealed with the key b, no more with a: 7 objects, in 200 ms\ncoatcheck: rm it\n"
    )
    assert run("key", "rotate", "--new-key-file", "k", "--url", "https://gate.example.com").code == 2
